import type { ConflictStore } from '../conflict/index.ts';
import { recordSchema, type SyncRecord } from '../state/index.ts';
import { decodeRow, encodeRow } from './rows.ts';
import type { OfflineStorage, StorageContents, StorageWrite } from './storage.ts';

/** Rows of conflicts begin so; the conflict's own key follows. */
export const CONFLICT_ROWS = 'conflict/';

/** The conflicts among a storage's rows. What a queue saves is there at once, and in the storage once the rows of {@link ConflictRows.take} are. */
export class ConflictRows implements ConflictStore {
  readonly #records: Map<string, SyncRecord>;
  readonly #unwritten = new Set<string>();

  /** @throws SyncError `STORAGE_DAMAGED` */
  constructor(rows: StorageContents['rows'] = new Map()) {
    this.#records = new Map();
    for (const [key, row] of rows) {
      if (!key.startsWith(CONFLICT_ROWS)) continue;
      this.#records.set(key.slice(CONFLICT_ROWS.length), decodeRow(recordSchema, key, row));
    }
  }

  load(): Iterable<readonly [string, SyncRecord]> {
    return [...this.#records];
  }

  save(id: string, record: SyncRecord): void {
    if (this.#records.get(id) === record) return;
    this.#records.set(id, record);
    this.#unwritten.add(id);
  }

  remove(id: string): void {
    if (this.#records.delete(id)) this.#unwritten.add(id);
  }

  get hasUnwritten(): boolean {
    return this.#unwritten.size > 0;
  }

  /** The rows that changed since the last call. @throws SyncError as `encodeRow` */
  take(): StorageWrite[] {
    const writes = Array.from(this.#unwritten, (id) => {
      const record = this.#records.get(id);
      const key = CONFLICT_ROWS + id;
      return record ? encodeRow(key, record) : { key, value: null };
    });
    this.#unwritten.clear();
    return writes;
  }
}

/**
 * A queue's store in a storage of its own, for a queue that follows an authority's state. A peer keeps its queue beside its history
 * (`PeerStorage`).
 */
export class StoredConflicts implements ConflictStore {
  readonly #storage: OfflineStorage;
  readonly #rows: ConflictRows;
  #revision: number;
  #writing: Promise<void> = Promise.resolve();

  private constructor(storage: OfflineStorage, { revision, rows }: StorageContents) {
    this.#storage = storage;
    this.#revision = revision;
    this.#rows = new ConflictRows(rows);
  }

  /** @throws SyncError `STORAGE_DAMAGED`, and as the storage does */
  static async open(storage: OfflineStorage): Promise<StoredConflicts> {
    return new StoredConflicts(storage, await storage.read());
  }

  load(): Iterable<readonly [string, SyncRecord]> {
    return this.#rows.load();
  }

  save(id: string, record: SyncRecord): void {
    this.#rows.save(id, record);
  }

  remove(id: string): void {
    this.#rows.remove(id);
  }

  /** Resolves once all that was saved is in the storage. After an error the store must be opened anew. @throws SyncError as the storage does */
  flush(): Promise<void> {
    this.#writing = this.#writing.then(async () => {
      if (this.#rows.hasUnwritten) this.#revision = await this.#storage.write(this.#revision, this.#rows.take());
    });
    return this.#writing;
  }
}
