import type { SyncRecord, Value } from '../state/index.ts';
import { hasField, sameValue } from './values.ts';

/** What a patch from one record to another carries. */
export function fieldsBetween(
  before: SyncRecord,
  after: SyncRecord,
): { readonly fields: SyncRecord; readonly removed: readonly string[] } {
  const fields: Record<string, Value> = {};
  let kept = 0;
  for (const name in after) {
    const value = after[name]!;
    const old = before[name];
    if (old !== undefined && typeof old !== 'function') kept++;
    if (old !== value || value === 0) if (!sameValue(old, value)) fields[name] = value;
  }
  // Counting is enough to see that every field is still there.
  for (const _ in before) kept--;
  if (kept === 0) return { fields, removed: NONE };
  const removed: string[] = [];
  for (const name in before) if (!hasField(after, name)) removed.push(name);
  return { fields, removed };
}

const NONE: readonly string[] = [];
