import { SyncError } from '../errors/index.ts';
import { type ObjectSchema, object, uint } from '../schema/index.ts';
import { type ReplicaId, replicaIdSchema } from '../state/index.ts';

/** A moment of a {@link LamportClock}: what happened later has a higher counter; equal counters are told apart by writer. */
export interface LamportStamp {
  readonly counter: number;
  readonly replica: ReplicaId;
}

export const lamportStampSchema: ObjectSchema<LamportStamp> = object({ counter: uint, replica: replicaIdSchema });

/** How far one received stamp may move a clock: a liar must not be able to use the counters up. */
const MAX_LEAP = 2 ** 40;

/**
 * Lamport's logical clock (Time, Clocks, and the Ordering of Events in a Distributed System, 1978): if one stamp
 * made another possible it is the lower one. The reverse does not hold; where concurrency must be seen, take a
 * {@link VersionVector}.
 */
export class LamportClock {
  readonly replica: ReplicaId;
  #counter: number;

  /** @param counter the highest stamp that was made or seen before, as saved */
  constructor(replica: ReplicaId, counter = 0) {
    this.replica = replica;
    this.#counter = counter;
  }

  /** The highest counter made or seen: what to save. */
  get counter(): number {
    return this.#counter;
  }

  /** A stamp later than everything made or seen here. @throws SyncError `CLOCK_EXHAUSTED` at 2^53 - 1 */
  tick(): LamportStamp {
    if (this.#counter >= Number.MAX_SAFE_INTEGER) {
      throw new SyncError('CLOCK_EXHAUSTED', 'the Lamport clock has no counter left', { origin: 'state' });
    }
    return { counter: ++this.#counter, replica: this.replica };
  }

  /**
   * Has seen a stamp of another replica.
   * @throws SyncError `CLOCK_TOO_FAR_AHEAD` where it leaps by more than 2^40, or is no counter; the clock stays
   */
  observe(stamp: LamportStamp): void {
    if (!Number.isSafeInteger(stamp.counter) || stamp.counter < 0 || stamp.counter - this.#counter > MAX_LEAP) {
      throw new SyncError(
        'CLOCK_TOO_FAR_AHEAD',
        `${stamp.replica} stamps ${stamp.counter}, far from ${this.#counter} here; no honest clock gets there`,
        { origin: 'protocol' },
      );
    }
    this.#counter = Math.max(this.#counter, stamp.counter);
  }
}

/** A total order: by counter, then by writer. Negative where `left` is earlier, 0 only for the same stamp. */
export function compareLamport(left: LamportStamp, right: LamportStamp): number {
  if (left.counter !== right.counter) return left.counter - right.counter;
  if (left.replica === right.replica) return 0;
  return left.replica < right.replica ? -1 : 1;
}
