import { diffRoots, StateRoot } from '@syncscope/protocol/merkle';
import { seededRandom } from '@syncscope/protocol/ports';
import { recordKey } from '@syncscope/protocol/state';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { adventure } from '../scenarios/adventure.ts';
import { chooseDrift } from './drift.ts';

const state = StateRoot.from([
  ...adventure.initialRecords(seededRandom(1)),
  [recordKey('player/anna'), { room: 'great_hall', health: 100 }],
]);

describe('a drift', () => {
  test('always changes exactly the one value it names, and the same seed the same one', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const drift = chooseDrift(state, seededRandom(seed));
        const drifted = state.apply([drift.change]);
        expect(diffRoots(state, drifted).map(({ key }) => key)).toEqual([drift.key]);
        expect(drifted.get(drift.key)?.[drift.field]).toEqual(drift.after);
        expect(drift.key).toMatch(/^(item|player)\//);
        expect(['owner', 'room']).toContain(drift.field);
        expect(chooseDrift(state, seededRandom(seed))).toEqual(drift);
      }),
    );
  });

  test('takes the key and field that are asked for', () => {
    const { key, field, after } = chooseDrift(state, seededRandom(1), 'player/anna', 'health');
    expect([key, field]).toEqual(['player/anna', 'health']);
    expect(after).not.toBe(100);
  });

  test.each([
    ['item/none', undefined],
    ['item/violin', 'none'],
    ['item/violin', 'constructor'],
    ['nokey', undefined],
  ])('of %s %s is refused', (key, field) => {
    expect(() => chooseDrift(state, seededRandom(1), key, field)).toThrow();
  });
});
