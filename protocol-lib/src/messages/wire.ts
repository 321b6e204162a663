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
} from '../state/index.ts';
import { type NamePart, type RowPart, type RunPart, readRuns, readVector, WIRE_OP } from './compact.ts';
import type { NameSink, NameSource } from './names.ts';
import { changesSchema, entriesSchema, rejectionsSchema, type SnapshotEntry, toldEventSchema } from './replication.ts';
import {
  writeChanges,
  writeEntries,
  writePlain,
  writeRejections,
  writeStateHash,
  writeToldEvent,
  writeVector,
} from './wire-write.ts';

/**
 * How a field lies in a frame where that is not simply its value. A name (record key, field name, replica) is an
 * integer where it refers to the sender's table and text where it is written out; nothing else stands in its place.
 *
 * - changes, records, vector: one `bin` each, in the form of `compact.ts`
 * - rejected: `[replica, counter, reason]` each
 * - what happened: `[type, player, detail]`, the first two as names
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

function bin(wire: unknown, path: string): Uint8Array {
  if (!(wire instanceof Uint8Array)) mismatch(path, 'bytes');
  return wire;
}

/** Field names, each once. */
function fieldNames(parts: readonly NamePart[], names: NameSource, path: string): string[] {
  const fields = parts.map(({ value }) => name(value, names, path));
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

function recordOf(row: RowPart, fields: readonly string[]): SyncRecord {
  const record: Record<string, Value> = {};
  fields.forEach((field, index) => {
    // What lies in a bin was checked as it was read.
    record[field] = row.values[index]!.value as Value;
  });
  return record;
}

function keyOf({ key }: RowPart, names: NameSource, path: string): RecordKey {
  const known = typeof key.value === 'number' ? names.keyAt?.(key.value) : undefined;
  return known ?? recordKey(name(key.value, names, path));
}

const changesForm: WireForm<Change[]> = {
  write: writeChanges,
  decode(wire, names, path) {
    return readRuns(bin(wire, path), path).flatMap((run, index) => changesOf(run, names, `${path}/${index}`));
  },
};

function changesOf(run: RunPart, names: NameSource, path: string): Change[] {
  const fields = fieldNames(run.fields, names, path);
  const removed = fieldNames(run.removed, names, path);
  return run.rows.map((row) => {
    const key = keyOf(row, names, path);
    if (run.op === WIRE_OP.remove) return { op: 'remove', key };
    const record = recordOf(row, fields);
    return run.op === WIRE_OP.put ? { op: 'put', key, record } : { op: 'patch', key, fields: record, removed };
  });
}

const entriesForm: WireForm<SnapshotEntry[]> = {
  write: writeEntries,
  decode(wire, names, path) {
    const entries = readRuns(bin(wire, path), path).flatMap((run, index) => {
      const at = `${path}/${index}`;
      if (run.op !== WIRE_OP.put) mismatch(at, 'records');
      const fields = fieldNames(run.fields, names, at);
      return run.rows.map((row) => ({ key: keyOf(row, names, at), record: recordOf(row, fields) }));
    });
    eachOnce(entries.length, (index) => entries[index]!.key, path);
    return entries;
  },
};

const vectorForm: WireForm<VectorEntry[]> = {
  write: writeVector,
  decode(wire, names, path) {
    const parts = readVector(bin(wire, path), path);
    if (parts.length > REPLICAS_MAX) mismatch(path, `at most ${REPLICAS_MAX} entries`);
    const entries = parts.map((part, index) => {
      return { replica: replicaId(name(part.replica.value, names, `${path}/${index}`)), counter: part.counter.value };
    });
    eachOnce(entries.length, (index) => entries[index]!.replica, path);
    return entries;
  },
};

export const rejectionsForm: WireForm<Infer<typeof rejectionsSchema>> = {
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

const toldEventForm: WireForm<Infer<typeof toldEventSchema>> = {
  write: writeToldEvent,
  decode(wire, names, path) {
    const parts = list(wire, path);
    if (parts.length !== 3) mismatch(path, 'type, player and detail');
    const [type, player, detail] = parts;
    const event = { type: name(type, names, `${path}/type`), player: name(player, names, `${path}/player`), detail };
    return toldEventSchema.parse(event, path);
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
  own(toldEventSchema, toldEventForm),
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
