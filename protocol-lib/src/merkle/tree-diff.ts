import { type HashWords, wordsToHex } from '../bytes/index.ts';
import type { RecordKey, SyncRecord, Value } from '../state/index.ts';
import { checkHashers, childAt, isEqualNode, mergeEntries, sameEntry } from './diff.ts';
import type { StateRoot } from './roots.ts';
import { Branch, countOf, type Entry, entriesOf, FAN_OUT, hashOf, type Node } from './trie.ts';
import { sameValue } from './values.ts';

/** Two tries laid over each other, as the inspector draws them. Equal subtrees are stubs with a count. */
export interface MerkleNode {
  /** Hex digits of the key hash that lead here. */
  readonly path: string;
  readonly equal: boolean;
  /** 16 hex digits; null where that side has nothing here. */
  readonly leftHash: string | null;
  readonly rightHash: string | null;
  /** Records below. */
  readonly leftCount: number;
  readonly rightCount: number;
  /** Those of an unequal branch, the equal ones as stubs. Absent in an equal node, and past the limit. */
  readonly children?: readonly MerkleNode[];
  readonly leaves?: readonly MerkleLeaf[];
}

export interface MerkleLeaf {
  readonly key: RecordKey;
  readonly equal: boolean;
  readonly leftHash: string | null;
  readonly rightHash: string | null;
  readonly difference?: RecordDifference;
}

export interface FieldDifference {
  readonly field: string;
  readonly left?: Value;
  readonly right?: Value;
}

/** One record on which two states disagree. */
export interface RecordDifference {
  readonly key: RecordKey;
  /** Only on the left, only on the right, or in both with these fields unequal. */
  readonly side: 'left' | 'right' | 'both';
  readonly fields: readonly FieldDifference[];
}

export interface TreeDiff {
  readonly root: MerkleNode;
  /** Places of the trie that were compared. */
  readonly comparedNodes: number;
  /** Places of the trie that either side has. */
  readonly totalNodes: number;
}

type Draft = { -readonly [K in keyof MerkleNode]: MerkleNode[K] };

interface Pair {
  readonly node: Draft;
  readonly left: Node | null;
  readonly right: Node | null;
}

/**
 * The two states as one tree: unequal subtrees opened down to the values, equal ones as stubs with their
 * counts. Opens level by level, until about `limit` nodes and leaves are in it; an unequal node that was
 * not opened any more has neither children nor leaves.
 * @throws SyncError `HASHER_DIFFERS` where the two were hashed differently
 */
export function diffTree(left: StateRoot, right: StateRoot, limit = 2_000): TreeDiff {
  checkHashers(left, right);
  const root = draft('', left.node, right.node);
  const queue: Pair[] = [{ node: root, left: left.node, right: right.node }];
  let compared = 1;
  let shown = 1;
  for (let index = 0; index < queue.length && shown < limit; index++) {
    const { node, left: a, right: b } = queue[index]!;
    if (node.equal) continue;
    if (!(a instanceof Branch) && !(b instanceof Branch)) {
      node.leaves = leavesOf(a, b);
      shown += node.leaves.length;
      continue;
    }
    const children = openNode(node.path, a, b);
    node.children = children.map((child) => child.node);
    queue.push(...children);
    compared += children.length;
    shown += children.length;
  }
  return { root, comparedNodes: compared, totalNodes: countPlaces(left.node, right.node, 0) };
}

function openNode(path: string, left: Node | null, right: Node | null): Pair[] {
  const children: Pair[] = [];
  for (let slot = 0; slot < FAN_OUT; slot++) {
    const a = childAt(left, slot, path.length);
    const b = childAt(right, slot, path.length);
    if (a === null && b === null) continue;
    children.push({ node: draft(path + slot.toString(16), a, b), left: a, right: b });
  }
  return children;
}

function draft(path: string, left: Node | null, right: Node | null): Draft {
  return {
    path,
    equal: isEqualNode(left, right),
    leftHash: nodeHash(left),
    rightHash: nodeHash(right),
    leftCount: countOf(left),
    rightCount: countOf(right),
  };
}

const words: HashWords = new Int32Array(2);

function nodeHash(node: Node | null): string | null {
  if (node === null) return null;
  hashOf(node, words);
  return wordsToHex(words[0]!, words[1]!);
}

function leafHash(entry: Entry | undefined): string | null {
  return entry ? wordsToHex(entry.high, entry.low) : null;
}

function leavesOf(left: Entry | null, right: Entry | null): MerkleLeaf[] {
  const byKey = new Map([...entriesOf(left)].map((entry) => [entry.key, entry]));
  const leaves: MerkleLeaf[] = [];
  mergeEntries(left, right, (a, b) => {
    leaves.push({
      key: (a ?? b)!.key,
      equal: false,
      leftHash: leafHash(a),
      rightHash: leafHash(b),
      difference: recordDifference((a ?? b)!.key, a?.record, b?.record),
    });
  });
  for (const entry of entriesOf(right)) {
    const other = byKey.get(entry.key);
    if (other === undefined || !sameEntry(other, entry)) continue;
    leaves.push({ key: entry.key, equal: true, leftHash: leafHash(other), rightHash: leafHash(entry) });
  }
  return leaves.sort((a, b) => (a.key < b.key ? -1 : 1));
}

/** In which fields two records under one key differ, at least one of them given. */
export function recordDifference(
  key: RecordKey,
  left: SyncRecord | undefined,
  right: SyncRecord | undefined,
): RecordDifference {
  const names = new Set([...Object.keys(left ?? {}), ...Object.keys(right ?? {})]);
  const fields: { field: string; left?: Value; right?: Value }[] = [];
  for (const field of [...names].sort()) {
    const inLeft = left !== undefined && Object.hasOwn(left, field);
    const inRight = right !== undefined && Object.hasOwn(right, field);
    if (inLeft && inRight && sameValue(left[field], right[field])) continue;
    fields.push({ field, ...(inLeft ? { left: left[field]! } : {}), ...(inRight ? { right: right[field]! } : {}) });
  }
  return { key, side: right === undefined ? 'left' : left === undefined ? 'right' : 'both', fields };
}

function countPlaces(left: Node | null, right: Node | null, depth: number): number {
  if (left === null && right === null) return depth === 0 ? 1 : 0;
  if (!(left instanceof Branch) && !(right instanceof Branch)) return 1;
  // Of equal subtrees one stands for both.
  const other = isEqualNode(left, right) ? null : right;
  let count = 1;
  for (let slot = 0; slot < FAN_OUT; slot++) {
    count += countPlaces(childAt(left, slot, depth), childAt(other, slot, depth), depth + 1);
  }
  return count;
}
