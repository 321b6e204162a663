import { expect, test } from 'vitest';
import { findPresenceFault } from './presence-property.ts';

test('who is gone is noticed, nobody comes back from the dead, and those who are there agree, over many seeds', () => {
  for (let seed = 1; seed <= 60; seed++) expect([seed, findPresenceFault(seed)]).toEqual([seed, undefined]);
});
