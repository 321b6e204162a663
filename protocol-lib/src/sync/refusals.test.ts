import { describe, expect, test } from 'vitest';
import { fromHex, packMsgpack, unpackMsgpack } from '../bytes/index.ts';
import { messageType } from '../messages/index.ts';
import { type RecordKey, recordKey, type SyncRecord } from '../state/index.ts';
import type { ClientEvent } from './client-events.ts';
import { coinSession, MemorySession } from './memory-link.test-helper.ts';
import { type LinkOutgoing, type Outgoing, perLink } from './outbox.ts';

const STRANGER = 900;

/** `[type, code or first field]` of each frame, or `['close', reason]`. */
function outline(outgoing: readonly (Outgoing | LinkOutgoing)[]): unknown[][] {
  return outgoing.map((one) => {
    if ('close' in one) return ['close', one.close];
    const tuple = unpackMsgpack(one.frame) as unknown[];
    return [messageType(tuple[0]), tuple[3]];
  });
}

function hello(fields: Partial<Record<'min' | 'max' | 'session' | 'replica' | 'token', unknown>> = {}): Uint8Array {
  const { min = 1, max = 1, session = 'coins', replica = 'mallory', token = 'open sesame' } = fields;
  return packMsgpack([1, 'mallory', 1, min, max, session, replica, token, [], 1, null, null]);
}

const LARGE = 20_000;

function* largeRecords(): Iterable<readonly [RecordKey, SyncRecord]> {
  for (let index = 0; index < 60; index++) yield [recordKey(`page/${index}`), { text: 'x'.repeat(LARGE) }];
}

function guarded(): MemorySession {
  const session = new MemorySession({ authorize: (token) => token === 'open sesame', maxClients: 2 });
  session.join('alice');
  session.run(100);
  session.manager.connect(STRANGER, session.now);
  return session;
}

describe('at the door', () => {
  const cases: readonly (readonly [what: string, frame: Uint8Array, answer: string])[] = [
    ['a wrong token', hello({ token: 'wrong' }), 'TOKEN_REJECTED'],
    ['another session', hello({ session: 'elsewhere' }), 'SESSION_UNKNOWN'],
    [
      "the authority's own name",
      packMsgpack([1, 'server', 1, 1, 1, 'coins', 'server', 'open sesame', [], 1]),
      'REPLICA_TAKEN',
    ],
    ['a HELLO under two names', hello({ replica: 'alice' }), 'SENDER_MISMATCH'],
    ['a message before HELLO', packMsgpack([12, 'mallory', 1, 1, 'take', { coin: 1 }]), 'HELLO_MISSING'],
    ['bytes', Uint8Array.of(0xc1), 'FRAME_NOT_MSGPACK'],
    ['a JPEG', Uint8Array.of(0xff, 0xd8, 0xff, 0xe0), 'FRAME_NOT_MSGPACK'],
    ['a replica id with a path in it', hello({ replica: '../x' }), 'SCHEMA_MISMATCH'],
    ['an unknown type', packMsgpack([77, 'mallory', 1]), 'MESSAGE_UNKNOWN_TYPE'],
    ['a frame that is too large', new Uint8Array(1024 * 1024 + 1), 'FRAME_TOO_LARGE'],
  ];

  test.each(cases.map(([what, frame, answer]) => ({ what, frame, answer })))('$what', ({ frame, answer }) => {
    const session = guarded();
    const { version, vector } = session.manager;
    expect(outline(session.inject(STRANGER, frame))).toEqual([
      ['ERROR', answer],
      ['close', answer],
    ]);
    expect([session.manager.version, session.manager.vector]).toEqual([version, vector]);
    expect(session.manager.clients.map(({ replica }) => replica)).toEqual(['alice']);
    expect(outline(session.inject(STRANGER, hello()))).toEqual([['close', 'this connection is closed']]);
  });

  test.each([
    { what: 'newer', min: 2, max: 3 },
    { what: 'older', min: 0, max: 0 },
  ])('a client of a $what protocol is told to upgrade, whatever else it says', ({ min, max }) => {
    const session = guarded();
    expect(outline(session.inject(STRANGER, packMsgpack([1, 'mallory', 1, min, max, { new: 'shape' }])))).toEqual([
      ['UPGRADE_REQUIRED', 1],
      ['close', 'UPGRADE_REQUIRED'],
    ]);
  });

  test.each([
    ['throws', () => JSON.parse('{')],
    ['answers a promise', () => Promise.resolve(true)],
    ['answers nothing', () => undefined],
    ['answers a word', () => 'yes'],
  ])('whoever asks an authorize that %s', (_what, authorize) => {
    const session = new MemorySession({ authorize: authorize as () => boolean });
    session.manager.connect(STRANGER, session.now);
    const answer = outline(session.inject(STRANGER, hello()));
    expect(answer).toEqual([
      ['ERROR', 'TOKEN_REJECTED'],
      ['close', 'TOKEN_REJECTED'],
    ]);
  });

  test('a client that speaks ours and newer ones is let in', () => {
    const session = guarded();
    expect(outline(session.inject(STRANGER, hello({ max: 9 })))[0]).toEqual(['WELCOME', 1]);
  });

  test('more clients than it takes', () => {
    const session = guarded();
    session.join('bob');
    expect(outline(session.inject(STRANGER, hello()))[0]).toEqual(['ERROR', 'SERVER_FULL']);
    expect(session.manager.clients).toHaveLength(2);
  });

  test('more connections than it takes', () => {
    const session = guarded();
    for (let link = 1_000; link < 1_005; link++) session.manager.connect(link, session.now);
    expect(outline(session.manager.tick(session.now)).filter(([, code]) => code === 'SERVER_FULL')).toHaveLength(3 * 2);
  });

  test('one that says nothing', () => {
    const session = guarded();
    const now = session.now + 10_000_000_000;
    expect(outline(session.manager.tick(now)).filter(([type]) => type !== 'HEARTBEAT')).toContainEqual([
      'ERROR',
      'HELLO_TIMEOUT',
    ]);
  });
});

describe('inside', () => {
  test('a second HELLO on one connection', () => {
    const session = guarded();
    const link = session.link('alice');
    const again = packMsgpack([1, 'alice', 50, 1, 1, 'coins', 'alice', 'open sesame', [], 1, null, null]);
    expect(outline(session.inject(link, again))).toEqual([
      ['ERROR', 'HELLO_DUPLICATE'],
      ['close', 'HELLO_DUPLICATE'],
    ]);
  });

  test('the newer of two connections of one replica wins', () => {
    const session = guarded();
    const alice = session.clients[0]!;
    const older = session.link('alice');
    const frame = packMsgpack([1, 'alice', 1, 1, 1, 'coins', 'alice', 'open sesame', ['merkle'], 1, null, null]);
    const outgoing = [...perLink(session.inject(STRANGER, frame))];
    expect(outgoing.filter(({ link }) => link === older).map((one) => outline([one])[0])).toEqual([
      ['BYE', 'replaced by a newer connection'],
      ['close', 'replaced by a newer connection'],
    ]);
    expect(session.manager.clients.map(({ link }) => link)).toEqual([STRANGER]);
    const ends: ClientEvent[] = [];
    alice.on((event) => ends.push(event));
    for (const one of outgoing) if (one.link === older && 'frame' in one) alice.receive(one.frame, session.now);
    expect(ends).toEqual([{ type: 'ended', code: 'BYE', message: 'replaced by a newer connection' }]);
    // The driver reports the old connection's end afterwards; that must not take the new one away.
    session.manager.disconnect(older, 'closed', session.now);
    expect(session.manager.clients).toHaveLength(1);
  });

  test("a frame under another's name", () => {
    const session = guarded();
    const frame = packMsgpack([12, 'server', 50, 1, 'unlock', {}]);
    expect(outline(session.inject(session.link('alice'), frame))[0]).toEqual(['ERROR', 'SENDER_MISMATCH']);
    expect(session.manager.version).toBe(1);
  });

  test('what only an authority says', () => {
    const session = guarded();
    const frame = packMsgpack([13, 'alice', 50, 1, 'no', 1]);
    expect(outline(session.inject(session.link('alice'), frame))[0]).toEqual(['ERROR', 'MESSAGE_UNEXPECTED']);
  });

  test('a kind that a later version knows is passed over', () => {
    const session = guarded();
    expect(session.inject(session.link('alice'), packMsgpack([77, 'alice', 50, 'new']))).toEqual([]);
    expect(session.manager.clients).toHaveLength(1);
  });

  test('a mutation that jumps ahead', () => {
    const session = guarded();
    const frame = packMsgpack([12, 'alice', 50, 3, 'take', { coin: 1 }]);
    expect(outline(session.inject(session.link('alice'), frame))).toEqual([['ERROR', 'COMMAND_GAP']]);
    expect([session.manager.version, session.manager.vector]).toEqual([1, []]);
  });

  test('a Merkle question that nobody asked for ends in a full sync, not in an answer', () => {
    const session = guarded();
    expect(session.inject(session.link('alice'), packMsgpack([15, 'alice', 50, ['']]))).toEqual([]);
    expect(session.manager.clients[0]?.needsFullSync).toBe(true);
  });

  test.each([
    ['one subtree again and again in a question', (child: string) => Array<string>(512).fill(child), 200],
    ['one subtree again and again in many', (child: string) => [child], 200],
    ['everything again and again', () => Array.from({ length: 16 }, (_, slot) => slot.toString(16)), 4],
  ])(
    'a Merkle question that makes much of little, %s: no more than three times the state, then a full sync',
    (_what, paths, most) => {
      const definition = { ...coinSession, initialRecords: largeRecords };
      const session = new MemorySession({ definition });
      session.join('alice', { definition });
      session.run(100);
      const link = session.link('alice');
      const state = [...largeRecords()].length * LARGE;
      session.inject(link, packMsgpack([17, 'alice', 50, 1, 0, new Uint8Array(8)]));
      expect(session.manager.clients[0]?.isRepairing).toBe(true);
      let [answered, answers] = [0, 0];
      for (let index = 0; session.manager.clients[0]?.isRepairing; index++) {
        const child = (index % 16).toString(16);
        const outgoing = session.inject(link, packMsgpack([15, 'alice', 51 + index, paths(child)]));
        for (const one of outgoing) answered += 'frame' in one ? one.frame.length : 0;
        if (outgoing.length > 0) answers++;
      }
      expect(answered).toBeLessThan(3.1 * state);
      expect(answers).toBeLessThan(most);
      expect(session.manager.clients[0]?.needsFullSync).toBe(true);
    },
  );

  test('a Merkle question whose answer would be larger than 16 parts of a snapshot ends in a full sync', () => {
    const definition = { ...coinSession, initialRecords: largeRecords };
    const session = new MemorySession({ definition, snapshotPart: 2 * LARGE });
    session.join('alice', { definition });
    session.run(100);
    const link = session.link('alice');
    session.inject(link, packMsgpack([17, 'alice', 50, 1, 0, new Uint8Array(8)]));
    const children = Array.from({ length: 16 }, (_, slot) => slot.toString(16));
    const small = session.inject(link, packMsgpack([15, 'alice', 51, children.slice(0, 2)]));
    expect(outline(small).map(([type]) => type)).toContain('MERKLE_ANSWER');
    expect(session.inject(link, packMsgpack([15, 'alice', 52, children]))).toEqual([]);
    expect(session.manager.clients[0]).toMatchObject({ isRepairing: false, needsFullSync: true });
  });

  test('a flood of requests costs one full sync a round', () => {
    const session = guarded();
    const before = session.manager.stats.fullSyncs;
    const root = new Uint8Array(8);
    for (let index = 0; index < 500; index++) {
      const frame = packMsgpack([10, 'alice', 100 + index, 0, 0, root, 'silence']);
      expect(session.inject(session.link('alice'), frame)).toEqual([]);
    }
    session.run(100);
    expect(session.manager.stats.fullSyncs).toBe(before + 1);
  });

  test('a setting that makes no sense', () => {
    expect(() => new MemorySession({ syncInterval: 0 })).toThrow(RangeError);
  });
});

describe('at the client', () => {
  test('a wrong token ends with the reason', () => {
    const session = guarded();
    session.manager.disconnect(STRANGER, '', 0);
    const events: ClientEvent[] = [];
    const bob = session.join('bob', { token: 'wrong' });
    bob.on((event) => events.push(event));
    expect(bob.phase).toBe('closed');
    expect(session.closes).toEqual(['TOKEN_REJECTED']);
  });

  test('UPGRADE_REQUIRED ends the connection for good', () => {
    const session = guarded();
    const alice = session.clients[0]!;
    const events: ClientEvent[] = [];
    alice.on((event) => events.push(event));
    alice.receive(packMsgpack([3, 'server', 900, 2, 3, 'upgrade the client']), session.now);
    expect(events).toEqual([{ type: 'ended', code: 'UPGRADE_REQUIRED', message: 'upgrade the client' }]);
    expect(alice.phase).toBe('closed');
    expect(alice.receive(Uint8Array.of(1), session.now)).toEqual([]);
  });

  test('what cannot be read changes nothing and is asked for again, once', () => {
    const session = guarded();
    const alice = session.clients[0]!;
    const [root, version] = [alice.committed, alice.version];
    const events: ClientEvent[] = [];
    alice.on((event) => events.push(event));
    const answers = [0, 1, 2].flatMap(() => alice.receive(Uint8Array.of(0xc1), session.now));
    expect(answers.map((frame) => (unpackMsgpack(frame) as unknown[])[6])).toEqual(['frame']);
    expect(events.map((event) => event.type === 'refused' && event.code)).toEqual(Array(3).fill('FRAME_NOT_MSGPACK'));
    expect([alice.committed, alice.version]).toEqual([root, version]);
  });

  test('a mutation for which no counter is left, since somebody has used them up under this name', () => {
    const session = new MemorySession();
    session.manager.connect(STRANGER, session.now);
    const taken = [1, 'alice', 1, 1, 1, 'coins', 'alice', '', [], Number.MAX_SAFE_INTEGER, null, null];
    session.inject(STRANGER, packMsgpack(taken));
    session.inject(STRANGER, packMsgpack([12, 'alice', 2, Number.MAX_SAFE_INTEGER, 'wave', {}]));
    session.manager.disconnect(STRANGER, 'gone', session.now);
    const alice = session.join('alice');
    session.run(200);
    expect(session.predict('alice', 'wave', {})).toBe('no counters are left under this name');
    session.run(200);
    expect([alice.phase, alice.isSettled, alice.pending.length]).toEqual(['live', true, 0]);
    expect(session.manager.stats.refused).toBe(0);
  });

  test('a version that there is not yet: it comes again, and is put right', () => {
    const session = new MemorySession();
    const alice = session.join('alice');
    session.run(200);
    const { version, committed } = alice;
    // A delta of nothing whose last version was damaged on its way: its root is right.
    const damaged = [8, 'server', 1_000, version, 1_000_000, -1, 0, new Uint8Array(0), new Uint8Array(0), []];
    alice.receive(packMsgpack([...damaged, fromHex(committed.hash)]), session.now);
    expect(alice.version).toBe(version + 1_000_000);
    session.run(1_200);
    expect(session.closes).toEqual(['VERSION_UNKNOWN']);
    session.manager.mutate('note', { id: 1, text: 'news' }, session.now);
    session.connect('alice');
    session.run(300);
    expect([alice.version, alice.committed.hash]).toEqual([session.manager.version, session.manager.root.hash]);
    expect(alice.isSettled).toBe(true);
  });

  test('names that were lost are asked for, and come', () => {
    const session = guarded();
    const alice = session.clients[0]!;
    session.fate = (frame, to) => (to === 'client' && (unpackMsgpack(frame) as unknown[])[0] === 6 ? [] : [frame]);
    session.manager.mutate('note', { id: 1 }, session.now);
    session.run(100);
    expect(alice.version).toBe(1);
    session.fate = (frame) => [frame];
    session.run(2_000);
    expect(alice.committed.hash).toBe(session.manager.root.hash);
    expect(session.manager.stats.fullSyncs).toBe(1);
  });

  test('a forged Merkle answer is refused', () => {
    const session = guarded();
    const alice = session.clients[0]!;
    const codes: string[] = [];
    alice.on((event) => event.type === 'refused' && codes.push(event.code));
    alice.corruptCommitted([...alice.committed.entries()].slice(0, 1).map(([key]) => ({ op: 'remove' as const, key })));
    session.fate = (frame, to) => {
      const tuple = unpackMsgpack(frame) as unknown[];
      if (to === 'manager' || tuple[0] !== 16) return [frame];
      const text = JSON.stringify(tuple[3]);
      if (!text.includes('entries')) return [frame];
      const nodes = tuple[3] as { entries?: { record: Record<string, unknown> }[] }[];
      for (const { entries = [] } of nodes) for (const entry of entries) entry.record.worth = 1_000_000;
      return [packMsgpack(tuple)];
    };
    session.run(1_500);
    expect(codes).toContain('MERKLE_UNVERIFIED');
    expect(alice.committed.hash).toBe(session.manager.root.hash);
    expect(session.manager.stats.fullSyncs).toBe(2);
  });
});
