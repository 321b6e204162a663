import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { SyncError } from '../errors/index.ts';
import {
  checkRevision,
  checkWrites,
  type OfflineStorage,
  type StorageContents,
  type StorageWrite,
  storageError,
} from '../offline/index.ts';

/** Marks a database as one of ours (`PRAGMA application_id`), as SQLite asks of file formats that are built on it. */
const APPLICATION_ID = 0x53796e63;
/** The layout of the tables (`PRAGMA user_version`). */
const LAYOUT = 1;
/** How long a write waits for another process's, in milliseconds. */
const BUSY_TIMEOUT = 5_000;

/** SQLite's result codes, the first byte of an extended one. */
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_NOTADB = 26;

export interface SqliteStorageOptions {
  /** Bytes that the database may take; without end where absent. */
  readonly maxBytes?: number;
}

/**
 * A device's storage in a SQLite file, which several processes may share. With write-ahead log and `synchronous=FULL`, a write that has
 * resolved survives a crash of the process and of the machine.
 */
export class SqliteStorage implements OfflineStorage {
  readonly durability = 'disk';
  readonly path: string;
  readonly #database: DatabaseSync;
  readonly #statements: Readonly<Record<'revision' | 'rows' | 'put' | 'remove' | 'count', StatementSync>>;
  #isClosed = false;

  /**
   * Opens the file, and makes it where there is none.
   * @throws SyncError `STORAGE_FOREIGN` where it is a database of something else; `STORAGE_NEWER`; `STORAGE_DAMAGED`; `STORAGE_FAILED`
   */
  constructor(path: string, options: SqliteStorageOptions = {}) {
    this.path = path;
    this.#database = guarded(path, () => new DatabaseSync(path, { timeout: BUSY_TIMEOUT }));
    try {
      this.#statements = guarded(path, () => {
        this.#claim();
        this.#limit(options.maxBytes);
        return this.#prepare();
      });
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  async revision(): Promise<number> {
    return this.#guarded(() => this.#revision());
  }

  async read(): Promise<StorageContents> {
    return this.#guarded(() =>
      this.#transaction('BEGIN', () => {
        const rows = new Map<string, Uint8Array>();
        for (const { key, value } of this.#statements.rows.all()) {
          if (typeof key !== 'string' || !(value instanceof Uint8Array)) {
            throw storageError('STORAGE_DAMAGED', `${this.path} holds a row of a wrong kind`);
          }
          rows.set(key, new Uint8Array(value));
        }
        const sorted = [...rows].sort(([a], [b]) => (a < b ? -1 : 1));
        return { revision: this.#revision(), rows: new Map(sorted) };
      }),
    );
  }

  async write(expected: number, writes: readonly StorageWrite[]): Promise<number> {
    checkWrites(writes);
    return this.#guarded(() =>
      this.#transaction('BEGIN IMMEDIATE', () => {
        checkRevision(this.#revision(), expected);
        for (const { key, value } of writes) {
          if (value === null) this.#statements.remove.run(key);
          else this.#statements.put.run(key, value);
        }
        this.#statements.count.run();
        return expected + 1;
      }),
    );
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#database.close();
  }

  /** Makes the tables of a new file; leaves one that is not ours alone. */
  #claim(): void {
    const application = this.#pragma('application_id');
    const layout = this.#pragma('user_version');
    const tables = Number(this.#database.prepare('SELECT count(*) AS n FROM sqlite_master').get()?.n);
    if (application !== APPLICATION_ID && (application !== 0 || layout !== 0 || tables > 0)) {
      throw storageError('STORAGE_FOREIGN', `${this.path} is a database of something else`);
    }
    if (layout > LAYOUT) {
      const text = `${this.path} has layout ${layout}, this build reads up to ${LAYOUT}: upgrade the app`;
      throw storageError('STORAGE_NEWER', text);
    }
    this.#database.exec('PRAGMA journal_mode = WAL');
    this.#database.exec('PRAGMA synchronous = FULL');
    if (layout === LAYOUT) return;
    this.#transaction('BEGIN IMMEDIATE', () => {
      // Somebody else may have made them meanwhile.
      this.#database.exec(`
        CREATE TABLE IF NOT EXISTS rows (key TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS revision (one INTEGER PRIMARY KEY CHECK (one = 1), revision INTEGER NOT NULL);
        INSERT OR IGNORE INTO revision VALUES (1, 0);
        PRAGMA application_id = ${APPLICATION_ID};
        PRAGMA user_version = ${LAYOUT};
      `);
    });
  }

  #limit(maxBytes: number | undefined): void {
    if (maxBytes === undefined) return;
    const pages = Math.max(1, Math.floor(maxBytes / this.#pragma('page_size')));
    this.#database.exec(`PRAGMA max_page_count = ${pages}`);
  }

  #prepare() {
    return {
      revision: this.#database.prepare('SELECT revision FROM revision'),
      rows: this.#database.prepare('SELECT key, value FROM rows'),
      put: this.#database.prepare(
        'INSERT INTO rows VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
      ),
      remove: this.#database.prepare('DELETE FROM rows WHERE key = ?'),
      count: this.#database.prepare('UPDATE revision SET revision = revision + 1'),
    };
  }

  #pragma(name: string): number {
    return Number(Object.values(this.#database.prepare(`PRAGMA ${name}`).get() ?? {})[0] ?? 0);
  }

  #revision(): number {
    const revision = this.#statements.revision.get()?.revision;
    if (Number.isSafeInteger(revision) && (revision as number) >= 0) return revision as number;
    throw storageError('STORAGE_DAMAGED', `${this.path} has lost count of its writes`);
  }

  #transaction<T>(begin: string, run: () => T): T {
    this.#database.exec(begin);
    let result: T;
    try {
      result = run();
      this.#database.exec('COMMIT');
    } catch (error) {
      // Some errors have ended it already.
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw error;
    }
    return result;
  }

  #guarded<T>(run: () => T): T {
    if (this.#isClosed) throw storageError('STORAGE_CLOSED', 'this storage was closed');
    return guarded(this.path, run);
  }
}

/** SQLite's errors as ours. */
function guarded<T>(path: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof SyncError || error instanceof RangeError) throw error;
    const code = Number((error as { errcode?: unknown }).errcode) & 0xff;
    const text = error instanceof Error ? error.message : String(error);
    if (code === SQLITE_FULL) throw storageError('STORAGE_FULL', `${path}: ${text}`, error);
    if (code === SQLITE_NOTADB) throw storageError('STORAGE_FOREIGN', `${path} is no database`, error);
    if (code === SQLITE_CORRUPT) throw storageError('STORAGE_DAMAGED', `${path}: ${text}`, error);
    throw storageError('STORAGE_FAILED', `${path}: ${text}`, error);
  }
}
