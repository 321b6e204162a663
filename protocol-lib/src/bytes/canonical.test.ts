import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  canonicalBytes,
  checkMsgpack,
  compareUtf8,
  fromHex,
  isCanonical,
  ownCopy,
  toHex,
  unpackMsgpack,
} from './index.ts';
import { arbitraryPlain, isSame } from './testing.ts';

const hex = (value: unknown) => toHex(canonicalBytes(value));

describe('canonicalBytes', () => {
  it('is the profile, byte for byte', () => {
    const cases: [unknown, string][] = [
      [null, 'c0'],
      [false, 'c2'],
      [true, 'c3'],
      [0, '00'],
      [-0, 'cb8000000000000000'],
      [127, '7f'],
      [128, 'cc80'],
      [255, 'ccff'],
      [256, 'cd0100'],
      [65_535, 'cdffff'],
      [65_536, 'ce00010000'],
      [2 ** 32 - 1, 'ceffffffff'],
      [2 ** 32, 'cf0000000100000000'],
      [Number.MAX_SAFE_INTEGER, 'cf001fffffffffffff'],
      [2 ** 53, 'cb4340000000000000'],
      [-1, 'ff'],
      [-32, 'e0'],
      [-33, 'd0df'],
      [-128, 'd080'],
      [-129, 'd1ff7f'],
      [-32_768, 'd18000'],
      [-32_769, 'd2ffff7fff'],
      [-(2 ** 31), 'd280000000'],
      [-(2 ** 31) - 1, 'd3ffffffff7fffffff'],
      [Number.MIN_SAFE_INTEGER, 'd3ffe0000000000001'],
      [1.5, 'cb3ff8000000000000'],
      [Number.NaN, 'cb7ff8000000000000'],
      [Number.NEGATIVE_INFINITY, 'cbfff0000000000000'],
      ['', 'a0'],
      ['é€😀', 'a9c3a9e282acf09f9880'],
      ['x'.repeat(31), `bf${'78'.repeat(31)}`],
      ['x'.repeat(32), `d920${'78'.repeat(32)}`],
      ['é'.repeat(16), `d920${'c3a9'.repeat(16)}`],
      ['x'.repeat(256), `da0100${'78'.repeat(256)}`],
      [new Uint8Array([1, 2]), 'c4020102'],
      [[], '90'],
      [Array(16).fill(0), `dc0010${'00'.repeat(16)}`],
      [{ b: 1, a: [null] }, '82a16191c0a16201'],
      // Integer-like names come first in an object, whatever was written; here they are text.
      [{ b: 0, 10: 0, 9: 0 }, '83a23130 00a139 00a162 00'.replaceAll(' ', '')],
      // U+FF5E is above the surrogates as a UTF-16 unit, below U+1F600 as a code point.
      [{ '😀': 0, '～': 0 }, '82a3efbd9e00a4f09f988000'],
    ];
    for (const [value, expected] of cases) expect(hex(value)).toBe(expected);
    expect(hex('x'.repeat(65_536)).slice(0, 10)).toBe('db00010000');
    expect(hex(new Uint8Array(256)).slice(0, 6)).toBe('c50100');
    expect(hex(new Uint8Array(65_536)).slice(0, 10)).toBe('c600010000');
    expect(hex(Array(65_536).fill(0)).slice(0, 10)).toBe('dd00010000');
    expect(hex(Object.fromEntries(Array.from({ length: 16 }, (_, n) => [`n${n}`, 0]))).slice(0, 6)).toBe('de0010');
  });

  it('is the same exactly for values equal by Object.is, field by field', () => {
    fc.assert(
      fc.property(arbitraryPlain, arbitraryPlain, (one, other) => {
        expect(hex(one) === hex(other)).toBe(isSame(one, other));
      }),
    );
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.string({ unit: 'binary' }).filter((name) => name !== '__proto__'),
          fc.nat(),
        ),
        (map) => {
          expect(hex(Object.fromEntries(Object.entries(map).reverse()))).toBe(hex(map));
        },
      ),
    );
  });

  it('is msgpack that passes the check and unpacks to the value', () => {
    fc.assert(
      fc.property(arbitraryPlain, (value) => {
        const bytes = canonicalBytes(value);
        checkMsgpack(bytes);
        expect(isSame(unpackMsgpack(bytes), value)).toBe(true);
        expect(isCanonical(value)).toBe(true);
      }),
    );
  });

  it('refuses what has none', () => {
    const nested = (depth: number) => JSON.parse(`${'['.repeat(depth)}${']'.repeat(depth)}`);
    const cases: [unknown, string][] = [
      [undefined, 'VALUE_INVALID'],
      [{ a: undefined }, 'VALUE_INVALID'],
      [new Array(2), 'VALUE_INVALID'],
      [1n, 'VALUE_INVALID'],
      [() => 1, 'VALUE_INVALID'],
      [Symbol('x'), 'VALUE_INVALID'],
      ['a\ud800', 'VALUE_INVALID'],
      [{ '\udc00': 1 }, 'VALUE_INVALID'],
      [JSON.parse('{"__proto__":1}'), 'FIELD_RESERVED'],
      [nested(66), 'LIMIT_DEPTH'],
      [Object.fromEntries(Array.from({ length: 65_536 }, (_, n) => [`n${n}`, 0])), 'LIMIT_MAP_KEYS'],
    ];
    for (const [value, code] of cases) {
      expect(() => canonicalBytes(value)).toThrow(expect.objectContaining({ code }));
      expect(isCanonical(value)).toBe(false);
    }
    expect(hex(nested(65))).toHaveLength(130);
    expect(hex([1])).toBe('9101');
  });
});

describe('compareUtf8', () => {
  it('orders as the bytes do', () => {
    const encoder = new TextEncoder();
    const text = fc.string({ unit: 'binary', maxLength: 6 });
    fc.assert(
      fc.property(text, text, (one, other) => {
        const bytes = Buffer.compare(encoder.encode(one), encoder.encode(other));
        expect(Math.sign(compareUtf8(one, other))).toBe(bytes);
      }),
    );
  });
});

describe('hex', () => {
  it('goes there and back', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(fromHex(toHex(bytes))).toEqual(bytes);
      }),
    );
    for (const bad of ['0', 'xx', '0x', ' 00']) {
      expect(() => fromHex(bad)).toThrow(expect.objectContaining({ code: 'HEX_INVALID' }));
    }
  });
});

describe('ownCopy', () => {
  const partsOf = (value: unknown): object[] =>
    typeof value !== 'object' || value === null
      ? []
      : value instanceof Uint8Array
        ? [value.buffer]
        : [value, ...Object.values(value).flatMap(partsOf)];

  it('is the same value in memory of its own', () => {
    fc.assert(
      fc.property(arbitraryPlain, (value) => {
        const copy = ownCopy(value);
        expect(isSame(copy, value)).toBe(true);
        const given = new Set(partsOf(value));
        expect(partsOf(copy).some((part) => given.has(part))).toBe(false);
      }),
    );
  });

  it("shares nothing with bytes that are a view of another's", () => {
    const bytes = Buffer.from([1, 2, 3]);
    const copy = ownCopy({ bytes });
    bytes[0] = 9;
    expect([...copy.bytes]).toEqual([1, 2, 3]);
  });
});
