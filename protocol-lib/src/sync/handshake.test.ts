import { describe, expect, test } from 'vitest';
import { packMsgpack, unpackMsgpack } from '../bytes/index.ts';
import { type Feature, type MessageType, messageType, type ProtocolRange } from '../messages/index.ts';
import type { ClientState } from './client.ts';
import type { ClientEvent } from './client-events.ts';
import { MemorySession } from './memory-link.test-helper.ts';

/**
 * Builds of other versions, in both directions. What a build speaks is given to real managers and clients; what a later
 * build's frames hold is written out by hand.
 */

/** Appends to each frame what a later version would add, or replaces its fields. */
type Rewrite = (tuple: unknown[], type: MessageType | undefined) => readonly unknown[];

function rewriting(session: MemorySession, to: 'client' | 'manager', rewrite: Rewrite): void {
  session.fate = (frame, receiver) => {
    if (receiver !== to) return [frame];
    const tuple = unpackMsgpack(frame) as unknown[];
    return [packMsgpack(rewrite(tuple, messageType(tuple[0])))];
  };
}

function record(client: ClientState): ClientEvent[] {
  const events: ClientEvent[] = [];
  client.on((event) => events.push(event));
  return events;
}

/** A client of `client` versions meets a manager of `server` versions. */
function meet(client: ProtocolRange, server: ProtocolRange, features: { client?: Feature[]; server?: Feature[] } = {}) {
  const session = new MemorySession({ protocols: server, ...(features.server ? { features: features.server } : {}) });
  const types: (MessageType | undefined)[] = [];
  const events: ClientEvent[] = [];
  let welcome: unknown[] | undefined;
  session.fate = (frame, to) => {
    const tuple = unpackMsgpack(frame) as unknown[];
    if (to === 'client') types.push(messageType(tuple[0]));
    if (tuple[0] === 2) welcome = tuple;
    return [frame];
  };
  // The first frames cross while it joins: its listener hears of what follows a second opening.
  const alice = session.join('alice', { protocols: client, ...(features.client ? { features: features.client } : {}) });
  if (alice.phase === 'closed') {
    alice.on((event) => events.push(event));
    session.connect('alice');
  }
  return { session, alice, types, events, protocol: welcome?.[3], features: welcome?.[4] };
}

describe('versions', () => {
  const meeting: readonly (readonly [what: string, client: ProtocolRange, server: ProtocolRange, spoken: number])[] = [
    ['the same', { min: 1, max: 1 }, { min: 1, max: 1 }, 1],
    ['an old client and a new server', { min: 1, max: 1 }, { min: 1, max: 4 }, 1],
    ['a new client and an old server', { min: 1, max: 4 }, { min: 1, max: 1 }, 1],
    ['two that overlap', { min: 2, max: 5 }, { min: 1, max: 3 }, 3],
    ['two that overlap the other way round', { min: 1, max: 3 }, { min: 2, max: 5 }, 3],
    ['protocol N and N-1', { min: 3, max: 4 }, { min: 4, max: 5 }, 4],
  ];

  test.each(meeting.map(([what, client, server, spoken]) => ({ what, client, server, spoken })))(
    '$what speak the highest that both know, and work together',
    ({ client, server, spoken }) => {
      const { session, alice, protocol } = meet(client, server);
      expect(alice.phase).toBe('live');
      expect(protocol).toBe(spoken);
      session.predict('alice', 'take', { coin: 3 });
      session.run(300);
      expect(alice.pending).toEqual([]);
      expect(alice.committed.hash).toBe(session.manager.root.hash);
    },
  );

  const apart: readonly (readonly [what: string, client: ProtocolRange, server: ProtocolRange, advice: string])[] = [
    ['a client that is too old', { min: 1, max: 1 }, { min: 2, max: 3 }, 'upgrade the client'],
    ['a server that is too old', { min: 2, max: 3 }, { min: 1, max: 1 }, 'upgrade the server'],
    ['a client that is much too old', { min: 0, max: 0 }, { min: 7, max: 9 }, 'upgrade the client'],
  ];

  test.each(apart.map(([what, client, server, advice]) => ({ what, client, server, advice })))(
    '$what is told so once, with what to do, and nothing else',
    ({ client, server, advice }) => {
      const { session, alice, types, events } = meet(client, server);
      expect(alice.phase).toBe('closed');
      expect(new Set(types)).toEqual(new Set(['UPGRADE_REQUIRED']));
      expect(session.closes).toContain('UPGRADE_REQUIRED');
      expect(session.manager.clients).toEqual([]);
      const message = `the client speaks protocol ${client.min} to ${client.max}, this side ${server.min} to ${server.max}: ${advice}`;
      expect(events).toEqual([{ type: 'ended', code: 'UPGRADE_REQUIRED', message }]);
      // It does not try again by itself.
      const before = types.length;
      session.run(20_000);
      expect(types).toHaveLength(before);
    },
  );

  test('a server that answers in a version that was not offered is left, with the reason', () => {
    const session = new MemorySession();
    rewriting(session, 'client', (tuple, type) => (type === 'WELCOME' ? tuple.with(3, 9) : tuple));
    const alice = session.join('alice');
    const events = record(alice);
    session.connect('alice');
    expect(alice.phase).toBe('closed');
    expect(events).toEqual([
      { type: 'ended', code: 'PROTOCOL_UNSUPPORTED', message: 'the authority speaks protocol 9, this side 1 to 1' },
    ]);
    expect(alice.version).toBe(0);
  });

  test('UPGRADE_REQUIRED of a later version, with more fields, is still understood', () => {
    const session = new MemorySession({ protocols: { min: 2, max: 3 } });
    rewriting(session, 'client', (tuple) => [...tuple, 'https://example.org/upgrade', { more: [1] }]);
    const alice = session.join('alice', { protocols: { min: 1, max: 1 } });
    const events = record(alice);
    session.connect('alice');
    expect(events).toMatchObject([{ type: 'ended', code: 'UPGRADE_REQUIRED' }]);
  });
});

describe('features', () => {
  const cases: readonly (readonly [client: Feature[], server: Feature[], both: Feature[]])[] = [
    [
      ['merkle', 'events'],
      ['merkle', 'events'],
      ['merkle', 'events'],
    ],
    [['events'], ['merkle', 'events'], ['events']],
    [['merkle', 'events'], [], []],
    [[], ['merkle'], []],
  ];

  test.each(cases.map(([client, server, both]) => ({ client, server, both })))(
    'a client with $client and a server with $server use $both',
    ({ client, server, both }) => {
      const { session, alice, features, types } = meet({ min: 1, max: 1 }, { min: 1, max: 1 }, { client, server });
      expect(features).toEqual(both);
      session.manager.mutate('note', { id: 1 }, session.now);
      session.run(300);
      expect(alice.committed.hash).toBe(session.manager.root.hash);
      expect(types.includes('EVENT')).toBe(both.includes('events'));
    },
  );

  test('features that are not known are passed over, on both sides', () => {
    const session = new MemorySession();
    rewriting(session, 'manager', (tuple, type) => (type === 'HELLO' ? tuple.with(8, ['later', 'merkle']) : tuple));
    expect(session.join('alice').phase).toBe('live');
    const back = new MemorySession();
    rewriting(back, 'client', (tuple, type) => (type === 'WELCOME' ? tuple.with(4, ['merkle', 'later']) : tuple));
    expect(back.join('alice').phase).toBe('live');
  });
});

describe('what a later version adds', () => {
  test.each([{ to: 'client' as const }, { to: 'manager' as const }])(
    'fields at the end of every message to the $to change nothing',
    ({ to }) => {
      const session = new MemorySession();
      rewriting(session, to, (tuple, type) => {
        // An absent optional field must not be taken for a new one.
        const full = type === 'HELLO' ? [...tuple, ...Array(Math.max(0, 12 - tuple.length)).fill(null)] : tuple;
        return [...full, { later: true }, 7];
      });
      const alice = session.join('alice');
      session.predict('alice', 'take', { coin: 1 });
      session.predict('alice', 'unlock', {}, { unchecked: true });
      session.manager.mutate('note', { id: 1 }, session.now);
      session.run(3_000);
      expect(alice.phase).toBe('live');
      expect(alice.pending).toEqual([]);
      expect(alice.committed.hash).toBe(session.manager.root.hash);
      expect(session.manager.stats).toMatchObject({ refused: 0, mismatches: 0 });
    },
  );

  test('messages of a kind that is not known are counted and passed over by the server', () => {
    const session = new MemorySession();
    const alice = session.join('alice');
    const before = session.manager.stats;
    for (const sequence of [800, 801]) {
      expect(session.inject(session.link('alice'), packMsgpack([77, 'alice', sequence, { new: 1 }]))).toEqual([]);
    }
    expect(session.manager.stats).toEqual({ ...before, passedOver: 2 });
    session.predict('alice', 'take', { coin: 1 });
    session.manager.mutate('note', { id: 1 }, session.now);
    session.run(300);
    expect(alice.committed.hash).toBe(session.manager.root.hash);
  });

  test('and told and passed over by the client, which asks for nothing', () => {
    const session = new MemorySession();
    const alice = session.join('alice');
    session.run(200);
    const events = record(alice);
    const { committed, version, vector } = alice;
    expect(alice.receive(packMsgpack([77, 'server', 800, { new: 1 }]), session.now)).toEqual([]);
    expect(events).toEqual([
      { type: 'refused', code: 'MESSAGE_UNKNOWN_TYPE', message: expect.stringContaining('77') as string },
    ]);
    expect([alice.committed, alice.version, alice.vector, alice.phase]).toEqual([committed, version, vector, 'live']);
  });
});
