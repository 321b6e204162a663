import { diffRoots, type RecordDifference, recordDifference, type StateRoot } from '../merkle/index.ts';
import type { Change, RecordKey, SyncRecord } from '../state/index.ts';
import { MAX_DIFFERENCES, type WrongValue } from './finding.ts';

/** The state after changes; undefined where they do not fit. */
export function tried(root: StateRoot, changes: readonly Change[]): StateRoot | undefined {
  try {
    return root.apply(changes);
  } catch {
    return undefined;
  }
}

/** In what a state differs from the one that it should be; nothing where either is not known. */
export function differencesBetween(own: StateRoot | undefined, expected: StateRoot | undefined): RecordDifference[] {
  if (!own || !expected) return [];
  return diffRoots(own, expected)
    .slice(0, MAX_DIFFERENCES)
    .map(({ key, left, right }) => recordDifference(key, left, right));
}

export function differenceIn(key: RecordKey, own: SyncRecord | null, expected: SyncRecord | null): RecordDifference {
  return recordDifference(key, own ?? undefined, expected ?? undefined);
}

/** The first field in which a replica differs. */
export function wrongValue(differences: readonly RecordDifference[]): { readonly value?: WrongValue } {
  const [first] = differences;
  if (!first) return {};
  const { key, side, fields } = first;
  const [field] = fields;
  if (side !== 'both' || !field) {
    const record = Object.fromEntries(
      fields.map(({ field: name, left, right }) => [name, (side === 'left' ? left : right) ?? null]),
    );
    return { value: { key, ...(side === 'left' ? { own: record } : { expected: record }) } };
  }
  return {
    value: {
      key,
      field: field.field,
      ...(field.left === undefined ? {} : { own: field.left }),
      ...(field.right === undefined ? {} : { expected: field.right }),
    },
  };
}
