import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ConflictResolver, type PolicyEntry, resolveSides } from '../conflict/index.ts';
import { replicaId, type SyncRecord } from '../state/index.ts';
import { applyToState } from './apply.ts';
import { hasChanges } from './diff.ts';
import { checkHierarchy } from './hierarchy.ts';
import type { ModelConflict, PolicyStrategies } from './index.ts';
import {
  aDevice,
  afterSteps,
  aSite,
  deviceKey,
  inventory,
  siteKey,
  stateOf,
  states,
  steps,
} from './inventory.test-helper.ts';
import { planTwoWay } from './merge.ts';

const [office, field] = ['office', 'field'].map((name) => ({ writer: replicaId(name), counter: 1, role: name }));

/** The greater `changed` is the later; of equal ones the side of `office`, told by what it holds, never by which side it is. */
function strategiesOf(policies: readonly PolicyEntry[]): PolicyStrategies {
  const text = (record: SyncRecord | undefined) => JSON.stringify(Object.entries(record ?? {}).sort());
  const stamp = (record: SyncRecord | undefined) => `${String(record?.changed ?? 0)} ${text(record)}`;
  return {
    resolver: new ConflictResolver({ policies }),
    writersOf: ({ source, destination }: ModelConflict) => {
      const later = stamp(source) > stamp(destination) ? ('source' as const) : ('destination' as const);
      return later === 'source'
        ? { source: office!, destination: field!, later }
        : { source: field!, destination: office!, later };
    },
  };
}

const lastWrite = strategiesOf([{ collection: 'device/', policy: { kind: 'last-write' } }]);
const merged = (base: SyncRecord, source: SyncRecord, destination: SyncRecord, strategies: PolicyStrategies) => {
  const [b, s, d] = [base, source, destination].map((fields) => stateOf(aDevice('s1', fields)));
  const plan = planTwoWay(b!, s!, d!, { models: inventory, strategies });
  return { plan, left: applyToState(plan.source, s!), right: applyToState(plan.destination, d!) };
};

test('each field goes by its own policy, and a group is never of two writers', () => {
  const strategies = strategiesOf([
    { collection: 'device/', fields: ['vlan', 'changed'], policy: { kind: 'last-write' } },
    { collection: 'device/', fields: ['note'], policy: { kind: 'role', ranks: [{ role: 'field', rank: 1 }] } },
  ]);
  // Without policies these were changes of two fields, and no conflict.
  const base = { vlan: 1, note: 'a', changed: 1 };
  const { plan, left, right } = merged(
    base,
    { ...base, vlan: 2, note: 'b' },
    { ...base, changed: 3, note: 'c' },
    strategies,
  );
  expect(left.get(deviceKey('s1'))).toMatchObject({ vlan: 1, changed: 3, note: 'b' });
  expect(left.hash).toBe(right.hash);
  expect(plan.decided).toMatchObject([{ strategy: 'last-write, role', result: { vlan: 1, changed: 3, note: 'b' } }]);
});

test('what waits for a human is left on both sides, and settled by what somebody decides', () => {
  const strategies = strategiesOf([{ collection: 'device/', fields: ['note'], policy: { kind: 'human' } }]);
  const base = { vlan: 1, note: 'a' };
  const [source, destination] = [
    { vlan: 2, note: 'b' },
    { vlan: 1, note: 'c' },
  ];
  const { plan, left, right } = merged(base, source, destination, strategies);
  expect(plan.open).toMatchObject([{ key: deviceKey('s1'), kind: 'fields', fields: ['note'] }]);
  expect([left, right].map((root) => root.get(deviceKey('s1'))?.note)).toEqual(['b', 'c']);
  for (const [decision, note] of [
    ['destination', 'c'],
    [{ fields: { note: 'both' } }, 'both'],
  ] as const) {
    const [b, s, d] = [base, source, destination].map((fields) => stateOf(aDevice('s1', fields)));
    const decisions = new Map([[deviceKey('s1'), decision]]);
    const settled = planTwoWay(b!, s!, d!, { models: inventory, strategies, decisions });
    expect(settled.open).toEqual([]);
    for (const root of [applyToState(settled.source, s!), applyToState(settled.destination, d!)])
      expect(root.get(deviceKey('s1'))).toMatchObject({ vlan: 2, note });
  }
});

test('a deletion stands over a change that did not know of it, as among peers, and is told', () => {
  const [base, changed, deleted] = [stateOf(aSite('a', 'x')), stateOf(aSite('a', 'y')), stateOf()];
  for (const later of ['source', 'destination'] as const) {
    const writersOf = () => ({ source: office!, destination: field!, later });
    const plan = planTwoWay(base, changed, deleted, { models: inventory, strategies: { ...lastWrite, writersOf } });
    const roots = [applyToState(plan.source, changed), applyToState(plan.destination, deleted)];
    expect(roots.map((root) => root.has(siteKey('a')))).toEqual([false, false]);
    expect(plan.decided).toMatchObject([
      { conflict: { kind: 'delete' }, strategy: 'removal', decision: 'destination', result: null },
    ]);
  }
});

const triples = fc
  .tuple(states, steps, steps)
  .map(([base, left, right]) => ({ base, source: afterSteps(base, left), destination: afterSteps(base, right) }));

test('it is the same merge, whichever side is called the source, and the one that peers would make of each model', () => {
  fc.assert(
    fc.property(triples, ({ base, source, destination }) => {
      const options = { models: inventory, strategies: lastWrite };
      const one = planTwoWay(base, source, destination, options);
      const other = planTwoWay(base, destination, source, options);
      const left = applyToState(one.source, source);
      expect(left.hash).toBe(applyToState(one.destination, destination).hash);
      checkHierarchy(inventory, left);
      const again = planTwoWay(left, left, left, options);
      expect([hasChanges(again.source), again.open]).toEqual([false, []]);
      fc.pre(one.mended.length === 0 && other.mended.length === 0);
      expect(left.hash).toBe(applyToState(other.source, destination).hash);
      for (const { conflict } of one.decided) {
        const { key } = conflict;
        const writers = lastWrite.writersOf(conflict);
        const [earlier, later] =
          writers.later === 'source' ? (['destination', 'source'] as const) : (['source', 'destination'] as const);
        const sides = {
          key,
          base: conflict.base ?? null,
          theirs: conflict[earlier] ?? null,
          mine: conflict[later] ?? null,
        };
        const { record } = resolveSides(lastWrite.resolver, sides, { theirs: writers[earlier], mine: writers[later] });
        expect(left.get(key) ?? null).toEqual(record);
      }
    }),
  );
});
