import { fastHasher, type Hasher, wordsToHex } from '../bytes/index.ts';
import { SyncError, unreachable } from '../errors/index.ts';
import { type Change, type RecordKey, recordSchema, type StateHash, type SyncRecord } from '../state/index.ts';
import {
  countOf,
  type Edit,
  type Entry,
  entriesOf,
  findEntry,
  findHashed,
  hashKey,
  hashOf,
  makeEntry,
  makePatched,
  type Node,
  putEntry,
  removeEntry,
} from './trie.ts';
import { patched, sameRecord } from './values.ts';

/** The root hash of a state without records. */
export const EMPTY_HASH = wordsToHex(0, 0) as StateHash;

/**
 * A state at one moment: records under keys, immutable. A snapshot is a root that somebody keeps; two
 * roots share whatever they have in common.
 */
export class StateRoot {
  static readonly empty: StateRoot = new StateRoot(null, fastHasher);

  /** The trie; for the other files of this folder. */
  readonly node: Node | null;
  readonly hasher: Hasher;

  /** Use {@link StateRoot.from}, {@link StateRoot.empty} or {@link StateMerkleTree.root}. */
  constructor(node: Node | null, hasher: Hasher) {
    this.node = node;
    this.hasher = hasher;
  }

  /** A state of these records; of two with one key the later counts. @throws SyncError as {@link StateMerkleTree.put} */
  static from(entries: Iterable<readonly [RecordKey, SyncRecord]>, hasher: Hasher = fastHasher): StateRoot {
    const tree = new StateMerkleTree(new StateRoot(null, hasher));
    for (const [key, record] of entries) tree.put(key, record);
    return tree.root();
  }

  /** Records in it. */
  get size(): number {
    return countOf(this.node);
  }

  /** The state hash: 16 hex digits. */
  get hash(): StateHash {
    return nodeHash(this.node);
  }

  get(key: RecordKey): SyncRecord | undefined {
    return findEntry(this.node, key)?.record;
  }

  has(key: RecordKey): boolean {
    return findEntry(this.node, key) !== undefined;
  }

  /** Every record whose key starts with `prefix`; in no useful order, but in the same one for equal states. */
  *entries(prefix = ''): Generator<readonly [RecordKey, SyncRecord], void, undefined> {
    for (const entry of entriesOf(this.node)) {
      if (prefix === '' || entry.key.startsWith(prefix)) yield [entry.key, entry.record];
    }
  }

  /**
   * The state after `changes`, in order; this one where they change nothing.
   * @throws SyncError `RECORD_MISSING` for a patch or remove of a missing record, and as {@link StateMerkleTree.put}
   */
  apply(changes: readonly Change[]): StateRoot {
    if (changes.length === 0) return this;
    const tree = new StateMerkleTree(this);
    for (const change of changes) applyChange(tree, change);
    return tree.root();
  }
}

/** Hash of one record under its key, as a leaf has it: 16 hex digits. */
export function recordHash(key: RecordKey, record: SyncRecord, hasher: Hasher = fastHasher): string {
  hashKey(key, words);
  const { high, low } = makeEntry(key, record, words[0]!, words[1]!, hasher);
  return wordsToHex(high, low);
}

function nodeHash(node: Node | null): StateHash {
  const sum = new Int32Array(2);
  hashOf(node, sum);
  return wordsToHex(sum[0]!, sum[1]!) as StateHash;
}

/**
 * A state that changes: the owned handle of one replica. Writing copies a node only the first time after
 * {@link StateMerkleTree.root}, and changes it in place from then on.
 */
export class StateMerkleTree {
  readonly hasher: Hasher;
  #node: Node | null;
  #edit: Edit = {};
  /** The root last kept, as long as nothing was written since. */
  #kept: StateRoot | undefined;

  constructor(root: StateRoot = StateRoot.empty) {
    this.hasher = root.hasher;
    this.#node = root.node;
    this.#kept = root;
  }

  get size(): number {
    return countOf(this.#node);
  }

  /** The hash of the state as it is now; it is kept up with every write. */
  get hash(): StateHash {
    return nodeHash(this.#node);
  }

  get(key: RecordKey): SyncRecord | undefined {
    return findEntry(this.#node, key)?.record;
  }

  has(key: RecordKey): boolean {
    return findEntry(this.#node, key) !== undefined;
  }

  /** As {@link StateRoot.entries}. Writing while this is being read is not supported. */
  *entries(prefix = ''): Generator<readonly [RecordKey, SyncRecord], void, undefined> {
    for (const entry of entriesOf(this.#node)) {
      if (prefix === '' || entry.key.startsWith(prefix)) yield [entry.key, entry.record];
    }
  }

  /**
   * Sets a whole record. False, and nothing written, where an equal one is there.
   * @throws SyncError `VALUE_INVALID`, `FIELD_RESERVED`, `LIMIT_DEPTH` or `LIMIT_MAP_KEYS` for a record that has no hash
   */
  put(key: RecordKey, record: SyncRecord): boolean {
    const before = this.#find(key);
    if (before !== undefined && sameRecord(before.record, record)) return false;
    const high = words[0]!;
    this.#put(entryOf(key, record, high, words[1]!, this.hasher), before, high);
    return true;
  }

  /**
   * Sets `fields` of a record and takes `removed` away. False, and nothing written, where that changes nothing.
   * @throws SyncError `RECORD_MISSING`, and as {@link StateMerkleTree.put}
   */
  patch(key: RecordKey, fields: SyncRecord, removed: readonly string[] = []): boolean {
    const before = this.#find(key);
    if (before === undefined) throw missing(key, 'patch');
    const after = patched(before.record, fields, removed);
    if (after === before.record) return false;
    const high = words[0]!;
    this.#put(patchedEntry(before, after, fields, removed, high, this.hasher), before, high);
    return true;
  }

  /** False where there is no such record. */
  remove(key: RecordKey): boolean {
    const before = this.#find(key);
    if (before === undefined) return false;
    this.#write(removeEntry(this.#node!, before, words[0]!, this.#edit));
    return true;
  }

  /**
   * All of `changes`, in order, or none of them.
   * @throws SyncError `RECORD_MISSING` for a patch or remove of a missing record, and as {@link StateMerkleTree.put}
   */
  apply(changes: readonly Change[]): void {
    const kept = this.#kept;
    const undo: Change[] = [];
    try {
      for (const change of changes) {
        // With the state kept, or only one change to make, there is nothing to take back one by one.
        if (kept === undefined && changes.length > 1) undo.push(inverse(change.key, this.get(change.key)));
        applyChange(this, change);
      }
    } catch (error) {
      if (kept === undefined) {
        for (const change of undo.reverse())
          if (change.op !== 'remove' || this.has(change.key)) applyChange(this, change);
      } else {
        this.#node = kept.node;
        this.#kept = kept;
      }
      throw error;
    }
  }

  /** Keeps what is now. The same object as before where nothing was written since. */
  root(): StateRoot {
    if (this.#kept === undefined) {
      this.#kept = new StateRoot(this.#node, this.hasher);
      this.#edit = {};
    }
    return this.#kept;
  }

  /** The entry of a key; leaves the key's hash in `words`. */
  #find(key: RecordKey): Entry | undefined {
    hashKey(key, words);
    return findHashed(this.#node, key, words[0]!, words[1]!);
  }

  #put(entry: Entry, before: Entry | undefined, keyHigh: number): void {
    this.#write(putEntry(this.#node, entry, before, keyHigh, this.#edit));
  }

  #write(node: Node | null): void {
    this.#node = node;
    this.#kept = undefined;
  }
}

/** The hash of the key that is being written: high and low word. */
const words = new Int32Array(2);

function entryOf(key: RecordKey, record: SyncRecord, high: number, low: number, hasher: Hasher): Entry {
  try {
    return makeEntry(key, record, high, low, hasher);
  } catch (error) {
    explain(key, record, error);
  }
}

function patchedEntry(
  before: Entry,
  after: SyncRecord,
  fields: SyncRecord,
  removed: readonly string[],
  high: number,
  hasher: Hasher,
): Entry {
  try {
    return makePatched(before, after, fields, removed, high, hasher);
  } catch (error) {
    explain(before.key, after, error);
  }
}

/** The schema says in which field it is, at a cost that only a failure is worth. */
function explain(key: RecordKey, record: SyncRecord, error: unknown): never {
  recordSchema.parse(record, key);
  throw error;
}

function applyChange(tree: StateMerkleTree, change: Change): void {
  switch (change.op) {
    case 'put':
      tree.put(change.key, change.record);
      return;
    case 'patch':
      tree.patch(change.key, change.fields, change.removed);
      return;
    case 'remove':
      if (!tree.remove(change.key)) throw missing(change.key, 'remove');
      return;
    default:
      unreachable(change);
  }
}

function inverse(key: RecordKey, before: SyncRecord | undefined): Change {
  return before === undefined ? { op: 'remove', key } : { op: 'put', key, record: before };
}

function missing(key: RecordKey, op: 'patch' | 'remove'): SyncError {
  return new SyncError('RECORD_MISSING', `cannot ${op} ${key}: there is no such record`, {
    origin: 'state',
    place: { key },
  });
}
