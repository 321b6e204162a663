import { describe, expect, it } from 'vitest';
import { caretLines } from './caret.ts';

/** What stands above the caret. */
function pointed(expression: string, offset: number): string {
  const [line = '', caret = ''] = caretLines(expression, offset).split('\n');
  expect(caret).toMatch(/^ *\^$/);
  return line.slice(caret.length - 1);
}

describe('a caret', () => {
  it('stands under the character, at the end behind it', () => {
    expect(caretLines('kind:sned', 5)).toBe('  kind:sned\n       ^');
    expect(caretLines('kind:', 5)).toBe('  kind:\n       ^');
    expect(caretLines('', 0)).toBe('  \n  ^');
  });

  it('counts what is escaped as it is written', () => {
    expect(pointed('a\tb:3', 2)).toBe('b:3');
    expect(pointed('a\u202eb:3', 2)).toBe('b:3');
  });

  it('counts columns, not units', () => {
    expect(caretLines('"日本" x:1', 5)).toBe('  "日本" x:1\n         ^');
    expect(caretLines('"😀" x:1', 5)).toBe('  "😀" x:1\n       ^');
    expect(caretLines('"e\u0301" x:1', 5)).toBe('  "e\u0301" x:1\n      ^');
  });

  it('shows of a long expression what is around', () => {
    const [line = '', caret = ''] = caretLines(`${'who:a '.repeat(100)}foo:1 ${'who:b '.repeat(100)}`, 600).split('\n');
    expect(line.length).toBeLessThan(80);
    expect(line.slice(caret.length - 1)).toMatch(/^foo:1 .*…$/);
    expect(line).toMatch(/^ {2}…/);
  });
});
