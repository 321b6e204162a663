import type { Feature } from '../messages/index.ts';
import type { ReplicaId, Version } from '../state/index.ts';
import type { Client } from './delta-synchronizer.ts';
import type { SyncHealth } from './health.ts';
import type { QueueState } from './link-queue.ts';
import type { LinkId } from './outbox.ts';

/** One client that is connected. */
export interface ClientPresent {
  readonly replica: ReplicaId;
  readonly link: LinkId;
  /** The version that the client has acknowledged; 0 before the first. */
  readonly version: Version;
  /** Time of its last acknowledgement, in nanoseconds. */
  readonly lastSyncTime: number;
  readonly features: readonly Feature[];
}

/** What the authority knows of one client. */
export interface ClientSyncState extends ClientPresent {
  /** The version that was last sent to it. */
  readonly sent: Version;
  /** Deltas sent that it has not acknowledged. */
  readonly pendingDeltas: number;
  readonly needsFullSync: boolean;
  /** Whether a Merkle exchange with it is under way. */
  readonly isRepairing: boolean;
  /** Bytes sent to it. */
  readonly bytes: number;
  /** What waits in its link, and what was kept from it because too much did. */
  readonly queue: QueueState;
  /** How it gets on, as of the last time that the authority was told. */
  readonly health: SyncHealth;
}

export function clientPresent({ replica, link, acknowledged, lastSyncTime, features }: Client): ClientPresent {
  return { replica, link, version: acknowledged.version, lastSyncTime, features };
}

/** `newest` is the authority's version, `now` the last time that it was told. */
export function clientSyncState(client: Client, newest: Version, now: number): ClientSyncState {
  return {
    ...clientPresent(client),
    sent: client.sent.version,
    pendingDeltas: client.unacknowledged.length,
    needsFullSync: client.needsFullSync,
    isRepairing: client.repair !== undefined,
    bytes: client.bytes,
    queue: client.queue.state,
    health: client.health.assess(client.acknowledged.version, newest, now),
  };
}
