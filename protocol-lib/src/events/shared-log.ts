import { SyncError } from '../errors/index.ts';
import { decodeEntry, decodeSnapshot, encodeEntry, encodeSnapshot, type LogEntry, type LogSnapshot } from './entry.ts';
import type { Durability, EventLog } from './event-log.ts';
import { LogIndex } from './log-index.ts';
import { checkExpected, type LogTail, logError } from './log-tail.ts';

/** Entries to be appended behind `expected`, all or none, and only where the common log ends there. */
export interface LogBatch {
  readonly expected: number;
  readonly entries: readonly Uint8Array[];
}

/** What is to be done to the common log beside appending. `begin` only where it has not begun. */
export type LogChore =
  | { readonly kind: 'begin' | 'snapshot'; readonly position: number; readonly bytes: Uint8Array }
  | { readonly kind: 'compact'; readonly position: number };

/**
 * One authority's side of a log that several append to: what is agreed, and behind it what was appended here and is on its way. A state
 * machine: the driver carries {@link batch} to whoever keeps the common log and tells what is in it, in order, with {@link agree}.
 * Its own entries it knows again by their bytes: two authorities that write the same bytes have settled the same mutation in the same way.
 */
export class SharedEventLog implements EventLog {
  readonly durability: Durability;
  readonly isShared = true;
  readonly #index = new LogIndex();
  readonly #onAppend: () => void;
  #pending: { readonly entry: LogEntry; readonly bytes: Uint8Array }[] = [];
  #ahead: LogTail = this.#index.tail.fork();
  /** Of positions that are not agreed. */
  #early: LogSnapshot[] = [];
  #chores: LogChore[] = [];
  #failure: SyncError | undefined;
  #overtaken = 0;

  /** `onAppend` is called when there is something to carry. */
  constructor(durability: Durability, onAppend: () => void = () => undefined) {
    this.durability = durability;
    this.#onAppend = onAppend;
  }

  get base(): number {
    return this.#index.base;
  }

  get last(): number {
    return this.#index.last + this.#pending.length;
  }

  get durable(): number {
    return this.#index.last;
  }

  get failure(): SyncError | undefined {
    return this.#failure;
  }

  /** Entries that have made way for another's, since the beginning. */
  get overtaken(): number {
    return this.#overtaken;
  }

  append(expected: number, entries: readonly LogEntry[]): void {
    this.#checkFailure();
    checkExpected(expected, this.last);
    const ahead = this.#ahead.fork();
    const written = entries.map((entry) => {
      const bytes = encodeEntry(entry);
      ahead.advance(entry);
      return { entry, bytes };
    });
    this.#ahead.adopt(ahead);
    this.#pending.push(...written);
    this.#onAppend();
  }

  read(after: number, limit = Number.POSITIVE_INFINITY): LogEntry[] {
    const agreed = this.#index.read(after, limit);
    const from = Math.max(0, after - this.durable);
    const pending = this.#pending.slice(from, from + limit - agreed.length);
    return [...agreed, ...pending.map(({ bytes }) => decodeEntry(bytes))];
  }

  snapshot(atMost = this.last): LogSnapshot | undefined {
    return this.#early.findLast(({ position }) => position <= atMost) ?? this.#index.snapshot(atMost);
  }

  putSnapshot(snapshot: LogSnapshot): void {
    this.#checkFailure();
    const { position } = snapshot;
    if (this.base < 0) {
      const bytes = this.#index.putSnapshot(snapshot);
      this.#ahead = this.#index.tail.fork();
      this.#chore({ kind: 'begin', position, bytes });
    } else if (position <= this.durable) {
      this.#chore({ kind: 'snapshot', position, bytes: this.#index.putSnapshot(snapshot) });
    } else {
      this.#putEarly(snapshot);
    }
  }

  #putEarly(snapshot: LogSnapshot): void {
    const { position, version, root } = snapshot;
    const known = this.#pending[position - this.durable - 1]?.entry;
    if (known?.version !== version || known.root !== root) {
      const text = `snapshot at ${position}: version ${version} with root ${root}, the log has version ${known?.version} with root ${known?.root}`;
      throw logError('LOG_SNAPSHOT_INVALID', text, version);
    }
    const copy = decodeSnapshot(encodeSnapshot(snapshot));
    this.#early = [...this.#early.filter((one) => one.position !== position), copy];
    this.#early.sort((a, b) => a.position - b.position);
  }

  compact(position: number): void {
    this.#checkFailure();
    this.#index.compact(position);
    this.#chore({ kind: 'compact', position });
  }

  /** As {@link putSnapshot} of an agreed position, in memory alone: the common log has one from another, or needs none. */
  noteSnapshot(snapshot: LogSnapshot): void {
    this.#index.putSnapshot(snapshot);
  }

  /** Drops from memory what is before the snapshot at `position`; the common log keeps it. @throws SyncError as {@link compact} */
  forget(position: number): void {
    this.#index.compact(position);
  }

  #chore(chore: LogChore): void {
    this.#chores.push(chore);
    this.#onAppend();
  }

  /** Begins with what the common log has. @throws SyncError where these are not the bytes of a snapshot, or the log has begun */
  begin(snapshot: Uint8Array): void {
    if (this.base >= 0) throw logError('LOG_CONFLICT', 'the log has begun before');
    this.#index.putSnapshot(decodeSnapshot(snapshot));
    this.#ahead = this.#index.tail.fork();
  }

  /** What is to be appended next, at most so many entries and bytes, but one entry at least. It stays until it is agreed or overtaken. */
  batch(maxEntries: number, maxBytes: number): LogBatch | undefined {
    const entries: Uint8Array[] = [];
    let size = 0;
    for (const { bytes } of this.#pending.slice(0, maxEntries)) {
      size += bytes.length;
      if (entries.length > 0 && size > maxBytes) break;
      entries.push(bytes);
    }
    return entries.length > 0 ? { expected: this.durable, entries } : undefined;
  }

  /** The next chore, in order. It is the driver's then. */
  takeChore(): LogChore | undefined {
    return this.#chores.shift();
  }

  /** What {@link takeChore} gave could not be done and is to be done later. */
  returnChore(chore: LogChore): void {
    this.#chores.unshift(chore);
  }

  /** Whether nothing waits to be carried. */
  get isIdle(): boolean {
    return this.#pending.length === 0 && this.#chores.length === 0;
  }

  /**
   * The common log has this entry at `position`. Told in order; what is known is passed over.
   * A gap, or an entry that cannot be, is the end: {@link failure}.
   */
  agree(position: number, bytes: Uint8Array): void {
    if (this.#failure || position <= this.durable) return;
    try {
      if (position !== this.durable + 1) {
        throw logError('LOG_DAMAGED', `entry ${this.durable + 1} of the common log is missing: ${position} came`);
      }
      this.#agree(bytes);
    } catch (error) {
      this.fail(asDamage(error, position));
    }
  }

  #agree(bytes: Uint8Array): void {
    const [mine] = this.#pending;
    if (mine && sameBytes(mine.bytes, bytes)) {
      this.#pending.shift();
      this.#index.appendBytes(mine.entry, mine.bytes);
    } else {
      this.#index.appendBytes(decodeEntry(bytes), bytes);
      this.#overtaken += this.#pending.length;
      this.#pending = [];
      this.#early = [];
    }
    if (this.#pending.length === 0) this.#ahead = this.#index.tail.fork();
    const [early] = this.#early;
    if (early?.position !== this.durable) return;
    this.#early.shift();
    this.#chore({ kind: 'snapshot', position: early.position, bytes: this.#index.putSnapshot(early) });
  }

  /** Nothing more can become durable. */
  fail(error: SyncError): void {
    this.#failure ??= error;
  }

  #checkFailure(): void {
    if (this.#failure) throw this.#failure;
  }
}

function asDamage(error: unknown, position: number): SyncError {
  if (error instanceof SyncError && error.code === 'LOG_DAMAGED') return error;
  const text = `entry ${position} of the common log cannot be: ${error instanceof Error ? error.message : String(error)}`;
  return new SyncError('LOG_DAMAGED', text, { origin: 'state', cause: error });
}

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}
