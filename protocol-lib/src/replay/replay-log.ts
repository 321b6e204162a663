import { SyncError } from '../errors/index.ts';
import {
  type Durability,
  type EventLog,
  encodeSnapshot,
  type LogEntry,
  LogIndex,
  type LogSnapshot,
  SharedEventLog,
  snapshotOf,
} from '../events/index.ts';
import type { StateRoot } from '../merkle/index.ts';
import type { AuthorityStanding } from '../sync/index.ts';

/** A log whose entries become durable when the recording says that they did. */
export class ReplayLog implements EventLog {
  readonly durability: Durability;
  readonly #index: LogIndex;
  #durable: number;
  /** Whether what it begins with is not all that it held. */
  #isPartial = false;
  #failure: SyncError | undefined;

  private constructor(index: LogIndex, durability: Durability) {
    this.#index = index;
    this.#durable = index.last;
    this.durability = durability;
  }

  /**
   * What a process found that began with entries up to `last` of the log that `before` was; nothing where `last` is -1.
   * @throws SyncError `REPLAY_LOG_UNKNOWN` where the recording does not hold those entries
   */
  static open(before: ReplayLog | undefined, last: number, durability: Durability): ReplayLog {
    const index = new LogIndex();
    if (last < 0) return new ReplayLog(index, durability);
    const first = before?.snapshot(last);
    if (!before || before.#isPartial || !first || before.last < last) {
      const text = `the authority began with a log of ${last} entries that were written before this recording`;
      throw new SyncError('REPLAY_LOG_UNKNOWN', text, { origin: 'capture' });
    }
    index.putSnapshot(first);
    for (const entry of before.read(first.position, last - first.position)) index.append(index.last, [entry]);
    return new ReplayLog(index, durability);
  }

  /** The same of one that others append to as well. Nothing is on its way in it. */
  static sharedAt({ durability, state }: AuthorityStanding, root: StateRoot): SharedEventLog {
    const { log, version, ledger, incarnation } = state;
    const { taken: position = 0 } = log ?? {};
    const writers = new Map(
      ledger.writers.map(({ replica: writer, counter }) => [writer, { writer, counter, position, refusals: [] }]),
    );
    const shared = new SharedEventLog(durability ?? 'broker');
    // What another has appended may be older than what was here on its way and was overtaken.
    shared.begin(encodeSnapshot(snapshotOf({ position, version, root, time: 0, writers, incarnation })));
    return shared;
  }

  /** The log of an authority that goes on: as long as it was, with nothing in it that another one could begin with. */
  static at({ durability, state }: AuthorityStanding, root: StateRoot): ReplayLog {
    const { log, version, ledger, incarnation } = state;
    const { position = 0, taken = 0, time = 0, waiting = [] } = log ?? {};
    const counters = new Map(ledger.writers.map(({ replica, counter }) => [replica, counter]));
    let head = root;
    for (const { mutation, changes = [] } of waiting) {
      counters.set(mutation.writer, mutation.counter);
      head = head.apply(changes);
    }
    const writers = new Map(
      [...counters].map(([writer, counter]) => [writer, { writer, counter, position, refusals: [] }]),
    );
    const index = new LogIndex();
    const last = waiting.at(-1)?.version ?? version;
    index.putSnapshot(snapshotOf({ position, version: last, root: head, time, writers, incarnation }));
    const replayed = new ReplayLog(index, durability ?? 'memory');
    replayed.#durable = taken;
    replayed.#isPartial = true;
    return replayed;
  }

  get base(): number {
    return this.#index.base;
  }

  get last(): number {
    return this.#index.last;
  }

  get durable(): number {
    return this.#durable;
  }

  get failure(): SyncError | undefined {
    return this.#failure;
  }

  /** As the recording says. More than was appended here cannot have become durable here. */
  settle(durable: number, failure: string | undefined): void {
    this.#durable = Math.min(durable, this.#index.last);
    if (failure !== undefined) this.#failure = new SyncError('LOG_FAILED', failure, { origin: 'state' });
  }

  append(expected: number, entries: readonly LogEntry[]): void {
    if (this.#failure) throw this.#failure;
    this.#index.append(expected, entries);
  }

  read(after: number, limit?: number): LogEntry[] {
    return this.#index.read(after, limit);
  }

  snapshot(atMost?: number): LogSnapshot | undefined {
    return this.#index.snapshot(atMost);
  }

  putSnapshot(snapshot: LogSnapshot): void {
    if (this.#failure) throw this.#failure;
    this.#index.putSnapshot(snapshot);
  }

  compact(position: number): void {
    if (this.#failure) throw this.#failure;
    this.#index.compact(position);
  }
}
