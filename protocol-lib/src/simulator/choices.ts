import { type Random, seededRandom } from '../ports/index.ts';

/** A seeded stream of one concern, with the draws that a simulation needs. */
export class Stream implements Random {
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  /** The stream of a concern such as `network/alice`: what others draw does not change it. */
  static of(seed: number, concern: string): Stream {
    let mixed = (seed ^ 0x811c9dc5) >>> 0;
    for (let index = 0; index < concern.length; index++) {
      mixed = Math.imul(mixed ^ concern.charCodeAt(index), 0x01000193) >>> 0;
    }
    // Neighbouring seeds lie close together; one draw spreads them.
    return new Stream(seededRandom(mixed + Math.floor(seed / 4_294_967_296)).next() * 4_294_967_296);
  }

  next(): number {
    return this.#random.next();
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** An integer from `min` to `max`, both included. */
  int(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1));
  }

  pick<T>(list: readonly T[]): T {
    const one = list[this.int(0, list.length - 1)];
    if (one === undefined) throw new RangeError('nothing to pick from');
    return one;
  }

  /** A stream of its own, at the price of one draw. */
  fork(): Stream {
    return new Stream(this.next() * 4_294_967_296);
  }
}

/** One decision: where to draw it from, and whether it was taken out, and then must do nothing. */
export interface Choice {
  readonly stream: Stream;
  readonly isSkipped: boolean;
}

/** Numbers of the choices that are taken out, by concern. */
export type Skips = Readonly<Record<string, readonly number[]>>;

/**
 * The numbered choices of one concern. Each draws from a stream of its own, so that one can be taken out without
 * changing any other.
 */
export class Choices {
  readonly concern: string;
  readonly #stream: Stream;
  readonly #skipped: ReadonlySet<number>;
  #count = 0;

  constructor(seed: number, concern: string, skips: Skips) {
    this.concern = concern;
    this.#stream = Stream.of(seed, concern);
    this.#skipped = new Set(skips[concern] ?? []);
  }

  /** Choices made so far. */
  get count(): number {
    return this.#count;
  }

  next(): Choice {
    return { stream: this.#stream.fork(), isSkipped: this.#skipped.has(this.#count++) };
  }
}

/** Skips as the command line takes them: `faults:0,2-4;client-1:7`. Empty where there are none. */
export function formatSkips(skips: Skips): string {
  return Object.keys(skips)
    .filter((concern) => skips[concern]!.length > 0)
    .sort()
    .map((concern) => `${concern}:${formatRanges([...skips[concern]!].sort((a, b) => a - b))}`)
    .join(';');
}

function formatRanges(numbers: readonly number[]): string {
  const ranges: string[] = [];
  for (let start = 0; start < numbers.length; ) {
    let end = start;
    while (numbers[end + 1] === numbers[end]! + 1) end++;
    ranges.push(end === start ? `${numbers[start]}` : `${numbers[start]}-${numbers[end]}`);
    start = end + 1;
  }
  return ranges.join(',');
}

const MAX_SKIPS = 1_000_000;

/** @throws RangeError where `text` is not as {@link formatSkips} writes it */
export function parseSkips(text: string): Skips {
  const skips: Record<string, number[]> = {};
  for (const part of text.split(';').filter((one) => one !== '')) {
    const match = /^([a-z0-9/-]+):(\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*)$/.exec(part);
    if (!match) throw new RangeError(`${JSON.stringify(part)} is not of the form concern:1,3-5`);
    const numbers: number[] = [];
    for (const range of match[2]!.split(',')) {
      const [first = 0, last = first] = range.split('-').map(Number);
      if (last - first + numbers.length > MAX_SKIPS) throw new RangeError(`more than ${MAX_SKIPS} choices to skip`);
      for (let number = first; number <= last; number++) numbers.push(number);
    }
    skips[match[1]!] = numbers;
  }
  return skips;
}
