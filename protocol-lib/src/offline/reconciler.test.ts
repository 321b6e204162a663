import { describe, expect, it } from 'vitest';
import { MemoryEventLog } from '../events/index.ts';
import { EMPTY_HASH } from '../merkle/index.ts';
import { type OfflineMutation, type ReconcileRequest, reconcileAnswerSchema } from '../messages/index.ts';
import { recordKey, replicaId, type SyncRecord } from '../state/index.ts';
import {
  askHuman,
  byCollection,
  type ConflictPolicy,
  firstWriteWins,
  lastWriteWins,
  mergedFields,
} from './conflicts.ts';
import { NotesWorld, notesSession } from './notes.test-helper.ts';

/** A device that has changed the text of a note while another wrote to it too. */
async function conflicted(policy: ConflictPolicy, theirs: SyncRecord = { text: 'theirs', color: 'red' }) {
  const world = new NotesWorld({
    policyOf: byCollection({ note: policy }, lastWriteWins),
    writeMerged: {
      command: 'write',
      args: (records) => ({ records: records.map(({ key, record }) => ({ key, record })) }),
    },
  });
  const device = await world.device('phone');
  await device.sync({ pull: true });
  await device.mutate({ command: 'edit', args: { key: 'note/first', text: 'mine' } });
  world.elsewhere('edit', { key: 'note/first', ...theirs });
  await device.sync();
  return { world, device, entry: device.entry(1)! };
}

describe('two who changed one record without knowing of each other', () => {
  it('by the last who arrives', async () => {
    const { world, device, entry } = await conflicted(lastWriteWins);
    expect(world.record('note/first')).toMatchObject({ text: 'mine', color: 'red' });
    expect(entry.state).toBe('reconciled');
    expect(entry.conflicts).toMatchObject([
      {
        key: 'note/first',
        winner: 'mine',
        base: { text: 'hello' },
        mine: { text: 'mine' },
        theirs: { text: 'theirs' },
        result: { text: 'mine', color: 'red' },
      },
    ]);
    expect(device.local.hash).toBe(world.manager.root.hash);
  });

  it('by the first', async () => {
    const { world, device, entry } = await conflicted(firstWriteWins);
    expect(world.record('note/first')).toMatchObject({ text: 'theirs' });
    expect(entry).toMatchObject({ state: 'conflicted', code: 'conflict', conflicts: [{ winner: 'theirs' }] });
    expect(device.local.hash).toBe(world.manager.root.hash);
  });

  it('by a merge', async () => {
    const both: ConflictPolicy = {
      name: 'both-texts',
      decide: ({ base, mine, theirs }) => {
        if (!base || !mine || !theirs) return { winner: 'nobody', reason: 'nothing to merge' };
        const record = { ...mergedFields(base, mine, theirs), text: `${theirs.text} + ${mine.text}` };
        return { winner: 'merged', record, reason: 'both texts are kept' };
      },
    };
    const { world, entry } = await conflicted(both);
    expect(world.record('note/first')).toMatchObject({ text: 'theirs + mine', color: 'red' });
    expect(entry).toMatchObject({
      state: 'reconciled',
      conflicts: [{ winner: 'merged', result: { text: 'theirs + mine' } }],
    });
  });

  it('by a human, whose decision is a mutation like any other', async () => {
    const { world, device, entry } = await conflicted(askHuman);
    expect(entry).toMatchObject({
      state: 'conflicted',
      code: 'waiting',
      conflicts: [{ state: 'waiting', winner: 'nobody' }],
    });
    expect(world.record('note/first')).toMatchObject({ text: 'theirs' });
    await device.mutate({ command: 'edit', args: { key: 'note/first', text: String(entry.conflicts[0]!.mine?.text) } });
    await device.dismiss(1);
    await device.sync();
    expect(world.record('note/first')).toMatchObject({ text: 'mine' });
    expect(device.entries).toMatchObject([{ state: 'reconciled', conflicts: [] }]);
  });

  it('by nobody, where the policy throws', async () => {
    const failing: ConflictPolicy = {
      name: 'failing',
      decide() {
        throw new Error('boom');
      },
    };
    const { entry } = await conflicted(failing);
    expect(entry).toMatchObject({ state: 'conflicted', code: 'waiting' });
    expect(entry.reason).toMatch(/boom/);
  });

  it('is no conflict where both did the same, or each something else', async () => {
    for (const theirs of [{ text: 'mine' }, { color: 'red' }]) {
      const { entry } = await conflicted(askHuman, theirs);
      expect(entry).toMatchObject({ state: 'reconciled', conflicts: [] });
    }
  });

  it('is one where a record was removed under a change', async () => {
    const world = new NotesWorld({ policyOf: () => askHuman });
    const device = await world.device('phone');
    await device.sync({ pull: true });
    await device.mutate({ command: 'edit', args: { key: 'note/first', text: 'mine' } });
    world.elsewhere('remove', { key: 'note/first' });
    await device.sync();
    expect(device.entry(1)?.conflicts).toMatchObject([{ theirs: null, mine: { text: 'mine' } }]);
  });

  it('is told again, as it was, when the answer was lost', async () => {
    const world = new NotesWorld({ policyOf: () => askHuman });
    const device = await world.device('phone');
    await device.sync({ pull: true });
    await device.mutate({ command: 'edit', args: { key: 'note/first', text: 'mine' } });
    world.elsewhere('edit', { key: 'note/first', text: 'theirs' });
    world.onAnswer = () => {
      throw new Error('cut');
    };
    await device.sync();
    world.onAnswer = () => undefined;
    device.wake();
    await device.sync();
    expect(device.entry(1)).toMatchObject({ state: 'conflicted', code: 'waiting', conflicts: [{ key: 'note/first' }] });
  });

  it('shows nobody what its view does not hold', () => {
    const world = new NotesWorld(
      { policyOf: () => askHuman },
      {
        definition: {
          ...notesSession,
          view: () => ({ id: 'notes', sees: (key) => key.startsWith('note/') }),
        },
      },
    );
    world.elsewhere('log', { what: 'secret' });
    const touched = { key: recordKey('log/all'), record: { done: ['guess'] } };
    const mutation = { ...edit(1), base: [{ ...touched, record: { done: [] } }], mine: [touched] };
    const answer = world.reconciler.handle(request({ mutations: [mutation] }), 0);
    expect(JSON.stringify(answer)).not.toContain('secret');
  });
});

function edit(counter: number, rest: Partial<OfflineMutation> = {}): OfflineMutation {
  const made = {
    command: 'edit',
    args: { key: 'note/first', text: `edit ${counter}` },
    creates: [],
    madeAt: counter,
    madeOn: 0,
  };
  return { counter, ...made, base: [], mine: [], ...rest };
}

function request(rest: Partial<ReconcileRequest> = {}): ReconcileRequest {
  const acknowledged = { version: 0, progress: 0, root: EMPTY_HASH };
  return { session: 'notes', device: replicaId('phone'), settled: 0, acknowledged, mutations: [], ...rest };
}

/** A log that makes durable what it is told to, and no more. */
class SlowLog extends MemoryEventLog {
  isHeld = false;
  #durable = -1;

  override get durable(): number {
    if (!this.isHeld) this.#durable = super.last;
    return this.#durable;
  }
}

describe('requests', () => {
  it('are answered when what they settled is durable, and settled once', () => {
    const log = new SlowLog();
    const world = new NotesWorld({}, { log });
    const mutations = [edit(1), edit(2, { command: 'remove', args: { key: 'note/none' } }), edit(3)];
    expect(log.durable).toBe(0);
    log.isHeld = true;
    for (let tries = 0; tries < 3; tries++) {
      expect(world.reconciler.handle(request({ mutations }), 0)).toBeUndefined();
      expect([world.manager.version, log.last]).toEqual([1, 3]);
    }
    log.isHeld = false;
    const answer = world.reconciler.handle(request({ mutations }), 0);
    expect(answer).toMatchObject({ settled: 3, applied: [{ counter: 1 }, { counter: 3 }], rejected: [{ counter: 2 }] });
    expect(log.last).toBe(3);
    expect(answer?.checkpoint.root).toBe(world.manager.root.hash);
    // A restart of the authority from its log knows every name still.
    const again = new NotesWorld({}, { log });
    const known = again.reconciler.handle(request({ mutations }), 0);
    expect(known).toMatchObject({ applied: [{ isRepeated: true }, { isRepeated: true }], rejected: [{ counter: 2 }] });
    expect([again.manager.root.hash, log.last]).toEqual([world.manager.root.hash, 3]);
  });

  const refused = (rest: Partial<ReconcileRequest>): string => {
    const world = new NotesWorld();
    const before = world.manager.root.hash;
    try {
      world.reconciler.handle(request(rest), 0);
    } catch (error) {
      expect(world.manager.root.hash).toBe(before);
      expect(world.manager.vector).toEqual([]);
      return (error as { code: string }).code;
    }
    return 'answered';
  };

  it('are refused whole', () => {
    expect(refused({ session: 'other' })).toBe('SESSION_UNKNOWN');
    expect(refused({ device: replicaId('server') })).toBe('REPLICA_TAKEN');
    expect(refused({ acknowledged: { version: 7, progress: 9, root: EMPTY_HASH } })).toBe('CHECKPOINT_FROM_FUTURE');
    expect(refused({ mutations: [edit(2)] })).toBe('RECONCILE_GAP');
    expect(refused({ mutations: [edit(1), edit(3)] })).toBe('RECONCILE_GAP');
    expect(refused({ mutations: [edit(1), edit(1)] })).toBe('RECONCILE_GAP');
    for (const key of ['note/mine', 'note/~other-1', 'note/~phone-0']) {
      expect(refused({ mutations: [edit(1, { creates: [recordKey(key)] })] })).toBe('RECONCILE_INVALID');
    }
  });

  it('get a snapshot where nothing is known, a delta from a version that was answered before, and nothing where nothing changed', () => {
    const world = new NotesWorld();
    const ask = (rest: Partial<ReconcileRequest>) =>
      reconcileAnswerSchema.parse(world.reconciler.handle(request(rest), 0), '');
    const start = ask({});
    expect(start.snapshot?.records).toHaveLength(2);
    world.elsewhere('log', { what: 'a' });
    const next = ask({ acknowledged: start.checkpoint, mutations: [edit(1)] });
    expect(next).toMatchObject({
      settled: 1,
      applied: [{ counter: 1, isRepeated: false }],
      delta: { from: start.checkpoint.version },
    });
    expect(next.delta?.changes).toHaveLength(2);
    expect(next.checkpoint.root).toBe(world.manager.root.hash);
    const idle = ask({ settled: 1, acknowledged: next.checkpoint });
    expect([idle.delta, idle.snapshot]).toEqual([undefined, undefined]);
    const diverged = ask({ settled: 1, acknowledged: { ...next.checkpoint, root: EMPTY_HASH } });
    expect(diverged.snapshot?.root).toBe(world.manager.root.hash);
  });

  it('that come again are answered from the ledger for ever, and under another body named', () => {
    const world = new NotesWorld({ remembered: 4 });
    const mutations = Array.from({ length: 20 }, (_, index) => edit(index + 1));
    world.reconciler.handle(request({ mutations }), 0);
    const version = world.manager.version;
    const again = world.reconciler.handle(request({ mutations }), 0);
    expect(again?.applied.every(({ isRepeated }) => isRepeated)).toBe(true);
    expect(world.manager.version).toBe(version);
    const other = world.reconciler.handle(
      request({ mutations: mutations.with(19, edit(20, { args: { key: 'note/first' } })) }),
      0,
    );
    expect(other?.rejected).toMatchObject([{ counter: 20, code: 'key-reused' }]);
    expect(world.manager.version).toBe(version);
    expect(world.record('note/first')).toMatchObject({ text: 'edit 20' });
  });
});
