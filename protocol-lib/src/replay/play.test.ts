import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeTraceRecord, LiveCapture } from '../capture/index.ts';
import { OWN_PROTOCOLS } from '../messages/index.ts';
import { milliseconds } from '../ports/index.ts';
import type { SessionDefinition } from '../sync/index.ts';
import { headerOf } from './captured.test-helper.ts';
import { AUTHORITY, BOX, boxes, House, STEP } from './house.test-helper.ts';
import { Playing } from './play.ts';
import { type PlayScript, readPlay } from './play-script.ts';
import { PLAY_ORDERS, type PlayOrder, type PlayResult } from './play-types.ts';

const PATIENCE = milliseconds(2_000);

type Act = readonly [who: 'ann' | 'ben' | 'server', command: 'put' | 'take', steps: number];

/** What people did in a house, as a capture that begins before they came. */
async function recorded(acts: readonly Act[], only?: ReadonlySet<string>): Promise<PlayScript> {
  const house = new House(boxes());
  const capture = new LiveCapture(headerOf('boxes', { authority: AUTHORITY }));
  house.hub.listen((record) => capture.append(encodeTraceRecord(record)));
  house.manager.describe();
  const people = { ann: house.join('ann'), ben: house.join('ben') };
  for (let at = 0; at < 10; at++) house.step();
  for (const [who, command, steps] of acts) {
    if (who === 'server') house.manager.mutate(command, null, house.now);
    else people[who].send(command, null);
    for (let at = 0; at < steps; at++) house.step();
  }
  for (let at = 0; at < 20; at++) house.step();
  return readPlay(capture, only);
}

interface Live {
  readonly definition?: SessionDefinition;
  readonly speed?: number;
  readonly order?: PlayOrder;
  /** Steps that frames of these take. */
  readonly late?: Readonly<Record<string, number>>;
  readonly during?: (house: House, playing: Playing) => void;
}

function played(script: PlayScript, { definition = boxes(), speed, order, late = {}, during }: Live = {}): PlayResult {
  const house = new House(definition);
  for (const [name, steps] of Object.entries(late)) house.late.set(name, steps);
  const options = { now: house.now, patience: PATIENCE, speed, order };
  const plain = { ...definition, commands: {} };
  const playing = new Playing(script, { ...options, join: (replica) => house.join(replica, plain) });
  while (!playing.step(house.now)) {
    during?.(house, playing);
    house.step();
  }
  return playing.result();
}

const ACTS: readonly Act[] = [
  ['ann', 'take', 0],
  ['ben', 'take', 0],
  ['ann', 'take', 10],
  ['ben', 'put', 3],
  ['ben', 'put', 0],
  ['ann', 'take', 10],
];

describe('recorded clients that are played', () => {
  test('find an authority with the same rules equal, however they got in each other’s way', async () => {
    const act = fc.tuple(
      fc.constantFrom('ann', 'ben'),
      fc.constantFrom('put', 'take'),
      fc.integer({ min: 0, max: 8 }),
    ) as fc.Arbitrary<Act>;
    await fc.assert(
      fc.asyncProperty(
        fc.array(act, { minLength: 1, maxLength: 25 }),
        fc.constantFrom(...PLAY_ORDERS),
        async (acts, order) => {
          const result = played(await recorded(acts), { order });
          expect(result.first).toBeUndefined();
          expect(result).toMatchObject({ status: 'equal', order, intents: acts.length, undecided: 0, reordered: 0 });
          expect(result.hashes).toBeGreaterThan(0);
        },
      ),
    );
  });

  test('send as many at once as were sent before an answer was seen, and no more', async () => {
    const burst: readonly Act[] = [
      ['ann', 'put', 0],
      ['ann', 'put', 0],
      ['ann', 'take', 10],
      ['ann', 'put', 10],
      ['ann', 'put', 10],
    ];
    const script = await recorded(burst);
    const [first, second, third, fourth, fifth] = script.actions.flatMap((one) => (one.kind === 'intent' ? [one] : []));
    expect([first, second, third, fourth, fifth].map((one) => one?.pending)).toEqual([[], [1], [1, 2], [], []]);
    for (const order of PLAY_ORDERS) {
      expect(played(script, { order, late: { ann: 3 } })).toMatchObject({ status: 'equal', mostAtOnce: 3 });
    }
    const waited = burst.map(([who, command]): Act => [who, command, 10]);
    expect(played(await recorded(waited), { late: { ann: 3 } })).toMatchObject({ status: 'equal', mostAtOnce: 1 });
    const both: readonly Act[] = [
      ['ann', 'put', 0],
      ['ben', 'put', 10],
    ];
    const late = { ann: 3, ben: 3 };
    expect(played(await recorded(both), { late })).toMatchObject({ status: 'equal', mostAtOnce: 2 });
    expect(played(await recorded(both), { order: 'recorded', late })).toMatchObject({
      status: 'equal',
      mostAtOnce: 1,
    });
  });

  test('tell what was on its way at once where it may have been decided in another order', async () => {
    const both: readonly Act[] = [
      ['ann', 'take', 0],
      ['ben', 'put', 10],
    ];
    const script = await recorded(both);
    const late = { ann: 6 };
    const { first, reordered } = played(script, { late });
    expect(reordered).toBeGreaterThan(0);
    expect(first).toMatchObject({ what: 'state', key: BOX, field: 'last' });
    expect(first?.atOnce).toEqual([
      { replica: 'ann', counter: 1, command: 'take' },
      { replica: 'ben', counter: 1, command: 'put' },
    ]);
    expect(played(script, { late, order: 'recorded' })).toMatchObject({ status: 'equal', reordered: 0 });
    // What is otherwise whatever the order, before several were on their way, is told without a doubt.
    const alone: readonly Act[] = [['ben', 'put', 10], ...both];
    const other = played(await recorded(alone), { late, definition: boxes(2) });
    expect(other.first).toMatchObject({ what: 'state', recorded: 3, live: 4 });
    expect(other.first?.atOnce).toBeUndefined();
  });

  test('name the record, key and field of the first state that is another one', async () => {
    const script = await recorded(ACTS);
    const { status, first } = played(script, { definition: boxes(2) });
    expect(status).toBe('differs');
    expect(first).toMatchObject({ what: 'state', key: BOX, field: 'things', recorded: 1, live: 3 });
    const commit = script.commits.find(({ seq }) => seq === first?.seq);
    expect(commit).toMatchObject({ version: first?.version });
  });

  test('name the first answer that is another one', async () => {
    const generous = boxes();
    const put = generous.commands.put;
    const definition = {
      ...generous,
      commands: { ...generous.commands, take: put ?? (() => ({ accepted: false, reason: '' })) },
    };
    const { clients } = played(await recorded(ACTS), { definition });
    const ann = clients.find(({ replica }) => replica === 'ann')?.difference;
    expect(ann).toMatchObject({ what: 'answer', recorded: 'refused: it is empty', live: 'accepted' });
    const strict = { ...generous, commands: { put: () => ({ accepted: false as const, reason: 'full' }) } };
    const { first } = played(await recorded(ACTS), { definition: strict });
    expect(first).toMatchObject({ what: 'answer', command: 'take', replica: 'ann', recorded: 'accepted' });
  });

  test('say where the authority began with another state', async () => {
    const other = { ...boxes(), initialRecords: () => [[BOX, { things: 7, last: 'nobody' }]] as const };
    const { first } = played(await recorded(ACTS), { definition: other });
    expect(first).toMatchObject({ what: 'beginning', key: BOX, field: 'things', recorded: 2, live: 7 });
  });

  test('wait for what the authority did of its own accord, and tell that it did not come, or was not recorded', async () => {
    const acts: readonly Act[] = [
      ['ann', 'put', 5],
      ['server', 'put', 5],
      ['ben', 'take', 5],
    ];
    const script = await recorded(acts);
    const never = played(script);
    expect(never.first).toMatchObject({ what: 'other', replica: 'server', counter: 1 });
    expect(never).toMatchObject({ others: { recorded: 1, came: 0 }, intents: 2 });
    let isDone = false;
    const same = played(script, {
      during: (house) => {
        if (isDone || house.manager.version < 2) return;
        house.manager.mutate('put', null, house.now);
        isDone = true;
      },
    });
    expect(same).toMatchObject({ status: 'equal', others: { recorded: 1, came: 1 } });
    let isExtra = false;
    const extra = played(await recorded(ACTS), {
      order: 'recorded',
      during: (house) => {
        if (isExtra || house.manager.version < 2) return;
        house.manager.mutate('put', null, house.now);
        isExtra = true;
      },
    });
    expect(extra.first).toMatchObject({ what: 'other', sentence: expect.stringContaining('of its own') });
  });

  test('play some alone, and compare their answers', async () => {
    const script = await recorded(ACTS, new Set(['ben']));
    const result = played(script);
    expect(result.clients.map(({ replica }) => replica)).toEqual(['ben']);
    expect(result).toMatchObject({ status: 'equal', hashes: 0 });
  });

  test('send nothing sooner than a speed allows', async () => {
    const script = await recorded(ACTS);
    const begun = milliseconds(1_000);
    const ends: number[] = [];
    for (const speed of [1, 4]) {
      let end = 0;
      played(script, {
        speed,
        during: ({ now }) => {
          end = now;
        },
      });
      ends.push(end - begun);
    }
    const last = script.actions.at(-1)?.time ?? 0;
    const length = last - (script.actions[0]?.time ?? 0);
    expect(ends[0]).toBeGreaterThanOrEqual(length - STEP);
    expect(ends[1]).toBeLessThan(ends[0] ?? 0);
  });

  test('give up with an error where nothing is answered, or the connection ends', async () => {
    const script = await recorded(ACTS);
    const deaf = (house: House, playing: Playing): void => {
      if (playing.progress.done >= 2) house.isDeaf = true;
    };
    expect(() => played(script, { during: deaf })).toThrow(/had no answer|had no state/);
    const cut = (house: House, playing: Playing): void => {
      if (playing.progress.done >= 3) house.cut();
    };
    expect(() => played(script, { during: cut })).toThrow(/did not come back: it was cut/);
  });

  test('are none in a capture without them', async () => {
    await expect(recorded([])).rejects.toMatchObject({ code: 'PLAY_NOTHING' });
    await expect(recorded(ACTS, new Set(['cy']))).rejects.toMatchObject({ code: 'PLAY_NOTHING' });
  });

  test.each([0, OWN_PROTOCOLS.max + 1])(
    'are not read from a capture whose frames are of protocol %d',
    async (protocolVersion) => {
      const capture = new LiveCapture(headerOf('boxes', { authority: AUTHORITY, protocolVersion }));
      await expect(readPlay(capture)).rejects.toMatchObject({ code: 'PLAY_PROTOCOL' });
    },
  );
});
