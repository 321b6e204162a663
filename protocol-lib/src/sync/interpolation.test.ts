import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { StateRoot } from '../merkle/index.ts';
import { seededRandom } from '../ports/index.ts';
import { type RecordKey, recordKey, type SyncRecord } from '../state/index.ts';
import { JitterBuffer } from './interpolation.ts';
import { MemorySession } from './memory-link.test-helper.ts';

const INTERVAL = 100;
const MOVING = [{ collection: 'ball/', fields: ['x', 'y'] }];
const BALL = recordKey('ball/1');

function rootOf(records: Readonly<Record<string, SyncRecord>>): StateRoot {
  return StateRoot.from(Object.entries(records).map(([key, record]) => [key as RecordKey, record] as const));
}

describe('between two known states', () => {
  test('declared numbers move, all else is as it was until the later one', () => {
    const buffer = new JitterBuffer({ moving: MOVING, interval: INTERVAL });
    buffer.push(rootOf({ 'ball/1': { x: 0, y: 8, name: 'a', n: 1 }, 'ball/2': { x: 1 }, 'tree/1': { x: 0 } }), 0, 0);
    buffer.push(
      rootOf({ 'ball/1': { x: 10, y: 'out', name: 'b', n: 3 }, 'ball/3': { x: 5 }, 'tree/1': { x: 9 } }),
      100,
      100,
    );
    const middle = buffer.at(150)!;
    expect(middle.time).toBe(50);
    expect(middle.get(BALL)).toEqual({ x: 5, y: 8, name: 'a', n: 1 });
    expect(Array.from(middle.entries('ball/'), ([key]) => key).sort()).toEqual(['ball/1', 'ball/2']);
    expect(middle.get(recordKey('tree/1'))).toEqual({ x: 0 });
    const end = buffer.at(200)!;
    expect(end.get(BALL)).toEqual({ x: 10, y: 'out', name: 'b', n: 3 });
    expect(end.get(recordKey('ball/2'))).toBeUndefined();
    expect(end.isStarved).toBe(false);
    expect(buffer.at(260)).toMatchObject({ time: 100, isStarved: true });
  });

  test('before the first there is nothing; what is no time is passed over', () => {
    const buffer = new JitterBuffer({ moving: MOVING, interval: INTERVAL });
    expect(buffer.at(0)).toBeUndefined();
    buffer.push(rootOf({ 'ball/1': { x: 1 } }), 100, 100);
    buffer.push(rootOf({ 'ball/1': { x: 4 } }), Number.NaN, 140);
    buffer.push(rootOf({ 'ball/1': { x: 5 } }), 200, Number.NaN);
    expect(buffer.at(1_000)?.get(BALL)).toEqual({ x: 1 });
    expect(buffer.delay).toBe(INTERVAL);
  });

  test('a state that is not later than the one before, as after a repair, takes its place', () => {
    const buffer = new JitterBuffer({ moving: MOVING, interval: INTERVAL });
    buffer.push(rootOf({ 'ball/1': { x: 1 } }), 100, 100);
    buffer.push(rootOf({ 'ball/1': { x: 2 } }), 200, 200);
    expect(buffer.at(400)).toMatchObject({ time: 200, isStarved: true });
    buffer.push(rootOf({ 'ball/1': { x: 3 } }), 200, 900);
    expect(buffer.at(900)?.get(BALL)).toEqual({ x: 3 });
    buffer.push(rootOf({ 'ball/1': { x: 4 } }), 50, 950);
    expect(buffer.at(950)).toMatchObject({ time: 200 });
    expect(buffer.at(950)?.get(BALL)).toEqual({ x: 4 });
    expect(buffer.delay).toBe(INTERVAL);
  });

  test('the first state says no time, and those after it that of a clock that runs elsewhere', () => {
    const buffer = new JitterBuffer({ moving: MOVING, interval: INTERVAL });
    const far = 1e15;
    buffer.push(rootOf({ 'ball/1': { x: 0 } }), undefined, far);
    expect(buffer.at(far + 50)?.get(BALL)).toEqual({ x: 0 });
    const shown: unknown[] = [];
    for (let step = 1; step <= 6; step++) {
      buffer.push(rootOf({ 'ball/1': { x: step } }), 7_000 + step * INTERVAL, far + step * INTERVAL);
      shown.push(buffer.at(far + step * INTERVAL + 50)?.get(BALL)?.x);
    }
    expect(shown).toEqual([0.5, 1.5, 2.5, 3.5, 4.5, 5.5]);
  });

  test('after a time in which nothing changed, what moves sets out from where it stood, at its own pace', () => {
    const buffer = new JitterBuffer({ moving: MOVING, interval: INTERVAL });
    buffer.push(rootOf({ 'ball/1': { x: 0 } }), 0, 50);
    buffer.push(rootOf({ 'ball/1': { x: 10 } }), INTERVAL, INTERVAL + 50);
    expect(buffer.at(10_149)?.get(BALL)).toEqual({ x: 10 });
    buffer.push(rootOf({ 'ball/1': { x: 20 } }), 10_100, 10_150);
    const shown = [10_150, 10_175, 10_200, 10_250].map((now) => buffer.at(now)?.get(BALL)?.x);
    expect(shown).toEqual([10, 12.5, 15, 20]);
  });

  test('another life of the session, whose time begins anew, is shown after a reset', () => {
    const buffer = new JitterBuffer({ moving: MOVING, interval: INTERVAL });
    buffer.push(rootOf({ 'ball/1': { x: 1 } }), 1_000_000, 50);
    expect(buffer.at(60)?.get(BALL)).toEqual({ x: 1 });
    buffer.reset();
    expect(buffer.at(70)).toBeUndefined();
    buffer.push(rootOf({ 'ball/1': { x: 2 } }), 0, 80);
    expect(buffer.at(90)).toMatchObject({ time: 0, isStarved: false });
    expect(buffer.delay).toBe(INTERVAL);
  });

  test('options that make no sense are refused', () => {
    expect(() => new JitterBuffer({ moving: [], interval: 0 })).toThrow(RangeError);
    expect(() => new JitterBuffer({ moving: [], interval: 1, minDelay: 5, maxDelay: 4 })).toThrow(RangeError);
    expect(() => new JitterBuffer({ moving: [], interval: 1, window: 1 })).toThrow(RangeError);
  });
});

test('values stay between their neighbours, time does not run back, and nothing is beyond what is known', () => {
  const arrival = fc.record({
    after: fc.integer({ min: 1, max: 300 }),
    late: fc.nat(250),
    x: fc.double({ noNaN: true, noDefaultInfinity: true }),
  });
  fc.assert(
    fc.property(
      fc.array(arrival, { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 2, max: 8 }),
      (arrivals, window) => {
        const buffer = new JitterBuffer({ moving: MOVING, interval: INTERVAL, window, maxDelay: 400 });
        const known: { readonly time: number; readonly x: number }[] = [];
        let time = 0;
        let now = 0;
        let shown = Number.NEGATIVE_INFINITY;
        for (const { after, late, x } of arrivals) {
          time += after;
          now = Math.max(now, time + late);
          buffer.push(rootOf({ 'ball/1': { x } }), time, now);
          known.push({ time, x });
          for (let frame = 0; frame < 4; frame++, now += 17) {
            const view = buffer.at(now)!;
            expect(view.time).toBeGreaterThanOrEqual(shown);
            expect(view.time).toBeLessThanOrEqual(time);
            shown = view.time;
            const before = known.findLast((one) => one.time <= view.time) ?? known[0]!;
            const next = known.find((one) => one.time > view.time) ?? before;
            const value = view.get(BALL)?.x as number;
            // After more than two intervals without a state, the last one stands until one interval before the next.
            const start = next.time - before.time > 2 * INTERVAL ? next.time - INTERVAL : before.time;
            const fraction = next === before ? 0 : Math.max(0, view.time - start) / (next.time - start);
            expect(value).toBe(fraction === 0 ? before.x : before.x * (1 - fraction) + next.x * fraction);
            const slack = 1e-12 * Math.max(Math.abs(before.x), Math.abs(next.x));
            expect(value).toBeGreaterThanOrEqual(Math.min(before.x, next.x) - slack);
            expect(value).toBeLessThanOrEqual(Math.max(before.x, next.x) + slack);
          }
          expect(buffer.delay).toBeGreaterThanOrEqual(INTERVAL);
          expect(buffer.delay).toBeLessThanOrEqual(400);
        }
      },
    ),
  );
});

test('where some states do not say their time, they are shown as if they had, as long as all are equally long on their way', () => {
  const gap = fc.record({ after: fc.integer({ min: 1, max: 500 }), isTold: fc.boolean(), x: fc.integer() });
  fc.assert(
    fc.property(fc.array(gap, { minLength: 1, maxLength: 40 }), fc.nat(1e9), (gaps, transit) => {
      const [all, some] = [0, 1].map(() => new JitterBuffer({ moving: MOVING, interval: INTERVAL })) as [
        JitterBuffer,
        JitterBuffer,
      ];
      let time = 0;
      for (const { after, isTold, x } of gaps) {
        time += after;
        const root = rootOf({ 'ball/1': { x } });
        all.push(root, time, time + transit);
        some.push(root, isTold ? time : undefined, time + transit);
        for (let now = time; now < time + 300; now += 90) {
          const [expected, view] = [all.at(now + transit)!, some.at(now + transit)!];
          expect(view.isStarved).toBe(expected.isStarved);
          expect(view.get(BALL)).toEqual(expected.get(BALL));
        }
      }
    }),
  );
});

test('a ball that moves evenly is shown to move evenly, however unevenly its states arrive', () => {
  fc.assert(
    fc.property(fc.nat(1_000_000), fc.integer({ min: 0, max: 200 }), (seed, jitter) => {
      const random = seededRandom(seed);
      const buffer = new JitterBuffer({ moving: MOVING, interval: INTERVAL, minDelay: INTERVAL + jitter });
      const arriving = Array.from({ length: 40 }, (_, index) => {
        const time = index * INTERVAL;
        return { time, at: time + 5_000 + Math.floor(random.next() * jitter) };
      });
      // A stream keeps the order: one that is slow holds up those behind it.
      for (let index = 1; index < arriving.length; index++) {
        arriving[index]!.at = Math.max(arriving[index]!.at, arriving[index - 1]!.at);
      }
      let next = 0;
      for (let now = 5_000; now < 5_000 + 38 * INTERVAL; now += 16) {
        for (; next < arriving.length && arriving[next]!.at <= now; next++) {
          const { time, at } = arriving[next]!;
          buffer.push(rootOf({ 'ball/1': { x: time } }), time, at);
        }
        const view = buffer.at(now);
        if (!view) continue;
        expect(view.isStarved).toBe(false);
        // It moves by one a nanosecond, so where it is shown is when.
        expect(view.get(BALL)?.x).toBeCloseTo(view.time, 6);
      }
    }),
  );
});

test('a client’s committed states can be shown so: they say their times, on a clock of their own, and what is repaired is shown', () => {
  const session = new MemorySession();
  const alice = session.join('alice');
  const buffer = new JitterBuffer({ moving: [{ collection: 'note/', fields: ['id'] }], interval: 100_000_000 });
  const arrival = (): number => session.now + 1e15;
  const times: (number | undefined)[] = [];
  alice.on((event) => {
    if (event.type !== 'committed') return;
    times.push(event.time);
    buffer.push(alice.committed, event.time, arrival());
  });
  session.run(100);
  session.cut('alice');
  session.connect('alice');
  for (let round = 0; round < 5; round++) {
    session.manager.mutate('note', { id: 1, text: `${round}` }, session.now);
    session.run(100);
  }
  expect(times.slice(-4)).toEqual([1, 2, 3, 4].map((round) => 100_000_000 * (round + 1)));
  const shown = () => buffer.at(arrival() + 1_000_000_000)?.get(recordKey('note/1'));
  expect(shown()).toEqual({ id: 1, text: '4' });
  alice.corruptCommitted([{ op: 'patch', key: recordKey('note/1'), fields: { text: 'wrong' }, removed: [] }]);
  buffer.push(alice.committed, undefined, arrival());
  expect(shown()).toEqual({ id: 1, text: 'wrong' });
  session.run(3_000);
  expect(alice.committed.hash).toBe(session.manager.root.hash);
  expect(shown()).toEqual({ id: 1, text: '4' });
});
