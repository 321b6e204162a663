import { SyncError } from '../errors/index.ts';
import {
  fastHasher,
  finish,
  type Hasher,
  type HashWords,
  hashText,
  laneFirst,
  laneSecond,
  SEED_1,
  SEED_2,
} from './hash.ts';
import { beginWriting, hashWritten, MAP_MAX_FIELDS, writeEncoded, writeValue } from './writer.ts';

/**
 * The hash of a record under its key: a sum, so that a field that changes is taken out and put in again, and the others
 * need not be read.
 *
 *     D(text)           = H(UTF-8 bytes of text)
 *     hash(key, record) = H(D(key)) + the sum over all fields of H(D(key) D(name) canonical bytes of the value)
 *
 * `H` is the hasher, whose two 32-bit words, the high one first, go into bytes little-endian each. Sums are taken word by
 * word, modulo 2^32. Key and name are part of what is hashed for a field, so a value that moves to another field or record
 * changes the sum, and so does a record without fields.
 */

/** Of a field, or of a key: at once taken into a sum. */
const part: HashWords = new Int32Array(2);
/** Where D(key), and then D(name), led the two lanes of the fast hash. */
const keyLanes: HashWords = new Int32Array(2);
const nameLanes: HashWords = new Int32Array(2);
/** D(key) and D(name) as bytes, for everything that is not hashed in registers. */
const prefix = new Uint8Array(16);
const prefixView = new DataView(prefix.buffer);

/**
 * The hash of a record under its key, into `out`. `high` and `low` are the {@link hashText} of the key.
 * @throws SyncError `VALUE_INVALID`, `FIELD_RESERVED`, `LIMIT_DEPTH` or `LIMIT_MAP_KEYS` for a record without canonical bytes
 */
export function hashRecord(
  hasher: Hasher,
  key: string,
  high: number,
  low: number,
  record: { readonly [name: string]: unknown },
  out: HashWords,
): void {
  if (!key.isWellFormed()) invalidText();
  beginKey(hasher, key, high, low);
  hasher.hash(prefixView, 8, part);
  let sumHigh = part[0]!;
  let sumLow = part[1]!;
  let count = 0;
  for (const name in record) {
    if (++count > MAP_MAX_FIELDS) tooManyFields(count);
    beginField(hasher, name);
    hashValue(hasher, record[name]);
    sumHigh = (sumHigh + part[0]!) | 0;
    sumLow = (sumLow + part[1]!) | 0;
  }
  out[0] = sumHigh;
  out[1] = sumLow;
}

/**
 * From the hash of a record, in `out`, to that of the record with `fields` set and then the fields of `removed` gone that are not among
 * them, into `out` again.
 * @throws SyncError as {@link hashRecord}, for what is set
 */
export function hashPatch(
  hasher: Hasher,
  key: string,
  high: number,
  low: number,
  before: { readonly [name: string]: unknown },
  fields: { readonly [name: string]: unknown },
  removed: readonly string[],
  out: HashWords,
): void {
  beginKey(hasher, key, high, low);
  let sumHigh = out[0]!;
  let sumLow = out[1]!;
  let added = 0;
  for (const name in fields) {
    const value = fields[name];
    const old = before[name];
    if (old === value && value !== undefined && (value !== 0 || Object.is(old, value))) continue;
    beginField(hasher, name);
    hashValue(hasher, value);
    sumHigh = (sumHigh + part[0]!) | 0;
    sumLow = (sumLow + part[1]!) | 0;
    if (isField(old)) {
      hashValue(hasher, old);
      sumHigh = (sumHigh - part[0]!) | 0;
      sumLow = (sumLow - part[1]!) | 0;
    } else {
      added++;
    }
  }
  for (let index = 0; index < removed.length; index++) {
    const name = removed[index]!;
    if (name === '__proto__' || !isField(before[name]) || isField(fields[name])) continue;
    if (removed.indexOf(name) < index) continue;
    beginField(hasher, name);
    hashValue(hasher, before[name]);
    sumHigh = (sumHigh - part[0]!) | 0;
    sumLow = (sumLow - part[1]!) | 0;
    added--;
  }
  if (added > 0) checkCount(before, added);
  out[0] = sumHigh;
  out[1] = sumLow;
}

/** Reading a name that is no field gives undefined, or a function that every object inherits. */
function isField(value: unknown): boolean {
  return value !== undefined && typeof value !== 'function';
}

function checkCount(before: object, added: number): void {
  let count = added;
  for (const _ in before) count++;
  if (count > MAP_MAX_FIELDS) tooManyFields(count);
}

function tooManyFields(count: number): never {
  throw new SyncError('LIMIT_MAP_KEYS', `${count} fields, at most ${MAP_MAX_FIELDS}`, { origin: 'state' });
}

function invalidText(): never {
  throw new SyncError('VALUE_INVALID', 'a string with a lone surrogate has no canonical bytes', { origin: 'state' });
}

function beginKey(hasher: Hasher, key: string, high: number, low: number): void {
  if (hasher !== fastHasher) {
    digest(hasher, key, 0);
    return;
  }
  prefixView.setInt32(0, high, true);
  prefixView.setInt32(4, low, true);
  const a = laneFirst(SEED_1, high);
  const b = laneSecond(SEED_2, high, a);
  const last = laneFirst(a, low);
  keyLanes[0] = last;
  keyLanes[1] = laneSecond(b, low, last);
}

/** A field of the key that was begun. */
function beginField(hasher: Hasher, name: string): void {
  if (hasher !== fastHasher) {
    checkName(name);
    digest(hasher, name, 8);
    return;
  }
  const at = 2 * slotOf(name);
  const high = nameWords[at]!;
  const low = nameWords[at + 1]!;
  prefixView.setInt32(8, high, true);
  prefixView.setInt32(12, low, true);
  const first = laneFirst(keyLanes[0]!, high);
  const second = laneSecond(keyLanes[1]!, high, first);
  const last = laneFirst(first, low);
  nameLanes[0] = last;
  nameLanes[1] = laneSecond(second, low, last);
}

/** The hash of a value of the field that was begun, into `part`. */
function hashValue(hasher: Hasher, value: unknown): void {
  if (hasher === fastHasher && hashShort(nameLanes[0]!, nameLanes[1]!, value)) return;
  beginWriting();
  writeEncoded(prefix);
  // The record counts as depth 0, as the schema of records counts it.
  writeValue(value, 'sorted', 1);
  hashWritten(hasher, part);
}

// --- names: few, and used again and again ----------------------------------------------------------------------------

const NAMES_KEPT = 256;
const NAME_KEPT_MAX = 64;
/** The last name seen in each place; one place more is for long names, which are not kept. */
const names: (string | undefined)[] = new Array(NAMES_KEPT + 1).fill(undefined);
/** D(name) of each. */
const nameWords: HashWords = new Int32Array(2 * (NAMES_KEPT + 1));

/** Where the words of a name are. */
function slotOf(name: string): number {
  const length = name.length;
  if (length === 0 || length > NAME_KEPT_MAX) return fillSlot(name, NAMES_KEPT);
  const slot = (name.charCodeAt(0) * 7 + length * 31) & (NAMES_KEPT - 1);
  return names[slot] === name ? slot : fillSlot(name, slot);
}

function fillSlot(name: string, slot: number): number {
  checkName(name);
  hashText(name, part);
  nameWords[2 * slot] = part[0]!;
  nameWords[2 * slot + 1] = part[1]!;
  if (slot < NAMES_KEPT) names[slot] = name;
  return slot;
}

function checkName(name: string): void {
  if (!name.isWellFormed()) invalidText();
  if (name === '__proto__') {
    throw new SyncError('FIELD_RESERVED', 'a field may not be called __proto__', { origin: 'state' });
  }
}

// --- other hashers ---------------------------------------------------------------------------------------------------

const encoder = new TextEncoder();

function digest(hasher: Hasher, text: string, at: number): void {
  const bytes = encoder.encode(text);
  hasher.hash(new DataView(bytes.buffer), bytes.length, part);
  prefixView.setInt32(at, part[0]!, true);
  prefixView.setInt32(at + 4, part[1]!, true);
}

// --- the values that records mostly hold, by the fast hash and in registers -----------------------------------------------

/** False, and nothing done, for a value that is to be hashed by its bytes. `a` and `b` are the lanes after key and name. */
function hashShort(a: number, b: number, value: unknown): boolean {
  let word: number;
  let length: number;
  if (typeof value === 'number') {
    if ((value | 0) !== value || (value === 0 && 1 / value < 0)) return false;
    // The shortest of its canonical forms, of which the first byte is the lowest of a word.
    if (value >= -0x20 && value < 0x80) {
      word = value & 0xff;
      length = 17;
    } else if (value >= -0x80 && value < 0x100) {
      word = (value < 0 ? 0xd0 : 0xcc) | ((value & 0xff) << 8);
      length = 18;
    } else if (value >= -0x8000 && value < 0x10000) {
      word = (value < 0 ? 0xd1 : 0xcd) | (value & 0xff00) | ((value & 0xff) << 16);
      length = 19;
    } else {
      const tag = value < 0 ? 0xd2 : 0xce;
      const first = tag | ((value >>> 16) & 0xff00) | (value & 0xff0000) | ((value & 0xff00) << 16);
      a = laneFirst(a, first);
      b = laneSecond(b, first, a);
      word = value & 0xff;
      length = 21;
    }
  } else if (typeof value === 'string') {
    return value.length < 32 && hashAscii(a, b, value);
  } else {
    if (value === true) word = 0xc3;
    else if (value === false) word = 0xc2;
    else if (value === null) word = 0xc0;
    else return false;
    length = 17;
  }
  a = laneFirst(a, word);
  finish(a, laneSecond(b, word, a), length, part);
  return true;
}

/** Text of less than 32 ASCII characters: a byte of header, and the characters. False for any other. */
function hashAscii(a: number, b: number, text: string): boolean {
  const length = text.length;
  let word = 0xa0 | length;
  let shift = 8;
  let all = 0;
  for (let index = 0; index < length; index++) {
    const unit = text.charCodeAt(index);
    all |= unit;
    word |= unit << shift;
    shift += 8;
    if (shift < 32) continue;
    a = laneFirst(a, word);
    b = laneSecond(b, word, a);
    word = 0;
    shift = 0;
  }
  if (all > 0x7f) return false;
  if (shift > 0) {
    a = laneFirst(a, word);
    b = laneSecond(b, word, a);
  }
  finish(a, b, 17 + length, part);
  return true;
}
