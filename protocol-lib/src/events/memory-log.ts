import type { LogEntry, LogSnapshot } from './entry.ts';
import type { EventLog } from './event-log.ts';
import { LogIndex } from './log-index.ts';

/** A log that lasts as long as its process. Everything is as durable as it gets at once. */
export class MemoryEventLog implements EventLog {
  readonly durability = 'memory';
  readonly failure = undefined;
  readonly #index = new LogIndex();

  get base(): number {
    return this.#index.base;
  }

  get last(): number {
    return this.#index.last;
  }

  get durable(): number {
    return this.#index.last;
  }

  append(expected: number, entries: readonly LogEntry[]): void {
    this.#index.append(expected, entries);
  }

  read(after: number, limit?: number): LogEntry[] {
    return this.#index.read(after, limit);
  }

  snapshot(atMost?: number): LogSnapshot | undefined {
    return this.#index.snapshot(atMost);
  }

  putSnapshot(snapshot: LogSnapshot): void {
    this.#index.putSnapshot(snapshot);
  }

  compact(position: number): void {
    this.#index.compact(position);
  }
}
