/**
 * The fast hash: 64 bits as two 32-bit words over bytes, four at a time. It finds drift; it does not
 * withstand somebody who looks for collisions.
 *
 * Two lanes run over the same little-endian words, each with its own multiplier, and the second is fed
 * by the first, so that inputs which collide in one lane still differ in the other. The tail is padded
 * with zeros and the length goes into the finish, so `[0]` and `[0, 0]` differ.
 */

const LANE_1 = 0x9e3779b1 | 0;
const LANE_2 = 0x85ebca77 | 0;
export const SEED_1 = 0x27d4eb2f | 0;
export const SEED_2 = 0x165667b1 | 0;

/** Two signed 32-bit words: `out[0]` is the high one. Results are written here so that a hash allocates nothing. */
export type HashWords = Int32Array;

/** What turns bytes into a 64-bit hash. A port: pass a cryptographic one where peers may cheat. */
export interface Hasher {
  /** Stands for the algorithm; roots of different hashers are never compared. */
  readonly name: string;
  /** Hashes the first `length` bytes of `view` into `out[0]` (high) and `out[1]` (low). */
  hash(view: DataView, length: number, out: HashWords): void;
}

/** The first lane after one more word. */
export function laneFirst(a: number, word: number): number {
  const mixed = Math.imul(a ^ word, LANE_1);
  return mixed ^ (mixed >>> 15);
}

/** The second lane after one more word, which the first, `a`, has had already. */
export function laneSecond(b: number, word: number, a: number): number {
  const mixed = Math.imul((b + word) | 0, LANE_2);
  return (((mixed << 13) | (mixed >>> 19)) + a) | 0;
}

/** The hash of `length` bytes that led the lanes here. */
export function finish(first: number, second: number, length: number, out: HashWords): void {
  let a = first ^ length;
  let b = second ^ Math.imul(length, LANE_1);
  a = (a + b) | 0;
  a = Math.imul(a ^ (a >>> 16), 0x85ebca6b);
  a = Math.imul(a ^ (a >>> 13), 0xc2b2ae35);
  a ^= a >>> 16;
  b = (b + a) | 0;
  b = Math.imul(b ^ (b >>> 16), 0x21f0aaad);
  b = Math.imul(b ^ (b >>> 15), 0x735a2d97);
  b ^= b >>> 15;
  out[0] = a;
  out[1] = b;
}

export const fastHasher: Hasher = {
  name: 'fast64',
  hash(view, length, out) {
    let a = SEED_1;
    let b = SEED_2;
    let offset = 0;
    for (const end = length & ~3; offset < end; offset += 4) {
      const word = view.getInt32(offset, true);
      a = Math.imul(a ^ word, LANE_1);
      a ^= a >>> 15;
      b = Math.imul((b + word) | 0, LANE_2);
      b = (((b << 13) | (b >>> 19)) + a) | 0;
    }
    if (offset < length) {
      let word = view.getUint8(offset);
      if (offset + 1 < length) word |= view.getUint8(offset + 1) << 8;
      if (offset + 2 < length) word |= view.getUint8(offset + 2) << 16;
      a = Math.imul(a ^ word, LANE_1);
      a ^= a >>> 15;
      b = Math.imul((b + word) | 0, LANE_2);
      b = (((b << 13) | (b >>> 19)) + a) | 0;
    }
    finish(a, b, length, out);
  },
};

/** {@link fastHasher} over the UTF-8 bytes of a well-formed string, without making them where it is ASCII. */
export function hashText(text: string, out: HashWords): void {
  const length = text.length;
  let a = SEED_1;
  let b = SEED_2;
  let offset = 0;
  let all = 0;
  for (const end = length & ~3; offset < end; offset += 4) {
    const c0 = text.charCodeAt(offset);
    const c1 = text.charCodeAt(offset + 1);
    const c2 = text.charCodeAt(offset + 2);
    const c3 = text.charCodeAt(offset + 3);
    all |= c0 | c1 | c2 | c3;
    const word = c0 | (c1 << 8) | (c2 << 16) | (c3 << 24);
    a = Math.imul(a ^ word, LANE_1);
    a ^= a >>> 15;
    b = Math.imul((b + word) | 0, LANE_2);
    b = (((b << 13) | (b >>> 19)) + a) | 0;
  }
  if (offset < length) {
    let word = 0;
    for (let shift = 0; offset < length; offset++, shift += 8) {
      const unit = text.charCodeAt(offset);
      all |= unit;
      word |= unit << shift;
    }
    a = Math.imul(a ^ word, LANE_1);
    a ^= a >>> 15;
    b = Math.imul((b + word) | 0, LANE_2);
    b = (((b << 13) | (b >>> 19)) + a) | 0;
  }
  if (all > 0x7f) {
    hashEncoded(text, out);
    return;
  }
  finish(a, b, length, out);
}

const encoder = new TextEncoder();

function hashEncoded(text: string, out: HashWords): void {
  const bytes = encoder.encode(text);
  fastHasher.hash(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), bytes.length, out);
}

/** {@link fastHasher} over bytes, as 16 lower-case hex digits. */
export function hashBytes(bytes: Uint8Array): string {
  const out = new Int32Array(2);
  fastHasher.hash(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), bytes.byteLength, out);
  return wordsToHex(out[0]!, out[1]!);
}

/** Two 32-bit words, signed or not, as 16 lower-case hex digits. */
export function wordsToHex(high: number, low: number): string {
  return String.fromCharCode(
    DIGITS[(high >>> 28) & 15]!,
    DIGITS[(high >>> 24) & 15]!,
    DIGITS[(high >>> 20) & 15]!,
    DIGITS[(high >>> 16) & 15]!,
    DIGITS[(high >>> 12) & 15]!,
    DIGITS[(high >>> 8) & 15]!,
    DIGITS[(high >>> 4) & 15]!,
    DIGITS[high & 15]!,
    DIGITS[(low >>> 28) & 15]!,
    DIGITS[(low >>> 24) & 15]!,
    DIGITS[(low >>> 20) & 15]!,
    DIGITS[(low >>> 16) & 15]!,
    DIGITS[(low >>> 12) & 15]!,
    DIGITS[(low >>> 8) & 15]!,
    DIGITS[(low >>> 4) & 15]!,
    DIGITS[low & 15]!,
  );
}

const DIGITS = encoder.encode('0123456789abcdef');
