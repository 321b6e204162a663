import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isSyncError } from '../errors/index.ts';
import { replicaId } from '../state/index.ts';
import { compareEvents, EventBuffer, type OrderedEvent, reduceEvents } from './index.ts';
import { boxEvent, boxes, FIRST } from './log.test-helper.ts';

const WRITERS = ['alice', 'bob', 'carol'].map(replicaId);

/** Histories of three writers: times of each rise, and may be equal between them. */
const histories: fc.Arbitrary<OrderedEvent[]> = fc
  .array(fc.array(fc.record({ event: boxEvent, after: fc.integer({ min: 1, max: 4 }) }), { maxLength: 8 }), {
    minLength: 3,
    maxLength: 3,
  })
  .map((lists) =>
    lists.flatMap((list, index) => {
      let time = 0;
      return list.map(({ event, after }, at) => {
        time += after;
        return { time, mutation: { writer: WRITERS[index]!, counter: at + 1 }, event };
      });
    }),
  );

/** The events in some order, some of them more than once. */
const arrivals = histories.chain((events) =>
  fc
    .array(fc.nat(Math.max(0, events.length - 1)), { maxLength: 10 })
    .map((again) => (events.length === 0 ? [] : [...events, ...again.map((index) => events[index]!)]))
    .chain((all) => fc.shuffledSubarray(all, { minLength: all.length, maxLength: all.length }))
    .map((order) => ({ events, order })),
);

function buffer(options: { maxHeld?: number; maxEvents?: number } = {}): EventBuffer {
  return new EventBuffer({ initial: FIRST, reduce: boxes, ...options });
}

/** Sorted and run from the first on, each event that fails doing nothing. */
function fold(events: readonly OrderedEvent[]): string[] {
  let root = FIRST;
  return [...events].sort(compareEvents).map(({ event }) => {
    try {
      root = reduceEvents(boxes, root, [event]).root;
    } catch {
      // In its place it can do nothing.
    }
    return root.hash;
  });
}

function codeOf(run: () => unknown): string | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    if (isSyncError(error)) return error.code;
    throw error;
  }
}

function at(writer: number, counter: number, time: number, data = 1): OrderedEvent {
  const event = { type: 'ADDED', player: 'alice', detail: 'a', data };
  return { time, mutation: { writer: WRITERS[writer]!, counter }, event };
}

describe('events in any order, some twice', () => {
  test('come to one log and one state', () => {
    fc.assert(
      fc.property(arrivals, fc.boolean(), ({ events, order }, isLookedAt) => {
        const it = buffer();
        for (const event of order) {
          it.add(event);
          if (isLookedAt) it.root.hash;
        }
        expect(it.events.map(({ time, mutation, event }) => ({ time, mutation, event }))).toEqual(
          [...events].sort(compareEvents),
        );
        expect(it.events.map(({ root }) => root.hash)).toEqual(fold(events));
        expect([it.held, it.gaps]).toEqual([0, []]);
      }),
    );
  });

  test('come at every moment to what the events that are there come to, as far as none before them is missing', () => {
    fc.assert(
      fc.property(arrivals, ({ order }) => {
        const it = buffer();
        const here: OrderedEvent[] = [];
        for (const event of order) {
          const isNew = !here.includes(event);
          if (isNew) here.push(event);
          const arrival = it.add(event);
          expect(arrival.outcome === 'duplicate').toBe(!isNew);
          const has = (writer: string, counter: number): boolean =>
            here.some(({ mutation }) => mutation.writer === writer && mutation.counter === counter);
          const ready = here.filter(({ mutation }) =>
            Array.from({ length: mutation.counter }, (_, index) => index + 1).every((one) => has(mutation.writer, one)),
          );
          expect(it.events.map(({ root }) => root.hash)).toEqual(fold(ready));
          expect(it.held).toBe(here.length - ready.length);
          for (const { writer, from, to } of it.gaps) {
            expect(has(writer, from - 1) || from === 1).toBe(true);
            expect(has(writer, to + 1)).toBe(true);
            for (let counter = from; counter <= to; counter++) expect(has(writer, counter)).toBe(false);
          }
        }
      }),
    );
  });

  test('may be settled on the way, as far as every writer has been heard', () => {
    fc.assert(
      fc.property(arrivals, fc.nat(5), ({ events, order }, every) => {
        const it = buffer();
        const settled: string[] = [];
        for (const [index, event] of order.entries()) {
          it.add(event);
          if (index % (every + 1) === 0) {
            settled.push(...it.settle(it.settledBy(WRITERS)).map(({ root }) => root.hash));
          }
        }
        expect([...settled, ...it.events.map(({ root }) => root.hash)]).toEqual(fold(events));
      }),
    );
  });
});

describe('what is refused changes nothing', () => {
  test('another event under the same counter, in its place or held', () => {
    const it = buffer();
    it.add(at(0, 1, 1));
    expect(it.add(at(0, 3, 3))).toEqual({ outcome: 'held', missing: 2 });
    const hash = it.root.hash;
    expect(codeOf(() => it.add(at(0, 1, 1, 2)))).toBe('EVENT_CONFLICT');
    expect(codeOf(() => it.add(at(0, 3, 3, 2)))).toBe('EVENT_CONFLICT');
    expect([it.root.hash, it.held, it.gaps]).toEqual([hash, 1, [{ writer: WRITERS[0], from: 2, to: 2 }]]);
  });

  test('times that do not rise with a writer’s counters, and counters from 0', () => {
    const it = buffer();
    it.add(at(0, 1, 5));
    it.add(at(0, 4, 9));
    for (const wrong of [at(0, 2, 5), at(0, 2, 9), at(0, 3, 12), at(0, 5, 9), at(0, 0, 1)]) {
      expect(codeOf(() => it.add(wrong))).toBe('EVENT_DISORDERED');
    }
    expect([it.events.length, it.held]).toEqual([1, 1]);
    expect(it.add(at(0, 2, 6))).toEqual({ outcome: 'applied', count: 1, rewound: 0 });
    expect(it.add(at(0, 3, 8))).toEqual({ outcome: 'applied', count: 2, rewound: 0 });
  });

  test('what comes for a place that is settled; and what is settled twice is a duplicate', () => {
    const it = buffer();
    it.add(at(0, 1, 5));
    it.add(at(1, 1, 7));
    expect(it.add(at(2, 1, 4))).toEqual({ outcome: 'applied', count: 1, rewound: 2 });
    expect(it.settle(5).map(({ time }) => time)).toEqual([4, 5]);
    expect(codeOf(() => it.add(at(2, 2, 5)))).toBe('EVENT_TOO_LATE');
    expect(it.add(at(0, 1, 5))).toEqual({ outcome: 'duplicate' });
    it.add(at(2, 3, 9));
    expect(codeOf(() => it.settle(9))).toBe('EVENT_GAP');
    expect(it.events.map(({ time }) => time)).toEqual([7]);
  });

  test('more than may be held or kept', () => {
    const it = buffer({ maxHeld: 2, maxEvents: 2 });
    it.add(at(0, 3, 3));
    it.add(at(0, 4, 4));
    expect(codeOf(() => it.add(at(1, 2, 2)))).toBe('BUFFER_FULL');
    it.add(at(0, 1, 1));
    expect(codeOf(() => it.add(at(0, 2, 2)))).toBe('BUFFER_FULL');
    expect([it.held, it.events.length]).toEqual([2, 1]);
    it.settle(1);
    expect(codeOf(() => it.add(at(0, 2, 2)))).toBe('BUFFER_FULL');
    expect(it.gaps).toEqual([{ writer: WRITERS[0], from: 2, to: 2 }]);
  });

  test('what is no event', () => {
    const it = buffer();
    expect(codeOf(() => it.add({ ...at(0, 1, 1), time: -1 }))).toBe('SCHEMA_MISMATCH');
    expect(codeOf(() => it.add(JSON.parse('{"time":1}')))).toBe('SCHEMA_MISMATCH');
  });
});

test('an event whose reducer fails in its place does nothing there, and says why', () => {
  const it = buffer();
  const remove = { type: 'REMOVED', player: 'bob', detail: 'a', data: 0 };
  it.add(at(0, 1, 2));
  expect(it.events[0]?.failure).toBeUndefined();
  it.add({ time: 1, mutation: { writer: WRITERS[1]!, counter: 1 }, event: remove });
  expect(it.events.map(({ failure }) => failure !== undefined)).toEqual([false, true]);
  expect(it.events[1]?.root.hash).toBe(it.events[0]?.root.hash);
});
