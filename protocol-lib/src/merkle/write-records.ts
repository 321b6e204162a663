import type { Hasher, HashWords } from '../bytes/index.ts';
import type { RecordKey, SyncRecord } from '../state/index.ts';
import { fieldsBetween } from './fields.ts';
import { type Edit, findHashed, hashKey, makeEntry, makePatched, type Node, putEntry, removeEntry } from './trie.ts';

/** What is to stand under a key: undefined for nothing. */
export interface KeyedRecord {
  readonly key: RecordKey;
  readonly record: SyncRecord | undefined;
}

const words: HashWords = new Int32Array(2);

/** From so many on, writing in the order of the trie is worth sorting for: neighbours then find each other's nodes in the cache. */
const SORTED_FROM = 32;
/** So many fit beside 32 bits of hash in a number. */
const SORTED_TO = 2 ** 21;

/** The trie with these records, each key given once. Nodes are copied once for all of them. */
export function writeRecords(trie: Node | null, records: readonly KeyedRecord[], hasher: Hasher): Node | null {
  const edit: Edit = {};
  const count = records.length;
  const highs = new Int32Array(count);
  const lows = new Int32Array(count);
  for (let index = 0; index < count; index++) {
    hashKey(records[index]!.key, words);
    highs[index] = words[0]!;
    lows[index] = words[1]!;
  }
  const order = orderOf(highs);
  let root = trie;
  for (let at = 0; at < count; at++) {
    const index = order === undefined ? at : order[at]! % SORTED_TO;
    root = writeRecord(root, records[index]!, highs[index]!, lows[index]!, edit, hasher);
  }
  return root;
}

/** Where to write first, and so on, in the low bits of each; undefined where any order is as good. */
function orderOf(highs: Int32Array): Float64Array | undefined {
  if (highs.length < SORTED_FROM || highs.length > SORTED_TO) return undefined;
  const order = new Float64Array(highs.length);
  for (let index = 0; index < highs.length; index++) order[index] = (highs[index]! >>> 0) * SORTED_TO + index;
  return order.sort();
}

function writeRecord(
  root: Node | null,
  { key, record }: KeyedRecord,
  high: number,
  low: number,
  edit: Edit,
  hasher: Hasher,
): Node | null {
  const before = findHashed(root, key, high, low);
  if (before === undefined) {
    if (record === undefined) return root;
    return putEntry(root, makeEntry(key, record, high, low, hasher), undefined, high, edit);
  }
  if (record === undefined) return removeEntry(root!, before, high, edit);
  if (before.record === record) return root;
  const { fields, removed } = fieldsBetween(before.record, record);
  if (removed.length === 0 && isEmpty(fields)) return root;
  return putEntry(root, makePatched(before, record, fields, removed, high, hasher), before, high, edit);
}

function isEmpty(fields: SyncRecord): boolean {
  for (const _ in fields) return false;
  return true;
}
