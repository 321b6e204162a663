import { milliseconds } from '../ports/index.ts';
import type { ReplicaId } from '../state/index.ts';
import type { TraceHub } from '../trace/index.ts';
import { tellBatch } from './batches.ts';
import { BatchBuilder } from './compact-inputs.ts';
import type { Input } from './inputs.ts';

/** Inputs, and nanoseconds, after which a batch is written. */
const MAX_INPUTS = 500;
const MAX_WAIT = milliseconds(100);

/** One endpoint as its journal knows it. */
export type Endpoint = object;

/**
 * Writes the inputs of endpoints that run into their trace, from the moment on at which somebody listens, many in one record. An endpoint begins in it with where
 * it stands ({@link begun}); what was done to it before is not written. While nobody listens, nothing is kept.
 *
 * As with `InputJournal`, nothing but the endpoint may report to the hub during its own input.
 */
export class LiveJournal {
  readonly #hub: TraceHub;
  readonly #witness: ReplicaId;
  #begun = new WeakSet<Endpoint>();
  readonly #batch = new BatchBuilder();
  /** `seq` up to which it is said who made the records. */
  #told = 0;
  #writtenAt = 0;
  #isOpen = false;
  #isRunning = false;

  /** `witness` is the replica under which the inputs stand in the trace. */
  constructor(hub: TraceHub, witness: ReplicaId) {
    this.#hub = hub;
    this.#witness = witness;
  }

  /** Whether inputs are to be handed over: somebody listens, and this is no input within another. */
  get isOpen(): boolean {
    const { isOpen } = this.#hub;
    if (isOpen !== this.#isOpen) this.#turn(isOpen);
    return isOpen && !this.#isRunning;
  }

  #turn(isOpen: boolean): void {
    this.#isOpen = isOpen;
    this.#begun = new WeakSet();
    this.#batch.clear();
    this.#told = this.#hub.lastSeq;
  }

  /** Nanoseconds of the trace. */
  get now(): number {
    return Math.max(0, Math.round(this.#hub.now()));
  }

  hasBegun(endpoint: Endpoint): boolean {
    return this.#begun.has(endpoint);
  }

  /** From here on, the endpoint's inputs are written; `standing` says where it is, or that it begins. */
  begin(endpoint: Endpoint, standing: Input): void {
    if (!this.isOpen) return;
    this.#begun.add(endpoint);
    this.#note(standing, this.#hub.lastSeq);
  }

  /** Runs `work`, which hands `input` to an endpoint that has begun. */
  run<T>(input: Input, work: () => T): T {
    const before = this.#hub.lastSeq;
    this.#isRunning = true;
    try {
      return work();
    } finally {
      this.#isRunning = false;
      this.#note(input, before);
    }
  }

  /** Runs something that is no input, but reaches endpoints through their own methods. */
  aside<T>(work: () => T): T {
    this.#isRunning = true;
    try {
      return work();
    } finally {
      this.#isRunning = false;
    }
  }

  #note(input: Input, before: number): void {
    const after = this.#hub.lastSeq;
    this.#batch.add(input, before - this.#told, after - before);
    this.#told = after;
    // What it did was told just now: the clock need not be asked once more.
    const now = after > before ? this.#hub.lastTime : this.#hub.now();
    if (this.#batch.length >= MAX_INPUTS || now - this.#writtenAt >= MAX_WAIT) this.flush();
  }

  /** Writes what waits, which is done ten times a second where inputs come; the driver does it where a recording ends, in the `flush` of `inspectable`. */
  flush(): void {
    if (this.#batch.length === 0) return;
    this.#writtenAt = this.#hub.now();
    const rest = this.#hub.lastSeq - this.#told;
    tellBatch(this.#hub, this.#witness, this.#batch, rest);
    this.#told = this.#hub.lastSeq;
  }
}
