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

/**
 * How a field lies in a frame where that is not simply its value. A name (record key, field name, replica) is an
 * integer where it refers to the sender's table and text where it is written out; nothing else stands in its place.
 *
 * - changes: `[0, key, field, value, …]` put · `[1, key, field, value, …]` patch · `[2, key, [removed…], field, value, …]`
 *   patch that also removes fields · `[3, key]` remove
 * - records: `[key, field, value, …]` each
 * - vector: `[replica, counter]` each
 * - rejected: `[replica, counter, reason]` each
 * - state hash: its 8 bytes
 */
export interface WireForm<T> {
  encode(value: T, names: NameSink): unknown;
  /** @throws SyncError `SCHEMA_MISMATCH`, `NAME_UNKNOWN`, or what is wrong with a key, replica or value */
  decode(wire: unknown, names: NameSource, path: string): T;
}

export const WIRE_OP = { put: 0, patch: 1, patchAndRemove: 2, remove: 3 } as const;

function mismatch(path: string, expected: string): never {
  throw new SyncError('SCHEMA_MISMATCH', `${path}: expected ${expected}`, { origin: 'protocol', place: { path } });
}

function list(wire: unknown, path: string): readonly unknown[] {
  if (!Array.isArray(wire)) mismatch(path, 'an array');
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

function counter(wire: unknown, path: string): number {
  if (!Number.isSafeInteger(wire) || (wire as number) < 0) mismatch(path, 'a non-negative integer');
  return wire as number;
}

function pushFields(wire: unknown[], record: SyncRecord, names: NameSink): unknown[] {
  for (const field of Object.keys(record)) wire.push(names.reference(field), record[field]);
  return wire;
}

function readFields(wire: readonly unknown[], start: number, names: NameSource, path: string): SyncRecord {
  if ((wire.length - start) % 2 !== 0) mismatch(path, 'a value after each field name');
  const record: Record<string, Value> = {};
  for (let index = start; index < wire.length; index += 2) {
    const field = name(wire[index], names, path);
    // An assignment to this name would change a prototype instead of a field.
    if (field === '__proto__') {
      throw new SyncError('FIELD_RESERVED', `${path}: a field may not be called __proto__`, {
        origin: 'protocol',
        place: { path },
      });
    }
    if (Object.hasOwn(record, field)) mismatch(`${path}/${field}`, 'each field once');
    record[field] = readValue(wire[index + 1], path, field);
  }
  return record;
}

function readValue(wire: unknown, path: string, field: string): Value {
  if (typeof wire === 'number' || typeof wire === 'boolean' || wire === null) return wire;
  return valueSchema.parse(wire, `${path}/${field}`);
}

const changesForm: WireForm<Change[]> = {
  encode: (changes, names) => changes.map((change) => encodeChange(change, names)),
  decode: (wire, names, path) =>
    list(wire, path).map((one, index) => decodeChange(list(one, `${path}/${index}`), names, `${path}/${index}`)),
};

function encodeChange(change: Change, names: NameSink): unknown[] {
  const key = names.reference(change.key);
  switch (change.op) {
    case 'put':
      return pushFields([WIRE_OP.put, key], change.record, names);
    case 'patch':
      return change.removed.length === 0
        ? pushFields([WIRE_OP.patch, key], change.fields, names)
        : pushFields(
            [WIRE_OP.patchAndRemove, key, change.removed.map((field) => names.reference(field))],
            change.fields,
            names,
          );
    case 'remove':
      return [WIRE_OP.remove, key];
  }
}

function decodeChange(wire: readonly unknown[], names: NameSource, path: string): Change {
  const key = readKey(wire[1], names, path);
  switch (wire[0]) {
    case WIRE_OP.put:
      return { op: 'put', key, record: readFields(wire, 2, names, path) };
    case WIRE_OP.patch:
      return { op: 'patch', key, fields: readFields(wire, 2, names, path), removed: [] };
    case WIRE_OP.patchAndRemove: {
      const removed = list(wire[2], `${path}/removed`).map((field) => name(field, names, `${path}/removed`));
      return { op: 'patch', key, fields: readFields(wire, 3, names, path), removed };
    }
    case WIRE_OP.remove:
      if (wire.length !== 2) mismatch(path, 'nothing after the key of a removed record');
      return { op: 'remove', key };
    default:
      return mismatch(path, 'put, patch or remove (0 to 3)');
  }
}

function readKey(wire: unknown, names: NameSource, path: string): RecordKey {
  return recordKey(name(wire, names, path));
}

const entriesForm: WireForm<SnapshotEntry[]> = {
  encode: (entries, names) => entries.map(({ key, record }) => pushFields([names.reference(key)], record, names)),
  decode: (wire, names, path) =>
    list(wire, path).map((one, index) => {
      const at = `${path}/${index}`;
      const entry = list(one, at);
      return { key: readKey(entry[0], names, at), record: readFields(entry, 1, names, at) };
    }),
};

const vectorForm: WireForm<VectorEntry[]> = {
  encode: (entries, names) => entries.map((entry) => [names.reference(entry.replica), entry.counter]),
  decode: (wire, names, path) =>
    list(wire, path).map((one, index) => {
      const at = `${path}/${index}`;
      const entry = list(one, at);
      return { replica: replicaId(name(entry[0], names, at)), counter: counter(entry[1], at) };
    }),
};

const rejectionsForm: WireForm<Infer<typeof rejectionsSchema>> = {
  encode: (entries, names) => entries.map((entry) => [names.reference(entry.replica), entry.counter, entry.reason]),
  decode: (wire, names, path) =>
    list(wire, path).map((one, index) => {
      const at = `${path}/${index}`;
      const [replica, count, reason] = list(one, at);
      if (typeof reason !== 'string' || reason.length > 500) mismatch(`${at}/reason`, 'a string of at most 500');
      return { replica: replicaId(name(replica, names, at)), counter: counter(count, at), reason };
    }),
};

const hashForm: WireForm<StateHash> = {
  encode(hash) {
    const bytes = new Uint8Array(8);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, Number.parseInt(hash.slice(0, 8), 16));
    view.setUint32(4, Number.parseInt(hash.slice(8), 16));
    return bytes;
  },
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
      encode: (value) => value ?? null,
      // An absent optional field is nil in the tuple.
      decode: (wire, _names, path) => schema.parse(wire === null && schema.isOptional ? undefined : wire, path),
    };
    plainForms.set(schema, plain);
  }
  return plain;
}
