import { VersionVector } from '../clock/index.ts';
import { isSyncError, SyncError } from '../errors/index.ts';
import { StateRoot } from '../merkle/index.ts';
import type { deltaSyncSchema, fullSyncSchema } from '../messages/index.ts';
import type { Infer } from '../schema/index.ts';
import type { StateHash, Version } from '../state/index.ts';

/** What a client holds of the authority's state. A value: applying a message answers another one, whole, or none. */
export interface Committed {
  /** 0 before the first full sync. */
  readonly version: Version;
  /** How many mutations of the session were settled by then. */
  readonly progress: number;
  readonly root: StateRoot;
  readonly vector: VersionVector;
}

export const NOTHING: Committed = { version: 0, progress: 0, root: StateRoot.empty, vector: VersionVector.empty };

/** As ACK, HEARTBEAT and SYNC_REQUEST say it. */
export function standing({ version, progress, root }: Committed): {
  readonly version: Version;
  readonly progress: number;
  readonly root: StateHash;
} {
  return { version, progress, root: root.hash };
}

/** @throws SyncError `SNAPSHOT_ROOT_MISMATCH` where the records do not give the stated root */
export function fromFullSync(full: Infer<typeof fullSyncSchema>): Committed {
  const { version, progress, records, vector } = full;
  const root = StateRoot.from(records.map(({ key, record }) => [key, record] as const));
  if (root.hash !== full.root) {
    const text = `the records of version ${version} have the root ${root.hash}, not ${full.root} as stated`;
    throw new SyncError('SNAPSHOT_ROOT_MISMATCH', text, { origin: 'protocol', retry: 'now', place: { version } });
  }
  return { version, progress, root, vector: VersionVector.from(vector) };
}

/** What becomes of a delta. `stale`: its end is here already. `settlements`: the state fits, but how some mutations ended is not known. */
export type DeltaOutcome =
  | { readonly fit: 'whole'; readonly committed: Committed }
  | { readonly fit: 'stale' | 'base' | 'settlements' | 'record' }
  | { readonly fit: 'root'; readonly got: StateHash };

/** The state after a delta, where it fits in every respect: base, records and root. */
export function afterDelta(before: Committed, delta: Infer<typeof deltaSyncSchema>): DeltaOutcome {
  if (delta.from !== before.version) return { fit: delta.to <= before.version ? 'stale' : 'base' };
  if (delta.since > before.progress) return { fit: 'settlements' };
  let root: StateRoot;
  try {
    root = before.root.apply(delta.changes);
  } catch (error) {
    if (isSyncError(error)) return { fit: 'record' };
    throw error;
  }
  if (root.hash !== delta.root) return { fit: 'root', got: root.hash };
  const vector = before.vector.mergeEntries(delta.vector);
  return { fit: 'whole', committed: { version: delta.to, progress: delta.progress, root, vector } };
}
