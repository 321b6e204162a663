import { SyncError } from '../errors/index.ts';
import { branded, type Schema } from '../schema/index.ts';

/** What a field may hold. Numbers follow `Object.is`: NaN equals NaN, 0 and -0 differ. */
export type Value =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | readonly Value[]
  | { readonly [name: string]: Value };

/** One record: field names to values. Immutable once handed over. */
export type SyncRecord = { readonly [field: string]: Value };

/** A record's key, `collection/id`, such as `player/alice`. Made by {@link recordKey} only. */
export type RecordKey = string & { readonly __brand: 'RecordKey' };

/** A replica's name, such as `server` or `bot-2`. Made by {@link replicaId} only. */
export type ReplicaId = string & { readonly __brand: 'ReplicaId' };

/** The root hash of a state: 16 lower-case hex digits. Made by {@link stateHash} or a tree only. */
export type StateHash = string & { readonly __brand: 'StateHash' };

/** A monotonic count of committed mutations; 0 is the empty state before any. */
export type Version = number;

/** One change of one record. A patch carries only the fields that differ and the names of those that went away. */
export type Change =
  | { readonly op: 'put'; readonly key: RecordKey; readonly record: SyncRecord }
  | { readonly op: 'patch'; readonly key: RecordKey; readonly fields: SyncRecord; readonly removed: readonly string[] }
  | { readonly op: 'remove'; readonly key: RecordKey };

/** The changes from one version to a later one, with the root hash after. */
export interface StateDelta {
  readonly from: Version;
  readonly to: Version;
  readonly changes: readonly Change[];
  readonly root: StateHash;
}

const KEY_MAX_LENGTH = 256;
const KEY_PATTERN = /^[^/\p{Cc}]+(\/[^/\p{Cc}]+)+$/u;
const REPLICA_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const HASH_PATTERN = /^[0-9a-f]{16}$/;

/** Whether it is `collection/id`, of 3 to 256 characters without control characters. */
export function isRecordKey(text: unknown): text is RecordKey {
  return typeof text === 'string' && text.length <= KEY_MAX_LENGTH && KEY_PATTERN.test(text) && text.isWellFormed();
}

/** @throws SyncError `KEY_INVALID` where `text` is not as {@link isRecordKey} says. */
export function recordKey(text: string): RecordKey {
  if (!isRecordKey(text)) {
    throw new SyncError(
      'KEY_INVALID',
      `record key ${JSON.stringify(text.slice(0, 64))} is not of the form collection/id`,
      {
        origin: 'state',
        place: { key: text.slice(0, 64) },
      },
    );
  }
  return text;
}

/** @throws SyncError `REPLICA_INVALID` where `text` is not 1 to 64 letters, digits, dots, dashes or underscores. */
export function replicaId(text: string): ReplicaId {
  if (!REPLICA_PATTERN.test(text)) {
    throw new SyncError(
      'REPLICA_INVALID',
      `replica id ${JSON.stringify(text.slice(0, 80))} is not 1 to 64 of A-Z a-z 0-9 . _ -`,
      {
        origin: 'protocol',
      },
    );
  }
  return text as ReplicaId;
}

/** @throws SyncError `HASH_INVALID` where `text` is not 16 lower-case hex digits. */
export function stateHash(text: string): StateHash {
  if (!HASH_PATTERN.test(text)) {
    throw new SyncError(
      'HASH_INVALID',
      `state hash ${JSON.stringify(text.slice(0, 40))} is not 16 lower-case hex digits`,
      {
        origin: 'protocol',
      },
    );
  }
  return text as StateHash;
}

export const recordKeySchema: Schema<RecordKey> = branded(recordKey, 'a record key collection/id');
export const replicaIdSchema: Schema<ReplicaId> = branded(replicaId, 'a replica id');
export const stateHashSchema: Schema<StateHash> = branded(stateHash, 'a state hash of 16 hex digits');
