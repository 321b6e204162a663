import { expect, test } from 'vitest';
import { findUnmergedSides } from './two-way-property.ts';

test('a sync in both directions makes both sides equal and loses nothing, over many seeds', () => {
  for (let seed = 1; seed <= 500; seed++) expect([seed, findUnmergedSides(seed)]).toEqual([seed, undefined]);
});
