import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { TraceRecord } from '../trace/index.ts';
import { stepsIn } from './captured.test-helper.ts';
import { AUTHORITY, boxes, House } from './house.test-helper.ts';
import { reexecuteSteps } from './index.ts';

type Person = 'ann' | 'ben';
/** What happens in a house, and for how many steps of time it is quiet then. */
type Happening = readonly [what: Person | 'server' | 'cut' | 'attach' | 'goodbye', steps: number];

const happenings: fc.Arbitrary<Happening[]> = fc.array(
  fc.tuple(fc.constantFrom('ann', 'ben', 'server', 'cut', 'attach', 'goodbye'), fc.nat(8)) as fc.Arbitrary<Happening>,
  { maxLength: 30 },
);

/** A session in which somebody attaches in the midst of it, and perhaps again: all that was told since. */
function recorded(before: readonly Happening[], after: readonly Happening[]): TraceRecord[] {
  const house = new House(boxes());
  const people = new Map<string, ReturnType<House['join']>>();
  const records: TraceRecord[] = [];
  const attach = (): void => {
    house.manager.describe();
    for (const { state } of house.clients) state.describe();
  };
  const happen = ([what, steps]: Happening): void => {
    if (what === 'server') house.manager.mutate('put', null, house.now);
    else if (what === 'attach') attach();
    else if (what === 'cut') {
      house.cut();
      people.clear();
    } else if (what === 'goodbye') {
      for (const { leave } of people.values()) leave();
      people.clear();
    } else {
      const person = people.get(what) ?? house.join(what);
      people.set(what, person);
      if (person.state.version > 0) person.send(house.now % 3 === 0 ? 'put' : 'take', null);
    }
    for (let at = 0; at < steps; at++) house.step();
  };
  for (const one of before) happen(one);
  house.hub.listen((record) => records.push(record));
  attach();
  for (const one of after) happen(one);
  for (let at = 0; at < 3; at++) house.step();
  house.journal.flush();
  return records;
}

function ran(records: readonly TraceRecord[], definition = boxes()) {
  return reexecuteSteps(stepsIn(records), { definition });
}

describe('endpoints that write their inputs while somebody listens', () => {
  test('do not notice that an input cannot be written, and are run again from where they stand behind it', () => {
    const house = new House(boxes());
    const ann = house.join('ann');
    for (let at = 0; at < 10; at++) house.step();
    const records: TraceRecord[] = [];
    house.hub.listen((record) => records.push(record));
    const play = (...commands: readonly string[]): void => {
      house.manager.describe();
      for (const { state } of house.clients) state.describe();
      for (const command of commands) {
        ann.send(command, null);
        house.manager.mutate(command, null, house.now);
        for (let at = 0; at < 20; at++) house.step();
      }
    };
    // Half a character is in no text.
    play('put', '\ud800');
    play('put', 'take');
    house.journal.flush();
    const gaps = records.flatMap(({ body }) => (body.kind === 'gap' ? [body.reason] : []));
    expect(gaps).toEqual([expect.stringContaining('inputs could not be written: ')]);
    const result = ran(records);
    expect(result.difference).toBeUndefined();
    expect(result.leftOut.map(({ why }) => why)).toContain('gap');
    expect(result.hashes).toBeGreaterThan(5);
  });

  test('are run again to every record from when somebody attached', () => {
    fc.assert(
      fc.property(happenings, happenings, (before, after) => {
        const result = ran(recorded(before, after));
        expect(result.difference).toBeUndefined();
        expect(result.replicas).toContain(AUTHORITY);
      }),
    );
  });

  test('are run again from a later attaching where the beginning is gone, wherever it was cut off', () => {
    fc.assert(
      fc.property(happenings, happenings, fc.double({ min: 0, max: 1, noNaN: true }), (before, after, share) => {
        const records = recorded([], [...before, ['attach', 2], ...after]);
        const left = records.slice(Math.floor(share * records.length));
        try {
          expect(ran(left).difference).toBeUndefined();
        } catch (error) {
          // Nobody says any more where they stand.
          expect(error).toMatchObject({ code: 'REPLAY_INPUTS_MISSING' });
        }
      }),
    );
  });

  test('name the first record at which other rules go another way', () => {
    const acts: Happening[] = [
      ['ann', 10],
      ['server', 10],
      ['ben', 10],
      ['server', 10],
    ];
    const { status, difference } = ran(recorded([['ann', 5]], acts), boxes(2));
    expect(status).toBe('differs');
    expect(difference).toMatchObject({ replica: AUTHORITY, kind: 'commit', differs: 'state' });
  });

  test('keep nothing, and say nothing, while nobody listens', () => {
    const house = new House(boxes());
    const ann = house.join('ann');
    for (let at = 0; at < 10; at++) house.step();
    ann.send('put', null);
    expect(house.hub.lastSeq).toBe(0);
    const records: TraceRecord[] = [];
    const stop = house.hub.listen((record) => records.push(record));
    house.manager.describe();
    for (let at = 0; at < 10; at++) house.step();
    stop();
    const told = house.hub.lastSeq;
    for (let at = 0; at < 100; at++) house.step();
    expect(house.hub.lastSeq).toBe(told);
    // Nobody asked ann where she stands.
    expect(ran(records)).toMatchObject({ status: 'partial', replicas: [AUTHORITY] });
    expect(ran(records).leftOut).toMatchObject([{ replica: 'ann', why: 'no-inputs' }]);
  });
});
