import type { SyncError } from '../errors/index.ts';
import type { LogEntry, LogSnapshot } from './entry.ts';

/**
 * What an entry survives once it is durable, from the weakest: `memory` nothing but the session; `broker` a crash of the authority's
 * process, not of the broker that it is kept by; `process` a crash of every process, not of the machine; `log` a crash of the machine.
 * Named so in WELCOME.
 */
export type Durability = (typeof DURABILITIES)[number];
export const DURABILITIES = ['memory', 'broker', 'process', 'log'] as const;

/**
 * Where the settled mutations of a session are kept, in order: a snapshot, then every entry after it. Writing is handed over
 * at once and becomes durable later, by itself and in order; many entries may become durable together. A log begins with a
 * snapshot. Whoever opens one may read only what is durable.
 *
 * {@link eventLogContract} is the acceptance suite of every implementation.
 */
export interface EventLog {
  readonly durability: Durability;
  /**
   * Whether other authorities append to it as well. Then entries up to {@link durable} may be theirs; and where one of theirs comes in the
   * place of one that was appended here and is not durable, all such are gone, {@link last} falls, and what they settled is to be decided anew.
   */
  readonly isShared?: boolean;
  /** Position of the oldest snapshot, whose entries before are gone; -1 before the log has begun. */
  readonly base: number;
  /** Position of the newest entry, or of the base where there is none; -1 before the log has begun. */
  readonly last: number;
  /** Everything up to here is durable; at most {@link last}. */
  readonly durable: number;
  /** Why nothing more can become durable. For ever: what was written and is not durable may be there or not. */
  readonly failure: SyncError | undefined;
  /**
   * Appends entries behind position `expected`, all or none.
   * @throws SyncError `LOG_CONFLICT` where `expected` is not {@link last}, as when somebody else has appended; `LOG_NOT_BEGUN`;
   * `LOG_ENTRY_INVALID` where positions, versions or times do not follow upon each other, or the mutation was settled before;
   * {@link failure}; and what `encodeEntry` throws
   */
  append(expected: number, entries: readonly LogEntry[]): void;
  /** At most `limit` entries after a position, in order. @throws SyncError `LOG_COMPACTED` where `after` is before {@link base} */
  read(after: number, limit?: number): LogEntry[];
  /** The newest snapshot at or before a position, by default of all. */
  snapshot(atMost?: number): LogSnapshot | undefined;
  /**
   * Keeps a snapshot of a position that the log has; the first one begins the log, at whatever position it is.
   * @throws SyncError `LOG_SNAPSHOT_INVALID` where it is of a position that is gone or not there, or contradicts its entry; {@link failure}
   */
  putSnapshot(snapshot: LogSnapshot): void;
  /**
   * Drops all before the snapshot at `position`.
   * @throws SyncError `LOG_SNAPSHOT_MISSING` where there is none, or it is not durable in a log that is shared; {@link failure}
   */
  compact(position: number): void;
}
