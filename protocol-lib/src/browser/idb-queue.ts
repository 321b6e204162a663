import { type DBSchema, type IDBPDatabase, type IDBPTransaction, openDB } from 'idb';
import { SyncError } from '../errors/index.ts';
import {
  checkRevision,
  checkWrites,
  type OfflineStorage,
  type StorageContents,
  type StorageWrite,
  storageError,
} from '../offline/index.ts';

/** The layout of the object stores, which is the database's version. */
const LAYOUT = 1;
const ROWS = 'rows';
const COUNT = 'count';
const REVISION = 'revision';

interface Layout extends DBSchema {
  rows: { key: string; value: Uint8Array };
  count: { key: string; value: number };
}

/**
 * A device's storage in IndexedDB, which all tabs of an origin share. Writes are `durability: 'strict'`: what has resolved is on the
 * disk, as far as the browser can say. A tab that dies in the middle of a write has not written.
 */
export class IdbStorage implements OfflineStorage {
  readonly durability = 'disk';
  readonly name: string;
  readonly #database: IDBPDatabase<Layout>;
  #isClosed = false;

  private constructor(name: string, database: IDBPDatabase<Layout>) {
    this.name = name;
    this.#database = database;
  }

  /**
   * Opens the database of this name, and makes it where there is none.
   * @throws SyncError `STORAGE_NEWER` where a newer build has been here; `STORAGE_FOREIGN`; `STORAGE_FULL`; `STORAGE_FAILED`, also where the browser lets
   *   nobody store anything
   */
  static async open(name: string): Promise<IdbStorage> {
    try {
      const opened: { storage?: IdbStorage } = {};
      const database = await openDB<Layout>(name, LAYOUT, {
        upgrade(fresh) {
          fresh.createObjectStore(ROWS);
          fresh.createObjectStore(COUNT);
        },
        // A newer build in another tab wants to change the layout: this one must not be in its way.
        blocking: () => void opened.storage?.close(),
        terminated: () => void opened.storage?.close(),
      });
      if (!database.objectStoreNames.contains(ROWS) || !database.objectStoreNames.contains(COUNT)) {
        database.close();
        throw storageError('STORAGE_FOREIGN', `${name} is a database of something else`);
      }
      opened.storage = new IdbStorage(name, database);
      return opened.storage;
    } catch (error) {
      throw ours(name, error);
    }
  }

  async revision(): Promise<number> {
    return this.#guarded(async () => counted(this.name, await this.#database.get(COUNT, REVISION)));
  }

  async read(): Promise<StorageContents> {
    return this.#guarded(async () => {
      const transaction = this.#database.transaction([ROWS, COUNT], 'readonly');
      const rows = transaction.objectStore(ROWS);
      const [keys, values, revision] = await Promise.all([
        rows.getAllKeys(),
        rows.getAll(),
        transaction.objectStore(COUNT).get(REVISION),
        transaction.done,
      ]);
      return {
        revision: counted(this.name, revision),
        rows: new Map(keys.map((key, at) => [key, bytes(this.name, values[at])])),
      };
    });
  }

  async write(expected: number, writes: readonly StorageWrite[]): Promise<number> {
    checkWrites(writes);
    return this.#guarded(async () => {
      const transaction = this.#database.transaction([ROWS, COUNT], 'readwrite', { durability: 'strict' });
      // Whatever becomes of the single requests, only the end of the transaction counts; it is awaited below.
      const done = transaction.done.then(
        () => undefined,
        (error: unknown) => error,
      );
      try {
        await put(transaction, this.name, expected, writes);
      } catch (error) {
        abort(transaction);
        throw (await done) instanceof DOMException && !(error instanceof SyncError) ? ((await done) ?? error) : error;
      }
      const failure = await done;
      if (failure) throw failure;
      return expected + 1;
    });
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#database.close();
  }

  async #guarded<T>(run: () => Promise<T>): Promise<T> {
    if (this.#isClosed) throw storageError('STORAGE_CLOSED', 'this storage was closed');
    try {
      return await run();
    } catch (error) {
      throw ours(this.name, error);
    }
  }
}

type Writing = IDBPTransaction<Layout, ('rows' | 'count')[], 'readwrite'>;

async function put(
  transaction: Writing,
  name: string,
  expected: number,
  writes: readonly StorageWrite[],
): Promise<void> {
  const count = transaction.objectStore(COUNT);
  const rows = transaction.objectStore(ROWS);
  checkRevision(counted(name, await count.get(REVISION)), expected);
  const requests: Promise<unknown>[] = writes.map(({ key, value }) => {
    return value === null ? rows.delete(key) : rows.put(value, key);
  });
  requests.push(count.put(expected + 1, REVISION));
  await Promise.all(requests);
}

function abort(transaction: Writing): void {
  try {
    transaction.abort();
  } catch {
    // It has ended by itself.
  }
}

function counted(name: string, revision: unknown): number {
  if (revision === undefined) return 0;
  if (Number.isSafeInteger(revision) && (revision as number) >= 0) return revision as number;
  throw storageError('STORAGE_DAMAGED', `${name} has lost count of its writes`);
}

function bytes(name: string, value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw storageError('STORAGE_DAMAGED', `${name} holds a row of a wrong kind`);
}

/** The browser's errors as ours. */
function ours(name: string, error: unknown): unknown {
  if (error instanceof SyncError || error instanceof RangeError) return error;
  const kind = error instanceof DOMException ? error.name : '';
  const text = `${name}: ${error instanceof Error ? error.message : String(error)}`;
  if (kind === 'QuotaExceededError') return storageError('STORAGE_FULL', text, error);
  if (kind === 'VersionError') return storageError('STORAGE_NEWER', `${text}: upgrade the app`, error);
  if (kind === 'NotReadableError' || kind === 'DataError') return storageError('STORAGE_DAMAGED', text, error);
  return storageError('STORAGE_FAILED', text, error);
}
