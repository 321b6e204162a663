import { describe, expect, test } from 'vitest';
import { StateRoot } from '../merkle/index.ts';
import { type Change, recordKey, replicaId, type SyncRecord } from '../state/index.ts';
import { decide } from './decide.ts';
import { coinSession, MemorySession } from './memory-link.test-helper.ts';
import { isTooMuchForDelta } from './repair-cost.ts';
import type { SessionDefinition } from './session.ts';

/** A session of which one command changes all `count` things. */
function things(count: number): SessionDefinition {
  const keys = Array.from({ length: count }, (_, index) => recordKey(`thing/${index}`));
  return {
    ...coinSession,
    *initialRecords() {
      for (const key of keys) yield [key, { at: 0, name: 'a thing' }] as const;
    },
    commands: {
      ...coinSession.commands,
      move: (_state, args, writer) => ({
        accepted: true,
        events: [{ type: 'MOVED', player: writer, detail: 'all', data: args }],
      }),
    },
    reduce: (state, event) =>
      event.type === 'MOVED'
        ? keys.map((key) => ({ op: 'patch', key, fields: event.data as SyncRecord, removed: [] }))
        : coinSession.reduce(state, event),
  };
}

describe('a change of nearly everything', () => {
  test('comes as a snapshot in parts where one delta would be too large, and a small one as a delta', () => {
    const definition = things(1_000);
    const session = new MemorySession({ definition, snapshotPart: 500 });
    const alice = session.join('alice', { definition });
    session.run(1_000);
    const { fullSyncs } = session.manager.stats;
    let longest = 0;
    session.fate = (frame, to) => {
      if (to === 'client') longest = Math.max(longest, frame.length);
      return [frame];
    };
    session.manager.mutate('move', { at: 2 ** 40, name: 'moved' }, session.now);
    session.run(1_000);
    expect(alice.committed.hash).toBe(session.manager.root.hash);
    expect(session.manager.stats.fullSyncs).toBe(fullSyncs + 1);
    expect(longest).toBeLessThan(1_000);
    session.manager.mutate('note', { id: 1, text: 'small' }, session.now);
    session.run(1_000);
    expect(alice.committed.hash).toBe(session.manager.root.hash);
    expect(session.manager.stats.fullSyncs).toBe(fullSyncs + 1);
  });

  test('is too much for a delta by its values too, whatever their size: a receiver takes no more in a frame', () => {
    const removed = Array.from({ length: 10_000 }, (_, index) => `f${index}`);
    const patches = (count: number) =>
      Array.from({ length: count }, (_, index): Change => {
        return { op: 'patch', key: recordKey(`thing/${index}`), fields: {}, removed };
      });
    expect(isTooMuchForDelta(patches(40), 256 * 1024)).toBe(false);
    expect(isTooMuchForDelta(patches(60), 256 * 1024)).toBe(true);
  });

  test('may be made by one event, however many records it changes', () => {
    // More than a call may have arguments.
    const count = 150_000;
    const changes = Array.from({ length: count }, (_, index): Change => {
      return { op: 'put', key: recordKey(`thing/${index}`), record: {} };
    });
    const definition = { ...things(0), reduce: () => changes };
    const decision = decide(definition, StateRoot.empty, 'move', null, replicaId('alice'));
    expect(decision).toMatchObject({ accepted: true });
    expect(decision.accepted && decision.changes.length).toBe(count);
  });
});
