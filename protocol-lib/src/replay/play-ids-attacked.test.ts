import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeTraceRecord, LiveCapture } from '../capture/index.ts';
import { StateRoot } from '../merkle/index.ts';
import { milliseconds } from '../ports/index.ts';
import { type Change, recordKey, replicaId, type SyncRecord, type Value } from '../state/index.ts';
import type { SessionDefinition } from '../sync/index.ts';
import { headerOf } from './captured.test-helper.ts';
import { AUTHORITY, House } from './house.test-helper.ts';
import { Playing } from './play.ts';
import { type Effect, InventedIds } from './play-ids.ts';
import { type PlayScript, readPlay } from './play-script.ts';
import type { PlayResult } from './play-types.ts';

/** Ids that are easily taken for others, and what is no id and could be taken for one. */

const put = (key: string, record: SyncRecord): Change => ({ op: 'put', key: recordKey(key), record });
const patch = (key: string, fields: SyncRecord): Change => ({
  op: 'patch',
  key: recordKey(key),
  fields,
  removed: [],
});

type Told = Partial<Pick<Effect, 'isOrderOpen' | 'isPart'>> & { readonly before?: StateRoot };

/** What mutations did then, each a list of changes, and what they did here. Answers the state here. */
function learn(
  ids: InventedIds,
  then: readonly (readonly Change[])[],
  now: readonly Change[],
  told: Told = {},
): StateRoot {
  const before = told.before ?? StateRoot.empty;
  const after = before.apply(now);
  const recorded = then.map((changes, at) => ({ seq: at + 1, changes, mutation: { writer: replicaId(`w${at}`) } }));
  ids.learn({ recorded, after, isPart: false, isFirst: false, ...told, before });
  return after;
}

const namesOf = (ids: InventedIds): Readonly<Record<string, string>> =>
  Object.fromEntries(ids.mapped.map(({ recorded, live }) => [recorded, live]));

describe('ids that look alike', () => {
  test('are told apart where the server counts on from elsewhere: what is one’s here was another’s then', () => {
    const ids = new InventedIds();
    let before = StateRoot.empty;
    for (let at = 5; at < 9; at++) {
      const [then, now] = [`note/n${at}`, `note/n${at + 1}`];
      before = learn(ids, [[put(then, { text: `no ${at - 4}` })]], [put(now, { text: `no ${at - 4}` })], { before });
      expect(namesOf(ids)[then]).toBe(now);
    }
    expect(ids.unmapped).toEqual([]);
    expect(ids.valueHere(['note/n5', 'note/n8', 'note/n9'])).toEqual(['note/n6', 'note/n9', 'note/n9']);
  });

  test('are told apart where several come at once', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 6 }), (count, shift) => {
        const ids = new InventedIds();
        const made = (first: number): Change[] =>
          Array.from({ length: count }, (_, at) =>
            put(`note/${first + at}`, { text: `no ${at}`, self: `note/${first + at}` }),
          );
        const after = learn(ids, [made(10)], made(10 + shift));
        expect(StateRoot.empty.apply(made(10).map((change) => ids.changeHere(change))).hash).toBe(after.hash);
      }),
    );
  });

  test('that changed places are such only where they may have been given out in another order', () => {
    const then = [[put('note/n0000001', { by: 'ann' })], [put('note/n0000002', { by: 'ben' })]];
    const now = [put('note/n0000001', { by: 'ben' }), put('note/n0000002', { by: 'ann' })];
    const open = new InventedIds();
    learn(open, then, now, { isOrderOpen: true });
    expect(open.textHere('n0000001, then n0000002')).toBe('n0000002, then n0000001');
    const known = new InventedIds();
    learn(known, then, now);
    expect(known.mapped).toEqual([]);
  });

  test('and stand for two things stay as they are where they stand alone, also as a whole text or a name', () => {
    const ids = new InventedIds();
    learn(
      ids,
      [[put('cat/k1k1', { a: 1 })], [put('dog/k1k1', { b: 2 })]],
      [put('cat/x1x1', { a: 1 }), put('dog/y2y2', { b: 2 })],
    );
    expect(ids.valueHere({ k1k1: 'k1k1', cat: 'cat/k1k1', dog: 'of dog/k1k1' })).toEqual({
      k1k1: 'k1k1',
      cat: 'cat/x1x1',
      dog: 'of dog/y2y2',
    });
  });

  test('are found by the ids that their records name, where those are known', () => {
    const ids = new InventedIds();
    const then = [
      [put('box/aaaa1111', { of: 'ann' }), put('box/bbbb2222', { of: 'ben' })],
      [put('slip/cccc3333', { box: 'aaaa1111' }), put('slip/dddd4444', { box: 'bbbb2222' })],
    ];
    const now = [
      put('box/pppp5555', { of: 'ann' }),
      put('box/qqqq6666', { of: 'ben' }),
      put('slip/rrrr7777', { box: 'qqqq6666' }),
      put('slip/ssss8888', { box: 'pppp5555' }),
    ];
    learn(ids, then, now);
    expect(namesOf(ids)).toMatchObject({ 'slip/cccc3333': 'slip/ssss8888', 'slip/dddd4444': 'slip/rrrr7777' });
  });

  test('are told by a field that names one of them, also later, and after a client named it', () => {
    const ids = new InventedIds();
    const twins = [[put('box/aaaa1111', { is: 'new' })], [put('box/bbbb2222', { is: 'new' })]];
    const before = learn(
      ids,
      twins,
      ['pppp5555', 'qqqq6666', 'rrrr7777'].map((id) => put(`box/${id}`, { is: 'new' })),
    );
    expect(ids.unmapped).toHaveLength(2);
    const args = { open: 'aaaa1111' };
    ids.argumentsHere(args);
    ids.said(args);
    expect(ids.unmapped).toContainEqual({ recorded: 'box/aaaa1111', seq: 1, why: 'several could be it', sent: 1 });
    const opened = (id: string): Change => patch('desk/one', { last: `box/${id}` });
    learn(ids, [[opened('aaaa1111')]], [put('desk/one', { last: 'box/qqqq6666' })], { before });
    expect(namesOf(ids)).toMatchObject({ 'box/aaaa1111': 'box/qqqq6666' });
    expect(ids.unmapped.map(({ recorded }) => recorded)).toEqual(['box/bbbb2222']);
  });
});

describe('ids that are not the record’s key', () => {
  test('are taken from what was written last, where a field was written several times', () => {
    const ids = new InventedIds();
    const before = StateRoot.empty.apply([put('desk/one', { ticket: '' })]);
    const then = [[patch('desk/one', { ticket: 'k1k1k1k1' })], [patch('desk/one', { ticket: 'k2k2k2k2' })]];
    learn(ids, then, [patch('desk/one', { ticket: 'q2q2q2q2' })], { before });
    expect(namesOf(ids)).toEqual({ k2k2k2k2: 'q2q2q2q2' });
    const open = new InventedIds();
    learn(open, then, [patch('desk/one', { ticket: 'q2q2q2q2' })], { before, isOrderOpen: true });
    expect(open.mapped).toEqual([]);
  });

  test('are found as names of fields, each by what stands under it', () => {
    const ids = new InventedIds();
    const of = (one: string, other: string): SyncRecord => ({ members: { [one]: { at: 1 }, [other]: { at: 2 } } });
    const before = learn(
      ids,
      [[put('room/1', of('aaaa1111', 'bbbb2222'))]],
      [put('room/1', of('qqqq6666', 'pppp5555'))],
    );
    expect(ids.recordHere(of('aaaa1111', 'bbbb2222'))).toEqual(before.get(recordKey('room/1')));
    expect(ids.textHere('bbbb2222')).toBe('pppp5555');
    const fields = (name: string): SyncRecord => ({ [name]: 'here' });
    learn(ids, [[patch('room/1', fields('cccc3333'))]], [patch('room/1', fields('rrrr7777'))], { before });
    expect(ids.recordHere(fields('cccc3333'))).toEqual(fields('rrrr7777'));
  });

  test('are found as bytes, in arguments and states, and a text, a counter or a longer list of bytes is none', () => {
    const drawn = (first: number): Uint8Array => Uint8Array.from({ length: 16 }, (_, at) => (first + at * 37) & 255);
    const ids = new InventedIds();
    learn(ids, [[put('one/1', { id: drawn(1) })]], [put('one/1', { id: drawn(2) })]);
    expect(ids.valueHere({ open: drawn(1), other: drawn(3) })).toEqual({ open: drawn(2), other: drawn(3) });
    const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
    const no: [Uint8Array, Uint8Array][] = [
      [utf8('hello, Anna and Bob'), utf8('hello, Anna and Ben')],
      [Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 7), Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 8)],
      [drawn(4).subarray(0, 4), drawn(5).subarray(0, 4)],
      [drawn(6), drawn(7).subarray(0, 15)],
    ];
    for (const [then, now] of no) {
      learn(ids, [[put('one/1', { id: then })]], [put('one/1', { id: now })]);
      expect(ids.valueHere(then)).toEqual(then);
    }
    ids.said({ id: drawn(8) });
    learn(ids, [[put('one/1', { id: drawn(8) })]], [put('one/1', { id: drawn(9) })]);
    expect(ids.valueHere(drawn(8))).toEqual(drawn(8));
  });

  test('and are words or small numbers stand for themselves within a sentence that is sent, and are tried in one that is compared', () => {
    const ids = new InventedIds();
    learn(
      ids,
      [[put('room/lobby', { a: 1 })], [put('order/1234', { b: 1 })]],
      [put('room/attic', { a: 1 }), put('order/1235', { b: 1 })],
    );
    const said = ['lobby', 'see you in the lobby', 'pay 1234 coins', 'at room/lobby', { lobby: 1234 }];
    expect(ids.valueHere(said)).toEqual([
      'attic',
      'see you in the lobby',
      'pay 1234 coins',
      'at room/attic',
      { attic: 1234 },
    ]);
    expect(ids.isSentenceHere('order 1234 is open', 'order 1235 is open')).toBe(true);
    expect(ids.isSentenceHere('order 1234 is open', 'order 1236 is open')).toBe(false);
  });
});

interface Rules {
  /** The n-th that is made. */
  readonly name: (at: number) => string;
  /** Which of those that are there is the best. */
  readonly best?: (names: readonly string[]) => string;
  readonly size?: () => Value;
}

/** Things with names that the server gives, and one that is the best. */
function things({ name, best = (names) => names[0] ?? '', size = () => 1 }: Rules): SessionDefinition {
  let made = 0;
  return {
    name: 'things',
    initialRecords: () => [[recordKey('desk/one'), { best: '', says: '' }]],
    commands: {
      make: (_, args, writer) => ({
        accepted: true,
        events: [{ type: 'MADE', player: writer, detail: '', data: { name: name(++made), args, size: size() } }],
      }),
      judge: (state, _, writer) => {
        const keys = Array.from(state.entries('thing/'), ([key]) => key);
        const data = best(keys.map((key) => key.slice('thing/'.length)).sort());
        return { accepted: true, events: [{ type: 'JUDGED', player: writer, detail: '', data }] };
      },
    },
    reduce: (_, { type, data }) => {
      if (type === 'JUDGED') return [patch('desk/one', { best: data ?? '' })];
      const { name: made, args, size: big } = data as SyncRecord;
      return [put(`thing/${String(made)}`, { says: args ?? '', size: big ?? 0 })];
    },
  };
}

type Act = readonly [who: 'ann' | 'ben', command: 'make' | 'judge', args: Value, steps: number];

async function recorded(rules: Rules, acts: readonly Act[], forget: readonly number[] = []): Promise<PlayScript> {
  const definition = things(rules);
  const house = new House(definition);
  const capture = new LiveCapture(headerOf('things', { sessionId: 'boxes', authority: AUTHORITY }));
  house.hub.listen((record) => capture.append(encodeTraceRecord(record)));
  house.manager.describe();
  const plain = { ...definition, commands: {} };
  const people = { ann: house.join('ann', plain), ben: house.join('ben', plain) };
  for (let at = 0; at < 10; at++) house.step();
  for (const [who, command, args, steps] of acts) {
    people[who].send(command, args);
    for (let at = 0; at < steps; at++) house.step();
  }
  const script = await readPlay(capture);
  return { ...script, roots: new Map([...script.roots].filter(([version]) => !forget.includes(version))) };
}

function played(script: PlayScript, rules: Rules): PlayResult {
  const definition = things(rules);
  const house = new House(definition);
  const join = (replica: string) => house.join(replica, { ...definition, commands: {} });
  const playing = new Playing(script, { now: house.now, patience: milliseconds(2_000), join });
  while (!playing.step(house.now)) house.step();
  return playing.result();
}

describe('what is no id', () => {
  const counted = (at: number): string => `thing-000${at}`;
  const acts: readonly Act[] = [
    ['ann', 'make', 'a lamp', 3],
    ['ben', 'make', 'a book', 3],
    ['ann', 'judge', null, 3],
  ];

  test('is a name that both sides have: another choice among them is a difference', async () => {
    const script = await recorded({ name: counted }, acts);
    expect(played(script, { name: counted })).toMatchObject({ status: 'equal', ids: { mapped: [] } });
    const { first, ids } = played(script, { name: counted, best: (names) => names.at(-1) ?? '' });
    expect(first).toMatchObject({
      what: 'state',
      key: 'desk/one',
      field: 'best',
      recorded: 'thing-0001',
      live: 'thing-0002',
    });
    expect(ids.mapped).toEqual([]);
  });

  test('is who takes part', async () => {
    const script = await recorded({ name: counted, best: () => 'player-01' }, acts);
    const renamed = { ...script, clients: ['player-01', 'player-02'].map(replicaId) };
    const whole = {
      ...renamed,
      actions: script.actions.map((one) =>
        'replica' in one ? { ...one, replica: replicaId(one.replica === 'ann' ? 'player-01' : 'player-02') } : one,
      ),
    };
    expect(played(whole, { name: counted, best: () => 'player-02' }).ids.mapped).toEqual([]);
  });

  test('is what several clients call by the same name, drawn by each of them', async () => {
    const say: readonly Act[] = acts.map(([who, command, , steps]) => [who, command, 'c4c4c4c4c4', steps]);
    const drawn = (run: string) => (at: number) => `${run}${at}${run}${run}`;
    const { status, ids, first } = played(await recorded({ name: drawn('aa') }, say.slice(0, 2)), {
      name: drawn('bb'),
    });
    expect(first).toBeUndefined();
    expect(status).toBe('equal');
    expect(ids.mapped.map(({ recorded }) => recorded)).not.toContain('c4c4c4c4c4');
  });

  test('is a number, and that is told where it is so large that it may be drawn', async () => {
    const size = (big: number): Rules => ({ name: counted, size: () => ({ of: big, kind: 'x' }) });
    const large = played(await recorded(size(2 ** 40 + 1), acts), size(2 ** 40 + 7));
    expect(large.first).toMatchObject({ what: 'state', field: 'size', mayBeDrawn: true });
    expect(large.first?.sentence).toContain('numbers are compared as they are');
    const small = played(await recorded(size(1), acts), size(2));
    expect(small.first).toMatchObject({ what: 'state', field: 'size' });
    expect(small.first).not.toHaveProperty('mayBeDrawn');
  });

  test('is learned of all the same at a version whose root was not told', async () => {
    const drawn = (run: string) => (at: number) => `${run}${at}${run}${run}`;
    const script = await recorded({ name: drawn('aa') }, acts, [2, 3]);
    expect([...script.roots.keys()]).not.toContain(2);
    const { status, ids } = played(script, { name: drawn('bb') });
    expect(status).toBe('equal');
    expect(ids.unmapped).toEqual([]);
    expect(ids.mapped.map(({ recorded }) => recorded)).toEqual(['thing/aa1aaaa', 'thing/aa2aaaa']);
  });
});
