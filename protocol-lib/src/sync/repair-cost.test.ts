import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { answerMerkleQuery, changesBetween, MerkleDescent, StateRoot } from '../merkle/index.ts';
import { FrameEncoder, type MessageBody } from '../messages/index.ts';
import { type Change, recordKey, replicaId, type SyncRecord } from '../state/index.ts';
import { isSnapshotSmaller, planRepair, planText } from './repair-cost.ts';

const state = (count: number, text = 12): StateRoot =>
  StateRoot.from(
    Array.from({ length: count }, (_, index) => [
      recordKey(`item/${index}`),
      { owner: `${index}`.padEnd(text, 'x'), worth: index } satisfies SyncRecord,
    ]),
  );
const patch = (index: number): Change => ({
  op: 'patch',
  key: recordKey(`item/${index}`),
  fields: { worth: -1 },
  removed: [],
});
const usual = { isDifferent: false, changes: [patch(0)], root: state(1_000), mayDescend: true };

describe('the way that is expected to cost least', () => {
  test('what changed, where the client has our state of its version', () => {
    expect(planRepair(usual).way).toBe('delta');
  });

  test('a snapshot, where more changed than there is', () => {
    const changes = Array.from({ length: 1_000 }, (_, index) => patch(index % 10));
    expect(planRepair({ ...usual, changes, root: state(10) }).way).toBe('snapshot');
  });

  test('a descent, where a large state is different', () => {
    expect(planRepair({ ...usual, isDifferent: true }).way).toBe('merkle');
  });

  test('a snapshot, where a different state is small and much has changed since', () => {
    const changes = Array.from({ length: 400 }, (_, index) => patch(index % 20));
    expect(planRepair({ ...usual, isDifferent: true, changes, root: state(20) }).way).toBe('snapshot');
    expect(planRepair({ ...usual, isDifferent: true, changes: [], root: state(20) }).way).toBe('merkle');
  });

  test('a snapshot, where nobody can descend, or nothing is known of its version', () => {
    expect(planRepair({ ...usual, isDifferent: true, mayDescend: false }).way).toBe('snapshot');
    expect(planRepair({ ...usual, changes: undefined }).way).toBe('snapshot');
  });

  test('says in words what it expects', () => {
    expect(planText(planRepair(usual))).toMatch(/^delta, expected delta \d+ B, snapshot \d{5} B$/);
  });
});

describe('the estimate against what is sent', () => {
  const encoded = (bodies: readonly MessageBody[]): number => {
    const encoder = new FrameEncoder(replicaId('server'));
    const known = bodies.flatMap((body) => encoder.encode(body));
    // Names are sent once, before; what counts is what comes every time.
    expect(known.length).toBeGreaterThan(0);
    return bodies.flatMap((body) => encoder.encode(body)).reduce((sum, { frame }) => sum + frame.length, 0);
  };
  const sizes = fc.record({ records: fc.integer({ min: 50, max: 3_000 }), text: fc.integer({ min: 1, max: 60 }) });
  const root = '0123456789abcdef';

  test('of a snapshot and of a delta is right within a factor of three', () => {
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 50 }), ({ records, text }, changed) => {
        const before = state(records, text);
        const after = before.apply(Array.from({ length: changed }, (_, index) => patch(index)));
        const changes = changesBetween(before, after);
        const { bytes } = planRepair({ isDifferent: false, changes, root: after, mayDescend: true });
        const settled = { progress: 9, vector: [], rejected: [], root: root as never };
        const snapshot = encoded([
          {
            type: 'FULL_SYNC',
            version: 9,
            records: [...after.entries()].map(([key, record]) => ({ key, record })),
            ...settled,
          } as unknown as MessageBody,
        ]);
        const delta = encoded([{ type: 'DELTA_SYNC', from: 8, to: 9, since: 8, changes, ...settled } as MessageBody]);
        expect(bytes.snapshot! / snapshot).toBeGreaterThan(0.4);
        expect(bytes.snapshot! / snapshot).toBeLessThan(3);
        expect(bytes.delta! / delta).toBeGreaterThan(0.4);
        expect(bytes.delta! / delta).toBeLessThan(3);
      }),
      { numRuns: 20 },
    );
  });

  test('of a descent for a record or two is right within a factor of three', () => {
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 2 }), ({ records, text }, different) => {
        const theirs = state(records, text);
        const own = theirs.apply(Array.from({ length: different }, (_, index) => patch(index * 7)));
        const descent = new MerkleDescent(own, theirs.hash);
        for (let query = descent.next(); query; query = descent.next())
          descent.receive(answerMerkleQuery(theirs, query));
        const plan = planRepair({ isDifferent: true, changes: [], root: theirs, mayDescend: true });
        const expected = plan.bytes.merkle! - planRepair({ ...usual, changes: [], root: theirs }).bytes.delta!;
        const ratio = expected / (descent.bytes + descent.rounds * 80);
        expect(ratio).toBeGreaterThan(0.4);
        expect(ratio).toBeLessThan(3);
      }),
      { numRuns: 40 },
    );
  });
});

test('removals of nearly everything are said by what is left', () => {
  const before = state(500);
  const gone = [...before.entries()].slice(5).map(([key]): Change => ({ op: 'remove', key }));
  expect(isSnapshotSmaller(gone, before.apply(gone))).toBe(true);
  expect(isSnapshotSmaller(gone.slice(0, 100), before.apply(gone.slice(0, 100)))).toBe(false);
});
