import { type Hasher, type HashWords, hashPatch, hashRecord, hashText } from '../bytes/index.ts';
import type { RecordKey, SyncRecord } from '../state/index.ts';

/**
 * The persistent Merkle trie under {@link StateRoot} and {@link StateMerkleTree}, as plain functions.
 *
 * A key's place is its 64-bit hash, four bits a level from the top. A subtree of up to 8 records is a
 * bucket: its entries in a chain, ascending by key, each knowing the next. A larger one is a branch of 16.
 * So the shape follows from the records alone, whatever order they came in, and equal states are equal node by node.
 *
 * Entries are immutable once they are in their place, so that chains share their ends. A branch belongs to the
 * edit that made it. An edit changes its own branches in place and copies any other on the first write, so
 * whoever kept the old root still sees the old state.
 *
 * A leaf's hash is the sum of its fields' (`bytes/record-hash.ts`); a branch's is the sum of those below,
 * word by word modulo 2^32. So a write takes the old leaf's words from each branch on its way and adds the
 * new one's, and every branch's hash is always known.
 */
export const BUCKET_MAX = 8;
export const FAN_OUT = 16;
/** Levels that 64 bits give; a bucket there may hold more than 8. */
export const DEPTH_MAX = 16;

// Fields are declared without being defined first, so that an engine sees each only ever hold what the constructor gives it.

/**
 * One record in its place. `high` and `low` are the leaf's hash. An entry stands for its bucket as well: for itself and
 * those after it.
 */
export class Entry {
  declare readonly key: RecordKey;
  declare readonly record: SyncRecord;
  /** That of the next key in the bucket. Set once, when the entry takes its place. */
  declare next: Entry | null;
  /** Low word of the key's hash: tells most unequal keys apart without comparing text. */
  declare readonly tag: number;
  declare readonly high: number;
  declare readonly low: number;

  constructor(key: RecordKey, record: SyncRecord, next: Entry | null, tag: number, high: number, low: number) {
    this.key = key;
    this.record = record;
    this.next = next;
    this.tag = tag;
    this.high = high;
    this.low = low;
  }
}

/** Identity of one run of writes; a node is changed in place only by the edit that it carries. */
export type Edit = object;

/**
 * `high` and `low` are the sum of the hashes below. The 16 subtrees lie in the node itself, null where there is nothing: a copy is
 * one piece of memory, and so is a step down.
 */
export class Branch {
  declare readonly edit: Edit;
  declare count: number;
  declare high: number;
  declare low: number;
  declare c0: Node | null;
  declare c1: Node | null;
  declare c2: Node | null;
  declare c3: Node | null;
  declare c4: Node | null;
  declare c5: Node | null;
  declare c6: Node | null;
  declare c7: Node | null;
  declare c8: Node | null;
  declare c9: Node | null;
  declare ca: Node | null;
  declare cb: Node | null;
  declare cc: Node | null;
  declare cd: Node | null;
  declare ce: Node | null;
  declare cf: Node | null;

  constructor(edit: Edit, count: number, high: number, low: number) {
    this.edit = edit;
    this.count = count;
    this.high = high;
    this.low = low;
    this.c0 = null;
    this.c1 = null;
    this.c2 = null;
    this.c3 = null;
    this.c4 = null;
    this.c5 = null;
    this.c6 = null;
    this.c7 = null;
    this.c8 = null;
    this.c9 = null;
    this.ca = null;
    this.cb = null;
    this.cc = null;
    this.cd = null;
    this.ce = null;
    this.cf = null;
  }
}

/** The subtree in a slot from 0 to 15. */
export function childOf(branch: Branch, slot: number): Node | null {
  switch (slot) {
    case 0:
      return branch.c0;
    case 1:
      return branch.c1;
    case 2:
      return branch.c2;
    case 3:
      return branch.c3;
    case 4:
      return branch.c4;
    case 5:
      return branch.c5;
    case 6:
      return branch.c6;
    case 7:
      return branch.c7;
    case 8:
      return branch.c8;
    case 9:
      return branch.c9;
    case 10:
      return branch.ca;
    case 11:
      return branch.cb;
    case 12:
      return branch.cc;
    case 13:
      return branch.cd;
    case 14:
      return branch.ce;
    default:
      return branch.cf;
  }
}

function setChild(branch: Branch, slot: number, child: Node | null): void {
  switch (slot) {
    case 0:
      branch.c0 = child;
      return;
    case 1:
      branch.c1 = child;
      return;
    case 2:
      branch.c2 = child;
      return;
    case 3:
      branch.c3 = child;
      return;
    case 4:
      branch.c4 = child;
      return;
    case 5:
      branch.c5 = child;
      return;
    case 6:
      branch.c6 = child;
      return;
    case 7:
      branch.c7 = child;
      return;
    case 8:
      branch.c8 = child;
      return;
    case 9:
      branch.c9 = child;
      return;
    case 10:
      branch.ca = child;
      return;
    case 11:
      branch.cb = child;
      return;
    case 12:
      branch.cc = child;
      return;
    case 13:
      branch.cd = child;
      return;
    case 14:
      branch.ce = child;
      return;
    default:
      branch.cf = child;
  }
}

/** A subtree with something in it: a branch, or the first entry of a bucket. */
export type Node = Branch | Entry;

/** Records below. */
export function countOf(node: Node | null): number {
  if (node instanceof Branch) return node.count;
  let count = 0;
  for (let entry = node; entry !== null; entry = entry.next) count++;
  return count;
}

/** The subtree's hash, into `out`. */
export function hashOf(node: Node | null, out: HashWords): void {
  let high = 0;
  let low = 0;
  if (node instanceof Branch) {
    high = node.high;
    low = node.low;
  } else {
    for (let entry = node; entry !== null; entry = entry.next) {
      high = (high + entry.high) | 0;
      low = (low + entry.low) | 0;
    }
  }
  out[0] = high;
  out[1] = low;
}

/** For hashes that are used at once; nothing that is called in between may hash. */
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
  for (let depth = 0; node instanceof Branch; depth++) node = childOf(node, slotOf(high, low, depth));
  for (let entry: Entry | null = node; entry !== null; entry = entry.next) {
    if (entry.tag === low && entry.key === key) return entry;
  }
  return undefined;
}

/**
 * A leaf for a record, in no place yet. `high` and `low` are the key's hash.
 * @throws SyncError where the record has no canonical bytes
 */
export function makeEntry(key: RecordKey, record: SyncRecord, high: number, low: number, hasher: Hasher): Entry {
  hashRecord(hasher, key, high, low, record, words);
  return new Entry(key, record, null, low, words[0]!, words[1]!);
}

/**
 * A leaf in no place yet, for the record that comes of `before` by setting `fields` and taking `removed` away. `high` is the high word
 * of the key's hash. @throws SyncError as {@link makeEntry}
 */
export function makePatched(
  before: Entry,
  record: SyncRecord,
  fields: SyncRecord,
  removed: readonly string[],
  high: number,
  hasher: Hasher,
): Entry {
  words[0] = before.high;
  words[1] = before.low;
  hashPatch(hasher, before.key, high, before.tag, before.record, fields, removed, words);
  return new Entry(before.key, record, null, before.tag, words[0]!, words[1]!);
}

/**
 * The trie with `entry`, which nothing else has, in the place of `before`, the entry of the same key that is there now, or new.
 * `keyHigh` is the high word of the key's hash; `depthOfRoot` is not 0 where `root` is a subtree.
 */
export function putEntry(
  root: Node | null,
  entry: Entry,
  before: Entry | undefined,
  keyHigh: number,
  edit: Edit,
  depthOfRoot = 0,
): Node {
  const high = before === undefined ? entry.high : (entry.high - before.high) | 0;
  const low = before === undefined ? entry.low : (entry.low - before.low) | 0;
  const added = before === undefined ? 1 : 0;
  let top: Node | null = root;
  let parent: Branch | null = null;
  let slot = 0;
  let node = root;
  let depth = depthOfRoot;
  while (node instanceof Branch) {
    const own = ownBranch(node, edit);
    own.count += added;
    own.high = (own.high + high) | 0;
    own.low = (own.low + low) | 0;
    if (parent === null) top = own;
    else setChild(parent, slot, own);
    parent = own;
    slot = slotOf(keyHigh, entry.tag, depth++);
    node = childOf(own, slot);
  }
  const last = putInBucket(node, entry, before, keyHigh, depth, edit);
  if (parent === null) return last;
  setChild(parent, slot, last);
  return top!;
}

function putInBucket(
  first: Entry | null,
  entry: Entry,
  before: Entry | undefined,
  keyHigh: number,
  depth: number,
  edit: Edit,
): Node {
  if (before !== undefined) return replaced(first!, before, entry);
  if (first !== null && depth < DEPTH_MAX && countOf(first) >= BUCKET_MAX) {
    return putEntry(split(first, depth, edit), entry, undefined, keyHigh, edit, depth);
  }
  return inserted(first, entry);
}

/** The bucket with `entry` in the place of `before`. Those in front are copied, those behind shared. */
function replaced(first: Entry, before: Entry, entry: Entry): Entry {
  entry.next = before.next;
  return first === before ? entry : upTo(first, before, entry);
}

/** The bucket with a new entry where its key has its place. */
function inserted(first: Entry | null, entry: Entry): Entry {
  let after = first;
  while (after !== null && after.key < entry.key) after = after.next;
  entry.next = after;
  return first === after ? entry : upTo(first!, after, entry);
}

/** Copies of the entries from `first` to the one before `end`, and then `rest`. */
function upTo(first: Entry, end: Entry | null, rest: Entry | null): Entry {
  const head = new Entry(first.key, first.record, rest, first.tag, first.high, first.low);
  let last = head;
  for (let one = first.next!; one !== end; one = one.next!) {
    const copy = new Entry(one.key, one.record, rest, one.tag, one.high, one.low);
    last.next = copy;
    last = copy;
  }
  return head;
}

/** A full bucket as a branch with the same entries, on the way to one more. */
function split(first: Entry, depth: number, edit: Edit): Branch {
  hashOf(first, words);
  const branch = new Branch(edit, countOf(first), words[0]!, words[1]!);
  for (let slot = 0; slot < FAN_OUT; slot++) setChild(branch, slot, partOf(first, slot, depth));
  return branch;
}

/** The entries of a bucket that belong into one slot, were it a branch at `depth`; null where there are none. */
export function partOf(first: Entry, slot: number, depth: number): Entry | null {
  const part: Entry[] = [];
  for (let entry: Entry | null = first; entry !== null; entry = entry.next) {
    hashText(entry.key, words);
    if (slotOf(words[0]!, words[1]!, depth) === slot) part.push(entry);
  }
  return chained(part);
}

/** A bucket of copies of these entries, which are ascending by key. */
export function chained(entries: readonly Entry[]): Entry | null {
  let rest: Entry | null = null;
  for (let index = entries.length - 1; index >= 0; index--) {
    const { key, record, tag, high, low } = entries[index]!;
    rest = new Entry(key, record, rest, tag, high, low);
  }
  return rest;
}

/** The trie without an entry of it. `keyHigh` is the high word of its key's hash. */
export function removeEntry(root: Node, entry: Entry, keyHigh: number, edit: Edit): Node | null {
  let top: Node = root;
  let parent: Branch | null = null;
  let slot = 0;
  let node: Node = root;
  // A branch that would be left with 8 becomes a bucket again, as if it had never been more.
  for (let depth = 0; node instanceof Branch && node.count > BUCKET_MAX + 1; depth++) {
    const own: Branch = ownBranch(node, edit);
    own.count--;
    own.high = (own.high - entry.high) | 0;
    own.low = (own.low - entry.low) | 0;
    if (parent === null) top = own;
    else setChild(parent, slot, own);
    parent = own;
    slot = slotOf(keyHigh, entry.tag, depth);
    node = childOf(own, slot)!;
  }
  const last = node instanceof Branch ? collapsed(node, entry) : without(node, entry);
  if (parent === null) return last;
  setChild(parent, slot, last);
  return top;
}

/** A bucket less one; null where nothing is left. */
function without(first: Entry, entry: Entry): Entry | null {
  return first === entry ? entry.next : upTo(first, entry, entry.next);
}

/** A branch of 9, less one, as a bucket. */
function collapsed(branch: Branch, entry: Entry): Entry | null {
  const entries = [...entriesOf(branch)].filter((one) => one !== entry);
  return chained(entries.sort((left, right) => (left.key < right.key ? -1 : 1)));
}

function ownBranch(node: Branch, edit: Edit): Branch {
  if (node.edit === edit) return node;
  const copy = new Branch(edit, node.count, node.high, node.low);
  copy.c0 = node.c0;
  copy.c1 = node.c1;
  copy.c2 = node.c2;
  copy.c3 = node.c3;
  copy.c4 = node.c4;
  copy.c5 = node.c5;
  copy.c6 = node.c6;
  copy.c7 = node.c7;
  copy.c8 = node.c8;
  copy.c9 = node.c9;
  copy.ca = node.ca;
  copy.cb = node.cb;
  copy.cc = node.cc;
  copy.cd = node.cd;
  copy.ce = node.ce;
  copy.cf = node.cf;
  return copy;
}

/** Every entry below, in the trie's order, which follows from the records alone. */
export function* entriesOf(node: Node | null): Generator<Entry, void, undefined> {
  if (node instanceof Branch) {
    for (let slot = 0; slot < FAN_OUT; slot++) {
      const child = childOf(node, slot);
      if (child !== null) yield* entriesOf(child);
    }
    return;
  }
  for (let entry = node; entry !== null; entry = entry.next) yield entry;
}
