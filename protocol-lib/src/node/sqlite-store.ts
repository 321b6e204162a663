import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { packMsgpack, unpackMsgpack } from '../bytes/index.ts';
import {
  MemoryStore,
  type PrunedVersions,
  type StoreContents,
  type StoreKeeper,
  type StoreOptions,
  type StoreVersion,
  storeVersionSchema,
  versionLinkSchema,
} from '../diffsync/index.ts';
import { isSyncError, SyncError } from '../errors/index.ts';
import { StateRoot } from '../merkle/index.ts';
import { array } from '../schema/index.ts';
import { type Change, changeSchema, type RecordKey, recordKey, recordSchema, type SyncRecord } from '../state/index.ts';

/** Of the tables. A newer one than this is refused. */
export const SQLITE_STORE_FORMAT = 1;

const TABLES = `
  CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS records (key TEXT PRIMARY KEY, record BLOB NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS versions (number INTEGER PRIMARY KEY, version BLOB NOT NULL, changes BLOB NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS links (number INTEGER PRIMARY KEY, link BLOB NOT NULL) STRICT;
`;

const changesSchema = array(changeSchema);

/**
 * A {@link MemoryStore} that a SQLite file keeps: each change, version and link is a transaction, durable when the call returns.
 * The state is read whole when it is opened, and checked against the root and those of all versions. One process at a time: a
 * store of which somebody else has written the file refuses to write.
 */
export class SqliteStore extends MemoryStore {
  readonly #database: DatabaseSync;

  /** Use {@link openSqliteStore}. */
  constructor(name: string, database: DatabaseSync, seen: unknown, contents: StoreContents, options: StoreOptions) {
    const file = new StoreFile(database, seen);
    const keeper: StoreKeeper = {
      applied: (changes, root) => file.write(() => file.putChanges(changes, root)),
      committed: (version, changes, pruned) =>
        file.write(() => {
          file.putVersion(version, changes);
          if (pruned !== undefined) file.prune(pruned);
        }),
      linked: (link) => file.write(() => file.putLink(link)),
    };
    super(name, contents, keeper, options);
    this.#database = database;
  }

  close(): void {
    this.#database.close();
  }
}

/**
 * Opens the store in a file, or begins it; `:memory:` lasts as long as the process.
 * @throws SyncError `STORE_FORMAT`, `STORE_NAME` for another store's file, `STORE_DAMAGED`, `STORE_UNREADABLE`, and as {@link MemoryStore}
 */
export function openSqliteStore(file: string, name: string, options: StoreOptions = {}): SqliteStore {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(file);
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 1000;');
    database.exec(TABLES);
    checkAbout(database, file, name);
    // Before anything is read: whatever is written from here on by others is noticed.
    const seen = dataVersion(database);
    return new SqliteStore(name, database, seen, readContents(database, file), options);
  } catch (cause) {
    database?.close();
    if (isSyncError(cause) && (cause.code.startsWith('STORE_') || cause.origin === 'setting')) throw cause;
    // What does not parse was not written by a store.
    if (isSyncError(cause)) throw damaged(file, cause.message, cause);
    throw new SyncError('STORE_UNREADABLE', `${file} cannot be opened as a store: ${(cause as Error).message}`, {
      origin: 'state',
      place: { file },
      cause,
    });
  }
}

/** Changes when another connection has written to the file, whatever it was. */
function dataVersion(database: DatabaseSync): unknown {
  return database.prepare('PRAGMA data_version').get()?.data_version;
}

function checkAbout(database: DatabaseSync, file: string, name: string): void {
  const about = (key: string, value: string): string => {
    database.prepare('INSERT OR IGNORE INTO about VALUES (?, ?)').run(key, value);
    return String(database.prepare('SELECT value FROM about WHERE name = ?').get(key)?.value);
  };
  const format = about('format', String(SQLITE_STORE_FORMAT));
  if (format !== String(SQLITE_STORE_FORMAT)) {
    const what = `${file} has the format ${format}, this build knows ${SQLITE_STORE_FORMAT}; use a newer one`;
    throw new SyncError('STORE_FORMAT', what, { origin: 'state', place: { file } });
  }
  const owner = about('store', name);
  if (owner !== name) {
    throw new SyncError('STORE_NAME', `${file} is the store ${owner}, not ${name}`, {
      origin: 'state',
      place: { file },
    });
  }
  about('root', StateRoot.empty.hash);
}

function readContents(database: DatabaseSync, file: string): StoreContents {
  const records = database.prepare('SELECT key, record FROM records').all() as { key: string; record: Uint8Array }[];
  const root = StateRoot.from(
    records.map(({ key, record }): [RecordKey, SyncRecord] => [
      recordKey(key),
      recordSchema.parse(unpackMsgpack(record), key),
    ]),
  );
  const noted = database.prepare("SELECT value FROM about WHERE name = 'root'").get()?.value;
  if (noted !== root.hash) throw damaged(file, `its records make the root ${root.hash}, not ${String(noted)}`);
  const links = database.prepare('SELECT link FROM links ORDER BY number').all() as { link: Uint8Array }[];
  return {
    root,
    versions: readVersions(database, file),
    links: links.map(({ link }, index) => versionLinkSchema.parse(unpackMsgpack(link), `link ${index}`)),
  };
}

/** Each version is the one before on its branch with its changes. */
function readVersions(database: DatabaseSync, file: string): [StoreVersion, StateRoot][] {
  const rows = database.prepare('SELECT version, changes FROM versions ORDER BY number').all() as {
    version: Uint8Array;
    changes: Uint8Array;
  }[];
  const roots = new Map<number, StateRoot>();
  return rows.map(({ version: bytes, changes }, index) => {
    const version = storeVersionSchema.parse(unpackMsgpack(bytes), `version ${index}`);
    const before = version.parent === null ? StateRoot.empty : roots.get(version.parent);
    const root = before?.apply(changesSchema.parse(unpackMsgpack(changes), `version ${index}`));
    if (root?.hash !== version.root) throw damaged(file, `version ${version.number} does not have its root`);
    roots.set(version.number, root);
    return [version, root];
  });
}

function damaged(file: string, what: string, cause?: unknown): SyncError {
  return new SyncError('STORE_DAMAGED', `${file} is damaged: ${what}; restore it from a copy`, {
    origin: 'state',
    place: { file },
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Writes what a store hands over, one transaction each. */
class StoreFile {
  readonly #database: DatabaseSync;
  readonly #put: StatementSync;
  readonly #remove: StatementSync;
  readonly #setRoot: StatementSync;
  readonly #seen: unknown;
  readonly #addVersion: StatementSync;
  readonly #removeVersion: StatementSync;
  readonly #addLink: StatementSync;

  constructor(database: DatabaseSync, seen: unknown) {
    this.#database = database;
    this.#seen = seen;
    this.#put = database.prepare('INSERT OR REPLACE INTO records VALUES (?, ?)');
    this.#remove = database.prepare('DELETE FROM records WHERE key = ?');
    this.#setRoot = database.prepare("UPDATE about SET value = ? WHERE name = 'root'");
    this.#addVersion = database.prepare('INSERT OR REPLACE INTO versions VALUES (?, ?, ?)');
    this.#removeVersion = database.prepare('DELETE FROM versions WHERE number = ?');
    this.#addLink = database.prepare('INSERT INTO links (link) VALUES (?)');
  }

  /** All of `what`, or nothing. */
  write(what: () => void): void {
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      if (dataVersion(this.#database) !== this.#seen) {
        throw new SyncError('STORE_CONFLICT', 'somebody else has written to this store; open it anew', {
          origin: 'state',
          retry: 'now',
        });
      }
      what();
      this.#database.exec('COMMIT');
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw error;
    }
  }

  putChanges(changes: readonly Change[], root: StateRoot): void {
    for (const key of new Set(changes.map((change) => change.key))) {
      const record = root.get(key);
      if (record === undefined) this.#remove.run(key);
      else this.#put.run(key, packMsgpack(record));
    }
    this.#setRoot.run(root.hash);
  }

  putVersion(version: StoreVersion, changes: readonly Change[]): void {
    this.#addVersion.run(version.number, packMsgpack(version), packMsgpack(changes));
  }

  /** The oldest that is left is written anew, as one that follows upon nothing. */
  prune({ numbers, oldest, changes, links }: PrunedVersions): void {
    for (const number of numbers) this.#removeVersion.run(number);
    this.putVersion(oldest, changes);
    this.#database.exec('DELETE FROM links');
    for (const link of links) this.putLink(link);
  }

  putLink(link: object): void {
    this.#addLink.run(packMsgpack(link));
  }
}
