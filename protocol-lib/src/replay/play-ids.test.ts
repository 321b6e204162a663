import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeTraceRecord, LiveCapture } from '../capture/index.ts';
import { StateRoot } from '../merkle/index.ts';
import { milliseconds } from '../ports/index.ts';
import { type Change, type RecordKey, recordKey, type SyncRecord, type Value } from '../state/index.ts';
import type { SessionDefinition } from '../sync/index.ts';
import { headerOf } from './captured.test-helper.ts';
import { AUTHORITY, House } from './house.test-helper.ts';
import { Playing } from './play.ts';
import { InventedIds } from './play-ids.ts';
import { type PlayScript, readPlay } from './play-script.ts';
import type { PlayOrder, PlayResult } from './play-types.ts';

/** Parcels whose ids the server draws, in a way of its own each time that it runs. */
function parcels(run: string, weight = 1, room?: SessionDefinition['view']): SessionDefinition {
  let drawn = 0;
  const draw = (): string => `${run}${String(++drawn).padStart(4, '0')}x${run}`;
  const refuse = (reason: string) => ({ accepted: false as const, reason });
  const done = (type: string, player: string, data: Value) => ({
    accepted: true as const,
    events: [{ type, player, detail: '', data }],
  });
  return {
    name: 'parcels',
    ...(room ? { view: room } : {}),
    initialRecords: () => [[recordKey('desk/one'), { last: 'nobody', notes: [] }]],
    commands: {
      send: (_, args, writer) => done('SENT', writer, { id: draw(), ticket: draw(), text: args }),
      open: (state, args, writer) => {
        const key = recordKey(`parcel/${String((args as SyncRecord).parcel)}`);
        const parcel = state.get(key);
        if (!parcel) return refuse(`there is no parcel ${String((args as SyncRecord).parcel)}`);
        if (parcel.isOpen) return refuse(`parcel ${key} is open, see desk for ${String(parcel.ticket)}`);
        return done('OPENED', writer, { key, note: (args as SyncRecord).note ?? null });
      },
    },
    reduce: (state, { type, player, data }) => {
      const { id, ticket, text, key, note } = data as Readonly<Record<string, string>>;
      const desk = state.get(recordKey('desk/one'));
      if (type === 'SENT') {
        const record = { by: player, text: text ?? '', ticket: ticket ?? '', isOpen: false, weight };
        return [
          { op: 'put', key: recordKey(`parcel/${id}`), record },
          { op: 'put', key: recordKey(`receipt/${id}/first`), record: { for: `parcel/${id}` } },
          { op: 'patch', key: recordKey('desk/one'), fields: { last: id ?? '' }, removed: [] },
        ];
      }
      const notes = [...((desk?.notes as readonly Value[] | undefined) ?? []), `${note}: ${key}`];
      return [
        { op: 'patch', key: recordKey(String(key)), fields: { isOpen: true }, removed: [] },
        { op: 'patch', key: recordKey('desk/one'), fields: { notes }, removed: [] },
      ];
    },
  };
}

type People = Record<'ann' | 'ben', ReturnType<House['join']>>;

async function recorded(
  definition: SessionDefinition,
  act: (people: People, house: House) => void,
): Promise<PlayScript> {
  const house = new House(definition);
  const capture = new LiveCapture(headerOf('parcels', { sessionId: 'boxes', authority: AUTHORITY }));
  house.hub.listen((record) => capture.append(encodeTraceRecord(record)));
  house.manager.describe();
  const plain = { ...definition, commands: {} };
  const people = { ann: house.join('ann', plain), ben: house.join('ben', plain) };
  wait(house);
  act(people, house);
  wait(house);
  return readPlay(capture);
}

function wait(house: House): void {
  for (let at = 0; at < 10; at++) house.step();
}

function played(script: PlayScript, definition: SessionDefinition, order?: PlayOrder): PlayResult {
  const house = new House(definition);
  const plain = { ...definition, commands: {} };
  const join = (replica: string) => house.join(replica, plain);
  const playing = new Playing(script, { now: house.now, patience: milliseconds(2_000), order, join });
  while (!playing.step(house.now)) house.step();
  return playing.result();
}

/** The ids that a client sees, oldest first. */
function idsOf({ state }: People['ann']): string[] {
  const keys = Array.from(state.committed.entries(), ([key]) => key).filter((key) => key.startsWith('parcel/'));
  return keys.map((key) => key.slice('parcel/'.length)).sort();
}

function story(people: People, house: House): void {
  people.ann.send('send', 'a book');
  wait(house);
  people.ben.send('send', 'a lamp');
  wait(house);
  const [first = '', second = ''] = idsOf(people.ben);
  people.ben.send('open', { parcel: first, note: `mine is ${second}, not parcel/${first}` });
  wait(house);
  people.ann.send('open', { parcel: first });
  people.ann.send('open', { parcel: second });
  people.ben.send('open', { parcel: 'no such one' });
}

describe('ids that a server makes up', () => {
  test('are sent as they are here, in arguments, texts, keys and field names, and states and answers are compared with them', async () => {
    const script = await recorded(parcels('aa'), story);
    for (const order of ['seen', 'recorded'] as const) {
      const result = played(script, parcels('bb'), order);
      expect(result.first).toBeUndefined();
      expect(result).toMatchObject({ status: 'equal', intents: 6, ids: { unmapped: [] } });
      expect(result.ids.mapped).toEqual(
        expect.arrayContaining([
          { recorded: 'parcel/aa0001xaa', live: 'parcel/bb0001xbb', seq: expect.any(Number) },
          { recorded: 'aa0002xaa', live: 'bb0002xbb', seq: expect.any(Number) },
        ]),
      );
      expect(result.hashes).toBeGreaterThan(5);
    }
  });

  test('hide nothing else: another weight is told with its key here', async () => {
    const { first } = played(await recorded(parcels('aa'), story), parcels('bb', 2));
    expect(first).toMatchObject({ what: 'state', key: 'parcel/bb0001xbb', field: 'weight', recorded: 1, live: 2 });
  });

  test('of two of the same effect are told apart by another field, or else the first is taken, which is told', async () => {
    const twice = (people: People, house: House): void => {
      people.ann.send('send', 'a book');
      people.ann.send('send', 'a book');
      wait(house);
      const [first = ''] = idsOf(people.ann);
      people.ann.send('open', { parcel: first });
    };
    const named = played(await recorded(parcels('aa'), twice), parcels('bb'));
    expect(named).toMatchObject({ status: 'equal', ids: { unmapped: [] } });
    expect(named.ids.mapped.filter(({ isGuess }) => isGuess)).toEqual([]);
    const silent = (run: string): SessionDefinition => {
      const { reduce, ...rest } = parcels(run);
      return { ...rest, reduce: (state, event) => reduce(state, event).filter(({ op }) => op === 'put') };
    };
    const { ids, status } = played(await recorded(silent('aa'), twice), silent('bb'));
    expect(status).toBe('equal');
    expect(ids.mapped.filter(({ isGuess }) => isGuess)).toEqual([
      { recorded: 'parcel/aa0001xaa', live: 'parcel/bb0001xbb', seq: expect.any(Number), isGuess: true },
    ]);
  });

  test('are told where the server made none', async () => {
    const silent = parcels('bb');
    const definition = { ...silent, reduce: () => [] };
    const { ids, first } = played(await recorded(parcels('aa'), story), definition);
    expect(first).toBeDefined();
    expect(ids.mapped).toEqual([]);
  });

  test('are found in what each client sees of the state', async () => {
    const own: SessionDefinition['view'] = (_, replica) => ({
      id: replica,
      sees: (key, record) => !key.startsWith('receipt/') && (record.by === undefined || record.by === replica),
    });
    const tell = (people: People, house: House): void => {
      people.ann.send('send', 'a book');
      wait(house);
      people.ben.send('send', 'a lamp');
      wait(house);
      const [mine = ''] = idsOf(people.ben);
      people.ben.send('open', { parcel: mine });
      wait(house);
      people.ben.send('open', { parcel: mine });
    };
    const script = await recorded(parcels('aa', 1, own), tell);
    expect(script.hasViews).toBe(true);
    const same = played(script, parcels('bb', 1, own));
    expect(same.first).toBeUndefined();
    expect(same.hashes).toBeGreaterThan(3);
    const heavier = played(script, parcels('bb', 2, own));
    expect(heavier.first).toMatchObject({ what: 'state', field: 'weight', recorded: 1, live: 2 });
  });
});

const KEY = (id: string): RecordKey => recordKey(`thing/${id}`);
const put = (id: string, record: SyncRecord): Change => ({ op: 'put', key: KEY(id), record });

describe('InventedIds', () => {
  test('maps any ids back and forth: what was made of recorded ones is made of those here', () => {
    const id = fc.stringMatching(/^[a-z]{4}[0-9]{4}$/);
    fc.assert(
      fc.property(fc.uniqueArray(id, { minLength: 2, maxLength: 12 }), (all) => {
        const half = all.length >> 1;
        const pairs = all.slice(0, half).map((one, at) => [one, all[half + at]!] as const);
        const ids = new InventedIds();
        const effect = (side: 0 | 1): Change[] =>
          pairs.map((pair, at) => put(pair[side], { at, of: `thing/${pair[side]}` }));
        const after = StateRoot.empty.apply(effect(1));
        const recorded = [{ seq: 1, changes: effect(0) }];
        ids.learn({ recorded, before: StateRoot.empty, after, isPart: false, isFirst: false });
        const here = StateRoot.empty.apply(effect(0).map((change) => ids.changeHere(change)));
        expect(here.hash).toBe(after.hash);
        for (const [then, now] of pairs) expect(ids.textHere(`see (${then}).`)).toBe(`see (${now}).`);
      }),
    );
  });

  test('takes nothing for made up that a client said, or that is a word', () => {
    const ids = new InventedIds();
    ids.said({ colour: 'shade-0001' });
    const learn = (then: SyncRecord, now: SyncRecord): boolean => {
      const before = StateRoot.empty.apply([put('one', { is: 'there' })]);
      const after = before.apply([put('one', now)]);
      return ids.learn({
        recorded: [{ seq: 1, changes: [put('one', then)] }],
        before,
        after,
        isPart: false,
        isFirst: false,
      });
    };
    expect(learn({ of: 'shade-0001' }, { of: 'shade-0002' })).toBe(false);
    expect(learn({ of: 'openly' }, { of: 'closed' })).toBe(false);
    expect(learn({ of: 12_345_678 }, { of: 12_345_679 })).toBe(false);
    expect(learn({ of: 'k3k3k3k3' }, { of: 'k9k9k9k9' })).toBe(true);
    expect(learn({ of: 'k3k3k3k3' }, { of: 'k7k7k7k7' })).toBe(false);
  });
});
