import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  clampTop,
  nudge,
  ROW_HEIGHT,
  reveal,
  rowsInView,
  rowsToDraw,
  thumbOf,
  topOfThumb,
  wheelRows,
} from './scroll.ts';

const viewports = fc.record({ count: fc.nat(50_000_000), height: fc.integer({ min: 0, max: 2_000 }) });

describe('scrolling by rows', () => {
  it('draws only rows that exist, and never more than fit and two', () => {
    fc.assert(
      fc.property(viewports, fc.double({ min: -10, max: 6e7, noNaN: true }), (viewport, top) => {
        const { from, to } = rowsToDraw(top, viewport);
        expect(from).toBeGreaterThanOrEqual(0);
        expect(to).toBeLessThanOrEqual(viewport.count);
        expect(to - from).toBeLessThanOrEqual(viewport.height / ROW_HEIGHT + 2);
      }),
    );
  });

  it('keeps the last of fifty million rows reachable', () => {
    const viewport = { count: 50_000_000, height: 440 };
    const top = clampTop(Number.POSITIVE_INFINITY, viewport);
    expect(rowsToDraw(top, viewport)).toEqual({ from: 49_999_980, to: 50_000_000 });
    const thumb = thumbOf(top, viewport)!;
    expect(thumb.offset + thumb.length).toBeCloseTo(440);
  });

  it('has a thumb that leads back to where it was drawn for', () => {
    fc.assert(
      fc.property(viewports, fc.double({ min: 0, max: 1, noNaN: true }), (viewport, share) => {
        const top = clampTop(share * viewport.count, viewport);
        const thumb = thumbOf(top, viewport);
        if (!thumb) return;
        expect(thumb.length).toBeLessThanOrEqual(viewport.height);
        expect(topOfThumb(thumb.offset, viewport)).toBeCloseTo(top, 3);
      }),
    );
  });

  it('reveals a row wherever it is and does not move for one that is seen', () => {
    fc.assert(
      fc.property(viewports, fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(), (viewport, share, pick) => {
        if (viewport.count === 0 || viewport.height < ROW_HEIGHT) return;
        const index = pick % viewport.count;
        const top = clampTop(share * viewport.count, viewport);
        for (const moved of [reveal(index, top, viewport), nudge(index, top, viewport)]) {
          expect(index).toBeGreaterThanOrEqual(moved - 1e-6);
          expect(index + 1).toBeLessThanOrEqual(moved + rowsInView(viewport) + 1e-6);
          expect(reveal(index, moved, viewport)).toBeCloseTo(moved, 6);
        }
      }),
    );
  });

  it('has no thumb where everything fits', () => {
    expect(thumbOf(0, { count: 3, height: 440 })).toBeUndefined();
    expect(topOfThumb(30, { count: 3, height: 440 })).toBe(0);
  });

  it('takes wheels that count in pixels, lines and pages', () => {
    const viewport = { count: 1000, height: 440 };
    expect(wheelRows({ deltaY: 44, deltaMode: 0 }, viewport)).toBe(2);
    expect(wheelRows({ deltaY: 3, deltaMode: 1 }, viewport)).toBe(3);
    expect(wheelRows({ deltaY: -1, deltaMode: 2 }, viewport)).toBe(-20);
  });
});
