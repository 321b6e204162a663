export { ClientState } from './client.ts';
export type { ClientPhase } from './client-connection.ts';
export type { ClientEvent } from './client-events.ts';
export type { ClientStateOptions, KeptClient, PredictResult } from './client-options.ts';
export type { ClientPresent, ClientSyncState } from './client-sync-state.ts';
export { afterDelta, type Committed, type DeltaOutcome, fromFullSync, NOTHING, standing } from './committed.ts';
export { type Decision, decide, isSendable, isSendableChange, RECORD_MAX_DEPTH } from './decide.ts';
export { wholeChange, withWholeGroups } from './field-groups.ts';
export { firstSnapshot } from './first-state.ts';
export {
  HEALTH_DEFAULTS,
  type HealthLimits,
  type Progress,
  type StallReason,
  type SyncHealth,
  type Verified,
} from './health.ts';
export { type InterpolatedView, JitterBuffer, type JitterBufferOptions, type MovingFields } from './interpolation.ts';
export { QUEUE_DEFAULTS, type QueueLimits, type QueueState, type TrafficClass, trafficClass } from './link-queue.ts';
export { SyncManager } from './manager.ts';
export type { SyncManagerOptions, SyncStats } from './manager-options.ts';
export { type LinkId, type LinkOutgoing, type Outgoing, perLink } from './outbox.ts';
export type { PendingMutation } from './pending.ts';
export { type Admission, type PostedAuthority, PostedMutations } from './posted.ts';
export { type AuthorityReceipt, OWN_RECEIPTS, type OwnReceipt, type ReceiptOutcome } from './receipts.ts';
export * from './session.ts';
export { SYNC_DEFAULTS, type SyncSettings } from './settings.ts';
export type { SyncPoint } from './settlement.ts';
export type { StateSnapshot } from './snapshots.ts';
export {
  type AuthorityStanding,
  authorityStandingSchema,
  type ClientStanding,
  clientStandingSchema,
} from './standing.ts';
