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
  /** Use {@link emitSends}, which does without where a tap has none. */
  emitSends?(sends: FrameSends, cause: readonly number[], wire: Uint8Array): void;
}

/** One frame that was handed to several, one after the other. */
export interface FrameSends {
  readonly sender: ReplicaId;
  readonly to: readonly ReplicaId[];
  /** Of the message. */
  readonly type: string;
  readonly sequence: number;
}

/** Records that `sender` sent a frame to each: as many `send` records, in their order, as {@link Tap.emit} would one by one. */
export function emitSends(tap: Tap, sends: FrameSends, cause: readonly number[], wire: Uint8Array): void {
  if (tap.emitSends && sends.to.length > 1) tap.emitSends(sends, cause, wire);
  else for (const to of sends.to) tap.emit(sends.sender, sendBody(sends, to), cause, wire);
}

function sendBody({ sender, type, sequence }: FrameSends, to: ReplicaId): TraceBody {
  return { kind: 'send', to, type, sender, sequence };
}

/** Takes facts as they are told, without a {@link TraceRecord} being made of each. What is handed over does not change any more, nor is it to be changed. */
export interface TraceSink {
  record(record: TraceRecord): void;
  /** So many `send` records at once, of which the first has this `seq` and each next one more. */
  sends(firstSeq: number, time: number, sends: FrameSends, cause: readonly number[], wire: Uint8Array): void;
  /** So many `log` records of `replica` at once, as {@link logBody} has them. */
  logs(firstSeq: number, time: number, replica: ReplicaId, logs: PackedLogs): void;
}

export function logBody(text: string): TraceBody {
  return { kind: 'log', level: 'debug', text };
}

/** Bytes that stand in the trace as the texts of `log` records, one after the other. Only whoever needs the texts makes them. */
export interface PackedLogs {
  readonly packed: Uint8Array;
  /** How many records that are. */
  readonly count: number;
  texts(): readonly string[];
}

/** The tap of an endpoint that nobody watches. */
export const closedTap: Tap = { isOpen: false, emit: () => 0 };

/** Numbers and times the facts of all replicas in this process and hands them to every listener and sink. */
export class TraceHub implements Tap {
  readonly #clock: Clock;
  readonly #start: number;
  readonly #listeners = new Set<(record: TraceRecord) => void>();
  readonly #sinks = new Set<TraceSink>();
  /** Whether there is one of either. */
  #isOpen = false;
  #seq = 0;
  #lastTime = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#start = clock.now();
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** `seq` of the newest record, 0 before the first. */
  get lastSeq(): number {
    return this.#seq;
  }

  /** Time of the newest record, 0 before the first. */
  get lastTime(): number {
    return this.#lastTime;
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
    if (!this.#isOpen) return 0;
    this.#lastTime = this.now();
    const fact = { seq: ++this.#seq, time: this.#lastTime, replica, cause: known(cause), body };
    const record: TraceRecord =
      wire || source ? { ...fact, ...(wire ? { wire } : {}), ...(source ? { source } : {}) } : fact;
    for (const listener of this.#listeners) listener(record);
    for (const sink of this.#sinks) sink.record(record);
    return record.seq;
  }

  emitSends(sends: FrameSends, cause: readonly number[], wire: Uint8Array): void {
    if (!this.#isOpen) return;
    const first = this.#seq + 1;
    this.#seq += sends.to.length;
    // Where nothing else has happened since what it is sent for, it is sent at the same moment: the clock need not be asked again.
    const time = first > 1 && cause.length === 1 && cause[0] === first - 1 ? this.#lastTime : this.now();
    this.#lastTime = time;
    const because = known(cause);
    for (const sink of this.#sinks) sink.sends(first, time, sends, because, wire);
    if (this.#listeners.size === 0) return;
    for (const [at, to] of sends.to.entries()) {
      const record: TraceRecord = {
        seq: first + at,
        time,
        replica: sends.sender,
        cause: because,
        body: sendBody(sends, to),
        wire,
      };
      for (const listener of this.#listeners) listener(record);
    }
  }

  /** Records packed text as `log` records, all of one moment. */
  emitLogs(replica: ReplicaId, logs: PackedLogs): void {
    if (!this.#isOpen) return;
    const first = this.#seq + 1;
    this.#seq += logs.count;
    const time = this.now();
    this.#lastTime = time;
    for (const sink of this.#sinks) sink.logs(first, time, replica, logs);
    if (this.#listeners.size === 0) return;
    for (const [at, text] of logs.texts().entries()) {
      const record: TraceRecord = { seq: first + at, time, replica, cause: [], body: logBody(text) };
      for (const listener of this.#listeners) listener(record);
    }
  }

  /** Calls `listener` with each record from now on. Returns the function that ends it. */
  listen(listener: (record: TraceRecord) => void): () => void {
    return this.#join(this.#listeners, listener);
  }

  /** The same for a sink, which is handed what was sent to many as one. */
  attach(sink: TraceSink): () => void {
    return this.#join(this.#sinks, sink);
  }

  #join<T>(all: Set<T>, one: T): () => void {
    all.add(one);
    this.#isOpen = true;
    return () => {
      all.delete(one);
      this.#isOpen = this.#listeners.size + this.#sinks.size > 0;
    };
  }
}

/** Causes that were recorded; 0 is one of which nobody was told. */
function known(cause: readonly number[]): readonly number[] {
  return cause.includes(0) ? cause.filter((seq) => seq > 0) : cause;
}
