import type { SyncReason } from '../messages/index.ts';
import type { StateHash, Version } from '../state/index.ts';
import type { MutationId } from '../trace/index.ts';
import type { SyncHealth } from './health.ts';

/** What a client tells those who listen to it, after its state is consistent again. */
export type ClientEvent =
  /** The authority let it in. The state follows. `isRestart`: the session has another life than the state that is here: its history was lost. */
  | { readonly type: 'welcomed'; readonly resumed: boolean; readonly isRestart: boolean }
  /**
   * The committed state moved on, or was replaced or repaired. `time`: when that version came about, on the authority's clock in nanoseconds, where
   * an EVENT of it has told; a snapshot and a repair do not.
   */
  | { readonly type: 'committed'; readonly version: Version; readonly root: StateHash; readonly time?: number }
  | { readonly type: 'confirmed'; readonly mutation: MutationId; readonly version: Version }
  | { readonly type: 'rejected'; readonly mutation: MutationId; readonly reason: string }
  /** Something happened in the session. `time` is the authority's, in nanoseconds. */
  | {
      readonly type: 'event';
      readonly version: Version;
      readonly event: { readonly type: string; readonly player: string; readonly detail: string };
      readonly time: number;
    }
  | { readonly type: 'mismatch'; readonly reason: SyncReason }
  | { readonly type: 'repaired'; readonly method: 'delta' | 'merkle' | 'snapshot' }
  /** It has begun, or ceased, to be connected without progressing. */
  | { readonly type: 'health'; readonly health: SyncHealth }
  /** A frame was refused here; nothing changed. */
  | { readonly type: 'refused'; readonly code: string; readonly message: string }
  /** The authority refused a frame of ours. */
  | { readonly type: 'error'; readonly code: string; readonly message: string }
  /**
   * The connection is of no more use: `UPGRADE_REQUIRED`, `BYE`, or `HELLO_TIMEOUT`. The driver closes it. `reconnect`: the nanoseconds after
   * which the authority wants it back, here or elsewhere.
   */
  | { readonly type: 'ended'; readonly code: string; readonly message: string; readonly reconnect?: number };
