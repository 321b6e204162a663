import { compareHybrid, type HybridStamp, VersionVector } from '../clock/index.ts';
import {
  type Amendment,
  type ConflictExplanation,
  type ConflictResolver,
  checkMutation,
  compareMutations,
  divergencesOf,
  idOf,
  type Mutation,
  type MutationOutcome,
  sameMutation,
  stampOf,
  withAmendments,
} from '../conflict/index.ts';
import { SyncError } from '../errors/index.ts';
import type { StateRoot } from '../merkle/index.ts';
import type { ReplicaId } from '../state/index.ts';
import type { MutationId } from '../trace/index.ts';

/** An agreed point of a history: everything up to it is in `root` and can no longer change. */
export interface Checkpoint {
  readonly vector: VersionVector;
  readonly root: StateRoot;
}

/** A merged stretch between two agreed points. */
interface Stretch {
  /** Mutations up to its end. */
  readonly end: number;
  readonly vector: VersionVector;
  readonly root: StateRoot;
  readonly outcomes: readonly MutationOutcome[];
  readonly conflicts: readonly ConflictExplanation[];
  readonly amendments: readonly Amendment[];
}

/**
 * All mutations that a replica knows since a checkpoint, and the state that they make. A value: what is added makes another history.
 * Two histories of the same vector have the same state, in whichever order their mutations came.
 */
export class PeerHistory {
  readonly base: Checkpoint;
  readonly vector: VersionVector;
  readonly #resolver: ConflictResolver;
  readonly #ordered: readonly Mutation[];
  readonly #known: ReadonlyMap<string, Mutation>;
  /** Merged stretches from the start on that are still right. The rest is merged when it is asked for. */
  #stretches: readonly Stretch[];

  private constructor(
    resolver: ConflictResolver,
    base: Checkpoint,
    vector: VersionVector,
    ordered: readonly Mutation[],
    known: ReadonlyMap<string, Mutation>,
    stretches: readonly Stretch[],
  ) {
    this.#resolver = resolver;
    this.base = base;
    this.vector = vector;
    this.#ordered = ordered;
    this.#known = known;
    this.#stretches = stretches;
  }

  static from(resolver: ConflictResolver, base: Checkpoint): PeerHistory {
    return new PeerHistory(resolver, base, base.vector, [], new Map(), []);
  }

  /** Mutations since the checkpoint, in the order of the merge. */
  get mutations(): readonly Mutation[] {
    return this.#ordered;
  }

  /** The state with all of them. */
  get root(): StateRoot {
    return this.#merged().at(-1)?.root ?? this.base.root;
  }

  /** What became of each mutation since the checkpoint. */
  get outcomes(): readonly MutationOutcome[] {
    return withAmendments(
      this.#merged().flatMap(({ outcomes }) => outcomes),
      this.amendments,
    );
  }

  /** What decisions made of changes that waited, some of which may be before the checkpoint. */
  get amendments(): Amendment[] {
    return this.#merged().flatMap(({ amendments }) => amendments);
  }

  get conflicts(): ConflictExplanation[] {
    return this.#merged().flatMap(({ conflicts }) => conflicts);
  }

  get(mutation: MutationId): Mutation | undefined {
    return this.#known.get(idOf(mutation));
  }

  /** What this history has and a replica of `vector` has not, in the order of the merge. */
  since(vector: VersionVector): Mutation[] {
    return this.#ordered.filter(({ writer, counter }) => counter > vector.get(writer));
  }

  /**
   * The state of the mutations that `vector` covers.
   * @throws SyncError `HISTORY_PRUNED` where it does not cover the checkpoint
   */
  at(vector: VersionVector): StateRoot {
    if (vector.covers(this.vector)) return this.root;
    if (!vector.covers(this.base.vector)) throw pruned(this.base.vector);
    const kept = this.#merged().findLast((stretch) => vector.covers(stretch.vector));
    const rest = this.#ordered.slice(kept?.end ?? 0).filter(({ writer, counter }) => counter <= vector.get(writer));
    return this.#resolver.merge(kept?.root ?? this.base.root, rest).root;
  }

  /**
   * The history with more mutations, checked one by one: those that are known are passed over.
   * @throws SyncError `MUTATION_INVALID`, `MUTATION_DIFFERS` where one is known with another body, `MUTATION_GAP` where a counter or
   *   something that its writer had seen is missing, `CLOCK_NOT_CAUSAL` where its stamp is not later than what its writer had seen,
   *   `HISTORY_CLOSED` where its writer had not seen the checkpoint. This history stays as it is
   */
  added(mutations: Iterable<Mutation>): PeerHistory {
    const fresh: Mutation[] = [];
    const known = new Map(this.#known);
    let vector = this.vector;
    for (const mutation of mutations) {
      if (mutation.counter <= vector.get(mutation.writer)) {
        checkSame(mutation, known.get(idOf(mutation)));
        continue;
      }
      checkMutation(mutation);
      this.#checkFits(mutation, vector, known);
      known.set(idOf(mutation), mutation);
      vector = vector.advance(mutation.writer, mutation.counter);
      fresh.push(mutation);
    }
    if (fresh.length === 0) return this;
    const ordered = mergeSorted(this.#ordered, fresh.sort(compareMutations));
    return new PeerHistory(this.#resolver, this.base, vector, ordered, known, this.#stillRight(fresh));
  }

  /** The history without what stands before the latest agreed point that `everybody` has; the same one where there is none. */
  pruned(everybody: VersionVector): PeerHistory {
    const merged = this.#merged();
    const at = merged.findLastIndex(({ vector }) => everybody.covers(vector));
    const last = merged[at];
    if (!last) return this;
    const ordered = this.#ordered.slice(last.end);
    const known = new Map(ordered.map((one) => [idOf(one), one]));
    const stretches = merged.slice(at + 1).map((one) => ({ ...one, end: one.end - last.end }));
    const base = { vector: last.vector, root: last.root };
    return new PeerHistory(this.#resolver, base, this.vector, ordered, known, stretches);
  }

  /** The same history, merged anew from the checkpoint. */
  rebuilt(): PeerHistory {
    return new PeerHistory(this.#resolver, this.base, this.vector, this.#ordered, this.#known, []);
  }

  /** The same mutations on another state of the checkpoint. */
  rebased(root: StateRoot): PeerHistory {
    const base = { vector: this.base.vector, root };
    return new PeerHistory(this.#resolver, base, this.vector, this.#ordered, this.#known, []);
  }

  #checkFits(mutation: Mutation, vector: VersionVector, known: ReadonlyMap<string, Mutation>): void {
    const { writer, counter } = mutation;
    const name = idOf(mutation);
    if (counter !== vector.get(writer) + 1) throw gap(name, { replica: writer, counter: counter - 1 }, vector);
    const missing = mutation.seen.find((entry) => entry.counter > vector.get(entry.replica));
    if (missing) throw gap(name, missing, vector);
    const seen = VersionVector.from([...mutation.seen, { replica: writer, counter: counter - 1 }]);
    if (!seen.covers(this.base.vector)) {
      throw new SyncError(
        'HISTORY_CLOSED',
        `${name} was made without knowledge of what everybody had agreed on; its writer must take over the state here and make it anew`,
        { origin: 'protocol' },
      );
    }
    for (const entry of seen.entries()) {
      const earlier = known.get(`${entry.replica}:${entry.counter}`);
      if (earlier) checkLater(mutation, stampOf(earlier));
    }
  }

  /** The stretches that stay as they are when `fresh` come in: those that all of them had seen, and that stand before them all. */
  #stillRight(fresh: readonly Mutation[]): readonly Stretch[] {
    const first = fresh[0]!;
    const place = placeOf(this.#ordered, first);
    const wrong = this.#stretches.findIndex(
      ({ end, vector }) => end > place || !fresh.every((one) => hasSeenAll(one, vector, this.base.vector)),
    );
    return wrong === -1 ? this.#stretches : this.#stretches.slice(0, wrong);
  }

  #merged(): readonly Stretch[] {
    const last = this.#stretches.at(-1);
    let end = last?.end ?? 0;
    if (end === this.#ordered.length) return this.#stretches;
    // The last one kept may have to grow: what comes next need not have seen it whole. It was kept only where all had.
    let { root, vector } = last ?? this.base;
    const stretches = [...this.#stretches];
    for (const divergence of divergencesOf(this.#ordered, end)) {
      const result = this.#resolver.mergeDivergence(root, this.#ordered, divergence);
      for (const { writer, counter } of this.#ordered.slice(divergence.start, divergence.end)) {
        vector = vector.advance(writer, counter);
      }
      root = result.root;
      end = divergence.end;
      stretches.push({ ...result, end, vector, root });
    }
    this.#stretches = stretches;
    return stretches;
  }
}

function mergeSorted(left: readonly Mutation[], right: readonly Mutation[]): Mutation[] {
  const last = left.at(-1);
  if (!last || compareMutations(last, right[0]!) < 0) return [...left, ...right];
  return [...left, ...right].sort(compareMutations);
}

/** Where a mutation would stand. */
function placeOf(ordered: readonly Mutation[], mutation: Mutation): number {
  const after = ordered.findIndex((one) => compareMutations(one, mutation) > 0);
  return after === -1 ? ordered.length : after;
}

function hasSeenAll(mutation: Mutation, vector: VersionVector, base: VersionVector): boolean {
  return vector.since(base).every(({ replica, counter }) => {
    if (replica === mutation.writer) return mutation.counter > counter;
    return (mutation.seen.find((entry) => entry.replica === replica)?.counter ?? 0) >= counter;
  });
}

function checkSame(mutation: Mutation, known: Mutation | undefined): void {
  if (known === undefined || sameMutation(known, mutation)) return;
  throw new SyncError(
    'MUTATION_DIFFERS',
    `mutation ${idOf(mutation)} is known here with other contents; a writer that starts again takes a new id`,
    { origin: 'protocol' },
  );
}

function checkLater(mutation: Mutation, seen: HybridStamp): void {
  if (compareHybrid(stampOf(mutation), seen) > 0) return;
  throw new SyncError(
    'CLOCK_NOT_CAUSAL',
    `mutation ${idOf(mutation)} is stamped ${mutation.time}.${mutation.count}, not after ${seen.time}.${seen.count} of ${seen.replica}, which its writer had seen`,
    { origin: 'protocol' },
  );
}

function gap(name: string, missing: { replica: ReplicaId; counter: number }, vector: VersionVector): SyncError {
  return new SyncError(
    'MUTATION_GAP',
    `mutation ${name} follows upon ${missing.replica}:${missing.counter}, and only ${vector.get(missing.replica)} of ${missing.replica} came; ask for the rest`,
    { origin: 'protocol', retry: 'now' },
  );
}

function pruned(base: VersionVector): SyncError {
  const until = base.entries().map(({ replica, counter }) => `${replica}:${counter}`);
  return new SyncError('HISTORY_PRUNED', `the history up to ${until.join(' ')} is gone; take over the state instead`, {
    origin: 'state',
  });
}
