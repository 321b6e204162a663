import { CompactReader, CompactWriter } from '../bytes/index.ts';
import { isSyncError, SyncError } from '../errors/index.ts';
import { type ReplicaId, replicaId } from '../state/index.ts';
import { RetiredWriters } from './retired-writers.ts';
import { type VectorEntry, type VersionVector, vectorOf } from './version-vector.ts';

/**
 * The compact form of a vector: how many writers its list of retired ones has, how many entries follow, and for each,
 * ascending by writer, how many letters its id shares with the one before, the rest of the id, and the counter; all
 * numbers LEB128.
 */
export function encodeVector(vector: VersionVector): Uint8Array {
  const out = new CompactWriter();
  const entries = vector.ownEntries();
  out.uint(vector.retired.size);
  out.uint(entries.length);
  let before = '';
  for (const { replica, counter } of entries) {
    const shared = sharedLength(before, replica);
    out.uint(shared);
    out.text(replica.slice(shared));
    out.uint(counter);
    before = replica;
  }
  return out.written();
}

/**
 * The vector in `bytes`, whole or not at all.
 * @param retired this replica's list, at least as long as the sender's
 * @throws SyncError with the offset: `LENGTH_EXCEEDS_INPUT`, `COMPACT_INVALID` for anything malformed or out of order;
 * `VECTOR_RETIRED` where the sender's list is longer than ours: fetch it, then decode again
 */
export function decodeVector(bytes: Uint8Array, retired: RetiredWriters = RetiredWriters.none): VersionVector {
  const input = new CompactReader(bytes);
  const listed = input.uint();
  const list = retired.at(listed);
  if (list === undefined) {
    throw new SyncError(
      'VECTOR_RETIRED',
      `the vector counts on ${listed} retired writers, of which ${retired.size} are known here; fetch the list first`,
      { origin: 'protocol', retry: 'backoff' },
    );
  }
  const entries: VectorEntry[] = [];
  let before = '';
  for (let count = input.count(3); count > 0; count--) {
    const start = input.offset;
    const shared = input.uint();
    if (shared > before.length) input.invalid(`${shared} letters shared with an id of ${before.length}`, start);
    const replica = readReplica(input, before.slice(0, shared), start);
    if (replica <= before) input.invalid(`writer ${replica} is not after ${before}`, start);
    const counter = input.uint();
    if (counter === list.get(replica)) input.invalid(`writer ${replica} needs no entry to count ${counter}`, start);
    entries.push({ replica, counter });
    before = replica;
  }
  input.end();
  return vectorOf(entries, list, false);
}

function readReplica(input: CompactReader, start: string, offset: number): ReplicaId {
  try {
    return replicaId(start + input.text());
  } catch (error) {
    if (!isSyncError(error, 'REPLICA_INVALID')) throw error;
    return input.invalid(error.message, offset);
  }
}

function sharedLength(left: string, right: string): number {
  let length = 0;
  while (length < left.length && left[length] === right[length]) length++;
  return length;
}
