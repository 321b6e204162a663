import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StateRoot } from '../merkle/index.ts';
import { string, uint } from '../schema/index.ts';
import type { Value } from '../state/index.ts';
import { DiffSync } from './diff-sync.ts';
import { checkHierarchy } from './hierarchy.ts';
import {
  aDevice,
  aFolder,
  aRack,
  aSite,
  deviceKey,
  FakeSystem,
  inventory,
  rackKey,
  siteKey,
  stateOf,
  states,
} from './inventory.test-helper.ts';
import { MemoryStore } from './memory-store.ts';
import { type Migration, migrate, migratedSide } from './migration.ts';
import { defineModel, diffModel, ModelSet, recordOf } from './model.ts';

/** The second version: sites are places, racks measure in millimetres, devices have a text for their VLAN. Folders are gone. */
const place = defineModel({
  type: 'place',
  identifiers: { name: string(40) },
  attributes: { town: string(40), zone: uint },
});
const rack2 = defineModel({
  type: 'rack',
  identifiers: { place: string(40), number: uint },
  attributes: { millimetres: uint },
  under: ['place'],
});
const device2 = defineModel({
  type: 'device',
  identifiers: { serial: string(40) },
  attributes: { net: string(40) },
  under: ['rack', 'place', null],
});
const second = new ModelSet([place, rack2, device2]);
const UNIT = 44;
const up: Migration = {
  from: inventory,
  to: second,
  types: [
    {
      from: 'site',
      to: 'place',
      identifiers: { name: { from: 'name' } },
      attributes: { town: { from: 'city' }, zone: { value: 0 } },
    },
    {
      from: 'rack',
      to: 'rack',
      identifiers: { place: { from: 'site' }, number: { from: 'number' } },
      attributes: {
        millimetres: {
          from: 'height',
          up: (value) => (value as number) * UNIT,
          down: (value) => (value as number) / UNIT,
        },
      },
    },
    {
      from: 'device',
      to: 'device',
      identifiers: { serial: { from: 'serial' } },
      attributes: { net: { from: 'vlan', up: toNet, down: (value) => Number(String(value).slice(4)) } },
    },
  ],
};

function toNet(value: Value): Value {
  if (value === 3) throw new Error('VLAN 3 was given up');
  return `vlan${String(value)}`;
}

test('whatever is not carried is said, and the result is a hierarchy', () => {
  fc.assert(
    fc.property(states, (state) => {
      const { root, keys, uncarried } = migrate(up, state);
      checkHierarchy(second, root);
      const models = new Set(uncarried.filter(({ field }) => field === undefined).map(({ key }) => key));
      expect(keys.size + models.size).toBe(state.size);
      for (const [key, record] of state.entries()) {
        if (models.has(key)) continue;
        expect(root.has(keys.get(key)!)).toBe(true);
        const lost = uncarried.filter((one) => one.key === key).map(({ field }) => field);
        expect(lost).toEqual(
          Object.keys(record)
            .filter((name) => name === 'note' || name === 'changed')
            .sort(),
        );
      }
    }),
  );
});

test('there and back is the same, but for what was said not to be carried', () => {
  fc.assert(
    fc.property(states, (state) => {
      const there = migrate(up, state);
      const back = migrate(up, there.root, 'down');
      expect(back.uncarried).toEqual([]);
      const models = new Set(there.uncarried.filter(({ field }) => field === undefined).map(({ key }) => key));
      const wanted = [...state.entries()]
        .filter(([key]) => !models.has(key))
        .map(([key, { note: _, changed: __, ...rest }]) => [key, rest] as const);
      expect(back.root.hash).toBe(StateRoot.from(wanted).hash);
    }),
  );
});

test('a value that cannot be turned takes its model along, which takes all below it', () => {
  const { uncarried, root } = migrate(
    up,
    stateOf(aSite('a'), aDevice('s', { vlan: 3 }, siteKey('a')), aFolder(1), aFolder(2, 1)),
  );
  expect(uncarried.map(({ key, field }) => [key, field])).toEqual([
    ['device/s', undefined],
    ['folder/#1', undefined],
    ['folder/#2', undefined],
  ]);
  expect(uncarried[0]!.reason).toContain('VLAN 3 was given up');
  expect(root.size).toBe(1);
});

test('two models that become one are refused', () => {
  const merging: Migration = {
    ...up,
    types: [{ ...up.types[0]!, identifiers: { name: { value: 'all' } } }],
  };
  expect(() => migrate(merging, stateOf(aSite('a'), aSite('b')))).toThrowError(
    expect.objectContaining({ code: 'MIGRATION_INVALID' }),
  );
  const unknown: Migration = { ...up, types: [{ ...up.types[0]!, to: 'spot' }] };
  expect(() => migrate(unknown, stateOf(aSite('a')))).toThrowError(
    expect.objectContaining({ code: 'MIGRATION_UNKNOWN' }),
  );
});

test('a system in the old schema is synced with one in the new, in both directions', async () => {
  const system = new FakeSystem(
    aSite('a', 'Rome'),
    aRack('a', 1, 10),
    aDevice('s', { vlan: 5, note: 'keep' }, rackKey('a', 1)),
    aDevice('t'),
  );
  const old = migratedSide(new MemoryStore('old'), system, up);
  const fresh = { store: new MemoryStore('fresh'), models: second };
  const sync = new DiffSync();
  await sync.twoWay(old, fresh);
  expect(old.adapter.uncarried.map(({ key, field }) => [key, field])).toEqual([[deviceKey('s'), 'note']]);
  expect(fresh.store.root().size).toBe(4);
  const key = diffModel(
    rack2,
    { place: 'a', number: 2 },
    { millimetres: 440 },
    diffModel(place, { name: 'a' }, { town: '', zone: 0 }).key,
  );
  fresh.store.apply([
    { op: 'put', key: key.key, record: recordOf(key) },
    { op: 'patch', key: deviceKey('s'), fields: { net: 'vlan9', '@parent': key.key }, removed: [] },
    { op: 'remove', key: deviceKey('t') },
  ]);
  const report = await sync.twoWay(old, fresh);
  expect([report.isEqual, report.source.outcome]).toEqual([true, 'complete']);
  expect(system.root().hash).toBe(
    stateOf(
      aSite('a', 'Rome'),
      aRack('a', 1, 10),
      aRack('a', 2, 10),
      aDevice('s', { vlan: 9, note: 'keep' }, rackKey('a', 2)),
    ).hash,
  );
  expect(system.calls).toContain(`update(vlan moved) ${deviceKey('s')}`);
  // The zone has no place in the old schema.
  fresh.store.apply([{ op: 'patch', key: key.parent!, fields: { zone: 7 }, removed: [] }]);
  const refused = await sync.twoWay(old, fresh, { strategies: { default: 'destination' } });
  expect(refused.source.statuses).toMatchObject([{ key: key.parent, status: 'failure', code: 'REFUSED' }]);
});
