import type { Clock } from '../ports/index.ts';

interface Entry {
  readonly at: number;
  readonly order: number;
  run(): void;
}

/** What is to happen when, on a virtual clock in nanoseconds. At equal times, what was put in first comes first. */
export class EventQueue implements Clock {
  readonly #heap: Entry[] = [];
  #now = 0;
  #order = 0;

  now(): number {
    return this.#now;
  }

  get size(): number {
    return this.#heap.length;
  }

  /** Not before now. */
  at(time: number, run: () => void): void {
    const heap = this.#heap;
    const entry = { at: Math.max(this.#now, Math.round(time)), order: this.#order++, run };
    let index = heap.length;
    heap.push(entry);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isBefore(entry, heap[parent]!)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = entry;
  }

  after(delay: number, run: () => void): void {
    this.at(this.#now + delay, run);
  }

  /** Carries out the next event up to `until`; false, and the time is `until`, where there is none. */
  step(until: number): boolean {
    const first = this.#heap[0];
    if (first === undefined || first.at > until) {
      this.#now = Math.max(this.#now, until);
      return false;
    }
    this.#removeFirst();
    this.#now = first.at;
    first.run();
    return true;
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = index * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
  }
}

function isBefore(left: Entry, right: Entry): boolean {
  return left.at < right.at || (left.at === right.at && left.order < right.order);
}
