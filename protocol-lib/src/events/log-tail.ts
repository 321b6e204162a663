import { SyncError } from '../errors/index.ts';
import type { ReplicaId } from '../state/index.ts';
import type { LogEntry, LogSnapshot } from './entry.ts';

/**
 * The end of a log, and the rules of what may follow upon it. A {@link LogTail.fork} goes its own way: what it is told of
 * does not reach the tail that it came from.
 */
export class LogTail {
  #position = -1;
  #version = 0;
  #root = '';
  #time = 0;
  /** Last settled counter of each writer, where it differs from the origin's. */
  readonly #counters = new Map<ReplicaId, number>();
  readonly #origin: LogTail | undefined;

  private constructor(origin?: LogTail) {
    this.#origin = origin;
    if (!origin) return;
    this.#position = origin.#position;
    this.#version = origin.#version;
    this.#root = origin.#root;
    this.#time = origin.#time;
  }

  /** Of a log that has not begun. */
  static empty(): LogTail {
    return new LogTail();
  }

  static at({ position, version, root, time, writers }: Omit<LogSnapshot, 'records'>): LogTail {
    const tail = new LogTail();
    tail.#position = position;
    tail.#version = version;
    tail.#root = root;
    tail.#time = time;
    for (const { writer, counter } of writers) tail.#counters.set(writer, counter);
    return tail;
  }

  /** Position of the last entry; -1 where the log has not begun. */
  get position(): number {
    return this.#position;
  }

  /** A tail that goes on from here. This one may go on meanwhile, with what the fork was told of. */
  fork(): LogTail {
    return new LogTail(this);
  }

  /** Makes a fork's entries this one's own. */
  adopt(fork: LogTail): void {
    for (const [writer, counter] of fork.#counters) this.#counters.set(writer, counter);
    this.#position = fork.#position;
    this.#version = fork.#version;
    this.#root = fork.#root;
    this.#time = fork.#time;
  }

  /**
   * Goes on behind an entry.
   * @throws SyncError `LOG_ENTRY_INVALID` where its position, version, root, time or mutation does not follow; nothing changes then
   */
  advance(entry: LogEntry): void {
    const { version, time, mutation, outcome, position, root } = entry;
    const fail = (text: string): never => {
      throw logError('LOG_ENTRY_INVALID', `entry ${position}: ${text}`, version);
    };
    if (position !== this.#position + 1) fail(`position ${this.#position + 1} is next`);
    const isRisen = version === this.#version + 1 && outcome === 'committed';
    if (version !== this.#version && !isRisen) fail(`version ${version} cannot follow upon ${this.#version}`);
    if (!isRisen && root !== this.#root) fail(`the root of version ${version} is ${this.#root}, not ${root}`);
    if (time < this.#time) fail(`time ${time} is before that of the entry before, ${this.#time}`);
    const { writer, counter } = mutation;
    const settled = this.#settled(writer);
    if (counter <= settled) fail(`mutation ${counter} of ${writer} was settled before`);
    if (outcome !== 'adopted' && counter !== settled + 1) fail(`mutation ${settled + 1} of ${writer} is next`);
    this.#position = position;
    this.#version = version;
    this.#root = root;
    this.#time = time;
    this.#counters.set(writer, counter);
  }

  #settled(writer: ReplicaId): number {
    return this.#counters.get(writer) ?? (this.#origin ? this.#origin.#settled(writer) : 0);
  }
}

/** @throws SyncError `LOG_NOT_BEGUN`, `LOG_CONFLICT` where entries cannot be appended behind `expected` */
export function checkExpected(expected: number, last: number): void {
  if (last < 0) throw logError('LOG_NOT_BEGUN', 'a log begins with a snapshot: put one first');
  if (expected === last) return;
  const text = `the log ends at ${last}, not at ${expected}: somebody else has appended, or an entry was lost`;
  throw logError('LOG_CONFLICT', text, last);
}

export function logError(code: string, text: string, version?: number): SyncError {
  return new SyncError(code, text, { origin: 'state', ...(version === undefined ? {} : { place: { version } }) });
}
