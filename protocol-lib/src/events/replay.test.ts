import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalBytes } from '../bytes/index.ts';
import { isSyncError, type SyncError } from '../errors/index.ts';
import type { StateRoot } from '../merkle/index.ts';
import { type Change, recordKey } from '../state/index.ts';
import type { DomainEvent } from './index.ts';
import {
  backupLog,
  compactLog,
  findNondeterminism,
  firstDifference,
  type LogEntry,
  MemoryEventLog,
  type Nondeterminism,
  nondeterminismText,
  type Reduced,
  type Reducer,
  reduceEvents,
  rehydrate,
  replay,
  restoreLog,
  snapshotOf,
  stateAt,
  stateAtPosition,
} from './index.ts';
import { type BoxStep, begin, boxEvent, boxes, boxStep, FIRST, history } from './log.test-helper.ts';

const steps = fc.array(boxStep, { maxLength: 30 });

function logOf(list: readonly BoxStep[]): { log: MemoryEventLog; entries: LogEntry[]; roots: StateRoot[] } {
  const { entries, roots } = history(list);
  const log = new MemoryEventLog();
  begin(log);
  log.append(0, entries);
  return { log, entries, roots };
}

/** Bytes of the whole state by sorting, without any tree. */
function bytesOf(root: StateRoot): Uint8Array {
  return canonicalBytes(Object.fromEntries(root.entries()));
}

/** A fold of the events with plain maps, written once more so that it can judge. */
function foldedBytes(entries: readonly LogEntry[]): Uint8Array {
  const state = new Map<string, Record<string, unknown>>([...FIRST.entries()]);
  for (const entry of entries) {
    if (entry.outcome !== 'committed') continue;
    for (const { type, detail, data, player } of entry.events) {
      const key = `box/${detail}`;
      const box = state.get(key);
      if (type === 'ADDED') state.set(key, { ...box, sum: Number(box?.sum) + Number(data), by: player });
      else if (type === 'DOUBLED') state.set(key, { ...box, sum: (Number(box?.sum ?? 0) * 2) % 1_000_003 });
      else if (type === 'REMOVED') state.delete(key);
    }
  }
  return canonicalBytes(Object.fromEntries(state));
}

function thrown(run: () => unknown): SyncError {
  try {
    run();
  } catch (error) {
    if (isSyncError(error)) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('replay', () => {
  test('gives the state at every version and position that plain folding gives', () => {
    fc.assert(
      fc.property(steps, (list) => {
        const { log, entries, roots } = logOf(list);
        for (let position = 0; position <= entries.length; position++) {
          const state = stateAtPosition(log, boxes, position);
          expect(bytesOf(state.root)).toEqual(foldedBytes(entries.slice(0, position)));
          expect(stateAt(log, boxes, state.version).root.hash).toBe(state.root.hash);
        }
        const whole = replay(log, boxes);
        expect(whole.root.hash).toBe((roots.at(-1) ?? FIRST).hash);
        const counts = new Map<string, number>();
        for (const { mutation } of entries) counts.set(mutation.writer, mutation.counter);
        expect([...whole.writers.values()].map(({ writer, counter }) => [writer, counter])).toEqual([...counts]);
        for (const { writer, refusals } of whole.writers.values()) {
          const refused = entries.filter((one) => one.outcome === 'refused' && one.mutation.writer === writer);
          expect(refusals.map(({ counter }) => counter)).toEqual(refused.map(({ mutation }) => mutation.counter));
        }
      }),
    );
  });

  test('from any snapshots, compacted or not, or restored, ends in the same state at every version that is left', () => {
    fc.assert(
      fc.property(steps, fc.array(fc.nat(30), { maxLength: 4 }), fc.nat(30), (list, marks, to) => {
        const { log, entries } = logOf(list);
        const end = snapshotOf(replay(log, boxes));
        const before = entries.map((_, index) => snapshotOf(stateAtPosition(log, boxes, index + 1)));
        for (const mark of marks) log.putSnapshot(snapshotOf(stateAtPosition(log, boxes, mark % (entries.length + 1))));
        const check = (): void => {
          expect(snapshotOf(rehydrate(log, boxes))).toEqual(end);
          expect(snapshotOf(replay(log, boxes))).toEqual(end);
          for (let position = log.base + 1; position <= log.last; position++) {
            expect(snapshotOf(stateAtPosition(log, boxes, position))).toEqual(before[position - 1]);
          }
        };
        check();
        compactLog(log, boxes, to % (entries.length + 1));
        check();
        const copy = new MemoryEventLog();
        expect(snapshotOf(restoreLog(backupLog(log), copy, boxes))).toEqual(end);
        expect(copy.read(copy.base)).toEqual(log.read(log.base));
        expect(copy.snapshot()).toEqual(log.snapshot());
      }),
    );
  });

  test('says which version is gone, and which never was', () => {
    const { log } = logOf(doubles(5));
    compactLog(log, boxes, 3);
    expect(thrown(() => stateAt(log, boxes, 3))).toMatchObject({ code: 'LOG_COMPACTED', place: { version: 3 } });
    expect(thrown(() => stateAtPosition(log, boxes, 2)).code).toBe('LOG_COMPACTED');
    expect(stateAt(log, boxes, 4).position).toBe(3);
    expect(thrown(() => stateAt(log, boxes, 7))).toMatchObject({ code: 'LOG_VERSION_MISSING', place: { version: 7 } });
    expect(thrown(() => stateAtPosition(log, boxes, 6)).code).toBe('LOG_VERSION_MISSING');
    expect(thrown(() => rehydrate(new MemoryEventLog(), boxes)).code).toBe('LOG_NOT_BEGUN');
  });
});

/** Adds to boxes `a`, one mutation each. */
function doubles(count: number): BoxStep[] {
  return Array.from({ length: count }, (_, index) => ({
    writer: 'alice' as BoxStep['writer'],
    events: [{ type: 'ADDED', player: 'alice', detail: 'a', data: index + 1 }],
    isRefused: false,
    pause: 1,
    withChanges: index % 2 === 0,
  }));
}

describe('a state that is not as it was', () => {
  const otherwise: Reducer = (state, event) =>
    boxes(state, event).map((change) =>
      change.op === 'patch' ? { ...change, fields: { ...change.fields, sum: 9 } } : change,
    );

  test('another reducer is named with version, both roots, and the first differing field where the entry has its changes', () => {
    const { log, roots } = logOf(doubles(3));
    const error = thrown(() => rehydrate(log, otherwise));
    expect(error).toMatchObject({ code: 'LOG_ROOT_MISMATCH', place: { version: 2, key: 'box/a' } });
    expect(error.message).toContain(roots[0]!.hash);
    const got = reduceEvents(otherwise, FIRST, [{ type: 'ADDED', player: 'alice', detail: 'a', data: 1 }]).root.hash;
    expect(error.message).toContain(got);
    expect(error.message).toContain('field "sum" of box/a');
    const second: Reducer = (state, event) => (event.data === 2 ? otherwise : boxes)(state, event);
    expect(thrown(() => rehydrate(log, second)).place).toEqual({ version: 3 });
  });

  test('one that is not deterministic is named with the event', () => {
    let calls = 0;
    const counting: Reducer = (state, event) => [
      ...boxes(state, event),
      { op: 'put', key: recordKey('box/z'), record: { calls: calls++ } },
    ];
    const error = thrown(() => rehydrate(logOf(doubles(2)).log, counting));
    expect(error).toMatchObject({ code: 'REDUCER_NONDETERMINISTIC', place: { version: 2, key: 'box/z' } });
    expect(error.message).toContain('ADDED');
    expect(error.message).toContain('field "calls" of box/z');
  });

  test('one that throws is named too', () => {
    const failing: Reducer = () => {
      throw new Error('boom');
    };
    const error = thrown(() => rehydrate(logOf(doubles(2)).log, failing));
    expect(error).toMatchObject({ code: 'REDUCER_FAILED', place: { version: 2 } });
    expect(error.message).toContain('boom');
  });

  test('a snapshot that is not what it says, and a backup that was cut', () => {
    const { log } = logOf(doubles(4));
    const lying = snapshotOf(stateAtPosition(log, boxes, 2));
    log.putSnapshot({ ...lying, records: lying.records.slice(1) });
    expect(thrown(() => rehydrate(log, boxes)).code).toBe('LOG_SNAPSHOT_MISMATCH');
    expect(thrown(() => replay(log, boxes)).code).toBe('LOG_SNAPSHOT_MISMATCH');
    const backup = backupLog(logOf(doubles(4)).log);
    for (let length = 0; length < backup.length; length++) {
      const into = new MemoryEventLog();
      expect(thrown(() => restoreLog(backup.subarray(0, length), into, boxes)).code).toMatch(
        /^(BACKUP_INCOMPLETE|LOG_)/,
      );
      expect(into.base).toBe(-1);
    }
    const longer = new Uint8Array(backup.length + 1);
    longer.set(backup);
    expect(thrown(() => restoreLog(longer, new MemoryEventLog(), boxes)).code).toBe('BACKUP_INCOMPLETE');
  });
});

/** As `findNondeterminism`, from scratch: every event again, each list of changes applied to the state before it. */
function suspected(reduce: Reducer, events: readonly DomainEvent[], expected: Reduced): Nondeterminism | undefined {
  const after = (root: StateRoot, changes: readonly Change[]): StateRoot | undefined => {
    try {
      return root.apply(changes);
    } catch {
      return undefined;
    }
  };
  let [root, rest] = [FIRST, expected.changes];
  for (const event of events) {
    const made = reduce(root, event);
    const again = after(root, made);
    if (!again) return { event, difference: undefined };
    const before = rest.slice(0, made.length);
    const wanted = after(root, before);
    if (JSON.stringify(before) !== JSON.stringify(made))
      return { event, difference: wanted && firstDifference(wanted, again) };
    rest = rest.slice(made.length);
    root = again;
  }
  const last = events.at(-1);
  return rest.length === 0 || !last ? undefined : { event: last, difference: firstDifference(expected.root, root) };
}

/** What a second run may do to the changes of an event. */
const STRAYING: Readonly<Record<string, (made: readonly Change[]) => readonly Change[]>> = {
  nothing: (made) => made,
  loses: (made) => made.slice(1),
  doubles: (made) => [...made, ...made],
  adds: (made) => [...made, { op: 'put', key: recordKey('box/z'), record: { sum: 1 } }],
  misses: (made) => [...made, { op: 'patch', key: recordKey('box/none'), fields: { sum: 1 }, removed: [] }],
  turns: (made) => made.map((one) => ({ op: 'remove', key: one.key })),
};

describe('determinism', () => {
  test('what is suspected is what running everything again from scratch finds', () => {
    fc.assert(
      fc.property(
        fc.array(boxEvent, { maxLength: 5 }),
        fc.nat(5),
        fc.constantFrom(...Object.keys(STRAYING)),
        (events, odd, how) => {
          const straying = (): Reducer => {
            let calls = 0;
            return (state, event) => {
              const made = boxes(state, event);
              return calls++ === odd ? STRAYING[how]!(made) : made;
            };
          };
          let run: Reduced;
          try {
            run = reduceEvents(boxes, FIRST, events);
          } catch (error) {
            expect(isSyncError(error, 'RECORD_MISSING')).toBe(true);
            return;
          }
          expect(findNondeterminism(straying(), FIRST, events, run)).toEqual(suspected(straying(), events, run));
        },
      ),
    );
  });

  test('no pure reducer is ever suspected', () => {
    fc.assert(
      fc.property(fc.array(boxEvent, { maxLength: 5 }), (events) => {
        try {
          const run = reduceEvents(boxes, FIRST, events);
          expect(findNondeterminism(boxes, FIRST, events, run)).toBeUndefined();
        } catch (error) {
          // A patch of a box that was removed.
          expect(isSyncError(error, 'RECORD_MISSING')).toBe(true);
        }
      }),
    );
  });

  test('a difference in one field of one event among several is found and named', () => {
    fc.assert(
      fc.property(fc.nat(4), (odd) => {
        let calls = 0;
        const events = [0, 1, 2, 3, 4].map((data) => ({ type: `E${data}`, player: 'alice', detail: 'a', data }));
        const reduce: Reducer = (_state, { data }) => [
          { op: 'patch', key: recordKey('box/b'), fields: { last: Number(data) }, removed: [] },
          { op: 'patch', key: recordKey('box/a'), fields: { at: data === odd ? calls++ : 0, sum: 1 }, removed: [] },
        ];
        const run = reduceEvents(reduce, FIRST, events);
        const found = findNondeterminism(reduce, FIRST, events, run);
        expect(found).toMatchObject({ event: { type: `E${odd}` }, difference: { key: 'box/a', field: 'at' } });
        expect(nondeterminismText(found!, 7)).toContain(`E${odd} at version 7`);
      }),
    );
  });
});
