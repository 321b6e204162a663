import { expect, test } from 'vitest';
import { heapTrend } from './heap.ts';

const MIB = 1024 * 1024;

test('a heap that goes up and down is flat, one that leaks is not', () => {
  const saw = Array.from({ length: 60 }, (_, index) => ({ minutes: index / 6, bytes: (20 + (index % 3)) * MIB }));
  expect(Math.abs(heapTrend(saw).growth)).toBeLessThan(0.01);
  const leak = saw.map(({ minutes, bytes }) => ({ minutes, bytes: bytes + minutes * 0.2 * MIB }));
  const trend = heapTrend(leak);
  expect(trend.slope / MIB).toBeCloseTo(0.2, 1);
  expect(trend.growth).toBeGreaterThan(0.05);
});

test('one sample is no trend', () => {
  expect(() => heapTrend([{ minutes: 0, bytes: 1 }])).toThrow(RangeError);
});
