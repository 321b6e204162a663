import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatClock, timeStep, timeTicks } from './ticks.ts';

describe('timeTicks', () => {
  it('are decimal below a second and clock steps above', () => {
    expect(timeStep(10e9, 10)).toBe(1e9);
    expect(timeStep(5e6, 5)).toBe(1e6);
    expect(timeStep(600e9, 10)).toBe(60e9);
    expect(timeStep(3000e9, 10)).toBe(300e9);
  });

  it('lie in the range, in order, none before the start, and are labelled apart', () => {
    fc.assert(
      fc.property(
        fc.double({ min: -1e9, max: 1e13, noNaN: true }),
        fc.double({ min: 1e4, max: 1e13, noNaN: true }),
        fc.integer({ min: 2, max: 15 }),
        (from, span, count) => {
          const ticks = timeTicks({ from, to: from + span }, count);
          const times = ticks.map((tick) => tick.time);
          expect(times.every((time) => time >= 0 && time >= from - 1 && time <= from + span + 1)).toBe(true);
          expect(new Set(ticks.map((tick) => tick.label)).size).toBe(ticks.length);
          expect(ticks.length).toBeLessThanOrEqual(count * 2.5 + 2);
        },
      ),
    );
  });
});

describe('formatClock', () => {
  it('has as many decimals as the step needs', () => {
    expect(formatClock(12_480_000_000, 1e7)).toBe('12.48 s');
    expect(formatClock(12_480_000_000, 1e9)).toBe('12 s');
    expect(formatClock(2e9, 2e5)).toBe('2.0000 s');
  });

  it('counts minutes and hours, and carries what rounds up', () => {
    expect(formatClock(125e9, 1e9)).toBe('2:05');
    expect(formatClock(3_725e9, 1e9)).toBe('1:02:05');
    expect(formatClock(59_999_700_000, 1e6)).toBe('1:00.000');
    expect(formatClock(-1e6, 1e6)).toBe('−0.001 s');
  });
});
