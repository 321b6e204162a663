import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StateRoot, sameValue } from '../merkle/index.ts';
import type { RecordKey, SyncRecord, Value } from '../state/index.ts';
import { applyToState } from './apply.ts';
import { hasChanges } from './diff.ts';
import { checkHierarchy } from './hierarchy.ts';
import {
  aDevice,
  aFolder,
  afterSteps,
  aRack,
  aSite,
  deviceKey,
  folderKey,
  inventory,
  rackKey,
  siteKey,
  stateOf,
  states,
  steps,
} from './inventory.test-helper.ts';
import { commonState, planTwoWay } from './merge.ts';
import { PARENT } from './model.ts';
import type { ConflictStrategies } from './strategy.ts';

const triples = fc
  .tuple(states, steps, steps)
  .map(([base, left, right]) => ({ base, source: afterSteps(base, left), destination: afterSteps(base, right) }));
const winners = fc.constantFrom('source', 'destination', 'newest');

/** The merge as one would write it down: every key, every field, no hashes. */
function naiveMerge(
  { base, source, destination }: { base: StateRoot; source: StateRoot; destination: StateRoot },
  winner: 'source' | 'destination',
): Map<RecordKey, SyncRecord> {
  const merged = new Map<RecordKey, SyncRecord>();
  const all = new Set([base, source, destination].flatMap((root) => Array.from(root.entries(), ([key]) => key)));
  const text = (record: SyncRecord | undefined) => JSON.stringify(Object.entries(record ?? { none: 0 }).sort());
  for (const key of all) {
    const [b, l, r] = [base.get(key), source.get(key), destination.get(key)];
    let record: SyncRecord | undefined;
    if (text(l) === text(r) || text(r) === text(b)) record = l;
    else if (text(l) === text(b)) record = r;
    else if (l === undefined || r === undefined) record = winner === 'source' ? l : r;
    else {
      const fields: Record<string, Value> = {};
      for (const name of new Set([...Object.keys(l), ...Object.keys(r)])) {
        const [from, mine, theirs] = [b?.[name], l[name], r[name]];
        const isMine = sameValue(theirs, from) || (!sameValue(mine, from) && winner === 'source');
        const value = isMine ? mine : theirs;
        if (value !== undefined) fields[name] = value;
      }
      record = fields;
    }
    if (record !== undefined) merged.set(key, record);
  }
  return merged;
}

test('each side gets a diff of its own, after which both are the same hierarchy', () => {
  fc.assert(
    fc.property(triples, winners, ({ base, source, destination }, winner) => {
      const plan = planTwoWay(base, source, destination, { models: inventory, strategies: { default: winner } });
      const left = applyToState(plan.source, source);
      const right = applyToState(plan.destination, destination);
      expect(left.hash).toBe(right.hash);
      checkHierarchy(inventory, left);
      expect(commonState(base, left, right).hash).toBe(left.hash);
      const again = planTwoWay(left, left, right, { models: inventory, strategies: { default: 'fail' } });
      expect([hasChanges(again.source), hasChanges(again.destination)]).toEqual([false, false]);
    }),
  );
});

test('the merge is the one of comparing every field of every model, but for what the hierarchy needs', () => {
  fc.assert(
    fc.property(triples, fc.constantFrom('source', 'destination'), (triple, winner) => {
      const { base, source, destination } = triple;
      const options = { models: inventory, strategies: { default: winner }, prefer: winner } as const;
      const plan = planTwoWay(base, source, destination, options);
      const merged = applyToState(plan.source, source);
      const oracle = StateRoot.from(naiveMerge(triple, winner));
      if (plan.mended.length === 0) expect(merged.hash).toBe(oracle.hash);
      const mended = new Set(plan.mended);
      for (const [key, record] of oracle.entries()) {
        if (!mended.has(key)) expect(merged.get(key)).toEqual(record);
      }
      for (const [key] of merged.entries()) if (!mended.has(key)) expect(oracle.has(key)).toBe(true);
    }),
  );
});

test('what only one side changed is never a conflict, and loses nothing', () => {
  fc.assert(
    fc.property(states, steps, (base, list) => {
      const changed = afterSteps(base, list);
      const options = { models: inventory, strategies: { default: 'fail' } } as const;
      const forth = planTwoWay(base, changed, base, options);
      expect(hasChanges(forth.source)).toBe(false);
      expect(applyToState(forth.destination, base).hash).toBe(changed.hash);
      const back = planTwoWay(base, base, changed, options);
      expect(hasChanges(back.destination)).toBe(false);
      expect(applyToState(back.source, base).hash).toBe(changed.hash);
    }),
  );
});

test('newest gives the same, whichever side is called the source, where no hierarchy had to be mended', () => {
  fc.assert(
    fc.property(triples, ({ base, source, destination }) => {
      const options = { models: inventory, strategies: { default: 'newest' } } as const;
      const one = planTwoWay(base, source, destination, options);
      const other = planTwoWay(base, destination, source, options);
      fc.pre(one.mended.length === 0 && other.mended.length === 0);
      expect(applyToState(one.source, source).hash).toBe(applyToState(other.source, destination).hash);
    }),
  );
});

test('what waits for a human stays as it is on both sides, and is asked again until decided', () => {
  fc.assert(
    fc.property(triples, ({ base, source, destination }) => {
      const options = { models: inventory, strategies: { default: 'ask' } } as const;
      const plan = planTwoWay(base, source, destination, options);
      const [left, right] = [applyToState(plan.source, source), applyToState(plan.destination, destination)];
      for (const { key } of plan.open) {
        expect(left.get(key)).toEqual(source.get(key));
        expect(right.get(key)).toEqual(destination.get(key));
      }
      const common = commonState(base, left, right);
      const again = planTwoWay(common, left, right, options);
      const isOpen = (one: typeof plan) => one.open.map(({ key }) => key);
      expect(isOpen(again)).toEqual(isOpen(plan));
      const decisions = new Map(plan.open.map(({ key }) => [key, 'destination'] as const));
      const last = planTwoWay(common, left, right, { ...options, decisions });
      expect(last.open).toEqual([]);
      expect(applyToState(last.source, left).hash).toBe(applyToState(last.destination, right).hash);
    }),
  );
});

const site = aSite('a');
const merge = (
  [base, source, destination]: readonly [StateRoot, StateRoot, StateRoot],
  strategies: ConflictStrategies = { default: 'fail' },
) => {
  const plan = planTwoWay(base, source, destination, { models: inventory, strategies });
  return { plan, merged: applyToState(plan.source, source) };
};

test('changes of different fields of one model are both kept', () => {
  const { merged } = merge([
    stateOf(aDevice('s', { vlan: 1, note: 'x' })),
    stateOf(aDevice('s', { vlan: 2, note: 'x' })),
    stateOf(aDevice('s', { vlan: 1 })),
  ]);
  expect(merged.hash).toBe(stateOf(aDevice('s', { vlan: 2 })).hash);
});

test('a strategy for an attribute counts before that for its type, and that before the default', () => {
  const triple = [
    stateOf(aDevice('s', { vlan: 1, note: 'x' }), aFolder(1)),
    stateOf(aDevice('s', { vlan: 2, note: 'y' }), aFolder(1, null, 'source')),
    stateOf(aDevice('s', { vlan: 3, note: 'z' }), aFolder(1, null, 'destination')),
  ] as const;
  const { merged, plan } = merge(triple, {
    default: 'destination',
    types: { device: 'source' },
    attributes: { 'device.vlan': ({ fields }) => ({ fields: Object.fromEntries(fields.map((name) => [name, 9])) }) },
  });
  expect(merged.hash).toBe(stateOf(aDevice('s', { vlan: 9, note: 'y' }), aFolder(1, null, 'destination')).hash);
  expect(plan.decided.map(({ conflict, strategy }) => [conflict.key, conflict.fields, strategy])).toEqual([
    [deviceKey('s'), ['note'], 'source'],
    [deviceKey('s'), ['vlan'], 'function'],
    [folderKey(1), ['title'], 'destination'],
  ]);
});

test('the newest by its stamp wins, and a change wins over a deletion', () => {
  const triple = [
    stateOf(aDevice('s'), aDevice('t')),
    stateOf(aDevice('s', { vlan: 2, changed: 5 })),
    stateOf(aDevice('s', { vlan: 3, changed: 4 }), aDevice('t', { vlan: 7 })),
  ] as const;
  const { merged } = merge(triple, { default: 'newest' });
  expect(merged.hash).toBe(stateOf(aDevice('s', { vlan: 2, changed: 5 }), aDevice('t', { vlan: 7 })).hash);
});

test('fail refuses the whole merge', () => {
  const triple = [
    stateOf(aDevice('s', { vlan: 1 })),
    stateOf(aDevice('s', { vlan: 2 })),
    stateOf(aDevice('s', { vlan: 3 })),
  ] as const;
  expect(() => merge(triple)).toThrowError(expect.objectContaining({ code: 'SYNC_CONFLICT' }));
});

test('a parent that one side deleted comes back where the other put something below it', () => {
  const { merged, plan } = merge([
    stateOf(site, aRack('a', 1)),
    stateOf(site),
    stateOf(site, aRack('a', 1), aDevice('s', {}, rackKey('a', 1))),
  ]);
  expect(plan.mended).toEqual([rackKey('a', 1)]);
  expect(merged.get(deviceKey('s'))?.[PARENT]).toBe(rackKey('a', 1));
  expect(merged.has(siteKey('a'))).toBe(true);
});

test('moves of both sides that would make a cycle: those of the preferred side count', () => {
  const triple = [
    stateOf(aFolder(1), aFolder(2)),
    stateOf(aFolder(1, 2), aFolder(2)),
    stateOf(aFolder(1), aFolder(2, 1)),
  ] as const;
  const { merged, plan } = merge(triple);
  expect(plan.mended).toEqual([folderKey(2)]);
  expect(merged.hash).toBe(triple[1].hash);
});

test('a decision that names what is not in question, or is none, is refused', () => {
  const triple = [
    stateOf(aDevice('s', { vlan: 1 })),
    stateOf(aDevice('s', { vlan: 2 })),
    stateOf(aDevice('s', { vlan: 3 })),
  ] as const;
  const codeOf = (answer: unknown): unknown => {
    try {
      return merge(triple, { default: () => answer as 'source' });
    } catch (error) {
      return (error as { code: unknown }).code;
    }
  };
  for (const answer of [undefined, null, 'both', {}, { fields: { note: 'x' } }, { fields: { [PARENT]: 'site/a' } }]) {
    expect(codeOf(answer)).toBe('CONFLICT_DECISION_INVALID');
  }
  expect(codeOf({ fields: { vlan: 'high' } })).toBe('SCHEMA_MISMATCH');
  expect(codeOf({ fields: JSON.parse('{"__proto__":1}') })).toBe('CONFLICT_DECISION_INVALID');
});
