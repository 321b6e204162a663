import { describe, expect, it } from 'vitest';
import { complete, faultOf, moveChoice } from './filter-text.ts';

describe('the filter box', () => {
  it.each([
    ['', undefined],
    ['kind:hash who:bot-2', undefined],
    ['golden key', undefined],
  ])('takes %j', (text, fault) => {
    expect(faultOf(text)).toBe(fault);
  });

  it.each([
    ['kind:nothing', 5],
    ['who:bot-1 colour:red', 10],
    ['"open', 5],
  ])('says at which character %j is wrong', (text, offset) => {
    expect(faultOf(text)).toMatchObject({ offset });
  });

  it('puts a choice in place of the word at the cursor', () => {
    expect(complete('ki', { from: 0, to: 2 }, 'kind:')).toEqual({ text: 'kind:', cursor: 5 });
    expect(complete('kind:ha who:x', { from: 5, to: 7 }, 'hash')).toEqual({ text: 'kind:hash who:x', cursor: 9 });
    expect(complete('kind:ha', { from: 5, to: 7 }, 'hash')).toEqual({ text: 'kind:hash ', cursor: 10 });
  });

  it('walks the choices around both ends', () => {
    expect([moveChoice(-1, 1, 3), moveChoice(-1, -1, 3), moveChoice(2, 1, 3), moveChoice(0, -1, 3)]).toEqual([
      0, 2, 0, 2,
    ]);
    expect(moveChoice(-1, 1, 0)).toBe(-1);
  });
});
