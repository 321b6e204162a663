import { vectorEntriesSchema } from '../clock/index.ts';
import { array, type Infer, literal, object, optional, type Schema, string, uint } from '../schema/index.ts';
import {
  type Change,
  changeSchema,
  type RecordKey,
  recordKeySchema,
  recordSchema,
  replicaIdSchema,
  type SyncRecord,
  stateHashSchema,
} from '../state/index.ts';

/** One record of a snapshot under its key. */
export interface SnapshotEntry {
  readonly key: RecordKey;
  readonly record: SyncRecord;
}

// These have wire forms of their own in `wire.ts`, found by the identity of the schema.
export const changesSchema: Schema<Change[]> = array(changeSchema);
export const entriesSchema: Schema<SnapshotEntry[]> = array(object({ key: recordKeySchema, record: recordSchema }));
/** Mutations of the receiver that the vector covers but that were refused. */
export const rejectionsSchema = array(object({ replica: replicaIdSchema, counter: uint, reason: string(500) }), 65_535);
export type Rejection = Infer<typeof rejectionsSchema>[number];

/**
 * Where a replica stands is a version and a `progress`: how many mutations were settled by then, of which only those that
 * changed the state made a version.
 */

/** Which part of a snapshot this is, from 0, and how many there are. */
export const snapshotPartSchema = object({ index: uint, of: uint });

/**
 * The whole state at a version. One that is too large for a frame comes as parts, one behind the other: each says the same version, progress
 * and root, the last what was settled, and all of them together are the records. They are taken whole or not at all.
 */
export const fullSyncSchema = object({
  version: uint,
  progress: uint,
  records: entriesSchema,
  vector: vectorEntriesSchema,
  /** Mutations of the receiver that the vector covers but that were refused. */
  rejected: rejectionsSchema,
  root: stateHashSchema,
  /** Absent where this is all of it. */
  part: optional(snapshotPartSchema),
});

/**
 * What changed from one version to a later one, or, where `from` equals `to`, what was settled without changing
 * anything. One encoding serves every client that is at `from` and was refused nothing. A mutation of the receiver's that `vector` covers was accepted
 * unless `rejected` names it. One whose `to` is less than `from`, or `progress` less than `since`, is refused as it is read.
 */
export const deltaSyncSchema = object({
  from: uint,
  to: uint,
  /** The progress that a receiver must have: what was settled up to there is in neither `vector` nor `rejected`. */
  since: uint,
  progress: uint,
  changes: changesSchema,
  /** The entries that rose after `since`. */
  vector: vectorEntriesSchema,
  rejected: rejectionsSchema,
  /** The root hash after the changes. */
  root: stateHashSchema,
});

/** What happened, in words. Has a wire form of its own. */
export const toldEventSchema = object({ type: string(80), player: string(80), detail: string(500) });

/** Something happened; its effect on the state comes with a delta. `time` is the authority's, in nanoseconds. */
export const eventSchema = object({ version: uint, event: toldEventSchema, time: uint });

export const SYNC_REASONS = ['base', 'record', 'root', 'heartbeat', 'names', 'frame', 'merkle', 'silence'] as const;
export type SyncReason = (typeof SYNC_REASONS)[number];

/**
 * The client cannot go on from what it has: `version` and `root` are of its committed state. `reason`: a delta's base, a missing
 * record, a root or a heartbeat that differs, unknown names, an unreadable frame, a Merkle repair that failed, or no state for long.
 */
export const syncRequestSchema = object({
  version: uint,
  progress: uint,
  root: stateHashSchema,
  reason: literal(...SYNC_REASONS),
});

/** The client's committed state is at `version` with `root`. */
export const ackSchema = object({ version: uint, progress: uint, root: stateHashSchema });

/** As {@link ackSchema}, each second whether or not anything was applied. */
export const heartbeatSchema = object({ version: uint, progress: uint, root: stateHashSchema });
