import { monotonicClock } from '@syncscope/protocol/node';
import { type Clock, milliseconds } from '@syncscope/protocol/ports';

/** A clock begins so late that no skew, which is a week at most, brings it before 0. */
export const BEGINS = milliseconds(14 * 24 * 3_600_000);

/** The clock of one replica, which may be wrong. Monotonic but at the moment at which it is put back. */
export class SkewedClock implements Clock {
  readonly #start = monotonicClock.now();
  readonly #startedAt = Date.now();
  #by = 0;
  /** What it says as long as it stands still. */
  #held: number | undefined;

  /** Milliseconds since 1970 at which it began. */
  get startedAt(): number {
    return this.#startedAt;
  }

  /** Nanoseconds by which it is ahead. */
  get by(): number {
    return this.#by;
  }

  /** Stands still during `work`, so that everything in it happens at one time. */
  hold<T>(work: () => T): T {
    this.#held ??= monotonicClock.now() - this.#start;
    try {
      return work();
    } finally {
      this.#held = undefined;
    }
  }

  /** Nanoseconds by which it is ahead from now on; behind where negative, right again where 0. */
  skew(by: number): void {
    this.#by = Math.round(by);
  }

  now(): number {
    return BEGINS + this.#elapsed();
  }

  /** The same clock without what is wrong with it: a computer's timer, which goes on where its clock is set. */
  readonly timer: Clock = { now: () => BEGINS + this.#passed() };

  /** Milliseconds since 1970. */
  wallTime(): number {
    return this.#startedAt + Math.floor(this.#elapsed() / milliseconds(1));
  }

  #elapsed(): number {
    return this.#passed() + this.#by;
  }

  #passed(): number {
    return this.#held ?? monotonicClock.now() - this.#start;
  }
}
