import fc from 'fast-check';
import { type RecordKey, recordKey, type SyncRecord, type Value } from '../state/index.ts';
import { StateRoot } from './roots.ts';

/** What the tests of this folder share. */

export type Entries = (readonly [RecordKey, SyncRecord])[];

const text = fc.string({ unit: 'grapheme', maxLength: 12 }).map((one) => one.toWellFormed());

const { value } = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom<Value>(null, true, false, 0, -0, Number.NaN, 2 ** 53, -(2 ** 60)),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.double(),
    text,
    fc.uint8Array({ maxLength: 6 }),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fieldName(), tie('value'), { maxKeys: 4 }),
  ),
}));

function fieldName(): fc.Arbitrary<string> {
  return fc
    .oneof(fc.constantFrom('name', 'room', 'count', 'constructor', '10', '2'), text)
    .filter((name) => name !== '__proto__');
}

export const arbitraryValue: fc.Arbitrary<Value> = value;

export const arbitraryRecord: fc.Arbitrary<SyncRecord> = fc.dictionary(fieldName(), value, { maxKeys: 5 });

export function arbitraryState(size: { minLength?: number; maxLength: number }): fc.Arbitrary<Entries> {
  return fc
    .uniqueArray(fc.tuple(fc.nat(200), arbitraryRecord), { ...size, selector: ([id]) => id })
    .map((pairs) => pairs.map(([id, record]) => [recordKey(`item/${id}`), record] as const));
}

/** `count` records of four fields, always the same. */
export function manyRecords(count: number): Entries {
  return Array.from({ length: count }, (_, index) => [
    recordKey(`thing/${index}`),
    { name: `thing ${index}`, room: `room-${index % 17}`, count: index, open: index % 2 === 0 },
  ]);
}

export function rootOf(entries: Iterable<readonly [RecordKey, SyncRecord]>): StateRoot {
  return StateRoot.from(entries);
}

/** Every difference of two states, found by comparing every key; sorted by key. */
export function naiveDiff(
  left: Entries,
  right: Entries,
): { readonly key: RecordKey; readonly left?: SyncRecord; readonly right?: SyncRecord }[] {
  const [a, b] = [new Map(left), new Map(right)];
  const keys = [...new Set([...a.keys(), ...b.keys()])].sort();
  return keys.flatMap((key) => {
    const [one, other] = [a.get(key), b.get(key)];
    if (one !== undefined && other !== undefined && spelled(one) === spelled(other)) return [];
    return [{ key, ...(one ? { left: one } : {}), ...(other ? { right: other } : {}) }];
  });
}

/** A value as text that only equal values share: an equality that knows nothing of the one under test. */
function spelled(value: Value): string {
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value);
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (value instanceof Uint8Array) return `bytes(${value.join()})`;
  if (Array.isArray(value)) return `[${value.map(spelled).join()}]`;
  const fields = Object.entries(value as SyncRecord).map(([name, one]) => `${JSON.stringify(name)}:${spelled(one)}`);
  return `{${fields.sort().join()}}`;
}
