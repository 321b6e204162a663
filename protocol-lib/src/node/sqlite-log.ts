import { chmodSync } from 'node:fs';
import { backup, type DatabaseSync, type StatementSync } from 'node:sqlite';
import { crc32 } from 'node:zlib';
import type { SyncError } from '../errors/index.ts';
import {
  checkExpected,
  decodeEntry,
  decodeSnapshot,
  type EventLog,
  encodeEntry,
  encodeSnapshot,
  type LogEntry,
  type LogSnapshot,
  LogTail,
  logError,
} from '../events/index.ts';
import { checkedTail, fileError, logFault, numberOf, openLogFile, rowBytes } from './sqlite-log-file.ts';

const ALL_PAGES = 2 ** 31 - 1;

export interface SqliteLogOptions {
  /**
   * `log`, the default: what is durable is on the medium (`synchronous=FULL`). `process`: it is the operating system's, and is lost
   * where the machine goes down.
   */
  readonly durability?: 'log' | 'process';
  /** Nothing is written; what another process appends meanwhile is not seen. */
  readonly readOnly?: boolean;
  /** What the file may grow to, in bytes; as a full disk after that. */
  readonly maxBytes?: number;
  /** Kept in the file where they are new, such as the session's name. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Called after something has become durable, or never will. */
  readonly onDurable?: () => void;
}

/**
 * A log in a SQLite file. Everything that is handed over in one turn of the event loop is one transaction, and becomes durable together.
 * Nothing is kept in memory but its end. Of two processes that append to one file, the second finds out (`LOG_CONFLICT`) and stops.
 */
export class SqliteEventLog implements EventLog {
  readonly durability: 'log' | 'process';
  readonly path: string;
  readonly #database: DatabaseSync;
  readonly #isReadOnly: boolean;
  readonly #onDurable: () => void;
  readonly #insert: StatementSync;
  readonly #select: StatementSync;
  readonly #selectSnapshot: StatementSync;
  readonly #selectEnd: StatementSync;
  readonly #begins: StatementSync;
  readonly #commits: StatementSync;
  readonly #tail: LogTail;
  #base: number;
  #durable: number;
  #failure: SyncError | undefined;
  #commit: NodeJS.Immediate | undefined;
  #isInTransaction = false;
  #isClosed = false;

  /**
   * Opens a log, or begins an empty one, and checks everything in it.
   * @throws SyncError `LOG_UNREADABLE` it cannot be opened or is none; `LOG_FORMAT_UNSUPPORTED` another version's;
   * `LOG_DAMAGED` what was durable is not what was written; `LOG_BUSY`; `LOG_DISK_FULL`; `LOG_FAILED`
   */
  constructor(path: string, options: SqliteLogOptions = {}) {
    const { durability = 'log', readOnly = false, maxBytes, settings = {}, onDurable } = options;
    this.path = path;
    this.durability = durability;
    this.#isReadOnly = readOnly;
    this.#onDurable = onDurable ?? (() => undefined);
    this.#database = openLogFile(path, { readOnly, durability });
    try {
      // A log holds whatever the session held.
      if (!readOnly) chmodSync(path, 0o600);
      this.#tail = checkedTail(this.#database);
      this.#base = numberOf(this.#database, 'SELECT min(position) AS value FROM snapshot');
      if (this.#tail.position < 0) this.#base = -1;
      this.#durable = this.#tail.position;
      const select = (table: string, rest: string): StatementSync =>
        this.#database.prepare(`SELECT position, bytes, crc FROM ${table} WHERE ${rest}`);
      this.#select = select('entry', 'position > ? ORDER BY position LIMIT ?');
      this.#selectSnapshot = select('snapshot', 'position <= ? ORDER BY position DESC LIMIT 1');
      // At the end of a compacted log there is a snapshot and no entry.
      this.#selectEnd = this.#database.prepare(
        'SELECT max((SELECT max(position) FROM entry), (SELECT max(position) FROM snapshot)) AS last, (SELECT max(position) FROM snapshot) AS least',
      );
      this.#begins = this.#database.prepare('BEGIN IMMEDIATE');
      this.#commits = this.#database.prepare('COMMIT');
      this.#insert = this.#database.prepare('INSERT INTO entry (position, bytes, crc) VALUES (?, ?, ?)');
      if (!readOnly) this.#keepSettings(settings, maxBytes);
    } catch (error) {
      this.#database.close();
      throw logFault(error, path);
    }
  }

  #keepSettings(settings: Readonly<Record<string, string>>, maxBytes: number | undefined): void {
    const insert = this.#database.prepare('INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING');
    for (const [name, value] of Object.entries(settings)) insert.run(name, value);
    if (maxBytes === undefined) return;
    const pages = Math.max(1, Math.floor(maxBytes / numberOf(this.#database, 'PRAGMA page_size', 'page_size')));
    this.#database.exec(`PRAGMA max_page_count = ${pages}`);
  }

  /** What was kept with the log when it was begun. */
  get settings(): Readonly<Record<string, string>> {
    const rows = this.#database.prepare('SELECT name, value FROM setting').all();
    return Object.fromEntries(rows.map(({ name, value }) => [String(name), String(value)]));
  }

  get base(): number {
    return this.#base;
  }

  get last(): number {
    return this.#tail.position;
  }

  get durable(): number {
    return this.#durable;
  }

  get failure(): SyncError | undefined {
    return this.#failure;
  }

  append(expected: number, entries: readonly LogEntry[]): void {
    this.#checkWritable();
    checkExpected(expected, this.last);
    const tail = this.#tail.fork();
    const encoded = entries.map((entry) => {
      const bytes = encodeEntry(entry);
      tail.advance(entry);
      return bytes;
    });
    this.#write(() => {
      for (const [index, bytes] of encoded.entries()) this.#insert.run(expected + index + 1, bytes, crc32(bytes));
    });
    this.#tail.adopt(tail);
  }

  read(after: number, limit = Number.MAX_SAFE_INTEGER): LogEntry[] {
    if (after < this.#base) {
      throw logError('LOG_COMPACTED', `entries up to ${this.#base} are gone; the oldest state is that snapshot`);
    }
    return this.#select.all(after, Math.min(limit, Number.MAX_SAFE_INTEGER)).map((row) => {
      return decodeEntry(rowBytes(row, 'entry'));
    });
  }

  snapshot(atMost = this.last): LogSnapshot | undefined {
    const row = this.#selectSnapshot.get(atMost);
    return row && decodeSnapshot(rowBytes(row, 'snapshot'));
  }

  putSnapshot(snapshot: LogSnapshot): void {
    this.#checkWritable();
    const bytes = encodeSnapshot(snapshot);
    const { position } = snapshot;
    const begins = this.#base < 0;
    if (!begins) this.#checkSnapshot(snapshot);
    const sql = 'INSERT OR REPLACE INTO snapshot (position, bytes, crc) VALUES (?, ?, ?)';
    this.#write(() => this.#database.prepare(sql).run(position, bytes, crc32(bytes)));
    if (!begins) return;
    this.#base = position;
    this.#tail.adopt(LogTail.at(snapshot));
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

  compact(position: number): void {
    this.#checkWritable();
    if (this.#selectSnapshot.get(position)?.position !== position) {
      const text = `there is no snapshot at ${position}: put one before dropping what is before`;
      throw logError('LOG_SNAPSHOT_MISSING', text);
    }
    this.#write(() => {
      this.#database.prepare('DELETE FROM entry WHERE position <= ?').run(position);
      this.#database.prepare('DELETE FROM snapshot WHERE position < ?').run(position);
    });
    this.#base = position;
  }

  /** Makes durable what was handed over, at once. @throws SyncError {@link failure} */
  flush(): void {
    if (this.#isInTransaction) this.#onCommit();
    if (this.#failure) throw this.#failure;
  }

  /**
   * Writes a copy of all that is durable now, while the log goes on.
   * @throws SyncError `LOG_BACKUP_FAILED` where the copy cannot be written
   */
  async backup(to: string): Promise<void> {
    if (this.#isInTransaction) this.#onCommit();
    // A connection of its own, which this one does not disturb, and one step: one moment of the log.
    const source = openLogFile(this.path, { readOnly: true, durability: this.durability });
    try {
      await backup(source, to, { rate: ALL_PAGES });
      chmodSync(to, 0o600);
    } catch (error) {
      const said = error instanceof Error ? error.message : String(error);
      throw fileError('LOG_BACKUP_FAILED', to, `cannot be written (${said})`, error);
    } finally {
      source.close();
    }
  }

  /** Makes durable what was handed over, and lets go of the file. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#isInTransaction) this.#onCommit();
    this.#database.close();
  }

  #checkWritable(): void {
    if (this.#failure) throw this.#failure;
    if (this.#isReadOnly || this.#isClosed) {
      throw fileError('LOG_READ_ONLY', this.path, this.#isClosed ? 'is closed' : 'was opened for reading');
    }
  }

  #write(write: () => void): void {
    try {
      this.#begin();
      write();
    } catch (error) {
      throw this.#fail(error);
    }
  }

  /** Takes the right to write, and looks whether somebody else had it meanwhile. */
  #begin(): void {
    if (this.#isInTransaction) return;
    this.#begins.run();
    this.#isInTransaction = true;
    this.#commit = setImmediate(() => this.#onCommit());
    const end = this.#selectEnd.get();
    const last = Number(end?.last ?? end?.least ?? -1);
    checkEnd(this.last, last);
  }

  #onCommit(): void {
    clearImmediate(this.#commit);
    this.#isInTransaction = false;
    const { last } = this;
    try {
      this.#commits.run();
      this.#durable = last;
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#onDurable();
  }

  #fail(error: unknown): SyncError {
    clearImmediate(this.#commit);
    this.#isInTransaction = false;
    // SQLite has taken back a transaction of some errors by itself.
    if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
    this.#failure ??= logFault(error, this.path);
    setImmediate(this.#onDurable);
    return this.#failure;
  }
}

function checkEnd(known: number, last: number): void {
  if (known === last) return;
  throw logError('LOG_CONFLICT', `the log ends at ${last}, not at ${known}: another process has appended to it`, last);
}
