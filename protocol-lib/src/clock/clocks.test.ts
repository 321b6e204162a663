import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { replicaId } from '../state/index.ts';
import {
  compareHybrid,
  compareLamport,
  decodeVector,
  encodeVector,
  HybridClock,
  type HybridStamp,
  LamportClock,
  RetiredWriters,
  VersionVector,
  vectorFromOutside,
} from './index.ts';

const names = ['bot-1', 'bot-10', 'bot-2', 'server'].map(replicaId);
const entry = fc.record({ replica: fc.constantFrom(...names), counter: fc.nat(3) });
const vector = fc.array(entry, { maxLength: 6 }).map((entries) => VersionVector.from(entries));
const [one, ten, two, server] = names as [(typeof names)[0], (typeof names)[0], (typeof names)[0], (typeof names)[0]];

describe('pruning of writers that left', () => {
  const retired = RetiredWriters.none.retire(ten, 3).retire(two, 3);

  test('keeps the order of any two vectors, pruned or not, and pruned to any length', () => {
    fc.assert(
      fc.property(vector, vector, fc.nat(2), fc.nat(2), (a, b, left, right) => {
        const pruned = a.prune(retired.at(left)!);
        const other = b.prune(retired.at(right)!);
        expect(pruned.compare(other)).toBe(a.compare(b));
        expect(pruned.entries()).toEqual(a.entries());
        expect(pruned.merge(other).entries()).toEqual(a.merge(b).entries());
        expect(pruned.meet(other).entries()).toEqual(a.meet(b).entries());
        for (const name of names) expect(pruned.get(name)).toBe(a.get(name));
        for (const name of [one, server]) {
          expect(pruned.advance(name).entries()).toEqual(a.advance(name).entries());
        }
        expect(a.merge(VersionVector.from(b.since(a))).entries()).toEqual(a.merge(b).entries());
      }),
      { numRuns: 1_000 },
    );
  });

  test('takes out whom all is known of, and keeps whom not', () => {
    const seen = VersionVector.from([
      { replica: one, counter: 7 },
      { replica: ten, counter: 3 },
      { replica: two, counter: 2 },
    ]);
    expect(seen.prune(retired).ownEntries()).toEqual([
      { replica: one, counter: 7 },
      { replica: two, counter: 2 },
    ]);
    expect(seen.prune(retired).advance(two, 3).width).toBe(1);
    expect(VersionVector.empty.prune(retired).get(ten)).toBe(0);
  });

  test('a writer that goes on after it retired, and lists that disagree, are refused', () => {
    const seen = VersionVector.from([{ replica: ten, counter: 4 }]);
    const refused = expect.objectContaining({ code: 'VECTOR_RETIRED' });
    expect(() => seen.prune(retired)).toThrow(refused);
    expect(() => VersionVector.empty.prune(retired).advance(ten, 4)).toThrow(refused);
    expect(() => retired.retire(ten, 4)).toThrow(refused);
    expect(() => retired.union(RetiredWriters.none.retire(two, 3))).toThrow(refused);
  });
});

describe('the compact form', () => {
  const retired = RetiredWriters.none.retire(ten, 3).retire(two, 3);

  test('comes back equal, pruned ones too', () => {
    fc.assert(
      fc.property(vector, fc.nat(2), (a, length) => {
        const pruned = a.prune(retired.at(length)!);
        const back = decodeVector(encodeVector(pruned), retired);
        expect(back.ownEntries()).toEqual(pruned.ownEntries());
        expect(back.compare(a)).toBe('equal');
      }),
    );
  });

  test('is small', () => {
    const many = VersionVector.from(
      Array.from({ length: 1_000 }, (_, index) => ({ replica: replicaId(`device-${index}`), counter: index * 50 + 1 })),
    );
    expect(encodeVector(many).length).toBeLessThan(7_000);
  });

  test('bytes cut or changed anywhere are a typed error or another vector, never anything else', () => {
    const bytes = encodeVector(VersionVector.from(names.map((replica, index) => ({ replica, counter: index + 200 }))));
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeVector(bytes.subarray(0, length))).toThrow(
        expect.objectContaining({ code: expect.stringMatching(/^(LENGTH_EXCEEDS_INPUT|COMPACT_INVALID)$/) }),
      );
    }
    for (let at = 0; at < bytes.length * 8; at++) {
      const changed = bytes.slice();
      changed[at >> 3]! ^= 1 << (at & 7);
      try {
        expect(encodeVector(decodeVector(changed))).toEqual(changed);
      } catch (error) {
        expect(error).toMatchObject({ name: 'SyncError' });
      }
    }
  });

  test('lengths that lie, and a list of retired writers that is longer than ours', () => {
    expect(() => decodeVector(Uint8Array.of(0, 255, 255, 255, 127))).toThrow(
      expect.objectContaining({ code: 'LENGTH_EXCEEDS_INPUT' }),
    );
    expect(() => decodeVector(Uint8Array.of(1, 0))).toThrow(expect.objectContaining({ code: 'VECTOR_RETIRED' }));
  });
});

test('wide vectors compare as narrow ones do, also with counters that need more than 32 bits', () => {
  const change = fc.record({ at: fc.nat(40), by: fc.constantFrom(1, 2, 2 ** 14 - 1, 2 ** 14, 2 ** 30, 2 ** 40) });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 3 }), fc.array(change, { maxLength: 3 }), (left, right) => {
      const base = VersionVector.from(
        Array.from({ length: 41 }, (_, index) => ({ replica: replicaId(`device-${index}`), counter: index + 1 })),
      );
      const raised = (changes: typeof left) =>
        changes.reduce((vector, { at, by }) => {
          const replica = replicaId(`device-${at}`);
          return vector.advance(replica, vector.get(replica) + by);
        }, base);
      const [a, b] = [raised(left), raised(right)];
      const isLess = b.entries().some(({ replica, counter }) => counter > a.get(replica));
      const isMore = a.entries().some(({ replica, counter }) => counter > b.get(replica));
      expect(a.compare(b)).toBe(isLess ? (isMore ? 'concurrent' : 'before') : isMore ? 'after' : 'equal');
      expect(a.compare(VersionVector.from(a.entries()))).toBe('equal');
    }),
    { numRuns: 1_000 },
  );
});

test('a negative or fractional counter from outside is a typed error', () => {
  for (const counter of [-1, 0.5, Number.NaN, 2 ** 53]) {
    expect(() => vectorFromOutside([{ replica: one, counter }])).toThrow(
      expect.objectContaining({ code: 'VECTOR_INVALID' }),
    );
  }
});

describe('Lamport', () => {
  test('what was seen is earlier than what is made after, and stamps are totally ordered', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ from: fc.nat(2), to: fc.nat(2) })), (meetings) => {
        const clocks = names.slice(0, 3).map((name) => new LamportClock(name));
        const made = clocks.map((clock) => clock.tick());
        for (const { from, to } of meetings) {
          clocks[to]!.observe(made[from]!);
          const seen = made[from]!;
          made[to] = clocks[to]!.tick();
          expect(compareLamport(seen, made[to]!)).toBeLessThan(0);
        }
        for (const a of made) for (const b of made) expect(compareLamport(a, b) === 0).toBe(a === b);
      }),
    );
  });

  test('a leap that no honest clock makes is refused', () => {
    const clock = new LamportClock(one, 5);
    for (const counter of [2 ** 50, -1, 1.5]) {
      expect(() => clock.observe({ counter, replica: two })).toThrow(
        expect.objectContaining({ code: 'CLOCK_TOO_FAR_AHEAD' }),
      );
    }
    expect(clock.counter).toBe(5);
  });
});

describe('hybrid', () => {
  test('whatever the wall clocks do, a stamp is later than all that were seen before it, and near the highest wall clock', () => {
    const step = fc.record({ from: fc.nat(2), to: fc.nat(2), now: fc.integer({ min: 0, max: 5_000 }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const clocks = names.slice(0, 3).map((name) => new HybridClock(name));
        const made: HybridStamp[] = clocks.map((clock) => clock.tick(0));
        let highest = 0;
        for (const { from, to, now } of steps) {
          highest = Math.max(highest, now);
          const [seen, before] = [made[from]!, made[to]!];
          clocks[to]!.observe(seen, now);
          const stamp = clocks[to]!.tick(now);
          expect(compareHybrid(seen, stamp)).toBeLessThan(0);
          expect(compareHybrid(before, stamp)).toBeLessThan(0);
          expect(stamp.time).toBeGreaterThanOrEqual(now);
          expect(stamp.time).toBeLessThanOrEqual(highest);
          made[to] = stamp;
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test('a stamp from far in the future is refused and moves nothing', () => {
    const clock = new HybridClock(one, { maxDrift: 1_000 });
    clock.tick(10_000);
    const before = clock.state;
    const ahead = { time: 11_001, count: 0, replica: two };
    expect(() => clock.observe(ahead, 10_000)).toThrow(expect.objectContaining({ code: 'CLOCK_TOO_FAR_AHEAD' }));
    expect(() => clock.observe({ ...ahead, time: 0.5 }, 10_000)).toThrow(
      expect.objectContaining({ code: 'CLOCK_INVALID' }),
    );
    expect(clock.state).toEqual(before);
    clock.observe({ ...ahead, time: 11_000 }, 10_000);
    expect(clock.tick(10_001)).toEqual({ time: 11_000, count: 1, replica: one });
  });

  test('makes no stamp twice over a restart with an earlier wall clock', () => {
    const clock = new HybridClock(one);
    const last = clock.tick(5_000);
    const again = new HybridClock(one, { saved: clock.state });
    expect(compareHybrid(last, again.tick(1_000))).toBeLessThan(0);
  });

  test('runs over into the next millisecond when a millisecond is full', () => {
    const clock = new HybridClock(one, { saved: { time: 7, count: 2 ** 32 - 1 } });
    expect(clock.tick(7)).toEqual({ time: 8, count: 0, replica: one });
  });
});
