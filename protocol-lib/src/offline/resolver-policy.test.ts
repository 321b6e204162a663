import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConflictResolver, conflictKey, resolveSides, type SideWriter, waitingSchema } from '../conflict/index.ts';
import { recordKey, replicaId, type SyncRecord } from '../state/index.ts';
import { NotesWorld } from './notes.test-helper.ts';
import { resolverPolicies } from './resolver-policy.ts';

const key = recordKey('note/first');
const resolver = new ConflictResolver({
  policies: [
    { collection: 'note/', fields: ['x', 'y'], policy: { kind: 'last-write' } },
    { collection: 'note/', fields: ['tags'], policy: { kind: 'merge', of: 'set' } },
    { collection: 'note/', fields: ['title'], policy: { kind: 'role', ranks: [{ role: 'chair', rank: 1 }] } },
    { collection: 'note/', fields: ['text'], policy: { kind: 'human' } },
  ],
});
const groups = [{ collection: 'note/', fields: ['x', 'y'] }];

function writers(mine = '', theirs = ''): { readonly theirs: SideWriter; readonly mine: SideWriter } {
  return {
    theirs: { writer: replicaId('server'), counter: 1, role: theirs },
    mine: { writer: replicaId('phone'), counter: 4, role: mine },
  };
}

const base = { x: 0, y: 0, tags: ['a'], title: 'plan', text: 'hello' };

describe('two sides of a record', () => {
  it('are merged by the policy of each field and group', () => {
    const { record, waiting } = resolveSides(
      resolver,
      {
        key,
        base,
        theirs: { ...base, y: 7, tags: ['a', 'c'], title: 'theirs' },
        mine: { ...base, x: 5, tags: ['b'], title: 'mine' },
      },
      writers('', 'chair'),
    );
    expect(record).toEqual({ x: 5, y: 0, tags: ['b', 'c'], title: 'theirs', text: 'hello' });
    expect(waiting).toEqual([]);
  });

  it('leave a conflict that waits where a human is to decide, and everything else merged', () => {
    const { record, waiting } = resolveSides(
      resolver,
      { key, base, theirs: { ...base, text: 'theirs' }, mine: { ...base, text: 'mine', tags: [] } },
      writers(),
    );
    expect(record).toEqual({ ...base, tags: [] });
    const [conflict] = waiting;
    expect(conflict?.key).toBe(conflictKey(key, 'text'));
    expect(waitingSchema.parse(conflict?.record, 'conflict')).toMatchObject({
      state: 'waiting',
      base: { text: 'hello' },
      sides: [{ value: { text: 'theirs' } }, { writer: 'phone', counter: 4, value: { text: 'mine' } }],
    });
  });

  it('whichever they are: no group is ever of two writers, and what only one changed stands', () => {
    const arbitrary = fc.record({ x: fc.nat(3), y: fc.nat(3), tags: fc.constant(['a']), title: fc.constant('t') });
    fc.assert(
      fc.property(arbitrary, arbitrary, arbitrary, (before, theirs, mine) => {
        const { record } = resolveSides(resolver, { key, base: before, theirs, mine }, writers());
        const hasMoved = mine.x !== before.x || mine.y !== before.y;
        const expected = hasMoved ? mine : theirs;
        expect(record).toMatchObject({ x: expected.x, y: expected.y });
      }),
    );
  });
});

/** A device whose note somebody else has changed meanwhile. */
async function afterBoth(mine: SyncRecord, theirs: SyncRecord) {
  const world = new NotesWorld({
    policyOf: resolverPolicies({ resolver, writersOf: () => writers() }),
    groups,
    writeMerged: { command: 'write', args: (records) => ({ records }) },
  });
  world.elsewhere('edit', { key, ...base });
  const device = await world.device('phone');
  await device.sync({ pull: true });
  await device.mutate({ command: 'edit', args: { key, ...mine } });
  world.elsewhere('edit', { key, ...theirs });
  await device.sync();
  return { world, entry: device.entry(1)!, local: device.local.hash };
}

describe('a reconciler with the policies of a resolver', () => {
  it('takes different fields of one group for a conflict, and never mixes them', async () => {
    const { world, entry } = await afterBoth({ x: 5 }, { y: 7 });
    expect(world.record(key)).toMatchObject({ x: 5, y: 0 });
    expect(entry.conflicts).toMatchObject([{ policy: 'last-write', winner: 'merged', state: 'resolved' }]);
  });

  it('merges lists by intent', async () => {
    const { world } = await afterBoth({ tags: ['a', 'mine'] }, { tags: ['theirs'] });
    expect(world.record(key)).toMatchObject({ tags: ['mine', 'theirs'] });
  });

  it('puts what waits for a human among the records, and settles the mutation', async () => {
    const { world, entry, local } = await afterBoth({ text: 'mine', color: 'red' }, { text: 'theirs' });
    expect(world.record(key)).toMatchObject({ text: 'hello', color: 'red' });
    expect(world.record(conflictKey(key, 'text'))).toMatchObject({ state: 'waiting', key });
    expect(entry).toMatchObject({ state: 'reconciled', conflicts: [{ policy: 'human', state: 'waiting' }] });
    expect(local).toBe(world.manager.root.hash);
  });

  it('has no conflict where commands merge by themselves', async () => {
    const world = new NotesWorld({ policyOf: () => never, mergesItself: (one) => one.startsWith('note/') });
    const device = await world.device('phone');
    await device.sync({ pull: true });
    await device.mutate({ command: 'edit', args: { key, text: 'mine' } });
    world.elsewhere('edit', { key, text: 'theirs' });
    await device.sync();
    expect(world.record(key)).toMatchObject({ text: 'mine' });
    expect(device.entry(1)).toMatchObject({ state: 'reconciled', conflicts: [] });
  });
});

const never = {
  name: 'never',
  decide: () => {
    throw new Error('nothing is in conflict');
  },
};
