import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ReplicaId, replicaId } from '../state/index.ts';
import { type VectorOrder, VersionVector } from './version-vector.ts';

const writer = fc.constantFrom('a', 'b', 'c', 'd').map(replicaId);
const vector = fc
  .array(fc.record({ replica: writer, counter: fc.nat(3) }))
  .map((entries) => VersionVector.from(entries));
const replica = (text: string): ReplicaId => replicaId(text);
const same = (left: VersionVector, right: VersionVector) => expect(left.entries()).toEqual(right.entries());
const opposite: Record<VectorOrder, VectorOrder> = {
  before: 'after',
  after: 'before',
  equal: 'equal',
  concurrent: 'concurrent',
};

describe('laws', () => {
  test('merge is commutative, associative and idempotent', () => {
    fc.assert(
      fc.property(vector, vector, vector, (a, b, c) => {
        same(a.merge(b), b.merge(a));
        same(a.merge(b).merge(c), a.merge(b.merge(c)));
        expect(a.merge(a)).toBe(a);
      }),
    );
  });

  test('merge is the least upper bound', () => {
    fc.assert(
      fc.property(vector, vector, vector, (a, b, c) => {
        const both = a.merge(b);
        expect(['before', 'equal']).toContain(a.compare(both));
        expect(['before', 'equal']).toContain(b.compare(both));
        const isBound = (one: VersionVector) => ['before', 'equal'].includes(one.compare(c));
        if (isBound(a) && isBound(b)) expect(isBound(both)).toBe(true);
      }),
    );
  });

  test('compare is a partial order: antisymmetric, transitive, and equal exactly where the entries are', () => {
    fc.assert(
      fc.property(vector, vector, vector, (a, b, c) => {
        expect(b.compare(a)).toBe(opposite[a.compare(b)]);
        if (a.compare(b) === 'before' && b.compare(c) === 'before') expect(a.compare(c)).toBe('before');
        expect(a.compare(b) === 'equal').toBe(JSON.stringify(a.entries()) === JSON.stringify(b.entries()));
      }),
    );
  });

  test('advancing goes strictly forward for its writer and changes nothing else', () => {
    fc.assert(
      fc.property(vector, writer, (a, who) => {
        const next = a.advance(who);
        expect(a.compare(next)).toBe('before');
        expect(next.get(who)).toBe(a.get(who) + 1);
        for (const entry of a.entries()) if (entry.replica !== who) expect(next.get(entry.replica)).toBe(entry.counter);
      }),
    );
  });

  test('entries make the same vector again, sorted, without zeros', () => {
    fc.assert(
      fc.property(vector, (a) => {
        const entries = a.entries();
        same(VersionVector.from(entries), a);
        expect(entries.map((entry) => entry.replica)).toEqual(entries.map((entry) => entry.replica).sort());
        expect(entries.every((entry) => entry.counter > 0)).toBe(true);
        expect(a.size).toBe(entries.length);
      }),
    );
  });
});

test('two writers that did not see each other are concurrent', () => {
  const base = VersionVector.from([{ replica: replica('server'), counter: 4 }]);
  expect(base.advance(replica('bot-1')).compare(base.advance(replica('bot-2')))).toBe('concurrent');
});

test('a lower or equal counter answers the same vector', () => {
  const base = VersionVector.empty.advance(replica('bot-1'), 5);
  expect(base.advance(replica('bot-1'), 5)).toBe(base);
  expect(base.mergeEntries([{ replica: replica('bot-1'), counter: 2 }])).toBe(base);
  expect(VersionVector.empty.size).toBe(0);
});

test('a counter that is no counter is refused', () => {
  expect(() => VersionVector.empty.advance(replica('bot-1'), 1.5)).toThrow(RangeError);
  expect(() => VersionVector.from([{ replica: replica('bot-1'), counter: -1 }])).toThrow(RangeError);
});
