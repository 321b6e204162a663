import type { ReplicaId } from '../../state/index.ts';
import { IntegerList } from '../integer-list.ts';

/** So many that came out of order, and they are taken for another life of the sender, which counts from the beginning again. */
const LATE = 1_024;
/** Lives that are kept apart; beyond, each sequence that is out of order costs an entry of a map. */
const LIVES = 8;

/** Sequences that rise, each with a number, in typed storage. */
class Rising {
  readonly #sequences = new IntegerList(true);
  readonly #values: IntegerList;
  highest = -1;

  constructor(isWide: boolean) {
    this.#values = new IntegerList(isWide);
  }

  push(sequence: number, value: number): void {
    this.highest = sequence;
    this.#sequences.push(sequence);
    this.#values.push(value);
  }

  get(sequence: number): number | undefined {
    if (sequence > this.highest) return undefined;
    const at = this.#sequences.countBelow(sequence);
    return at < this.#sequences.length && this.#sequences.at(at) === sequence ? this.#values.at(at) : undefined;
  }

  *all(): Generator<readonly [sequence: number, value: number]> {
    for (let at = 0; at < this.#sequences.length; at++) yield [this.#sequences.at(at), this.#values.at(at)];
  }
}

/**
 * A number for each sequence of one link. Sequences nearly always rise, so they are kept in typed storage, 12 bytes each, or 16 with wide values; those that come
 * out of order cost an entry of a map.
 */
class Sequences {
  readonly #isWide: boolean;
  /** The newest last. */
  readonly #lives: Rising[];
  #late = new Map<number, number>();

  constructor(isWide: boolean) {
    this.#isWide = isWide;
    this.#lives = [new Rising(isWide)];
  }

  /** The number of a sequence from now on. */
  set(sequence: number, value: number): void {
    const life = this.#lives.at(-1)!;
    if (sequence > life.highest) {
      life.push(sequence, value);
      this.#late.delete(sequence);
      return;
    }
    this.#late.set(sequence, value);
    if (this.#late.size >= LATE && this.#lives.length < LIVES) this.#beginLife();
  }

  get(sequence: number): number | undefined {
    const late = this.#late.get(sequence);
    if (late !== undefined) return late;
    for (let at = this.#lives.length - 1; at >= 0; at--) {
      const value = this.#lives[at]!.get(sequence);
      if (value !== undefined) return value;
    }
    return undefined;
  }

  /** Each with its number; one that was set in several lives comes in each. */
  *all(): Generator<readonly [sequence: number, value: number]> {
    for (const life of this.#lives) yield* life.all();
    yield* this.#late;
  }

  #beginLife(): void {
    const life = new Rising(this.#isWide);
    for (const [sequence, value] of [...this.#late].sort(([a], [b]) => a - b)) life.push(sequence, value);
    this.#lives.push(life);
    this.#late = new Map();
  }
}

/** A frame by who sent it, its number, and who gets it. */
export interface Frame {
  readonly sender: ReplicaId;
  readonly sequence: number;
  readonly receiver: ReplicaId;
}

/** A number for each frame of a capture: a time (`isWide`), or the number or position of a record. */
export class SeenFrames {
  readonly #isWide: boolean;
  readonly #links = new Map<ReplicaId, Map<ReplicaId, Sequences>>();

  constructor(isWide = false) {
    this.#isWide = isWide;
  }

  /** The number of a frame that has none yet; false, and nothing changed, where it has one. A whole number from 0 on. */
  add(frame: Frame, value: number): boolean {
    const sequences = this.#link(frame);
    if (sequences.get(frame.sequence) !== undefined) return false;
    sequences.set(frame.sequence, value);
    return true;
  }

  /** The number of a frame from now on: a sender that counts from the beginning again sends other frames of the same name. */
  set(frame: Frame, value: number): void {
    this.#link(frame).set(frame.sequence, value);
  }

  #link({ sender, receiver }: Frame): Sequences {
    let links = this.#links.get(sender);
    if (!links) {
      links = new Map();
      this.#links.set(sender, links);
    }
    let sequences = links.get(receiver);
    if (!sequences) {
      sequences = new Sequences(this.#isWide);
      links.set(receiver, sequences);
    }
    return sequences;
  }

  get({ sender, sequence, receiver }: Frame): number | undefined {
    return this.#links.get(sender)?.get(receiver)?.get(sequence);
  }

  /** Those of all links, one link after the other. */
  *all(): Generator<readonly [frame: Frame, value: number]> {
    for (const [sender, links] of this.#links) {
      for (const [receiver, sequences] of links) {
        for (const [sequence, value] of sequences.all()) yield [{ sender, sequence, receiver }, value];
      }
    }
  }
}

const PAGE = 16_384;

/** What number a record has in another capture, by its number in its own: four bytes each. */
export class Renumbering {
  readonly #pages = new Map<number, Int32Array>();

  set(seq: number, number: number): void {
    const page = Math.floor(seq / PAGE);
    let numbers = this.#pages.get(page);
    if (!numbers) {
      numbers = new Int32Array(PAGE);
      this.#pages.set(page, numbers);
    }
    numbers[seq % PAGE] = number;
  }

  /** Undefined where the record is not in the other. */
  get(seq: number): number | undefined {
    const number = this.#pages.get(Math.floor(seq / PAGE))?.[seq % PAGE];
    return number === 0 ? undefined : number;
  }

  /** The numbers of those that are in the other. */
  of(seqs: readonly number[]): number[] {
    return seqs.flatMap((seq) => this.get(seq) ?? []);
  }
}
