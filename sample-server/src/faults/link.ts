/** How slow a link is for the next frame, in milliseconds, and whether it loses it. */
export interface LinkFate {
  readonly delay: number;
  readonly isLost: boolean;
}

export interface Timing {
  /** Calls back after `delay` milliseconds. */
  readonly later: (delay: number, action: () => void) => void;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
}

/**
 * One direction of one connection. Frames come out in the order in which they went in, later where the
 * link is slow, and not at all where it loses them; a slow frame holds up those behind it, as on a stream.
 */
export class FaultyLink {
  readonly #timing: Timing;
  readonly #fate: (frame: Uint8Array) => LinkFate;
  readonly #deliver: (frame: Uint8Array) => void;
  #waiting = 0;
  #lastDue = 0;
  #isClosed = false;

  constructor(timing: Timing, fate: (frame: Uint8Array) => LinkFate, deliver: (frame: Uint8Array) => void) {
    this.#timing = timing;
    this.#fate = fate;
    this.#deliver = deliver;
  }

  push(frame: Uint8Array): void {
    if (this.#isClosed) return;
    const { delay, isLost } = this.#fate(frame);
    if (isLost) return;
    if (delay === 0 && this.#waiting === 0) {
      this.#deliver(frame);
      return;
    }
    const now = this.#timing.now();
    this.#lastDue = Math.max(this.#lastDue, now + delay);
    this.#waiting++;
    this.#timing.later(this.#lastDue - now, () => {
      this.#waiting--;
      if (!this.#isClosed) this.#deliver(frame);
    });
  }

  /** Nothing comes out any more. */
  close(): void {
    this.#isClosed = true;
  }
}
