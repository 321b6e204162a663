import { isSyncError, SyncError } from '../errors/index.ts';
import type { ReplicaId } from '../state/index.ts';
import { type DeviceChange, type DeviceState, readDevice } from './device-state.ts';
import { type EntryState, encodeRow, META_ROW } from './rows.ts';
import type { OfflineStorage, StorageWrite } from './storage.ts';

/** Milliseconds since 1970, as `Date.now` has it: what is stored must mean something to the next process. */
export interface WallClock {
  now(): number;
}

/** What a user may be shown. */
export interface QueueStatus {
  readonly counts: Readonly<Record<EntryState, number>>;
  /** Milliseconds since the oldest mutation of which it is not known how it ended was made; 0 where there is none. */
  readonly oldestAge: number;
}

/** How often a write is tried again because somebody else has written. */
const MAX_CONFLICTS = 100;

/**
 * What a device keeps, in memory and in its storage. Every change goes into the storage first, in one write, and is made of what is
 * there: where another process or tab has written meanwhile, that is read and the change is made anew.
 */
export class MutationQueue {
  readonly #storage: OfflineStorage;
  readonly #listeners = new Set<() => void>();
  #revision: number;
  #state: DeviceState;
  /** One change after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  #isDoubtful = false;
  /** Called at the moment at which what another process or tab has written is taken over. */
  onReloaded: (() => void) | undefined;

  private constructor(storage: OfflineStorage, revision: number, state: DeviceState) {
    this.#storage = storage;
    this.#revision = revision;
    this.#state = state;
  }

  /**
   * `isStateLost`: the mutations are whole, but the committed state was not and is to be fetched.
   * @throws SyncError as `OfflineStorage.read`, `STORAGE_FOREIGN`, `STORAGE_NEWER`, `STORAGE_DAMAGED`
   */
  static async open(
    storage: OfflineStorage,
    session: string,
    device: ReplicaId,
  ): Promise<{ readonly queue: MutationQueue; readonly isStateLost: boolean }> {
    const contents = await storage.read();
    const { state, isStateLost } = readDevice(contents, session, device);
    return { queue: new MutationQueue(storage, contents.revision, state), isStateLost };
  }

  get state(): DeviceState {
    return this.#state;
  }

  get durability(): OfflineStorage['durability'] {
    return this.#storage.durability;
  }

  status(now: number): QueueStatus {
    const counts: Record<EntryState, number> = { pending: 0, sent: 0, reconciled: 0, conflicted: 0, rejected: 0 };
    let oldest = now;
    for (const { mutation, state } of this.#state.entries.values()) {
      counts[state]++;
      if (mutation.counter > this.#state.meta.settled) oldest = Math.min(oldest, mutation.madeAt);
    }
    return { counts, oldestAge: now - oldest };
  }

  /** Calls `listener` after each change, also of another process's or tab's. Returns the function that ends it. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Makes one change and stores it, whole or not at all. `make` is called again where somebody else has written; it answers undefined
   * where there is nothing to change. `taken` is called at the moment at which it is made, before anybody else hears of it, with the state after and before.
   * @throws SyncError as `OfflineStorage.write`; whatever `make` throws; nothing is changed then
   */
  change(
    make: (state: DeviceState) => DeviceChange | undefined,
    taken: (after: DeviceState, before: DeviceState) => void = () => undefined,
  ): Promise<DeviceState> {
    return this.#inTurn(async () => {
      for (let tries = 0; tries < MAX_CONFLICTS; tries++) {
        if (this.#isDoubtful) await this.#reload();
        const before = this.#state;
        const made = make(before);
        if (!made) {
          taken(before, before);
          return before;
        }
        if (await this.#write(made, () => taken(made.after, before))) return made.after;
        await this.#reload();
      }
      const text = `others wrote to the storage ${MAX_CONFLICTS} times in a row`;
      throw new SyncError('STORAGE_CONFLICT', text, { origin: 'state', retry: 'backoff' });
    });
  }

  /** Takes over what another process or tab has written. True where there was anything. */
  refresh(): Promise<boolean> {
    return this.#inTurn(async () => {
      if (!this.#isDoubtful && (await this.#storage.revision()) === this.#revision) return false;
      await this.#reload();
      return true;
    });
  }

  async close(): Promise<void> {
    await this.#turn;
    await this.#storage.close();
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(run);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  /** False where somebody else was first. */
  async #write({ after, writes }: DeviceChange, taken: () => void): Promise<boolean> {
    try {
      this.#revision = await this.#storage.write(this.#revision, this.#withMeta(after, writes));
    } catch (error) {
      if (isSyncError(error, 'STORAGE_CONFLICT')) return false;
      // Whether it was written can only be found out by reading.
      this.#isDoubtful = !isSyncError(error, 'STORAGE_FULL');
      throw error;
    }
    this.#state = after;
    taken();
    this.#tell();
    return true;
  }

  /** The first write says whose storage this is. */
  #withMeta({ meta }: DeviceState, writes: readonly StorageWrite[]): readonly StorageWrite[] {
    if (this.#revision > 0 || writes.some(({ key }) => key === META_ROW)) return writes;
    return [encodeRow(META_ROW, meta), ...writes];
  }

  async #reload(): Promise<void> {
    const { session, device } = this.#state.meta;
    const contents = await this.#storage.read();
    this.#revision = contents.revision;
    this.#isDoubtful = false;
    this.#state = readDevice(contents, session, device).state;
    this.onReloaded?.();
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
