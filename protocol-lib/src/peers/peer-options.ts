import type { HybridClockState, VersionVector } from '../clock/index.ts';
import type { ConflictResolver, ConflictStore, Mutation, QueuedConflict } from '../conflict/index.ts';
import type { StateRoot } from '../merkle/index.ts';
import type { SyncMetrics } from '../ports/index.ts';
import type { RecordKey, ReplicaId, SyncRecord } from '../state/index.ts';
import type { MutationId, Tap } from '../trace/index.ts';
import type { Checkpoint } from './history.ts';
import type { PartitionView } from './partition.ts';
import type { PeerFrame } from './peer-links.ts';
import type { PeerSettings } from './peer-settings.ts';

/** What a replica must not forget over a restart: it would give its counters to other mutations. */
export interface SavedPeer {
  readonly base: Checkpoint;
  readonly mutations: readonly Mutation[];
  readonly clock: HybridClockState;
}

export interface PeerReplicaOptions {
  readonly replica: ReplicaId;
  readonly session: string;
  /** Everybody, the same at every member; strangers are refused. */
  readonly members: readonly ReplicaId[];
  readonly resolver: ConflictResolver;
  /** The state before any mutation, the same at every member. */
  readonly records?: Iterable<readonly [RecordKey, SyncRecord]>;
  /** Wall time, in milliseconds since 1970, at time 0 of the clock that all calls take `now` from. */
  readonly epoch: number;
  readonly maxDrift?: number;
  readonly role?: string;
  readonly settings?: Partial<PeerSettings>;
  readonly conflicts?: ConflictStore;
  readonly saved?: SavedPeer;
  readonly tap?: Tap;
  /** Told how the takeover of another's checkpoint ended, and of what each member lacks, in mutations. */
  readonly metrics?: SyncMetrics;
}

export type MakeResult =
  | { readonly mutation: MutationId; readonly frames: readonly PeerFrame[] }
  | { readonly rejected: string };

export type PeerEvent =
  | { readonly type: 'changed'; readonly root: StateRoot; readonly vector: VersionVector }
  | { readonly type: 'conflict'; readonly conflict: QueuedConflict }
  | { readonly type: 'partition'; readonly view: PartitionView; readonly detail: string };
