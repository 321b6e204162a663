import type { Feature } from '../messages/index.ts';
import type { ReplicaId, Version } from '../state/index.ts';
import type { Client } from './delta-synchronizer.ts';
import type { SyncHealth } from './health.ts';
import type { QueueState } from './link-queue.ts';
import type { LinkId } from './outbox.ts';

/** What the authority knows of one client. */
export interface ClientSyncState {
  readonly replica: ReplicaId;
  readonly link: LinkId;
  /** The version that the client has acknowledged; 0 before the first. */
  readonly version: Version;
  /** The version that was last sent to it. */
  readonly sent: Version;
  /** Time of its last acknowledgement, in nanoseconds. */
  readonly lastSyncTime: number;
  /** Deltas sent that it has not acknowledged. */
  readonly pendingDeltas: number;
  readonly needsFullSync: boolean;
  /** Whether a Merkle exchange with it is under way. */
  readonly isRepairing: boolean;
  readonly features: readonly Feature[];
  /** Bytes sent to it. */
  readonly bytes: number;
  /** What waits in its link, and what was kept from it because too much did. */
  readonly queue: QueueState;
  /** How it gets on, as of the last time that the authority was told. */
  readonly health: SyncHealth;
}

/** `newest` is the authority's version, `now` the last time that it was told. */
export function clientSyncState(client: Client, newest: Version, now: number): ClientSyncState {
  return {
    replica: client.replica,
    link: client.link,
    version: client.acknowledged.version,
    sent: client.sent.version,
    lastSyncTime: client.lastSyncTime,
    pendingDeltas: client.unacknowledged.length,
    needsFullSync: client.needsFullSync,
    isRepairing: client.repair !== undefined,
    features: client.features,
    bytes: client.bytes,
    queue: client.queue.state,
    health: client.health.assess(client.acknowledged.version, newest, now),
  };
}
