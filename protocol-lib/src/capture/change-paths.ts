import type { Change, Value } from '../state/index.ts';
import { valuesAt } from './filter-values.ts';

/** Whether a change of a record writes what a path leads to: one that puts or removes the record writes all of it, also what is then absent. */
export function changesPath(change: Change, [field, ...within]: readonly string[]): boolean {
  if (field === undefined || change.op !== 'patch') return true;
  if (field === '*' || change.removed.includes(field)) return true;
  if (!Object.hasOwn(change.fields, field)) return false;
  const value = change.fields[field];
  // What is within a value is gone with it where that is no list or map any more.
  return within.length === 0 || !isNested(value) || valuesAt(value, within).length > 0;
}

function isNested(value: Value | undefined): boolean {
  return typeof value === 'object' && value !== null && !(value instanceof Uint8Array);
}
