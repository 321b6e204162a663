import {
  checkRevision,
  checkWrites,
  type OfflineStorage,
  type StorageContents,
  type StorageWrite,
  storageError,
} from './storage.ts';

/** What several {@link MemoryStorage}s may share, as processes share a file. */
export interface MemoryRows {
  revision: number;
  rows: Map<string, Uint8Array>;
}

export function memoryRows(): MemoryRows {
  return { revision: 0, rows: new Map() };
}

/** A storage that lasts as long as its process, with room for `maxBytes` of keys (two each character) and values. */
export class MemoryStorage implements OfflineStorage {
  readonly durability = 'memory';
  readonly #shared: MemoryRows;
  readonly #maxBytes: number;
  #isClosed = false;

  constructor(shared: MemoryRows = memoryRows(), maxBytes = Number.POSITIVE_INFINITY) {
    this.#shared = shared;
    this.#maxBytes = maxBytes;
  }

  async revision(): Promise<number> {
    this.#checkOpen();
    return this.#shared.revision;
  }

  async read(): Promise<StorageContents> {
    this.#checkOpen();
    const sorted = [...this.#shared.rows].sort(([a], [b]) => (a < b ? -1 : 1));
    return { revision: this.#shared.revision, rows: new Map(sorted.map(([key, value]) => [key, value.slice()])) };
  }

  async write(expected: number, writes: readonly StorageWrite[]): Promise<number> {
    this.#checkOpen();
    checkWrites(writes);
    checkRevision(this.#shared.revision, expected);
    const rows = new Map(this.#shared.rows);
    for (const { key, value } of writes) {
      if (value === null) rows.delete(key);
      else rows.set(key, value.slice());
    }
    if (sizeOf(rows) > this.#maxBytes) throw storageError('STORAGE_FULL', `there is room for ${this.#maxBytes} bytes`);
    this.#shared.rows = rows;
    this.#shared.revision = expected + 1;
    return expected + 1;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
  }

  #checkOpen(): void {
    if (this.#isClosed) throw storageError('STORAGE_CLOSED', 'this storage was closed');
  }
}

function sizeOf(rows: ReadonlyMap<string, Uint8Array>): number {
  let bytes = 0;
  for (const [key, value] of rows) bytes += key.length * 2 + value.length;
  return bytes;
}
