import { type VersionVector, vectorEntriesSchema, vectorFromOutside } from '../clock/index.ts';
import { type ConflictStore, compareMutations, idOf, type Mutation, mutationSchema } from '../conflict/index.ts';
import { changesBetween, StateRoot } from '../merkle/index.ts';
import {
  ConflictRows,
  decodeRow,
  encodeRow,
  type OfflineStorage,
  RECORD_ROWS,
  recordRowSchema,
  STORAGE_FORMAT,
  type StorageContents,
  type StorageWrite,
  storageError,
} from '../offline/index.ts';
import { object, string, uint } from '../schema/index.ts';
import {
  type RecordKey,
  type ReplicaId,
  recordKey,
  replicaIdSchema,
  type SyncRecord,
  stateHashSchema,
} from '../state/index.ts';
import type { SavedPeer } from './peer-options.ts';

const PEER_ROW = 'peer';
const MUTATION_ROWS = 'mutation/';

const peerRowSchema = object({
  format: uint,
  session: string(100),
  replica: replicaIdSchema,
  base: vectorEntriesSchema,
  root: stateHashSchema,
  time: uint,
  count: uint,
});

/**
 * What a peer keeps over a restart, in the same storages and the same kind of rows as a device that works offline:
 *
 *     peer                         whose storage this is, its checkpoint's vector and root, and its clock
 *     record/<key>                 a record of the state at the checkpoint
 *     mutation/<writer>:<counter>  a mutation since
 *     conflict/<key>               a conflict that waits for a human, as it was told of
 *
 * A peer must have kept a mutation before anybody hears of it: a counter that was said and forgotten would be given to another one, and
 * others cut their history off behind what a peer says that it has. `openSession` sends in this order.
 */
export class PeerStorage {
  /** What was kept, for {@link PeerReplicaOptions.saved}; undefined at a first start. */
  readonly saved: SavedPeer | undefined;
  readonly replica: ReplicaId;
  readonly session: string;
  readonly #storage: OfflineStorage;
  readonly #conflicts: ConflictRows;
  #kept: SavedPeer | undefined;
  #revision: number;
  #writing: Promise<void> = Promise.resolve();

  private constructor(storage: OfflineStorage, contents: StorageContents, replica: ReplicaId, session: string) {
    this.replica = replica;
    this.session = session;
    this.saved = readPeer(contents, replica, session);
    this.#storage = storage;
    this.#conflicts = new ConflictRows(contents.rows);
    this.#kept = this.saved;
    this.#revision = contents.revision;
  }

  /**
   * @throws SyncError `STORAGE_FOREIGN` where it is another session's or replica's; `STORAGE_NEWER`; `STORAGE_DAMAGED` where a row, or the
   *   state that they make, is not what was written: such a peer must join under another name; and as the storage does
   */
  static async open(
    storage: OfflineStorage,
    { replica, session }: { readonly replica: ReplicaId; readonly session: string },
  ): Promise<PeerStorage> {
    return new PeerStorage(storage, await storage.read(), replica, session);
  }

  /** The queue of conflicts, for {@link PeerReplicaOptions.conflicts}. Written with the rest. */
  get conflicts(): ConflictStore {
    return this.#conflicts;
  }

  /**
   * Resolves once `saved` is kept: all of it, or, if the process dies, what was kept before. After an error nothing more may be said in
   * this peer's name until it is opened anew. @throws SyncError as `OfflineStorage.write`
   */
  keep(saved: SavedPeer): Promise<void> {
    this.#writing = this.#writing.then(() => this.#write(saved));
    return this.#writing;
  }

  async #write(saved: SavedPeer): Promise<void> {
    const before = this.#kept;
    const isSame =
      before?.base === saved.base &&
      before.mutations === saved.mutations &&
      before.clock.time === saved.clock.time &&
      before.clock.count === saved.clock.count;
    if (isSame && !this.#conflicts.hasUnwritten) return;
    const writes = [this.#peerRow(saved), ...baseWrites(before, saved), ...mutationWrites(before, saved)];
    this.#revision = await this.#storage.write(this.#revision, [...writes, ...this.#conflicts.take()]);
    this.#kept = saved;
  }

  #peerRow({ base, clock }: SavedPeer): StorageWrite {
    const { replica, session } = this;
    const { time, count } = clock;
    const entries = base.vector.entries();
    return encodeRow(PEER_ROW, {
      format: STORAGE_FORMAT,
      session,
      replica,
      base: entries,
      root: base.root.hash,
      time,
      count,
    });
  }
}

function baseWrites(before: SavedPeer | undefined, { base }: SavedPeer): StorageWrite[] {
  const own = before?.base.root ?? StateRoot.empty;
  return changesBetween(own, base.root).map(({ key }) => {
    const record = base.root.get(key);
    const row = RECORD_ROWS + key;
    return record ? encodeRow(row, { key, record }) : { key: row, value: null };
  });
}

function mutationWrites(before: SavedPeer | undefined, after: SavedPeer): StorageWrite[] {
  if (before?.mutations === after.mutations) return [];
  const gone = new Map(before?.mutations.map((one) => [idOf(one), one]));
  const writes: StorageWrite[] = [];
  for (const mutation of after.mutations) {
    const id = idOf(mutation);
    if (gone.get(id) !== mutation) writes.push(encodeRow(MUTATION_ROWS + id, mutation));
    gone.delete(id);
  }
  for (const id of gone.keys()) writes.push({ key: MUTATION_ROWS + id, value: null });
  return writes;
}

function readPeer({ rows }: StorageContents, replica: ReplicaId, session: string): SavedPeer | undefined {
  const first = rows.get(PEER_ROW);
  if (!first) {
    if (rows.size > 0) throw storageError('STORAGE_FOREIGN', 'the storage holds rows, but not those of a peer');
    return undefined;
  }
  const { format } = decodeRow(object({ format: uint }), PEER_ROW, first);
  if (format > STORAGE_FORMAT) {
    const text = `the storage has format ${format}, this build reads up to ${STORAGE_FORMAT}: upgrade the app`;
    throw storageError('STORAGE_NEWER', text);
  }
  const row = decodeRow(peerRowSchema, PEER_ROW, first);
  if (row.replica !== replica || row.session !== session) {
    const text = `the storage is of peer ${row.replica} in session ${JSON.stringify(row.session)}`;
    throw storageError('STORAGE_FOREIGN', text);
  }
  const records: (readonly [RecordKey, SyncRecord])[] = [];
  const mutations: Mutation[] = [];
  for (const [key, bytes] of rows) {
    if (key.startsWith(RECORD_ROWS)) {
      const one = decodeRow(recordRowSchema, key, bytes);
      records.push([recordKey(one.key), one.record]);
    } else if (key.startsWith(MUTATION_ROWS)) mutations.push(decodeRow(mutationSchema, key, bytes));
  }
  const root = StateRoot.from(records);
  if (root.hash !== row.root) {
    throw storageError('STORAGE_DAMAGED', `the records give the root ${root.hash}, not ${row.root}`);
  }
  const base = { vector: vectorFromOutside(row.base), root };
  return { base, mutations: inOrder(mutations, base.vector), clock: { time: row.time, count: row.count } };
}

/** By what they follow upon; rows come in the order of their keys. @throws SyncError `STORAGE_DAMAGED` where one is missing */
function inOrder(mutations: readonly Mutation[], base: VersionVector): Mutation[] {
  const sorted = [...mutations].sort(compareMutations);
  let reached = base;
  for (const { writer, counter } of sorted) {
    if (counter !== reached.get(writer) + 1) {
      throw storageError('STORAGE_DAMAGED', `mutation ${writer}:${reached.get(writer) + 1} is not there`);
    }
    reached = reached.advance(writer, counter);
  }
  return sorted;
}
