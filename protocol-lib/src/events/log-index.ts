import { isSyncError, type SyncError } from '../errors/index.ts';
import { decodeEntry, decodeSnapshot, encodeEntry, encodeSnapshot, type LogEntry, type LogSnapshot } from './entry.ts';
import { checkExpected, LogTail, logError } from './log-tail.ts';

export { logError } from './log-tail.ts';

/** The contents of a log as canonical bytes in memory, and the rules of what may follow upon what. For implementations of `EventLog`. */
export class LogIndex {
  #base = -1;
  #entries: Uint8Array[] = [];
  /** By position, ascending. */
  #snapshots = new Map<number, Uint8Array>();
  #tail = LogTail.empty();

  get base(): number {
    return this.#base;
  }

  get last(): number {
    return this.#base + this.#entries.length;
  }

  /** Appends entries, all or none, and answers their bytes. @throws SyncError as `EventLog.append` */
  append(expected: number, entries: readonly LogEntry[]): Uint8Array[] {
    checkExpected(expected, this.last);
    const tail = this.#tail.fork();
    const encoded = entries.map((entry) => {
      const bytes = encodeEntry(entry);
      tail.advance(entry);
      return bytes;
    });
    this.#tail.adopt(tail);
    this.#entries.push(...encoded);
    return encoded;
  }

  /** Appends one entry whose canonical bytes are known. @throws SyncError as `EventLog.append` */
  appendBytes(entry: LogEntry, bytes: Uint8Array): void {
    checkExpected(entry.position - 1, this.last);
    this.#tail.advance(entry);
    this.#entries.push(bytes);
  }

  /** The end, for whoever writes ahead of the log. */
  get tail(): LogTail {
    return this.#tail;
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
    const { position } = snapshot;
    if (this.#base < 0) {
      this.#base = position;
      this.#tail = LogTail.at(snapshot);
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

/** Whether an error of a log says that this entry cannot be written, rather than that none can. */
export function isEntryFault(error: unknown): error is SyncError {
  return isSyncError(error) && (!error.code.startsWith('LOG_') || error.code === 'LOG_ENTRY_INVALID');
}
