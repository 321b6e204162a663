const MS_NS = 1_000_000;

/**
 * Calls back once at the earliest of the times that it was set to since it last did, in nanoseconds of its clock. Waking up costs a process more than
 * most of what it then does, so there is one timer, and none while nothing is due.
 */
export class Alarm {
  readonly #now: () => number;
  readonly #ring: () => void;
  #at = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #immediate: NodeJS.Immediate | undefined;

  constructor(now: () => number, ring: () => void) {
    this.#now = now;
    this.#ring = ring;
  }

  /** Rings at this time, unless it rings sooner. Where the time is over, at the end of this turn of the event loop. */
  set(at: number): void {
    if (at >= this.#at) return;
    this.clear();
    this.#at = at;
    const wait = at - this.#now();
    if (wait <= 0) this.#immediate = setImmediate(() => this.#rings());
    // A timer counts whole milliseconds and may come up to one early: then nothing would be due yet.
    else this.#timer = setTimeout(() => this.#rings(), Math.floor(wait / MS_NS) + 1);
  }

  clear(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#immediate);
    this.#timer = undefined;
    this.#immediate = undefined;
    this.#at = Number.POSITIVE_INFINITY;
  }

  #rings(): void {
    this.#timer = undefined;
    this.#immediate = undefined;
    this.#at = Number.POSITIVE_INFINITY;
    this.#ring();
  }
}
