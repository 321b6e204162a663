import fc from 'fast-check';
import { expect, test } from 'vitest';
import { OpenSends, Receipts } from './link-queues.ts';

/** What a driver does with sends: mostly in order, now and then not, and sometimes twice. */
const steps = fc.array(
  fc.record({
    isSend: fc.boolean(),
    jump: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, fc.integer({ min: -6, max: 6 })),
  }),
  { maxLength: 300 },
);

test('sends are found by sequence as in a map, whatever the order', () => {
  fc.assert(
    fc.property(steps, (all) => {
      const sends = new OpenSends();
      const oracle = new Map<number, number>();
      let [sent, received] = [10, 10];
      for (const [position, { isSend, jump }] of all.entries()) {
        if (isSend) {
          const sequence = sent++ + jump;
          sends.add(sequence, position);
          oracle.set(sequence, position);
        } else {
          const sequence = received++ + jump;
          expect(sends.take(sequence)).toBe(oracle.get(sequence) ?? -1);
          oracle.delete(sequence);
        }
      }
      for (const [sequence, position] of oracle) expect(sends.take(sequence)).toBe(position);
    }),
  );
});

test('of sends without receipts the lowest are forgotten', () => {
  const sends = new OpenSends();
  for (let sequence = 0; sequence < 200_000; sequence++) sends.add(sequence, sequence * 2);
  expect(sends.take(200_000 - 65_536 - 1)).toBe(-1);
  expect(sends.take(200_000 - 65_536)).toBe((200_000 - 65_536) * 2);
  expect(sends.take(199_999)).toBe(199_999 * 2);
});

test('the latest 1,024 receipts are remembered', () => {
  const receipts = new Receipts();
  for (let sequence = 1; sequence <= 3_000; sequence++) {
    receipts.add(sequence, sequence + 7);
    expect(receipts.find(sequence)).toBe(sequence + 7);
    expect(receipts.find(Math.max(1, sequence - 1_023))).toBe(Math.max(1, sequence - 1_023) + 7);
    expect(receipts.find(sequence - 1_024)).toBe(-1);
  }
});
