import { canonicalBytes, unpackMsgpack } from '../bytes/index.ts';
import { array, type Infer, object, optional, type Schema, string, uint, variant } from '../schema/index.ts';
import { changeSchema, recordKeySchema, recordSchema, replicaIdSchema, stateHashSchema } from '../state/index.ts';
import { mutationIdSchema } from '../trace/index.ts';
import { domainEventSchema } from './domain.ts';

/** Refusals of one writer that are remembered, so that each that may still be asked for is known. */
export const REFUSALS_KEPT = 256;

/**
 * Changes that an entry carries beside its events. They are no source of the state: replay compares with them, to say in
 * which record and field it went another way. Of a larger mutation only the root is compared.
 */
export const CHANGES_KEPT = 100;

/** What every entry says. One entry is one settled mutation, the unit that is kept whole or not at all. */
const settled = {
  /** Of the entry in the log: 1, 2, 3, … after the snapshot at 0. */
  position: uint,
  /** Of the state after it; rises by one where the state changed. */
  version: uint,
  /** Of the state after it. */
  root: stateHashSchema,
  /** Nanoseconds since the session began, as its authorities counted them; never falls. */
  time: uint,
  mutation: mutationIdSchema,
  /** The newest version that the writer was known to have seen: what it did comes after that, for it. */
  seen: uint,
};

export const logEntrySchema = variant('outcome', {
  /** Taken: these events happened. */
  committed: object({
    ...settled,
    command: optional(string(80)),
    events: array(domainEventSchema, 10_000),
    changes: optional(array(changeSchema, CHANGES_KEPT)),
  }),
  /** Refused, which changes nothing, but is settled for ever. */
  refused: object({ ...settled, command: optional(string(80)), reason: string(500) }),
  /** All mutations of the writer up to this one were settled elsewhere. */
  adopted: object(settled),
});

/** How a mutation was settled, as the log keeps it. */
export type LogEntry = Infer<typeof logEntrySchema>;

/** How far a writer is: the last counter that was settled, in the entry at `position`, and the refusals that are remembered. */
export const writerStandingSchema = object({
  writer: replicaIdSchema,
  counter: uint,
  position: uint,
  refusals: array(object({ counter: uint, reason: string(500), position: uint }), REFUSALS_KEPT),
});
export type WriterStanding = Infer<typeof writerStandingSchema>;

/** Everything that the entries up to `position` come to. */
export const logSnapshotSchema = object({
  position: uint,
  version: uint,
  root: stateHashSchema,
  time: uint,
  /** Ascending by key. */
  records: array(object({ key: recordKeySchema, record: recordSchema }), 100_000_000),
  /** Ascending by writer. */
  writers: array(writerStandingSchema, 65_535),
  /** Which life of the session this is the log of; 0 where absent. */
  incarnation: optional(uint),
});
export type LogSnapshot = Infer<typeof logSnapshotSchema>;

/** A log's bytes are checksummed before they are decoded, and a snapshot may be as large as a state. */
const LIMITS = { depth: 64, nodes: 2 ** 31, mapKeys: 65_535 };

/** Canonical bytes of an entry. @throws SyncError where a field is missing or wrong, or has no canonical bytes */
export function encodeEntry(entry: LogEntry): Uint8Array {
  return canonicalBytes(logEntrySchema.parse(entry, 'entry'));
}

/** @throws SyncError where these are not the bytes of an entry */
export function decodeEntry(bytes: Uint8Array): LogEntry {
  return decode(logEntrySchema, bytes, 'entry');
}

/** Canonical bytes of a snapshot. @throws SyncError as {@link encodeEntry} */
export function encodeSnapshot(snapshot: LogSnapshot): Uint8Array {
  return canonicalBytes(logSnapshotSchema.parse(snapshot, 'snapshot'));
}

/** @throws SyncError where these are not the bytes of a snapshot */
export function decodeSnapshot(bytes: Uint8Array): LogSnapshot {
  return decode(logSnapshotSchema, bytes, 'snapshot');
}

function decode<T>(schema: Schema<T>, bytes: Uint8Array, what: string): T {
  return schema.parse(unpackMsgpack(bytes, LIMITS), what);
}
