import { type VectorEntry, VersionVector, vectorEntriesSchema } from '@syncscope/protocol/clock';
import { decodeOperation, RGA, type RgaOperation, recordsOfState, stateOfRecords } from '@syncscope/protocol/crdt';
import { changesBetween, StateRoot } from '@syncscope/protocol/merkle';
import { object } from '@syncscope/protocol/schema';
import { type Change, type RecordKey, type ReplicaId, recordKey, type SyncRecord } from '@syncscope/protocol/state';
import type { StateView } from '@syncscope/protocol/sync';

/**
 * The shared text of the board: an RGA whose whole state is records of the session, `text/main/@vector` and one record a run. A
 * command carries one operation; the authority and every prediction apply it to the RGA of the state at hand, and what that changes are the
 * changes of the event. So a delta has the runs that changed, and who has the state has the document.
 *
 * `seen/<replica>` {entries} is what each writer had seen of the text when it last said so, which it does with some operations: tombstones that all of them have seen are dropped.
 */
export const TEXT = 'text/main';
export const TEXT_VECTOR = recordKey(`${TEXT}/@vector`);
export const SEEN = 'seen/';
/** UTF-16 units. */
const TEXT_MAX = 2_000;
const INSERT_MAX = 400;

const seenSchema = object({ entries: vectorEntriesSchema });

/** The document of a state, for a replica to write in. */
export function documentOf(state: StateView, replica: ReplicaId): RGA {
  const document = RGA.text(replica);
  const root = StateRoot.from(state.entries(`${TEXT}/`));
  if (root.has(TEXT_VECTOR)) document.merge(stateOfRecords(root, TEXT));
  return document;
}

export function shownText(state: StateView): string {
  return documentOf(state, READER).content();
}

/** Writes nothing. */
const READER = 'reader' as ReplicaId;

export function emptyText(): Iterable<readonly [RecordKey, SyncRecord]> {
  return recordsOfState(RGA.text(READER).state(), TEXT).entries();
}

/** Why an operation cannot be applied now, or nothing. @throws SyncError for what is no operation */
export function refusalOf(state: StateView, bytes: Uint8Array, seen: readonly VectorEntry[] | null, writer: ReplicaId) {
  const operation = decodeOperation(bytes);
  if (operation.replica !== writer) return `an operation of ${operation.replica}`;
  if (operation.op === 'insert' && typeof operation.content !== 'string') return 'the text takes text alone';
  if (operation.op === 'insert' && operation.content.length > INSERT_MAX) return 'too much at once';
  const document = documentOf(state, READER);
  if (seen?.some(({ replica, counter }) => replica !== writer && counter > document.vector.get(replica))) {
    return `${writer} says that it has seen what is not there`;
  }
  if (operation.op === 'insert' && document.length + operation.content.length > TEXT_MAX) return 'the page is full';
  // A prediction is applied again once the authority has it.
  const { outcome } = document.apply(operation);
  return outcome === 'applied'
    ? undefined
    : outcome === 'duplicate'
      ? 'written already'
      : 'what it hangs on is missing';
}

/** Of changes of the vector, the operation that they are of: reducers answer changes alone, and the trace tells the operation with them. */
const operations = new WeakMap<Change, Uint8Array>();

/** The operation, as it was encoded, that a reducer of this process has just made these changes of. */
export function operationIn(changes: readonly Change[]): Uint8Array | undefined {
  const change = changes.find(({ key }) => key === TEXT_VECTOR);
  return change && operations.get(change);
}

/** What an operation that was accepted changes. */
export function typed(
  state: StateView,
  bytes: Uint8Array,
  seen: readonly VectorEntry[] | null,
  writer: ReplicaId,
): Change[] {
  const operation: RgaOperation = decodeOperation(bytes);
  const changes = rewritten(state, (document) => document.apply(operation));
  for (const change of changes) if (change.key === TEXT_VECTOR) operations.set(change, bytes);
  if (!seen) return changes;
  const key = recordKey(SEEN + writer);
  const entries = seen.map(({ replica, counter }) => ({ replica, counter }));
  return [...changes, { op: 'put', key, record: { entries } }];
}

/** How many elements nobody can name any more. */
export function collectable(state: StateView): number {
  return documentOf(state, READER).collect(seenOf(state));
}

export function collected(state: StateView): Change[] {
  return rewritten(state, (document) => document.collect(seenOf(state)));
}

function seenOf(state: StateView): Map<ReplicaId, VersionVector> {
  const seen = new Map<ReplicaId, VersionVector>();
  for (const [key, record] of state.entries(SEEN)) {
    const { entries } = seenSchema.parse(record, key);
    seen.set(key.slice(SEEN.length) as ReplicaId, VersionVector.from(entries));
  }
  return seen;
}

function rewritten(state: StateView, write: (document: RGA) => unknown): Change[] {
  const document = documentOf(state, READER);
  write(document);
  const before = StateRoot.from(state.entries(`${TEXT}/`));
  return [...changesBetween(before, recordsOfState(document.state(), TEXT))];
}
