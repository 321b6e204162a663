import { expect, test } from 'vitest';
import { findWrongChoice } from './consensus-property.ts';

test('of what was accepted a new proposer takes the change of the highest ballot, over many seeds', () => {
  for (let seed = 1; seed <= 500; seed++) expect([seed, findWrongChoice(seed)]).toEqual([seed, undefined]);
});
