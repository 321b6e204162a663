import fc from 'fast-check';
import { expect, test } from 'vitest';
import { packMsgpack } from '../../bytes/index.ts';
import { msgpackText } from './foreign-msgpack.ts';

test('says of values what JSON says of them', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (given) => {
      // Our own writer refuses that name.
      fc.pre(!JSON.stringify(given).includes('__proto__'));
      const value = JSON.parse(JSON.stringify(given)) as Parameters<typeof packMsgpack>[0];
      expect(JSON.parse(msgpackText(packMsgpack(value))!)).toEqual(value);
    }),
  );
});

test('marks what JSON has not', () => {
  const told = (...bytes: number[]): string | undefined => msgpackText(Uint8Array.from(bytes));
  expect(told(0xc4, 2, 1, 255)).toBe('{"$bytes":"01ff"}');
  expect(told(0xca, 0x7f, 0xc0, 0, 0)).toBe('{"$number":"NaN"}');
  expect(told(0xcb, 0x80, 0, 0, 0, 0, 0, 0, 0)).toBe('{"$number":"-0"}');
  expect(told(0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0)).toBe('-9223372036854775808');
  expect(told(0x82, 0xa1, 0x61, 0xc0, 0xc3, 1)).toBe('{"a":null,"true":1}');
  // Timestamps of 64 and 96 bits: a nanosecond part beside the seconds.
  expect(told(0xd7, 0xff, 0x1d, 0xcd, 0x65, 0, 0, 0, 0, 2)).toBe('{"$time":"1970-01-01T00:00:02.125Z"}');
  expect(told(0xc7, 12, 0xff, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255)).toBe(
    '{"$time":"1969-12-31T23:59:59.000Z"}',
  );
  expect(told(0xd4, 0xff, 1)).toBe('{"$extension":-1,"$bytes":"01"}');
});

test('is undefined for what is no msgpack, at once and whatever it claims', () => {
  const told = (...bytes: number[]): string | undefined => msgpackText(Uint8Array.from(bytes));
  for (const bytes of [
    [],
    [0xc1],
    [0x92, 1],
    [1, 2],
    [0xa2, 0xff, 0xfe],
    [0xdd, 255, 255, 255, 255],
    [0xc6, 255, 255, 255, 255],
  ]) {
    expect(told(...bytes), String(bytes)).toBeUndefined();
  }
  expect(msgpackText(new Uint8Array(1_000_000).fill(0x91))).toBeUndefined();
  fc.assert(fc.property(fc.uint8Array(), (bytes) => ['string', 'undefined'].includes(typeof msgpackText(bytes))));
});
