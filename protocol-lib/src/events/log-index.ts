import { isSyncError, SyncError } from '../errors/index.ts';
import type { ReplicaId } from '../state/index.ts';
import { decodeEntry, decodeSnapshot, encodeEntry, encodeSnapshot, type LogEntry, type LogSnapshot } from './entry.ts';

interface Tail {
  version: number;
  root: string;
  time: number;
  /** Last settled counter of each writer. */
  readonly counters: Map<ReplicaId, number>;
}

/** The contents of a log as canonical bytes in memory, and the rules of what may follow upon what. For implementations of `EventLog`. */
export class LogIndex {
  #base = -1;
  #entries: Uint8Array[] = [];
  /** By position, ascending. */
  #snapshots = new Map<number, Uint8Array>();
  #tail: Tail = { version: 0, root: '', time: 0, counters: new Map() };

  get base(): number {
    return this.#base;
  }

  get last(): number {
    return this.#base + this.#entries.length;
  }

  /** Appends entries, all or none, and answers their bytes. @throws SyncError as `EventLog.append` */
  append(expected: number, entries: readonly LogEntry[]): Uint8Array[] {
    if (this.#base < 0) throw logError('LOG_NOT_BEGUN', 'a log begins with a snapshot: put one first');
    if (expected !== this.last) {
      const text = `the log ends at ${this.last}, not at ${expected}: somebody else has appended, or an entry was lost`;
      throw logError('LOG_CONFLICT', text, this.last);
    }
    const tail = { ...this.#tail, counters: new Map<ReplicaId, number>() };
    const encoded: Uint8Array[] = [];
    for (const entry of entries) {
      const bytes = encodeEntry(entry);
      this.#check(tail, entry, expected + encoded.length + 1);
      encoded.push(bytes);
    }
    for (const [writer, counter] of tail.counters) this.#tail.counters.set(writer, counter);
    this.#tail = { ...tail, counters: this.#tail.counters };
    this.#entries.push(...encoded);
    return encoded;
  }

  /** Moves `tail` behind the entry. */
  #check(tail: Tail, entry: LogEntry, position: number): void {
    const { version, time, mutation, outcome } = entry;
    const fail = (text: string): never => {
      throw logError('LOG_ENTRY_INVALID', `entry ${entry.position}: ${text}`, version);
    };
    if (entry.position !== position) fail(`position ${position} is next`);
    const isRisen = version === tail.version + 1 && outcome === 'committed';
    if (version !== tail.version && !isRisen) fail(`version ${version} cannot follow upon ${tail.version}`);
    if (!isRisen && entry.root !== tail.root) fail(`the root of version ${version} is ${tail.root}, not ${entry.root}`);
    if (time < tail.time) fail(`time ${time} is before that of the entry before, ${tail.time}`);
    const { writer, counter } = mutation;
    const settled = tail.counters.get(writer) ?? this.#tail.counters.get(writer) ?? 0;
    if (counter <= settled) fail(`mutation ${counter} of ${writer} was settled before`);
    if (outcome !== 'adopted' && counter !== settled + 1) fail(`mutation ${settled + 1} of ${writer} is next`);
    tail.version = version;
    tail.root = entry.root;
    tail.time = time;
    tail.counters.set(writer, counter);
  }

  /** @throws SyncError as `EventLog.read` */
  read(after: number, limit = Number.POSITIVE_INFINITY): LogEntry[] {
    return this.entryBytes(after, limit).map(decodeEntry);
  }

  /** As {@link read}, the canonical bytes. */
  entryBytes(after: number, limit = Number.POSITIVE_INFINITY): Uint8Array[] {
    if (after < this.#base) {
      throw logError('LOG_COMPACTED', `entries up to ${this.#base} are gone; the oldest state is that snapshot`);
    }
    const from = after - this.#base;
    return this.#entries.slice(from, from + limit);
  }

  snapshot(atMost = this.last): LogSnapshot | undefined {
    const position = [...this.#snapshots.keys()].findLast((one) => one <= atMost);
    const bytes = position === undefined ? undefined : this.#snapshots.get(position);
    return bytes && decodeSnapshot(bytes);
  }

  /** Positions and bytes of the snapshots, ascending. */
  get snapshots(): ReadonlyMap<number, Uint8Array> {
    return this.#snapshots;
  }

  /** Keeps a snapshot and answers its bytes. @throws SyncError as `EventLog.putSnapshot` */
  putSnapshot(snapshot: LogSnapshot): Uint8Array {
    const bytes = encodeSnapshot(snapshot);
    const { position, version, root, time, writers } = snapshot;
    if (this.#base < 0) {
      this.#base = position;
      this.#tail = { version, root, time, counters: new Map(writers.map((one) => [one.writer, one.counter])) };
    } else {
      this.#checkSnapshot(snapshot);
    }
    this.#snapshots.set(position, bytes);
    this.#snapshots = new Map([...this.#snapshots].sort(([a], [b]) => a - b));
    return bytes;
  }

  #checkSnapshot({ position, version, root }: LogSnapshot): void {
    const fail = (text: string): never => {
      throw logError('LOG_SNAPSHOT_INVALID', `snapshot at ${position}: ${text}`, version);
    };
    if (position < this.#base || position > this.last) fail(`the log is from ${this.#base} to ${this.last}`);
    const known = position === this.#base ? this.snapshot(position) : this.read(position - 1, 1)[0];
    if (known?.version !== version || known.root !== root) {
      fail(`version ${version} with root ${root}, the log has version ${known?.version} with root ${known?.root}`);
    }
  }

  /** @throws SyncError as `EventLog.compact` */
  compact(position: number): void {
    if (!this.#snapshots.has(position)) {
      throw logError(
        'LOG_SNAPSHOT_MISSING',
        `there is no snapshot at ${position}: put one before dropping what is before`,
      );
    }
    this.#entries.splice(0, position - this.#base);
    this.#base = position;
    for (const one of [...this.#snapshots.keys()]) if (one < position) this.#snapshots.delete(one);
  }
}

export function logError(code: string, text: string, version?: number): SyncError {
  return new SyncError(code, text, { origin: 'state', ...(version === undefined ? {} : { place: { version } }) });
}

/** Whether an error of a log says that this entry cannot be written, rather than that none can. */
export function isEntryFault(error: unknown): error is SyncError {
  return isSyncError(error) && (!error.code.startsWith('LOG_') || error.code === 'LOG_ENTRY_INVALID');
}
