import { SyncError } from '../errors/index.ts';

/** One row to be set, or taken away where the value is null. */
export interface StorageWrite {
  readonly key: string;
  readonly value: Uint8Array | null;
}

/** Everything that is stored, at one moment. */
export interface StorageContents {
  /** How many writes there were: 0 before the first. */
  readonly revision: number;
  /** By key, in the order of the keys' UTF-16 units. */
  readonly rows: ReadonlyMap<string, Uint8Array>;
}

/**
 * Where a device keeps what it must not lose: rows of bytes under keys, and a count of the writes. The only way to change
 * anything is {@link OfflineStorage.write}, which is whole or nothing, whatever dies in the middle of it; and since it names
 * the revision that it builds on, several processes or tabs can share one storage. `offlineStorageContract` is its acceptance suite.
 */
export interface OfflineStorage {
  /** What a write survives once it has resolved. */
  readonly durability: 'memory' | 'disk';
  /** The present revision; cheap, for finding out whether somebody else has written. */
  revision(): Promise<number>;
  /** @throws SyncError `STORAGE_DAMAGED` */
  read(): Promise<StorageContents>;
  /**
   * Writes all of `writes` or nothing, and answers the new revision, `expected + 1`.
   * @throws SyncError `STORAGE_CONFLICT` where the revision is not `expected`; `STORAGE_FULL` where there is no more room;
   *   `STORAGE_FAILED` where it is not known whether it was written: read again; `STORAGE_CLOSED`
   */
  write(expected: number, writes: readonly StorageWrite[]): Promise<number>;
  close(): Promise<void>;
}

/** Characters of a row's key. */
export const ROW_KEY_MAX_LENGTH = 400;

/** The layout of rows that this build writes, and the newest that it reads. */
export const STORAGE_FORMAT = 1;

export type StorageErrorCode =
  | 'STORAGE_CONFLICT'
  | 'STORAGE_FULL'
  | 'STORAGE_FAILED'
  | 'STORAGE_CLOSED'
  | 'STORAGE_DAMAGED'
  | 'STORAGE_NEWER'
  | 'STORAGE_FOREIGN';

export function storageError(code: StorageErrorCode, message: string, cause?: unknown): SyncError {
  const retry = code === 'STORAGE_CONFLICT' ? 'now' : code === 'STORAGE_FULL' ? 'backoff' : 'never';
  return new SyncError(code, message, { origin: 'state', retry, cause });
}

/** @throws SyncError `STORAGE_CONFLICT` */
export function checkRevision(found: number, expected: number): void {
  if (found === expected) return;
  const text = `the storage is at revision ${found}, not ${expected}: somebody else has written; read it again`;
  throw storageError('STORAGE_CONFLICT', text);
}

/** @throws RangeError for a key that is none: a fault of the caller's */
export function checkWrites(writes: readonly StorageWrite[]): void {
  for (const { key } of writes) {
    if (key === '' || key.length > ROW_KEY_MAX_LENGTH || !key.isWellFormed())
      throw new RangeError(`a row's key has 1 to ${ROW_KEY_MAX_LENGTH} characters`);
  }
}
