import { VersionVector, vectorFromOutside } from '../clock/index.ts';
import { hasSeen, type Mutation } from '../conflict/index.ts';
import { SyncError } from '../errors/index.ts';
import type { BodyOf, MessageOf } from '../messages/index.ts';
import type { ReplicaId, StateHash } from '../state/index.ts';
import type { StatedBase } from './divergence.ts';
import type { PeerHistory } from './history.ts';

/** Where another member said that it stands. */
export interface PeerStanding {
  readonly vector: VersionVector;
  readonly root: StateHash;
  readonly base: StatedBase;
}

/** @throws SyncError `VECTOR_INVALID` */
export function standingOf(status: MessageOf<'PEER_STATUS'>): PeerStanding {
  const base = { vector: vectorFromOutside(status.base), root: status.baseRoot };
  return { vector: vectorFromOutside(status.vector), root: status.root, base };
}

/** What a member at `theirs` lacks, at most `limit` of it; undefined where it lacks nothing, or what it lacks is no longer kept. */
export function missingChanges(
  history: PeerHistory,
  theirs: VersionVector,
  limit: number,
): BodyOf<'PEER_CHANGES'> | undefined {
  if (!theirs.covers(history.base.vector)) return undefined;
  const mutations = history.since(theirs).slice(0, limit);
  if (mutations.length === 0) return undefined;
  const from = theirs.meet(history.vector);
  const to = VersionVector.from([
    ...from.entries(),
    ...mutations.map(({ writer, counter }) => ({ replica: writer, counter })),
  ]);
  return { type: 'PEER_CHANGES', from: from.entries(), to: to.entries(), root: history.at(to).hash, mutations };
}

/** Changes from another member, as far as they can be checked without a history. */
export interface CheckedChanges {
  readonly from: VersionVector;
  readonly to: VersionVector;
  readonly root: StateHash;
  readonly mutations: readonly Mutation[];
}

/**
 * @throws SyncError `VECTOR_INVALID`, `PEER_STRANGER` for a writer who is no member, `CHANGES_INVALID` where the mutations do not lead from the
 *   one vector to the other without a gap
 */
export function checkChanges(body: BodyOf<'PEER_CHANGES'>, members: ReadonlySet<ReplicaId>): CheckedChanges {
  const from = vectorFromOutside(body.from);
  const to = vectorFromOutside(body.to);
  let reached = from;
  for (const mutation of body.mutations) {
    const { writer, counter, seen } = mutation;
    if (!members.has(writer)) {
      throw new SyncError('PEER_STRANGER', `${writer} is no member of the group, and cannot have written anything`, {
        origin: 'protocol',
      });
    }
    if (counter !== reached.get(writer) + 1) throw invalid(`${writer}:${counter} follows upon ${reached.get(writer)}`);
    const missing = seen.find((entry) => entry.counter > reached.get(entry.replica));
    if (missing) throw invalid(`${writer}:${counter} comes before ${missing.replica}:${missing.counter}, its cause`);
    reached = reached.advance(writer, counter);
  }
  if (reached.compare(to) !== 'equal') throw invalid('they do not lead to where they say');
  return { from, to, root: body.root, mutations: body.mutations };
}

/** The history with the changes, after everything was checked. @throws SyncError as `PeerHistory.added`, `ROOT_DIFFERS` where they lead to another state */
export function withChanges(history: PeerHistory, changes: CheckedChanges): PeerHistory {
  const next = history.added(changes.mutations);
  // Where their state is older than our checkpoint, there is nothing left to compare it with.
  if (!changes.to.covers(next.base.vector)) return next;
  const { hash } = next.at(changes.to);
  if (hash === changes.root) return next;
  throw new SyncError(
    'ROOT_DIFFERS',
    `the changes lead to the root ${hash} here, and to ${changes.root} at their sender`,
    {
      origin: 'protocol',
      retry: 'backoff',
    },
  );
}

function invalid(what: string): SyncError {
  return new SyncError('CHANGES_INVALID', `changes of a peer: ${what}; all of them are refused`, {
    origin: 'protocol',
  });
}

/**
 * What every member is known to have, so that nothing concurrent with it can still come: the lowest of the vectors that they stated, each
 * counted only once all that its sender had written by then is here.
 */
export class Stability {
  readonly #known = new Map<ReplicaId, VersionVector>();

  constructor(others: Iterable<ReplicaId>) {
    for (const member of others) this.#known.set(member, VersionVector.empty);
  }

  /** `own` is what is known here. */
  heard(member: ReplicaId, stated: VersionVector, own: VersionVector): void {
    const before = this.#known.get(member);
    if (!before || stated.get(member) > own.get(member) || !stated.covers(before)) return;
    this.#known.set(member, stated);
  }

  /** Of a member, what it is known to have. */
  of(member: ReplicaId): VersionVector {
    return this.#known.get(member) ?? VersionVector.empty;
  }

  everybody(own: VersionVector): VersionVector {
    return [...this.#known.values()].reduce((least, one) => least.meet(one), own);
  }

  /**
   * What a majority of the members is known to have, ourselves included. Causally closed: whoever has a mutation has all that its
   * writer had seen.
   */
  majority(own: VersionVector): VersionVector {
    const all = [own, ...this.#known.values()];
    const needed = Math.floor(all.length / 2) + 1;
    return VersionVector.from(
      own.entries().map(({ replica, counter }) => {
        const counters = all.map((one) => Math.min(counter, one.get(replica))).sort((a, b) => b - a);
        return { replica, counter: counters[needed - 1]! };
      }),
    );
  }
}

/** Whether a mutation's writer had seen all that `vector` covers. */
export function knewOf(mutation: Mutation, vector: VersionVector): boolean {
  return vector.entries().every(({ replica, counter }) => hasSeen(mutation, { writer: replica, counter }));
}
