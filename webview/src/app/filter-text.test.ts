import { describe, expect, it } from 'vitest';
import { complete, faultOf, moveChoice, withoutInputs } from './filter-text.ts';

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

  it.each([
    ['', '-kind:inputs'],
    ['who:bot-1 or who:bot-2', '(who:bot-1 or who:bot-2) -kind:inputs'],
    // Whoever asks for them, or for one record by its number, is shown what they asked for.
    ['kind:inputs', 'kind:inputs'],
    ['kind:hash|log', 'kind:hash|log'],
    ['seq=4211', 'seq=4211'],
    ['"inputs recorded"', '"inputs recorded"'],
    // Too long with anything more: still a filter.
    ['x'.repeat(1_995), 'x'.repeat(1_995)],
  ])('passes over inputs with %j', (typed, filter) => {
    expect(withoutInputs(typed)).toBe(filter);
    expect(faultOf(filter)).toBeUndefined();
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
