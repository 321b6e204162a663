import fc from 'fast-check';
import { StateRoot } from '../merkle/index.ts';
import { type RecordKey, recordKey, replicaId, type SyncRecord } from '../state/index.ts';
import type { DomainEvent, LogEntry, Reducer } from './index.ts';
import { CHANGES_KEPT, type EventLog, reduceEvents, snapshotOf } from './index.ts';

/** A small world in which events depend on what is there: boxes of numbers, written by three. */
export const BOXES: readonly RecordKey[] = ['a', 'b', 'c', 'd'].map((one) => recordKey(`box/${one}`));

export const FIRST = StateRoot.from(BOXES.map((key) => [key, { sum: 0 }] as const));

export const boxes: Reducer = (state, { type, detail, data, player }) => {
  const key = recordKey(`box/${detail}`);
  const record = state.get(key);
  switch (type) {
    case 'ADDED':
      return [{ op: 'patch', key, fields: { sum: Number(record?.sum) + Number(data), by: player }, removed: [] }];
    case 'DOUBLED':
      return [{ op: 'put', key, record: { ...record, sum: (Number(record?.sum ?? 0) * 2) % 1_000_003 } as SyncRecord }];
    case 'REMOVED':
      return record ? [{ op: 'remove', key }] : [];
    default:
      return [];
  }
};

export const boxEvent: fc.Arbitrary<DomainEvent> = fc.record({
  type: fc.constantFrom('ADDED', 'ADDED', 'DOUBLED', 'DOUBLED', 'REMOVED', 'LOOKED'),
  player: fc.constantFrom('alice', 'bob'),
  detail: fc.constantFrom('a', 'b', 'c', 'd'),
  data: fc.integer({ min: -1_000, max: 1_000 }),
});

/** What the next settled mutation is; two events of one mutation stand or fall together. */
export const boxStep = fc.record({
  writer: fc.constantFrom('alice', 'bob', 'server').map(replicaId),
  events: fc.array(boxEvent, { maxLength: 2 }),
  isRefused: fc.boolean(),
  pause: fc.nat(50),
  withChanges: fc.boolean(),
});
export type BoxStep = typeof boxStep extends fc.Arbitrary<infer T> ? T : never;

/** A log's entries as an authority of boxes would write them, and the state after each, from {@link FIRST} at version 1. */
export function history(steps: readonly BoxStep[]): { entries: LogEntry[]; roots: StateRoot[] } {
  const counters = new Map<string, number>();
  const entries: LogEntry[] = [];
  const roots: StateRoot[] = [];
  let [root, version, time] = [FIRST, 1, 0];
  for (const { writer, events, isRefused, pause, withChanges } of steps) {
    const counter = (counters.get(writer) ?? 0) + 1;
    counters.set(writer, counter);
    time += pause;
    const seen = version;
    const run = isRefused ? undefined : tried(root, events);
    if (run && run.root !== root) version++;
    root = run?.root ?? root;
    const settled = {
      position: entries.length + 1,
      version,
      root: root.hash,
      time,
      mutation: { writer, counter },
      seen,
    };
    if (!run) entries.push({ outcome: 'refused', ...settled, reason: 'not now' });
    else {
      const changes = withChanges && run.changes.length <= CHANGES_KEPT ? { changes: [...run.changes] } : {};
      entries.push({ outcome: 'committed', ...settled, command: 'box', events: [...events], ...changes });
    }
    roots.push(root);
  }
  return { entries, roots };
}

function tried(root: StateRoot, events: readonly DomainEvent[]): ReturnType<typeof reduceEvents> | undefined {
  try {
    return reduceEvents(boxes, root, events);
  } catch {
    return undefined;
  }
}

/** Begins a log with {@link FIRST}. */
export function begin(log: EventLog): void {
  log.putSnapshot(snapshotOf({ position: 0, version: 1, root: FIRST, time: 0, writers: new Map() }));
}
