import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatBytes, formatDuration, formatTime, formatValue, plural } from './format.ts';
import { visible } from './visible.ts';

describe('visible', () => {
  it.each([
    ['plain ünïcödé 漢字 🎲', 'plain ünïcödé 漢字 🎲'],
    ['a\nb\tc\0', 'a\\nb\\tc\\0'],
    ['user\u202etxt.exe', 'user\\u{202e}txt.exe'],
    ['\u2066x\u2069', '\\u{2066}x\\u{2069}'],
    ['zero\u200bwidth\ufeff', 'zero\\u{200b}width\\u{feff}'],
    ['\u001b[31mred', '\\u{1b}[31mred'],
    ['lone \ud800!', 'lone \\u{d800}!'],
    ['tag \u{e0041}', 'tag \\u{e0041}'],
  ])('shows %j as %j', (text, shown) => {
    expect(visible(text)).toBe(shown);
  });

  it('leaves nothing behind that hides or reorders', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(visible(visible(text))).toBe(visible(text));
        expect(visible(text)).not.toMatch(/\p{Cc}|\p{Bidi_Control}/u);
      }),
    );
  });
});

describe('formatValue', () => {
  it('tells apart values that differ', () => {
    const values = [0, -0, Number.NaN, '0', '', null, undefined, true, 'true', [], {}, ['a'], { a: 1 }, { a: '1' }];
    expect(new Set(values.map((value) => formatValue(value))).size).toBe(values.length);
  });

  it('escapes what a string hides, its quotes and backslashes', () => {
    expect(formatValue('a"b\\n\n')).toBe('"a\\"b\\\\n\\n"');
    expect(formatValue({ 'k\u202e': 'v' })).toBe('{k\\u{202e}: "v"}');
  });

  it('stays short however deep and long the value is', () => {
    let deep: readonly unknown[] = [];
    for (let level = 0; level < 60; level++) deep = [deep, 'x'.repeat(1000)];
    expect(formatValue(deep as never, 80).length).toBeLessThanOrEqual(80);
    expect(
      formatValue(
        Array.from({ length: 1e5 }, (_, index) => index),
        50,
      ).length,
    ).toBeLessThanOrEqual(50);
    expect(formatValue(new Uint8Array(1e6), 40).length).toBeLessThanOrEqual(40);
  });
});

describe('numbers with units', () => {
  it.each([
    [12_480_000_000, '12.480 s'],
    [187_250_000_000, '3:07.250'],
    [3_787_250_000_000, '1:03:07.250'],
  ])('time %i is %s', (time, text) => expect(formatTime(time)).toBe(text));

  it.each([
    [840_000, '840 µs'],
    [12_500_000, '12.5 ms'],
    [6_000_000_000, '6.00 s'],
    [250_000_000_000, '4 min 10 s'],
  ])('duration %i is %s', (time, text) => expect(formatDuration(time)).toBe(text));

  it('bytes and counts', () => {
    expect(formatBytes(96)).toBe('96 B');
    expect(formatBytes(4_120)).toBe('4.1 kB');
    expect(plural(1, 'record')).toBe('1 record');
    expect(plural(1200, 'record')).toBe('1,200 records');
  });
});
