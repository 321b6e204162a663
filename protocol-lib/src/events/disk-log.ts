import { SyncError } from '../errors/index.ts';
import type { ByteSource } from '../ports/index.ts';
import type { LogDisk } from './disk.ts';
import { encodeSnapshot, type LogEntry, type LogSnapshot } from './entry.ts';
import type { EventLog } from './event-log.ts';
import { encodeFrame, FRAME_KINDS, joinBytes, readLogFile, writeLogFile } from './log-file.ts';
import type { LogIndex } from './log-index.ts';

/**
 * A log on a disk. What is appended while a flush is under way goes out together with the next one. Everything that can be
 * read is kept in memory as well, so compact it.
 */
export class DiskEventLog implements EventLog {
  readonly durability = 'log';
  readonly #index: LogIndex;
  readonly #disk: LogDisk;
  #durable: number;
  #failure: SyncError | undefined;
  #waiting: Uint8Array[] = [];
  #mustRewrite = false;
  #isBusy = false;

  private constructor(index: LogIndex, disk: LogDisk) {
    this.#index = index;
    this.#disk = disk;
    this.#durable = index.last;
  }

  /**
   * Opens the log whose bytes are `contents`: cuts a torn tail, makes what is left durable by writing it anew, and only then
   * hands it out, so that nothing is ever built on what another crash could take away. The disk's first operation is a `replace`.
   * @throws SyncError as `readLogFile`
   */
  static open(contents: Uint8Array, disk: LogDisk, done: (log: DiskEventLog | SyncError) => void): void {
    const { index } = readLogFile(contents);
    const log = new DiskEventLog(index, disk);
    disk.replace(writeLogFile(index), (error) => done(error === undefined ? log : diskError(error)));
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

  append(expected: number, entries: readonly LogEntry[]): void {
    this.#checkFailure();
    const known = this.#durable + 1;
    for (const bytes of this.#index.append(expected, entries)) {
      this.#waiting.push(encodeFrame(FRAME_KINDS.entry, known, bytes));
    }
    this.#write();
  }

  read(after: number, limit?: number): LogEntry[] {
    return this.#index.read(after, limit);
  }

  snapshot(atMost?: number): LogSnapshot | undefined {
    return this.#index.snapshot(atMost);
  }

  putSnapshot(snapshot: LogSnapshot): void {
    this.#checkFailure();
    this.#index.putSnapshot(snapshot);
    this.#waiting.push(encodeFrame(FRAME_KINDS.snapshot, this.#durable + 1, encodeSnapshot(snapshot)));
    this.#write();
  }

  compact(position: number): void {
    this.#checkFailure();
    this.#index.compact(position);
    this.#mustRewrite = true;
    this.#write();
  }

  #checkFailure(): void {
    if (this.#failure) throw this.#failure;
  }

  #write(): void {
    if (this.#isBusy || this.#failure || (!this.#mustRewrite && this.#waiting.length === 0)) return;
    this.#isBusy = true;
    const last = this.#index.last;
    const waiting = this.#waiting;
    this.#waiting = [];
    const done = (error?: unknown): void => this.#onDone(last, error);
    if (this.#mustRewrite) {
      this.#mustRewrite = false;
      this.#disk.replace(writeLogFile(this.#index), done);
    } else {
      this.#disk.append(joinBytes(waiting));
      this.#disk.flush(done);
    }
  }

  #onDone(last: number, error: unknown): void {
    this.#isBusy = false;
    if (error === undefined) {
      this.#durable = last;
      this.#write();
    } else {
      this.#failure = diskError(error);
    }
  }
}

/** {@link DiskEventLog.open} with the bytes of a source, such as the log's file. */
export async function openDiskLog(source: ByteSource, disk: LogDisk): Promise<DiskEventLog> {
  const contents = await source.read(0, await source.size());
  return new Promise((resolve, reject) => {
    DiskEventLog.open(contents, disk, (log) => (log instanceof SyncError ? reject(log) : resolve(log)));
  });
}

function diskError(cause: unknown): SyncError {
  const text = `the log cannot be made durable (${cause instanceof Error ? cause.message : String(cause)}): end the process and start it again`;
  return new SyncError('LOG_FAILED', text, { origin: 'state', cause });
}
