import { SyncError } from '../errors/index.ts';
import type { Hasher, HashWords } from './hash.ts';

/**
 * Writes values as msgpack into one scratch area: {@link beginWriting}, write, then take the bytes or
 * their hash. Whoever begins must be done before anybody else begins.
 */

/** Nesting of a value: it may have containers in containers this deep. */
export const VALUE_MAX_DEPTH = 64;
export const MAP_MAX_FIELDS = 65_535;

/** `sorted` is ascending by UTF-8 bytes, as hashes need it; `own` is the order that the object has. */
export type FieldOrder = 'sorted' | 'own';

const TWO_32 = 4_294_967_296;
const SCRATCH_WORDS = 1_024;

// One scratch area for all: writing is synchronous and never re-entered, and a hash needs the bytes only for a moment.
let scratch = new Uint8Array(4_096);
let view = new DataView(scratch.buffer);
/** The beginning of the same, of which small frames are copied. */
let scratchWords = new Int32Array(scratch.buffer, 0, SCRATCH_WORDS);
let position = 0;

function useScratch(bytes: Uint8Array<ArrayBuffer>): void {
  scratch = bytes;
  view = new DataView(bytes.buffer);
  scratchWords = new Int32Array(bytes.buffer, 0, SCRATCH_WORDS);
}

function reserve(length: number): void {
  if (position + length <= scratch.length) return;
  const grown = new Uint8Array(Math.max(scratch.length * 2, position + length));
  grown.set(scratch.subarray(0, position));
  useScratch(grown);
}

/** So few bytes are copied one by one: a call to the engine costs more than they do. */
const SHORT_BYTES = 64;

/** A large value must not pin its scratch area for ever. */
const SCRATCH_KEPT = 1 << 20;

export function beginWriting(): void {
  position = 0;
  top = 0;
  if (scratch.length > SCRATCH_KEPT) useScratch(new Uint8Array(4_096));
}

function invalid(what: string): never {
  throw new SyncError('VALUE_INVALID', `${what} has no canonical bytes`, { origin: 'state' });
}

export function writeNumber(value: number): void {
  reserve(9);
  // Most are small; 0 may be -0, which is another number.
  if (value > 0 && value < 0x80 && (value | 0) === value) {
    scratch[position++] = value;
    return;
  }
  if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
    if (value >= 0) {
      if (value < 0x80) scratch[position++] = value;
      else if (value < 0x100) writeTagged8(0xcc, value);
      else if (value < 0x10000) writeTagged16(0xcd, value);
      else if (value < TWO_32) writeTagged32(0xce, value);
      else writeTagged64(0xcf, value);
    } else if (value >= -0x20) scratch[position++] = value;
    else if (value >= -0x80) writeTagged8(0xd0, value);
    else if (value >= -0x8000) writeTagged16(0xd1, value);
    else if (value >= -0x80000000) writeTagged32(0xd2, value);
    else writeTagged64(0xd3, value);
    return;
  }
  scratch[position] = 0xcb;
  // Setting NaN by value could keep a payload, which differs between engines.
  if (Number.isNaN(value)) {
    view.setUint32(position + 1, 0x7ff80000);
    view.setUint32(position + 5, 0);
  } else {
    view.setFloat64(position + 1, value);
  }
  position += 9;
}

function writeTagged8(tag: number, value: number): void {
  scratch[position] = tag;
  scratch[position + 1] = value;
  position += 2;
}

function writeTagged16(tag: number, value: number): void {
  scratch[position] = tag;
  view.setUint16(position + 1, value);
  position += 3;
}

function writeTagged32(tag: number, value: number): void {
  scratch[position] = tag;
  view.setUint32(position + 1, value);
  position += 5;
}

function writeTagged64(tag: number, value: number): void {
  scratch[position] = tag;
  view.setUint32(position + 1, Math.floor(value / TWO_32));
  view.setUint32(position + 5, value >>> 0);
  position += 9;
}

function writeTextHeader(length: number): void {
  if (length < 32) scratch[position++] = 0xa0 | length;
  else if (length < 0x100) writeTagged8(0xd9, length);
  else if (length < 0x10000) writeTagged16(0xda, length);
  else writeTagged32(0xdb, length);
}

/** @throws SyncError `VALUE_INVALID` for a lone surrogate */
export function writeText(text: string): void {
  const length = text.length;
  reserve(5 + length * 3);
  const start = position;
  writeTextHeader(length);
  if (writeNarrow(text)) return;
  position = start;
  const bytes = wideLength(text);
  writeTextHeader(bytes);
  writeWide(text);
}

/** Text behind its length as a {@link writeUint}. @throws SyncError `VALUE_INVALID` for a lone surrogate */
export function writeCountedText(text: string): void {
  const length = text.length;
  reserve(5 + length * 3);
  const start = position;
  writeUint(length);
  if (writeNarrow(text)) return;
  position = start;
  writeUint(wideLength(text));
  writeWide(text);
}

/** Writes what is ASCII throughout; else nothing, and says so. */
function writeNarrow(text: string): boolean {
  const into = scratch;
  const { length } = text;
  let at = position;
  for (let index = 0; index < length; index++) {
    const unit = text.charCodeAt(index);
    if (unit > 0x7f) return false;
    into[at++] = unit;
  }
  position = at;
  return true;
}

function wideLength(text: string): number {
  if (!text.isWellFormed()) invalid('a string with a lone surrogate');
  let bytes = 0;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    // Each half of a surrogate pair counts two of its four bytes.
    bytes += unit < 0x80 ? 1 : unit < 0x800 || (unit & 0xf800) === 0xd800 ? 2 : 3;
  }
  return bytes;
}

function writeWide(text: string): void {
  for (let index = 0; index < text.length; index++) {
    const point = text.codePointAt(index)!;
    if (point < 0x80) {
      scratch[position++] = point;
    } else if (point < 0x800) {
      scratch[position++] = 0xc0 | (point >> 6);
      scratch[position++] = 0x80 | (point & 0x3f);
    } else if (point < 0x10000) {
      scratch[position++] = 0xe0 | (point >> 12);
      scratch[position++] = 0x80 | ((point >> 6) & 0x3f);
      scratch[position++] = 0x80 | (point & 0x3f);
    } else {
      scratch[position++] = 0xf0 | (point >> 18);
      scratch[position++] = 0x80 | ((point >> 12) & 0x3f);
      scratch[position++] = 0x80 | ((point >> 6) & 0x3f);
      scratch[position++] = 0x80 | (point & 0x3f);
      index++;
    }
  }
}

export function writeBytes(bytes: Uint8Array): void {
  reserve(5 + bytes.length);
  if (bytes.length < 0x100) writeTagged8(0xc4, bytes.length);
  else if (bytes.length < 0x10000) writeTagged16(0xc5, bytes.length);
  else writeTagged32(0xc6, bytes.length);
  if (bytes.length <= SHORT_BYTES) writeShort(bytes);
  else writeEncoded(bytes);
}

/** An integer from 0 to 2^53 - 1 in groups of seven bits, as `CompactWriter.uint` writes it. */
export function writeUint(value: number): void {
  reserve(8);
  if (value < 0x80) {
    scratch[position++] = value;
    return;
  }
  if (value < 0x4000) {
    scratch[position] = value | 0x80;
    scratch[position + 1] = value >> 7;
    position += 2;
    return;
  }
  let rest = value;
  while (rest > 0x7fff_ffff) {
    scratch[position++] = (rest % 128) | 0x80;
    rest = Math.floor(rest / 128);
  }
  while (rest > 0x7f) {
    scratch[position++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  scratch[position++] = rest;
}

/** An integer from -2^52 to 2^52 - 1, as `CompactWriter.int` writes it. */
export function writeInt(value: number): void {
  writeUint(value < 0 ? -value * 2 - 1 : value * 2);
}

/** {@link writeInt} of `count` values from `start` on. */
export function writeInts(values: readonly unknown[], start: number, count: number): void {
  reserve(count * 8);
  const into = scratch;
  let at = position;
  for (let index = start; index < start + count; index++) {
    const value = values[index] as number;
    const zigzag = value < 0 ? -value * 2 - 1 : value * 2;
    if (zigzag < 0x80) {
      into[at++] = zigzag;
    } else if (zigzag < 0x4000) {
      into[at] = zigzag | 0x80;
      into[at + 1] = zigzag >> 7;
      at += 2;
    } else {
      position = at;
      writeUint(zigzag);
      at = position;
    }
  }
  position = at;
}

/** {@link writeUint} of the first `count` of `values`, which lie from 0 to 2^31 - 1. */
export function writeSmallUints(values: Int32Array, count: number): void {
  reserve(count * 5);
  const into = scratch;
  let at = position;
  for (let index = 0; index < count; index++) {
    let rest = values[index]!;
    while (rest > 0x7f) {
      into[at++] = rest | 0x80;
      rest >>= 7;
    }
    into[at++] = rest;
  }
  position = at;
}

/** Begins bytes of which the length is not known yet. Answers what {@link endBytes} needs. */
export function beginBytes(): number {
  reserve(2);
  position += 2;
  return position;
}

/** Ends the bytes that began at `start`: puts their header before them. */
export function endBytes(start: number): void {
  const length = position - start;
  const wider = length < 0x100 ? 0 : length < 0x10000 ? 1 : 3;
  if (wider > 0) {
    reserve(wider);
    scratch.copyWithin(start + wider, start, position);
  }
  position = start - 2;
  if (wider === 0) writeTagged8(0xc4, length);
  else if (wider === 1) writeTagged16(0xc5, length);
  else writeTagged32(0xc6, length);
  position += length;
}

/** As {@link beginBytes}, for {@link endLongBytes}. */
export function beginLongBytes(): number {
  reserve(5);
  position += 5;
  return position;
}

/** As {@link endBytes} with the widest header, whatever their length: nothing has to be moved. */
export function endLongBytes(start: number): void {
  const end = position;
  position = start - 5;
  writeTagged32(0xc6, end - start);
  position = end;
}

/** The start of an array of `count` items, to be written next. */
export function writeArrayHeader(count: number): void {
  reserve(5);
  if (count < 16) scratch[position++] = 0x90 | count;
  else if (count < 0x10000) writeTagged16(0xdc, count);
  else writeTagged32(0xdd, count);
}

function writeArray(items: readonly unknown[], order: FieldOrder, depth: number): void {
  writeArrayHeader(items.length);
  for (let index = 0; index < items.length; index++) writeValue(items[index], order, depth + 1);
}

// Values of the maps being written, innermost last: reading them in one pass is much cheaper than one by one.
const values: unknown[] = [];
let top = 0;

/** A plain object at nesting `depth`. @throws SyncError as {@link writeValue} */
export function writeMap(map: object, order: FieldOrder, depth: number): void {
  if (order === 'own') {
    writeFieldsAsTheyCome(map as Record<string, unknown>, depth);
    return;
  }
  const base = top;
  let at = base;
  let shape: Shape | undefined;
  for (const name in map) {
    if (at === base) shape = shapes[placeOf(name)];
    if (shape !== undefined && shape.names[at - base] !== name) shape = undefined;
    values[at++] = (map as Record<string, unknown>)[name];
  }
  top = at;
  const count = at - base;
  writeMapHeader(count);
  if (count > 0 && (shape === undefined || shape.names.length !== count)) shape = makeShape(map);
  for (let index = 0; index < count; index++) {
    writeRaw(shape!.bytes[index]!);
    writeValue(values[base + shape!.order[index]!], order, depth + 1);
  }
  // Nothing that was written is kept alive by having been written.
  for (let index = base; index < at; index++) values[index] = undefined;
  top = base;
}

/** How many there are is known behind the last: to ask for a list of their names takes longer than to write a few of them. */
function writeFieldsAsTheyCome(map: Record<string, unknown>, depth: number): void {
  reserve(1);
  const start = position++;
  let count = 0;
  for (const name in map) {
    checkName(name);
    writeText(name);
    writeValue(map[name], 'own', depth + 1);
    count++;
  }
  if (count < 16) {
    scratch[start] = 0x80 | count;
    return;
  }
  reserve(2);
  scratch.copyWithin(start + 3, start + 1, position);
  const end = position + 2;
  position = start;
  writeMapHeader(count);
  position = end;
}

/** The start of a map of `count` fields, to be written next. */
export function writeMapHeader(count: number): void {
  if (count > MAP_MAX_FIELDS) {
    throw new SyncError('LIMIT_MAP_KEYS', `${count} fields, at most ${MAP_MAX_FIELDS}`, { origin: 'state' });
  }
  reserve(3);
  if (count < 16) scratch[position++] = 0x80 | count;
  else writeTagged16(0xde, count);
}

function checkName(name: string): void {
  if (name === '__proto__') {
    throw new SyncError('FIELD_RESERVED', 'a field may not be called __proto__', { origin: 'state' });
  }
}

/** Which names a map has, and how they go into canonical bytes. */
interface Shape {
  /** In the map's own order. */
  readonly names: readonly string[];
  /** `order[i]` is the place in `names` of the name that is written as the `i`-th. */
  readonly order: readonly number[];
  /** Header and UTF-8 bytes of the `i`-th name written. */
  readonly bytes: readonly Uint8Array[];
}

// Records of one kind have the same names in the same order, so sorting and encoding them is done once a kind.
// The last shape seen is kept for each first name, or rather for each place that first names fall into.
const SHAPES_KEPT = 256;
const SHAPE_MAX_FIELDS = 64;
const shapes: (Shape | undefined)[] = new Array(SHAPES_KEPT).fill(undefined);

function placeOf(firstName: string): number {
  return (firstName.length * 31 + (firstName.length === 0 ? 0 : firstName.charCodeAt(0) * 7)) & (SHAPES_KEPT - 1);
}

function makeShape(map: object): Shape {
  const names: string[] = [];
  for (const name in map) names.push(name);
  const order = names.map((_, index) => index).sort((left, right) => compareUtf8(names[left]!, names[right]!));
  const start = position;
  const bytes = order.map((at) => {
    checkName(names[at]!);
    position = start;
    writeText(names[at]!);
    return scratch.slice(start, position);
  });
  position = start;
  const shape = { names, order, bytes };
  if (names.length <= SHAPE_MAX_FIELDS) shapes[placeOf(names[0]!)] = shape;
  return shape;
}

function writeRaw(bytes: Uint8Array): void {
  const length = bytes.length;
  reserve(length);
  const into = scratch;
  const start = position;
  for (let at = 0; at < length; at++) into[start + at] = bytes[at]!;
  position = start + length;
}

/**
 * A value at nesting `depth`: null, boolean, number, text, `Uint8Array`, arrays and plain objects of these.
 * @throws SyncError `VALUE_INVALID`, `FIELD_RESERVED`, `LIMIT_DEPTH` or `LIMIT_MAP_KEYS` for anything else
 */
export function writeValue(value: unknown, order: FieldOrder, depth: number): void {
  // One comparison after the other: a `switch` makes the engine look the name of the type up.
  if (typeof value === 'string') writeText(value);
  else if (typeof value === 'number') writeNumber(value);
  else if (typeof value === 'boolean') writeByte(value ? 0xc3 : 0xc2);
  else if (value === null) writeByte(0xc0);
  else if (typeof value === 'object') writeObject(value, order, depth);
  else invalid(`a ${typeof value}`);
}

function writeObject(value: object, order: FieldOrder, depth: number): void {
  if (value instanceof Uint8Array) {
    writeBytes(value);
    return;
  }
  if (depth > VALUE_MAX_DEPTH) {
    throw new SyncError('LIMIT_DEPTH', `nested deeper than ${VALUE_MAX_DEPTH}`, { origin: 'state' });
  }
  if (Array.isArray(value)) writeArray(value, order, depth);
  else writeMap(value, order, depth);
}

function writeByte(byte: number): void {
  reserve(1);
  scratch[position++] = byte;
}

/** Ascending by UTF-8 bytes: like `<`, but astral characters come after U+E000 to U+FFFF. */
export function compareUtf8(left: string, right: string): number {
  const length = Math.min(left.length, right.length);
  for (let index = 0; index < length; index++) {
    let a = left.charCodeAt(index);
    let b = right.charCodeAt(index);
    if (a === b) continue;
    if (a >= 0xd800 && b >= 0xd800) {
      a = a >= 0xe000 ? a - 0x800 : a + 0x2000;
      b = b >= 0xe000 ? b - 0x800 : b + 0x2000;
    }
    return a - b;
  }
  return left.length - right.length;
}

/** Bytes written so far. */
export function writtenLength(): number {
  return position;
}

/** A copy of what was written from `start` on. */
export function writtenFrom(start: number): Uint8Array {
  return scratch.slice(start, position);
}

/** Takes back what was written from `start` on. */
export function unwriteFrom(start: number): void {
  position = start;
}

/** Puts another byte where one was written. */
export function rewriteByte(at: number, byte: number): void {
  scratch[at] = byte;
}

/** Copies what was written to `at` of other bytes. */
export function copyWritten(into: Uint8Array, at: number): void {
  into.set(scratch.subarray(0, position), at);
}

/** A copy of what was written. */
export function writtenBytes(): Uint8Array {
  return scratch.slice(0, position);
}

// A memory of its own costs an engine far more than the few bytes of a usual frame, so that small ones lie side by side in one.
const SLAB = 4_096;
const SLAB_PART_MAX = 512;
let slab = new Int32Array(SLAB / 4);
/** Words in use. */
let slabUsed = 0;

/**
 * A copy of what was written, as {@link writtenBytes}, but where it is small in a memory that it shares with other copies:
 * its `buffer` is not to be given away.
 */
export function writtenInSlab(): Uint8Array {
  const length = position;
  if (length > SLAB_PART_MAX) return writtenBytes();
  // Word by word, which is a quarter of the steps; what lies behind the last byte does not matter.
  const words = (length + 3) >> 2;
  if (slabUsed + words > slab.length) {
    slab = new Int32Array(SLAB / 4);
    slabUsed = 0;
  }
  const from = scratchWords;
  const into = slab;
  const start = slabUsed;
  for (let at = 0; at < words; at++) into[start + at] = from[at]!;
  slabUsed = start + words;
  return new Uint8Array(into.buffer, start * 4, length);
}

/** Bytes that are msgpack already. */
export function writeEncoded(bytes: Uint8Array): void {
  reserve(bytes.length);
  scratch.set(bytes, position);
  position += bytes.length;
}

/** {@link writeEncoded} of a few bytes, for which a call to the engine costs more than the bytes. */
export function writeShort(bytes: Uint8Array): void {
  const { length } = bytes;
  reserve(length);
  const into = scratch;
  const start = position;
  for (let index = 0; index < length; index++) into[start + index] = bytes[index]!;
  position = start + length;
}

/** Two 32-bit words as 8 bytes behind their header. */
export function writeWords(high: number, low: number): void {
  reserve(10);
  scratch[position] = 0xc4;
  scratch[position + 1] = 8;
  view.setInt32(position + 2, high);
  view.setInt32(position + 6, low);
  position += 10;
}

/** The hash of what was written. */
export function hashWritten(hasher: Hasher, out: HashWords): void {
  hasher.hash(view, position, out);
}
