import type { StateRoot } from '../merkle/index.ts';
import type { Change, StateHash, SyncRecord, Value } from '../state/index.ts';
import { tried } from './differences.ts';

/** What codecs do to numbers that they have no room for. */
const MISREADINGS: ReadonlyArray<readonly [string, (value: number) => number]> = [
  ['integers cut to 8 bits', ofIntegers((value) => value & 0xff)],
  ['integers cut to 16 bits', ofIntegers((value) => value & 0xffff)],
  ['integers cut to 16 bits with sign', ofIntegers((value) => (value << 16) >> 16)],
  ['integers cut to 24 bits', ofIntegers((value) => value & 0xffffff)],
  ['integers cut to 32 bits with sign', ofIntegers((value) => value | 0)],
  ['integers cut to 32 bits', ofIntegers((value) => value >>> 0)],
  ['numbers of single precision', Math.fround],
  ['fractions cut off', Math.trunc],
];

/** How the numbers of changes were misread, if what came out is the root of them misread; undefined where no known way gives it. */
export function misreadAs(own: StateRoot, changes: readonly Change[], got: StateHash) {
  for (const [how, read] of MISREADINGS) {
    const root = tried(
      own,
      changes.map((change) => mapped(change, read)),
    );
    if (root?.hash === got) return { how, root };
  }
  return undefined;
}

function ofIntegers(cut: (value: number) => number): (value: number) => number {
  return (value) => (Number.isInteger(value) ? cut(value) : value);
}

function mapped(change: Change, read: (value: number) => number): Change {
  if (change.op === 'put') return { ...change, record: mappedRecord(change.record, read) };
  if (change.op === 'patch') return { ...change, fields: mappedRecord(change.fields, read) };
  return change;
}

function mappedRecord(record: SyncRecord, read: (value: number) => number): SyncRecord {
  return Object.fromEntries(Object.entries(record).map(([field, value]) => [field, mappedValue(value, read)]));
}

function mappedValue(value: Value, read: (value: number) => number): Value {
  if (typeof value === 'number') return read(value);
  if (Array.isArray(value)) return value.map((inner: Value) => mappedValue(inner, read));
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  return mappedRecord(value as SyncRecord, read);
}
