import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fastHasher, hashBytes, hashText, wordsToHex } from './index.ts';

const encoder = new TextEncoder();

function hash(bytes: Uint8Array): [number, number] {
  const out = new Int32Array(2);
  fastHasher.hash(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), bytes.length, out);
  return [out[0]!, out[1]!];
}

describe('fastHasher', () => {
  it('has these values for ever', () => {
    expect(hashBytes(new Uint8Array(0))).toBe('c2254a9157cf4183');
    expect(hashBytes(encoder.encode('a'))).toBe('44603e47e2a54c69');
    expect(hashBytes(encoder.encode('player/alice'))).toBe('33c5f9b0ff726bff');
    expect(hashBytes(Uint8Array.from({ length: 255 }, (_, index) => index))).toBe('8405fb22c643fd2d');
  });

  it('hashes text as its UTF-8 bytes', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ maxLength: 40 }), fc.string({ unit: 'binary' })), (text) => {
        const out = new Int32Array(2);
        hashText(text, out);
        expect([...out]).toEqual(hash(encoder.encode(text)));
      }),
    );
  });

  it('reads only the bytes that it is given', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.uint8Array(), fc.uint8Array(), (before, bytes, after) => {
        const all = new Uint8Array([...before, ...bytes, ...after]);
        expect(hash(all.subarray(before.length, before.length + bytes.length))).toEqual(hash(bytes));
      }),
    );
  });

  it('tells runs of zeros apart by their length', () => {
    const seen = new Set(Array.from({ length: 1_000 }, (_, length) => wordsToHex(...hash(new Uint8Array(length)))));
    expect(seen.size).toBe(1_000);
  });

  it('flips about half of the bits, each of them, when any bit of the input flips', () => {
    for (const length of [1, 4, 7, 16, 50]) {
      const samples = 300;
      const flips = new Float64Array(64);
      let worst = 0;
      for (let bit = 0; bit < length * 8; bit++) {
        const here = new Float64Array(64);
        for (let sample = 0; sample < samples; sample++) {
          const bytes = Uint8Array.from(
            { length },
            (_, index) => Math.imul(sample * 64 + index + 1, 0x9e3779b1) >>> 11,
          );
          const [high, low] = hash(bytes);
          bytes[bit >> 3]! ^= 1 << (bit & 7);
          const [otherHigh, otherLow] = hash(bytes);
          for (let out = 0; out < 32; out++) {
            here[out]! += ((high ^ otherHigh) >>> out) & 1;
            here[32 + out]! += ((low ^ otherLow) >>> out) & 1;
          }
        }
        for (let out = 0; out < 64; out++) {
          flips[out]! += here[out]!;
          worst = Math.max(worst, Math.abs(here[out]! / samples - 0.5));
        }
      }
      // Six standard deviations of a fair coin over the samples; of all pairs of bits the worst stays within.
      expect(worst).toBeLessThan(6 * Math.sqrt(0.25 / samples));
      for (const count of flips) {
        expect(Math.abs(count / (samples * length * 8) - 0.5)).toBeLessThan(
          6 * Math.sqrt(0.25 / (samples * length * 8)),
        );
      }
    }
  });

  it('spreads structured keys evenly over every level of the trie, without a collision', () => {
    const names = ['player/', 'item/', 'room-', 'thing/0000', 'é/'];
    const keys = names.flatMap((name) => Array.from({ length: 20_000 }, (_, index) => `${name}${index}`));
    const seen = new Set<string>();
    const levels = Array.from({ length: 16 }, () => new Float64Array(16));
    const out = new Int32Array(2);
    for (const key of keys) {
      hashText(key, out);
      seen.add(wordsToHex(out[0]!, out[1]!));
      for (let level = 0; level < 8; level++) {
        levels[level]![(out[0]! >>> (28 - level * 4)) & 15]!++;
        levels[level + 8]![(out[1]! >>> (28 - level * 4)) & 15]!++;
      }
    }
    expect(seen.size).toBe(keys.length);
    const expected = keys.length / 16;
    for (const level of levels) {
      // Chi-squared with 15 degrees of freedom passes 50 about once in 100,000 times.
      const chi = level.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
      expect(chi).toBeLessThan(50);
    }
  });

  it('gives each half about as many collisions as chance does', () => {
    const halves = [new Set<number>(), new Set<number>()];
    const count = 200_000;
    for (let index = 0; index < count; index++) {
      const [high, low] = hash(encoder.encode(`{"name":"thing ${index}","room":${index % 7}}`));
      halves[0]!.add(high);
      halves[1]!.add(low);
    }
    // n² / 2^33 = 4.7 collisions are due in 32 bits.
    for (const half of halves) expect(count - half.size).toBeLessThan(25);
  });
});
