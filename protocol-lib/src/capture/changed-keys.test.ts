import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ChangedKeys } from './changed-keys.ts';
import { IntegerList, LIST_PAGE } from './integer-list.ts';

test('finds each place of the wanted keys, newest first, however often it was asked and whatever was dropped', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ key: fc.integer({ min: -9, max: 9 }), times: fc.integer({ min: 1, max: LIST_PAGE }) }), {
        minLength: 1,
        maxLength: 8,
      }),
      fc.array(
        fc.record({
          wanted: fc.uniqueArray(fc.integer({ min: -10, max: 10 }), { minLength: 1, maxLength: 3 }),
          from: fc.double({ min: 0, max: 1, noNaN: true }),
          last: fc.double({ min: 0, max: 1, noNaN: true }),
          dropped: fc.nat(LIST_PAGE),
          more: fc.array(fc.integer({ min: -9, max: 9 }), { maxLength: 4 }),
        }),
        { minLength: 1, maxLength: 6 },
      ),
      (runs, asks) => {
        const list = new IntegerList();
        let plain = runs.flatMap(({ key, times }) => Array.from({ length: times }, () => key));
        for (const key of plain) list.push(key);
        const changes = new ChangedKeys(list);
        for (const { wanted, from, last, dropped, more } of asks) {
          const [low, high] = [Math.floor(last * plain.length), Math.floor(from * (plain.length - 1))];
          const expected = plain
            .flatMap((key, at) => (at >= low && at <= high && wanted.includes(key) ? [at] : []))
            .reverse();
          expect([...changes.before(high, low, new Set(wanted))]).toEqual(expected);
          for (const key of more) list.push(key);
          plain = [...plain, ...more];
          if (dropped >= plain.length) continue;
          list.dropFirst(dropped);
          plain = plain.slice(dropped);
        }
      },
    ),
    { numRuns: 60 },
  );
});
