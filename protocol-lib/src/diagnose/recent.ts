import type { Forgotten, Memory } from './finding.ts';

/** A map of the entries that were set last: beyond its bound the oldest are let go of, and counted. */
export class Recent<K, V> {
  readonly #memory: Memory;
  readonly #limit: number;
  readonly #entries = new Map<K, V>();
  #forgotten = 0;

  constructor(memory: Memory, limit: number) {
    this.#memory = memory;
    this.#limit = limit;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: K): V | undefined {
    return this.#entries.get(key);
  }

  /** Becomes the newest entry, whatever was there. */
  set(key: K, value: V): void {
    this.#entries.delete(key);
    this.#entries.set(key, value);
    if (this.#entries.size <= this.#limit) return;
    const [oldest] = this.#entries.keys();
    this.#entries.delete(oldest!);
    this.#forgotten++;
  }

  /** Puts another value in the place of one that is there; it grows no younger. */
  replace(key: K, value: V): void {
    if (this.#entries.has(key)) this.#entries.set(key, value);
    else this.set(key, value);
  }

  delete(key: K): boolean {
    return this.#entries.delete(key);
  }

  clear(): void {
    this.#entries.clear();
  }

  values(): MapIterator<V> {
    return this.#entries.values();
  }

  entries(): MapIterator<[K, V]> {
    return this.#entries.entries();
  }

  get forgotten(): Forgotten {
    return { memory: this.#memory, kept: this.#limit, forgotten: this.#forgotten };
  }
}

/** One line for each kind of memory that let go of something. */
export function forgottenOf(memories: Iterable<Forgotten>): Forgotten[] {
  const sums = new Map<Memory, Forgotten>();
  for (const one of memories) {
    if (one.forgotten === 0) continue;
    const before = sums.get(one.memory)?.forgotten ?? 0;
    sums.set(one.memory, { ...one, forgotten: before + one.forgotten });
  }
  return [...sums.values()];
}
