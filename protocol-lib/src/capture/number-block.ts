import { SyncError } from '../errors/index.ts';

/**
 * Integers of one meaning side by side, in as few bytes each as their range takes. A block is little-endian:
 *
 *     count u32 · mode u8 · width u8 · base f64 · first f64 · `width` planes of bytes, lowest first
 *
 * Mode 0: a plane has a byte of each value less `base`. Mode 1: of each step from the value before, less
 * `base`, from the second value on; `first` is the first value. Mode 2: no planes but 8 bytes of IEEE 754
 * for each value.
 */
const HEAD_BYTES = 4 + 1 + 1 + 8 + 8;
const MODE = { plain: 0, steps: 1, whole: 2 } as const;
/** Beyond this, differences might not be exact. */
const EXACT_MAX = 2 ** 50;

/** Grows as it is written into. */
export class BlockWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  #length = 0;

  constructor(capacity = 64 * 1024) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  take(): Uint8Array {
    const bytes = this.#bytes.slice(0, this.#length);
    this.#length = 0;
    return bytes;
  }

  /** @throws TypeError where a value is no integer within 53 bits */
  numbers(from: ArrayLike<number>, count = from.length): this {
    const values = uniform(from, count);
    const shape = shapeOf(values, count);
    const stored = shape.mode === MODE.steps ? Math.max(0, count - 1) : count;
    this.#reserve(HEAD_BYTES + stored * (shape.mode === MODE.whole ? 8 : shape.width));
    const view = this.#view;
    let at = this.#length;
    view.setUint32(at, count, true);
    view.setUint8(at + 4, shape.mode);
    view.setUint8(at + 5, shape.width);
    view.setFloat64(at + 6, shape.base, true);
    view.setFloat64(at + 14, count > 0 ? values[0]! : 0, true);
    at += HEAD_BYTES;
    if (shape.mode === MODE.whole) {
      for (let index = 0; index < count; index++, at += 8) view.setFloat64(at, values[index]!, true);
    } else {
      writePlanes(this.#bytes, at, values, count, shape);
      at += stored * shape.width;
    }
    this.#length = at;
    return this;
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + more));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}

let widened = new Float64Array(16 * 1024);

/** The values in an array that is always of one type: loops over many types of them are many times as slow. Good until the next call. */
function uniform(values: ArrayLike<number>, count: number): Float64Array {
  if (count > widened.length) widened = new Float64Array(count * 2);
  if (ArrayBuffer.isView(values) && values.length > count) {
    for (let index = 0; index < count; index++) widened[index] = values[index]!;
  } else widened.set(values);
  return widened;
}

interface Shape {
  readonly mode: number;
  readonly width: number;
  readonly base: number;
}

function shapeOf(values: Float64Array, count: number): Shape {
  if (count === 0) return { mode: MODE.plain, width: 0, base: 0 };
  let before = values[0]!;
  let [min, max, minStep, maxStep] = [before, before, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let index = 1; index < count; index++) {
    const value = values[index]!;
    const step = value - before;
    before = value;
    if (value < min) min = value;
    if (value > max) max = value;
    if (step < minStep) minStep = step;
    if (step > maxStep) maxStep = step;
  }
  if (!(min > -EXACT_MAX && max < EXACT_MAX)) return { mode: MODE.whole, width: 8, base: 0 };
  const plain = widthOf(max - min);
  const steps = count > 1 ? widthOf(maxStep - minStep) : plain;
  if (steps < plain) return { mode: MODE.steps, width: steps, base: minStep };
  return { mode: MODE.plain, width: plain, base: min };
}

function widthOf(range: number): number {
  let width = 0;
  for (let reach = 1; reach <= range; reach *= 256) width++;
  return width;
}

const POW_32 = 4_294_967_296;

function writePlanes(bytes: Uint8Array, start: number, values: Float64Array, count: number, shape: Shape): void {
  const { mode, width, base } = shape;
  const skipped = mode === MODE.steps ? 1 : 0;
  const stored = Math.max(0, count - skipped);
  for (let index = 0; index < stored; index++) {
    const value = values[index + skipped]! - (skipped ? values[index]! : 0) - base;
    let low = value >>> 0;
    let at = start + index;
    const lowBytes = width < 4 ? width : 4;
    for (let plane = 0; plane < lowBytes; plane++, at += stored) {
      bytes[at] = low;
      low >>>= 8;
    }
    if (width <= 4) continue;
    let high = Math.floor(value / POW_32);
    for (let plane = 4; plane < width; plane++, at += stored) {
      bytes[at] = high;
      high >>>= 8;
    }
  }
}

/** Where blocks are read into. */
export interface NumberArray {
  readonly length: number;
  [index: number]: number;
  set(values: Float64Array): void;
}

/** Reads what a {@link BlockWriter} wrote, each length checked before it is believed. */
export class BlockReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #offset = 0;

  /** Reads blocks from `offset` of `bytes` on. */
  constructor(bytes: Uint8Array, offset = 0) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#offset = offset;
  }

  /** Whether all was read. */
  get isAtEnd(): boolean {
    return this.#offset === this.#bytes.length;
  }

  /** Where the next block begins. */
  get offset(): number {
    return this.#offset;
  }

  /**
   * Goes past the next block and returns how many values it says it has.
   * @throws SyncError `INDEX_DAMAGED` where it is not whole
   */
  skip(): number {
    const { count, width, stored, start } = this.#head();
    this.#offset = start + stored * width;
    return count;
  }

  /**
   * The next block, in an array that `make` makes of its count.
   * @throws SyncError `INDEX_DAMAGED` where it is not whole, or a value is not within `min` and `max`
   */
  numbers<T extends NumberArray>(make: (count: number) => T, min: number, max: number): T {
    const view = this.#view;
    const { count, mode, width, base, first, start, stored } = this.#head();
    const values = make(count);
    // Arrays of one type keep the loops fast: of several, each value read would be an object of its own.
    const read: Float64Array = values instanceof Float64Array ? values : roomFor(count);
    if (mode === MODE.whole) for (let at = 0; at < count; at++) read[at] = view.getFloat64(start + at * 8, true);
    else readPlanes(this.#bytes, start, read, count, { mode, width, base }, first);
    this.#offset = start + stored * width;
    for (let at = 0; at < count; at++) {
      const value = read[at]!;
      if (!(value >= min && value <= max)) throw damagedIndex(`has a value of ${value}`);
    }
    if (!(values instanceof Float64Array)) values.set(read.length === count ? read : read.subarray(0, count));
    return values;
  }

  #head(): Shape & { readonly count: number; readonly first: number; readonly start: number; readonly stored: number } {
    const view = this.#view;
    if (this.#bytes.length - this.#offset < HEAD_BYTES) throw damagedIndex('ends inside a block');
    const count = view.getUint32(this.#offset, true);
    const mode = view.getUint8(this.#offset + 4);
    const width = view.getUint8(this.#offset + 5);
    const base = view.getFloat64(this.#offset + 6, true);
    const first = view.getFloat64(this.#offset + 14, true);
    const start = this.#offset + HEAD_BYTES;
    const stored = mode === MODE.steps ? Math.max(0, count - 1) : count;
    if (
      mode > MODE.whole ||
      width > 8 ||
      (mode === MODE.whole && width !== 8) ||
      stored * width > this.#bytes.length - start ||
      count > COUNT_MAX
    ) {
      throw damagedIndex('has a block that cannot be');
    }
    return { count, mode, width, base, first, start, stored };
  }
}

/** Of one block. A block whose values are all the same takes no bytes for them, so its count must be bounded otherwise. */
const COUNT_MAX = 16 * 1024 * 1024;

const room = new Float64Array(16_384);

/** Room for so many values, good until the next block is read. */
function roomFor(count: number): Float64Array {
  return count <= room.length ? room : new Float64Array(count);
}

function readPlanes(
  bytes: Uint8Array,
  start: number,
  values: Float64Array,
  count: number,
  shape: Shape,
  first: number,
): void {
  const { mode, width, base } = shape;
  const skipped = mode === MODE.steps ? 1 : 0;
  const stored = Math.max(0, count - skipped);
  if (!skipped && width <= 1) {
    // Columns of kinds, flags and replicas are like this.
    if (width === 0) for (let index = 0; index < count; index++) values[index] = base;
    else for (let index = 0; index < count; index++) values[index] = bytes[start + index]! + base;
    return;
  }
  if (!skipped && width === 2) {
    const high = start + stored;
    for (let index = 0; index < count; index++)
      values[index] = bytes[start + index]! + bytes[high + index]! * 256 + base;
    return;
  }
  let before = skipped ? first : 0;
  if (skipped && count > 0) values[0] = first;
  if (skipped && width <= 1) {
    for (let index = 0; index < stored; index++) {
      before += (width === 0 ? 0 : bytes[start + index]!) + base;
      values[index + 1] = before;
    }
    return;
  }
  for (let index = 0; index < stored; index++) {
    let value = 0;
    let scale = 1;
    for (let plane = 0, at = start + index; plane < width; plane++, at += stored, scale *= 256) {
      value += bytes[at]! * scale;
    }
    value += base;
    if (skipped) {
      before += value;
      values[index + 1] = before;
    } else values[index] = value;
  }
}

export function damagedIndex(what: string): SyncError {
  return new SyncError('INDEX_DAMAGED', `the capture's index ${what}; it can be built again from the records`, {
    origin: 'capture',
    retry: 'now',
  });
}
