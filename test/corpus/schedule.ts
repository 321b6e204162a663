import { milliseconds, type Random } from '@syncscope/protocol/ports';
import { TraceHub, type TraceRecord } from '@syncscope/protocol/trace';

/** What becomes of a frame: milliseconds later than usual, for each time that it arrives. Nothing where it is lost. */
export type Delivery = { readonly frame: Uint8Array; readonly later: number; readonly note?: string };

/** Where in the trace something happened, for saying what the truth is. */
export interface Marks {
  readonly records: readonly TraceRecord[];
  /** Index of the next record when this was noted. */
  readonly notes: Map<string, number>;
}

/** A frame on its way; what `deliver` answers becomes of it. */
export type Deliver = (frame: Uint8Array, from: string, to: string, marks: Marks) => readonly Delivery[];

/** Virtual time, a network without loss that keeps the order, and the trace of what happens. */
export class Schedule implements Marks {
  readonly records: TraceRecord[] = [];
  readonly notes = new Map<string, number>();
  readonly hub: TraceHub;
  readonly random: Random;
  readonly #latency: number;
  readonly #deliver: Deliver | undefined;
  readonly #queue: { readonly at: number; readonly order: number; readonly run: () => void }[] = [];
  readonly #lastArrival = new Map<string, number>();
  #order = 0;
  /** Nanoseconds. */
  now = 0;

  /** @param options `latency` in milliseconds one way */
  constructor(options: { readonly random: Random; readonly latency: number; readonly deliver?: Deliver }) {
    this.random = options.random;
    this.#latency = options.latency;
    this.#deliver = options.deliver;
    this.hub = new TraceHub({ now: () => Math.round(this.now) });
    this.hub.listen((one) => this.records.push(one));
  }

  note(name: string): void {
    this.notes.set(name, this.records.length);
  }

  /** @param delay milliseconds */
  after(delay: number, run: () => void): void {
    this.#at(this.now + milliseconds(delay), run);
  }

  every(delay: number, run: () => void): void {
    this.after(delay, () => {
      run();
      this.every(delay, run);
    });
  }

  send(frame: Uint8Array, from: string, to: string, arrive: (frame: Uint8Array) => void): void {
    const deliveries = this.#deliver?.(frame, from, to, this) ?? [{ frame, later: 0 }];
    for (const { frame: bytes, later, note } of deliveries) {
      this.#at(this.#arrival(`${from}>${to}`, later), () => {
        if (note !== undefined) this.note(note);
        arrive(bytes);
      });
    }
  }

  /** @param length milliseconds */
  run(length: number): void {
    for (;;) {
      let first = -1;
      this.#queue.forEach((one, at) => {
        const best = this.#queue[first];
        if (!best || one.at < best.at || (one.at === best.at && one.order < best.order)) first = at;
      });
      const [next] = first < 0 ? [] : this.#queue.splice(first, 1);
      if (!next || next.at > milliseconds(length)) return;
      this.now = Math.max(this.now, Math.round(next.at));
      next.run();
    }
  }

  #at(at: number, run: () => void): void {
    this.#queue.push({ at, order: this.#order++, run });
  }

  #arrival(way: string, later: number): number {
    const drawn = this.now + milliseconds(this.#latency * (0.7 + this.random.next() * 0.6) + 0.01);
    if (later > 0) return drawn + milliseconds(later);
    const at = Math.max(drawn, (this.#lastArrival.get(way) ?? 0) + 1);
    this.#lastArrival.set(way, at);
    return at;
  }
}
