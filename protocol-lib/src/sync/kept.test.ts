import { describe, expect, test } from 'vitest';
import type { ClientEvent } from './client-events.ts';
import { MemorySession } from './memory-link.test-helper.ts';

describe('a replica that goes on in another process from what it kept', () => {
  /** A session in which alice was, with some changes since she left, and what she had. */
  function left() {
    const session = new MemorySession();
    const alice = session.join('alice');
    session.run(200);
    session.predict('alice', 'take', { coin: 1 });
    expect(() => alice.kept).toThrow('1 mutations are pending');
    session.run(200);
    const { kept } = alice;
    session.cut('alice');
    session.manager.mutate('note', { id: 1, text: 'news' }, session.now);
    return { session, kept };
  }

  function comeBack(session: MemorySession, kept: ReturnType<typeof left>['kept']) {
    const events: ClientEvent[] = [];
    const before = session.manager.stats.fullSyncs;
    session.latency = () => 10_000_000;
    const again = session.join('alice', { kept });
    again.on((event) => events.push(event));
    session.run(400);
    expect(again.committed.hash).toBe(session.manager.root.hash);
    const welcomed = events.filter(({ type }) => type === 'welcomed');
    return { again, welcomed, fullSyncs: session.manager.stats.fullSyncs - before };
  }

  test('is given what changed, and counts on', () => {
    const { session, kept } = left();
    const { again, welcomed, fullSyncs } = comeBack(session, kept);
    expect(fullSyncs).toBe(0);
    expect(welcomed).toEqual([{ type: 'welcomed', resumed: true, isRestart: false }]);
    expect(session.predict('alice', 'drop', { coin: 1 })).toBeUndefined();
    session.run(200);
    expect(again.receipt(2)).toMatchObject({ outcome: { state: 'accepted' } });
  });

  test('is given everything where it does not know of which life of the session that is, and is told of no restart', () => {
    const { session, kept } = left();
    const { incarnation: _, ...unknown } = kept;
    const { welcomed, fullSyncs } = comeBack(session, unknown);
    expect(fullSyncs).toBe(1);
    expect(welcomed).toEqual([{ type: 'welcomed', resumed: false, isRestart: false }]);
  });
});
