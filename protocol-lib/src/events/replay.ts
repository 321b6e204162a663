import { SyncError } from '../errors/index.ts';
import { StateRoot } from '../merkle/index.ts';
import type { Change, ReplicaId, Version } from '../state/index.ts';
import type { Reducer } from './domain.ts';
import { encodeSnapshot, type LogEntry, type LogSnapshot, REFUSALS_KEPT, type WriterStanding } from './entry.ts';
import type { EventLog } from './event-log.ts';
import { logError } from './log-index.ts';
import { differenceText, findNondeterminism, firstDifference, nondeterminismText, reduceEvents } from './reduce.ts';

/** What a log comes to at some position. */
export interface LogState {
  readonly position: number;
  readonly version: Version;
  readonly root: StateRoot;
  /** Nanoseconds since the session began. */
  readonly time: number;
  readonly writers: ReadonlyMap<ReplicaId, WriterStanding>;
  /** Which life of the session this is: within one, a version is one state. */
  readonly incarnation?: number | undefined;
}

/** Told of each state on the way, the first one included, and of the entry that led to it. */
export type ReplayListener = (version: Version, root: StateRoot, entry?: LogEntry) => void;

/** Entries are read so many at a time. */
const CHUNK = 1_000;

/**
 * The state that the whole log comes to, from its newest snapshot on that leaves at least `margin` entries, where there is one.
 * Every root on the way is compared with the recorded one.
 * @throws SyncError `LOG_NOT_BEGUN`; `LOG_SNAPSHOT_MISMATCH` a snapshot's records do not give its root; `LOG_ROOT_MISMATCH`
 * an entry's events give another root than recorded: its version, both roots, and the first differing key where it is
 * known; `REDUCER_NONDETERMINISTIC` the same where two runs differ now; `REDUCER_FAILED` where the reducer throws
 */
export function rehydrate(log: EventLog, reduce: Reducer, listener?: ReplayListener, margin = 0): LogState {
  const start = beginning(log.snapshot(Math.max(log.base, log.last - margin)));
  listener?.(start.version, start.root);
  return replayFrom(log, start, reduce, log.last, listener);
}

/**
 * As {@link rehydrate}, from the oldest snapshot on: checks everything that the log has, newer snapshots included.
 * @throws SyncError also `LOG_SNAPSHOT_MISMATCH` where a snapshot is not what the entries before it come to
 */
export function replay(log: EventLog, reduce: Reducer, listener?: ReplayListener): LogState {
  let state = beginning(log.snapshot(log.base));
  listener?.(state.version, state.root);
  for (const position of snapshotPositions(log)) {
    state = replayFrom(log, state, reduce, position, listener);
    checkSnapshot(log, position, state);
  }
  return replayFrom(log, state, reduce, log.last, listener);
}

/** Ascending, without the oldest. */
function snapshotPositions(log: EventLog): number[] {
  const positions: number[] = [];
  for (let one = log.snapshot(); one && one.position > log.base; one = log.snapshot(one.position - 1)) {
    positions.unshift(one.position);
  }
  return positions;
}

function checkSnapshot(log: EventLog, position: number, state: LogState): void {
  const snapshot = log.snapshot(position);
  if (!snapshot) throw logError('LOG_DAMAGED', `the snapshot at ${position} has gone`);
  beginning(snapshot);
  const expected = encodeSnapshot(snapshotOf(state));
  if (sameBytes(encodeSnapshot(snapshot), expected)) return;
  const text = `the snapshot at ${position}, version ${state.version}, is not what the entries before it come to`;
  throw logError('LOG_SNAPSHOT_MISMATCH', text, state.version);
}

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}

/**
 * The state at a version: after the last entry that has it.
 * @throws SyncError as {@link rehydrate}; `LOG_COMPACTED` where the version is gone, `LOG_VERSION_MISSING` where it never was
 */
export function stateAt(log: EventLog, reduce: Reducer, version: Version): LogState {
  let snapshot = log.snapshot();
  while (snapshot && snapshot.version > version) {
    if (snapshot.position === log.base) {
      throw logError('LOG_COMPACTED', `version ${version} is gone: ${snapshot.version} is the oldest`, version);
    }
    snapshot = log.snapshot(snapshot.position - 1);
  }
  const state = replayFrom(log, beginning(snapshot), reduce, log.last, undefined, version);
  if (state.version !== version) {
    throw logError('LOG_VERSION_MISSING', `the log ends at version ${state.version}, before ${version}`, version);
  }
  return state;
}

/** The state at a position. @throws SyncError as {@link stateAt} */
export function stateAtPosition(log: EventLog, reduce: Reducer, position: number): LogState {
  if (position > log.last) throw logError('LOG_VERSION_MISSING', `the log ends at ${log.last}, before ${position}`);
  const snapshot = log.snapshot(position);
  if (!snapshot && log.base > position) {
    throw logError('LOG_COMPACTED', `position ${position} is gone: ${log.base} is the oldest`);
  }
  return replayFrom(log, beginning(snapshot), reduce, position);
}

/** A snapshot of what a log comes to. */
export function snapshotOf({ position, version, root, time, writers, incarnation }: LogState): LogSnapshot {
  return {
    position,
    version,
    root: root.hash,
    time,
    records: Array.from(root.entries(), ([key, record]) => ({ key, record })).sort((a, b) => (a.key < b.key ? -1 : 1)),
    writers: [...writers.values()].sort((a, b) => (a.writer < b.writer ? -1 : 1)),
    ...(incarnation === undefined ? {} : { incarnation }),
  };
}

/**
 * Makes a snapshot at a position and drops everything before it. The state at every version from there on is as it was.
 * @throws SyncError as {@link stateAtPosition} and `EventLog.putSnapshot`; nothing is dropped then
 */
export function compactLog(log: EventLog, reduce: Reducer, position: number): void {
  if (position <= log.base) return;
  log.putSnapshot(snapshotOf(stateAtPosition(log, reduce, position)));
  log.compact(position);
}

function beginning(snapshot: LogSnapshot | undefined): LogState {
  if (!snapshot) throw logError('LOG_NOT_BEGUN', 'the log has no snapshot to begin with');
  const { position, version, time, records, writers, incarnation } = snapshot;
  const root = StateRoot.from(records.map(({ key, record }) => [key, record] as const));
  if (root.hash !== snapshot.root) snapshotMismatch(snapshot, root);
  return { position, version, root, time, writers: new Map(writers.map((one) => [one.writer, one])), incarnation };
}

function snapshotMismatch(snapshot: LogSnapshot, root: StateRoot): never {
  const { position, version } = snapshot;
  const text = `the snapshot at ${position}, version ${version}, has the root ${snapshot.root}, not ${root.hash}`;
  throw logError('LOG_SNAPSHOT_MISMATCH', text, version);
}

function replayFrom(
  log: EventLog,
  start: LogState,
  reduce: Reducer,
  last: number,
  listener?: ReplayListener,
  toVersion = Number.POSITIVE_INFINITY,
): LogState {
  const writers = new Map(start.writers);
  const { incarnation } = start;
  let { position, version, root, time } = start;
  while (position < last) {
    const entries = log.read(position, Math.min(CHUNK, last - position));
    for (const entry of entries) {
      if (entry.version > toVersion) return { position, version, root, time, writers, incarnation };
      root = afterEntry(entry, root, reduce);
      ({ position, version, time } = entry);
      writers.set(entry.mutation.writer, standingAfter(writers.get(entry.mutation.writer), entry));
      listener?.(version, root, entry);
    }
    if (entries.length === 0) throw logError('LOG_DAMAGED', `the log has no entry ${position + 1} of ${last}`);
  }
  return { position, version, root, time, writers, incarnation };
}

/** The state after an entry, where it is the recorded one. */
function afterEntry(entry: LogEntry, before: StateRoot, reduce: Reducer): StateRoot {
  if (entry.outcome !== 'committed') return before;
  const { events, version } = entry;
  try {
    const run = reduceEvents(reduce, before, events);
    if (run.root.hash === entry.root) return run.root;
    const unsteady = findNondeterminism(reduce, before, events, run);
    if (unsteady) {
      const place = { version, ...(unsteady.difference ? { key: unsteady.difference.key } : {}) };
      throw new SyncError('REDUCER_NONDETERMINISTIC', nondeterminismText(unsteady, version), {
        origin: 'state',
        place,
      });
    }
    throw rootMismatch(entry, before, run.root);
  } catch (error) {
    if (error instanceof SyncError && error.place.version === version) throw error;
    const types = events.map(({ type }) => type).join(', ');
    const text = `the reducer failed in ${types} at version ${version}: ${error instanceof Error ? error.message : String(error)}`;
    throw new SyncError('REDUCER_FAILED', text, { origin: 'state', place: { version }, cause: error });
  }
}

function rootMismatch(
  entry: Extract<LogEntry, { outcome: 'committed' }>,
  before: StateRoot,
  got: StateRoot,
): SyncError {
  const { version, root, events, changes } = entry;
  const difference = changes && firstDifferenceTo(before, changes, got);
  const types = events.map(({ type }) => type).join(', ');
  const where = difference ? `: ${differenceText(difference)} differs first` : '';
  const text = `${types} led to ${root} at version ${version} and now leads to ${got.hash}${where}. This reducer is not the one that wrote the log, or depends on something beside state and event`;
  const place = { version, ...(difference ? { key: difference.key } : {}) };
  return new SyncError('LOG_ROOT_MISMATCH', text, { origin: 'state', place });
}

function firstDifferenceTo(
  before: StateRoot,
  changes: readonly Change[],
  got: StateRoot,
): ReturnType<typeof firstDifference> {
  try {
    return firstDifference(before.apply(changes), got);
  } catch {
    return undefined;
  }
}

/** Where a writer stands after an entry of its own. */
export function standingAfter(before: WriterStanding | undefined, entry: LogEntry): WriterStanding {
  const { position, mutation } = entry;
  const { writer, counter } = mutation;
  const refusals = before?.refusals ?? [];
  if (entry.outcome !== 'refused') return { writer, counter, position, refusals };
  return {
    writer,
    counter,
    position,
    refusals: [...refusals, { counter, reason: entry.reason, position }].slice(-REFUSALS_KEPT),
  };
}
