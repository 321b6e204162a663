import type { Change, ReplicaId } from '../state/index.ts';
import { SHAPE_NAMES_MAX, SHAPES_MAX, TEXT_UNITS_MAX, TEXTS_MAX } from './batch-format.ts';

/** A text that a batch may refer to by its number. */
export interface NumberedText {
  number: number;
  /** Bytes that it takes in a record, at most. */
  readonly bytes: number;
  /** As a key: what was changed of it last. */
  shape: Shape | undefined;
}

/** What a change does to a record, but for the key and the values. */
export interface Shape {
  readonly number: number;
  readonly op: Change['op'];
  readonly names: readonly string[];
  readonly removed: readonly string[];
  /** Bytes that the names take in a record, at most. */
  readonly bytes: number;
}

/** Names are remembered from one batch to the next: to look one up takes less than to take it in. */
const REMEMBERED_MAX = 8_192;
/** Shapes that a change is compared with. */
const COMPARED_MAX = 16;
const UTF8_MAX = 3;
const HEADER_BYTES = 5;
/** No record may have a field of this name: who writes it as it is says so. */
const RESERVED = '__proto__';
const NO_NAMES: readonly string[] = [];

/** What a batch has had so far, on the side that writes it. */
export class BatchTables {
  readonly #remembered = new Map<string, NumberedText>();
  #texts: NumberedText[] = [];
  #shapes: Shape[] = [];
  #audiences: (readonly ReplicaId[])[] = [];

  /** The next batch begins. */
  clear(): void {
    this.#texts = [];
    this.#shapes = [];
    this.#audiences = [];
    if (this.#remembered.size > REMEMBERED_MAX) this.#remembered.clear();
  }

  /** How many there are, for {@link cut}. */
  get texts(): number {
    return this.#texts.length;
  }

  get shapes(): number {
    return this.#shapes.length;
  }

  /** Forgets what came after so many. */
  cut(texts: number, shapes: number): void {
    this.#texts.length = texts;
    this.#shapes.length = shapes;
  }

  /** The text, where the batch has had it. */
  known(text: string): NumberedText | undefined {
    const one = this.#remembered.get(text);
    return one !== undefined && this.#texts[one.number] === one ? one : undefined;
  }

  /** Gives a text the next number; undefined where it gets none. */
  number(text: string): NumberedText | undefined {
    if (text.length > TEXT_UNITS_MAX || this.#texts.length >= TEXTS_MAX) return undefined;
    let one = this.#remembered.get(text);
    if (!one) {
      one = { number: 0, bytes: textBytes(text), shape: undefined };
      this.#remembered.set(text, one);
    }
    one.number = this.#texts.length;
    this.#texts.push(one);
    return one;
  }

  /** The shape of a change, where the batch has had it. */
  shapeOf(change: Change, key: NumberedText | undefined): Shape | undefined {
    const last = key?.shape;
    if (last && this.#shapes[last.number] === last && isOf(last, change)) return last;
    const first = Math.max(0, this.#shapes.length - COMPARED_MAX);
    for (let at = this.#shapes.length - 1; at >= first; at--) {
      const shape = this.#shapes[at]!;
      if (!isOf(shape, change)) continue;
      if (key) key.shape = shape;
      return shape;
    }
    return undefined;
  }

  /** The change's own shape, as the next of the batch; undefined where it cannot be one. */
  newShape(change: Change, key: NumberedText | undefined): Shape | undefined {
    const names = namesOf(change);
    const removed = change.op === 'patch' ? [...change.removed] : NO_NAMES;
    const all = names.length + removed.length;
    if (all > SHAPE_NAMES_MAX || this.#shapes.length >= SHAPES_MAX || names.includes(RESERVED)) return undefined;
    let bytes = 0;
    for (const name of names) bytes += textBytes(name);
    for (const name of removed) bytes += textBytes(name);
    const shape: Shape = { number: this.#shapes.length, op: change.op, names, removed, bytes };
    this.#shapes.push(shape);
    if (key) key.shape = shape;
    return shape;
  }

  /** The number of a list of receivers that the batch has had; -1 for none. The one met last is tried first. */
  audience(to: readonly ReplicaId[]): number {
    for (let number = this.#audiences.length - 1; number >= 0; number--) {
      if (isSame(this.#audiences[number]!, to)) return number;
    }
    return -1;
  }

  addAudience(to: readonly ReplicaId[]): void {
    this.#audiences.push(to);
  }
}

function textBytes(text: string): number {
  return HEADER_BYTES + text.length * UTF8_MAX;
}

function namesOf(change: Change): string[] {
  const names: string[] = [];
  if (change.op === 'remove') return names;
  const fields = change.op === 'put' ? change.record : change.fields;
  for (const name in fields) names.push(name);
  return names;
}

function isOf({ op, names, removed }: Shape, change: Change): boolean {
  if (op !== change.op) return false;
  if (change.op === 'remove') return true;
  let at = 0;
  if (change.op === 'put') {
    for (const name in change.record) if (names[at++] !== name) return false;
    return at === names.length;
  }
  for (const name in change.fields) if (names[at++] !== name) return false;
  return at === names.length && isSame(removed, change.removed);
}

function isSame(left: readonly string[], right: readonly string[]): boolean {
  if (left === right) return true;
  if (left.length !== right.length) return false;
  for (let at = 0; at < left.length; at++) if (left[at] !== right[at]) return false;
  return true;
}
