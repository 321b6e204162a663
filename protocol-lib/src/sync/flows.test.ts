import { describe, expect, test } from 'vitest';
import { unpackMsgpack } from '../bytes/index.ts';
import type { StateRoot } from '../merkle/index.ts';
import { decodeMessage, type MessageType, messageType, noNames } from '../messages/index.ts';
import { recordKey } from '../state/index.ts';
import type { ClientEvent } from './client-events.ts';
import { MemorySession } from './memory-link.test-helper.ts';

const coin = (index: number) => recordKey(`coin/${index}`);
const owner = (root: StateRoot, index: number) => root.get(coin(index))?.owner;

/** Message types that cross the links from now on, `>` to the manager and `<` from it. */
function watch(session: MemorySession): string[] {
  const seen: string[] = [];
  session.fate = (frame, to) => {
    seen.push(`${to === 'manager' ? '>' : '<'} ${typeOf(frame)}`);
    return [frame];
  };
  return seen;
}

function typeOf(frame: Uint8Array): MessageType | undefined {
  const tuple = unpackMsgpack(frame);
  return Array.isArray(tuple) ? messageType(tuple[0]) : undefined;
}

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
    const [alice, bob] = [session.join('alice'), session.join('bob')];
    const events: ClientEvent[] = [];
    alice.on((event) => events.push(event));
    expect(session.predict('alice', 'take', { coin: 3 })).toBeUndefined();
    expect(alice.pending).toHaveLength(1);
    expect([owner(alice.optimistic, 3), owner(alice.committed, 3)]).toEqual(['alice', null]);
    session.run(100);
    expect(alice.pending).toEqual([]);
    expect(owner(bob.committed, 3)).toBe('alice');
    for (const client of [alice, bob]) expect(client.committed.hash).toBe(session.manager.root.hash);
    expect(events.map(({ type }) => type)).toEqual(['event', 'confirmed', 'committed']);
    expect(session.manager.stats).toMatchObject({ deltas: 2, fullSyncs: 2, commits: 1, rejections: 0, mismatches: 0 });
  });

  test('a delta every 100 ms however much happens, and one encoding for all that stand at one point', () => {
    const session = new MemorySession();
    for (const name of ['alice', 'bob', 'carol']) session.join(name);
    session.run(100);
    const frames = new Set<Uint8Array>();
    session.fate = (frame, to) => {
      if (to === 'client' && typeOf(frame) === 'DELTA_SYNC') frames.add(frame);
      return [frame];
    };
    const before = session.manager.stats;
    for (let index = 0; index < 10; index++) {
      session.manager.mutate('note', { id: index }, session.now);
      session.run(50);
    }
    expect(session.manager.stats.syncs - before.syncs).toBe(5);
    expect(session.manager.stats.deltas - before.deltas).toBe(15);
    expect(frames.size).toBe(5);
  });

  test('an idle session sends nothing but heartbeats', () => {
    const session = new MemorySession();
    session.join('alice');
    session.run(200);
    const seen = watch(session);
    session.run(3_000);
    expect(seen).toEqual(['> HEARTBEAT', '> HEARTBEAT', '> HEARTBEAT']);
  });

  test('events reach those who want them, with their version', () => {
    const session = new MemorySession();
    const events: ClientEvent[] = [];
    session.join('alice').on((event) => events.push(event));
    session.join('bob', { features: [] }).on((event) => event.type === 'event' && expect.fail('bob wanted none'));
    session.manager.mutate('unlock', {}, session.now);
    session.run(100);
    expect(events.find(({ type }) => type === 'event')).toMatchObject({
      version: 2,
      event: { type: 'UNLOCKED', player: 'server', detail: 'door/north' },
    });
  });

  test('a mutation that changes nothing makes no version but is confirmed', () => {
    const session = new MemorySession();
    const alice = session.join('alice');
    session.predict('alice', 'wave', {});
    session.run(100);
    expect(session.manager.version).toBe(1);
    expect(alice.pending).toEqual([]);
    expect(alice.vector.entries()).toEqual([{ replica: 'alice', counter: 1 }]);
  });
});

describe('the authority refuses', () => {
  test('the prediction is rolled back with the reason, others stay', () => {
    const session = new MemorySession();
    const alice = session.join('alice');
    const events: ClientEvent[] = [];
    session.predict('alice', 'take', { coin: 1 });
    alice.on((event) => events.push(event));
    session.predict('alice', 'unlock', {}, { unchecked: true });
    expect(events).toEqual([{ type: 'rejected', mutation: { writer: 'alice', counter: 2 }, reason: 'door_locked' }]);
    expect(alice.pending.map(({ command }) => command)).toEqual(['take']);
    expect(owner(alice.optimistic, 1)).toBe('alice');
    session.run(100);
    expect(owner(session.manager.root, 1)).toBe('alice');
  });

  test('what the own state does not allow is not even sent', () => {
    const session = new MemorySession();
    session.join('alice');
    const seen = watch(session);
    expect(session.predict('alice', 'drop', { coin: 1 })).toBe('coin/1 is not yours');
    expect(session.predict('alice', 'nonsense', {})).toBe('unknown command "nonsense"');
    expect(session.predict('alice', 'toString', {})).toBe('unknown command "toString"');
    expect(session.predict('alice', '__proto__', {})).toBe('unknown command "__proto__"');
    expect(seen).toEqual([]);
  });

  test("an app's own failure refuses one command and ends nothing", () => {
    const session = new MemorySession();
    const alice = session.join('alice');
    session.predict('alice', 'explode', {}, { unchecked: true });
    session.predict('alice', 'take', { coin: 1 });
    session.run(100);
    expect(session.manager.stats).toMatchObject({ commits: 1, rejections: 1 });
    expect(alice.isSettled).toBe(true);
    expect(session.manager.mutate('explode', {}, session.now)).toMatchObject({ reason: 'explode failed: boom' });
  });

  test('of two who take the same coin one gets it, and both learn who', () => {
    const session = new MemorySession();
    const [alice, bob] = [session.join('alice'), session.join('bob')];
    session.predict('alice', 'take', { coin: 1 });
    session.predict('bob', 'take', { coin: 1 });
    expect(owner(bob.optimistic, 1)).toBeNull();
    session.run(100);
    for (const { optimistic } of [alice, bob]) expect(owner(optimistic, 1)).toBe('alice');
  });

  test('a record that no frame could carry', () => {
    const session = new MemorySession();
    session.join('alice');
    let deep: unknown = 1;
    for (let depth = 0; depth < 55; depth++) deep = [deep];
    expect(session.predict('alice', 'note', { id: 1, text: deep as [] })).toMatch('cannot be sent');
    expect(session.predict('alice', 'note', { id: 1, text: 'x'.repeat(600_000) })).toMatch('cannot be sent');
    expect(session.predict('alice', 'x'.repeat(100), {}, { unchecked: true })).toMatch('cannot be sent');
    expect(session.clients[0]?.pending).toEqual([]);
    expect(session.manager.mutate('note', { id: 1, text: deep as [] }, session.now)).toMatchObject({ accepted: false });
    session.run(100);
    expect(session.manager.version).toBe(1);
  });
});

describe('reconnecting', () => {
  test('within the window: carries on by one delta, and pending mutations are sent', () => {
    const session = new MemorySession();
    const alice = session.join('alice');
    session.run(100);
    session.cut('alice');
    session.predict('alice', 'take', { coin: 2 });
    for (let index = 0; index < 6; index++) session.manager.mutate('note', { id: index }, session.now);
    session.run(500);
    const welcomes: ClientEvent[] = [];
    alice.on((event) => event.type === 'welcomed' && welcomes.push(event));
    const before = session.manager.stats;
    session.connect('alice');
    session.run(100);
    expect(welcomes).toEqual([{ type: 'welcomed', resumed: true, isRestart: false }]);
    expect(session.manager.stats.fullSyncs).toBe(before.fullSyncs);
    expect(owner(session.manager.root, 2)).toBe('alice');
    expect(alice.committed.hash).toBe(session.manager.root.hash);
  });

  test('beyond the window: a full sync, and what is pending survives it', () => {
    const session = new MemorySession({ ring: 5, periodicSnapshots: 1 });
    const alice = session.join('alice');
    session.cut('alice');
    session.predict('alice', 'take', { coin: 2 });
    for (let index = 0; index < 30; index++) {
      session.manager.mutate('note', { id: index }, session.now);
      session.run(100);
    }
    const before = session.manager.stats.fullSyncs;
    session.connect('alice');
    expect(owner(alice.optimistic, 2)).toBe('alice');
    session.run(100);
    expect(session.manager.stats.fullSyncs).toBe(before + 1);
    expect(owner(session.manager.root, 2)).toBe('alice');
    expect(alice.committed.hash).toBe(session.manager.root.hash);
  });

  test('a mutation whose answer was lost with the connection is not carried out twice', () => {
    const session = new MemorySession();
    const alice = session.join('alice');
    session.fate = (frame, to) => (to === 'client' ? [] : [frame]);
    session.predict('alice', 'note', { id: 1 });
    session.predict('alice', 'unlock', {}, { unchecked: true });
    const ends: ClientEvent[] = [];
    alice.on((event) => (event.type === 'confirmed' || event.type === 'rejected') && ends.push(event));
    session.cut('alice');
    session.fate = (frame) => [frame];
    session.connect('alice');
    session.run(200);
    expect(session.manager.stats).toMatchObject({ commits: 1, rejections: 1 });
    expect(ends.map(({ type }) => type)).toEqual(['confirmed', 'rejected']);
  });

  test('an authority that has lost everything takes the client in, and its pending mutations', () => {
    const first = new MemorySession();
    const alice = first.join('alice');
    first.predict('alice', 'take', { coin: 1 });
    first.predict('alice', 'take', { coin: 2 });
    first.run(100);
    first.cut('alice');
    first.predict('alice', 'take', { coin: 3 });
    const second = new MemorySession();
    second.manager.connect(1, 0);
    const answers = alice.open(0).flatMap((frame) => second.manager.receive(1, frame, 0));
    const sent = answers.flatMap((one) => ('frame' in one ? alice.receive(one.frame, 0) : []));
    for (const frame of sent) second.manager.receive(1, frame, 0);
    expect([1, 2, 3].map((index) => owner(second.manager.root, index))).toEqual([null, null, 'alice']);
    for (const one of second.manager.tick(100_000_000)) if ('frame' in one) alice.receive(one.frame, 0);
    expect(alice.isSettled).toBe(true);
    expect(alice.committed.hash).toBe(second.manager.root.hash);
    expect(alice.vector.entries()).toEqual(second.manager.vector);
  });

  test('a new process under the same name goes on counting where the old one was', () => {
    const session = new MemorySession();
    session.join('alice');
    session.predict('alice', 'take', { coin: 1 });
    session.run(100);
    session.cut('alice');
    const again = session.join('alice');
    session.predict('alice', 'take', { coin: 2 });
    session.run(100);
    expect(again.vector.entries()).toEqual([{ replica: 'alice', counter: 2 }]);
    expect(owner(session.manager.root, 2)).toBe('alice');
  });
});

describe('repair', () => {
  test('a corrupted value is found by the heartbeat and repaired record by record', () => {
    const session = new MemorySession();
    const alice = session.join('alice');
    const events: ClientEvent[] = [];
    alice.on((event) => events.push(event));
    session.run(300);
    alice.corruptCommitted([{ op: 'patch', key: coin(7), fields: { worth: 1_000 }, removed: [] }]);
    const seen = watch(session);
    session.run(1_000);
    expect(events.map((event) => (event.type === 'repaired' ? event.method : event.type))).toEqual([
      'mismatch',
      'committed',
      'merkle',
    ]);
    expect(alice.committed.hash).toBe(session.manager.root.hash);
    expect(seen.filter((one) => one !== '> HEARTBEAT')).toEqual([
      '< MERKLE_OFFER',
      ...Array.from({ length: seen.filter((one) => one === '> MERKLE_QUERY').length }, () => [
        '> MERKLE_QUERY',
        '< MERKLE_ANSWER',
      ]).flat(),
      '> ACK',
    ]);
    expect(session.manager.stats).toMatchObject({ mismatches: 1, repairs: 1, fullSyncs: 1 });
  });

  test('a delta that no longer fits a corrupted state is not applied, and the state is repaired first', () => {
    const session = new MemorySession();
    const alice = session.join('alice');
    session.run(100);
    alice.corruptCommitted([{ op: 'remove', key: coin(7) }]);
    session.manager.mutate('note', { id: 1 }, session.now);
    session.run(400);
    expect(alice.committed.hash).toBe(session.manager.root.hash);
    expect(session.manager.stats).toMatchObject({ mismatches: 1, repairs: 1, fullSyncs: 1 });
  });

  test('a lost delta is known by the base of the next one, and made good by one delta', () => {
    const session = new MemorySession();
    const alice = session.join('alice');
    session.run(100);
    const events: ClientEvent[] = [];
    alice.on((event) => (event.type === 'mismatch' || event.type === 'repaired') && events.push(event));
    session.fate = (frame, to) => (to === 'client' && typeOf(frame) === 'DELTA_SYNC' ? [] : [frame]);
    session.manager.mutate('note', { id: 1 }, session.now);
    session.run(100);
    session.fate = (frame) => [frame];
    session.manager.mutate('note', { id: 2 }, session.now);
    session.run(200);
    expect(events).toEqual([
      { type: 'mismatch', reason: 'base' },
      { type: 'repaired', method: 'delta' },
    ]);
    expect(alice.committed.hash).toBe(session.manager.root.hash);
    expect(session.manager.stats).toMatchObject({ fullSyncs: 1, mismatches: 0 });
  });

  test('how mutations ended is not lost with the only frame that told it', () => {
    const session = new MemorySession();
    const alice = session.join('alice');
    session.run(100);
    const ends: string[] = [];
    // All names are known, so that only the frames in question are missing.
    session.predict('alice', 'take', { coin: 0 });
    session.run(100);
    alice.on((event) => (event.type === 'confirmed' || event.type === 'rejected') && ends.push(event.type));
    // Neither the REJECT arrives nor the delta of nothing that repeats it.
    session.fate = (frame, to) => (to === 'client' ? [] : [frame]);
    session.predict('alice', 'unlock', {}, { unchecked: true });
    session.run(100);
    session.fate = (frame) => [frame];
    session.predict('alice', 'take', { coin: 1 });
    session.run(300);
    expect(ends).toEqual(['rejected', 'confirmed']);
    expect(alice.vector.entries()).toEqual(session.manager.vector);
  });

  test('without the merkle feature it is a full sync', () => {
    const session = new MemorySession({ features: [] });
    const alice = session.join('alice');
    session.run(100);
    alice.corruptCommitted([{ op: 'remove', key: coin(7) }]);
    session.run(1_200);
    expect(alice.committed.hash).toBe(session.manager.root.hash);
    expect(session.manager.stats).toMatchObject({ mismatches: 1, repairs: 0, fullSyncs: 2 });
  });

  test('an exchange that stops half way ends in a full sync', () => {
    const session = new MemorySession();
    const alice = session.join('alice');
    session.run(100);
    alice.corruptCommitted([{ op: 'remove', key: coin(7) }]);
    session.fate = (frame, to) => (to === 'client' && typeOf(frame) === 'MERKLE_ANSWER' ? [] : [frame]);
    session.run(8_000);
    expect(alice.committed.hash).toBe(session.manager.root.hash);
    expect(session.manager.stats).toMatchObject({ repairs: 0, fullSyncs: 2 });
    expect(session.manager.clients[0]?.isRepairing).toBe(false);
  });

  test('a client that comes back with a corrupted copy is repaired at the door', () => {
    const session = new MemorySession();
    const alice = session.join('alice');
    session.run(100);
    session.cut('alice');
    alice.corruptCommitted([{ op: 'put', key: recordKey('coin/forged'), record: { worth: 9 } }]);
    session.connect('alice');
    session.run(100);
    expect(alice.committed.hash).toBe(session.manager.root.hash);
    expect(session.manager.stats).toMatchObject({ mismatches: 1, repairs: 1, fullSyncs: 1 });
  });

  test('a client that answers no more gets a full sync, then nothing until it answers', () => {
    const session = new MemorySession();
    const alice = session.join('alice');
    session.run(100);
    const sent: (MessageType | undefined)[] = [];
    session.fate = (frame, to) => {
      if (to === 'client') sent.push(typeOf(frame));
      return to === 'client' ? [frame] : [];
    };
    for (let index = 0; index < 60; index++) {
      session.manager.mutate('note', { id: index }, session.now);
      session.run(100);
    }
    const state = sent.filter((type) => type === 'DELTA_SYNC' || type === 'FULL_SYNC');
    expect(state.slice(0, 11)).toEqual([...Array.from({ length: 10 }, () => 'DELTA_SYNC'), 'FULL_SYNC']);
    expect(state.length).toBeLessThan(15);
    session.fate = (frame) => [frame];
    session.run(6_000);
    expect(alice.committed.hash).toBe(session.manager.root.hash);
  });
});

test('a HELLO of the client reads without names', () => {
  const session = new MemorySession();
  const alice = session.join('alice');
  session.cut('alice');
  const [hello] = alice.open(session.now);
  expect(decodeMessage(hello!, noNames)).toMatchObject({ type: 'HELLO', resume: { version: 1 }, next: 1 });
});
