import { SyncError } from '../errors/index.ts';
import type { Touched } from '../messages/index.ts';
import type { Change, RecordKey, SyncRecord, Value } from '../state/index.ts';

/**
 * Which parts of arguments and records name other records, by whole key or bare id. Only there are temporary ids looked for: a text that
 * merely looks like one stays as it is. A path is names with dots between; `*` is every item of a list or every value of a map, and `{key}`
 * at its end every field name of a map: `parent`, `items.*`, `links.*.target`, `seats.{key}`.
 */
export interface References {
  /** By command. */
  readonly commands: Readonly<Record<string, readonly string[]>>;
  /** By what comes before the first `/` of a record's key. */
  readonly records: Readonly<Record<string, readonly string[]>>;
}

export const NO_REFERENCES: References = { commands: {}, records: {} };

export type Rename = (reference: string) => string;

/** The arguments with every reference in them renamed; the same object where none is. */
export function renameInArgs(references: References, command: string, args: Value, rename: Rename): Value {
  return renameAll(pathsOf(references.commands, command), args, rename);
}

export function renameInRecord(references: References, key: RecordKey, record: SyncRecord, rename: Rename): SyncRecord {
  const paths = pathsOf(references.records, key.slice(0, key.indexOf('/')));
  return renameAll(paths, record, rename) as SyncRecord;
}

/** Records with their keys and what they refer to renamed. */
export function renameTouched(references: References, touched: readonly Touched[], rename: Rename): Touched[] {
  return touched.map(({ key, record }) => {
    return {
      key: rename(key) as RecordKey,
      record: record && renameInRecord(references, key, record, rename),
    };
  });
}

export function renameChange(references: References, change: Change, rename: Rename): Change {
  const key = rename(change.key) as RecordKey;
  if (change.op === 'remove') return { ...change, key };
  if (change.op === 'put')
    return { ...change, key, record: renameInRecord(references, change.key, change.record, rename) };
  return { ...change, key, fields: renameInRecord(references, change.key, change.fields, rename) };
}

/** Every reference in the arguments of a command. */
export function referencesIn(references: References, command: string, args: Value): string[] {
  const found: string[] = [];
  renameInArgs(references, command, args, (reference) => {
    found.push(reference);
    return reference;
  });
  return found;
}

function pathsOf(table: Readonly<Record<string, readonly string[]>>, name: string): readonly string[] {
  return Object.hasOwn(table, name) ? table[name]! : [];
}

function renameAll(paths: readonly string[], value: Value, rename: Rename): Value {
  return paths.reduce((after, path) => renameAt(after, path.split('.'), rename), value);
}

function renameAt(value: Value, [part, ...rest]: readonly string[], rename: Rename): Value {
  if (part === undefined) return typeof value === 'string' ? rename(value) : value;
  if (Array.isArray(value)) {
    return part === '*' ? mapped(value, (item) => renameAt(item, rest, rename)) : value;
  }
  if (!isMap(value)) return value;
  if (part === '{key}') return renamedNames(value, rename);
  const names = part === '*' ? Object.keys(value) : Object.hasOwn(value, part) ? [part] : [];
  let after = value;
  for (const name of names) {
    const renamed = renameAt(value[name]!, rest, rename);
    if (renamed !== value[name]) after = { ...after, [name]: renamed };
  }
  return after;
}

type ValueMap = { readonly [name: string]: Value };

function isMap(value: Value): value is ValueMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

function mapped(items: readonly Value[], change: (item: Value) => Value): readonly Value[] {
  const after = items.map(change);
  return after.some((item, index) => item !== items[index]) ? after : items;
}

function renamedNames(map: ValueMap, rename: Rename): ValueMap {
  const entries = Object.entries(map).map(([name, value]) => [rename(name), value] as const);
  const before = Object.keys(map);
  if (entries.every(([name], index) => name === before[index])) return map;
  if (new Set(entries.map(([name]) => name)).size < entries.length || entries.some(([name]) => name === '__proto__')) {
    throw new SyncError('TEMP_ID_INVALID', 'two names of a map would become one by their ids', { origin: 'state' });
  }
  return Object.fromEntries(entries);
}
