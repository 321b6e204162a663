import { describe, expect, test } from 'vitest';
import { StateRoot } from '../merkle/index.ts';
import { milliseconds, seededRandom, type Transport } from '../ports/index.ts';
import { type Change, type ReplicaId, recordKey, replicaId } from '../state/index.ts';
import { coinSession } from '../sync/memory-link.test-helper.ts';
import { TraceHub, type TraceRecord } from '../trace/index.ts';
import { ConsensusPeer, type Intent } from './consensus/index.ts';
import { openSession } from './source-of-truth.ts';

const [alice, bob, carol] = ['alice', 'bob', 'carol'].map(replicaId) as [ReplicaId, ReplicaId, ReplicaId];
const members = [alice, bob, carol];
const coin = (name: string) => recordKey(`coin/${name}`);

/** Sessions of all but `liar`, a member that proposes whatever it likes. Who comes first in the alphabet is asked, and answers, first. */
function groupWithLiar(replica = carol) {
  let now = 0;
  const clock = { now: () => now };
  const hub = new TraceHub(clock);
  const trace: TraceRecord[] = [];
  hub.listen((record) => trace.push(record));
  const ends = new Map<string, (frame: Uint8Array) => void>();
  const waiting: (() => void)[] = [];
  const transport = (from: ReplicaId, to: ReplicaId): Transport => ({
    send: (frame) => waiting.push(() => ends.get(`${to}>${from}`)?.(frame)),
    close: () => undefined,
    onFrame: (listener) => ends.set(`${from}>${to}`, listener),
    onClose: () => undefined,
  });
  const records = [...coinSession.initialRecords(seededRandom(1))];
  const honest = members.filter((one) => one !== replica);
  const sessions = honest.map((one) =>
    openSession({
      truth: 'peers',
      agreement: 'consensus',
      definition: coinSession,
      replica: one,
      members,
      records,
      clock,
      tap: hub,
      random: seededRandom(members.indexOf(one)),
      connect: (to) => transport(one, to),
    }),
  );
  const options = { replica, members, clock, random: seededRandom(9), tap: hub };
  const liar = ConsensusPeer.inMemory(options, StateRoot.from(records));
  for (const member of honest) liar.attach(member, transport(replica, member));
  const run = () => {
    for (const end = now + milliseconds(5_000); now < end; now += milliseconds(50)) {
      for (const one of [...sessions, liar]) one.tick();
      for (let next = waiting.shift(); next; next = waiting.shift()) next();
    }
  };
  run();
  return { sessions, liar, run, trace };
}

const gives = (name: string, owner: ReplicaId): Change => {
  return { op: 'patch', key: coin(name), fields: { owner }, removed: [] };
};

const LIES: readonly (readonly [what: string, intent: Intent, reason: string])[] = [
  [
    'a command with changes that it does not come to',
    { command: 'take', args: { coin: '1' }, changes: [gives('1', carol), gives('2', carol)] },
    'take does not come to these changes',
  ],
  ['a command without its arguments', { command: 'take', changes: [gives('1', carol)] }, 'take failed: no coin'],
  ['a command that is refused', { command: 'unlock', args: null, changes: [] }, 'door_locked'],
  ['a command that throws', { command: 'explode', args: null, changes: [] }, 'explode failed: boom'],
  [
    'a command that nobody knows',
    { command: 'steal', args: null, changes: [gives('1', carol)] },
    'unknown command "steal"',
  ],
  ['a name that every object has', { command: 'toString', args: null, changes: [] }, 'unknown command "toString"'],
];

describe('a member of a session decides a command itself', () => {
  test.each(LIES.map(([what, intent, reason]) => ({ what, intent, reason })))('and refuses $what', (lie) => {
    const { sessions, liar, run, trace } = groupWithLiar();
    const receipt = liar.propose(lie.intent);
    run();
    expect(receipt.outcome).toMatchObject({ state: 'rejected', reason: 'invalid-change', detail: lie.reason });
    expect(receipt.outcome).toHaveProperty('voters', [alice, bob]);
    const votes = trace.flatMap(({ replica, body }) =>
      body.kind === 'vote' && replica !== carol ? [[body.answer, body.reason]] : [],
    );
    expect(new Set(votes.map((one) => one.join()))).toEqual(new Set([`invalid-change,${lie.reason}`]));
    for (const session of sessions) expect(session.committed.get(coin('1'))?.owner).toBe(null);
    expect(liar.version).toBe(0);
    // The group goes on.
    const [first] = sessions;
    const made = first!.mutate('take', { coin: '1' });
    run();
    expect('mutation' in made && first!.outcome(made.mutation)).toEqual({ state: 'settled' });
    for (const session of sessions) expect(session.committed.get(coin('1'))?.owner).toBe(alice);
  });

  test('and takes what it comes to, whoever proposes it', () => {
    const { sessions, liar, run } = groupWithLiar();
    const receipt = liar.propose({ command: 'take', args: { coin: '1' }, changes: [gives('1', carol)] });
    run();
    expect(receipt.outcome).toMatchObject({ state: 'committed', version: 1 });
    for (const session of sessions) expect(session.committed.get(coin('1'))?.owner).toBe(carol);
  });

  test('with the arguments of what was left by another', () => {
    const { sessions, liar, run } = groupWithLiar();
    const [first, second] = sessions as [(typeof sessions)[0], (typeof sessions)[0]];
    const made = first.mutate('note', { id: '7', text: 'left' });
    run();
    expect('mutation' in made && first.outcome(made.mutation)).toEqual({ state: 'settled' });
    expect(second.committed.get(recordKey('note/7'))).toEqual({ id: '7', text: 'left' });
    expect(liar.decidedSince(0)).toMatchObject([{ command: 'note', args: { id: '7', text: 'left' } }]);
  });

  test.each([
    { who: 'the first to answer', replica: alice },
    { who: 'another', replica: bob },
    { who: 'the last to answer', replica: carol },
  ])('and goes on without one that leads, and has accepted what nobody else takes: $who', ({ replica }) => {
    const { sessions, liar, run } = groupWithLiar(replica);
    const taken = liar.propose({ command: 'take', args: { coin: '1' }, changes: [gives('1', replica)] });
    run();
    expect(taken.outcome).toMatchObject({ state: 'committed', version: 1 });
    const lie = liar.propose({ command: 'steal', args: null, changes: [gives('2', replica)] });
    run();
    const made = sessions.map((session, at) => session.mutate('take', { coin: String(at + 2) }));
    for (let times = 0; times < 6; times++) run();
    sessions.forEach((session, at) => {
      const one = made[at]!;
      expect('mutation' in one && session.outcome(one.mutation)).toEqual({ state: 'settled' });
      expect(session.committed.get(coin('2'))?.owner).toBe(sessions[0]!.replica);
    });
    expect(lie.outcome).toMatchObject({ state: 'rejected', reason: 'invalid-change' });
    expect(liar.root.hash).toBe(sessions[0]!.committed.hash);
  });
});
