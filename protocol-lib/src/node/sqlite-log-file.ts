import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { crc32 } from 'node:zlib';
import { SyncError } from '../errors/index.ts';
import { decodeEntry, decodeSnapshot, LogTail, logError } from '../events/index.ts';
import { findWalBreak } from './sqlite-wal.ts';

/** The file of a `SqliteEventLog`: its tables, how it is opened, and how it is found to be whole. */

/** `sync` in ASCII, so that the file says what it is. */
const APPLICATION_ID = 0x73796e63;
/** Of the tables, in `user_version`. */
export const SQLITE_LOG_VERSION = 1;

const BUSY_MS = 5_000;
/** SQLite's result codes. */
const RESULTS = { busy: 5, locked: 6, full: 13, corrupt: 11, notDatabase: 26 };

const TABLES = `
  CREATE TABLE entry (position INTEGER PRIMARY KEY, bytes BLOB NOT NULL, crc INTEGER NOT NULL) STRICT;
  CREATE TABLE snapshot (position INTEGER PRIMARY KEY, bytes BLOB NOT NULL, crc INTEGER NOT NULL) STRICT;
  CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  PRAGMA application_id = ${APPLICATION_ID};
  PRAGMA user_version = ${SQLITE_LOG_VERSION};
`;

export interface OpenMode {
  readonly readOnly: boolean;
  /** `log`: every transaction is on the medium before it counts. `process`: it is the operating system's. */
  readonly durability: 'log' | 'process';
}

/**
 * Opens or creates the file, lets go of a torn tail, and makes what is left durable.
 * @throws SyncError `LOG_UNREADABLE` it cannot be opened or is none of ours; `LOG_FORMAT_UNSUPPORTED`; `LOG_DAMAGED`; `LOG_FAILED`
 */
export function openLogFile(path: string, { readOnly, durability }: OpenMode): DatabaseSync {
  const isNew = !existsSync(path);
  if (isNew && readOnly) throw fileError('LOG_UNREADABLE', path, 'does not exist');
  checkWal(path);
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { readOnly, timeout: BUSY_MS });
    if (!readOnly) prepare(database, durability);
    checkFormat(database, path);
    return database;
  } catch (error) {
    database?.close();
    throw logFault(error, path);
  }
}

/** Read twice: of a file that somebody writes to, a part may look wrong for a moment. */
function checkWal(path: string): void {
  const lost = findWalBreak(`${path}-wal`);
  if (!lost?.wasSynced) return;
  const again = findWalBreak(`${path}-wal`);
  if (!again?.wasSynced || again.frame !== lost.frame) return;
  const text = `frame ${lost.frame} of its write-ahead log is damaged, and what came after it had been made durable: restore a backup`;
  throw fileError('LOG_DAMAGED', path, text);
}

function prepare(database: DatabaseSync, durability: OpenMode['durability']): void {
  database.exec('PRAGMA journal_mode = WAL; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON');
  // What a process that was killed had written, but not synced, would be built on else.
  database.exec('PRAGMA synchronous = FULL; PRAGMA wal_checkpoint(TRUNCATE)');
  database.exec(`PRAGMA synchronous = ${durability === 'log' ? 'FULL' : 'OFF'}`);
  if (numberOf(database, 'SELECT count(*) AS value FROM sqlite_schema') > 0) return;
  database.exec(`BEGIN IMMEDIATE; ${TABLES} COMMIT`);
}

function checkFormat(database: DatabaseSync, path: string): void {
  if (numberOf(database, 'PRAGMA application_id', 'application_id') !== APPLICATION_ID) {
    throw fileError('LOG_UNREADABLE', path, 'is a database, but no event log');
  }
  const version = numberOf(database, 'PRAGMA user_version', 'user_version');
  if (version === SQLITE_LOG_VERSION) return;
  const text = `has the log format ${version}; this build reads ${SQLITE_LOG_VERSION}`;
  throw fileError('LOG_FORMAT_UNSUPPORTED', path, text);
}

export function numberOf(database: DatabaseSync, sql: string, column = 'value'): number {
  return Number(database.prepare(sql).get()?.[column] ?? -1);
}

/** A row's bytes, where they are those that were written. @throws SyncError `LOG_DAMAGED` */
export function rowBytes(row: Record<string, unknown>, what: string): Uint8Array {
  const { bytes, crc, position } = row;
  if (bytes instanceof Uint8Array && crc32(bytes) === crc) return bytes;
  throw logError('LOG_DAMAGED', `${what} ${String(position)} is not what was written: restore a backup`);
}

/**
 * The end of what the file holds, after every row was found to be what was written and none to be missing.
 * @throws SyncError `LOG_DAMAGED`
 */
export function checkedTail(database: DatabaseSync): LogTail {
  const [found] = database.prepare('PRAGMA quick_check(1)').all();
  if (found?.quick_check !== 'ok')
    throw logError('LOG_DAMAGED', `SQLite finds: ${String(found?.quick_check)}. Restore a backup`);
  let tail = LogTail.empty();
  let base = -1;
  for (const row of database.prepare('SELECT * FROM snapshot ORDER BY position').iterate()) {
    const snapshot = asContent(() => decodeSnapshot(rowBytes(row, 'snapshot')));
    if (base < 0) base = snapshot.position;
    if (snapshot.position !== row.position)
      throw logError('LOG_DAMAGED', `snapshot ${row.position} is of ${snapshot.position}`);
    tail = LogTail.at(snapshot);
  }
  let next = base + 1;
  for (const row of database.prepare('SELECT * FROM entry ORDER BY position').iterate()) {
    if (row.position !== next || base < 0) throw logError('LOG_DAMAGED', `entry ${next} is missing: restore a backup`);
    const bytes = rowBytes(row, 'entry');
    if (next > tail.position) asContent(() => tail.advance(decodeEntry(bytes)));
    next++;
  }
  if (next <= tail.position) throw logError('LOG_DAMAGED', `entry ${next} is missing: restore a backup`);
  return tail;
}

function asContent<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof SyncError && error.code === 'LOG_DAMAGED') throw error;
    const text = `what the log holds cannot be: ${error instanceof Error ? error.message : String(error)}`;
    throw new SyncError('LOG_DAMAGED', text, { origin: 'state', cause: error });
  }
}

/** What SQLite says, as an error of a log. */
export function logFault(error: unknown, path: string): SyncError {
  if (error instanceof SyncError) return error;
  const result = error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : -1;
  const said = error instanceof Error ? error.message : String(error);
  switch (result) {
    case RESULTS.full:
      return fileError('LOG_DISK_FULL', path, `cannot grow (${said}): make room and start again`, error);
    case RESULTS.corrupt:
      return fileError('LOG_DAMAGED', path, `is damaged (${said}): restore a backup`, error);
    case RESULTS.notDatabase:
      return fileError('LOG_UNREADABLE', path, `is no event log (${said})`, error);
    case RESULTS.busy:
    case RESULTS.locked:
      return fileError('LOG_BUSY', path, `is held by another process (${said}): end that one first`, error);
    default:
      return fileError('LOG_FAILED', path, `cannot be used (${said})`, error);
  }
}

export function fileError(code: string, path: string, what: string, cause?: unknown): SyncError {
  return new SyncError(code, `${path} ${what}`, { origin: 'state', place: { file: path }, cause });
}
