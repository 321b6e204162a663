import { describe, expect, test } from 'vitest';
import { MemorySession } from './memory-link.test-helper.ts';

describe('normal operation', () => {
  test("a client that joins has the authority's state", () => {
    const session = new MemorySession();
    const alice = session.join('alice');
    expect(alice.phase).toBe('live');
    expect(alice.version).toBe(session.manager.version);
    expect(alice.committed.hash).toBe(session.manager.root.hash);
  });
  test('a prediction shows at once, is sent, and is confirmed by the next delta to everybody', () => {
    const session = new MemorySession();
    const alice = session.join('alice');
    const bob = session.join('bob');
    expect(session.predict('alice', 'take', { coin: 3 })).toBeUndefined();
    expect(alice.pending.length).toBe(1);
    expect(alice.optimistic.hash).not.toBe(alice.committed.hash);
    session.run(100);
    expect(alice.pending).toEqual([]);
    for (const client of [alice, bob]) expect(client.committed.hash).toBe(session.manager.root.hash);
    expect(session.manager.clients.map((client) => client.version)).toEqual([2, 2]);
    expect(session.manager.stats.deltas).toBe(2);
  });
});
