import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  clampRange,
  covers,
  fitRange,
  focusSpan,
  followRange,
  MIN_SPAN,
  panRange,
  revealTime,
  timeScale,
  windowFor,
  zoomRange,
} from './scale.ts';

const bounds = { from: 0, to: 60e9 };

const view = fc
  .tuple(fc.double({ min: 0, max: 50e9, noNaN: true }), fc.double({ min: MIN_SPAN, max: 10e9, noNaN: true }))
  .map(([from, span]) => ({ from, to: from + span }));

describe('timeScale', () => {
  it('puts the ends of the range on the edges and goes back', () => {
    const scale = timeScale({ from: 1000, to: 3000 }, 500);
    expect(scale.x(1000)).toBe(0);
    expect(scale.x(3000)).toBe(500);
    expect(scale.time(250)).toBe(2000);
  });

  it('stays finite for an empty range and for no width', () => {
    expect(timeScale({ from: 5, to: 5 }, 100).x(5)).toBe(0);
    expect(timeScale({ from: 5, to: 5 }, 0).time(0)).toBe(5);
  });
});

describe('zoomRange', () => {
  it('keeps the instant under the pointer in place', () => {
    fc.assert(
      fc.property(
        view,
        fc.double({ min: 0.3, max: 0.7, noNaN: true }),
        fc.double({ min: 0.2, max: 1, noNaN: true }),
        (range, share, factor) => {
          const at = range.from + share * (range.to - range.from);
          const next = zoomRange(range, at, factor, bounds);
          const before = (at - range.from) / (range.to - range.from);
          const after = (at - next.from) / (next.to - next.from);
          expect(Math.abs(before - after)).toBeLessThan(1e-3);
        },
      ),
    );
  });

  it('goes no nearer than the least span and no further than all', () => {
    const near = zoomRange({ from: 1e9, to: 1e9 + MIN_SPAN }, 1e9, 0.01, bounds);
    expect(near.to - near.from).toBeCloseTo(MIN_SPAN, 0);
    expect(zoomRange({ from: 0, to: 50e9 }, 1e9, 100, bounds)).toEqual(fitRange(bounds));
  });
});

describe('panRange and clampRange', () => {
  it('keep the span and always leave some of the capture in view', () => {
    fc.assert(
      fc.property(view, fc.double({ min: -1e12, max: 1e12, noNaN: true }), (range, by) => {
        const next = panRange(range, by, bounds);
        const span = range.to - range.from;
        expect(Math.abs(next.to - next.from - span)).toBeLessThan(span * 1e-6 + 1);
        expect(next.from).toBeLessThan(bounds.to);
        expect(next.to).toBeGreaterThan(bounds.from);
      }),
    );
  });

  it('shows everything for a range that is not a number', () => {
    expect(clampRange({ from: Number.NaN, to: 3 }, bounds)).toEqual(fitRange(bounds));
  });
});

describe('followRange and revealTime', () => {
  it('keeps the newest record at the right edge', () => {
    const next = followRange({ from: 0, to: 10e9 }, bounds);
    expect(next.to - next.from).toBe(10e9);
    expect(timeScale(next, 1000).x(bounds.to)).toBeCloseTo(980);
  });

  it('moves only for what is outside', () => {
    const range = { from: 10e9, to: 20e9 };
    expect(revealTime(range, 12e9, bounds)).toBe(range);
    const next = revealTime(range, 40e9, bounds);
    expect(next).toEqual({ from: 35e9, to: 45e9 });
  });
});

describe('focusSpan', () => {
  it('shows five seconds of a quiet session, and less of a busy one', () => {
    expect(focusSpan({ from: 0, to: 60e9 }, 60, 1000)).toBe(5e9);
    const busy = focusSpan({ from: 0, to: 60e9 }, 60_000, 1000);
    expect(busy).toBeLessThan(1e9);
    // As many records as can be told apart.
    expect((busy / 60e9) * 60_000).toBeLessThanOrEqual(1000);
  });

  it('is a span wherever there are no records or no time', () => {
    for (const span of [focusSpan({ from: 5, to: 5 }, 0, 1000), focusSpan({ from: 0, to: 0 }, 9, 1000)]) {
      expect(span).toBeGreaterThan(0);
      expect(span).toBeLessThanOrEqual(5e9);
    }
  });
});

describe('windowFor', () => {
  it('covers the view with buckets of one to two pixels on a fixed grid', () => {
    fc.assert(
      fc.property(view, fc.integer({ min: 50, max: 3000 }), (range, width) => {
        const request = windowFor(range, width);
        const pixels = (request.step / (range.to - range.from)) * width;
        expect(pixels).toBeGreaterThanOrEqual(1 - 1e-6);
        // Below a nanosecond a bucket there is nothing to ask for.
        if (request.step > 1) expect(pixels).toBeLessThan(2 + 1e-6);
        expect(request.range.from % request.step === 0).toBe(true);
        expect(request.range.from + request.buckets * request.step).toBe(request.range.to);
        expect(covers(request, range, width)).toBe(true);
      }),
    );
  });

  it('is served by the same window after a small pan, not after a zoom', () => {
    const range = { from: 10e9, to: 20e9 };
    const held = windowFor(range, 1000);
    expect(covers(held, { from: 11e9, to: 21e9 }, 1000)).toBe(true);
    expect(covers(held, { from: 16e9, to: 26e9 }, 1000)).toBe(false);
    expect(covers(held, { from: 14e9, to: 16e9 }, 1000)).toBe(false);
  });
});
