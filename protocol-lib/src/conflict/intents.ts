import { canonicalBytes, toHex } from '../bytes/index.ts';
import { sameValue } from '../merkle/index.ts';
import type { Value } from '../state/index.ts';
import type { Policy } from './policy.ts';

type MergePolicy = Extract<Policy, { kind: 'merge' }>;

/**
 * Does to `standing` what a writer did who made `after` of `before`: the three-way merge of one value. Undefined stands for a value
 * that is not there; undefined is answered where the three are not of the kind that the policy merges.
 *
 * Done one after the other to several writers' values, in the order of their mutations, it is the merge of them all.
 */
export function mergeIntent(
  policy: MergePolicy,
  before: Value | undefined,
  after: Value | undefined,
  standing: Value | undefined,
): Value | undefined {
  if (policy.of === 'counter') return mergeCounter(before, after, standing);
  const lists = [before, after, standing].map((one) => (one === undefined ? [] : one));
  if (!lists.every(isList)) return undefined;
  const [base, mine, theirs] = lists as [readonly Value[], readonly Value[], readonly Value[]];
  const merged = mergeList(base, mine, theirs, (item) => identityOf(item, policy.id));
  return policy.of === 'set' ? merged.toSorted(byIdentity(policy.id)) : merged;
}

function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

function mergeCounter(before: Value | undefined, after: Value | undefined, standing: Value | undefined) {
  const [base, mine, theirs] = [before ?? 0, after ?? 0, standing ?? 0];
  if (typeof base !== 'number' || typeof mine !== 'number' || typeof theirs !== 'number') return undefined;
  const merged = theirs + (mine - base);
  return Number.isFinite(merged) ? merged : undefined;
}

/**
 * The items of `theirs`, without those that were taken out between `base` and `mine`, and with those that were put in, each behind
 * the item that it was put behind. No identity stands twice. An item of one identity that both have is as `mine` has it
 * where `mine` changed it.
 */
function mergeList(
  base: readonly Value[],
  mine: readonly Value[],
  theirs: readonly Value[],
  identity: (item: Value) => string,
): Value[] {
  const was = new Map(base.map((item) => [identity(item), item]));
  const is = new Map(mine.map((item) => [identity(item), item]));
  const result = new Map<string, Value>();
  for (const item of theirs) {
    const id = identity(item);
    const own = is.get(id);
    if (was.has(id) && own === undefined) continue;
    const isChangedHere = own !== undefined && !sameValue(own, was.get(id));
    if (!result.has(id)) result.set(id, isChangedHere ? own : item);
  }
  const order = [...result.keys()];
  let anchor: string | undefined;
  for (const [id, item] of is) {
    if (!result.has(id) && (!was.has(id) || !sameValue(item, was.get(id)))) {
      result.set(id, item);
      order.splice(anchor === undefined ? 0 : order.indexOf(anchor) + 1, 0, id);
    }
    if (result.has(id)) anchor = id;
  }
  return order.map((id) => result.get(id)!);
}

function identityOf(item: Value, field: string | undefined): string {
  if (field !== undefined && typeof item === 'object' && item !== null && !Array.isArray(item)) {
    const id = (item as { readonly [name: string]: Value })[field];
    if (id !== undefined && Object.hasOwn(item, field)) return toHex(canonicalBytes(id));
  }
  return `=${toHex(canonicalBytes(item))}`;
}

function byIdentity(field: string | undefined) {
  return (left: Value, right: Value): number => {
    const [a, b] = [identityOf(left, field), identityOf(right, field)];
    return a < b ? -1 : a > b ? 1 : 0;
  };
}
