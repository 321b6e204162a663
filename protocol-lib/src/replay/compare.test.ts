import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { memorySource, openCapture } from '../capture/index.ts';
import { recordSimulation, simulatedDefinition } from '../simulator/index.ts';
import { type Change, type ReplicaId, recordKey, replicaId, type StateHash } from '../state/index.ts';
import type { TraceBody, TraceRecord } from '../trace/index.ts';
import { FAR, Lane, WINDOW } from './compare-lane.ts';
import { alignWindow, type Item, likeness, type Step } from './compare-window.ts';
import { compareCaptures, compareTraces, type Placed, whatIf } from './index.ts';

const ann = replicaId('ann');

describe('the alignment of short lists', () => {
  const item = fc
    .record({ content: fc.nat(3), substance: fc.nat(2), identity: fc.nat(2) })
    .map(({ content, substance, identity }): Omit<Item, 'position'> => {
      // Who is alike in content is so in everything.
      const keys = content === 0 ? { substance: 0, identity: 0 } : { substance, identity };
      const whole = 100 * content + 10 * keys.substance + keys.identity;
      return { ...keys, content: whole, values: whole, version: -1, isDescribing: false };
    });
  const items = (maxLength: number) =>
    fc.array(item, { maxLength }).map((all): Item[] => all.map((one, position) => ({ ...one, position })));

  /** The most that two lists can have in common, in order: each way to go on from each pair of places, without a table to fill. */
  function mostAlike(left: readonly Item[], right: readonly Item[]): number {
    const known = new Map<string, number>();
    const from = (i: number, j: number): number => {
      if (i === left.length || j === right.length) return 0;
      const key = `${i} ${j}`;
      const before = known.get(key);
      if (before !== undefined) return before;
      const like = likeness(left[i]!, right[j]!);
      const found = Math.max(from(i + 1, j), from(i, j + 1), like === 0 ? 0 : like + from(i + 1, j + 1));
      known.set(key, found);
      return found;
    };
    return from(0, 0);
  }

  function scoreOf(left: readonly Item[], right: readonly Item[], steps: readonly Step[]): number {
    let [i, j, score] = [0, 0, 0];
    for (const step of steps) {
      if (step === 'pair') {
        const like = likeness(left[i]!, right[j]!);
        expect(like).toBeGreaterThan(0);
        score += like;
      }
      if (step !== 'right') i++;
      if (step !== 'left') j++;
    }
    expect([i, j]).toEqual([left.length, right.length]);
    return score;
  }

  test('has as much in common as can be, and the same whichever side is called left', () => {
    fc.assert(
      fc.property(items(24), items(24), (left, right) => {
        const steps = alignWindow(left, right);
        expect(scoreOf(left, right, steps)).toBe(mostAlike(left, right));
        const back = alignWindow(right, left);
        expect(scoreOf(right, left, back)).toBe(mostAlike(left, right));
        const pairs = (all: readonly Step[]) => all.filter((step) => step === 'pair').length;
        expect(pairs(back)).toBe(pairs(steps));
      }),
    );
  });

  test('of records that are alike or not at all is a longest common subsequence, as it comes record by record', () => {
    const letters = fc.array(fc.nat(6), { maxLength: WINDOW / 2 });
    fc.assert(
      fc.property(letters, letters, fc.array(fc.boolean()), (left, right, order) => {
        const isEnded = { left: false, right: false };
        const lane = new Lane(isEnded, undefined);
        const waiting = { left: left.map(letterItem), right: right.map(letterItem) };
        for (const isLeft of [...order, ...left.map(() => true), ...right.map(() => false)]) {
          const side = isLeft ? 'left' : 'right';
          const next = waiting[side].shift();
          if (next) lane.take(side, next);
          lane.advance();
        }
        isEnded.left = true;
        lane.advance();
        isEnded.right = true;
        lane.advance();
        const common = longestCommon(left, right);
        const { same, onlyLeft, onlyRight } = lane.tally;
        expect({ same, onlyLeft, onlyRight }).toEqual({
          same: common,
          onlyLeft: left.length - common,
          onlyRight: right.length - common,
        });
      }),
    );
  });

  function letterItem(letter: number, position: number): Item {
    const key = letter + 1;
    return { content: key, values: key, substance: key, identity: key, position, version: -1, isDescribing: false };
  }

  function longestCommon(left: readonly number[], right: readonly number[]): number {
    let row: number[] = right.map(() => 0);
    for (const one of left) {
      const next: number[] = [];
      for (const [at, other] of right.entries()) {
        next.push(one === other ? (row[at - 1] ?? 0) + 1 : Math.max(row[at] ?? 0, next[at - 1] ?? 0));
      }
      row = next;
    }
    return row.at(-1) ?? 0;
  }
});

const key = recordKey('thing/1');

/** A replica that applies a version after the other, `shift` more than its number, each to another value. */
function applied(count: number, { shift = 0, hash = 'a' }: { shift?: number; hash?: string } = {}): TraceBody[] {
  return Array.from({ length: count }, (_, at): TraceBody => {
    const changes: Change[] = [{ op: 'patch', key, fields: { x: at }, removed: [] }];
    const root = `${hash}${at.toString(16).padStart(15, '0')}` as StateHash;
    return { kind: 'apply', from: at + shift, to: at + shift + 1, changes, root };
  });
}

function traceOf(bodies: readonly TraceBody[], replica: ReplicaId = ann, time = (at: number) => at * 1e6): Placed[] {
  return bodies.map((body, position) => ({
    position,
    record: { seq: position + 1, time: time(position), replica, cause: [], body },
  }));
}

describe('what only one has', () => {
  const bodies = applied(2 * FAR + 2_000);

  test.each([
    ['a few', 5],
    ['more than a window', WINDOW * 3],
    ['more than is looked through', FAR + 1_000],
  ])('%s records in the midst: both go on behind it', (_, count) => {
    const right = bodies.toSpliced(500, count);
    const found = compareTraces(traceOf(bodies), traceOf(right));
    expect(found.aligned).toMatchObject({ same: right.length, onlyLeft: count, onlyRight: 0, changed: 0 });
    expect(found.first).toMatchObject({
      differs: 'left',
      left: { position: 500, identity: 'apply 500 to 501' },
      resumes: { left: { position: 500 + count }, right: { position: 500 } },
    });
    const back = compareTraces(traceOf(right), traceOf(bodies));
    expect(back.aligned).toMatchObject({ same: right.length, onlyLeft: 0, onlyRight: count });
  });

  test('at the end is where nothing goes on', () => {
    const found = compareTraces(traceOf(bodies), traceOf(bodies.slice(0, 900)));
    expect(found.first).toMatchObject({ differs: 'left', left: { position: 900 } });
    expect(found.first).not.toHaveProperty('resumes');
  });

  test('of one message more, all versions behind it count one more and nothing else is changed', () => {
    const [one, ...others] = [...applied(1, { hash: 'b' }), ...applied(400, { shift: 1 })];
    const extra = { ...one, changes: [{ op: 'patch', key, fields: { y: 1 }, removed: [] }] } as TraceBody;
    const found = compareTraces(traceOf(applied(400)), traceOf([extra, ...others]));
    expect(found.aligned).toMatchObject({ renumbered: 400, onlyRight: 1, onlyLeft: 0, changed: 0 });
    expect(found.first).toMatchObject({
      differs: 'right',
      right: { position: 0 },
      resumes: { right: { position: 1 } },
    });
  });

  test('is found behind where states have parted for good', () => {
    const other = applied(2_000, { hash: 'c' }).toSpliced(700, 300);
    const found = compareTraces(traceOf(applied(2_000)), traceOf(other));
    expect(found.aligned).toMatchObject({ same: 0, changed: 1_700, onlyLeft: 300, onlyRight: 0 });
    expect(found.first).toMatchObject({
      differs: 'content',
      path: 'root',
      left: { position: 0 },
      right: { position: 0 },
    });
  });
});

test('a value that is another one is told with both, and its path', () => {
  const left = applied(300);
  const right = left.with(120, applied(300, { hash: 'f' })[120]!);
  const found = compareTraces(traceOf(left), traceOf(right));
  expect(found.differences).toHaveLength(1);
  expect(found.first).toMatchObject({
    differs: 'content',
    path: 'root',
    values: { left: 'a000000000000078', right: 'f000000000000078' },
    left: { position: 120 },
    right: { position: 120 },
  });
  expect(found.aligned).toMatchObject({ same: 299, changed: 1 });
});

describe('recorded sessions', () => {
  let records: readonly TraceRecord[];
  let bytes: Uint8Array;

  beforeAll(async () => {
    ({ records, capture: bytes } = await recordSimulation({
      seed: 11,
      without: ['crash', 'disk', 'corrupt', 'clock'],
    }));
  });

  const placed = (all: readonly TraceRecord[]): Placed[] => all.map((record, position) => ({ record, position }));
  /** Numbered anew, with the causes that are left. */
  const renumbered = (all: readonly TraceRecord[]): TraceRecord[] => {
    const numbers = new Map(all.map(({ seq }, at) => [seq, at + 1]));
    return all.map((record, at) => ({
      ...record,
      seq: at + 1,
      cause: record.cause.flatMap((one) => numbers.get(one) ?? []),
    }));
  };

  test('two runs of one seed are alike', async () => {
    const again = await recordSimulation({ seed: 11, without: ['crash', 'disk', 'corrupt', 'clock'] });
    const sides = [await openCapture(memorySource(bytes)), await openCapture(memorySource(again.capture))] as const;
    const found = await compareCaptures(...sides);
    expect(found).toMatchObject({ isEqual: true, differences: [] });
    expect(found).not.toHaveProperty('earlier');
    expect(found.aligned).toMatchObject({ changed: 0, renumbered: 0, onlyLeft: 0, onlyRight: 0 });
  });

  test('a recording that began later is alike from there on, whichever side it is on', () => {
    const share = fc.double({ min: 0.05, max: 0.8, noNaN: true });
    fc.assert(
      fc.property(share, fc.boolean(), (part, isLeft) => {
        const from = records.findIndex(({ time }, at) => at > part * records.length && time > records[at - 1]!.time);
        const [whole, later] = [placed(records), placed(renumbered(records.slice(from)))];
        const found = isLeft ? compareTraces(later, whole) : compareTraces(whole, later);
        expect(found).toMatchObject({ isEqual: true, differences: [] });
        const side = isLeft ? 'right' : 'left';
        expect(found.earlier).toEqual({ [side]: expect.objectContaining({ position: from }) });
      }),
      { numRuns: 20 },
    );
  });

  test('records that were taken from either side are told of, and no more of the rest than they touch', () => {
    const places = fc.uniqueArray(fc.nat(records.length - 1), { maxLength: 40 });
    fc.assert(
      fc.property(places, places, (lefts, rights) => {
        const without = (all: readonly number[]) => placed(renumbered(records.filter((_, at) => !all.includes(at))));
        const { aligned, isEqual, differences } = compareTraces(without(lefts), without(rights));
        const { same, changed, renumbered: shifted, onlyLeft, onlyRight } = aligned;
        const compared = (all: readonly number[]) =>
          records.filter(({ body }, at) => !all.includes(at) && !PASSED_OVER.includes(body.kind)).length;
        expect(same + changed + shifted + onlyLeft).toBe(compared(lefts));
        expect(same + changed + shifted + onlyRight).toBe(compared(rights));
        // What neither side lost is there in both, in order, and alike.
        expect(same).toBeGreaterThanOrEqual(compared([...new Set([...lefts, ...rights])]));
        expect(isEqual).toBe(changed + shifted + onlyLeft + onlyRight === 0);
        expect(isEqual).toBe(differences.length === 0);
      }),
      { numRuns: 30 },
    );
  });

  const PASSED_OVER = ['log', 'health', 'pressure', 'gap', 'fault'];

  test('of which one lost a message part at its receipt, and are put beside each other again behind it', async () => {
    const capture = await openCapture(memorySource(bytes));
    const definition = simulatedDefinition((await capture.info()).header)!;
    const receipt = records.find(
      ({ body, time }) => body.kind === 'receive' && body.type === 'DELTA_SYNC' && time > 300e6,
    )!;
    const { comparison } = await whatIf(capture, [{ kind: 'drop', seq: receipt.seq }], { definition });
    expect(comparison.first).toMatchObject({ replica: receipt.replica, left: { seq: receipt.seq } });
    expect(comparison.first?.resumes).toBeDefined();
    const { same, changed, onlyLeft, onlyRight } = comparison.aligned;
    // One message more or less is repaired within a few rounds: nearly all goes as it did.
    expect(same).toBeGreaterThan(10 * (changed + onlyLeft));
    expect(onlyRight).toBeGreaterThan(0);
  });
});
