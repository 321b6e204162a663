import { diffRoots, fieldsBetween, type StateRoot } from '../merkle/index.ts';
import type { Change, RecordKey, StateHash, SyncRecord } from '../state/index.ts';
import { PARENT, parentOf, typeName } from './model.ts';

export type DiffAction = 'create' | 'update' | 'delete';

/** One model in which two states differ. `before` is absent where it is created, `after` where it is deleted. */
export interface DiffEntry {
  readonly key: RecordKey;
  readonly action: DiffAction;
  readonly before?: SyncRecord;
  readonly after?: SyncRecord;
}

/** What leads from one state of models to another. Plain data: it can be kept, sent, shown, turned round and applied. */
export interface Diff {
  readonly from: StateHash;
  readonly to: StateHash;
  /** Sorted by key. */
  readonly entries: readonly DiffEntry[];
  /** The parent of each model in `entries` (of a deleted one the former), and of all that are or were above them. */
  readonly parents: ReadonlyMap<RecordKey, RecordKey | null>;
  /** How many models of each type there are in `from`. */
  readonly totals: ReadonlyMap<string, number>;
}

export interface DiffCounts {
  readonly create: number;
  readonly update: number;
  readonly delete: number;
  readonly none: number;
}

/**
 * What leads from `from` to `to`. Only unequal subtrees of the two tries are looked at, so the cost follows the difference;
 * models are counted once for each state that is not itself known by a diff.
 * @throws SyncError `HASHER_DIFFERS`
 */
export function diffModels(from: StateRoot, to: StateRoot): Diff {
  const entries = diffRoots(from, to).map(({ key, left, right }) => diffEntry(key, left, right));
  const totals = countTypes(from);
  const diff = { from: from.hash, to: to.hash, entries, parents: parentsOf(entries, from, to), totals };
  if (!counted.has(to)) counted.set(to, totalsAfter(diff));
  return diff;
}

export function diffEntry(key: RecordKey, before: SyncRecord | undefined, after: SyncRecord | undefined): DiffEntry {
  if (before === undefined) return { key, action: 'create', after: after! };
  return after === undefined ? { key, action: 'delete', before } : { key, action: 'update', before, after };
}

/** Whether the model goes from one parent to another. */
export function isMove({ before, after }: DiffEntry): boolean {
  return before !== undefined && after !== undefined && before[PARENT] !== after[PARENT];
}

function parentsOf(entries: readonly DiffEntry[], from: StateRoot, to: StateRoot): Map<RecordKey, RecordKey | null> {
  const parents = new Map<RecordKey, RecordKey | null>();
  for (const { key, before, after } of entries) parents.set(key, parentOf((after ?? before)!));
  const starts = entries.flatMap(({ before, after }) => [before, after]);
  for (const start of starts) {
    for (let at = start === undefined ? null : parentOf(start); at !== null && !parents.has(at); ) {
      const record = to.get(at) ?? from.get(at);
      const parent: RecordKey | null = record === undefined ? null : parentOf(record);
      parents.set(at, parent);
      at = parent;
    }
  }
  return parents;
}

/** Models by type, of states that were counted. A state never changes, and what nobody keeps is forgotten. */
const counted = new WeakMap<StateRoot, ReadonlyMap<string, number>>();

export function countTypes(root: StateRoot): ReadonlyMap<string, number> {
  const known = counted.get(root);
  if (known !== undefined) return known;
  const totals = new Map<string, number>();
  for (const [key] of root.entries()) totals.set(typeName(key), (totals.get(typeName(key)) ?? 0) + 1);
  counted.set(root, totals);
  return totals;
}

/** Lets the counts of a state follow a change of it. */
export function carryCounts(before: StateRoot, after: StateRoot, changes: readonly Change[]): void {
  const totals = counted.get(before);
  if (totals === undefined || counted.has(after)) return;
  const entries = [...new Set(changes.map(({ key }) => key))]
    .filter((key) => before.has(key) !== after.has(key))
    .map((key) => diffEntry(key, before.get(key), after.get(key)));
  counted.set(after, totalsAfter({ entries, totals }));
}

function totalsAfter({ entries, totals }: Pick<Diff, 'entries' | 'totals'>): Map<string, number> {
  const after = new Map(totals);
  for (const { key, action } of entries) {
    const step = action === 'create' ? 1 : action === 'delete' ? -1 : 0;
    after.set(typeName(key), (after.get(typeName(key)) ?? 0) + step);
  }
  for (const [type, count] of after) if (count === 0) after.delete(type);
  return after;
}

/** Whether it changes anything. */
export function hasChanges(diff: Diff): boolean {
  return diff.entries.length > 0;
}

/** The change list of a diff, as deltas have it. */
export function diffChanges(diff: Pick<Diff, 'entries'>): Change[] {
  return diff.entries.map(entryChange);
}

export function entryChange({ key, before, after }: DiffEntry): Change {
  if (after === undefined) return { op: 'remove', key };
  if (before === undefined) return { op: 'put', key, record: after };
  return { op: 'patch', key, ...fieldsBetween(before, after) };
}

/** The diff that leads back. */
export function invertDiff(diff: Diff): Diff {
  const entries = diff.entries.map(({ key, before, after }) => diffEntry(key, after, before));
  const parents = new Map(diff.parents);
  for (const { key, before, after } of entries) parents.set(key, parentOf((after ?? before)!));
  return { from: diff.to, to: diff.from, entries, parents, totals: totalsAfter(diff) };
}

/** Counts over all models. */
export function countDiff(diff: Diff): DiffCounts {
  return sumCounts(countLevels(diff).values());
}

/** Counts for each level of the hierarchy: for each type of model, by name. */
export function countLevels(diff: Diff): ReadonlyMap<string, DiffCounts> {
  const levels = new Map<string, { create: number; update: number; delete: number; none: number }>();
  for (const [type, none] of diff.totals) levels.set(type, { create: 0, update: 0, delete: 0, none });
  for (const { key, action } of diff.entries) {
    const type = typeName(key);
    const level = levels.get(type) ?? { create: 0, update: 0, delete: 0, none: 0 };
    level[action]++;
    if (action !== 'create') level.none--;
    levels.set(type, level);
  }
  return new Map([...levels].sort(([left], [right]) => (left < right ? -1 : 1)));
}

export function sumCounts(all: Iterable<DiffCounts>): DiffCounts {
  const sum = { create: 0, update: 0, delete: 0, none: 0 };
  for (const one of all) {
    sum.create += one.create;
    sum.update += one.update;
    sum.delete += one.delete;
    sum.none += one.none;
  }
  return sum;
}
