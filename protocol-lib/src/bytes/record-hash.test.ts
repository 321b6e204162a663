import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  canonicalBytes,
  fastHasher,
  type Hasher,
  hashBytes,
  hashPatch,
  hashRecord,
  hashText,
  wordsToHex,
} from './index.ts';
import { arbitraryPlain } from './testing.ts';

const encoder = new TextEncoder();

type Fields = { readonly [name: string]: unknown };

/** Another hasher than the one that has a way of its own through short values. */
const other: Hasher = {
  name: 'other',
  hash(view, length, out) {
    fastHasher.hash(view, length, out);
    out[0]! ^= 0x5555;
  },
};

const hashers = fc.constantFrom(fastHasher, other);

const fieldName = fc
  .oneof(fc.constantFrom('x', 'room', 'name', 'é', '', 'constructor'), fc.string({ unit: 'grapheme', maxLength: 9 }))
  .map((name) => name.toWellFormed())
  .filter((name) => name !== '__proto__');

const value = fc.oneof(
  arbitraryPlain,
  fc.string({ unit: 'grapheme-ascii', maxLength: 40 }),
  fc.constantFrom(
    0,
    -0,
    0x7f,
    0x80,
    0xff,
    0x100,
    0xffff,
    0x10000,
    2 ** 31 - 1,
    2 ** 31,
    -1,
    -0x20,
    -0x21,
    -0x80,
    -0x81,
  ),
  fc.constantFrom(-0x8000, -0x8001, -(2 ** 31), -(2 ** 31) - 1, 0.5, Number.NaN, null, true, false, ''),
);

const record = fc.dictionary(fieldName, value, { maxKeys: 6, noNullPrototype: true });

/** The hash as the comment of the module and docs/root-hash.md define it, word by word. */
function fromScratch(hasher: Hasher, key: string, fields: Fields): string {
  const hash = (bytes: Uint8Array): Int32Array => {
    const out = new Int32Array(2);
    hasher.hash(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), bytes.length, out);
    return out;
  };
  const digest = (text: string): Uint8Array => {
    const bytes = new Uint8Array(8);
    const words = hash(encoder.encode(text));
    for (const at of [0, 1]) new DataView(bytes.buffer).setInt32(4 * at, words[at]!, true);
    return bytes;
  };
  const parts = [hash(digest(key))];
  for (const [name, one] of Object.entries(fields)) {
    parts.push(hash(new Uint8Array([...digest(key), ...digest(name), ...canonicalBytes(one)])));
  }
  const add = (at: number) => parts.reduce((sum, part) => (sum + part[at]!) | 0, 0);
  return wordsToHex(add(0), add(1));
}

function placeOf(key: string): [number, number] {
  const out = new Int32Array(2);
  hashText(key, out);
  return [out[0]!, out[1]!];
}

function hashOf(hasher: Hasher, key: string, fields: Fields): string {
  const out = new Int32Array(2);
  hashRecord(hasher, key, ...placeOf(key), fields, out);
  return wordsToHex(out[0]!, out[1]!);
}

describe('hashRecord', () => {
  it('is the sum over the fields that it is defined as', () => {
    fc.assert(
      fc.property(hashers, fc.string({ unit: 'grapheme' }), record, (hasher, text, fields) => {
        const key = text.toWellFormed();
        expect(hashOf(hasher, key, fields)).toBe(fromScratch(hasher, key, fields));
      }),
      { numRuns: 500 },
    );
  });

  it('takes every integer for what its canonical bytes are', () => {
    fc.assert(
      fc.property(fc.oneof(fc.integer(), fc.integer({ min: -40_000, max: 70_000 })), (one) => {
        expect(hashOf(fastHasher, 'a/b', { x: one })).toBe(fromScratch(fastHasher, 'a/b', { x: one }));
      }),
      { numRuns: 1_000 },
    );
  });

  it('is written down', () => {
    expect(hashBytes(encoder.encode('player/alice'))).toBe('33c5f9b0ff726bff');
    expect(hashOf(fastHasher, 'player/alice', {})).toBe('4d285999e55a7e24');
    expect(hashOf(fastHasher, 'player/alice', { health: 100 })).toBe('3a618684f42e4e0a');
    const alice = { name: 'Alice', room: 'hall', health: 100, alive: true };
    expect(hashOf(fastHasher, 'player/alice', alice)).toBe('7d0596b413441f06');
  });

  it('gives every value at every place another hash, and moving values about changes it', () => {
    const seen = new Set<string>();
    let count = 0;
    for (let key = 0; key < 20; key++) {
      for (const name of ['x', 'y', 'z', 'xy', 'health']) {
        for (let one = -20; one < 180; one++, count++) seen.add(hashOf(fastHasher, `thing/${key}`, { [name]: one }));
      }
    }
    expect(seen.size).toBe(count);
    const swapped = new Set<string>();
    let pairs = 0;
    for (let x = 0; x < 60; x++) {
      for (let y = 0; y < 60; y++, pairs++) swapped.add(hashOf(fastHasher, 'thing/1', { x, y }));
    }
    expect(swapped.size).toBe(pairs);
  });

  it('refuses what has no canonical bytes', () => {
    const wide = Object.fromEntries(Array.from({ length: 65_536 }, (_, index) => [`n${index}`, 0]));
    for (const [key, fields, code] of [
      ['a/\ud800', {}, 'VALUE_INVALID'],
      ['a/b', { '\ud800': 1 }, 'VALUE_INVALID'],
      ['a/b', { a: '\udc00' }, 'VALUE_INVALID'],
      ['a/b', { a: undefined }, 'VALUE_INVALID'],
      ['a/b', { a: 1n }, 'VALUE_INVALID'],
      ['a/b', JSON.parse('{"__proto__":1}'), 'FIELD_RESERVED'],
      ['a/b', wide, 'LIMIT_MAP_KEYS'],
    ] as [string, Fields, string][]) {
      for (const hasher of [fastHasher, other]) {
        expect(() => hashOf(hasher, key, fields)).toThrow(expect.objectContaining({ code }));
      }
    }
  });
});

describe('hashPatch', () => {
  it('leads to the hash that the patched record has from scratch', () => {
    const names = fc.array(fieldName, { maxLength: 4 });
    fc.assert(
      fc.property(hashers, record, record, names, fc.nat(), (hasher, before, fields, some, pick) => {
        const own = Object.keys(before);
        const removed =
          own.length === 0 ? some : [...some, own[pick % own.length]!, own[pick % own.length]!, '__proto__'];
        const after = new Map(Object.entries(before));
        for (const name of removed) after.delete(name);
        for (const [name, one] of Object.entries(fields)) after.set(name, one);
        const out = new Int32Array(2);
        hashRecord(hasher, 'thing/1', ...placeOf('thing/1'), before, out);
        hashPatch(hasher, 'thing/1', ...placeOf('thing/1'), before, fields, removed, out);
        expect(wordsToHex(out[0]!, out[1]!)).toBe(fromScratch(hasher, 'thing/1', Object.fromEntries(after)));
      }),
      { numRuns: 500 },
    );
  });

  it('counts the fields where some are new', () => {
    const wide = Object.fromEntries(Array.from({ length: 65_535 }, (_, index) => [`n${index}`, 0]));
    const patch = (fields: Fields, removed: readonly string[]) => () =>
      hashPatch(fastHasher, 'a/b', ...placeOf('a/b'), wide, fields, removed, new Int32Array(2));
    expect(patch({ n1: 5 }, [])).not.toThrow();
    expect(patch({ more: 5 }, ['n1'])).not.toThrow();
    expect(patch({ more: 5 }, [])).toThrow(expect.objectContaining({ code: 'LIMIT_MAP_KEYS' }));
    expect(patch({ more: 5 }, ['nothing'])).toThrow(expect.objectContaining({ code: 'LIMIT_MAP_KEYS' }));
  });
});
