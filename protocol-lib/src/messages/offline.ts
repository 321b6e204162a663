import { array, boolean, type Infer, literal, nullable, object, optional, string, uint } from '../schema/index.ts';
import { recordKeySchema, recordSchema, replicaIdSchema, stateHashSchema, valueSchema } from '../state/index.ts';
import { deltaSyncSchema, fullSyncSchema } from './replication.ts';

/** A record that a mutation touches; null where there is none. */
export const touchedSchema = object({ key: recordKeySchema, record: nullable(recordSchema) });
export type Touched = Infer<typeof touchedSchema>;

/** A state of the authority's that a device holds; version 0 for none. */
export const checkpointSchema = object({ version: uint, progress: uint, root: stateHashSchema });
export type Checkpoint = Infer<typeof checkpointSchema>;

/** Mutations of one request: an authority remembers as many refusals of each writer, so that none can be asked for in vain. */
export const RECONCILE_MAX_MUTATIONS = 256;
const MAX_TOUCHED = 10_000;

/** A mutation that was made without a connection. `device` of the request and `counter` name it for ever. */
export const offlineMutationSchema = object({
  counter: uint,
  command: string(80),
  args: valueSchema,
  /** Keys of records that it makes under temporary ids. */
  creates: array(recordKeySchema, MAX_TOUCHED),
  /** Milliseconds since 1970 on the device's clock, for people and for policies that ask for it. */
  madeAt: uint,
  /** The version of the device's committed state then. */
  madeOn: uint,
  /** The records that it changes: as the device saw them before, and as it meant them to be. */
  base: array(touchedSchema, MAX_TOUCHED),
  mine: array(touchedSchema, MAX_TOUCHED),
});
export type OfflineMutation = Infer<typeof offlineMutationSchema>;

/** What a device did while it was away, oldest first, without gaps. The body of `POST /sync/reconcile`, and OFFLINE_SYNC. */
export const reconcileRequestSchema = object({
  session: string(100),
  device: replicaIdSchema,
  /** The highest counter of which the device knows how it ended. */
  settled: uint,
  /** The authority's last state that the device has made its own. */
  acknowledged: checkpointSchema,
  mutations: array(offlineMutationSchema, RECONCILE_MAX_MUTATIONS),
});

/** Which record a temporary key has become. */
export const idMappingSchema = object({ temporary: recordKeySchema, key: recordKeySchema });
export type IdMapping = Infer<typeof idMappingSchema>;

export const REJECTION_CODES = ['refused', 'conflict', 'waiting', 'temp-unmapped', 'key-reused'] as const;
export type RejectionCode = (typeof REJECTION_CODES)[number];

export const reconcileConflictSchema = object({
  counter: uint,
  key: recordKeySchema,
  policy: string(80),
  state: literal('resolved', 'waiting'),
  winner: literal('mine', 'theirs', 'merged', 'nobody'),
  base: nullable(recordSchema),
  mine: nullable(recordSchema),
  theirs: nullable(recordSchema),
  /** As the authority has it after the mutation. */
  result: nullable(recordSchema),
  reason: string(500),
});
export type ReconcileConflict = Infer<typeof reconcileConflictSchema>;

/** How each mutation of a request ended, and the state since. The answer of `POST /sync/reconcile`, and OFFLINE_SYNCED. */
export const reconcileAnswerSchema = object({
  device: replicaIdSchema,
  /** The highest counter of the device that is settled. */
  settled: uint,
  /** `isRepeated`: it was settled before, at `version` or earlier, and was not carried out again. */
  applied: array(
    object({ counter: uint, version: uint, ids: array(idMappingSchema, MAX_TOUCHED), isRepeated: boolean }),
    RECONCILE_MAX_MUTATIONS,
  ),
  rejected: array(
    object({ counter: uint, version: uint, code: literal(...REJECTION_CODES), reason: string(500) }),
    RECONCILE_MAX_MUTATIONS,
  ),
  conflicts: array(reconcileConflictSchema, MAX_TOUCHED),
  /** Where the device stands once it has applied the delta or the snapshot, of which there is one at most. */
  checkpoint: checkpointSchema,
  delta: optional(deltaSyncSchema),
  snapshot: optional(fullSyncSchema),
});

export type ReconcileRequest = Infer<typeof reconcileRequestSchema>;
export type ReconcileAnswer = Infer<typeof reconcileAnswerSchema>;
