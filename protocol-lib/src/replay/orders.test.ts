import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { VersionVector } from '../clock/index.ts';
import { StateRoot } from '../merkle/index.ts';
import { type RecordKey, recordKey, replicaId, type SyncRecord } from '../state/index.ts';
import { convergeCrdts } from './converge.ts';
import { type Before, distinctOrders, everyOrder } from './orders.ts';

/** Causes among so many operations: each may have any of those before it, and then has theirs. */
const causes: fc.Arbitrary<Before> = fc
  .array(fc.array(fc.boolean(), { maxLength: 5 }), { maxLength: 5 })
  .map((rows) => {
    const before: Set<number>[] = [];
    for (const [at, row] of rows.entries()) {
      const own = before.flatMap((earlier, other) => (row[other] ? [other, ...earlier] : []));
      before.push(new Set(own.filter((other) => other < at)));
    }
    return before;
  });

function permutations(items: readonly number[]): number[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((one) => permutations(items.filter((other) => other !== one)).map((rest) => [one, ...rest]));
}

function legal(before: Before): number[][] {
  return permutations(before.map((_, at) => at)).filter((order) =>
    order.every((one, place) => [...before[one]!].every((cause) => order.indexOf(cause) < place)),
  );
}

const sorted = (orders: Iterable<readonly number[]>): string[] => [...orders].map((one) => one.join()).sort();

test('the root of operations of several types is that of all that they come to', async () => {
  const keyed = () => {
    const records = new Map<RecordKey, SyncRecord>();
    return {
      apply: ({ entries }: { readonly entries: readonly (readonly [RecordKey, SyncRecord])[] }) => {
        for (const [key, record] of entries) records.set(key, record);
      },
      root: () => StateRoot.from(records),
    };
  };
  const operations = ['left', 'right'].flatMap((crdt, type) =>
    ['ann', 'ben'].map((name, at) => {
      const [writer, counter] = [replicaId(name), type + 1];
      const entries = [[recordKey(`${crdt}/${name}`), { of: name }]] as const;
      const vector = VersionVector.from([{ replica: writer, counter }]);
      return { seq: type * 2 + at + 1, crdt, writer, counter, vector, detail: 'set', entries };
    }),
  );
  const result = await convergeCrdts(operations, [], { models: { left: keyed, right: keyed } });
  const root = StateRoot.from(operations.flatMap(({ entries }) => entries)).hash;
  expect(result).toMatchObject({ status: 'converges', operations: 4, orders: 2, isEvery: true, root });
});

describe('orders', () => {
  test('are all of those that causes allow, or are told to be more', () => {
    fc.assert(
      fc.property(causes, fc.integer({ min: 1, max: 130 }), (before, most) => {
        fc.pre(before.length > 0);
        const all = legal(before);
        const found = everyOrder(before, most);
        if (all.length > most) expect(found).toBeUndefined();
        else expect(sorted(found!)).toEqual(sorted(all));
      }),
    );
  });

  test('that are drawn are each another one, and legal', () => {
    fc.assert(
      fc.property(causes, fc.nat(1_000), fc.nat(20), (before, seed, most) => {
        fc.pre(before.length > 0);
        const recorded = before.map((_, at) => at);
        const problem = { before, writers: recorded.map(String), run: () => StateRoot.from([]) };
        const drawn = sorted(distinctOrders(problem, seed, recorded, most));
        expect(new Set([...drawn, recorded.join()]).size).toBe(drawn.length + 1);
        expect(drawn.length).toBeLessThanOrEqual(most);
        const all = sorted(legal(before));
        for (const one of drawn) expect(all).toContain(one);
      }),
    );
  });
});
