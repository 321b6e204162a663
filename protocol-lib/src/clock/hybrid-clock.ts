import { SyncError } from '../errors/index.ts';
import { type ObjectSchema, object, uint } from '../schema/index.ts';
import { type ReplicaId, replicaIdSchema } from '../state/index.ts';

/** A moment of a {@link HybridClock}. */
export interface HybridStamp {
  /** Milliseconds of wall time since 1970, never less than any stamp that was seen before this one was made. */
  readonly time: number;
  /** Tells stamps of one `time` apart. */
  readonly count: number;
  readonly replica: ReplicaId;
}

export const hybridStampSchema: ObjectSchema<HybridStamp> = object({
  time: uint,
  count: uint,
  replica: replicaIdSchema,
});

/** What a clock must not forget over a restart, or it could make a stamp twice. */
export interface HybridClockState {
  readonly time: number;
  readonly count: number;
}

/** How far, in milliseconds, a stamp of another replica may be ahead of our own wall clock. */
export const DEFAULT_MAX_DRIFT = 60_000;

const MAX_COUNT = 2 ** 32;

/**
 * Hybrid logical clock (Kulkarni, Demirbas et al., Logical Physical Clocks, 2014): close to wall time, yet a stamp is
 * always later than every stamp seen before it, on whichever machine and however its wall clock is set. Plain wall
 * clocks a second apart put one in six elements of a last-writer-wins set wrong; here a writer that has seen a write
 * overrides it, and only concurrent writes are decided by wall time, then by writer.
 *
 * A stamp from too far in the future is refused, since accepting it would pull every replica's clock there for ever.
 * The wall time comes in as an argument, in milliseconds since 1970, and may step back.
 */
export class HybridClock {
  readonly replica: ReplicaId;
  readonly maxDrift: number;
  #time: number;
  #count: number;

  /** @param options `maxDrift` in milliseconds, {@link DEFAULT_MAX_DRIFT} by default; `saved` from {@link HybridClock.state} */
  constructor(replica: ReplicaId, options: { maxDrift?: number; saved?: HybridClockState } = {}) {
    this.replica = replica;
    this.maxDrift = options.maxDrift ?? DEFAULT_MAX_DRIFT;
    this.#time = options.saved?.time ?? 0;
    this.#count = options.saved?.count ?? 0;
  }

  get state(): HybridClockState {
    return { time: this.#time, count: this.#count };
  }

  /** A stamp later than everything made or seen here. @throws RangeError where `now` is not an integer of milliseconds from 0 */
  tick(now: number): HybridStamp {
    checkNow(now);
    this.#move(Math.max(now, this.#time), this.#time, this.#count);
    return { time: this.#time, count: this.#count, replica: this.replica };
  }

  /**
   * Has seen a stamp of another replica: stamps made from now on are later than it.
   * @throws SyncError `CLOCK_TOO_FAR_AHEAD` where it is more than `maxDrift` ahead of `now`, `CLOCK_INVALID` where it is no
   * stamp; the clock stays as it was
   * @throws RangeError where `now` is not an integer of milliseconds from 0
   */
  observe(stamp: HybridStamp, now: number): void {
    checkNow(now);
    if (!isUint(stamp.time) || !isUint(stamp.count) || stamp.count >= MAX_COUNT) {
      throw new SyncError(
        'CLOCK_INVALID',
        `${stamp.replica} sent the stamp ${stamp.time}.${stamp.count}, which is none`,
        {
          origin: 'protocol',
        },
      );
    }
    if (stamp.time - now > this.maxDrift) {
      throw new SyncError(
        'CLOCK_TOO_FAR_AHEAD',
        `${stamp.replica} stamps ${stamp.time - now} ms ahead of the clock here, ${this.maxDrift} ms are allowed; set its clock, or ours`,
        { origin: 'protocol', retry: 'backoff' },
      );
    }
    if (stamp.time > this.#time || (stamp.time === this.#time && stamp.count > this.#count)) {
      this.#time = stamp.time;
      this.#count = stamp.count;
    }
  }

  #move(time: number, seenTime: number, seenCount: number): void {
    const isLater = time > seenTime;
    const isFull = !isLater && seenCount + 1 >= MAX_COUNT;
    this.#time = isFull ? time + 1 : time;
    this.#count = isLater || isFull ? 0 : seenCount + 1;
  }
}

/** A total order: by time, then count, then writer. Negative where `left` is earlier, 0 only for the same stamp. */
export function compareHybrid(left: HybridStamp, right: HybridStamp): number {
  if (left.time !== right.time) return left.time - right.time;
  if (left.count !== right.count) return left.count - right.count;
  if (left.replica === right.replica) return 0;
  return left.replica < right.replica ? -1 : 1;
}

function isUint(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function checkNow(now: number): void {
  if (!isUint(now)) throw new RangeError(`now is an integer of milliseconds since 1970, not ${now}`);
}
