import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeTraceRecord, LiveCapture } from '../capture/index.ts';
import { milliseconds, type Random, randomOf } from '../ports/index.ts';
import { type Change, recordKey, type SyncRecord, type Value } from '../state/index.ts';
import type { SessionDefinition } from '../sync/index.ts';
import { headerOf } from './captured.test-helper.ts';
import { AUTHORITY, House } from './house.test-helper.ts';
import { Playing } from './play.ts';
import { type PlayScript, readPlay } from './play-script.ts';
import { PLAY_ORDERS, type PlayOrder, type PlayResult } from './play-types.ts';

/** A depot whose server draws the names of things, their serial numbers and their keys, in every way in which servers do. */

const ALPHABET = 'ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789';
type Draw = (random: Random, at: number) => string;

function letters(random: Random, count: number): string {
  return Array.from({ length: count }, () => ALPHABET[Math.floor(random.next() * ALPHABET.length)]).join('');
}

const DRAWS: Readonly<Record<string, Draw>> = {
  uuid: (random) =>
    Array.from({ length: 4 }, () =>
      Math.floor(random.next() * 2 ** 32)
        .toString(16)
        .padStart(8, '0'),
    ).join('-'),
  nanoid: (random) => letters(random, 21),
  code: (random) => letters(random, 5).toUpperCase(),
  counted: (_, at) => `t-${String(at).padStart(7, '0')}`,
  number: (_, at) => String(1_000 + at),
};

const LOG = recordKey('log/one');
const ALL = recordKey('index/all');
const thing = (id: string) => recordKey(`thing/${id}`);
const textOf = (args: Value, name: string): string => String((args as SyncRecord)[name] ?? '');

function depot(draw: Draw, seed: number, first: number, weight = 1): SessionDefinition {
  const random = randomOf(seed, 'depot');
  let at = first;
  const happened = (type: string, player: string, data: Value) => ({
    accepted: true as const,
    events: [{ type, player, detail: '', data }],
  });
  return {
    name: 'depot',
    initialRecords: () => [
      [LOG, { last: '', count: 0 }],
      [ALL, { kinds: {} }],
    ],
    commands: {
      make: (_, args, writer) => {
        const key = Uint8Array.from({ length: 16 }, () => Math.floor(random.next() * 256));
        const drawn = { id: draw(random, at++), serial: letters(random, 12), key };
        return happened('MADE', writer, { ...drawn, kind: textOf(args, 'kind') });
      },
      touch: (state, args, writer) => {
        const id = textOf(args, 'id');
        const found = state.get(thing(id));
        if (!found) return { accepted: false, reason: `there is no thing/${id}` };
        if (Number(found.touched) > 2) return { accepted: false, reason: `${found.serial} is worn` };
        return happened('TOUCHED', writer, { id });
      },
      drop: (state, args, writer) => {
        const id = textOf(args, 'id');
        if (!state.get(thing(id))) return { accepted: false, reason: `there is no thing/${id}` };
        return happened('DROPPED', writer, { id });
      },
    },
    reduce: (state, { type, player, data }): Change[] => {
      const { id = '', serial = '', kind = '', key = null } = data as Readonly<Record<string, Value>>;
      const name = thing(String(id));
      const count = Number(state.get(LOG)?.count) + 1;
      const said: Change = {
        op: 'patch',
        key: LOG,
        fields: { last: `${player}: ${type} ${name}`, count },
        removed: [],
      };
      const kinds = { ...(state.get(ALL)?.kinds as SyncRecord) };
      switch (type) {
        case 'MADE': {
          const record = { kind, by: player, serial, key, touched: 0, weight, made: count };
          kinds[String(serial)] = kind;
          return [{ op: 'put', key: name, record }, { op: 'put', key: ALL, record: { kinds } }, said];
        }
        case 'TOUCHED':
          return [
            { op: 'patch', key: name, fields: { touched: Number(state.get(name)?.touched) + 1 }, removed: [] },
            said,
          ];
        default: {
          delete kinds[String(state.get(name)?.serial)];
          return [{ op: 'remove', key: name }, { op: 'put', key: ALL, record: { kinds } }, said];
        }
      }
    },
  };
}

type Act = readonly [who: 'ann' | 'ben', what: 'make' | 'touch' | 'drop', which: number, steps: number];

async function recorded(definition: SessionDefinition, acts: readonly Act[]): Promise<PlayScript> {
  const house = new House(definition);
  const capture = new LiveCapture(headerOf('depot', { sessionId: 'boxes', authority: AUTHORITY }));
  house.hub.listen((record) => capture.append(encodeTraceRecord(record)));
  house.manager.describe();
  const plain = { ...definition, commands: {} };
  const people = { ann: house.join('ann', plain), ben: house.join('ben', plain) };
  const wait = (steps: number): void => {
    for (let at = 0; at < steps; at++) house.step();
  };
  wait(10);
  for (const [who, what, which, steps] of acts) {
    const person = people[who];
    const ids = Array.from(person.state.committed.entries('thing/'), ([key]) => key.slice('thing/'.length)).sort();
    const id = ids[which % Math.max(1, ids.length)] ?? 'none';
    person.send(what, what === 'make' ? { kind: `kind ${which}` } : { id, note: `thing/${id}, see there` });
    wait(steps);
  }
  wait(20);
  return readPlay(capture);
}

function played(script: PlayScript, definition: SessionDefinition, order: PlayOrder): PlayResult {
  const house = new House(definition);
  const join = (replica: string) => house.join(replica, { ...definition, commands: {} });
  const playing = new Playing(script, { now: house.now, patience: milliseconds(2_000), order, join });
  while (!playing.step(house.now)) house.step();
  return playing.result();
}

const act: fc.Arbitrary<Act> = fc.tuple(
  fc.constantFrom('ann' as const, 'ben' as const),
  fc.constantFrom('make' as const, 'make' as const, 'touch' as const, 'drop' as const),
  fc.nat(5),
  fc.nat(6),
);

test.each(Object.keys(DRAWS))('a server with the same rules is equal however it draws its names: %s', async (name) => {
  const draw = DRAWS[name]!;
  await fc.assert(
    fc.asyncProperty(
      fc.array(act, { minLength: 1, maxLength: 20 }),
      fc.constantFrom(...PLAY_ORDERS),
      fc.integer({ min: 0, max: 9 }),
      async (acts, order, first) => {
        const script = await recorded(depot(draw, 1, 10), [...acts, ['ann', 'make', 9, 3]]);
        const { status, first: difference, ids } = played(script, depot(draw, 2, 10 + first), order);
        expect(difference).toBeUndefined();
        expect([status, ids.unmapped]).toEqual(['equal', []]);
      },
    ),
    { numRuns: 40 },
  );
});

test('and one with another rule is not', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(act, { minLength: 1, maxLength: 12 }),
      fc.constantFrom(...Object.values(DRAWS)),
      async (acts, draw) => {
        const script = await recorded(depot(draw, 1, 10), [...acts, ['ann', 'make', 9, 3]]);
        const { first } = played(script, depot(draw, 2, 13, 2), 'recorded');
        expect(first).toBeDefined();
      },
    ),
    { numRuns: 40 },
  );
});
