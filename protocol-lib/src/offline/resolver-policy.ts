import {
  CONFLICT_COLLECTION,
  type ConflictExplanation,
  type ConflictResolver,
  draftMutation,
  type Mutation,
} from '../conflict/index.ts';
import { changesBetween, StateRoot, sameRecord } from '../merkle/index.ts';
import type { Touched } from '../messages/index.ts';
import type { RecordKey, ReplicaId, SyncRecord } from '../state/index.ts';
import type { ConflictDecision, ConflictPolicy, WriteConflict } from './conflicts.ts';

/** A writer of one of two sides, and the role that it acts in; an empty one where it has none. */
export interface SideWriter {
  readonly writer: ReplicaId;
  /** From 1. */
  readonly counter: number;
  readonly role: string;
}

/** Two versions of a record that were made of one base, without knowledge of each other. */
export interface TwoSides {
  readonly key: RecordKey;
  readonly base: SyncRecord | null;
  /** As the authority has it: the earlier side. */
  readonly theirs: SyncRecord | null;
  /** As it came later. */
  readonly mine: SyncRecord | null;
}

/** What the policies of a {@link ConflictResolver} make of two sides. */
export interface ResolvedSides {
  readonly record: SyncRecord | null;
  /** Conflicts that wait for a human now, under their keys (`conflict/…`). */
  readonly waiting: readonly Touched[];
  readonly explanations: readonly ConflictExplanation[];
}

/**
 * Merges two sides as peers would: each field or atomic group by its own policy, `theirs` as the earlier write and `mine` as the later one.
 * Pure: the same sides, writers and policies give the same result anywhere. A policy `domain` has no say here: with an authority its
 * rule is the command itself, so the later side stands.
 */
export function resolveSides(
  resolver: ConflictResolver,
  { key, base, theirs, mine }: TwoSides,
  writers: { readonly theirs: SideWriter; readonly mine: SideWriter },
): ResolvedSides {
  const from = rootOf(key, base);
  const mutations = [
    sideMutation(resolver, from, rootOf(key, theirs), writers.theirs, 1),
    sideMutation(resolver, from, rootOf(key, mine), writers.mine, 2),
  ];
  const { root, conflicts } = resolver.merge(from, mutations);
  const waiting = Array.from(root.entries(CONFLICT_COLLECTION), ([id, record]) => ({ key: id, record }));
  return { record: root.get(key) ?? null, waiting, explanations: conflicts };
}

function rootOf(key: RecordKey, record: SyncRecord | null): StateRoot {
  return StateRoot.from(record === null ? [] : [[key, record]]);
}

function sideMutation(
  { policies }: ConflictResolver,
  from: StateRoot,
  to: StateRoot,
  { writer, counter, role }: SideWriter,
  time: number,
): Mutation {
  const stamp = { time, count: 0, replica: writer };
  const changes = changesBetween(from, to);
  return draftMutation(policies, { state: from, stamp, counter, seen: [], role, command: '', args: null, changes });
}

export interface ResolverPolicyOptions {
  readonly resolver: ConflictResolver;
  /** Who wrote the two sides; they must be two. */
  readonly writersOf: (conflict: WriteConflict) => { readonly theirs: SideWriter; readonly mine: SideWriter };
}

/**
 * The policies of a {@link ConflictResolver} for a `Reconciler`. What waits for a human is part of the merge, as records of the queue, so that
 * the rest of a mutation is not held up by it: `writeMerged`, which is needed, writes both. Where the policies have atomic groups, give the
 * `Reconciler` the same ones as `groups`.
 */
export function resolverPolicies({ resolver, writersOf }: ResolverPolicyOptions): (key: RecordKey) => ConflictPolicy {
  const policy: ConflictPolicy = {
    name: 'policies',
    decide: (conflict) => decisionOf(conflict, resolveSides(resolver, conflict, writersOf(conflict))),
  };
  return (key) => {
    const domain = resolver.policies.domainOf(key);
    return domain ? commandDecides(`${domain.rule}@${domain.version}`) : policy;
  };
}

function commandDecides(name: string): ConflictPolicy {
  return { name, decide: () => ({ winner: 'mine', reason: 'the rule of the command decides on the present state' }) };
}

/** Never `mine`: run again on the present state, a command could leave a group with fields of both writers. */
function decisionOf({ theirs }: WriteConflict, { record, waiting, explanations }: ResolvedSides): ConflictDecision {
  const policy = [...new Set(explanations.map((one) => one.policy))].join(', ') || 'policies';
  const reason = explanations.map(({ part, reason: why }) => `${part}: ${why}`).join('; ') || 'nobody disagrees';
  if (waiting.length === 0 && isSame(record, theirs)) return { winner: 'theirs', reason, policy };
  return { winner: 'merged', record, reason, policy, waiting };
}

function isSame(left: SyncRecord | null, right: SyncRecord | null): boolean {
  return left === null || right === null ? left === right : sameRecord(left, right);
}
