import type { VersionVector } from '../clock/index.ts';
import type { StateRoot } from '../merkle/index.ts';
import type { RecordKey, ReplicaId, SyncRecord } from '../state/index.ts';

/** A state that replicas hold in common and that comes together by joining, as heartbeats look at it. */
export interface SharedState {
  root(): StateRoot;
  /** Changes that this replica has taken in, its own included. */
  readonly version: number;
  readonly vector: VersionVector;
  /**
   * Joins records of another replica, all or none; `vector` is what that replica had seen. `cause` is the `seq` of what made it happen.
   * @throws SyncError where a record is not of this kind; the state is then as before
   */
  join(entries: Iterable<readonly [RecordKey, SyncRecord]>, vector: VersionVector, cause: readonly number[]): void;
  /** Who wrote what the record holds, as far as it says so. */
  writersOf?(key: RecordKey, record: SyncRecord): readonly ReplicaId[];
}
