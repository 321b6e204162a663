import { expect, test } from 'vitest';
import { KIND_STYLES, lookOf, lookOfRow, MARKER_STYLES } from './kinds.ts';

test('no two kinds of marker are told apart by colour alone', () => {
  const shapes = Object.values(MARKER_STYLES).map(({ shape }) => shape);
  expect(new Set(shapes).size).toBe(shapes.length);
});

test('a marker has the look of the records behind it', () => {
  const { desync, 'refused-delta': refusal, ...others } = MARKER_STYLES;
  expect(desync).toMatchObject({ shape: KIND_STYLES.divergence.shape, ink: KIND_STYLES.divergence.ink });
  // A mismatch may be a divergence; a delta that did not fit is none.
  expect(lookOf('mismatch', true)).toMatchObject({ shape: desync.shape, ink: desync.ink });
  expect(lookOfRow({ kind: 'mismatch', severity: 'error' })).toEqual(lookOf('mismatch', true));
  expect(refusal).toMatchObject({ shape: KIND_STYLES.mismatch.shape, ink: KIND_STYLES.mismatch.ink });
  expect(lookOfRow({ kind: 'mismatch', severity: 'warning' })).toMatchObject({ shape: refusal.shape, ink: 'warning' });
  for (const kind of Object.keys(others) as (keyof typeof others)[]) {
    expect(others[kind], kind).toMatchObject({ shape: KIND_STYLES[kind].shape, ink: KIND_STYLES[kind].ink });
  }
});
