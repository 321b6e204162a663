import { wordsToHex } from '../bytes/index.ts';
import { SyncError } from '../errors/index.ts';
import { array, branded, bytes, type Infer, object, uint, variant } from '../schema/index.ts';
import { type RecordKey, recordKeySchema, recordSchema, type SyncRecord } from '../state/index.ts';
import type { StateRoot } from './roots.ts';
import {
  Branch,
  BUCKET_MAX,
  childOf,
  countOf,
  DEPTH_MAX,
  type Entry,
  entriesOf,
  FAN_OUT,
  hashKey,
  hashOf,
  type Node,
  slotOf,
} from './trie.ts';

/**
 * What the two sides of a Merkle descent say to each other. The asker names subtrees by their paths, the
 * hex digits of the key hashes that lead there; the answerer gives for each its children's hashes, or its
 * records where there are few.
 */

/** Subtrees asked for in one round, at most. */
export const QUERY_MAX_PATHS = 512;
const HASH_BYTES = 8;

/** 0 to 16 lower-case hex digits; `''` is the root. Made by the descent, or by the schema. */
export type MerklePath = string & { readonly __brand: 'MerklePath' };

const PATH_PATTERN = /^[0-9a-f]{0,16}$/;

function merklePath(text: string): MerklePath {
  if (!PATH_PATTERN.test(text)) {
    throw new SyncError('MERKLE_PATH_INVALID', `${JSON.stringify(text.slice(0, 40))} is not 0 to 16 hex digits`, {
      origin: 'protocol',
    });
  }
  return text as MerklePath;
}

const pathSchema = branded(merklePath, 'a Merkle path of 0 to 16 hex digits');

export const merkleQuerySchema = object({ paths: array(pathSchema, QUERY_MAX_PATHS) });
export type MerkleQuery = Infer<typeof merkleQuerySchema>;

export const merkleNodeAnswerSchema = variant('kind', {
  /**
   * More than 8 records. Bit `i` of `slots` is set where there is a child `i`; `hashes` (8 bytes each,
   * big-endian) and `counts` (records below) are of those children in order. The hashes must add up to
   * what was promised; where a child sits, and its count, are proven by the answer about that child.
   */
  branch: object({ path: pathSchema, slots: uint, hashes: bytes(FAN_OUT * HASH_BYTES), counts: array(uint, FAN_OUT) }),
  /** At most 8 records, sorted by key, and the hash of each. */
  leaves: object({
    path: pathSchema,
    hashes: bytes(),
    entries: array(object({ key: recordKeySchema, record: recordSchema })),
  }),
});
export type MerkleNodeAnswer = Infer<typeof merkleNodeAnswerSchema>;

/** One answer for each path of the query, in its order; see {@link answerMerkleQuery} for paths that overlap. */
export const merkleAnswerSchema = object({ nodes: array(merkleNodeAnswerSchema, QUERY_MAX_PATHS) });
export type MerkleAnswer = Infer<typeof merkleAnswerSchema>;

/**
 * Answers for one state; whoever answers must keep that root until the asker is done.
 *
 * A path that comes again, or that leads into another one of the query, gets no answer of its own: no descent asks
 * so, and a small query would be answered with the same records again and again. So no record is in an answer twice.
 */
export function answerMerkleQuery(root: StateRoot, query: MerkleQuery): MerkleAnswer {
  return { nodes: withoutOverlap(query.paths).map((path) => answerPath(root, path)) };
}

function withoutOverlap(paths: readonly MerklePath[]): MerklePath[] {
  const once = new Set<string>(paths);
  const isInAnother = (path: MerklePath) => {
    for (let depth = 0; depth < path.length; depth++) if (once.has(path.slice(0, depth))) return true;
    return false;
  };
  return [...new Set(paths)].filter((path) => !isInAnother(path));
}

function answerPath(root: StateRoot, path: MerklePath): MerkleNodeAnswer {
  let node = root.node;
  let depth = 0;
  while (depth < path.length && node instanceof Branch) {
    node = childOf(node, Number.parseInt(path[depth]!, 16));
    depth++;
  }
  if (node === null) return { kind: 'leaves', path, hashes: new Uint8Array(0), entries: [] };
  if (node instanceof Branch) return answerBranch(node, path);
  // The path may lead on below a bucket, where only some of its records are.
  const entries = [...entriesOf(node)].filter((entry) => isUnder(entry.key, path));
  const hashes = new Uint8Array(entries.length * HASH_BYTES);
  const view = new DataView(hashes.buffer);
  entries.forEach((entry, index) => {
    writeHash(view, index, entry.high, entry.low);
  });
  return { kind: 'leaves', path, hashes, entries: entries.map(({ key, record }) => ({ key, record })) };
}

function answerBranch(branch: Branch, path: MerklePath): MerkleNodeAnswer {
  const present: Node[] = [];
  let slots = 0;
  for (let slot = 0; slot < FAN_OUT; slot++) {
    const child = childOf(branch, slot);
    if (child === null) continue;
    present.push(child);
    slots |= 1 << slot;
  }
  const hashes = new Uint8Array(present.length * HASH_BYTES);
  const view = new DataView(hashes.buffer);
  present.forEach((child, index) => {
    hashOf(child, words);
    writeHash(view, index, words[0]!, words[1]!);
  });
  return { kind: 'branch', path, slots, hashes, counts: present.map(countOf) };
}

function writeHash(view: DataView, index: number, high: number, low: number): void {
  view.setInt32(index * HASH_BYTES, high);
  view.setInt32(index * HASH_BYTES + 4, low);
}

const words = new Int32Array(2);

/** Whether a key's place is in the subtree at `path`. */
export function isUnder(key: RecordKey, path: string): boolean {
  hashKey(key, words);
  for (let depth = 0; depth < path.length; depth++) {
    if (slotOf(words[0]!, words[1]!, depth) !== Number.parseInt(path[depth]!, 16)) return false;
  }
  return true;
}

// --- what an answer claims, checked against what was promised -----------------------------------------------------

/** A subtree as its parent promised it. The root's count is not known before. */
export interface Promised {
  readonly path: MerklePath;
  readonly high: number;
  readonly low: number;
  readonly count: number | undefined;
}

export interface PromisedChild extends Promised {
  readonly slot: number;
  readonly count: number;
}

/** Thrown where an answer does not hold what was promised. Nothing has been taken from it. */
export function unverified(promised: Promised, what: string, key?: string): never {
  throw new SyncError(
    'MERKLE_UNVERIFIED',
    `Merkle answer for subtree '${promised.path}': ${what}; nothing was taken from it, ask again or take a snapshot`,
    { origin: 'protocol', retry: 'backoff', place: { path: promised.path, ...(key === undefined ? {} : { key }) } },
  );
}

/** The children of an answered branch. @throws SyncError `MERKLE_UNVERIFIED` */
export function verifyBranch(answer: MerkleNodeAnswer & { kind: 'branch' }, promised: Promised): PromisedChild[] {
  const { slots, hashes, counts } = answer;
  const depth = promised.path.length;
  if (depth >= DEPTH_MAX) unverified(promised, 'a branch below the last level');
  if (slots >= 1 << FAN_OUT) unverified(promised, `${slots} names slots beyond 16`);
  if (hashes.length !== counts.length * HASH_BYTES) unverified(promised, 'as many hashes as counts were expected');
  const view = new DataView(hashes.buffer, hashes.byteOffset, hashes.byteLength);
  const children: PromisedChild[] = [];
  let high = 0;
  let low = 0;
  let count = 0;
  for (let slot = 0; slot < FAN_OUT; slot++) {
    if ((slots & (1 << slot)) === 0) continue;
    const index = children.length;
    if (index >= counts.length) unverified(promised, 'fewer hashes than children');
    const child: PromisedChild = {
      slot,
      path: (promised.path + slot.toString(16)) as MerklePath,
      high: view.getInt32(index * HASH_BYTES),
      low: view.getInt32(index * HASH_BYTES + 4),
      count: counts[index]!,
    };
    if (child.count === 0) unverified(promised, `child ${slot} has no records`);
    high = (high + child.high) | 0;
    low = (low + child.low) | 0;
    count += child.count;
    children.push(child);
  }
  if (children.length !== counts.length) unverified(promised, 'more hashes than children');
  if (count <= BUCKET_MAX) unverified(promised, `a branch of only ${count} records`);
  checkSum(promised, high, low, count);
  return children;
}

/** @throws SyncError `MERKLE_UNVERIFIED` */
export function verifyLeaves(
  answer: MerkleNodeAnswer & { kind: 'leaves' },
  promised: Promised,
  makeEntry: (key: RecordKey, record: SyncRecord) => Entry,
): Entry[] {
  const { entries, hashes } = answer;
  if (entries.length > BUCKET_MAX && promised.path.length < DEPTH_MAX) {
    unverified(promised, `${entries.length} records where a branch was due`);
  }
  if (hashes.length !== entries.length * HASH_BYTES) unverified(promised, 'as many hashes as records were expected');
  const view = new DataView(hashes.buffer, hashes.byteOffset, hashes.byteLength);
  let high = 0;
  let low = 0;
  const verified: Entry[] = [];
  for (const [index, { key, record }] of entries.entries()) {
    if (index > 0 && entries[index - 1]!.key >= key) unverified(promised, `${key} is out of order or given twice`, key);
    if (!isUnder(key, promised.path)) unverified(promised, `${key} does not belong there`, key);
    const entry = makeEntry(key, record);
    const claimedHigh = view.getInt32(index * HASH_BYTES);
    const claimedLow = view.getInt32(index * HASH_BYTES + 4);
    if (entry.high !== claimedHigh || entry.low !== claimedLow) {
      const [is, claimed] = [wordsToHex(entry.high, entry.low), wordsToHex(claimedHigh, claimedLow)];
      unverified(promised, `the value of ${key} has the hash ${is}, not ${claimed} as its leaf`, key);
    }
    high = (high + entry.high) | 0;
    low = (low + entry.low) | 0;
    verified.push(entry);
  }
  checkSum(promised, high, low, entries.length);
  return verified;
}

function checkSum(promised: Promised, high: number, low: number, count: number): void {
  if (high !== promised.high || low !== promised.low) {
    const [sum, due] = [wordsToHex(high, low), wordsToHex(promised.high, promised.low)];
    unverified(promised, `its parts make the hash ${sum}, but ${due} was promised`);
  }
  if (promised.count !== undefined && count !== promised.count) {
    unverified(promised, `${count} records, but ${promised.count} were promised`);
  }
}
