import { describe, expect, test } from 'vitest';
import { FrameDecoder, type MessageOf } from '../messages/index.ts';
import { replicaId } from '../state/index.ts';
import { MemorySession } from './memory-link.test-helper.ts';
import { MAX_PENDING } from './settings.ts';

/** A session that reads along what each client is sent in deltas, while {@link isReading}. */
function readAlong(session: MemorySession) {
  const told: MessageOf<'DELTA_SYNC'>[] = [];
  const decoder = new FrameDecoder();
  let isReading = false;
  session.fate = (frame, to) => {
    if (to !== 'client') return [frame];
    // The names go to all; once is enough to know them.
    const message = decoder.decode(frame);
    if (isReading && message.type === 'DELTA_SYNC') told.push(message);
    return [frame];
  };
  return {
    told,
    read: () => {
      isReading = true;
    },
  };
}

describe('why a mutation was refused', () => {
  test('is told to its writer, and all others share one delta without it', () => {
    const session = new MemorySession();
    const { told, read } = readAlong(session);
    const [alice, bob, carol] = ['alice', 'bob', 'carol'].map((name) => session.join(name));
    session.run(1_000);
    read();
    expect(session.predict('alice', 'unlock', null, { unchecked: true })).toBeUndefined();
    session.manager.mutate('note', { id: 1, text: 'news' }, session.now);
    session.run(100);
    expect(told.map(({ rejected }) => rejected)).toEqual([
      [{ replica: 'alice', counter: 1, reason: 'door_locked' }],
      [],
      [],
    ]);
    expect(new Set(told.map(({ sequence }) => sequence)).size).toBe(2);
    for (const client of [alice, bob, carol]) {
      expect(client?.committed.hash).toBe(session.manager.root.hash);
      expect(client?.vector.get(replicaId('alice'))).toBe(1);
    }
    expect(alice?.receipt(1)).toMatchObject({ outcome: { state: 'rejected', reason: 'door_locked' } });
  });

  test('costs nobody else anything, however many were refused while it was away', () => {
    const session = new MemorySession();
    const bob = session.join('bob');
    session.run(1_000);
    session.cut('bob');
    for (let writer = 0; writer < 260; writer++) {
      const name = `writer-${writer}`;
      session.join(name);
      for (let count = 0; count < MAX_PENDING; count++) session.predict(name, 'unlock', null, { unchecked: true });
      session.cut(name);
    }
    const { told, read } = readAlong(session);
    read();
    session.connect('bob');
    session.run(500);
    expect(bob.isSettled).toBe(true);
    expect(bob.vector.get(replicaId('writer-259'))).toBe(MAX_PENDING);
    expect(told.map(({ rejected }) => rejected)).toEqual([[]]);
  });
});
