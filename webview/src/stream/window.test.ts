import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pageFor, shownCount } from './window.ts';

describe('pageFor', () => {
  it('covers what is drawn, and stays small however long the capture is', () => {
    fc.assert(
      fc.property(fc.nat(50_000_000), fc.nat(100), (from, length) => {
        const records = from + length + 1;
        const page = pageFor({ from, to: from + length }, records);
        expect(page.offset).toBeLessThanOrEqual(from);
        expect(page.offset + page.limit).toBeGreaterThanOrEqual(from + length);
        expect(page.limit).toBeLessThanOrEqual(length + 256);
      }),
    );
  });

  it('asks the same for rows that are near', () => {
    expect(pageFor({ from: 130, to: 150 }, 1000)).toEqual(pageFor({ from: 140, to: 160 }, 1000));
  });
});

describe('shownCount', () => {
  const answered = { filter: 'kind:hash', offset: 64, rows: { length: 100 } };

  it('ends a table that follows with the newest row that is there', () => {
    expect(shownCount(900, true, answered, 'kind:hash')).toBe(164);
    expect(shownCount(150, true, answered, 'kind:hash')).toBe(150);
  });

  it('counts every row where nobody follows, and where nothing is answered yet', () => {
    expect(shownCount(900, false, answered, 'kind:hash')).toBe(900);
    expect(shownCount(900, true, answered, '')).toBe(900);
    expect(shownCount(900, true, undefined, '')).toBe(900);
  });
});
