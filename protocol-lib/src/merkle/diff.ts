import type { HashWords } from '../bytes/index.ts';
import { SyncError } from '../errors/index.ts';
import type { Change, RecordKey, SyncRecord } from '../state/index.ts';
import { changeBetween, changeOf } from './line.ts';
import type { StateRoot } from './roots.ts';
import { Branch, childOf, countOf, type Entry, entriesOf, FAN_OUT, hashOf, type Node, partOf } from './trie.ts';

/** A key whose record differs: absent on a side where there is none. */
export interface RecordChange {
  readonly key: RecordKey;
  readonly left?: SyncRecord;
  readonly right?: SyncRecord;
}

/** Told of each unequal pair, at least one of the two given. */
export type EntryPair = (left: Entry | undefined, right: Entry | undefined) => void;

/**
 * The records in which two states differ, sorted by key. Descends only into subtrees with
 * unequal hashes, so the cost follows the difference.
 * @throws SyncError `HASHER_DIFFERS` where the two were hashed differently
 */
export function diffRoots(left: StateRoot, right: StateRoot): RecordChange[] {
  checkHashers(left, right);
  const changes: RecordChange[] = [];
  walkUnequal(left.node, right.node, 0, (a, b) => {
    if (a === undefined) changes.push({ key: b!.key, right: b!.record });
    else if (b === undefined) changes.push({ key: a.key, left: a.record });
    else changes.push({ key: a.key, left: a.record, right: b.record });
  });
  return sortByKey(changes);
}

/**
 * The changes that lead from one state to another, sorted by key: a patch with only the fields that
 * differ where both have the record, a put or a remove where one has. Where the one came of the other lately, what was written
 * since is known; else the tries are compared.
 * @throws SyncError `HASHER_DIFFERS` where the two were hashed differently
 */
export function changesBetween(from: StateRoot, to: StateRoot): Change[] {
  checkHashers(from, to);
  const writes = to.step.writesSince(from.step);
  if (writes !== undefined) return sortByKey(writes.map(changeOf));
  const changes: Change[] = [];
  walkUnequal(from.node, to.node, 0, (before, after) => {
    changes.push(changeBetween((before ?? after)!.key, before?.record, after?.record));
  });
  return sortByKey(changes);
}

/** @throws SyncError `HASHER_DIFFERS` */
export function checkHashers(left: StateRoot, right: StateRoot): void {
  if (left.hasher.name === right.hasher.name) return;
  throw new SyncError(
    'HASHER_DIFFERS',
    `a state hashed with ${left.hasher.name} cannot be compared with one hashed with ${right.hasher.name}; build both with one hasher`,
    { origin: 'state' },
  );
}

/** Up to so many, looking for each one's place in turn is faster than the engine's sort. */
const FEW = 128;

/** Sorts in place, ascending by UTF-16 unit. */
export function sortByKey<T extends { readonly key: string }>(list: T[]): T[] {
  if (list.length > FEW) return list.sort((left, right) => (left.key < right.key ? -1 : left.key > right.key ? 1 : 0));
  for (let index = 1; index < list.length; index++) {
    const one = list[index]!;
    const { key } = one;
    let low = 0;
    let high = index;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (list[middle]!.key > key) high = middle;
      else low = middle + 1;
    }
    for (let at = index; at > low; at--) list[at] = list[at - 1]!;
    list[low] = one;
  }
  return list;
}

const ours: HashWords = new Int32Array(2);
const theirs: HashWords = new Int32Array(2);

/** Whether two subtrees are equal, by count and hash. */
export function isEqualNode(left: Node | null, right: Node | null): boolean {
  if (left === right) return true;
  if (left === null || right === null || countOf(left) !== countOf(right)) return false;
  hashOf(left, ours);
  hashOf(right, theirs);
  return ours[0] === theirs[0] && ours[1] === theirs[1];
}

function walkUnequal(left: Node | null, right: Node | null, depth: number, tell: EntryPair): void {
  if (left instanceof Branch) {
    if (right instanceof Branch) {
      if (left.high !== right.high || left.low !== right.low || left.count !== right.count) {
        walkBranches(left, right, depth + 1, tell);
      }
    } else if (right !== null) mergeBranch(right, left, depth, false, tell);
    else for (const entry of entriesOf(left)) tell(entry, undefined);
  } else if (!(right instanceof Branch)) mergeEntries(left, right, tell);
  else if (left !== null) mergeBranch(left, right, depth, true, tell);
  else for (const entry of entriesOf(right)) tell(undefined, entry);
}

/** Most children of two versions are the very same: told apart one by one, in a row, they cost next to nothing. */
function walkBranches(left: Branch, right: Branch, depth: number, tell: EntryPair): void {
  if (left.c0 !== right.c0) walkUnequal(left.c0, right.c0, depth, tell);
  if (left.c1 !== right.c1) walkUnequal(left.c1, right.c1, depth, tell);
  if (left.c2 !== right.c2) walkUnequal(left.c2, right.c2, depth, tell);
  if (left.c3 !== right.c3) walkUnequal(left.c3, right.c3, depth, tell);
  if (left.c4 !== right.c4) walkUnequal(left.c4, right.c4, depth, tell);
  if (left.c5 !== right.c5) walkUnequal(left.c5, right.c5, depth, tell);
  if (left.c6 !== right.c6) walkUnequal(left.c6, right.c6, depth, tell);
  if (left.c7 !== right.c7) walkUnequal(left.c7, right.c7, depth, tell);
  if (left.c8 !== right.c8) walkUnequal(left.c8, right.c8, depth, tell);
  if (left.c9 !== right.c9) walkUnequal(left.c9, right.c9, depth, tell);
  if (left.ca !== right.ca) walkUnequal(left.ca, right.ca, depth, tell);
  if (left.cb !== right.cb) walkUnequal(left.cb, right.cb, depth, tell);
  if (left.cc !== right.cc) walkUnequal(left.cc, right.cc, depth, tell);
  if (left.cd !== right.cd) walkUnequal(left.cd, right.cd, depth, tell);
  if (left.ce !== right.ce) walkUnequal(left.ce, right.ce, depth, tell);
  if (left.cf !== right.cf) walkUnequal(left.cf, right.cf, depth, tell);
}

/** A bucket against a branch: the bucket's entries, each in the slot where it would be. */
function mergeBranch(bucket: Entry, branch: Branch, depth: number, bucketIsLeft: boolean, tell: EntryPair): void {
  for (let slot = 0; slot < FAN_OUT; slot++) {
    const part = partOf(bucket, slot, depth);
    if (bucketIsLeft) walkUnequal(part, childOf(branch, slot), depth + 1, tell);
    else walkUnequal(childOf(branch, slot), part, depth + 1, tell);
  }
}

/** The subtree in a slot of the node at `depth`; of a bucket, as if it were a branch: a bucket of what would be there. */
export function childAt(node: Node | null, slot: number, depth: number): Node | null {
  if (node === null) return null;
  return node instanceof Branch ? childOf(node, slot) : partOf(node, slot, depth);
}

/** Two buckets, ascending by key both, so that one pass pairs them. */
export function mergeEntries(left: Entry | null, right: Entry | null, tell: EntryPair): void {
  let one = left;
  let other = right;
  // Versions of one bucket have the same end.
  while (one !== other) {
    if (one !== null && other !== null && one.key === other.key) {
      if (!sameEntry(one, other)) tell(one, other);
      one = one.next;
      other = other.next;
    } else if (other === null || (one !== null && one.key < other.key)) {
      tell(one!, undefined);
      one = one!.next;
    } else {
      tell(undefined, other);
      other = other.next;
    }
  }
}

export function sameEntry(left: Entry, right: Entry): boolean {
  return left === right || (left.high === right.high && left.low === right.low);
}
