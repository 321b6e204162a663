import { fieldsBetween, sameRecord, sameValue } from '../merkle/index.ts';
import type { Touched } from '../messages/index.ts';
import type { RecordKey, SyncRecord, Value } from '../state/index.ts';
import type { FieldGroup } from '../sync/index.ts';
import type { MutationId } from '../trace/index.ts';

/** A record that a device changed without knowing that somebody else had changed it too. Null where there is none. */
export interface WriteConflict {
  readonly mutation: MutationId;
  readonly command: string;
  readonly key: RecordKey;
  /** As the device saw it, as it meant it to be, and as the authority has it now. */
  readonly base: SyncRecord | null;
  readonly mine: SyncRecord | null;
  readonly theirs: SyncRecord | null;
  /** What both changed, to different values; empty where one of them removed or made the record. */
  readonly fields: readonly string[];
}

/**
 * `mine`: the command is carried out on the present state, as if it came now. `theirs`: the record stays. `merged`: it becomes
 * `record`, and the records of `waiting` are put beside it. `nobody`: somebody must decide first, and nothing changes until then.
 */
export type ConflictDecision = {
  readonly reason: string;
  /** What decided, where that is more than the policy's name. */
  readonly policy?: string;
} & (
  | { readonly winner: 'mine' | 'theirs' | 'nobody' }
  | {
      readonly winner: 'merged';
      readonly record: SyncRecord | null;
      /** Conflicts that wait for a human. */
      readonly waiting?: readonly Touched[];
    }
);

/** Pure: one conflict always gets one decision. */
export interface ConflictPolicy {
  readonly name: string;
  decide(conflict: WriteConflict): ConflictDecision;
}

/** What reaches the authority last stands. */
export const lastWriteWins: ConflictPolicy = {
  name: 'last-write-wins',
  decide: () => ({ winner: 'mine', reason: 'it reached the authority last' }),
};

/** What the authority has stands. */
export const firstWriteWins: ConflictPolicy = {
  name: 'first-write-wins',
  decide: () => ({ winner: 'theirs', reason: 'the authority had another change first' }),
};

/** A human decides. */
export const askHuman: ConflictPolicy = {
  name: 'human',
  decide: () => ({ winner: 'nobody', reason: 'somebody must decide between the two' }),
};

/** One policy for each collection, by what comes before the first `/` of a key; `otherwise` for all others. */
export function byCollection(
  policies: Readonly<Record<string, ConflictPolicy>>,
  otherwise: ConflictPolicy,
): (key: RecordKey) => ConflictPolicy {
  return (key) => {
    const collection = key.slice(0, key.indexOf('/'));
    return Object.hasOwn(policies, collection) ? policies[collection]! : otherwise;
  };
}

/**
 * The conflicts between what a mutation touches and a state. What both changed alike is none, nor are changes to different fields, unless
 * these are of one group.
 */
export function findConflicts(
  mutation: MutationId,
  command: string,
  base: readonly Touched[],
  mine: readonly Touched[],
  present: (key: RecordKey) => SyncRecord | undefined,
  groups: readonly FieldGroup[] = [],
): WriteConflict[] {
  const before = new Map(base.map(({ key, record }) => [key, record]));
  const conflicts: WriteConflict[] = [];
  for (const { key, record } of mine) {
    const sides = { base: before.get(key) ?? null, mine: record, theirs: present(key) ?? null };
    const own = groups.filter(({ collection }) => key.startsWith(collection));
    const fields = conflictingFields(sides.base, sides.mine, sides.theirs, own);
    if (fields) conflicts.push({ mutation, command, key, ...sides, fields });
  }
  return conflicts;
}

/** Undefined where there is no conflict. */
function conflictingFields(
  base: SyncRecord | null,
  mine: SyncRecord | null,
  theirs: SyncRecord | null,
  groups: readonly FieldGroup[],
): string[] | undefined {
  if (isSame(base, theirs) || isSame(mine, theirs)) return undefined;
  if (!base || !mine || !theirs) return [];
  const changed = withGroups(changedFields(base, mine), groups);
  const fields = withGroups(changedFields(base, theirs), groups).filter((name) => changed.includes(name));
  const differ = fields.filter((name) => !sameField(mine, theirs, name));
  return differ.length > 0 ? differ : undefined;
}

/** The fields, and with one of a group all of it. */
function withGroups(fields: readonly string[], groups: readonly FieldGroup[]): readonly string[] {
  const touched = groups.filter((group) => group.fields.some((field) => fields.includes(field)));
  return touched.length === 0 ? fields : [...new Set([...fields, ...touched.flatMap((group) => group.fields)])];
}

/** Whether two records are equal, or neither is there. */
export function isSame(left: SyncRecord | null, right: SyncRecord | null): boolean {
  return left === null || right === null ? left === right : sameRecord(left, right);
}

function changedFields(from: SyncRecord, to: SyncRecord): string[] {
  const { fields, removed } = fieldsBetween(from, to);
  return [...Object.keys(fields), ...removed];
}

function sameField(left: SyncRecord, right: SyncRecord, name: string): boolean {
  const [one, other] = [left, right].map((record) => (Object.hasOwn(record, name) ? record[name] : undefined));
  if (one === undefined || other === undefined) return one === other;
  return sameValue(one as Value, other as Value);
}

/** `mine` with what only `theirs` changed; of what both changed, `mine`. For policies that merge by field. */
export function mergedFields(base: SyncRecord, mine: SyncRecord, theirs: SyncRecord): SyncRecord {
  const { fields, removed } = fieldsBetween(base, mine);
  const merged = Object.entries(theirs).filter(([name]) => !Object.hasOwn(fields, name) && !removed.includes(name));
  return Object.fromEntries([...merged, ...Object.entries(fields)]);
}
