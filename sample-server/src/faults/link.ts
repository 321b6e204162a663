/** What becomes of a frame: the delays in milliseconds after which it comes out, none where it is lost, two where it comes twice. */
export interface LinkFate {
  readonly delays: readonly number[];
  /** Frames behind it may overtake it. */
  readonly isOvertaken: boolean;
}

export interface Timing {
  /** Calls back after `delay` milliseconds. */
  readonly later: (delay: number, action: () => void) => void;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
}

/**
 * One direction of one connection. Frames come out in the order in which they went in, later where the link is slow, and not at all where it
 * loses them; a slow frame holds up those behind it, as on a stream. Only one that is to be overtaken leaves the row.
 */
export class FaultyLink {
  readonly #timing: Timing;
  readonly #fate: (frame: Uint8Array) => LinkFate;
  readonly #deliver: (frame: Uint8Array) => void;
  readonly #waiting: { readonly due: number; readonly frame: Uint8Array }[] = [];
  #isClosed = false;

  constructor(timing: Timing, fate: (frame: Uint8Array) => LinkFate, deliver: (frame: Uint8Array) => void) {
    this.#timing = timing;
    this.#fate = fate;
    this.#deliver = deliver;
  }

  push(frame: Uint8Array): void {
    if (this.#isClosed) return;
    const { delays, isOvertaken } = this.#fate(frame);
    for (const delay of delays) {
      if (isOvertaken) this.#apart(frame, delay);
      else this.#inRow(frame, delay);
    }
  }

  /** Whether a frame that meets no fault comes out at once. */
  get isIdle(): boolean {
    return !this.#isClosed && this.#waiting.length === 0;
  }

  /** Nothing comes out any more. */
  close(): void {
    this.#isClosed = true;
  }

  #inRow(frame: Uint8Array, delay: number): void {
    const ahead = this.#waiting.at(-1);
    if (delay === 0 && !ahead) {
      this.#deliver(frame);
      return;
    }
    const due = Math.max(this.#timing.now() + delay, ahead?.due ?? 0);
    this.#waiting.push({ due, frame });
    // One timer at a time: two of them need not fire in the order of their times.
    if (!ahead) this.#waitForHead();
  }

  #apart(frame: Uint8Array, delay: number): void {
    this.#timing.later(delay, () => {
      if (!this.#isClosed) this.#deliver(frame);
    });
  }

  #waitForHead(): void {
    const [head] = this.#waiting;
    if (!head) return;
    this.#timing.later(Math.max(0, head.due - this.#timing.now()), () => {
      if (this.#isClosed) return;
      this.#waiting.shift();
      this.#deliver(head.frame);
      this.#waitForHead();
    });
  }
}
