import type { SyncRecord, Value } from '../state/index.ts';
import type { VerdictClass } from './finding.ts';

/**
 * Why two records that are not the same say the same; undefined where they do not. What a language or a library makes of one value: 0 and -0,
 * NaN and null, a field that is missing and its default, names in another order.
 */
export function alike(left: SyncRecord | null, right: SyncRecord | null): VerdictClass | undefined {
  if (left === null || right === null) return undefined;
  const reasons = new Set<VerdictClass>();
  if (!isAlike(left, right, reasons)) return undefined;
  return reasons.has('missing-or-default') ? 'missing-or-default' : reasons.has('number') ? 'number' : 'ordering';
}

/** Whether two values are the same to the last bit, their fields in the same order. */
export function isIdentical(left: Value | SyncRecord, right: Value | SyncRecord): boolean {
  if (Object.is(left, right)) return true;
  if (!isRecord(left) || !isRecord(right) || left.constructor !== right.constructor) return false;
  const [names, others] = [Object.keys(left), Object.keys(right)];
  return (
    names.length === others.length &&
    names.every((name, at) => name === others[at] && isIdentical(left[name]!, right[name]!))
  );
}

function isAlike(left: Value | SyncRecord, right: Value | SyncRecord, reasons: Set<VerdictClass>): boolean {
  if (Object.is(left, right)) return true;
  if (isNumberLike(left) && isNumberLike(right)) {
    const same = left === right || (isNothing(left) && isNothing(right));
    if (same) reasons.add('number');
    return same;
  }
  if (left instanceof Uint8Array || right instanceof Uint8Array) {
    return left instanceof Uint8Array && right instanceof Uint8Array && String(left) === String(right);
  }
  if (Array.isArray(left) || Array.isArray(right)) {
    if (!Array.isArray(left) || !Array.isArray(right) || left.length !== right.length) return false;
    return left.every((one: Value, at) => isAlike(one, right[at] as Value, reasons));
  }
  if (!isRecord(left) || !isRecord(right)) return false;
  for (const field of new Set([...Object.keys(left), ...Object.keys(right)])) {
    const [one, other] = [left[field], right[field]];
    if (one !== undefined && other !== undefined) {
      if (!isAlike(one, other, reasons)) return false;
    } else if (isDefault(one === undefined ? other : one)) reasons.add('missing-or-default');
    else return false;
  }
  return true;
}

function isNumberLike(value: Value | SyncRecord): value is number | null {
  return typeof value === 'number' || value === null;
}

function isNothing(value: number | null): boolean {
  return value === null || Number.isNaN(value);
}

function isDefault(value: Value | undefined): boolean {
  if (value === null || value === 0 || value === '' || value === false) return true;
  if (value instanceof Uint8Array) return value.length === 0;
  if (Array.isArray(value)) return value.length === 0;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

function isRecord(value: Value | SyncRecord): value is SyncRecord {
  return typeof value === 'object' && value !== null;
}
