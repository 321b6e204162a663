import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { HybridStamp } from '../clock/index.ts';
import { CallState } from '../crdt/index.ts';
import { merkleQuerySchema } from '../merkle/index.ts';
import type { MessageOf } from '../messages/index.ts';
import { CrdtReplica } from '../peers/index.ts';
import { seededRandom } from '../ports/index.ts';
import { recordKey, replicaId } from '../state/index.ts';
import { TraceHub, type TraceRecord } from '../trace/index.ts';
import { CallMesh, CallNode, fairWeather, roughWeather } from './mesh.test-helper.ts';

const stamp = (time: number, name: string): HybridStamp => ({ time, count: 0, replica: replicaId(name) });
const names = ['alice', 'bob', 'carol'];

function mesh(weather = fairWeather): CallMesh {
  const one = new CallMesh(
    names.map((name) => new CallNode(name)),
    weather,
  );
  for (const node of one.nodes) one.operate(node, 'join', (call) => call.join(node.id));
  one.run(1_000);
  return one;
}

const hashes = (one: CallMesh) => new Set(one.nodes.map(({ call }) => call.root().hash));

describe('a call among three', () => {
  test('while everything arrives all agree, and nobody has to come to terms', () => {
    const one = mesh();
    one.operate(one.node('bob'), 'mute', (call) => call.mute(replicaId('bob'), true, stamp(1, 'bob')));
    one.run(60_000);
    expect(hashes(one).size).toBe(1);
    expect(one.node('alice').participants.find(({ replica }) => replica === 'bob')?.isMuted).toBe(true);
    expect(one.nodes.flatMap(({ heartbeats }) => heartbeats.reports)).toEqual([]);
    expect(one.node('alice').heartbeats.roster.present()).toHaveLength(2);
  });

  test('a lost hang-up leaves two truths until a heartbeat finds them, and both sides can say what it was', () => {
    const one = mesh();
    one.weather = () => [];
    one.operate(one.node('alice'), 'hang up', (call) => call.hangUp(stamp(7, 'alice')));
    one.weather = fairWeather;
    expect(one.node('bob').participants).toHaveLength(3);
    one.run(20_000);
    expect(hashes(one).size).toBe(1);
    expect(one.node('bob').participants).toEqual([]);
    const [report] = one.node('bob').heartbeats.reports.filter(({ differences }) => differences.length > 0);
    expect(report).toMatchObject({ outcome: 'agreed', result: one.node('alice').call.root().hash });
    expect(report!.own.root).not.toBe(report!.theirs!.root);
    expect(report!.differences).toMatchObject([{ key: 'call/1/@end', own: null, theirs: { ended: { time: 7 } } }]);
  });

  test('a value that changed by itself is found although both have seen the same', () => {
    const one = mesh();
    const bob = one.node('bob');
    bob.call.state.apply([[recordKey('call/1/alice'), { joined: 5, left: 5, muted: null, held: null }]]);
    expect(bob.call.vector.compare(one.node('alice').call.vector)).toBe('equal');
    one.run(10_000);
    expect(hashes(one).size).toBe(1);
    const report = one.node('alice').heartbeats.reports.find(({ differences }) => differences.length > 0)!;
    expect(report.outcome).toBe('agreed');
    expect(report.differences.map(({ key }) => key)).toEqual(['call/1/alice']);
    expect(report.differences[0]!.ownWriters).toEqual(['alice']);
  });

  test('who is cut off is disconnected at the others, and comes back with what it did meanwhile', () => {
    const one = mesh();
    one.weather = (from, to) => (from === 'carol' || to === 'carol' ? [] : [0]);
    one.run(31_000);
    expect(one.node('alice').heartbeats.roster.get(replicaId('carol'))?.state).toBe('disconnected');
    one.operate(one.node('carol'), 'mute', (call) => call.mute(replicaId('carol'), true, stamp(1, 'carol')));
    one.operate(one.node('alice'), 'hold', (call) => call.hold(replicaId('alice'), true, stamp(2, 'alice')));
    one.weather = fairWeather;
    one.run(20_000);
    expect(hashes(one).size).toBe(1);
    expect(one.node('alice').heartbeats.roster.get(replicaId('carol'))?.state).toBe('active');
    expect(one.node('bob').participants).toMatchObject([
      { replica: 'alice', isHeld: true },
      { replica: 'bob' },
      { replica: 'carol', isMuted: true },
    ]);
  });
});

describe('whatever the weather', () => {
  const step = fc.record({
    who: fc.nat(2),
    what: fc.constantFrom('join', 'leave', 'mute', 'unmute', 'hold', 'wait'),
    wait: fc.integer({ min: 0, max: 3_000 }),
  });
  const history = fc.record({
    seed: fc.nat(),
    loss: fc.double({ min: 0, max: 0.3, noNaN: true }),
    duplication: fc.double({ min: 0, max: 0.5, noNaN: true }),
    cut: fc.nat(3),
    steps: fc.array(step, { maxLength: 15 }),
  });

  test('once it clears, all have one state that holds every operation, and then nothing more is said but heartbeats', () => {
    fc.assert(
      fc.property(history, ({ seed, loss, duplication, cut, steps }) => {
        const rough = roughWeather(seededRandom(seed), loss, duplication);
        const cutOff = names[cut];
        const one = mesh((from, to) => (from === cutOff || to === cutOff ? [] : rough(from, to)));
        let time = 1;
        const oracle = new CallState('call/1');
        const everywhere: Parameters<CallState['apply']>[0][] = [];
        for (const { who, what, wait } of steps) {
          const node = one.nodes[who]!;
          const before = node.call.root();
          const at = stamp(time++, node.id);
          one.operate(node, what, (call) => {
            if (what === 'join') return call.join(node.id);
            if (what === 'leave') return call.leave(node.id);
            if (what === 'hold') return call.hold(node.id, true, at);
            return what === 'wait' ? [] : call.mute(node.id, what === 'mute', at);
          });
          everywhere.push(node.call.state.since(before));
          one.run(wait);
        }
        for (const node of one.nodes) oracle.merge(node.call.root());
        for (const entries of everywhere) oracle.apply(entries);
        one.weather = fairWeather;
        one.run(60_000);
        expect(hashes(one)).toEqual(new Set([oracle.root().hash]));
        for (const { call } of one.nodes) {
          expect(call.missing()).toEqual([]);
          expect(call.vector.compare(one.nodes[0]!.call.vector)).toBe('equal');
        }
        const before = one.frames;
        one.run(10_000);
        // Two heartbeats to each of the others, and nothing else.
        expect(one.frames - before).toBe(12);
        const refused = new Set(one.nodes.flatMap(({ refusals }) => refusals));
        expect([...refused].filter((code) => !['EXCHANGE_UNKNOWN', 'MERKLE_UNVERIFIED'].includes(code))).toEqual([]);
      }),
      {
        numRuns: 60,
        // The rejoining that came last covers what a lost leaving did: equal hashes, unequal vectors.
        examples: [
          [
            {
              seed: 0,
              loss: 0.00043479586020112043,
              duplication: 0,
              cut: 3,
              steps: [
                { who: 1, what: 'leave', wait: 0 },
                { who: 1, what: 'join', wait: 0 },
                { who: 1, what: 'unmute', wait: 0 },
              ],
            },
          ],
        ],
      },
    );
  });

  test('nobody stays in the roster whose goodbye was lost', () => {
    fc.assert(
      fc.property(fc.nat(), fc.double({ min: 0, max: 1, noNaN: true }), (seed, loss) => {
        const one = mesh();
        one.weather = roughWeather(seededRandom(seed), loss, 0.5);
        one.leave(one.node('bob'));
        one.weather = fairWeather;
        one.run(151_000);
        for (const name of ['alice', 'carol']) {
          expect(one.node(name).heartbeats.roster.get(replicaId('bob'))?.state).toBe('left');
          expect(one.node(name).heartbeats.roster.present()).toHaveLength(1);
        }
      }),
      { numRuns: 30 },
    );
  });
});

describe('bad input', () => {
  const [alice, bob] = [replicaId('alice'), replicaId('bob')];
  const operation = (fields: object) =>
    ({
      type: 'OPERATION',
      crdt: 'call',
      writer: bob,
      counter: 1,
      detail: '',
      entries: [],
      sender: bob,
      sequence: 1,
      ...fields,
    }) as MessageOf<'OPERATION'>;
  const replica = () => new CrdtReplica({ replica: alice, crdt: 'call', state: new CallState('call/1') });
  const joined = (count: number) => [
    { key: recordKey('call/1/bob'), record: { joined: count, left: 0, muted: null, held: null } },
  ];

  test.each([
    ['of another CRDT', operation({ crdt: 'board' }), 'OPERATION_FOREIGN'],
    ['under our own name', operation({ writer: alice }), 'OPERATION_FOREIGN'],
    ['numbered 0', operation({ counter: 0 }), 'OPERATION_FOREIGN'],
    [
      'with a record of another kind',
      operation({ entries: [{ key: 'call/1/bob', record: { joined: -1 } }] }),
      'SCHEMA_MISMATCH',
    ],
    ['on a foreign key', operation({ entries: [{ key: 'door/1', record: {} }] }), undefined],
  ])('an operation %s is refused and changes nothing', (_, message, code) => {
    const one = replica();
    const before = [one.root().hash, one.version, one.vector.entries()];
    expect(() => one.receive(message)).toThrow(
      expect.objectContaining(code === undefined ? { name: 'SyncError' } : { code }),
    );
    expect([one.root().hash, one.version, one.vector.entries()]).toEqual(before);
  });

  test('one number for two operations is named', () => {
    const one = replica();
    expect(one.receive(operation({ entries: joined(1) }))).toBe('applied');
    expect(one.receive(operation({ entries: joined(1) }))).toBe('duplicate');
    const before = one.root().hash;
    expect(() => one.receive(operation({ entries: joined(2) }))).toThrow(
      expect.objectContaining({ code: 'OPERATION_CHANGED', message: expect.stringContaining('bob:1') }),
    );
    expect(one.root().hash).toBe(before);
  });

  test('what comes before its predecessors is held to be counted, asked for, and bounded', () => {
    const one = replica();
    expect(one.receive(operation({ counter: 3, entries: joined(3) }))).toBe('held');
    expect(one.vector.get(bob)).toBe(0);
    expect(one.missing()).toEqual([{ writer: 'bob', counter: 1 }]);
    expect(one.receive(operation({ counter: 1, entries: joined(1) }))).toBe('applied');
    expect(one.receive(operation({ counter: 2, entries: joined(2) }))).toBe('applied');
    expect(one.vector.get(bob)).toBe(3);
    expect(one.missing()).toEqual([]);
    let counter = 5;
    const flood = () => {
      for (;;) one.receive(operation({ counter: counter++ }));
    };
    expect(flood).toThrow(expect.objectContaining({ code: 'OPERATION_FLOOD' }));
    expect(one.vector.get(bob)).toBe(3);
  });

  test('an answer that was not asked for, a query without a claim, a message for another link', () => {
    const one = new CallMesh([new CallNode('alice'), new CallNode('bob')]);
    const { heartbeats, call } = one.node('alice');
    const root = call.root().hash;
    const reconcile = {
      type: 'RECONCILE' as const,
      exchange: 9,
      version: 0,
      vector: [],
      root,
      entries: [],
      learned: [],
    };
    const head = { sender: bob, sequence: 1 };
    const attempts: [Parameters<typeof heartbeats.receive>[1], string][] = [
      [{ ...reconcile, ...head, step: 'counter' }, 'EXCHANGE_UNKNOWN'],
      [{ ...reconcile, ...head, step: 'agreed' }, 'EXCHANGE_UNKNOWN'],
      [{ ...reconcile, ...head, step: 'difference' }, 'EXCHANGE_UNKNOWN'],
      [{ type: 'MERKLE_QUERY', paths: [], ...head }, 'EXCHANGE_UNKNOWN'],
      [{ type: 'MERKLE_ANSWER', nodes: [], ...head }, 'EXCHANGE_UNKNOWN'],
      [{ ...reconcile, step: 'claim', sender: replicaId('carol'), sequence: 1 }, 'PRESENCE_FOREIGN'],
    ];
    for (const [message, code] of attempts) {
      expect(() => heartbeats.receive(bob, message, one.now)).toThrow(expect.objectContaining({ code }));
    }
    one.run(10_000);
    expect(hashes(one).size).toBe(1);
    expect(heartbeats.reports).toEqual([]);
  });

  test('a question that names one subtree again and again, and the same in it, is answered once', () => {
    const one = mesh();
    const { heartbeats, call } = one.node('alice');
    const head = { sender: bob, sequence: 1 };
    const standing = { version: 1, vector: [], root: one.node('bob').call.root().hash, entries: [], learned: [] };
    heartbeats.receive(bob, { type: 'RECONCILE', exchange: 9, step: 'claim', ...standing, ...head }, one.now);
    const asked = (paths: readonly string[]) => {
      const query = { type: 'MERKLE_QUERY', ...merkleQuerySchema.parse({ paths }, 'query'), ...head } as const;
      return heartbeats.receive(bob, query, one.now).map(({ body }) => body);
    };
    const inside = Array.from({ length: 496 }, (_, index) => (index % 16).toString(16));
    const answers = asked([...Array<string>(16).fill(''), ...inside]);
    expect(answers).toEqual(asked(['']));
    expect(answers).toMatchObject([{ type: 'MERKLE_ANSWER', nodes: [{ kind: 'leaves' }] }]);
    expect(JSON.stringify(answers)).toContain(call.root().entries().next().value![0]);
  });

  test('values that do not match their hash are refused, and the state stays', () => {
    const one = mesh();
    const [claimant, answerer] = [one.node('alice'), one.node('bob')];
    answerer.call.state.apply([[recordKey('call/1/bob'), { joined: 9, left: 0, muted: null, held: null }]]);
    const before = claimant.call.root().hash;
    const say = (body: object) =>
      claimant.heartbeats.receive(
        bob,
        { ...body, sender: bob, sequence: 1 } as Parameters<typeof claimant.heartbeats.receive>[1],
        one.now,
      );
    const { version } = answerer.call;
    const standing = { version, vector: answerer.call.vector.entries(), root: answerer.call.root().hash };
    const beat = { incarnation: 1, user: '', device: '', activity: 'active', hasMedia: false, metadata: {} };
    const [claim] = say({ type: 'PRESENCE', ...beat, ...standing });
    const exchange = (claim!.body as { exchange: number }).exchange;
    const [query] = say({ type: 'RECONCILE', exchange, step: 'counter', ...standing, entries: [], learned: [] });
    expect(query!.body.type).toBe('MERKLE_QUERY');
    const forged = {
      kind: 'leaves',
      path: '',
      hashes: new Uint8Array(8),
      entries: [{ key: 'call/1/bob', record: { joined: 1 } }],
    };
    expect(() => say({ type: 'MERKLE_ANSWER', nodes: [forged] })).toThrow(
      expect.objectContaining({ code: 'MERKLE_UNVERIFIED' }),
    );
    expect(claimant.call.root().hash).toBe(before);
    expect(claimant.heartbeats.reports.at(-1)).toMatchObject({ with: 'bob', outcome: 'refused' });
  });

  test('a vector that is none is refused before anything is taken', () => {
    const one = new CallNode('alice');
    const message = {
      type: 'PRESENCE',
      incarnation: 1,
      user: '',
      device: '',
      activity: 'active',
      hasMedia: false,
      metadata: {},
      version: 1,
      root: one.call.root().hash,
      sender: bob,
      sequence: 1,
    } as const;
    for (const counter of [-1, 0.5, 2 ** 53]) {
      const attempt = () => one.heartbeats.receive(bob, { ...message, vector: [{ replica: bob, counter }] }, 0);
      expect(attempt).toThrow(expect.objectContaining({ code: 'VECTOR_INVALID' }));
    }
    expect(one.heartbeats.roster.all()).toEqual([]);
  });
});

test('everything is in the trace: presence, hashes, what differed, what came of it', () => {
  const clock = { now: () => 0 };
  const hub = new TraceHub(clock);
  const records: TraceRecord[] = [];
  hub.listen((record) => records.push(record));
  const one = new CallMesh(names.map((name) => new CallNode(name, { tap: hub })));
  for (const node of one.nodes) one.operate(node, 'join', (call) => call.join(node.id));
  one.run(1_000);
  one.weather = () => [];
  one.operate(one.node('alice'), 'hang up', (call) => call.hangUp(stamp(7, 'alice')));
  one.weather = fairWeather;
  one.run(20_000);
  const kinds = (replica: string) =>
    new Set(records.filter((one) => one.replica === replica).map(({ body }) => body.kind));
  expect(kinds('bob')).toEqual(new Set(['presence', 'operation', 'apply', 'hash', 'mismatch', 'divergence', 'repair']));
  const divergence = records.find(({ body, replica }) => body.kind === 'divergence' && replica === 'bob');
  expect(divergence?.body).toMatchObject({ differences: [{ key: 'call/1/@end', own: null }] });
});
