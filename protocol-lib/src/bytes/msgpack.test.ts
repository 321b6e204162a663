import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { isSyncError } from '../errors/index.ts';
import { checkMsgpack, fromHex, MSGPACK_LIMITS, packMsgpack, toHex, unpackMsgpack } from './index.ts';
import { arbitraryPlain, isSame } from './testing.ts';

/** The code and offset that a check ends with; `ok` where it passes. */
function check(bytes: Uint8Array | string, limits = MSGPACK_LIMITS): string {
  try {
    checkMsgpack(typeof bytes === 'string' ? fromHex(bytes.replaceAll(' ', '')) : bytes, limits);
    return 'ok';
  } catch (error) {
    if (!isSyncError(error)) throw error;
    expect(error.origin).toBe('bytes');
    return `${error.code} ${error.place.offset}`;
  }
}

describe('packMsgpack and unpackMsgpack', () => {
  it('go there and back exactly, with fields in their order', () => {
    fc.assert(
      fc.property(arbitraryPlain, (value) => {
        const back = unpackMsgpack(packMsgpack(value));
        expect(isSame(back, value)).toBe(true);
        expect(toHex(packMsgpack(back))).toBe(toHex(packMsgpack(value)));
      }),
    );
    expect(Object.keys(unpackMsgpack(packMsgpack({ b: 1, a: 2 })) as object)).toEqual(['b', 'a']);
  });

  it('reads what another packer writes, and is read by it', () => {
    // Ours gets its NaN and -0 there as well; theirs comes without -0, which it writes as 0.
    const other = new Packr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number' });
    fc.assert(
      fc.property(arbitraryPlain, (value) => {
        const packed = packMsgpack(value);
        expect(isSame(other.unpack(packed), value)).toBe(true);
        const theirs = unpackMsgpack(other.pack(value));
        expect(isSame(theirs, other.unpack(other.pack(value)))).toBe(true);
      }),
    );
  });

  it('keeps a byte order mark, and names that objects inherit', () => {
    const value = { constructor: '\ufeffx', toString: 1, hasOwnProperty: { valueOf: null } };
    expect(unpackMsgpack(packMsgpack(value))).toEqual(value);
    expect(unpackMsgpack(packMsgpack(`\ufeff${'long'.repeat(20)}`))).toBe(`\ufeff${'long'.repeat(20)}`);
  });

  it('hands out bytes that are its own, and plain', () => {
    const packed = Buffer.from(packMsgpack(new Uint8Array([1, 2, 3])));
    const bytes = unpackMsgpack(packed) as Uint8Array;
    packed.fill(0);
    expect(bytes).toEqual(new Uint8Array([1, 2, 3]));
    expect(bytes.constructor).toBe(Uint8Array);
  });

  it('unpacks from the middle of a buffer', () => {
    const packed = packMsgpack({ a: [1.5, 'x', 2 ** 40] });
    const wide = new Uint8Array(packed.length + 10);
    wide.set(packed, 5);
    expect(unpackMsgpack(wide.subarray(5, 5 + packed.length))).toEqual({ a: [1.5, 'x', 2 ** 40] });
  });

  it('refuses to pack what would not come back', () => {
    for (const bad of [undefined, { a: undefined }, 1n, '\ud800', () => 0, Symbol('x')]) {
      expect(() => packMsgpack(bad)).toThrow(expect.objectContaining({ code: 'VALUE_INVALID' }));
    }
  });
});

describe('checkMsgpack', () => {
  it('passes every form of the profile, shortest or not', () => {
    for (const good of [
      '00 ',
      'c0',
      'cc 01',
      'cd 0001',
      'ce 00000001',
      'cf 0000000000000001',
      'd0 01',
      'd1 0001',
      'd2 00000001',
      'd3 0000000000000001',
      'ca 3f800000',
      'ca 7fc00000',
      'cb 7ff8000000000000',
      'cb fff0000000000000',
      'a1 61',
      'd9 01 61',
      'da 0001 61',
      'db 00000001 61',
      'c4 01 ff',
      'c5 0001 ff',
      'c6 00000001 ff',
      '91 c0',
      'dc 0001 c0',
      'dd 00000001 c0',
      '81 a1 61 c0',
      'de 0001 a1 61 c0',
      'df 00000001 d9 01 61 c0',
      'a4 f48fbfbf',
      'a3 ed9fbf',
      'cf 001fffffffffffff',
      'd3 ffe0000000000001',
      'd3 001fffffffffffff',
    ])
      expect([good, check(good)]).toEqual([good, 'ok']);
  });

  it('gives each deviation its code and offset', () => {
    for (const [bytes, expected] of [
      ['', 'LENGTH_EXCEEDS_INPUT 0'],
      ['c1', 'MSGPACK_INVALID 0'],
      ['92 00 c1', 'MSGPACK_INVALID 2'],
      ['00 00', 'MSGPACK_TRAILING 1'],
      ['dd ffffffff', 'LENGTH_EXCEEDS_INPUT 0'],
      ['df ffffffff', 'LENGTH_EXCEEDS_INPUT 0'],
      ['db ffffffff', 'LENGTH_EXCEEDS_INPUT 0'],
      ['c6 ffffffff', 'LENGTH_EXCEEDS_INPUT 0'],
      ['dd ffff', 'LENGTH_EXCEEDS_INPUT 0'],
      ['92 00', 'LENGTH_EXCEEDS_INPUT 0'],
      ['82 a1 61 00', 'LENGTH_EXCEEDS_INPUT 0'],
      ['91 cd 00', 'LENGTH_EXCEEDS_INPUT 1'],
      ['cb 00', 'LENGTH_EXCEEDS_INPUT 0'],
      ['a2 61', 'LENGTH_EXCEEDS_INPUT 0'],
      ['81 01 02', 'MSGPACK_INVALID 1'],
      ['81 c4 01 61 02', 'MSGPACK_INVALID 1'],
      ['82 a1 61 00 a1 61 01', 'MSGPACK_DUPLICATE_KEY 5'],
      ['82 a1 61 00 d9 01 61 01', 'MSGPACK_DUPLICATE_KEY 6'],
      ['81 a9 5f5f70726f746f5f5f 80', 'FIELD_RESERVED 2'],
      ['91 81 d9 09 5f5f70726f746f5f5f 80', 'FIELD_RESERVED 4'],
      ['cf 0020000000000000', 'MSGPACK_INVALID 0'],
      ['cf ffffffffffffffff', 'MSGPACK_INVALID 0'],
      ['d3 0020000000000000', 'MSGPACK_INVALID 0'],
      ['d3 ffe0000000000000', 'MSGPACK_INVALID 0'],
      ['d3 8000000000000000', 'MSGPACK_INVALID 0'],
      ['cb 7ff8000000000001', 'MSGPACK_INVALID 0'],
      ['cb fff8000000000000', 'MSGPACK_INVALID 0'],
      ['ca 7fc00001', 'MSGPACK_INVALID 0'],
      ['ca ffc00000', 'MSGPACK_INVALID 0'],
      ['d4 00 00', 'MSGPACK_INVALID 0'],
      ['d6 ff 00000000', 'MSGPACK_INVALID 0'],
      ['c7 01 00 00', 'MSGPACK_INVALID 0'],
      ['a1 ff', 'MSGPACK_INVALID 1'],
      ['a1 80', 'MSGPACK_INVALID 1'],
      ['a2 c080', 'MSGPACK_INVALID 1'],
      ['a2 c3 41', 'MSGPACK_INVALID 1'],
      ['a2 41 c3', 'MSGPACK_INVALID 2'],
      ['a3 e08080', 'MSGPACK_INVALID 1'],
      ['a3 eda080', 'MSGPACK_INVALID 1'],
      ['a4 f0808080', 'MSGPACK_INVALID 1'],
      ['a4 f4908080', 'MSGPACK_INVALID 1'],
      ['81 a1 ff 00', 'MSGPACK_INVALID 2'],
    ] as const)
      expect([bytes, check(bytes)]).toEqual([bytes, expected]);
  });

  it('stops at a depth, not at the end: a million nested arrays', () => {
    expect(check(new Uint8Array(1_000_000).fill(0x91))).toBe('LIMIT_DEPTH 64');
    expect(check(`${'91'.repeat(64)}c0`)).toBe('ok');
    expect(check(`${'91'.repeat(65)}c0`)).toBe('LIMIT_DEPTH 64');
    expect(check(`${'81a161'.repeat(65)}c0`)).toBe('LIMIT_DEPTH 192');
  });

  it('counts every value, before looking at it', () => {
    const limits = { ...MSGPACK_LIMITS, nodes: 5 };
    expect(check('94 00 00 00 00', limits)).toBe('ok');
    expect(check('95 00 00 00 00 00', limits)).toBe('LIMIT_NODES 0');
    expect(check('93 00 00 92 00 00', limits)).toBe('LIMIT_NODES 3');
    expect(check('82 a1 61 00 a1 62 81 a1 63 00', limits)).toBe('LIMIT_NODES 6');
    const million = new Uint8Array(1_000_005);
    million.set(fromHex('dd000f4240'));
    expect(check(million)).toBe('LIMIT_NODES 0');
  });

  it('refuses a map of 65,536 fields, and finds a double among 65,535', () => {
    const map = (count: number, name: (index: number) => number) => {
      const bytes = new Uint8Array(5 + count * 5);
      const view = new DataView(bytes.buffer);
      bytes[0] = 0xdf;
      view.setUint32(1, count);
      for (let index = 0; index < count; index++) {
        bytes[5 + index * 5] = 0xa3;
        const text = name(index).toString(36).padStart(4, '0').slice(1);
        for (let at = 0; at < 3; at++) bytes[6 + index * 5 + at] = text.charCodeAt(at);
      }
      return bytes;
    };
    expect(check(map(65_536, (index) => index % 46_656))).toBe('LIMIT_MAP_KEYS 0');
    expect(check(map(46_656, (index) => index))).toBe('ok');
    expect(check(map(46_656, (index) => (index === 46_655 ? 0 : index)))).toBe(
      `MSGPACK_DUPLICATE_KEY ${6 + 46_655 * 5}`,
    );
    expect(check(map(17, (index) => index % 16))).toBe(`MSGPACK_DUPLICATE_KEY ${6 + 16 * 5}`);
  });

  it('never lets anything but a SyncError out, and what it passes can be unpacked', () => {
    const garbage = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.tuple(arbitraryPlain, fc.nat(), fc.nat(255)).map(([value, place, byte]) => {
        const bytes = packMsgpack(value);
        bytes[place % bytes.length] = byte;
        return bytes;
      }),
      fc.tuple(arbitraryPlain, fc.nat()).map(([value, cut]) => {
        const bytes = packMsgpack(value);
        return bytes.subarray(0, cut % bytes.length);
      }),
    );
    fc.assert(
      fc.property(garbage, (bytes) => {
        if (check(bytes) === 'ok') {
          const value = unpackMsgpack(bytes);
          expect(isSame(unpackMsgpack(packMsgpack(value)), value)).toBe(true);
        } else {
          expect(() => unpackMsgpack(bytes)).toThrow(expect.objectContaining({ origin: 'bytes' }));
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
