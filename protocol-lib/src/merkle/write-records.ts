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
  let root = trie;
  if (records.length < SORTED_FROM || records.length > SORTED_TO) {
    for (const one of records) root = writeRecord(root, one, edit, hasher);
    return root;
  }
  const order = new Float64Array(records.length);
  for (let index = 0; index < records.length; index++) {
    hashKey(records[index]!.key, words);
    order[index] = (words[0]! >>> 0) * SORTED_TO + index;
  }
  order.sort();
  for (let index = 0; index < order.length; index++) {
    root = writeRecord(root, records[order[index]! % SORTED_TO]!, edit, hasher);
  }
  return root;
}

function writeRecord(root: Node | null, { key, record }: KeyedRecord, edit: Edit, hasher: Hasher): Node | null {
  hashKey(key, words);
  const high = words[0]!;
  const low = words[1]!;
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
