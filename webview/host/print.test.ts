import { describe, expect, it } from 'vitest';
import { escapeJson, escapeText, size, table, value } from './print.ts';

describe('escapeText', () => {
  it.each([
    ['\u001b[31mred', '\\u{1b}[31mred'],
    ['a\r\nb', 'a\\r\\nb'],
    ['\u202egnp.exe', '\\u{202e}gnp.exe'],
    ['\u2066x\u2069', '\\u{2066}x\\u{2069}'],
    ['\u009b2J', '\\u{9b}2J'],
    ['zero\u200bwidth', 'zero\\u{200b}width'],
    ['\u{e0041}', '\\u{e0041}'],
    ['\ud800', '\\u{d800}'],
  ])('shows %j as %s', (text, shown) => {
    expect(escapeText(text)).toBe(shown);
  });

  it('leaves what shows itself', () => {
    expect(escapeText('Zoë 🗝 日本 "x" \\n')).toBe('Zoë 🗝 日本 "x" \\n');
  });
});

it('escapes JSON without changing what it means', () => {
  const given = { '\u202e': ['\u009b', '\u{e0041}', '\u2028', 'é'] };
  const text = escapeJson(JSON.stringify(given, null, 2));
  expect(JSON.parse(text)).toEqual(given);
  expect(text).not.toMatch(/[\u009b\u2028\u202e]|\u{e0041}/u);
});

it('aligns columns, numbers to the right, without trailing blanks', () => {
  const rows = [
    ['a', '1'],
    ['long\n', '12'],
  ];
  expect(table(['key', 'n'], rows, ['n'])).toBe('key      n\na        1\nlong\\n  12');
});

it.each([
  [undefined, '-'],
  [null, 'null'],
  [-0, '-0'],
  [Number.NaN, 'NaN'],
  ['a"b', '"a\\"b"'],
  [new Uint8Array([1, 255]), '0x01ff'],
  [[1, { a: null }], '[1, {a: null}]'],
])('writes the value %j as %s', (given, text) => {
  expect(value(given)).toBe(text);
});

it.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1536, '1.5 KiB'],
  [5 * 1024 ** 4, '5120.0 GiB'],
])('writes %d bytes as %s', (bytes, text) => {
  expect(size(bytes)).toBe(text);
});

it('prints a table of more lines than a function has arguments', () => {
  const rows = Array.from({ length: 200_000 }, (_, at) => [String(at)]);
  expect(table(['n'], rows)).toHaveLength(rows.reduce((sum, [cell]) => sum + cell!.length + 1, 1));
});
