import { type Hasher, type HashWords, hashKeyed, hashText } from '../bytes/index.ts';
import type { RecordKey, SyncRecord } from '../state/index.ts';

/**
 * The persistent Merkle trie under {@link StateRoot} and {@link StateMerkleTree}, as plain functions.
 *
 * A key's place is its 64-bit hash, four bits a level from the top. A subtree of up to 8 records is a
 * bucket, sorted by key; a larger one is a branch of 16. So the shape follows from the records alone,
 * whatever order they came in, and equal states are equal node by node.
 *
 * A node belongs to the edit that made it. An edit changes its own nodes in place and copies any other
 * on the first write, so whoever kept the old root still sees the old state.
 *
 * A leaf's hash is that of the canonical bytes of `[key, record]`; a node's is the sum of those below,
 * word by word modulo 2^32. Hashes are worked out when asked for and kept: writing twice hashes once.
 */
export const BUCKET_MAX = 8;
export const FAN_OUT = 16;
/** Levels that 64 bits give; a bucket there may hold more than 8. */
export const DEPTH_MAX = 16;

/** One record in its place. Immutable, but for the hash that is filled in on first use. */
export class Entry {
  readonly key: RecordKey;
  readonly record: SyncRecord;
  /** Low word of the key's hash: tells most unequal keys apart without comparing text. */
  readonly tag: number;
  hashed = false;
  high = 0;
  low = 0;

  constructor(key: RecordKey, record: SyncRecord, tag: number) {
    this.key = key;
    this.record = record;
    this.tag = tag;
  }
}

/** Identity of one run of writes; a node is changed in place only by the edit that it carries. */
export type Edit = object;

export class Bucket {
  readonly edit: Edit;
  /** Sorted by key. */
  readonly entries: Entry[];
  hashed = false;
  high = 0;
  low = 0;

  constructor(edit: Edit, entries: Entry[]) {
    this.edit = edit;
    this.entries = entries;
  }

  get count(): number {
    return this.entries.length;
  }
}

export class Branch {
  readonly edit: Edit;
  /** 16 subtrees; null where there is nothing. */
  readonly children: (Node | null)[];
  count: number;
  hashed = false;
  high = 0;
  low = 0;

  constructor(edit: Edit, children: (Node | null)[], count: number) {
    this.edit = edit;
    this.children = children;
    this.count = count;
  }
}

export type Node = Branch | Bucket;

const words: HashWords = new Int32Array(2);

/** Which of a branch's 16 children at `depth` a key hash leads to. */
export function slotOf(high: number, low: number, depth: number): number {
  return depth < 8 ? (high >>> (28 - 4 * depth)) & 15 : (low >>> (60 - 4 * depth)) & 15;
}

/** The key's 64-bit hash, into `out`. Places are always found with the fast hash, whatever hashes the records. */
export function hashKey(key: string, out: HashWords): void {
  hashText(key, out);
}

export function findEntry(root: Node | null, key: string): Entry | undefined {
  hashText(key, words);
  return findHashed(root, key, words[0]!, words[1]!);
}

/** {@link findEntry} for a key whose hash is known. */
export function findHashed(root: Node | null, key: string, high: number, low: number): Entry | undefined {
  let node = root;
  for (let depth = 0; node instanceof Branch; depth++) node = node.children[slotOf(high, low, depth)]!;
  if (node === null) return undefined;
  const entries = node.entries;
  for (let index = 0; index < entries.length; index++) {
    const entry = entries[index]!;
    if (entry.tag === low && entry.key === key) return entry;
  }
  return undefined;
}

/** The trie with one record put. `high` is that word of its key's hash; `isNew` where its key is not there yet. */
export function putEntry(root: Node | null, entry: Entry, high: number, isNew: boolean, edit: Edit): Node {
  return put(root, entry, high, 0, edit, isNew ? 1 : 0);
}

function put(node: Node | null, entry: Entry, high: number, depth: number, edit: Edit, added: 0 | 1): Node {
  if (node === null) return new Bucket(edit, [entry]);
  if (node instanceof Branch) {
    const slot = slotOf(high, entry.tag, depth);
    const child = put(node.children[slot]!, entry, high, depth + 1, edit, added);
    const own = ownBranch(node, edit);
    own.children[slot] = child;
    own.count += added;
    return own;
  }
  if (added === 1 && node.entries.length >= BUCKET_MAX && depth < DEPTH_MAX) {
    return split(node, entry, high, depth, edit);
  }
  const own = ownBucket(node, edit);
  const entries = own.entries;
  let at = 0;
  while (at < entries.length && entries[at]!.key < entry.key) at++;
  if (added === 1) entries.splice(at, 0, entry);
  else entries[at] = entry;
  return own;
}

function split(bucket: Bucket, entry: Entry, high: number, depth: number, edit: Edit): Node {
  const children: (Node | null)[] = new Array(FAN_OUT).fill(null);
  const branch = new Branch(edit, children, bucket.entries.length + 1);
  for (const moved of bucket.entries) {
    hashText(moved.key, words);
    place(children, moved, words[0]!, depth, edit);
  }
  place(children, entry, high, depth, edit);
  return branch;
}

function place(children: (Node | null)[], entry: Entry, high: number, depth: number, edit: Edit): void {
  const slot = slotOf(high, entry.tag, depth);
  children[slot] = put(children[slot]!, entry, high, depth + 1, edit, 1);
}

/** The trie without an entry of it. `high` is that word of its key's hash. */
export function removeEntry(root: Node, entry: Entry, high: number, edit: Edit): Node | null {
  return remove(root, entry, high, 0, edit);
}

function remove(node: Node, entry: Entry, high: number, depth: number, edit: Edit): Node | null {
  if (node instanceof Branch) {
    const slot = slotOf(high, entry.tag, depth);
    const child = remove(node.children[slot]!, entry, high, depth + 1, edit);
    if (node.count - 1 <= BUCKET_MAX) return collapse(node, slot, child, edit);
    const own = ownBranch(node, edit);
    own.children[slot] = child;
    own.count--;
    return own;
  }
  if (node.entries.length === 1) return null;
  const own = ownBucket(node, edit);
  own.entries.splice(own.entries.indexOf(entry), 1);
  return own;
}

/** A branch that has become small enough is a bucket again, as if it had never been more. */
function collapse(branch: Branch, slot: number, replacement: Node | null, edit: Edit): Bucket {
  const entries: Entry[] = [];
  for (let index = 0; index < FAN_OUT; index++) {
    const child = index === slot ? replacement : branch.children[index]!;
    if (child !== null) for (const entry of entriesOf(child)) entries.push(entry);
  }
  entries.sort((left, right) => (left.key < right.key ? -1 : 1));
  return new Bucket(edit, entries);
}

function ownBranch(node: Branch, edit: Edit): Branch {
  if (node.edit === edit) {
    node.hashed = false;
    return node;
  }
  return new Branch(edit, node.children.slice(), node.count);
}

function ownBucket(node: Bucket, edit: Edit): Bucket {
  if (node.edit === edit) {
    node.hashed = false;
    return node;
  }
  return new Bucket(edit, node.entries.slice());
}

/** Every entry below, in the trie's order, which follows from the records alone. */
export function* entriesOf(node: Node | null): Generator<Entry, void, undefined> {
  if (node === null) return;
  if (node instanceof Bucket) {
    yield* node.entries;
    return;
  }
  for (const child of node.children) if (child !== null) yield* entriesOf(child);
}

/** Fills in `entry.high` and `entry.low`. */
export function hashEntry(entry: Entry, hasher: Hasher): void {
  if (entry.hashed) return;
  hashKeyed(hasher, entry.key, entry.record, words);
  entry.high = words[0]!;
  entry.low = words[1]!;
  entry.hashed = true;
}

/** Fills in `node.high` and `node.low`, and those of everything below that has none yet. */
export function hashNode(node: Node, hasher: Hasher): void {
  if (node.hashed) return;
  let high = 0;
  let low = 0;
  if (node instanceof Bucket) {
    const entries = node.entries;
    for (let index = 0; index < entries.length; index++) {
      const entry = entries[index]!;
      if (!entry.hashed) hashEntry(entry, hasher);
      high = (high + entry.high) | 0;
      low = (low + entry.low) | 0;
    }
  } else {
    const children = node.children;
    for (let index = 0; index < FAN_OUT; index++) {
      const child = children[index]!;
      if (child === null) continue;
      if (!child.hashed) hashNode(child, hasher);
      high = (high + child.high) | 0;
      low = (low + child.low) | 0;
    }
  }
  node.high = high;
  node.low = low;
  node.hashed = true;
}
