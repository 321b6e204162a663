import { SyncError } from '../errors/index.ts';
import { array, object, type Schema, string, variant } from '../schema/index.ts';
import { type Change, recordKeySchema, type SyncRecord, type Value } from './records.ts';

const MAX_DEPTH = 64;
const MAX_FIELDS = 65_535;

function checkValue(value: unknown, path: string, depth: number): void {
  if (depth > MAX_DEPTH)
    throw new SyncError('LIMIT_DEPTH', `${path}: nested deeper than ${MAX_DEPTH}`, {
      origin: 'state',
      place: { path },
    });
  switch (typeof value) {
    case 'boolean':
      return;
    case 'number':
      return;
    case 'string':
      if (value.isWellFormed()) return;
      throw new SyncError('VALUE_INVALID', `${path}: a string with a lone surrogate has no canonical bytes`, {
        origin: 'state',
        place: { path },
      });
    case 'object':
      if (value === null || value instanceof Uint8Array) return;
      if (Array.isArray(value)) {
        for (let index = 0; index < value.length; index++) checkValue(value[index], `${path}/${index}`, depth + 1);
        return;
      }
      checkFields(value, path, depth);
      return;
    default:
      throw new SyncError('VALUE_INVALID', `${path}: a ${typeof value} cannot be part of a record`, {
        origin: 'state',
        place: { path },
      });
  }
}

function checkFields(record: object, path: string, depth: number): void {
  const names = Object.keys(record);
  if (names.length > MAX_FIELDS) {
    throw new SyncError('LIMIT_MAP_KEYS', `${path}: ${names.length} fields, at most ${MAX_FIELDS}`, {
      origin: 'state',
      place: { path },
    });
  }
  for (const name of names) {
    // An assignment to this name would change a prototype instead of a field, in this process or in a reader's.
    if (name === '__proto__') {
      throw new SyncError('FIELD_RESERVED', `${path}: a field may not be called __proto__`, {
        origin: 'state',
        place: { path },
      });
    }
    checkValue((record as Record<string, unknown>)[name], `${path}/${name}`, depth + 1);
  }
}

/** A record whose values are all {@link Value}s. Throws `LIMIT_DEPTH`, `LIMIT_MAP_KEYS`, `FIELD_RESERVED` or `VALUE_INVALID`. */
export const recordSchema: Schema<SyncRecord> = {
  kind: 'record',
  parse(value, path) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array) {
      throw new SyncError('SCHEMA_MISMATCH', `${path}: expected a record`, { origin: 'protocol', place: { path } });
    }
    checkFields(value, path, 0);
    return value as SyncRecord;
  },
};

export const valueSchema: Schema<Value> = {
  kind: 'value',
  parse(value, path) {
    checkValue(value, path, 0);
    return value as Value;
  },
};

export const changeSchema: Schema<Change> = variant('op', {
  put: object({ key: recordKeySchema, record: recordSchema }),
  patch: object({ key: recordKeySchema, fields: recordSchema, removed: array(string(), MAX_FIELDS) }),
  remove: object({ key: recordKeySchema }),
});
