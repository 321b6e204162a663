import fc from 'fast-check';
import { expect, test } from 'vitest';
import { replicaId } from '../../state/index.ts';
import { Renumbering, SeenFrames } from './seen-frames.ts';

const replicas = ['a', 'b'].map(replicaId);
const frame = fc.record({
  sender: fc.constantFrom(...replicas),
  receiver: fc.constantFrom(...replicas),
  sequence: fc.nat(40),
});

test('frames have the numbers that a map of them has, in whatever order they come', () => {
  const calls = fc.array(fc.tuple(frame, fc.nat(1_000_000), fc.boolean()), { maxLength: 200 });
  fc.assert(
    fc.property(calls, (all) => {
      const [seen, known] = [new SeenFrames(), new Map<string, number>()];
      for (const [one, value, isSet] of all) {
        const key = JSON.stringify(one);
        if (isSet) {
          seen.set(one, value);
          known.set(key, value);
        } else {
          expect(seen.add(one, value)).toBe(!known.has(key));
          if (!known.has(key)) known.set(key, value);
        }
        expect(seen.get(one)).toBe(known.get(key));
      }
      for (const [one] of all) expect(seen.get(one)).toBe(known.get(JSON.stringify(one)));
      const told = new Set([...seen.all()].map(([one]) => JSON.stringify([one.sender, one.receiver, one.sequence])));
      expect(told.size).toBe(known.size);
    }),
  );
});

test('a sender of several lives, each of which counts from the beginning, is told of as it is now', () => {
  const [sender, receiver] = [replicaId('a'), replicaId('b')];
  const seen = new SeenFrames(true);
  const lives = 12;
  const frames = 3_000;
  for (let life = 0; life < lives; life++) {
    for (let sequence = 1; sequence <= frames; sequence++) {
      const value = life * 1e12 + sequence;
      seen.set({ sender, receiver, sequence }, value);
      expect(seen.get({ sender, receiver, sequence })).toBe(value);
      // What this life has not sent yet is known from the one before.
      const later = life === 0 ? undefined : (life - 1) * 1e12 + frames;
      if (sequence < frames) expect(seen.get({ sender, receiver, sequence: frames })).toBe(later);
    }
  }
});

test('records have the numbers that they were given', () => {
  const pairs = fc.array(fc.tuple(fc.nat(100_000_000), fc.integer({ min: 1, max: 2 ** 31 - 1 })), { maxLength: 50 });
  fc.assert(
    fc.property(pairs, fc.nat(100_000_000), (all, other) => {
      const [numbers, known] = [new Renumbering(), new Map<number, number>()];
      for (const [seq, number] of all) {
        numbers.set(seq, number);
        known.set(seq, number);
      }
      for (const seq of [...known.keys(), other]) expect(numbers.get(seq)).toBe(known.get(seq));
    }),
  );
});
