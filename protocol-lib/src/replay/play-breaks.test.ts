import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeTraceRecord, LiveCapture } from '../capture/index.ts';
import { milliseconds } from '../ports/index.ts';
import { headerOf } from './captured.test-helper.ts';
import { AUTHORITY, BOX, boxes, House } from './house.test-helper.ts';
import { Playing } from './play.ts';
import { type PlayScript, readPlay } from './play-script.ts';
import { PLAY_ORDERS, type PlayOrder, type PlayResult } from './play-types.ts';

/** Recorded connections that broke, in the recording as it is and in one of the server's side alone. */

type Act = readonly [who: 'ann' | 'ben', what: 'put' | 'take' | 'cut' | 'back', steps: number];

async function recorded(acts: readonly Act[], isServerSide = false): Promise<{ script: PlayScript; breaks: number }> {
  const house = new House(boxes());
  const capture = new LiveCapture(headerOf('boxes', { authority: AUTHORITY }));
  // Two clients in one process with the authority tell what only a client knows as well.
  house.hub.listen((record) => {
    const { kind } = record.body;
    const isClients = kind === 'prediction' || kind === 'apply' || kind === 'confirmation' || kind === 'rollback';
    if (!isServerSide || !isClients) capture.append(encodeTraceRecord(record));
  });
  house.manager.describe();
  const people = { ann: house.join('ann'), ben: house.join('ben') };
  const wait = (steps: number): void => {
    for (let at = 0; at < steps; at++) house.step();
  };
  wait(10);
  const away = new Set<string>();
  let breaks = 0;
  for (const [who, what, steps] of acts) {
    const { [who]: person } = people;
    if (what === 'cut') {
      if (!away.has(who)) person.breakOff();
      away.add(who);
    } else if (what === 'back') {
      if (away.delete(who)) {
        person.comeBack();
        breaks++;
      }
    } else person.send(what, null);
    wait(steps);
  }
  for (const who of away) {
    people[who as 'ann' | 'ben'].comeBack();
    breaks++;
  }
  wait(20);
  return { script: await readPlay(capture), breaks };
}

function played(script: PlayScript, order?: PlayOrder, each = 1, during?: (house: House) => void): PlayResult {
  const definition = boxes(each);
  const house = new House(definition);
  const join = (replica: string) => house.join(replica, { ...definition, commands: {} });
  const playing = new Playing(script, { now: house.now, patience: milliseconds(2_000), order, join });
  while (!playing.step(house.now)) {
    during?.(house);
    house.step();
  }
  return playing.result();
}

const STORY: readonly Act[] = [
  ['ann', 'put', 3],
  ['ben', 'cut', 2],
  ['ann', 'put', 3],
  ['ben', 'take', 2],
  ['ann', 'put', 3],
  ['ben', 'back', 5],
  ['ben', 'take', 5],
];

describe('connections that broke', () => {
  test('are broken again where they were, and come back with what was pending', async () => {
    for (const order of PLAY_ORDERS) {
      for (const isServerSide of [false, true]) {
        const { script } = await recorded(STORY, isServerSide);
        const result = played(script, order);
        expect(result.first).toBeUndefined();
        expect(result).toMatchObject({ status: 'equal', breaks: 1, intents: 5, reordered: 0 });
      }
    }
  });

  test('leave their clients without what others do, until they are back', async () => {
    const { script } = await recorded(STORY);
    const kinds = script.actions.map((one) => ('replica' in one ? `${one.kind} ${one.replica}` : one.kind));
    expect(kinds).toEqual([
      ...['join ann', 'join ben', 'intent ann', 'break ben', 'intent ann', 'intent ann', 'return ben'],
      ...['intent ben', 'intent ben'],
    ]);
    const behind = new Set<number>();
    played(script, 'recorded', 1, ({ manager, clients }) => {
      for (const { state, isOpen } of clients) if (!isOpen) behind.add(manager.version - state.version);
    });
    expect(Math.max(...behind)).toBeGreaterThan(0);
  });

  test('hide no difference that came about meanwhile', async () => {
    const { script } = await recorded(STORY);
    expect(played(script, 'seen', 2).first).toMatchObject({ what: 'state', key: BOX, field: 'things' });
  });

  test('whenever and however often: the same rules answer alike', async () => {
    const act = fc.tuple(
      fc.constantFrom('ann', 'ben'),
      fc.constantFrom('put', 'take', 'cut', 'back'),
      fc.integer({ min: 0, max: 6 }),
    ) as fc.Arbitrary<Act>;
    await fc.assert(
      fc.asyncProperty(
        fc.array(act, { minLength: 1, maxLength: 25 }),
        fc.constantFrom(...PLAY_ORDERS),
        fc.boolean(),
        async (acts, order, isServerSide) => {
          const all: readonly Act[] = [...acts, ['ann', 'put', 2]];
          const { script, breaks } = await recorded(all, isServerSide);
          const result = played(script, order);
          expect(result.first).toBeUndefined();
          expect(result).toMatchObject({ status: 'equal', breaks, undecided: 0 });
        },
      ),
    );
  });
});
