import { milliseconds } from '../ports/index.ts';
import { HEALTH_DEFAULTS, type HealthLimits } from './health.ts';
import { QUEUE_DEFAULTS, type QueueLimits } from './link-queue.ts';

/** Times in nanoseconds. The defaults of `SyncManager`. */
export interface SyncSettings extends HealthLimits, QueueLimits {
  /** Between two deltas to a client. */
  readonly syncInterval: number;
  /** Between two periodic snapshots. */
  readonly snapshotInterval: number;
  /** Deltas that a client may leave unacknowledged before it gets a full sync. */
  readonly maxDeltaChain: number;
  /** Sent versions from which a delta can be made. */
  readonly ring: number;
  /** Periodic snapshots from which one can be made after that. */
  readonly periodicSnapshots: number;
  readonly maxClients: number;
  /** Bytes of a frame from a client. */
  readonly maxFrame: number;
  /** Bytes, about, of a frame of a snapshot; a larger one goes out in parts. */
  readonly snapshotPart: number;
  /** A link that has not said HELLO by then is closed. */
  readonly helloTimeout: number;
  /** A Merkle exchange that has not ended by then is given up for a full sync. */
  readonly repairTimeout: number;
  /** Questions of one Merkle exchange. */
  readonly maxRepairQueries: number;
  /** What is not acknowledged by then is sent again, then after twice as long, and so on up to 30 s. */
  readonly resendTimeout: number;
  /** Clients acknowledge at the latest each so many deltas, and more often where `maxDeltaChain` is short; with 1, each of them. */
  readonly acknowledgeEvery: number;
  /** And what they applied after so long, or sooner where `resendTimeout` is short. */
  readonly acknowledgeWithin: number;
  /** Mutations of which it is kept how they ended and who has applied them. */
  readonly receipts: number;
  /** Writers whose mutations are counted, for as long as the session lives. */
  readonly maxWriters: number;
}

export const SYNC_DEFAULTS: SyncSettings = {
  syncInterval: milliseconds(100),
  snapshotInterval: milliseconds(1_000),
  maxDeltaChain: 10,
  ring: 100,
  periodicSnapshots: 100,
  maxClients: 1_000,
  maxFrame: 1024 * 1024,
  snapshotPart: 256 * 1024,
  helloTimeout: milliseconds(10_000),
  repairTimeout: milliseconds(5_000),
  maxRepairQueries: 200,
  resendTimeout: milliseconds(2_000),
  acknowledgeEvery: 5,
  acknowledgeWithin: milliseconds(500),
  receipts: 1_000,
  maxWriters: 65_535,
  ...HEALTH_DEFAULTS,
  ...QUEUE_DEFAULTS,
};

/** What clients are told of when to acknowledge: always before they would be sent something again, or a full sync. */
export function acknowledgeRule(settings: SyncSettings): { readonly every: number; readonly within: number } {
  const { acknowledgeEvery, acknowledgeWithin, maxDeltaChain, resendTimeout } = settings;
  return {
    every: Math.min(acknowledgeEvery, Math.max(1, Math.floor(maxDeltaChain / 2))),
    within: Math.min(acknowledgeWithin, Math.floor(resendTimeout / 2)),
  };
}

/** Nanoseconds between two looks at everybody's health: a stall is found at most so much too late. */
export function healthInterval({ behindLimit, pendingLimit, unverifiedLimit }: HealthLimits): number {
  return Math.floor(Math.min(behindLimit, pendingLimit, unverifiedLimit) / 10);
}

/** Mutations that a client may have pending; an authority remembers as many refusals of each writer. */
export const MAX_PENDING = 256;
export const MAX_BACKOFF = milliseconds(30_000);
