import { describe, expect, test } from 'vitest';
import { ConflictResolver, crapsPolicies, crapsRule, idOf, tokensIn } from '../conflict/index.ts';
import { merkleQuerySchema } from '../merkle/index.ts';
import { FrameDecoder, FrameEncoder, type MessageBody, type MessageOf } from '../messages/index.ts';
import { milliseconds } from '../ports/index.ts';
import { type Change, type ReplicaId, recordKey, replicaId, type SyncRecord } from '../state/index.ts';
import type { MakeResult, PeerReplica, PeerReplicaOptions } from './index.ts';
import { PeerGroup } from './peer-group.test-helper.ts';

const resolver = new ConflictResolver({
  policies: [{ collection: 'plan/', whole: true, policy: { kind: 'human' } }, ...crapsPolicies],
  rules: [crapsRule([{ role: 'bank', rank: 1 }])],
});
const records = Object.entries({
  'note/1': { text: 'first' },
  'plan/1': { when: 'today' },
  'account/a': { tokens: 100 },
  'account/b': { tokens: 50 },
  'account/c': { tokens: 0 },
}).map(([key, record]) => [recordKey(key), record as SyncRecord] as const);

function groupOf(count: number, options: Partial<PeerReplicaOptions> = {}): PeerGroup {
  const group = new PeerGroup(['a', 'b', 'c', 'd', 'e'].slice(0, count), resolver, records, options);
  group.run(1_000);
  return group;
}

const text = (value: string): Change[] => [
  { op: 'patch', key: recordKey('note/1'), fields: { text: value }, removed: [] },
];

function make(group: PeerGroup, name: string, does: (peer: PeerReplica) => MakeResult): string {
  const made = does(group.get(name));
  if ('rejected' in made) throw new Error(made.rejected);
  group.send(name, made.frames);
  return idOf(made.mutation);
}

const write = (group: PeerGroup, name: string, value: string) =>
  make(group, name, (peer) => peer.write(text(value), group.now));
const noteOf = (group: PeerGroup, name: string) => group.get(name).root.get(recordKey('note/1'))!.text;

describe('peers that hear each other', () => {
  test('have what one wrote at once, with a commit there and an apply everywhere else', () => {
    const group = groupOf(3);
    write(group, 'a', 'hello');
    expect(['a', 'b', 'c'].map((name) => noteOf(group, name))).toEqual(['hello', 'hello', 'hello']);
    expect(group.traced('commit', 'a')).toHaveLength(1);
    expect(group.traced('apply').map(({ root }) => root)).toEqual([...group.roots(), ...group.roots()]);
  });

  test('hold what was written as it was then, whatever its writer does with its objects afterwards', () => {
    const group = groupOf(2);
    group.fate = () => [];
    const fields = { text: 'as it was', tags: ['old'] };
    make(group, 'a', (peer) => peer.write([{ op: 'patch', key: recordKey('note/1'), fields, removed: [] }], group.now));
    fields.text = 'as it never was';
    fields.tags.push('new');
    group.fate = ({ frame }) => [frame];
    group.run(2_000);
    for (const name of ['a', 'b'])
      expect(group.get(name).root.get(recordKey('note/1'))).toEqual({ text: 'as it was', tags: ['old'] });
  });

  test('get what was lost on the way by comparing vectors', () => {
    const group = groupOf(2);
    group.fate = () => [];
    for (let index = 0; index < 20; index++) write(group, 'a', `lost ${index}`);
    group.fate = ({ frame }) => [frame, frame];
    group.run(2_000);
    expect(noteOf(group, 'b')).toBe('lost 19');
    expect(group.roots().size).toBe(1);
  });

  test('send in batches what is too much for one message', () => {
    const group = groupOf(2, { settings: { maxBatch: 7 } });
    group.cut(['a'], ['b']);
    for (let index = 0; index < 50; index++) write(group, 'a', `one ${index}`);
    group.heal();
    group.run(15_000);
    expect(group.roots().size).toBe(1);
    expect(noteOf(group, 'b')).toBe('one 49');
  });

  test('hold what comes before its cause, and ask for it', () => {
    const group = groupOf(2);
    const lost: Uint8Array[] = [];
    group.fate = ({ frame }) => {
      lost.push(frame);
      return [];
    };
    write(group, 'a', 'cause');
    group.fate = ({ frame, to }, from) => (from === replicaId('b') ? [] : to === replicaId('b') ? [frame] : []);
    write(group, 'a', 'effect');
    expect(group.get('b').held).toBe(1);
    expect(noteOf(group, 'b')).toBe('first');
    expect(group.traced('send', 'b').at(-1)!.type).toBe('PEER_REQUEST');
    group.send('b', group.get('b').receive(replicaId('a'), lost[0]!, group.now));
    expect(noteOf(group, 'b')).toBe('effect');
    expect(group.get('b').held).toBe(0);
  });
});

describe('a partition', () => {
  test('is noticed by silence, named for what it is on each side, and healed with a report of every change', () => {
    const group = groupOf(5);
    group.cut(['a', 'b', 'c'], ['d', 'e']);
    group.run(6_000);
    expect(group.get('a').partition.view).toMatchObject({
      state: 'minority',
      mode: 'write',
      reachable: ['a', 'b', 'c'],
    });
    expect(group.get('d').partition.view).toMatchObject({ state: 'split', mode: 'tentative', reachable: ['d', 'e'] });
    const made = [write(group, 'a', 'ours'), write(group, 'd', 'theirs'), write(group, 'd', 'theirs again')];
    group.now += milliseconds(10);
    made.push(write(group, 'b', 'ours again'));
    // Tentative on their side, and kept apart from what a majority has.
    expect(noteOf(group, 'e')).toBe('theirs again');
    expect(group.get('e').settled.get(recordKey('note/1'))!.text).toBe('first');
    group.heal();
    group.run(3_000);
    expect(group.roots().size).toBe(1);
    for (const [name, peer] of group.peers) {
      expect(peer.partition.view.state).toBe('connected');
      const [report] = peer.partition.reports;
      expect(report!.changes.map(({ mutation }) => idOf(mutation)).sort(), name).toEqual(made.toSorted());
      for (const change of report!.changes) {
        if (change.state === 'rejected') expect(change.parts[0]!.reason).toContain('prevails');
      }
      expect(group.traced('partition', name).map(({ state }) => state)).toEqual(
        expect.arrayContaining(['merging', 'healed', 'connected']),
      );
    }
    expect(group.traced('conflict', 'a').at(-1)).toMatchObject({ key: 'note/1', policy: 'last-write', winner: 'b' });
    expect(group.get('e').settled.hash).toBe(group.get('e').root.hash);
  });

  test('in three, healed one after the other, and cut again in the middle of the merge', () => {
    const group = groupOf(5);
    group.cut(['a', 'b'], ['c', 'd'], ['e']);
    group.run(6_000);
    for (const name of ['a', 'c', 'e']) for (let index = 0; index < 5; index++) write(group, name, `${name} ${index}`);
    group.cut(['a', 'b', 'c', 'd'], ['e']);
    group.fate = ({ frame }, from) => (from === replicaId('c') ? [] : [frame]);
    group.run(1_500);
    group.cut(['a', 'b'], ['c', 'd', 'e']);
    group.fate = ({ frame }) => [frame];
    group.run(6_000);
    write(group, 'a', 'in between');
    write(group, 'e', 'in between too');
    group.heal();
    group.run(5_000);
    expect(group.roots().size).toBe(1);
    for (const peer of group.peers.values()) {
      expect(peer.outcomes).toHaveLength(17);
      expect(peer.partition.view.state).toBe('connected');
    }
  });

  test('leaves the minority read-only where that is set', () => {
    const group = groupOf(3, { settings: { minority: 'read-only' } });
    group.cut(['a'], ['b', 'c']);
    group.run(6_000);
    expect(group.get('a').write(text('no'), group.now)).toEqual({ rejected: expect.stringContaining('read-only') });
    expect(group.get('b').write(text('yes'), group.now)).toHaveProperty('mutation');
  });

  test('conserves tokens: what both sides spent is checked against the balance at the divergence', () => {
    const group = groupOf(3);
    const spend = (name: string, from: string, amount: number) =>
      make(group, name, (peer) => peer.command('transfer', { from, to: 'c', amount }, group.now));
    const bank = group.start('b', { role: 'bank' });
    group.cut(['a'], ['b', 'c']);
    group.run(6_000);
    const small = spend('a', 'a', 60);
    const large = spend('b', 'a', 70);
    group.heal();
    group.run(3_000);
    expect(group.roots().size).toBe(1);
    expect(tokensIn(bank.root)).toBe(150);
    const stateOf = (id: string) => bank.outcomes.find(({ mutation }) => idOf(mutation) === id)!;
    expect(stateOf(large).state).toBe('applied');
    expect(stateOf(small)).toMatchObject({
      state: 'rejected',
      parts: [{ reason: expect.stringContaining('larger 70'), by: { writer: 'b' } }],
    });
  });
});

describe('history', () => {
  test('behind a point that everybody has is cut off; who comes late takes over the state by a Merkle descent', () => {
    const group = groupOf(3, { settings: { keepHistory: 5 } });
    for (let index = 0; index < 20; index++) {
      write(group, 'a', `one ${index}`);
      group.run(1_000);
    }
    expect(group.get('b').outcomes.length).toBeLessThanOrEqual(6);
    expect(group.get('a').isFinal({ writer: replicaId('a'), counter: 3 })).toBe(true);
    expect(group.get('a').outcome({ writer: replicaId('a'), counter: 3 })).toMatchObject({ state: 'applied' });
    // c lost everything.
    group.start('c', { settings: { keepHistory: 5 } });
    group.run(5_000);
    expect(group.roots().size).toBe(1);
    expect(group.traced('repair', 'c').at(-1)).toMatchObject({ method: 'merkle' });
    expect(
      group
        .traced('divergence', 'c')
        .at(-1)!
        .differences.map(({ key }) => key),
    ).toEqual(['note/1']);
  });

  test('survives a restart from what was saved', () => {
    const group = groupOf(2);
    write(group, 'a', 'before');
    group.start('a', { saved: group.get('a').saved });
    write(group, 'a', 'after');
    expect(noteOf(group, 'b')).toBe('after');
    expect(group.get('b').vector.get(replicaId('a'))).toBe(2);
  });

  test('that leads to two states is repaired from what most members have', () => {
    const group = groupOf(3);
    write(group, 'b', 'hello');
    group.get('a').corruptCheckpoint([{ op: 'put', key: recordKey('note/2'), record: { text: 'nobody wrote this' } }]);
    group.run(5_000);
    expect(group.roots().size).toBe(1);
    expect(group.get('a').root.has(recordKey('note/2'))).toBe(false);
    expect(group.traced('hash', 'b').some(({ agrees }) => agrees === false)).toBe(true);
  });

  test('is repaired where the one whose state is wrong has written since, which nobody else can take', () => {
    const group = new PeerGroup(['a', 'b', 'c'], resolver, records, { settings: { keepHistory: 1 } });
    // Its checkpoint is not that of the others, so that the two cannot be compared.
    const a = group.start('a', { settings: { keepHistory: 3 } });
    for (const text of ['1', '2', '3', '4']) {
      write(group, 'b', text);
      group.run(1_500);
    }
    expect(a.checkpoint.vector.compare(group.get('b').checkpoint.vector)).not.toBe('equal');
    a.corruptCheckpoint([{ op: 'put', key: recordKey('note/2'), record: { text: 'nobody wrote this' } }]);
    write(group, 'a', 'mine');
    group.run(10_000);
    expect(group.roots().size).toBe(1);
    expect(group.get('b').vector.get(replicaId('a'))).toBe(1);
    expect(noteOf(group, 'b')).toBe('mine');
    expect(group.get('a').root.has(recordKey('note/2'))).toBe(false);
  });
});

describe('a conflict that waits', () => {
  test('is decided by anybody, for everybody', () => {
    const group = groupOf(3);
    group.cut(['a'], ['b', 'c']);
    const plan = (when: string) => (peer: PeerReplica) =>
      peer.write([{ op: 'put', key: recordKey('plan/1'), record: { when } }], group.now);
    make(group, 'a', plan('monday'));
    make(group, 'b', plan('tuesday'));
    group.heal();
    group.run(2_000);
    const [conflict] = group.get('c').conflicts.waiting;
    make(group, 'c', (peer) =>
      peer.carryOut(peer.conflicts.decide(conflict!.id, { writer: 'a', counter: 1 }), group.now),
    );
    for (const peer of group.peers.values()) {
      expect(peer.root.get(recordKey('plan/1'))).toEqual({ when: 'monday' });
      expect(peer.conflicts.waiting).toEqual([]);
      expect(peer.outcomes.map(({ state }) => state)).toEqual(['applied', 'rejected', 'applied']);
    }
    expect(group.traced('conflict', 'c').map(({ state }) => state)).toContain('waiting');
  });
});

describe('bad input is refused whole, with a code, and changes nothing', () => {
  const frameOf = (sender: string, body: MessageBody): Uint8Array => {
    const encoder = new FrameEncoder(replicaId(sender));
    encoder.names.seal();
    return encoder.encode(body).at(-1)!.frame;
  };
  /** A valid change of b, to be spoiled. */
  const valid = (group: PeerGroup): MessageOf<'PEER_CHANGES'> => {
    let found: Uint8Array | undefined;
    group.fate = ({ frame }) => {
      found = frame;
      return [];
    };
    write(group, 'b', 'valid');
    group.fate = ({ frame }) => [frame];
    return new FrameDecoder().decode(found!) as MessageOf<'PEER_CHANGES'>;
  };
  type Spoil = (body: MessageOf<'PEER_CHANGES'>) => MessageBody;
  const mutated =
    (fields: object): Spoil =>
    (body) => ({ ...body, mutations: [{ ...body.mutations[0]!, ...fields }] });
  const b = replicaId('b');
  const cases: readonly (readonly [string, Spoil, string])[] = [
    ['a stranger as writer', mutated({ writer: replicaId('mallory') }), 'PEER_STRANGER'],
    ['a gap in the counters', mutated({ counter: 2 }), 'CHANGES_INVALID'],
    ['a clock far ahead', mutated({ time: 1_800_000_000_000 }), 'CLOCK_TOO_FAR_AHEAD'],
    ['a stamp that is none', mutated({ count: 2 ** 40 }), 'CLOCK_INVALID'],
    ['another body than its root says', mutated({ changes: text('forged') }), 'ROOT_DIFFERS'],
    ['changes without their bases', mutated({ before: [] }), 'MUTATION_INVALID'],
    ['a vector that they do not lead to', (body) => ({ ...body, to: [{ replica: b, counter: 9 }] }), 'CHANGES_INVALID'],
    ['another message', () => ({ type: 'ACK', version: 1, progress: 1, root: body0 }), 'MESSAGE_UNEXPECTED'],
  ];
  const body0 = '0123456789abcdef' as MessageOf<'ACK'>['root'];

  const refusedWith = (group: PeerGroup, from: ReplicaId, frame: Uint8Array, code: string) => {
    const before = group.get('a');
    const { hash } = before.root;
    group.send('a', before.receive(from, frame, group.now));
    expect(group.traced('refused', 'a').at(-1)).toMatchObject({ code });
    expect(group.get('a').root.hash).toBe(hash);
  };

  test.each(cases)('%s', (_, spoil, code) => {
    const group = groupOf(2);
    refusedWith(group, b, frameOf('b', spoil(valid(group))), code);
    // The true one still counts.
    group.run(2_000);
    expect(noteOf(group, 'a')).toBe('valid');
  });

  test('a vector with a negative or fractional counter', () => {
    for (const counter of [-1, 0.5]) {
      const group = groupOf(2);
      const spoil = mutated({ seen: [{ replica: replicaId('a'), counter }] });
      refusedWith(group, b, frameOf('b', spoil(valid(group))), 'SCHEMA_MISMATCH');
    }
  });

  test('a mutation that is known with another body', () => {
    const group = groupOf(2);
    const body = valid(group);
    group.run(2_000);
    refusedWith(group, b, frameOf('b', mutated({ changes: text('forged') })(body)), 'MUTATION_DIFFERS');
  });

  test('a stranger, and a member in the name of another', () => {
    const group = groupOf(3);
    const body = valid(group);
    refusedWith(group, replicaId('mallory'), frameOf('mallory', body), 'PEER_STRANGER');
    refusedWith(group, replicaId('c'), frameOf('b', body), 'PEER_STRANGER');
  });

  test('a question that names one subtree again and again, and the same in it, is answered once', () => {
    const group = groupOf(2);
    const asked = (paths: readonly string[]) => {
      const query = frameOf('b', { type: 'MERKLE_QUERY', ...merkleQuerySchema.parse({ paths }, 'query') });
      const decoder = new FrameDecoder();
      const frames = group.get('a').receive(b, query, group.now);
      return frames.map(({ frame }) => decoder.decode(frame)).flatMap((one) => ('nodes' in one ? [one.nodes] : []));
    };
    const inside = Array.from({ length: 496 }, (_, index) => (index % 16).toString(16));
    const answers = asked([...Array<string>(16).fill(''), ...inside]);
    expect(answers).toEqual(asked(['']));
    expect(answers).toMatchObject([[{ kind: 'leaves', entries: { length: records.length } }]]);
  });

  test('more that waits for its cause than there is room for', () => {
    const group = groupOf(2, { settings: { maxHeld: 3, silence: milliseconds(60_000) } });
    group.fate = () => [];
    write(group, 'a', 'lost');
    group.fate = ({ frame }, from) => (from === replicaId('a') ? [frame] : []);
    for (let index = 0; index < 10; index++) write(group, 'a', `later ${index}`);
    expect(group.get('b').held).toBe(3);
    expect(group.traced('log', 'b').some(({ text }) => text.includes('want of room'))).toBe(true);
    group.fate = ({ frame }) => [frame];
    group.run(3_000);
    expect(noteOf(group, 'b')).toBe('later 9');
  });
});
