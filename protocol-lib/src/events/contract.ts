import { canonicalBytes, toHex } from '../bytes/index.ts';
import { isSyncError } from '../errors/index.ts';
import { StateRoot } from '../merkle/index.ts';
import { recordKey, replicaId } from '../state/index.ts';
import { backupLog, restoreLog } from './backup.ts';
import type { Reducer } from './domain.ts';
import type { LogEntry, LogSnapshot } from './entry.ts';
import type { EventLog } from './event-log.ts';
import { compactLog, rehydrate, replay, snapshotOf, stateAt } from './replay.ts';

/** What a test of {@link eventLogContract} needs of an implementation. */
export interface LogUnderTest {
  /** A log that has not begun. */
  create(): EventLog | Promise<EventLog>;
  /** Resolves when everything that was handed over is durable. */
  settle(log: EventLog): void | Promise<void>;
  /** The same log, opened anew by another process; absent where it does not outlive its process. */
  reopen?(log: EventLog): EventLog | Promise<EventLog>;
}

export interface ContractTest {
  readonly name: string;
  run(): Promise<void>;
}

/** The acceptance suite of `EventLog`, for any test runner: `for (const { name, run } of eventLogContract(mine)) test(name, run)`. */
export function eventLogContract(under: LogUnderTest): ContractTest[] {
  const begun = async (entries = 0): Promise<EventLog> => {
    const log = await under.create();
    log.putSnapshot(sampleSnapshot());
    log.append(0, sampleEntries(1, entries));
    return log;
  };
  const opened = async (log: EventLog): Promise<EventLog> => {
    await under.settle(log);
    return under.reopen ? under.reopen(log) : log;
  };
  const test = (name: string, run: () => Promise<void>): ContractTest => ({ name, run });
  return [
    test('has nothing before it has begun, and takes no entry', async () => {
      const log = await under.create();
      same([log.base, log.last, log.snapshot()], [-1, -1, undefined], 'an empty log');
      throws('LOG_NOT_BEGUN', () => log.append(-1, sampleEntries(0, 1)));
      same(log.last, -1, 'the last position');
    }),
    test('begins with a snapshot and gives back what was appended, in order', async () => {
      const log = await opened(await begun(7));
      same([log.base, log.last, log.durable], [0, 7, 7], 'base, last and durable');
      same(log.snapshot(), sampleSnapshot(), 'the snapshot');
      same(log.read(0), sampleEntries(1, 7), 'all entries');
      same(log.read(3, 2), sampleEntries(4, 2), 'entries 4 and 5');
      same([log.read(7), log.read(6, 10).length], [[], 1], 'the end');
    }),
    test('appends only behind the position that was expected, all or none', async () => {
      const log = await begun(3);
      throws('LOG_CONFLICT', () => log.append(2, sampleEntries(3, 1)));
      throws('LOG_CONFLICT', () => log.append(4, sampleEntries(5, 1)));
      const [fourth, , sixth] = sampleEntries(4, 3);
      throws('LOG_ENTRY_INVALID', () => log.append(3, [fourth!, sixth!]));
      same((await opened(log)).read(0), sampleEntries(1, 3), 'the entries');
    }),
    test('refuses versions with gaps, times that fall, and a mutation that was settled before', async () => {
      const log = await begun(3);
      const [next] = sampleEntries(4, 1) as [LogEntry];
      const wrong: Partial<LogEntry>[] = [
        { version: next.version + 1 },
        { version: 1 },
        { time: 0 },
        { mutation: { ...next.mutation, counter: 3 } },
        { mutation: { ...next.mutation, counter: 5 } },
      ];
      for (const one of wrong) throws('LOG_ENTRY_INVALID', () => log.append(3, [{ ...next, ...one } as LogEntry]));
      log.append(3, [next]);
      same((await opened(log)).read(3), [next], 'the entry after the refused ones');
    }),
    test('refuses what has no canonical bytes, and stays as it was', async () => {
      const log = await begun(1);
      const [next] = sampleEntries(2, 1) as [Extract<LogEntry, { outcome: 'committed' }>];
      const events = [{ ...next.events[0]!, detail: '\ud800' }];
      throws('VALUE_INVALID', () => log.append(1, [{ ...next, events }]));
      throws('SCHEMA_MISMATCH', () => log.append(1, [{ ...next, root: 'none' } as unknown as LogEntry]));
      same((await opened(log)).read(0), sampleEntries(1, 1), 'the entries');
    }),
    test('hands out copies', async () => {
      const log = await begun(2);
      const [one] = log.read(0) as [Extract<LogEntry, { outcome: 'committed' }>];
      (one.events as unknown[]).length = 0;
      same(log.read(0), sampleEntries(1, 2), 'the entries');
    }),
    test('never says that more is durable than there is, nor less than before', async () => {
      const log = await begun(0);
      let durable = log.durable;
      for (let position = 0; position < 30; position++) {
        log.append(position, sampleEntries(position + 1, 1));
        holds(log.durable <= log.last && log.durable >= durable, `durable ${log.durable} of ${log.last}`);
        durable = log.durable;
      }
      await under.settle(log);
      same(log.durable, 30, 'what is durable in the end');
    }),
    test('keeps snapshots of positions that it has, and finds the newest before a position', async () => {
      const log = await begun(9);
      const at = (position: number): LogSnapshot => snapshotOf(stateAt(log, countUp, position + 1));
      log.putSnapshot(at(6));
      log.putSnapshot(at(3));
      const positions = (one: EventLog): unknown[] =>
        [9, 6, 5, 3, 2, 0].map((position) => one.snapshot(position)?.position);
      const again = await opened(log);
      same(positions(again), [6, 6, 3, 3, 0, 0], 'snapshots at or before 9, 6, 5, 3, 2, 0');
      same(again.snapshot(), at(6), 'the newest');
      throws('LOG_SNAPSHOT_INVALID', () => again.putSnapshot({ ...at(6), position: 5 }));
      throws('LOG_SNAPSHOT_INVALID', () => again.putSnapshot({ ...at(9), position: 10 }));
    }),
    test('compacts: what is before is gone, every later version stays as it was', async () => {
      const log = await begun(20);
      const before = rehydrate(log, countUp);
      const versions = Array.from({ length: 9 }, (_, index) => stateAt(log, countUp, 13 + index).root.hash);
      await under.settle(log);
      throws('LOG_SNAPSHOT_MISSING', () => log.compact(12));
      compactLog(log, countUp, 12);
      log.append(20, sampleEntries(21, 2));
      const again = await opened(log);
      same([again.base, again.last, again.durable], [12, 22, 22], 'base, last and durable');
      same(again.read(12), sampleEntries(13, 10), 'the entries that are left');
      throws('LOG_COMPACTED', () => again.read(11));
      throws('LOG_COMPACTED', () => stateAt(again, countUp, 12));
      for (const [index, hash] of versions.entries())
        same(stateAt(again, countUp, 13 + index).root.hash, hash, 'a root');
      same(snapshotOf(stateAt(again, countUp, 21)), snapshotOf(before), 'the state before the last two');
      same(replay(again, countUp).root.hash, rehydrate(again, countUp).root.hash, 'the root');
    }),
    test('is restored from its backup', async () => {
      const log = await begun(8);
      await under.settle(log);
      compactLog(log, countUp, 2);
      log.putSnapshot(snapshotOf(stateAt(log, countUp, 6)));
      await under.settle(log);
      const copy = await under.create();
      const backup = backupLog(log);
      restoreLog(backup, copy, countUp);
      same([copy.base, copy.last, copy.snapshot()], [2, 8, log.snapshot()], 'base, last and newest snapshot');
      same((await opened(copy)).read(2), log.read(2), 'the entries');
      throws('LOG_CONFLICT', () => restoreLog(backup, copy, countUp));
    }),
  ];
}

const COUNTER = recordKey('count/all');
const WRITER = replicaId('writer');

/** Sets the count that the event says. */
const countUp: Reducer = (_state, { data }) => [{ op: 'put', key: COUNTER, record: { count: data as number } }];

function rootAt(count: number): StateRoot {
  return StateRoot.from([[COUNTER, { count }]]);
}

function sampleSnapshot(): LogSnapshot {
  const records = [{ key: COUNTER, record: { count: 0 } }];
  return { position: 0, version: 1, root: rootAt(0).hash, time: 0, records, writers: [] };
}

/** Entries from a position on, each of which counts up. */
function sampleEntries(from: number, count: number): LogEntry[] {
  return Array.from({ length: count }, (_, index) => {
    const position = from + index;
    return {
      outcome: 'committed',
      position,
      version: position + 1,
      root: rootAt(position).hash,
      time: position * 10,
      mutation: { writer: WRITER, counter: position },
      seen: position,
      command: 'count',
      events: [{ type: 'COUNTED', player: 'writer', detail: 'up', data: position }],
    };
  });
}

function holds(isTrue: boolean, what: string): void {
  if (!isTrue) throw new Error(`the log breaks its contract: ${what}`);
}

function same(got: unknown, wanted: unknown, what: string): void {
  const texts = [got, wanted].map((one) => toHex(canonicalBytes(defined(one))));
  holds(texts[0] === texts[1], `${what}: ${JSON.stringify(got)}, not ${JSON.stringify(wanted)}`);
}

/** Absence, which has no canonical bytes, as a value. */
function defined(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(defined);
  return value === undefined ? 'nothing' : value;
}

function throws(code: string, run: () => void): void {
  try {
    run();
  } catch (error) {
    holds(isSyncError(error, code), `${String(error)}, not ${code}`);
    return;
  }
  holds(false, `nothing was thrown, not ${code}`);
}
