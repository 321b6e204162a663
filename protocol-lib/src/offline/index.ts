export {
  type OfflineMutation,
  type ReconcileAnswer,
  type ReconcileConflict,
  type ReconcileRequest,
  reconcileAnswerSchema,
  reconcileRequestSchema,
} from '../messages/index.ts';
export { type Intent, type IntentMaker, type NewKeys, QUEUE_LIMITS, type QueueLimits } from './add.ts';
export { BACKOFF_DEFAULTS, Backoff, type BackoffLimits } from './backoff.ts';
export {
  type MutateResult,
  OfflineClient,
  type OfflineClientOptions,
  type ReconcileConnection,
  type SyncOutcome,
} from './client.ts';
export { CONFLICT_ROWS, ConflictRows, StoredConflicts } from './conflict-rows.ts';
export {
  askHuman,
  byCollection,
  type ConflictDecision,
  type ConflictPolicy,
  firstWriteWins,
  lastWriteWins,
  mergedFields,
  type WriteConflict,
} from './conflicts.ts';
export { offlineStorageContract, type StorageContractTest, type StorageUnderTest } from './contract.ts';
export { DeviceRun } from './device-run.ts';
export { type DeviceInput, type DeviceStanding, deviceStandingSchema, type OfflineJournal } from './journal.ts';
export { type MemoryRows, MemoryStorage, memoryRows } from './memory-storage.ts';
export { MutationQueue, type QueueStatus, type WallClock } from './queue.ts';
export type { OfflineReceipt } from './receipt.ts';
export { Reconciler, type ReconcilerOptions } from './reconciler.ts';
export { NO_REFERENCES, type References } from './references.ts';
export { type ResolverPolicyOptions, resolverPolicies } from './resolver-policy.ts';
export {
  decodeRow,
  ENTRY_STATES,
  type EntryState,
  encodeRow,
  type OfflineEntry,
  RECORD_ROWS,
  recordRowSchema,
} from './rows.ts';
export { LEASE_MS, type SendRight, StorageLease } from './send-right.ts';
export * from './storage.ts';
export { type AssignId, parseTemporary, readableId, type TemporaryId } from './temp-ids.ts';
