import { SyncError } from '@syncscope/protocol/errors';
import type { Durability } from '@syncscope/protocol/events';

/** An entry of a session's log. Positions count on without gaps. */
export interface BusEntry {
  readonly position: number;
  readonly bytes: Uint8Array;
}

/** Whether entries were taken, and the log's last position now; -1 where it has not begun. */
export interface Appended {
  readonly isAppended: boolean;
  readonly last: number;
}

/** A snapshot of everything up to `position`. */
export interface BusSnapshot {
  readonly position: number;
  readonly bytes: Uint8Array;
}

export interface BusHealth {
  readonly isUp: boolean;
  /** Why it is not. */
  readonly reason: string;
}

/** What one append carries at most. One entry alone may have all of the bytes. */
export interface BusLimits {
  readonly entries: number;
  readonly bytes: number;
}

/** Ends a subscription. */
export type Stop = () => Promise<void>;

/**
 * What several server processes share: for each session one log that takes an append only behind its end, snapshots of it, and who is
 * there. {@link eventBusContract} is the acceptance suite. Every call may be refused with `BUS_DOWN`, after which an append, and only
 * that, may have taken effect or not.
 */
export interface EventBus {
  readonly kind: 'memory' | 'redis' | 'nats';
  /** What an entry survives once its append was answered, as far as the broker lets it be known. */
  readonly durability: Durability;
  readonly limits: BusLimits;
  readonly health: BusHealth;
  /** Begins the log of a session with a snapshot. False where it has begun before; nothing changes then. */
  begin(session: string, snapshot: BusSnapshot): Promise<boolean>;
  /**
   * Appends entries behind `expected`, all or none, and only where the log ends there.
   * @throws SyncError `BUS_ENTRY_TOO_LARGE`
   */
  append(session: string, expected: number, entries: readonly Uint8Array[]): Promise<Appended>;
  /** At most `limit` entries after a position, in order. @throws SyncError `BUS_COMPACTED` where some of them are gone */
  read(session: string, after: number, limit: number): Promise<BusEntry[]>;
  /** The last position; -1 where the log has not begun. */
  last(session: string): Promise<number>;
  /** The newest snapshot at or before a position. */
  snapshot(session: string, atMost?: number): Promise<BusSnapshot | undefined>;
  /** Keeps a snapshot of a position that the log has. */
  putSnapshot(session: string, snapshot: BusSnapshot): Promise<void>;
  /** Drops everything before the snapshot at `position`. @throws SyncError `BUS_SNAPSHOT_MISSING` */
  compact(session: string, position: number): Promise<void>;
  /**
   * Calls back some time after an append, and once the broker is there again. A hint: it may come for nothing, be lost, or be
   * called once for many.
   */
  watch(session: string, listener: () => void): Promise<Stop>;
  /** Says that a member is there, with a short text, until `ttl` milliseconds from now on the broker's clock. */
  announce(session: string, member: string, text: string, ttl: number): Promise<void>;
  withdraw(session: string, member: string): Promise<void>;
  /** Who is there, with their texts. */
  members(session: string): Promise<ReadonlyMap<string, string>>;
  close(): Promise<void>;
}

export function busDown(what: string, cause?: unknown): SyncError {
  const said = cause instanceof Error && cause.message !== '' ? ` (${cause.message})` : '';
  return new SyncError('BUS_DOWN', `${what}${said}`, { origin: 'state', retry: 'backoff', cause });
}

export function busCompacted(after: number): SyncError {
  const text = `entries after ${after} are gone from the bus: begin with its newest snapshot`;
  return new SyncError('BUS_COMPACTED', text, { origin: 'state' });
}

export function busSnapshotMissing(position: number): SyncError {
  return new SyncError('BUS_SNAPSHOT_MISSING', `the bus has no snapshot at ${position}`, { origin: 'state' });
}

export function busTooLarge(bytes: number, most: number): SyncError {
  const text = `${bytes} bytes, and the broker takes ${most} at once: raise its limit`;
  return new SyncError('BUS_ENTRY_TOO_LARGE', text, { origin: 'state' });
}
