import type { RecordKey, StateHash } from '../state/index.ts';
import type { CancelSignal } from './adapter.ts';
import type { Diff, DiffAction } from './diff.ts';

/**
 * What became of one model: `success`; `failure` where the system refused it or the model is no longer as the diff expects it;
 * `error` where the adapter threw; `skipped` where it was not tried, and `code` says why; `unchanged` where there was nothing to do.
 */
export interface SyncStatus {
  readonly key: RecordKey;
  readonly action: DiffAction | 'none';
  readonly status: 'success' | 'failure' | 'error' | 'skipped' | 'unchanged';
  readonly code?: SyncStatusCode;
  /** For people; empty where there is nothing to say. */
  readonly reason: string;
}

export type SyncStatusCode =
  /** The system's answer. */
  | 'REFUSED'
  | 'ADAPTER_FAILED'
  /** It is not as its type is declared. */
  | 'MODEL_INVALID'
  /** Somebody else changed the destination after the diff was made. */
  | 'MODEL_VANISHED'
  | 'MODEL_CHANGED'
  | 'MODEL_EXISTS'
  /** What it depends on did not happen, or is not there. */
  | 'PARENT_FAILED'
  | 'PARENT_MISSING'
  | 'CHILDREN_REMAIN'
  | 'MODEL_CYCLE'
  /** A flag says to leave it alone. */
  | 'FLAG'
  /** An earlier one failed, or somebody cancelled. */
  | 'STOPPED'
  | 'CANCELLED';

/** `complete`: all was done or skipped by a flag. `partial`: some was not. `stopped`, `cancelled`: not all was tried. */
export type SyncOutcome = 'complete' | 'partial' | 'stopped' | 'cancelled';

export interface SyncReport {
  readonly outcome: SyncOutcome;
  readonly diff: Diff;
  /** One for each entry of the diff, in the order in which they were tried. */
  readonly statuses: readonly SyncStatus[];
  readonly counts: Readonly<Record<SyncStatus['status'], number>>;
  /** Of the destination after. */
  readonly root: StateHash;
}

/** What to leave alone, and how to go on. All off unless set. */
export interface SyncFlags {
  /** Leave models alone that only the source has: nothing is created. */
  readonly skipUnmatchedSource?: boolean;
  /** Leave models alone that only the destination has: nothing is deleted. */
  readonly skipUnmatchedDestination?: boolean;
  /** Go on after a failure; without it all that is left is skipped. */
  readonly continueOnFailure?: boolean;
  /** Give a status to models that are equal, too. */
  readonly logUnchanged?: boolean;
  /** Types of models that are left alone. */
  readonly ignore?: readonly string[];
}

export interface SyncProgress {
  readonly done: number;
  readonly total: number;
  readonly key: RecordKey;
}

export interface ApplyOptions extends SyncFlags {
  readonly signal?: CancelSignal;
  /** Told after each model. */
  readonly onProgress?: (progress: SyncProgress) => void;
}

export function countStatuses(statuses: readonly SyncStatus[]): SyncReport['counts'] {
  const counts = { success: 0, failure: 0, error: 0, skipped: 0, unchanged: 0 };
  for (const { status } of statuses) counts[status]++;
  return counts;
}

export function outcomeOf(statuses: readonly SyncStatus[]): SyncOutcome {
  let outcome: SyncOutcome = 'complete';
  for (const { status, code } of statuses) {
    if (code === 'CANCELLED') return 'cancelled';
    if (code === 'STOPPED') outcome = 'stopped';
    else if (outcome === 'complete' && code !== 'FLAG' && status !== 'success' && status !== 'unchanged') {
      outcome = 'partial';
    }
  }
  return outcome;
}

/** A report for people: the outcome, then a line for each model that was not done. */
export function reportText({ outcome, statuses, counts }: SyncReport): string {
  const lines = Object.entries(counts).map(([status, count]) => `${count} ${status}`);
  const told = statuses.filter(({ status }) => status !== 'success' && status !== 'unchanged');
  return [
    `${outcome}: ${lines.join(', ')}`,
    ...told.map(({ key, action, status, code, reason }) =>
      `${status} ${action} ${key}: ${code ?? ''} ${reason}`.trimEnd(),
    ),
  ].join('\n');
}
