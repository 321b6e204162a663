import { SyncError } from '../errors/index.ts';
import { diffRoots, StateMerkleTree } from '../merkle/index.ts';
import type { RecordKey } from '../state/index.ts';
import type { Side } from './adapter.ts';
import { type Diff, diffModels } from './diff.ts';
import { type DiffSync, lastCommon, type SyncOptions, type TwoWayOptions } from './diff-sync.ts';
import { isSameModel } from './model.ts';
import type { SyncReport } from './report.ts';

export type EventSyncOptions =
  | ({ readonly direction: 'one-way' } & SyncOptions)
  | ({ readonly direction: 'two-way' } & TwoWayOptions);

/**
 * Keeps two sides together by the events of their stores: each change marks its models, and {@link EventSync.flush} syncs the
 * marked ones only. It starts with the whole difference, so that nothing that happened before is missed.
 */
export class EventSync {
  readonly #sync: DiffSync;
  readonly #source: Side;
  readonly #destination: Side;
  readonly #options: EventSyncOptions;
  readonly #marked = new Set<RecordKey>();
  readonly #unsubscribe: (() => void)[];
  /** Told when there is something to flush and there was nothing before; after a flush, `pending` says whether something is left. */
  readonly #onMarked: (() => void) | undefined;
  #running: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  constructor(sync: DiffSync, source: Side, destination: Side, options: EventSyncOptions, onMarked?: () => void) {
    this.#sync = sync;
    this.#source = source;
    this.#destination = destination;
    this.#options = options;
    this.#onMarked = onMarked;
    for (const { key } of diffRoots(source.store.root(), destination.store.root())) this.#marked.add(key);
    // A destination that is changed by others is put right again, or, in both directions, listened to.
    this.#unsubscribe = [source, destination].map(({ store }) =>
      store.subscribe((changes) => this.#mark(changes.map(({ key }) => key))),
    );
  }

  /** Models that may differ. */
  get pending(): number {
    return this.#marked.size;
  }

  /**
   * Syncs what is marked. What could not be done, is open or left alone by a flag stays marked. Flushes run one after the other.
   * @throws SyncError `EVENT_SYNC_CLOSED`, and as `planTwoWay`; everything then stays marked
   */
  flush(): Promise<readonly SyncReport[]> {
    const next = this.#running.then(() => this.#flush());
    // The next flush runs whatever becomes of this one; its caller hears of it.
    this.#running = next.catch(() => undefined);
    return next;
  }

  /** Listens no more. */
  close(): void {
    this.#isClosed = true;
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
  }

  async #flush(): Promise<readonly SyncReport[]> {
    if (this.#isClosed) throw new SyncError('EVENT_SYNC_CLOSED', 'this sync was closed', { origin: 'state' });
    const keys = [...this.#marked].sort();
    if (keys.length === 0) return [];
    const reports = await this.#run(keys);
    const [left, right] = [this.#source.store.root(), this.#destination.store.root()];
    for (const key of [...keys, ...reports.flatMap(({ diff }) => diff.entries.map((entry) => entry.key))]) {
      if (isSameModel(left.get(key), right.get(key))) this.#marked.delete(key);
    }
    return reports;
  }

  async #run(keys: readonly RecordKey[]): Promise<readonly SyncReport[]> {
    const [source, destination] = [this.#source, this.#destination];
    if (this.#options.direction === 'one-way') {
      const diff = diffOf(keys, source, destination);
      return [await this.#sync.applyOneWay(diff, source, destination, this.#options)];
    }
    const base = lastCommon(source.store, destination.store);
    const report = await this.#sync.mergeFrom(base, source, destination, { ...this.#options, keys });
    return [report.source, report.destination];
  }

  #mark(keys: readonly RecordKey[]): void {
    const before = this.#marked.size;
    for (const key of keys) this.#marked.add(key);
    if (before === 0 && this.#marked.size > 0) this.#onMarked?.();
  }
}

/** What would make these models of the destination like the source's. */
function diffOf(keys: readonly RecordKey[], source: Side, destination: Side): Diff {
  const wanted = source.store.root();
  const target = new StateMerkleTree(destination.store.root());
  for (const key of keys) {
    const record = wanted.get(key);
    if (record === undefined) target.remove(key);
    else target.put(key, record);
  }
  return diffModels(destination.store.root(), target.root());
}
