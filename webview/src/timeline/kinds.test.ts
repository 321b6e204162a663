import { expect, test } from 'vitest';
import { KIND_STYLES, MARKER_STYLES } from './kinds.ts';

test('no two kinds of marker are told apart by colour alone', () => {
  const shapes = Object.values(MARKER_STYLES).map(({ shape }) => shape);
  expect(new Set(shapes).size).toBe(shapes.length);
});

test('a marker has the look of the records behind it', () => {
  const { desync, ...others } = MARKER_STYLES;
  expect(desync).toMatchObject({ shape: KIND_STYLES.divergence.shape, ink: KIND_STYLES.divergence.ink });
  for (const kind of Object.keys(others) as (keyof typeof others)[]) {
    expect(others[kind], kind).toMatchObject({ shape: KIND_STYLES[kind].shape, ink: KIND_STYLES[kind].ink });
  }
});
