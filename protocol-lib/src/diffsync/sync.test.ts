import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StateRoot } from '../merkle/index.ts';
import type { Clock } from '../ports/index.ts';
import type { RecordKey } from '../state/index.ts';
import { TraceHub, type TraceRecord } from '../trace/index.ts';
import { loadSide, type Side } from './adapter.ts';
import { applyDiff, applyToState } from './apply.ts';
import { syncConfiguration } from './configuration.ts';
import { diffModels } from './diff.ts';
import { DiffSync, historyOf, lastCommon, linkedVersions } from './diff-sync.ts';
import { EventSync } from './event-sync.ts';
import { checkHierarchy } from './hierarchy.ts';
import {
  aDevice,
  aFolder,
  afterSteps,
  aRack,
  aSite,
  deviceKey,
  FakeSystem,
  folderKey,
  inventory,
  rackKey,
  sideOf,
  siteKey,
  stateOf,
  states,
  steps,
} from './inventory.test-helper.ts';
import { MemoryStore } from './memory-store.ts';
import { defineModel, ModelSet } from './model.ts';
import { reportText } from './report.ts';

const clock: Clock = { now: () => 7 };
const sync = new DiffSync({ clock });
const sideWith = (name: string, adapter: FakeSystem): Side => ({
  store: new MemoryStore(name),
  models: inventory,
  adapter,
});
const statusesOf = (report: { statuses: readonly { key: string; status: string; code?: string }[] }) =>
  Object.fromEntries(report.statuses.map(({ key, status, code }) => [key, code ?? status]));

test('one-way makes the destination like the source, its system too, and a second time changes nothing', async () => {
  await fc.assert(
    fc.asyncProperty(states, states, async (from, to) => {
      const [source, system] = [FakeSystem.of(to), FakeSystem.of(from)];
      const [left, right] = [sideWith('left', source), sideWith('right', system)];
      const report = await sync.oneWay(left, right);
      expect([report.outcome, report.root, system.root().hash]).toEqual(['complete', to.hash, to.hash]);
      system.calls.length = 0;
      const again = await sync.oneWay(left, right);
      expect([again.statuses, system.calls, source.calls]).toEqual([[], [], []]);
    }),
  );
});

const troubles = fc.record({
  refused: fc.array(fc.nat(40), { maxLength: 4 }),
  crashed: fc.array(fc.nat(40), { maxLength: 4 }),
  flags: fc.record({
    skipUnmatchedSource: fc.boolean(),
    skipUnmatchedDestination: fc.boolean(),
    continueOnFailure: fc.boolean(),
    ignore: fc.subarray(['site', 'rack', 'device', 'folder']),
  }),
});

test('whatever fails or is left alone, no orphan arises, every model has its status, and the store is as its system', async () => {
  await fc.assert(
    fc.asyncProperty(states, states, troubles, async (from, to, { refused, crashed, flags }) => {
      const system = FakeSystem.of(from);
      const side = sideWith('right', system);
      await loadSide(side);
      const diff = diffModels(from, to);
      const pick = (at: readonly number[]) => new Set(at.flatMap((index) => diff.entries[index]?.key ?? []));
      system.refuses = pick(refused);
      system.throwsOn = pick(crashed);
      const report = await applyDiff(diff, side, flags);
      expect(report.statuses.map(({ key }) => key).sort()).toEqual(diff.entries.map(({ key }) => key));
      expect(side.store.root().hash).toBe(system.root().hash);
      checkHierarchy(inventory, side.store.root());
      for (const { key, status } of report.statuses) {
        expect(side.store.root().get(key)).toEqual((status === 'success' ? to : from).get(key));
      }
      if (report.outcome === 'complete' && report.counts.skipped === 0) expect(report.root).toBe(to.hash);
    }),
  );
});

test('two-way brings both systems together, and goes on from what they had in common', async () => {
  await fc.assert(
    fc.asyncProperty(states, steps, steps, steps, async (base, first, second, third) => {
      const [left, right] = [FakeSystem.of(afterSteps(base, first)), FakeSystem.of(afterSteps(base, second))];
      const sides = [sideWith('left', left), sideWith('right', right)] as const;
      const options = { strategies: { default: 'newest' } } as const;
      const report = await sync.twoWay(...sides, options);
      expect([report.isEqual, left.root().hash]).toEqual([true, right.root().hash]);
      // Only the left changes now: with the right base that is no conflict, and nothing of it is lost.
      const changed = afterSteps(left.root(), third);
      left.content.clear();
      for (const [key, model] of FakeSystem.of(changed).content) left.content.set(key, model);
      const again = await sync.twoWay(...sides, { strategies: { default: 'fail' } });
      expect([again.isEqual, right.root().hash, left.root().hash]).toEqual([true, changed.hash, changed.hash]);
      expect(lastCommon(sides[0].store, sides[1].store).hash).toBe(changed.hash);
    }),
  );
});

test('what failed in a two-way sync is made up for by the next one, and nothing of it is lost', async () => {
  await fc.assert(
    fc.asyncProperty(
      states,
      steps,
      steps,
      fc.array(fc.nat(40), { maxLength: 6 }),
      async (base, first, second, refused) => {
        const sidesOf = () => {
          const systems = [FakeSystem.of(base), FakeSystem.of(base)] as const;
          return { systems, sides: [sideWith('left', systems[0]), sideWith('right', systems[1])] as const };
        };
        const options = { strategies: { default: 'source' }, continueOnFailure: true } as const;
        const [smooth, troubled] = [sidesOf(), sidesOf()];
        const reports = [];
        for (const { systems, sides } of [smooth, troubled]) {
          await sync.twoWay(...sides, options);
          for (const [index, list] of [first, second].entries()) {
            const changed = FakeSystem.of(afterSteps(base, list)).content;
            systems[index]!.content.clear();
            for (const [key, model] of changed) systems[index]!.content.set(key, model);
          }
          const keys = [...systems[0].content.keys(), ...systems[1].content.keys()];
          const isTroubled = sides === troubled.sides;
          for (const system of systems)
            system.refuses = new Set(isTroubled ? refused.flatMap((at) => keys[at] ?? []) : []);
          reports.push(await sync.twoWay(...sides, options));
          for (const system of systems) system.refuses.clear();
          reports.push(await sync.twoWay(...sides, options));
        }
        const [left, right] = troubled.systems;
        expect([reports.at(-1)!.isEqual, left.root().hash]).toEqual([true, right.root().hash]);
        checkHierarchy(inventory, left.root());
        if (reports.every(({ mended }) => mended.length === 0)) {
          expect(left.root().hash).toBe(smooth.systems[0].root().hash);
        }
      },
    ),
  );
});

test('syncing by events ends where syncing from scratch does, in both directions and in one', async () => {
  await fc.assert(
    fc.asyncProperty(
      states,
      fc.array(fc.tuple(fc.boolean(), steps), { maxLength: 5 }),
      fc.constantFrom('one-way' as const, 'two-way' as const),
      async (base, rounds, direction) => {
        const twins = ['events', 'scratch'].map(
          (name) => [sideOf(`${name}.left`, base), sideOf(`${name}.right`)] as const,
        );
        const [events, scratch] = twins as [readonly [Side, Side], readonly [Side, Side]];
        const strategies = { default: 'source' } as const;
        const listening = new EventSync(sync, ...events, { direction, strategies });
        for (const [isLeft, list] of rounds) {
          for (const pair of twins) {
            const { store } = pair[isLeft ? 0 : 1];
            store.apply(
              diffModels(store.root(), afterSteps(store.root(), list)).entries.map((entry) => changeOf(entry)),
            );
          }
          await listening.flush();
          if (direction === 'one-way') await sync.oneWay(...scratch);
          else await sync.twoWay(...scratch, { strategies });
          expect(listening.pending).toBe(0);
          for (const side of [0, 1] as const) {
            expect(events[side].store.root().hash).toBe(scratch[side].store.root().hash);
          }
        }
        listening.close();
      },
    ),
  );
});

function changeOf({ key, after }: ReturnType<typeof diffModels>['entries'][number]) {
  return after === undefined ? ({ op: 'remove', key } as const) : ({ op: 'put', key, record: after } as const);
}

test('a failed model is named, its children are skipped, and the rest goes on where that is wanted', async () => {
  const system = new FakeSystem();
  system.refuses.add(siteKey('a'));
  system.throwsOn.add(siteKey('b'));
  const source = sideOf(
    'source',
    stateOf(aSite('a'), aRack('a', 1), aSite('b'), aRack('b', 1), aSite('c'), aRack('c', 1)),
  );
  const report = await sync.oneWay(source, sideWith('right', system), { continueOnFailure: true });
  expect(report.outcome).toBe('partial');
  expect(statusesOf(report)).toEqual({
    [siteKey('a')]: 'REFUSED',
    [rackKey('a', 1)]: 'PARENT_FAILED',
    [siteKey('b')]: 'ADAPTER_FAILED',
    [rackKey('b', 1)]: 'PARENT_FAILED',
    [siteKey('c')]: 'success',
    [rackKey('c', 1)]: 'success',
  });
  expect(reportText(report).split('\n')).toContain(`failure create ${siteKey('a')}: REFUSED not today`);
  const stopped = await sync.oneWay(source, sideWith('other', system));
  expect([stopped.outcome, stopped.counts.success]).toEqual(['stopped', 0]);
  expect(statusesOf(stopped)).toMatchObject({ [siteKey('b')]: 'STOPPED' });
});

test('a parent that takes its children along is deleted once, and they go with it or stay with it', async () => {
  const box = defineModel({ ...pick('site'), deletesChildren: true });
  const models = new ModelSet([box, ...[...inventory.types.values()].filter(({ name }) => name !== 'site')]);
  const from = stateOf(aSite('a'), aRack('a', 1), aDevice('s', {}, rackKey('a', 1)));
  for (const isRefused of [false, true]) {
    const system = FakeSystem.of(from);
    if (isRefused) system.refuses.add(siteKey('a'));
    const side: Side = { ...sideWith('right', system), models };
    await loadSide(side);
    system.calls.length = 0;
    const report = await applyDiff(diffModels(from, StateRoot.empty), side, { continueOnFailure: true });
    expect(system.calls).toEqual([`delete ${deviceKey('s')}`, `delete ${siteKey('a')}`]);
    expect(report.counts).toMatchObject(isRefused ? { success: 1, failure: 1, skipped: 1 } : { success: 3 });
    expect(side.store.root().size).toBe(isRefused ? 2 : 0);
  }
});

function pick(type: string) {
  const { identifiers, attributes } = inventory.types.get(type)!;
  return {
    type,
    identifiers: Object.fromEntries(identifiers.fields),
    attributes: Object.fromEntries(attributes.fields),
  };
}

test('what changed between the diff and its application is named, and left alone', async () => {
  const from = stateOf(aDevice('gone'), aDevice('changed'), aDevice('going', {}), aSite('a'), aRack('a', 1));
  const to = stateOf(aDevice('gone', { vlan: 2 }), aDevice('changed', { vlan: 2 }), aDevice('new'));
  const now = stateOf(
    aDevice('changed', { vlan: 3 }),
    aDevice('new', { vlan: 4 }),
    aSite('a'),
    aRack('a', 1),
    aRack('a', 2),
  );
  const side = sideOf('right', now);
  const report = await applyDiff(diffModels(from, to), side, { continueOnFailure: true });
  expect(statusesOf(report)).toEqual({
    [deviceKey('changed')]: 'MODEL_CHANGED',
    [deviceKey('going')]: 'MODEL_VANISHED',
    [deviceKey('gone')]: 'MODEL_VANISHED',
    [deviceKey('new')]: 'MODEL_EXISTS',
    [rackKey('a', 1)]: 'success',
    [siteKey('a')]: 'CHILDREN_REMAIN',
  });
  expect(side.store.root().hash).toBe(
    stateOf(...[aDevice('changed', { vlan: 3 }), aDevice('new', { vlan: 4 })], aSite('a'), aRack('a', 2)).hash,
  );
});

test('a move that an earlier refusal would turn into a cycle is skipped', async () => {
  const from = stateOf(aFolder(1), aFolder(2, 1));
  const to = stateOf(aFolder(2), aFolder(1, 2));
  const system = FakeSystem.of(from);
  const side = sideWith('right', system);
  await loadSide(side);
  const done = await applyDiff(diffModels(from, to), side);
  expect([done.outcome, done.root]).toEqual(['complete', to.hash]);
  const other = sideWith('other', FakeSystem.of(from));
  await loadSide(other);
  (other.adapter as FakeSystem).refuses.add(folderKey(2));
  const report = await applyDiff(diffModels(from, to), other, { continueOnFailure: true });
  expect(statusesOf(report)).toEqual({ [folderKey(2)]: 'REFUSED', [folderKey(1)]: 'PARENT_FAILED' });
});

test('flags leave the extras of one side alone, and say so', async () => {
  const source = sideOf('source', stateOf(aFolder(1), aFolder(2)));
  const destination = () => sideOf('right', stateOf(aFolder(2, null, 'u'), aFolder(3)));
  const noNew = await sync.oneWay(source, destination(), { skipUnmatchedSource: true, logUnchanged: true });
  expect(statusesOf(noNew)).toEqual({ [folderKey(1)]: 'FLAG', [folderKey(2)]: 'success', [folderKey(3)]: 'success' });
  expect(noNew.outcome).toBe('complete');
  const noDelete = await sync.oneWay(source, destination(), { skipUnmatchedDestination: true, logUnchanged: true });
  expect(statusesOf(noDelete)).toEqual({
    [folderKey(1)]: 'success',
    [folderKey(2)]: 'success',
    [folderKey(3)]: 'FLAG',
  });
  const moving = sideOf('moving', stateOf(aFolder(1), aFolder(2, 1)));
  const unmoved = await sync.oneWay(moving, sideOf('right', stateOf(aFolder(2))), { skipUnmatchedSource: true });
  expect(statusesOf(unmoved)).toEqual({ [folderKey(1)]: 'FLAG', [folderKey(2)]: 'PARENT_MISSING' });
  const ignored = await sync.oneWay(source, destination(), { ignore: ['folder'] });
  expect(ignored.counts).toMatchObject({ success: 0, skipped: 3 });
  const equal = await sync.oneWay(source, sideOf('right', source.store.root()), { logUnchanged: true });
  expect(equal.counts).toMatchObject({ unchanged: 2 });
  const [one, other] = [
    sideOf('one', stateOf(aFolder(1), aFolder(2))),
    sideOf('other', stateOf(aFolder(2), aFolder(3))),
  ];
  await sync.twoWay(one, other, { skipUnmatchedSource: true });
  expect([one.store.root().size, other.store.root().size]).toEqual([3, 2]);
});

test('a run tells of its progress and can be cancelled, before and in the middle', async () => {
  const source = sideOf('source', stateOf(...Array.from({ length: 10 }, (_, id) => aFolder(id))));
  const destination = sideWith('right', new FakeSystem());
  const signal = { aborted: false };
  const seen: number[] = [];
  const report = await sync.oneWay(source, destination, {
    signal,
    onProgress: ({ done, total }) => {
      seen.push(done);
      expect(total).toBe(10);
      signal.aborted = done >= 4;
    },
  });
  expect([report.outcome, report.counts.success, report.counts.skipped]).toEqual(['cancelled', 4, 6]);
  expect([seen.length, destination.store.root().size]).toEqual([10, 4]);
  await expect(sync.oneWay(source, destination, { signal: { aborted: true } })).rejects.toMatchObject({
    code: 'CANCELLED',
  });
});

test.each([
  ['MODEL_DUPLICATE', [aFolder(1), aFolder(1)]],
  ['MODEL_PARENT_UNKNOWN', [aFolder(1, 2)]],
  ['MODEL_PARENT_WRONG', [aSite('a'), { ...aFolder(1), parent: siteKey('a') }]],
  ['MODEL_CYCLE', [aFolder(1, 2), aFolder(2, 1)]],
  ['MODEL_CYCLE', [aFolder(1, 1)]],
  ['SCHEMA_MISMATCH', [{ ...aFolder(1), attributes: { title: 7 } }]],
  ['SCHEMA_MISMATCH', [{ ...aFolder(1), attributes: {} }]],
  ['MODEL_FIELD_UNKNOWN', [{ ...aFolder(1), attributes: { title: 't', colour: 'red' } }]],
  ['MODEL_FIELD_UNKNOWN', [{ ...aFolder(1), attributes: JSON.parse('{"title": "t", "__proto__": {"x": 1}}') }]],
  ['MODEL_TYPE_UNKNOWN', [{ ...aFolder(1), type: '__proto__' }]],
  ['MODEL_KEY_WRONG', [{ ...aFolder(1), key: folderKey(2) }]],
  ['KEY_INVALID', [{ ...aFolder(1), parent: '__proto__' as RecordKey }]],
  ['VALUE_INVALID', [{ ...aFolder(1), attributes: { title: '\ud800' } }]],
])('%s: a bad model from an adapter changes nothing, and is named', async (code, content) => {
  const system = new FakeSystem(aFolder(9));
  const side = sideWith('left', system);
  await loadSide(side);
  const { hash } = side.store.root();
  system.load = function* () {
    yield* content;
  };
  const destination = sideOf('right', stateOf(aFolder(8)));
  await expect(sync.oneWay(side, destination)).rejects.toMatchObject({
    code,
    place: { [code === 'SCHEMA_MISMATCH' || code === 'VALUE_INVALID' ? 'path' : 'key']: expect.any(String) },
  });
  expect([side.store.root().hash, destination.store.root().size]).toEqual([hash, 1]);
});

test('an adapter that breaks in the middle of reading changes nothing', async () => {
  const system = new FakeSystem(aFolder(1), aFolder(2));
  const side = sideWith('left', system);
  await loadSide(side);
  system.content.delete(folderKey(2));
  system.breaksAfter = 0;
  const failed = expect.objectContaining({
    code: 'ADAPTER_FAILED',
    retry: 'backoff',
    message: expect.stringContaining('the line is dead'),
  });
  await expect(sync.twoWay(side, sideOf('right'))).rejects.toEqual(failed);
  expect(side.store.root().size).toBe(2);
  await expect(sync.oneWay(side, sideOf('left'))).rejects.toMatchObject({ code: 'STORES_ALIKE' });
  expect(() => sideOf('no name')).toThrowError(expect.objectContaining({ code: 'REPLICA_INVALID' }));
});

test('versions on both sides are linked, and an equal state makes no new one', async () => {
  const [left, right] = [sideOf('left', stateOf(aFolder(1))), sideOf('right')];
  const { versions } = await sync.oneWay(left, right, { message: 'first' });
  expect(versions).toEqual({ source: 1, destination: 1 });
  expect(linkedVersions(right.store, 1)).toEqual([{ version: 1, store: 'left', other: 1, relation: 'from' }]);
  expect(linkedVersions(left.store, 1)).toEqual([{ version: 1, store: 'right', other: 1, relation: 'to' }]);
  left.store.apply([{ op: 'patch', key: folderKey(1), fields: { title: 'new' }, removed: [] }]);
  const report = await sync.twoWay(left, right, { strategies: { default: 'source' } });
  expect(historyOf(right.store).map(({ message, time }) => [message, time])).toEqual([
    ['first', 7],
    ['sync with left', 7],
  ]);
  expect(linkedVersions(right.store, report.versions.destination)[0]).toMatchObject({
    relation: 'synchronized',
    other: report.versions.source,
  });
  await sync.twoWay(left, right);
  expect(historyOf(right.store).length).toBe(2);
  expect(right.store.links().length).toBe(2);
});

test('one desired state goes to many components, each with its own part and its own report', async () => {
  const desired = sideOf(
    'desired',
    stateOf(aSite('a'), aRack('a', 1), aDevice('s', { vlan: 7, note: 'x' }), aFolder(1)),
  );
  const broken = new FakeSystem();
  broken.breaksAfter = 0;
  broken.content.set(folderKey(9), aFolder(9));
  const refusing = new FakeSystem(aFolder(9));
  refusing.refuses.add(deviceKey('s'));
  const projection = { models: inventory, types: { device: ['vlan'] } } as const;
  const told: string[] = [];
  const reports = await syncConfiguration(
    sync,
    desired,
    [
      { name: 'broken', side: sideWith('broken', broken) },
      { name: 'refusing', side: sideWith('refusing', refusing) },
      { name: 'switches', side: sideWith('switches', new FakeSystem()), projection },
    ],
    { continueOnFailure: true, onComponent: ({ component }) => told.push(component) },
  );
  expect(reports.map(({ component, outcome }) => [component, outcome])).toEqual([
    ['broken', 'failed'],
    ['refusing', 'partial'],
    ['switches', 'complete'],
  ]);
  expect(told).toEqual(['broken', 'refusing', 'switches']);
  expect(reports[2]).toMatchObject({ report: { root: stateOf(aDevice('s', { vlan: 7 })).hash } });
  expect(reports[0]).toMatchObject({ code: 'ADAPTER_FAILED' });
});

test('a sync can be followed in the trace: states, changes, conflicts and failures', async () => {
  const hub = new TraceHub({ now: () => 0 });
  const records: TraceRecord[] = [];
  hub.listen((record) => records.push(record));
  const traced = new DiffSync({ tap: hub });
  const base = stateOf(aFolder(1), aFolder(2));
  const [left, right] = [sideOf('left', base), sideWith('right', FakeSystem.of(base))];
  await traced.twoWay(left, right);
  left.store.apply([{ op: 'patch', key: folderKey(1), fields: { title: 'l' }, removed: [] }]);
  (right.adapter as FakeSystem).content.set(folderKey(1), aFolder(1, null, 'r'));
  (right.adapter as FakeSystem).content.set(folderKey(3), aFolder(3));
  await traced.twoWay(left, right, { strategies: { default: 'source' } });
  left.store.apply([{ op: 'remove', key: folderKey(2) }]);
  (right.adapter as FakeSystem).refuses.add(folderKey(2));
  await traced.oneWay(left, right);
  const states = new Map<string, StateRoot>();
  for (const { replica, body } of records) {
    if (body.kind === 'snapshot')
      states.set(replica, StateRoot.from(body.records.map(({ key, record }) => [key, record])));
    if (body.kind === 'apply') {
      states.set(replica, states.get(replica)!.apply(body.changes));
      expect(states.get(replica)!.hash).toBe(body.root);
      expect(body.to).toBeGreaterThan(body.from);
    }
  }
  expect(states.get('right')!.hash).toBe(right.store.root().hash);
  const conflict = records.find(({ body }) => body.kind === 'conflict')!;
  expect(conflict.body).toMatchObject({
    key: folderKey(1),
    field: 'title',
    policy: 'source',
    winner: 'left',
    state: 'resolved',
  });
  const texts = records.flatMap(({ body }) => (body.kind === 'log' ? [body.text] : []));
  expect(texts).toContain(`failure: delete ${folderKey(2)}, REFUSED: not today`);
});

test('a diff made by hand between states that are not hierarchies is carried out as far as it can be', async () => {
  const side = sideOf('right');
  const report = await applyDiff(diffModels(StateRoot.empty, stateOf(aFolder(1, 2), aFolder(3))), side, {
    continueOnFailure: true,
  });
  expect(statusesOf(report)).toEqual({ [folderKey(1)]: 'PARENT_MISSING', [folderKey(3)]: 'success' });
  expect(() => applyToState(diffModels(stateOf(aFolder(1)), StateRoot.empty), StateRoot.empty)).toThrowError(
    expect.objectContaining({ code: 'RECORD_MISSING' }),
  );
});
