import { fastHasher, type Hasher, isCanonical, MAP_MAX_FIELDS, wordsToHex } from '../bytes/index.ts';
import { SyncError, unreachable } from '../errors/index.ts';
import {
  type Change,
  type RecordKey,
  recordSchema,
  type StateHash,
  type SyncRecord,
  type Value,
} from '../state/index.ts';
import { type Cell, Front } from './front.ts';
import { Step } from './line.ts';
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
  type Node,
  putEntry,
} from './trie.ts';
import { patched, sameRecord, sameValue } from './values.ts';

/** The root hash of a state without records. */
export const EMPTY_HASH = wordsToHex(0, 0) as StateHash;

/**
 * A state at one moment: records under keys, immutable. A snapshot is a root that somebody keeps; two
 * roots share whatever they have in common.
 */
export class StateRoot {
  static readonly empty: StateRoot = new StateRoot(null, fastHasher);

  /** For the other files of this folder. */
  readonly step: Step;
  #hash: StateHash | undefined;

  /** Use {@link StateRoot.from}, {@link StateRoot.empty} or {@link StateMerkleTree.root}. */
  constructor(version: Node | null | Step, hasher: Hasher) {
    this.step = version instanceof Step ? version : Step.of(version, countOf(version), hasher);
  }

  /** A state of these records; of two with one key the later counts. @throws SyncError as {@link StateMerkleTree.put} */
  static from(entries: Iterable<readonly [RecordKey, SyncRecord]>, hasher: Hasher = fastHasher): StateRoot {
    const edit: Edit = {};
    let node: Node | null = null;
    for (const [key, record] of entries) {
      hashKey(key, words);
      const high = words[0]!;
      const low = words[1]!;
      const before = findHashed(node, key, high, low);
      node = putEntry(node, entryOf(key, record, high, low, hasher), before, high, edit);
    }
    return new StateRoot(node, hasher);
  }

  get hasher(): Hasher {
    return this.step.hasher;
  }

  /** Records in it. */
  get size(): number {
    return this.step.size;
  }

  /** The trie; for the other files of this folder. It is written when it is first asked for. */
  get node(): Node | null {
    return this.step.trie;
  }

  /** The state hash: 16 hex digits. */
  get hash(): StateHash {
    // Each client's acknowledgement is compared with it.
    this.#hash ??= nodeHash(this.node);
    return this.#hash;
  }

  get(key: RecordKey): SyncRecord | undefined {
    const { present } = this.step;
    return present === undefined ? findEntry(this.node, key)?.record : present.getKept(key);
  }

  has(key: RecordKey): boolean {
    return this.get(key) !== undefined;
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
    tree.apply(changes);
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
 * A state that changes: the owned handle of one replica. Writes go into a flat front and are remembered; the trie is written
 * from them, all at once, when a version's hash or trie is asked for.
 */
export class StateMerkleTree {
  readonly hasher: Hasher;
  /** The version last kept. */
  #kept: StateRoot;
  /** With the run of writes since then; undefined where there is none. */
  #front: Front | undefined;
  #size: number;

  constructor(root: StateRoot = StateRoot.empty) {
    this.hasher = root.hasher;
    this.#kept = root;
    this.#size = root.size;
  }

  get size(): number {
    return this.#size;
  }

  /** The hash of the state as it is now. */
  get hash(): StateHash {
    return this.root().hash;
  }

  get(key: RecordKey): SyncRecord | undefined {
    return this.#front === undefined ? this.#kept.get(key) : this.#front.get(key);
  }

  has(key: RecordKey): boolean {
    return this.get(key) !== undefined;
  }

  /** As {@link StateRoot.entries}. Writing while this is being read is not supported. */
  *entries(prefix = ''): Generator<readonly [RecordKey, SyncRecord], void, undefined> {
    yield* this.root().entries(prefix);
  }

  /**
   * Sets a whole record. False, and nothing written, where an equal one is there.
   * @throws SyncError `VALUE_INVALID`, `FIELD_RESERVED`, `LIMIT_DEPTH` or `LIMIT_MAP_KEYS` for a record that has no hash
   */
  put(key: RecordKey, record: SyncRecord): boolean {
    return this.#put(key, record, undefined);
  }

  #put(key: RecordKey, record: SyncRecord, known: Cell | undefined): boolean {
    const front = this.#front ?? this.#begin();
    const cell = known ?? front.cell(key);
    const before = cell === undefined ? front.beneath(key) : cell.record;
    if (before !== undefined && sameRecord(before, record)) return false;
    if (!isCanonical(record) || (before === undefined && !key.isWellFormed())) explain(key, record);
    this.#write(front, key, cell, before, record);
    return true;
  }

  /**
   * Sets `fields` of a record and takes `removed` away. False, and nothing written, where that changes nothing.
   * @throws SyncError `RECORD_MISSING`, and as {@link StateMerkleTree.put}
   */
  patch(key: RecordKey, fields: SyncRecord, removed: readonly string[] = NONE): boolean {
    return this.#patch(key, fields, removed, undefined);
  }

  #patch(key: RecordKey, fields: SyncRecord, removed: readonly string[], known: Cell | undefined): boolean {
    const front = this.#front ?? this.#begin();
    const cell = known ?? front.cell(key);
    const before = cell === undefined ? front.beneath(key) : cell.record;
    if (before === undefined) throw missing(key, 'patch');
    const after = patchedRecord(before, fields, removed) ?? refused(key, before, fields, removed);
    if (after === before) return false;
    this.#write(front, key, cell, before, after);
    return true;
  }

  /** False where there is no such record. */
  remove(key: RecordKey): boolean {
    return this.#remove(key, undefined);
  }

  #remove(key: RecordKey, known: Cell | undefined): boolean {
    const front = this.#front ?? this.#begin();
    const cell = known ?? front.cell(key);
    const before = cell === undefined ? front.beneath(key) : cell.record;
    if (before === undefined) return false;
    this.#write(front, key, cell, before, undefined);
    return true;
  }

  /**
   * All of `changes`, in order, or none of them.
   * @throws SyncError `RECORD_MISSING` for a patch or remove of a missing record, and as {@link StateMerkleTree.put}
   */
  apply(changes: readonly Change[]): void {
    const front = this.#front ?? this.#begin();
    const isFirst = !front.hasWrites;
    const undo: Change[] = [];
    // Looked up one right after the other, the cells of many keys are waited for together.
    const cells = changes.map(({ key }) => front.cell(key));
    try {
      for (let index = 0; index < changes.length; index++) {
        const change = changes[index]!;
        // Where nothing else waits, or only one change is made, there is nothing to take back one by one.
        if (!isFirst && changes.length > 1) undo.push(inverse(change.key, front.get(change.key)));
        this.#apply(change, cells[index]);
      }
    } catch (error) {
      if (isFirst) this.#takeBack();
      else for (const change of undo.reverse()) if (change.op !== 'remove' || this.has(change.key)) this.#apply(change);
      throw error;
    }
  }

  #apply(change: Change, known?: Cell): void {
    switch (change.op) {
      case 'put':
        this.#put(change.key, change.record, known);
        return;
      case 'patch':
        this.#patch(change.key, change.fields, change.removed, known);
        return;
      case 'remove':
        if (!this.#remove(change.key, known)) throw missing(change.key, 'remove');
        return;
      default:
        unreachable(change);
    }
  }

  /** Keeps what is now. The same object as before where nothing is different. */
  root(): StateRoot {
    const front = this.#front;
    if (front === undefined) return this.#kept;
    this.#front = undefined;
    const step = front.end(this.#size);
    if (step !== this.#kept.step) this.#kept = new StateRoot(step, this.hasher);
    return this.#kept;
  }

  #begin(): Front {
    this.#front = Front.begin(this.#kept.step);
    return this.#front;
  }

  /** Everything since the version kept. */
  #takeBack(): void {
    this.#front?.takeBack();
    this.#front = undefined;
    this.#size = this.#kept.size;
  }

  #write(
    front: Front,
    key: RecordKey,
    cell: Cell | undefined,
    before: SyncRecord | undefined,
    after: SyncRecord | undefined,
  ): void {
    if (before === undefined) this.#size++;
    if (after === undefined) this.#size--;
    front.write(key, cell, before, after);
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

const NONE: readonly string[] = [];

/** As {@link patched}, of a record that has a hash; undefined where what comes of it has none. */
function patchedRecord(before: SyncRecord, fields: SyncRecord, removed: readonly string[]): SyncRecord | undefined {
  let after: Record<string, Value> | undefined;
  let isWider = false;
  for (const name in fields) {
    const value = fields[name]!;
    const old = before[name];
    if (old === value ? value !== 0 || sameValue(old, value) : sameValue(old, value)) {
      if (value !== undefined) continue;
    }
    if (typeof value !== 'number' && typeof value !== 'boolean' && !isCanonical(value, 1)) return undefined;
    if (old === undefined || typeof old === 'function') {
      if (!name.isWellFormed()) return undefined;
      isWider = true;
    }
    // As a field, this would change a prototype.
    if (name === '__proto__') return undefined;
    after ??= { ...before };
    after[name] = value;
  }
  const result = removed.length === 0 ? (after ?? before) : patched(before, fields, removed);
  return isWider && Object.keys(result).length > MAP_MAX_FIELDS ? undefined : result;
}

function refused(key: RecordKey, before: SyncRecord, fields: SyncRecord, removed: readonly string[]): never {
  explain(key, patched(before, fields, removed));
}

/** The schema says in which field it is, at a cost that only a failure is worth; what it does not see, the hash does. */
function explain(key: RecordKey, record: SyncRecord, error?: unknown): never {
  recordSchema.parse(record, key);
  if (error === undefined) recordHash(key, record);
  if (error !== undefined) throw error;
  const text = `${key}: holds what is neither a plain value nor a list or map of such`;
  throw new SyncError('VALUE_INVALID', text, { origin: 'state', place: { key } });
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
