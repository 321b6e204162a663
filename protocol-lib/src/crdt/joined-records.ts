import { diffRoots, type RecordChange, StateMerkleTree, type StateRoot } from '../merkle/index.ts';
import type { Change, RecordKey, SyncRecord } from '../state/index.ts';

/**
 * The least upper bound of two records under one key: commutative, associative, idempotent. It answers `left` itself
 * where `right` adds nothing. It throws a SyncError where a record is not of its kind.
 */
export type Join = (left: SyncRecord, right: SyncRecord, key: RecordKey) => SyncRecord;

/** A record from outside with exactly the fields of its kind. It throws a SyncError where it is of another. */
export type Read = (key: RecordKey, record: SyncRecord) => SyncRecord;

/**
 * A state-based CRDT as this library has them: records under keys, and one join for all of them. Its state is a Merkle
 * trie like any other state, so its hash, its deltas, a replica diff and the inspector work on it unchanged; merging
 * two descends only into what differs; and an operation is nothing but a small delta that is joined.
 */
export class JoinedRecords {
  readonly #tree: StateMerkleTree;
  readonly #join: Join;
  readonly #read: Read;

  /** @throws SyncError as `read` does, for any record of `root` */
  constructor(root: StateRoot, join: Join, read: Read) {
    this.#tree = new StateMerkleTree(root);
    this.#join = join;
    this.#read = read;
    for (const [key, record] of root.entries()) this.#tree.put(key, read(key, record));
  }

  /** The state as it is now; kept, it is a snapshot. */
  root(): StateRoot {
    return this.#tree.root();
  }

  get(key: RecordKey): SyncRecord | undefined {
    return this.#tree.get(key);
  }

  /** In no useful order. */
  entries(): Iterable<readonly [RecordKey, SyncRecord]> {
    return this.#tree.entries();
  }

  /** Joins one record of our own making. Answers the change; nothing where it is known already. */
  join(key: RecordKey, record: SyncRecord): Change | undefined {
    const before = this.#tree.get(key);
    const after = before === undefined ? record : this.#join(before, record, key);
    return this.#tree.put(key, after) ? { op: 'put', key, record: after } : undefined;
  }

  /**
   * Joins records from outside, all or none. Answers what changed, which again is a delta.
   * @throws SyncError where a record is not of this kind; the state is then as before
   */
  joinAll(records: Iterable<readonly [RecordKey, SyncRecord]>): Change[] {
    const incoming = Array.from(records, ([key, record]) => [key, this.#read(key, record)] as const);
    const changes: Change[] = [];
    const joined = new Map<RecordKey, SyncRecord>();
    for (const [key, record] of incoming) {
      const before = joined.get(key) ?? this.#tree.get(key);
      joined.set(key, before === undefined ? record : this.#join(before, record, key));
    }
    for (const [key, record] of joined) if (this.#tree.put(key, record)) changes.push({ op: 'put', key, record });
    return changes;
  }

  /**
   * Joins a whole state; looks only at what differs.
   * @throws SyncError as {@link JoinedRecords.joinAll}
   */
  merge(other: StateRoot): Change[] {
    const differing = diffRoots(this.#tree.root(), other).filter(isThere);
    return this.joinAll(differing.map(({ key, right }) => [key, right] as const));
  }

  /** What another replica, whose state is `base`, has not: joined there, it has all that we have. */
  since(base: StateRoot): [RecordKey, SyncRecord][] {
    return diffRoots(base, this.#tree.root())
      .filter(isThere)
      .map(({ key, right }) => [key, right]);
  }

  /** Takes out records that no replica needs any more. */
  discard(keys: Iterable<RecordKey>): void {
    for (const key of keys) this.#tree.remove(key);
  }
}

function isThere(change: RecordChange): change is RecordChange & { readonly right: SyncRecord } {
  return change.right !== undefined;
}

/** The records of a delta: what was put. */
export function putsOf(changes: readonly Change[]): [RecordKey, SyncRecord][] {
  return changes.flatMap((change): [RecordKey, SyncRecord][] =>
    change.op === 'put' ? [[change.key, change.record]] : [],
  );
}
