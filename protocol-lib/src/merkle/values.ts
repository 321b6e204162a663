import type { SyncRecord, Value } from '../state/index.ts';

/** Deep equality as the hash sees it: numbers by `Object.is`, bytes by content, the order of fields does not count. */
export function sameValue(left: Value | undefined, right: Value | undefined): boolean {
  // As `Object.is`, which costs an engine a call.
  if (left === right) return left !== 0 || 1 / left === 1 / (right as number);
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) {
    return Number.isNaN(left) && Number.isNaN(right);
  }
  if (left instanceof Uint8Array || right instanceof Uint8Array) {
    return left instanceof Uint8Array && right instanceof Uint8Array && sameBytes(left, right);
  }
  if (Array.isArray(left) || Array.isArray(right)) {
    return Array.isArray(left) && Array.isArray(right) && sameItems(left, right);
  }
  return sameRecord(left as SyncRecord, right as SyncRecord);
}

/**
 * Whether a record has a field. What an object inherits is a function, which no field holds, or stands
 * under `__proto__`, which no field is called; so reading the field tells, much faster than `Object.hasOwn`.
 */
export function hasField(record: SyncRecord, name: string): boolean {
  const value: unknown = record[name];
  return value !== undefined && typeof value !== 'function';
}

/** {@link sameValue} of two records. */
export function sameRecord(left: SyncRecord, right: SyncRecord): boolean {
  if (left === right) return true;
  let count = 0;
  for (const name in left) {
    if (!sameValue(left[name], right[name])) return false;
    count++;
  }
  // Every field on the left is on the right; they are equal where the right has no more.
  for (const _ in right) count--;
  return count === 0;
}

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false;
  for (let index = 0; index < left.length; index++) if (left[index] !== right[index]) return false;
  return true;
}

function sameItems(left: readonly Value[], right: readonly Value[]): boolean {
  if (left.length !== right.length) return false;
  for (let index = 0; index < left.length; index++) if (!sameValue(left[index], right[index])) return false;
  return true;
}

/**
 * The record with `fields` set and `removed` gone; the very same object where that changes nothing.
 * A name in both is set: removal comes first.
 */
export function patched(record: SyncRecord, fields: SyncRecord, removed: readonly string[]): SyncRecord {
  const goes =
    removed.length === 0 ? removed : removed.filter((name) => hasField(record, name) && !hasField(fields, name));
  if (goes.length > 0) {
    const gone = new Set(goes);
    const result: Record<string, Value> = {};
    for (const name in record) if (!gone.has(name)) result[name] = record[name]!;
    return { ...result, ...fields };
  }
  let after: Record<string, Value> | undefined;
  for (const name in fields) {
    const value = fields[name]!;
    // Assigned, this name would change a prototype. As a field it counts as a change, and is refused where the record is hashed.
    if (name === '__proto__') return { ...record, ...fields };
    // So does what no record may hold.
    if (value !== undefined && sameValue(record[name], value)) continue;
    // Copying all at once and then setting the few that differ is much faster than spreading both.
    after ??= { ...record };
    after[name] = value;
  }
  return after ?? record;
}
