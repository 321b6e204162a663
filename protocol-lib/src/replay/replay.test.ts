import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { memorySource, type OpenCapture, openCapture } from '../capture/index.ts';
import { StateRoot } from '../merkle/index.ts';
import { milliseconds } from '../ports/index.ts';
import { recordSimulation, simulatedDefinition } from '../simulator/index.ts';
import { type Change, recordKey, replicaId, type SyncRecord } from '../state/index.ts';
import type { SessionDefinition } from '../sync/index.ts';
import type { TraceRecord } from '../trace/index.ts';
import { captureOf, headerOf, placed } from './captured.test-helper.ts';
import {
  argumentText,
  blame,
  compareTraces,
  converge,
  convergeOperations,
  isInputs,
  type Operation,
  parseArguments,
  ReplayCursor,
  readSteps,
  reexecute,
  runBranch,
  whatIf,
} from './index.ts';

/** A seed without faults of nodes, so that what is recorded is enough without the app's code. */
const SEED = 11;
const WITHOUT = ['crash', 'disk', 'corrupt', 'clock', 'server-pause'] as const;

let capture: OpenCapture;
let records: readonly TraceRecord[];
let definition: SessionDefinition | undefined;

async function recordedSession(seed: number) {
  const recorded = await recordSimulation({ seed, without: [...WITHOUT] });
  const opened = await openCapture(memorySource(recorded.capture));
  return { opened, records: recorded.records, definition: simulatedDefinition((await opened.info()).header) };
}

beforeAll(async () => {
  ({ opened: capture, records, definition } = await recordedSession(SEED));
});

const session = (trace: readonly TraceRecord[]) =>
  trace.filter((record) => !isInputs(record)).map(({ replica, time, body, wire }) => ({ replica, time, body, wire }));

describe('re-execution', () => {
  test('of a capture comes to every record again, with the app and without it', async () => {
    const app = await reexecute(capture, { definition });
    const protocol = await reexecute(capture);
    expect(app).toMatchObject({ status: 'equal', level: 'app' });
    expect(protocol).toMatchObject({ status: 'equal', level: 'protocol', records: app.records });
    expect(app.hashes).toBeGreaterThan(50);
  });

  test('names the record and the reducer where the reducer has become another', async () => {
    if (!definition) throw new Error('the seed has a definition');
    const { reduce } = definition;
    let runs = 0;
    const unsteady: SessionDefinition = {
      ...definition,
      reduce: (state, event) => (++runs > 20 ? [] : reduce(state, event)),
    };
    const { status, difference } = await reexecute(capture, { definition: unsteady });
    expect(status).toBe('differs');
    expect(difference?.differs).toBe('state');
    expect(difference?.sentence).toMatch(/made other changes|came to other changes/);
    expect(difference?.seq).toBeGreaterThan(0);
  });

  test('compares no further than it is asked to', async () => {
    const { records: compared } = await reexecute(capture, { definition, from: 100, to: 200 });
    expect(compared).toBeGreaterThan(20);
    expect(compared).toBeLessThanOrEqual(101);
  });

  test('from a later position begins each endpoint where it last began, with the app and without it', async () => {
    let shorter = 0;
    for (const seed of [5, 9]) {
      const { capture: bytes, records: trace } = await recordSimulation({ seed });
      const opened = await openCapture(memorySource(bytes));
      const app = simulatedDefinition((await opened.info()).header);
      const whole = await reexecute(opened, { definition: app });
      for (const part of [0.4, 0.8]) {
        const result = await reexecute(opened, { definition: app, from: Math.floor(trace.length * part) });
        expect(result.difference).toBeUndefined();
        expect(result.records).toBeLessThan(whole.records);
        if (result.inputs < whole.inputs) shorter++;
      }
    }
    expect(shorter).toBeGreaterThan(0);
    const late = await reexecute(capture, { from: Math.floor(records.length / 2) });
    expect(late).toMatchObject({ status: 'equal', level: 'protocol' });
  });

  test('says which inputs are missing from a capture without them', async () => {
    const recorded = await recordSimulation({ seed: SEED, inputs: false });
    const opened = await openCapture(memorySource(recorded.capture));
    await expect(reexecute(opened)).rejects.toMatchObject({ code: 'REPLAY_INPUTS_MISSING' });
  });

  test('gives back every argument that a command can have', () => {
    fc.assert(
      fc.property(fc.anything({ maxDepth: 3, withNullPrototype: false }).filter(isPlain), (value) => {
        expect(parseArguments(argumentText(value as never))).toEqual(value);
      }),
    );
    for (const odd of [Number.NaN, -0, Number.NEGATIVE_INFINITY, '\ud800', new Uint8Array([1, 2]), { $: 'number' }]) {
      expect(parseArguments(argumentText(odd as never))).toEqual(odd);
    }
  });
});

function isPlain(value: unknown): boolean {
  if (value === null || ['string', 'boolean', 'number'].includes(typeof value)) return true;
  if (Array.isArray(value)) return Object.keys(value).length === value.length && value.every(isPlain);
  return typeof value === 'object' && value?.constructor === Object && Object.values(value).every(isPlain);
}

describe('a branch', () => {
  test('without an edit is the recording, whatever the seed', async () => {
    for (const seed of [2, 5, 7, 12]) {
      const one = await recordedSession(seed);
      const { records: branch } = runBranch(await readSteps(one.opened), [], { definition: one.definition });
      expect(session(branch.slice(1))).toEqual(session(one.records));
    }
  });

  test('whose delta is dropped has a mismatch, and ends with everybody equal', async () => {
    const dropped = records.find(
      ({ body, time }) => body.kind === 'receive' && body.type === 'DELTA_SYNC' && time > milliseconds(300),
    );
    const {
      branch,
      comparison,
      capture: bytes,
    } = await whatIf(capture, [{ kind: 'drop', seq: dropped!.seq }], {
      definition,
    });
    expect(comparison.isEqual).toBe(false);
    expect(comparison.first?.replica).toBe(dropped!.replica);
    expect(branch.records[0]?.body).toMatchObject({ kind: 'log', text: expect.stringContaining('drop') });
    const roots = new Set(comparison.ends.map(({ right }) => right?.root));
    expect(roots.size).toBe(definition?.view ? comparison.ends.length : 1);
    // A branch is a capture like any other: it opens, and runs again.
    const again = await openCapture(memorySource(bytes));
    expect(await reexecute(again, { definition })).toMatchObject({ status: 'equal' });
  });

  test('with a delayed, a duplicated, a swapped or an edited message goes another way', async () => {
    const deltas = records.filter(({ body }) => body.kind === 'receive' && body.type === 'DELTA_SYNC');
    const [first, second] = [deltas[3]!.seq, deltas[4]!.seq];
    for (const edit of [
      { kind: 'delay', seq: first, by: milliseconds(400) },
      { kind: 'duplicate', seq: first },
      { kind: 'swap', seq: first, other: second },
      { kind: 'edit', seq: first, path: 'to', value: 999 },
    ] as const) {
      const { comparison } = await whatIf(capture, [edit], { definition });
      expect(comparison.isEqual, edit.kind).toBe(false);
    }
  });

  test('refuses what is no message, and a path that is not there', async () => {
    const steps = await readSteps(capture);
    expect(() => runBranch(steps, [{ kind: 'drop', seq: 1 }], { definition })).toThrowError(/no message/);
    const seq = records.find(({ body }) => body.kind === 'receive' && body.type === 'DELTA_SYNC')!.seq;
    const edit = { kind: 'edit', seq, path: 'nothing.there', value: 1 } as const;
    expect(() => runBranch(steps, [edit], { definition })).toThrowError(/nothing at nothing.there/);
  });
});

describe('comparing', () => {
  test('a capture with itself finds nothing', () => {
    expect(compareTraces(placed(records), placed(records))).toMatchObject({ isEqual: true, differences: [] });
  });

  test('finds the same in both directions, with the sides exchanged', () => {
    fc.assert(
      fc.property(fc.nat(records.length - 1), fc.nat(records.length - 1), (one, other) => {
        const left = placed(records).toSpliced(one, 1);
        const right = placed(records).toSpliced(other, 1);
        const there = compareTraces(left, right);
        const back = compareTraces(right, left);
        expect(back.isEqual).toBe(there.isEqual);
        expect(back.first?.replica).toBe(there.first?.replica);
        expect(back.first?.left).toEqual(there.first?.right);
        expect(back.differences.length).toBe(there.differences.length);
      }),
      { numRuns: 25 },
    );
  });
});

describe('a cursor', () => {
  const units = ['record', 'message', 'version', 'marker'] as const;

  test('that steps forwards and back from a stop is where it was', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(records.length - 1), fc.constantFrom(...units), async (position, unit) => {
        const cursor = new ReplayCursor(capture);
        await cursor.seek(position);
        const stop = await cursor.step(unit, 1);
        const next = await cursor.step(unit, 1);
        if (next === stop) return;
        expect(await cursor.step(unit, -1)).toBe(stop);
      }),
      { numRuns: 40 },
    );
  });

  test('that plays forwards and then back for as long is where it was, with the same states', async () => {
    const { range } = await capture.info();
    await fc.assert(
      fc.asyncProperty(
        fc.double({ min: 0, max: range.to, noNaN: true }),
        fc.double({ min: 0, max: 1e9, noNaN: true }),
        fc.constantFrom(0.1, 0.5, 1, 4, 100),
        async (time, elapsed, speed) => {
          const cursor = new ReplayCursor(capture);
          const position = await cursor.seekTime(Math.round(time));
          const before = await statesAt(position);
          await cursor.advance(Math.round(elapsed), speed);
          fc.pre(cursor.time < range.to);
          await cursor.advance(Math.round(elapsed), -speed);
          // Adding and taking away may leave the last bit of a fraction of a nanosecond.
          await cursor.seekTime(Math.round(cursor.time));
          expect(cursor.position).toBe(position);
          expect(await statesAt(cursor.position)).toEqual(before);
        },
      ),
      { numRuns: 40 },
    );
  });

  test('that seeks comes to the states that a fold from the start comes to', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(records.length - 1), { minLength: 1, maxLength: 4 }), async (jumps) => {
        const cursor = new ReplayCursor(capture);
        for (const position of jumps) await cursor.seek(position);
        const folded = foldTo(cursor.position);
        expect(await statesAt(cursor.position)).toEqual(folded);
      }),
      { numRuns: 40 },
    );
  });

  test('steps over what a filter hides', async () => {
    const cursor = new ReplayCursor(capture);
    const commits = records.flatMap(({ body }, position) => (body.kind === 'commit' ? [position] : []));
    expect(await cursor.step('record', 1, { filter: 'kind:commit' })).toBe(commits[0]);
    expect(await cursor.step('version', 1)).toBe(commits[1]);
    const receipts = records.flatMap(({ body, replica }, position) =>
      body.kind === 'receive' && replica === 'server' ? [position] : [],
    );
    await cursor.seek(-1);
    expect(await cursor.step('message', 1, { filter: 'who:server kind:receive' })).toBe(receipts[0]);
    expect(await cursor.step('message', -1, { filter: 'who:server kind:receive' })).toBe(-1);
  });

  test('steps over versions alone where a filter names several things', async () => {
    const cursor = new ReplayCursor(capture);
    const commits = records.flatMap(({ body }, position) => (body.kind === 'commit' ? [position] : []));
    expect(await cursor.step('version', 1, { filter: 'kind:names or kind:commit' })).toBe(commits[0]);
    await expect(cursor.step('version', 1, { filter: 'a) or (b' })).rejects.toMatchObject({ place: { offset: 1 } });
  });

  test('goes by ticks from the first record of a recording that began late', async () => {
    const late = records.slice(Math.floor(records.length / 2)).map((one) => ({ ...one, time: one.time + 3_600e9 }));
    const cursor = new ReplayCursor(await captureOf(headerOf('late'), late));
    await cursor.step('tick', 1);
    expect(cursor.position).toBeGreaterThanOrEqual(0);
    expect(cursor.time - late[0]!.time).toBeLessThanOrEqual(50e6);
  });

  test('plays at any speed and in both directions', async () => {
    const cursor = new ReplayCursor(capture);
    await cursor.advance(milliseconds(100), 4);
    expect(cursor.time).toBe(milliseconds(400));
    expect(cursor.position).toBe(await capture.positionAt(milliseconds(400)));
    await cursor.advance(milliseconds(100), -1);
    expect(cursor.time).toBe(milliseconds(300));
    await cursor.step('tick', 1);
    expect(cursor.time).toBe(milliseconds(350));
    await expect(cursor.seek(records.length)).rejects.toMatchObject({ code: 'POSITION_OUTSIDE' });
  });
});

/** The root of each replica's committed state at a position, as a capture answers it. */
async function statesAt(position: number): Promise<Readonly<Record<string, string>>> {
  const roots: Record<string, string> = {};
  if (position < 0) return roots;
  for (const { replica } of (await capture.status(position)).replicas) {
    const { root } = await capture.state(replica, position, '', 0);
    if (root !== null) roots[replica] = root;
  }
  return roots;
}

/** The same from the records alone: changes are applied one after the other, from the first on. */
function foldTo(position: number): Readonly<Record<string, string>> {
  const states = new Map<string, StateRoot>();
  for (const { replica, body } of records.slice(0, position + 1)) {
    if (body.kind === 'snapshot') {
      states.set(replica, StateRoot.from(body.records.map((entry) => [entry.key, entry.record] as const)));
    }
    const state = states.get(replica);
    if (state && (body.kind === 'commit' || body.kind === 'apply')) states.set(replica, state.apply(body.changes));
    // What a repair found to differ is what the other has.
    if (state && body.kind === 'divergence') states.set(replica, repaired(state, body.differences));
  }
  return Object.fromEntries([...states].map(([replica, state]) => [replica, state.hash]));
}

function repaired(
  state: StateRoot,
  differences: readonly { key: Change['key']; theirs: SyncRecord | null }[],
): StateRoot {
  return state.apply(
    differences.map(({ key, theirs }) => (theirs ? { op: 'put', key, record: theirs } : { op: 'remove', key })),
  );
}

describe('blame', () => {
  test('names every record that touched a value, its writer, and why it stands', async () => {
    const last = records.length - 1;
    const commit = records.findLast(({ body }) => body.kind === 'commit' && body.changes.length > 0);
    if (commit?.body.kind !== 'commit') throw new Error('the seed has commits');
    const { key } = commit.body.changes[0]!;
    const { entries } = await blame(capture, commit.replica, key, undefined, last);
    const end = entries.findLast(({ rule }) => rule === 'commit order');
    expect(end).toMatchObject({ seq: commit.seq, writer: commit.body.mutation?.writer });
    expect(entries.map(({ position }) => position)).toEqual(
      entries.map(({ position }) => position).sort((a, b) => a - b),
    );
    // What a replica had seen never gets less, and a change that was taken in is seen with it.
    const seenOf = (at: (typeof entries)[number], writer: string): number =>
      at.vector?.find(({ replica }) => replica === writer)?.counter ?? 0;
    const { writer, counter } = end!.mutation!;
    expect(seenOf(end!, writer)).toBeGreaterThanOrEqual(counter);
    for (const [at, entry] of entries.entries()) {
      if (at > 0)
        for (const one of entries[at - 1]!.vector ?? [])
          expect(seenOf(entry, one.replica)).toBeGreaterThanOrEqual(one.counter);
    }
    const { entries: none } = await blame(capture, commit.replica, recordKey('no/such'), undefined, last);
    expect(none).toEqual([]);
    await expect(blame(capture, replicaId('nobody'), key, undefined, last)).rejects.toMatchObject({
      code: 'REPLICA_UNKNOWN',
    });
  });
});

describe('convergence', () => {
  const key = recordKey('a/1');
  const operation = (writer: string, counter: number, seen: number, version: number, changes: Change[]): Operation => {
    return { seq: version, version, mutation: { writer: replicaId(writer), counter }, event: 'SET', changes, seen };
  };
  const set = (fields: Record<string, number>): Change[] => [{ op: 'patch', key, fields, removed: [] }];
  const initial = StateRoot.from([[key, { x: 0, y: 0 }]]);

  test('of writes to different fields holds in every order', async () => {
    const operations = [operation('a', 1, 1, 2, set({ x: 1 })), operation('b', 1, 1, 3, set({ y: 1 }))];
    expect(await convergeOperations(initial, operations)).toMatchObject({
      status: 'converges',
      orders: 2,
      isEvery: true,
    });
  });

  test('names the two of which the order matters, and no more before them than they need', async () => {
    const operations = [
      operation('c', 1, 1, 2, set({ y: 7 })),
      operation('a', 1, 1, 3, set({ x: 1 })),
      operation('b', 1, 1, 4, set({ x: 2 })),
    ];
    const { status, conflict } = await convergeOperations(initial, operations);
    expect(status).toBe('differs');
    expect([conflict?.first.mutation.writer, conflict?.second.mutation.writer].sort()).toEqual(['a', 'b']);
    expect(conflict?.before).toEqual([]);
    expect(conflict?.roots[0]).not.toBe(conflict?.roots[1]);
  });

  test('tells by null where one does not even fit behind the other', async () => {
    const gone: Change[] = [{ op: 'remove', key }];
    const operations = [operation('a', 1, 1, 2, set({ x: 1 })), operation('b', 1, 1, 3, gone)];
    expect((await convergeOperations(initial, operations)).conflict?.roots).toContain(null);
  });

  test('does not exchange what knew of each other', async () => {
    const operations = [operation('a', 1, 1, 2, set({ x: 1 })), operation('b', 1, 2, 3, set({ x: 2 }))];
    expect((await convergeOperations(initial, operations)).status).toBe('converges');
  });

  test('of a recording says how many operations it ran', async () => {
    const { operations } = await converge(capture);
    expect(operations).toBe(records.filter(({ body }) => body.kind === 'commit').length);
  });
});
