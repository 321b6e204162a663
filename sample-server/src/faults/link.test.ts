import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FaultyLink, type LinkFate, type Timing } from './link.ts';

/** Timers that fire when told to, each rounded down to a whole millisecond as Node does. */
class FakeTiming implements Timing {
  time = 0;
  readonly #timers: { at: number; action: () => void }[] = [];
  readonly now = (): number => this.time;
  readonly later = (delay: number, action: () => void): void => {
    this.#timers.push({ at: this.time + Math.floor(delay), action });
  };

  runTo(time: number): void {
    for (;;) {
      const next = this.#timers.filter(({ at }) => at <= time).sort((left, right) => left.at - right.at)[0];
      if (!next) break;
      this.#timers.splice(this.#timers.indexOf(next), 1);
      this.time = Math.max(this.time, next.at);
      next.action();
    }
    this.time = time;
  }
}

const steps = fc.array(
  fc.record({
    wait: fc.double({ min: 0, max: 30, noNaN: true }),
    delay: fc.double({ min: 0, max: 50, noNaN: true }),
    isLost: fc.boolean(),
  }),
  { maxLength: 60 },
);

test('what comes out is what went in and was not lost, in the same order', () => {
  fc.assert(
    fc.property(steps, (script) => {
      const timing = new FakeTiming();
      const out: number[] = [];
      let fate: LinkFate = { delays: [0], isOvertaken: false };
      const link = new FaultyLink(
        timing,
        () => fate,
        ([number = -1]) => out.push(number),
      );
      script.forEach(({ wait, delay, isLost }, index) => {
        timing.runTo(timing.time + wait);
        fate = { delays: isLost ? [] : [delay], isOvertaken: false };
        link.push(new Uint8Array([index]));
      });
      timing.runTo(timing.time + 1_000);
      expect(out).toEqual(script.flatMap(({ isLost }, index) => (isLost ? [] : [index])));
    }),
  );
});

test('nothing comes out of a closed link', () => {
  const timing = new FakeTiming();
  const out: Uint8Array[] = [];
  const link = new FaultyLink(
    timing,
    () => ({ delays: [10], isOvertaken: false }),
    (frame) => out.push(frame),
  );
  link.push(new Uint8Array(1));
  link.close();
  link.push(new Uint8Array(1));
  timing.runTo(1_000);
  expect(out).toEqual([]);
});

test('what is overtaken comes later than what was behind it, and what is doubled twice', () => {
  const timing = new FakeTiming();
  const out: number[] = [];
  const fates: LinkFate[] = [
    { delays: [30], isOvertaken: true },
    { delays: [10, 12], isOvertaken: false },
    { delays: [0], isOvertaken: false },
  ];
  const link = new FaultyLink(
    timing,
    (frame) => fates[frame[0]!]!,
    ([number = -1]) => out.push(number),
  );
  for (const number of [0, 1, 2]) link.push(new Uint8Array([number]));
  timing.runTo(1_000);
  expect(out).toEqual([1, 1, 2, 0]);
});
