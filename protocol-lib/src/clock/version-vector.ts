import { array, object, type Schema, uint } from '../schema/index.ts';
import { type ReplicaId, replicaIdSchema } from '../state/index.ts';

/** How two vectors relate: `before` where the first has seen strictly less, `concurrent` where each has seen what the other has not. */
export type VectorOrder = 'before' | 'after' | 'equal' | 'concurrent';

/** One writer and how many of its mutations were seen. */
export interface VectorEntry {
  readonly replica: ReplicaId;
  readonly counter: number;
}

/** The entries of a vector as a message carries them. */
export const vectorEntriesSchema: Schema<VectorEntry[]> = array(
  object({ replica: replicaIdSchema, counter: uint }),
  65_535,
);

/**
 * How many mutations of each writer a replica has seen. A writer that is not named counts 0, so an entry
 * of 0 is never kept and equal vectors have equal entries. A value: every change answers another vector,
 * or the same one where nothing changes.
 */
export class VersionVector {
  static readonly empty: VersionVector = new VersionVector(new Map());

  readonly #counters: ReadonlyMap<ReplicaId, number>;

  private constructor(counters: ReadonlyMap<ReplicaId, number>) {
    this.#counters = counters;
  }

  /**
   * From validated entries (`vectorSchema` of the trace model) in any order; the highest counter of a writer counts.
   * @throws RangeError where a counter is not an integer from 0 to 2^53 - 1
   */
  static from(entries: Iterable<VectorEntry>): VersionVector {
    const counters = new Map<ReplicaId, number>();
    for (const { replica, counter } of entries) raise(counters, replica, counter);
    return counters.size === 0 ? VersionVector.empty : new VersionVector(counters);
  }

  /** Writers of which anything was seen. */
  get size(): number {
    return this.#counters.size;
  }

  /** Mutations of `replica` that were seen; 0 where none. */
  get(replica: ReplicaId): number {
    return this.#counters.get(replica) ?? 0;
  }

  /**
   * Has also seen the mutations of `replica` up to `counter`, by default one more. A lower counter changes nothing.
   * @throws RangeError where `counter` is not an integer from 0 to 2^53 - 1
   */
  advance(replica: ReplicaId, counter: number = this.get(replica) + 1): VersionVector {
    checkCounter(counter);
    if (counter <= this.get(replica)) return this;
    return new VersionVector(new Map(this.#counters).set(replica, counter));
  }

  /** Has seen what either has seen: the least upper bound. */
  merge(other: VersionVector): VersionVector {
    if (other.size === 0 || other === this) return this;
    let merged: Map<ReplicaId, number> | undefined;
    for (const [replica, counter] of other.#counters) {
      if (counter <= this.get(replica)) continue;
      merged ??= new Map(this.#counters);
      merged.set(replica, counter);
    }
    return merged ? new VersionVector(merged) : this;
  }

  /** {@link merge} with the entries of a message. */
  mergeEntries(entries: Iterable<VectorEntry>): VersionVector {
    return this.merge(VersionVector.from(entries));
  }

  /** What this vector is to `other`: `before` means that it has seen less. */
  compare(other: VersionVector): VectorOrder {
    const less = someGreater(other.#counters, this);
    const more = someGreater(this.#counters, other);
    if (less) return more ? 'concurrent' : 'before';
    return more ? 'after' : 'equal';
  }

  /** Writers and counters, ascending by writer, as messages and trace records carry them. */
  entries(): VectorEntry[] {
    const entries = Array.from(this.#counters, ([replica, counter]) => ({ replica, counter }));
    return entries.sort((a, b) => (a.replica < b.replica ? -1 : 1));
  }
}

function someGreater(counters: ReadonlyMap<ReplicaId, number>, than: VersionVector): boolean {
  for (const [replica, counter] of counters) {
    if (counter > than.get(replica)) return true;
  }
  return false;
}

function raise(counters: Map<ReplicaId, number>, replica: ReplicaId, counter: number): void {
  checkCounter(counter);
  if (counter > (counters.get(replica) ?? 0)) counters.set(replica, counter);
}

function checkCounter(counter: number): void {
  if (!Number.isSafeInteger(counter) || counter < 0) {
    throw new RangeError(`a counter is an integer from 0 to 2^53 - 1, not ${counter}`);
  }
}
