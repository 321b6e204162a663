import { SyncError } from '../errors/index.ts';
import { array, object, type Schema, uint } from '../schema/index.ts';
import { type ReplicaId, replicaIdSchema } from '../state/index.ts';
import { type CounterRow, compareRows, counterAt, makeRow, valuesOf, withCounter } from './counter-row.ts';
import { RetiredWriters } from './retired-writers.ts';

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
 *
 * Inside are two rows side by side, writers ascending and their counters. Vectors of one session soon
 * share the array of writers, and comparing them is then a walk over numbers.
 */
export class VersionVector {
  static readonly empty: VersionVector = new VersionVector([], makeRow([]), RetiredWriters.none);

  /** Replaced only by an equal array, so that vectors come to share one. */
  #writers: readonly ReplicaId[];
  readonly #counters: CounterRow;
  /** Writers without an entry of their own here count as this says. */
  readonly #retired: RetiredWriters;

  private constructor(writers: readonly ReplicaId[], counters: CounterRow, retired: RetiredWriters) {
    this.#writers = writers;
    this.#counters = counters;
    this.#retired = retired;
  }

  /**
   * From validated entries (`vectorSchema` of the trace model) in any order; the highest counter of a writer counts.
   * @throws RangeError where a counter is not an integer from 0 to 2^53 - 1
   */
  static from(entries: Iterable<VectorEntry>): VersionVector {
    return vectorOf(entries, RetiredWriters.none, false);
  }

  /** Made by {@link vectorOf}. @internal */
  static ofSorted(writers: ReplicaId[], counters: number[], retired: RetiredWriters): VersionVector {
    if (writers.length === 0 && retired.size === 0) return VersionVector.empty;
    return new VersionVector(writers, makeRow(counters), retired);
  }

  /** Writers of which anything was seen, retired ones included. */
  get size(): number {
    return this.#retired.size === 0 ? this.#writers.length : this.entries().length;
  }

  /** Writers that take room here: {@link size} without those that {@link prune} took out. */
  get width(): number {
    return this.#writers.length;
  }

  /** What was pruned from it. */
  get retired(): RetiredWriters {
    return this.#retired;
  }

  /** Mutations of `replica` that were seen; 0 where none. */
  get(replica: ReplicaId): number {
    const place = placeOf(this.#writers, replica);
    return this.#writers[place] === replica ? counterAt(this.#counters, place) : this.#retired.get(replica);
  }

  /**
   * Has also seen the mutations of `replica` up to `counter`, by default one more. A lower counter changes nothing.
   * @throws RangeError where `counter` is not an integer from 0 to 2^53 - 1
   * @throws SyncError `VECTOR_RETIRED` where the writer has retired with fewer
   */
  advance(replica: ReplicaId, counter?: number): VersionVector {
    const place = placeOf(this.#writers, replica);
    const isHere = this.#writers[place] === replica;
    const before = isHere ? counterAt(this.#counters, place) : this.#retired.get(replica);
    const after = counter ?? before + 1;
    checkCounter(after);
    if (after <= before) return this;
    if (this.#retired.get(replica) > 0) {
      return vectorOf([...this.ownEntries(), { replica, counter: after }], this.#retired, false);
    }
    if (isHere) return new VersionVector(this.#writers, withCounter(this.#counters, place, after), this.#retired);
    const counters = valuesOf(this.#counters).toSpliced(place, 0, after);
    return new VersionVector(this.#writers.toSpliced(place, 0, replica), makeRow(counters), this.#retired);
  }

  /** Has seen what either has seen: the least upper bound. @throws SyncError `VECTOR_RETIRED` as {@link prune} */
  merge(other: VersionVector): VersionVector {
    if (other === this || (other.width === 0 && other.#retired.size === 0)) return this;
    const order = this.compare(other);
    const retired = this.#retired.union(other.#retired);
    if (order === 'equal' || order === 'after') return this.#pruned(retired);
    if (order === 'before') return other.#pruned(retired);
    return vectorOf([...this.entries(), ...other.entries()], RetiredWriters.none, false).#pruned(retired);
  }

  /** {@link merge} with the entries of a message. */
  mergeEntries(entries: Iterable<VectorEntry>): VersionVector {
    return this.merge(VersionVector.from(entries));
  }

  /** What this vector is to `other`: `before` means that it has seen less. */
  compare(other: VersionVector): VectorOrder {
    if (this.#writers !== other.#writers || this.#retired !== other.#retired) {
      if (this.#retired !== other.#retired) return this.#compareEntries(other);
      if (!sameWriters(this.#writers, other.#writers)) return this.#compareEntries(other);
      other.#writers = this.#writers;
    }
    return compareRows(this.#counters, other.#counters);
  }

  /** Whether everything that `other` has seen was seen here. */
  covers(other: VersionVector): boolean {
    const order = this.compare(other);
    return order === 'equal' || order === 'after';
  }

  /** Has seen only what both have seen: the greatest lower bound. */
  meet(other: VersionVector): VersionVector {
    if (other === this) return this;
    return VersionVector.from(
      this.entries().map(({ replica, counter }) => ({ replica, counter: Math.min(counter, other.get(replica)) })),
    );
  }

  /**
   * The same vector without room for writers that have left for good. Order is not lost: a pruned vector still
   * counts them, and compares with one that was not pruned, or pruned less, as if nothing had been pruned. A
   * writer of which this vector has not seen everything keeps its entry until it has.
   * @throws SyncError `VECTOR_RETIRED` where more was seen of a writer than it is said to have written
   */
  prune(retired: RetiredWriters): VersionVector {
    return this.#pruned(this.#retired.union(retired));
  }

  /** The entries in which this vector is ahead of `base`: merged into `base` they make at least this vector. */
  since(base: VersionVector): VectorEntry[] {
    return this.entries().filter(({ replica, counter }) => counter > base.get(replica));
  }

  /** Writers and counters, ascending by writer, retired ones included, as messages and trace records carry them. */
  entries(): VectorEntry[] {
    const entries: VectorEntry[] = [];
    for (let place = 0; place < this.#writers.length; place++) {
      const counter = counterAt(this.#counters, place);
      if (counter > 0) entries.push({ replica: this.#writers[place]!, counter });
    }
    if (this.#retired.size === 0) return entries;
    for (const entry of this.#retired.entries()) {
      if (this.#writers[placeOf(this.#writers, entry.replica)] !== entry.replica) entries.push(entry);
    }
    return entries.sort((a, b) => (a.replica < b.replica ? -1 : 1));
  }

  /** The entries that take room: those of writers that have not retired, or of which not everything was seen (then also 0). */
  ownEntries(): VectorEntry[] {
    return this.#writers.map((replica, place) => ({ replica, counter: counterAt(this.#counters, place) }));
  }

  #pruned(retired: RetiredWriters): VersionVector {
    return retired === this.#retired ? this : vectorOf(this.entries(), retired, true);
  }

  #compareEntries(other: VersionVector): VectorOrder {
    const less = other.entries().some(({ replica, counter }) => counter > this.get(replica));
    const more = this.entries().some(({ replica, counter }) => counter > other.get(replica));
    if (less) return more ? 'concurrent' : 'before';
    return more ? 'after' : 'equal';
  }
}

/**
 * A vector of these entries over what `retired` says. Where `isWhole`, a retired writer without an entry counts 0;
 * otherwise it counts as retired.
 */
export function vectorOf(entries: Iterable<VectorEntry>, retired: RetiredWriters, isWhole: boolean): VersionVector {
  const counters = new Map<ReplicaId, number>();
  if (isWhole) for (const { replica } of retired.entries()) counters.set(replica, 0);
  for (const { replica, counter } of entries) {
    checkCounter(counter);
    retired.check(replica, counter);
    counters.set(replica, Math.max(counter, counters.get(replica) ?? 0));
  }
  const kept = [...counters].filter(([replica, counter]) => counter !== retired.get(replica));
  kept.sort(([a], [b]) => (a < b ? -1 : 1));
  // Pushed, not mapped: an engine goes through an array that never had holes much faster.
  const writers: ReplicaId[] = [];
  const values: number[] = [];
  for (const [replica, counter] of kept) {
    writers.push(replica);
    values.push(counter);
  }
  return VersionVector.ofSorted(writers, values, retired);
}

/** Where a writer is, or would be. */
function placeOf(writers: readonly ReplicaId[], replica: ReplicaId): number {
  let low = 0;
  let high = writers.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (writers[middle]! < replica) low = middle + 1;
    else high = middle;
  }
  return low;
}

function sameWriters(left: readonly ReplicaId[], right: readonly ReplicaId[]): boolean {
  if (left.length !== right.length) return false;
  for (let place = 0; place < left.length; place++) if (left[place] !== right[place]) return false;
  return true;
}

function checkCounter(counter: number): void {
  if (!Number.isSafeInteger(counter) || counter < 0) {
    throw new RangeError(`a counter is an integer from 0 to 2^53 - 1, not ${counter}`);
  }
}

/** @throws SyncError `VECTOR_INVALID` where a counter from outside is none; otherwise as {@link VersionVector.from} */
export function vectorFromOutside(entries: Iterable<VectorEntry>): VersionVector {
  try {
    return VersionVector.from(entries);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new SyncError('VECTOR_INVALID', `version vector: ${cause.message}`, { origin: 'protocol', cause });
  }
}
