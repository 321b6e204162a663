import { toHex } from '../bytes/index.ts';
import { type VectorEntry, vectorEntriesSchema } from '../clock/index.ts';
import { SyncError } from '../errors/index.ts';
import type { Infer, Schema } from '../schema/index.ts';
import {
  type Change,
  type RecordKey,
  recordKey,
  replicaId,
  type StateHash,
  type SyncRecord,
  stateHashSchema,
  type Value,
  valueSchema,
} from '../state/index.ts';
import type { NameSink, NameSource } from './names.ts';
import { changesSchema, entriesSchema, rejectionsSchema, type SnapshotEntry } from './replication.ts';
import {
  WIRE_OP,
  writeChanges,
  writeEntries,
  writePlain,
  writeRejections,
  writeStateHash,
  writeVector,
} from './wire-write.ts';

/**
 * How a field lies in a frame where that is not simply its value. A name (record key, field name, replica) is an
 * integer where it refers to the sender's table and text where it is written out; nothing else stands in its place.
 *
 * Records and changes of one shape that follow upon each other lie together, and their field names once before them:
 *
 * - changes: runs `[0, [field…], key, value…, key, value…]` put · `[1, [field…], key, value…, …]` patch ·
 *   `[2, [field…], [removed…], key, value…, …]` patch that also removes fields · `[3, key, key, …]` remove
 * - records: runs `[[field…], key, value…, key, value…]`
 * - vector: `[replica, counter]` each
 * - rejected: `[replica, counter, reason]` each
 * - state hash: its 8 bytes
 */
export interface WireForm<T> {
  /** Writes the value onto the frame that is being written. @throws SyncError `VALUE_INVALID` or `LIMIT_DEPTH` */
  write(value: T, names: NameSink): void;
  /** @throws SyncError `SCHEMA_MISMATCH`, `NAME_UNKNOWN`, or what is wrong with a key, replica or value */
  decode(wire: unknown, names: NameSource, path: string): T;
}

/** As the schemas of vectors and rejections have it. */
const REPLICAS_MAX = 65_535;

function mismatch(path: string, expected: string): never {
  throw new SyncError('SCHEMA_MISMATCH', `${path}: expected ${expected}`, { origin: 'protocol', place: { path } });
}

function list(wire: unknown, path: string, maxLength = Number.POSITIVE_INFINITY): readonly unknown[] {
  if (!Array.isArray(wire)) mismatch(path, 'an array');
  if (wire.length > maxLength) mismatch(path, `an array of at most ${maxLength}`);
  return wire;
}

function name(wire: unknown, names: NameSource, path: string): string {
  if (typeof wire === 'string') return wire;
  if (typeof wire !== 'number') mismatch(path, 'a name or the number of one');
  const known = names.nameAt(wire);
  if (known === undefined) {
    throw new SyncError('NAME_UNKNOWN', `${path}: the sender never announced name ${wire}`, {
      origin: 'protocol',
      retry: 'now',
      place: { path },
    });
  }
  return known;
}

/** Refuses a list that says the same thing twice: which of the two counts would be anyone's guess. */
function eachOnce(count: number, nameAt: (index: number) => string, path: string): void {
  if (count < 2) return;
  const seen = new Set<string>();
  for (let index = 0; index < count; index++) {
    if (seen.has(nameAt(index))) mismatch(`${path}/${index}`, `${nameAt(index)} once`);
    seen.add(nameAt(index));
  }
}

function counter(wire: unknown, path: string): number {
  if (!Number.isSafeInteger(wire) || (wire as number) < 0) mismatch(path, 'a non-negative integer');
  return wire as number;
}

/** Field names, each once. */
function readFieldNames(wire: unknown, names: NameSource, path: string): string[] {
  const fields = list(wire, path).map((field) => name(field, names, path));
  if (new Set(fields).size < fields.length) mismatch(path, 'each field once');
  // An assignment to this name would change a prototype instead of a field.
  if (fields.includes('__proto__')) {
    throw new SyncError('FIELD_RESERVED', `${path}: a field may not be called __proto__`, {
      origin: 'protocol',
      place: { path },
    });
  }
  return fields;
}

/** The keys and records of a run, each handed to `take`, from `start` on. */
function readRecords(
  run: readonly unknown[],
  start: number,
  fields: readonly string[],
  names: NameSource,
  path: string,
  take: (key: RecordKey, record: SyncRecord) => void,
): void {
  const stride = fields.length + 1;
  if ((run.length - start) % stride !== 0 || run.length < start)
    mismatch(path, 'a value for each field after each key');
  for (let at = start; at < run.length; at += stride) {
    const record: Record<string, Value> = {};
    for (let index = 0; index < fields.length; index++) {
      const field = fields[index]!;
      record[field] = readValue(run[at + 1 + index], path, field);
    }
    take(readKey(run[at], names, path), record);
  }
}

function readValue(wire: unknown, path: string, field: string): Value {
  if (typeof wire === 'number' || typeof wire === 'boolean' || wire === null) return wire;
  return valueSchema.parse(wire, `${path}/${field}`);
}

const changesForm: WireForm<Change[]> = {
  write: writeChanges,
  decode(wire, names, path) {
    const changes: Change[] = [];
    list(wire, path).forEach((one, index) => {
      const at = `${path}/${index}`;
      decodeRun(list(one, at), names, at, changes);
    });
    return changes;
  },
};

function decodeRun(run: readonly unknown[], names: NameSource, path: string, changes: Change[]): void {
  switch (run[0]) {
    case WIRE_OP.put: {
      const fields = readFieldNames(run[1], names, path);
      readRecords(run, 2, fields, names, path, (key, record) => changes.push({ op: 'put', key, record }));
      return;
    }
    case WIRE_OP.patch: {
      const set = readFieldNames(run[1], names, path);
      readRecords(run, 2, set, names, path, (key, fields) => changes.push({ op: 'patch', key, fields, removed: [] }));
      return;
    }
    case WIRE_OP.patchAndRemove: {
      const set = readFieldNames(run[1], names, path);
      const removed = readFieldNames(run[2], names, path);
      readRecords(run, 3, set, names, path, (key, fields) => changes.push({ op: 'patch', key, fields, removed }));
      return;
    }
    case WIRE_OP.remove:
      for (let at = 1; at < run.length; at++) changes.push({ op: 'remove', key: readKey(run[at], names, path) });
      return;
    default:
      mismatch(path, 'put, patch or remove (0 to 3)');
  }
}

function readKey(wire: unknown, names: NameSource, path: string): RecordKey {
  const known = typeof wire === 'number' ? names.keyAt?.(wire) : undefined;
  return known ?? recordKey(name(wire, names, path));
}

const entriesForm: WireForm<SnapshotEntry[]> = {
  write: writeEntries,
  decode(wire, names, path) {
    const entries: SnapshotEntry[] = [];
    list(wire, path).forEach((one, index) => {
      const at = `${path}/${index}`;
      const run = list(one, at);
      const fields = readFieldNames(run[0], names, at);
      readRecords(run, 1, fields, names, at, (key, record) => entries.push({ key, record }));
    });
    eachOnce(entries.length, (index) => entries[index]!.key, path);
    return entries;
  },
};

const vectorForm: WireForm<VectorEntry[]> = {
  write: writeVector,
  decode(wire, names, path) {
    const entries = list(wire, path, REPLICAS_MAX).map((one, index) => {
      const at = `${path}/${index}`;
      const entry = list(one, at);
      return { replica: replicaId(name(entry[0], names, at)), counter: counter(entry[1], at) };
    });
    eachOnce(entries.length, (index) => entries[index]!.replica, path);
    return entries;
  },
};

const rejectionsForm: WireForm<Infer<typeof rejectionsSchema>> = {
  write: writeRejections,
  decode(wire, names, path) {
    const rejections = list(wire, path, REPLICAS_MAX).map((one, index) => {
      const at = `${path}/${index}`;
      const [replica, count, reason] = list(one, at);
      if (typeof reason !== 'string' || reason.length > 500) mismatch(`${at}/reason`, 'a string of at most 500');
      return { replica: replicaId(name(replica, names, at)), counter: counter(count, at), reason };
    });
    eachOnce(rejections.length, (index) => `${rejections[index]!.replica} ${rejections[index]!.counter}`, path);
    return rejections;
  },
};

const hashForm: WireForm<StateHash> = {
  write: writeStateHash,
  decode(wire, _names, path) {
    if (!(wire instanceof Uint8Array) || wire.length !== 8) mismatch(path, 'a state hash of 8 bytes');
    return toHex(wire) as StateHash;
  },
};

/** A schema's own form; the table forgets the type that the two have in common. */
function own<T>(schema: Schema<T>, form: WireForm<T>): readonly [Schema<unknown>, WireForm<unknown>] {
  return [schema, form as WireForm<unknown>];
}

const forms: ReadonlyMap<Schema<unknown>, WireForm<unknown>> = new Map([
  own(changesSchema, changesForm),
  own(entriesSchema, entriesForm),
  own(vectorEntriesSchema, vectorForm),
  own(rejectionsSchema, rejectionsForm),
  own(stateHashSchema, hashForm),
]);

const plainForms = new Map<Schema<unknown>, WireForm<unknown>>();

/** The wire form of a field; where it has none of its own, the value as it is, checked by its schema. */
export function wireForm(schema: Schema<unknown>): WireForm<unknown> {
  const special = forms.get(schema);
  if (special) return special;
  let plain = plainForms.get(schema);
  if (!plain) {
    plain = {
      write: writePlain,
      // An absent optional field is nil in the tuple.
      decode: (wire, _names, path) => schema.parse(wire === null && schema.isOptional ? undefined : wire, path),
    };
    plainForms.set(schema, plain);
  }
  return plain;
}
