import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StateRoot } from '../merkle/index.ts';
import type { RecordKey, SyncRecord } from '../state/index.ts';
import { applyToState } from './apply.ts';
import { type Diff, diffModels } from './diff.ts';
import { checkHierarchy } from './hierarchy.ts';
import {
  aDevice,
  aFolder,
  afterSteps,
  aRack,
  aSite,
  deviceKey,
  inventory,
  rackKey,
  siteKey,
  stateOf,
  states,
  steps,
} from './inventory.test-helper.ts';
import { parentOf } from './model.ts';
import { type Projection, project, unproject } from './projection.ts';

/** Devices without their notes, racks, and whatever folder has an even number; no sites. */
const view: Projection = {
  models: inventory,
  types: { device: ['vlan'], rack: 'all', folder: 'all' },
  isShown: (key) => !/#[13579]$/.test(key) || key.startsWith('rack'),
  defaults: { device: { note: 'made in the view' } },
};

test('nothing changed in the projection changes nothing in the original', () => {
  fc.assert(
    fc.property(states, (state) => {
      const shown = project(view, state);
      const { root, refused } = unproject(view, state, diffModels(shown, shown));
      expect([root.hash, refused]).toEqual([state.hash, []]);
    }),
  );
});

test('changes come back whole or not at all: the projection of the result is what was made of the projection', () => {
  let taken = 0;
  fc.assert(
    fc.property(states, steps, (state, list) => {
      const shown = project(view, state);
      const wanted = afterSteps(shown, list);
      const { root, diff, refused } = unproject(view, state, diffModels(shown, wanted));
      checkHierarchy(inventory, root);
      expect(applyToState(diff, state).hash).toBe(root.hash);
      if (refused.length > 0) {
        expect(root.hash).toBe(state.hash);
        return;
      }
      taken++;
      expect(project(view, root).hash).toBe(wanted.hash);
      for (const [key, record] of state.entries()) {
        const after = root.get(key);
        if (!shown.has(key)) expect(after).toEqual(record);
        else if (after !== undefined) expect(after.note ?? null).toBe(record.note ?? null);
      }
    }),
  );
  expect(taken).toBeGreaterThan(0);
});

test('a projection shows the attributes it names, and a parent only where that is shown', () => {
  const state = stateOf(
    aSite('a'),
    aRack('a', 1),
    aDevice('s', { vlan: 2, note: 'x' }, rackKey('a', 1)),
    aDevice('t', {}, siteKey('a')),
  );
  const shown = project(view, state);
  expect([...shown.entries()].map(([key]) => key).sort()).toEqual([deviceKey('s'), deviceKey('t'), rackKey('a', 1)]);
  expect(shown.get(deviceKey('s'))).toEqual({ serial: 's', vlan: 2, '@parent': rackKey('a', 1) });
  expect(parentOf(shown.get(deviceKey('t'))!)).toBeNull();
});

test('what has no place in the original is refused, with its reason', () => {
  const state = stateOf(
    aSite('a'),
    aRack('a', 2),
    aDevice('s', { note: 'x' }, rackKey('a', 2)),
    aFolder(1),
    aFolder(3, 1),
    aFolder(2),
    aFolder(5, 2),
  );
  const shown = project(view, state);
  const refusedOf = (changes: readonly (readonly [RecordKey, SyncRecord | null])[], from = shown) => {
    const entries = new Map([...from.entries()]);
    for (const [key, record] of changes)
      if (record === null) entries.delete(key);
      else entries.set(key, record);
    return unproject(view, state, diffModels(from, StateRoot.from(entries))).refused.map(({ key, code }) => [
      key,
      code,
    ]);
  };
  expect(refusedOf([[siteKey('b'), { name: 'b', city: '' }]])).toEqual([[siteKey('b'), 'PROJECTION_HIDDEN']]);
  expect(refusedOf([[deviceKey('s'), { ...shown.get(deviceKey('s'))!, note: 'y' }]])).toEqual([
    [deviceKey('s'), 'PROJECTION_HIDDEN'],
  ]);
  expect(refusedOf([['folder/#1' as RecordKey, { id: 1, title: 'mine' }]])).toEqual([
    ['folder/#1', 'PROJECTION_HIDDEN'],
  ]);
  expect(refusedOf([['folder/#7' as RecordKey, { id: 7, title: 'odd' }]])).toEqual([
    ['folder/#7', 'PROJECTION_LEAVES'],
  ]);
  expect(refusedOf([[deviceKey('s'), { serial: 's', vlan: 'high' }]])).toEqual([[deviceKey('s'), 'MODEL_INVALID']]);
  // A folder that is not shown stands below this one.
  expect(refusedOf([['folder/#2' as RecordKey, null]])).toEqual([['folder/#5', 'MODEL_INVALID']]);
  const stale: Diff = diffModels(stateOf(aFolder(2)), StateRoot.empty);
  expect(() => unproject(view, state, stale)).toThrowError(expect.objectContaining({ code: 'PROJECTION_STALE' }));
});

test('a model made in the projection gets the defaults for what is not shown', () => {
  const { root } = unproject(view, StateRoot.empty, diffModels(StateRoot.empty, stateOf(aDevice('s', { vlan: 4 }))));
  expect(root.get(deviceKey('s'))).toEqual({ serial: 's', vlan: 4, note: 'made in the view' });
});
