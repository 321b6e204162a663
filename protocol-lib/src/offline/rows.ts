import { fromHex, hashBytes, packMsgpack, toHex, unpackMsgpack } from '../bytes/index.ts';
import { vectorEntriesSchema } from '../clock/index.ts';
import { isSyncError } from '../errors/index.ts';
import { offlineMutationSchema, REJECTION_CODES, reconcileConflictSchema } from '../messages/index.ts';
import { array, type Infer, literal, object, optional, type Schema, string, uint } from '../schema/index.ts';
import { recordKeySchema, recordSchema, replicaIdSchema, stateHashSchema } from '../state/index.ts';
import { STORAGE_FORMAT, type StorageWrite, storageError } from './storage.ts';

/**
 * What lies under which key of an `OfflineStorage`:
 *
 *     meta               whose storage this is, and its counters
 *     mutation/<counter> a mutation and what became of it
 *     id/<number>        what a temporary id became
 *     state              version, progress, root and vector of the committed state
 *     record/<key>       a record of it
 *     lease              who may send
 *
 * A row is 8 bytes of hash over its key and the rest, and msgpack.
 */
export const META_ROW = 'meta';
export const STATE_ROW = 'state';
export const LEASE_ROW = 'lease';
export const MUTATION_ROWS = 'mutation/';
export const ID_ROWS = 'id/';
export const RECORD_ROWS = 'record/';

export const metaSchema = object({
  format: uint,
  session: string(100),
  device: replicaIdSchema,
  /** The highest counter given to a mutation, and the highest number given to a temporary id. */
  counter: uint,
  temporaries: uint,
  /** The highest counter of which it is known how it ended. */
  settled: uint,
});
export type Meta = Infer<typeof metaSchema>;

export const ENTRY_STATES = ['pending', 'sent', 'reconciled', 'conflicted', 'rejected'] as const;
export type EntryState = (typeof ENTRY_STATES)[number];

/** A mutation as the device keeps it. Times in milliseconds since 1970. */
export const entrySchema = object({
  mutation: offlineMutationSchema,
  /** `sent`: it was handed to the connection at least once, and how it ended is not known. */
  state: literal(...ENTRY_STATES),
  sends: uint,
  sentAt: optional(uint),
  /** How often it was run again on a newer committed state, and in how many of them it came to do something else. */
  rebases: uint,
  alterations: uint,
  settledAt: optional(uint),
  /** The authority's version when it was settled. */
  version: optional(uint),
  code: optional(literal(...REJECTION_CODES)),
  reason: optional(string(500)),
  conflicts: array(reconcileConflictSchema, 10_000),
});
export type OfflineEntry = Infer<typeof entrySchema>;

/** `waiting`: its mutation is not settled. `unmapped`: that was refused, so there will never be such a record. */
export const idRowSchema = object({
  number: uint,
  counter: uint,
  state: literal('waiting', 'mapped', 'unmapped'),
  temporary: recordKeySchema,
  key: optional(recordKeySchema),
});
export type IdRow = Infer<typeof idRowSchema>;

export const stateRowSchema = object({
  version: uint,
  progress: uint,
  root: stateHashSchema,
  vector: vectorEntriesSchema,
});

export const recordRowSchema = object({ key: recordKeySchema, record: recordSchema });

export const leaseSchema = object({ owner: string(100), until: uint });
export type Lease = Infer<typeof leaseSchema>;

const HASH_BYTES = 8;

/** @throws SyncError as `packMsgpack` */
export function encodeRow(key: string, value: unknown): StorageWrite {
  const body = packMsgpack(value);
  const row = new Uint8Array(HASH_BYTES + body.length);
  row.set(body, HASH_BYTES);
  row.set(fromHex(rowHash(key, body)));
  return { key, value: row };
}

/** @throws SyncError `STORAGE_DAMAGED`, `STORAGE_NEWER` */
export function decodeRow<T>(schema: Schema<T>, key: string, row: Uint8Array): T {
  const body = row.subarray(HASH_BYTES);
  if (row.length <= HASH_BYTES || toHex(row.subarray(0, HASH_BYTES)) !== rowHash(key, body)) {
    throw storageError('STORAGE_DAMAGED', `row ${JSON.stringify(key.slice(0, 80))} is not what was written`);
  }
  try {
    return schema.parse(unpackMsgpack(body), key);
  } catch (error) {
    if (!isSyncError(error)) throw error;
    throw storageError('STORAGE_DAMAGED', `row ${JSON.stringify(key.slice(0, 80))}: ${error.message}`, error);
  }
}

/** The `meta` row, before anything else is believed. @throws SyncError `STORAGE_NEWER`, `STORAGE_DAMAGED` */
export function decodeMeta(row: Uint8Array): Meta {
  const { format } = decodeRow(object({ format: uint }), META_ROW, row);
  if (format > STORAGE_FORMAT) {
    const text = `the storage has format ${format}, this build reads up to ${STORAGE_FORMAT}: upgrade the app`;
    throw storageError('STORAGE_NEWER', text);
  }
  return decodeRow(metaSchema, META_ROW, row);
}

/** A row's key with a number in it; these sort as their numbers do. */
export function numberedKey(prefix: string, number: number): string {
  return prefix + String(number).padStart(16, '0');
}

const encoder = new TextEncoder();

/** Over the key too, so that two rows cannot change places. */
function rowHash(key: string, body: Uint8Array): string {
  const name = encoder.encode(key);
  const joined = new Uint8Array(name.length + body.length);
  joined.set(name);
  joined.set(body, name.length);
  return hashBytes(joined);
}
