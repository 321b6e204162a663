import type { SyncRecord, Value } from '../state/index.ts';
import { mergeIntent } from './intents.ts';
import { compareMutations, idOf, type Mutation } from './mutation.ts';
import { type Policy, policyName } from './policy.ts';
import { doAgree, type UnitHistory, type Write } from './unit-history.ts';

/** What a policy says about a unit, once a write has joined its history. */
export interface Settlement {
  /** What the unit is now. */
  readonly value: SyncRecord;
  /** `plain`: nobody disagrees. */
  readonly kind: 'plain' | 'won' | 'merged' | 'waiting';
  readonly winner: Write | undefined;
  readonly sides: readonly Write[];
  readonly base: SyncRecord;
  readonly reason: string;
}

/** Settles a unit whose newest write, in the order of the merge, is the last of its history. `standing` is what the unit is without it. */
export function settle(history: UnitHistory, standing: SyncRecord): Settlement {
  const { policy } = history.unit;
  if (policy.kind === 'merge') {
    const merged = settleByIntent(history, policy, standing);
    if (merged) return merged;
  }
  const heads = history.heads();
  const [only] = heads;
  if (only && doAgree(heads)) {
    return { value: only.after, kind: 'plain', winner: undefined, sides: heads, base: history.base, reason: '' };
  }
  const base = history.commonBase(heads);
  // Decisions of two people are themselves decided by the last write, or nobody would ever come to an end.
  if (policy.kind === 'human' && !heads.every(({ isDecision }) => isDecision)) {
    const reason = `${heads.length} writers disagree; the base stands until somebody decides`;
    return { value: base, kind: 'waiting', winner: undefined, sides: heads, base, reason };
  }
  const ranks = policy.kind === 'role' ? policy : undefined;
  const winner = heads.reduce((best, one) => (compareWrites(best, one, ranks) < 0 ? one : best));
  const reason = ranks
    ? `role ${quoted(winner.mutation.role)} of rank ${rankOf(ranks, winner.mutation.role)} prevails`
    : `the write of ${stampText(winner.mutation)} is the last${policy.kind === 'merge' ? '; the values are not of the kind to be merged' : ''}`;
  return { value: winner.after, kind: 'won', winner, sides: heads, base, reason };
}

function settleByIntent(
  history: UnitHistory,
  policy: Extract<Policy, { kind: 'merge' }>,
  standing: SyncRecord,
): Settlement | undefined {
  const write = history.writes.at(-1)!;
  const concurrent = history.concurrentWith(write.mutation);
  if (concurrent.length === 0) {
    const sides = [write];
    return { value: write.after, kind: 'plain', winner: undefined, sides, base: history.base, reason: '' };
  }
  const field = history.unit.fields![0]!;
  const value = mergeIntent(
    policy,
    fieldOf(write.before, field),
    fieldOf(write.after, field),
    fieldOf(standing, field),
  );
  if (value === undefined) return undefined;
  const reason = `what ${idOf(write.mutation)} did was done to the value that ${concurrent.length} concurrent ${concurrent.length === 1 ? 'write' : 'writes'} left`;
  const sides = [...concurrent, write];
  return { value: { [field]: value }, kind: 'merged', winner: undefined, sides, base: write.before, reason };
}

function fieldOf(record: SyncRecord, field: string): Value | undefined {
  return Object.hasOwn(record, field) ? record[field] : undefined;
}

type Ranks = Extract<Policy, { kind: 'role' }>;

function compareWrites(left: Write, right: Write, ranks: Ranks | undefined): number {
  const byRank = ranks ? rankOf(ranks, left.mutation.role) - rankOf(ranks, right.mutation.role) : 0;
  return byRank || compareMutations(left.mutation, right.mutation);
}

/** The rank of a role; 0 where the policy does not name it. */
export function rankOf({ ranks }: Pick<Ranks, 'ranks'>, role: string): number {
  return ranks.find((one) => one.role === role)?.rank ?? 0;
}

/** Why a write gave way. */
export function lossText(policy: Policy, winner: Write): string {
  return `${policyName(policy)}: ${idOf(winner.mutation)} at ${stampText(winner.mutation)} prevails`;
}

function stampText({ time, count, writer }: Mutation): string {
  return `${time}.${count} of ${writer}`;
}

function quoted(role: string): string {
  return JSON.stringify(role);
}
