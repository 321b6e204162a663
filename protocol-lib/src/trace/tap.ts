import type { Clock } from '../ports/index.ts';
import type { ReplicaId } from '../state/index.ts';
import type { SourceLocation, TraceBody, TraceRecord } from './records.ts';

/** Where an endpoint reports what it does. With `isOpen` false nothing need be built: the cost is one branch. */
export interface Tap {
  readonly isOpen: boolean;
  /** Records a fact of `replica` and returns its `seq`, to be named as a cause of what follows; 0 where nobody listens. */
  emit(
    replica: ReplicaId,
    body: TraceBody,
    cause?: readonly number[],
    wire?: Uint8Array,
    source?: SourceLocation,
  ): number;
}

/** The tap of an endpoint that nobody watches. */
export const closedTap: Tap = { isOpen: false, emit: () => 0 };

/** Numbers and times the facts of all replicas in this process and hands them to every listener. */
export class TraceHub implements Tap {
  readonly #clock: Clock;
  readonly #start: number;
  readonly #listeners = new Set<(record: TraceRecord) => void>();
  #seq = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#start = clock.now();
  }

  get isOpen(): boolean {
    return this.#listeners.size > 0;
  }

  /** `seq` of the newest record, 0 before the first. */
  get lastSeq(): number {
    return this.#seq;
  }

  /** Nanoseconds since the hub was made. */
  now(): number {
    return this.#clock.now() - this.#start;
  }

  emit(
    replica: ReplicaId,
    body: TraceBody,
    cause: readonly number[] = [],
    wire?: Uint8Array,
    source?: SourceLocation,
  ): number {
    if (this.#listeners.size === 0) return 0;
    const record: TraceRecord = {
      seq: ++this.#seq,
      time: this.now(),
      replica,
      cause: cause.filter((seq) => seq > 0),
      body,
      ...(wire ? { wire } : {}),
      ...(source ? { source } : {}),
    };
    for (const listener of this.#listeners) listener(record);
    return record.seq;
  }

  /** Calls `listener` with each record from now on. Returns the function that ends it. */
  listen(listener: (record: TraceRecord) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
