import type { Random } from '../ports/index.ts';

/** Milliseconds. */
export interface BackoffLimits {
  /** The first wait is drawn from 0 to this. */
  readonly base: number;
  /** No wait is longer. */
  readonly max: number;
}

export const BACKOFF_DEFAULTS: BackoffLimits = { base: 500, max: 30_000 };

/**
 * Exponential backoff with full jitter: the wait after the nth failure in a row is drawn evenly from 0 to `base · 2^(n-1)`, at most
 * `max`, so that many devices that lost one server do not come back together (M. Brooker, "Exponential Backoff And Jitter", 2015).
 */
export class Backoff {
  readonly #limits: BackoffLimits;
  readonly #random: Random;
  #failures = 0;
  #until = 0;

  /** @throws RangeError where a limit is not a positive number, or the first exceeds the last */
  constructor(random: Random, limits: BackoffLimits = BACKOFF_DEFAULTS) {
    const isRight = limits.base > 0 && limits.max >= limits.base && Number.isFinite(limits.max);
    if (!isRight) throw new RangeError(`a backoff from ${limits.base} to ${limits.max} ms is none`);
    this.#limits = limits;
    this.#random = random;
  }

  /** Failures in a row. */
  get failures(): number {
    return this.#failures;
  }

  /** The longest that is waited after so many failures in a row. */
  ceiling(failures: number): number {
    return failures === 0 ? 0 : Math.min(this.#limits.max, this.#limits.base * 2 ** (failures - 1));
  }

  /** Milliseconds until the next try at `now`; 0 where it is due. A clock that was set back makes nobody wait longer than `max`. */
  remaining(now: number): number {
    const left = this.#until - now;
    return left > this.#limits.max ? 0 : Math.max(0, left);
  }

  failed(now: number): void {
    this.#failures++;
    this.#until = now + Math.ceil(this.#random.next() * this.ceiling(this.#failures));
  }

  /** It worked. */
  reset(): void {
    this.#failures = 0;
    this.#until = 0;
  }

  /** There is reason to try at once, such as a network that came back; what failed so far still counts. */
  wake(): void {
    this.#until = 0;
  }
}
