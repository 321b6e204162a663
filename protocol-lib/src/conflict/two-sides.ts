import { changesBetween, StateRoot } from '../merkle/index.ts';
import type { RecordKey, ReplicaId, SyncRecord } from '../state/index.ts';
import { draftMutation } from './draft.ts';
import type { Mutation } from './mutation.ts';
import type { ConflictExplanation } from './outcome.ts';
import type { ConflictResolver } from './resolver.ts';
import { CONFLICT_COLLECTION } from './waiting.ts';

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
  readonly waiting: readonly { readonly key: RecordKey; readonly record: SyncRecord | null }[];
  readonly explanations: readonly ConflictExplanation[];
}

/**
 * Merges two sides as peers would: each field or atomic group by its own policy, `theirs` as the earlier write and `mine` as the later one.
 * Pure: the same sides, writers and policies give the same result anywhere. A policy `domain` has no say here, since nothing tells which
 * command made a side: the later side stands.
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
