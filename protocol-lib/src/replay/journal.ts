import type { Clock, Random } from '../ports/index.ts';
import type { ReplicaId } from '../state/index.ts';
import type { TraceHub } from '../trace/index.ts';
import { tellBatch } from './batches.ts';
import { BatchBuilder } from './compact-inputs.ts';
import type { Input } from './inputs.ts';

/** Silent inputs that are kept before they are written without waiting for one that is not. */
const MAX_WAITING = 500;

/**
 * Writes the inputs of a session into its trace, so that the session can be run again from its capture. The driver of the state
 * machines calls {@link run} around each call of theirs that it makes; nothing else may report to the hub meanwhile.
 *
 * An input that made no record is written together with the next one that did, so an idle session's trace does not grow by its ticks.
 */
export class InputJournal {
  readonly #hub: TraceHub;
  readonly #witness: ReplicaId;
  #waiting: Input[] = [];

  /** `witness` is the replica under which the inputs stand in the trace. */
  constructor(hub: TraceHub, witness: ReplicaId) {
    this.#hub = hub;
    this.#witness = witness;
  }

  /** Whether anybody listens: inputs are lost else. */
  get isOpen(): boolean {
    return this.#hub.isOpen;
  }

  /** Lets go of what waits: it was done before anybody listened who listens now. */
  forget(): void {
    this.#waiting = [];
  }

  /** Runs `work`, which hands `input` to a state machine, and writes down that it did. */
  run<T>(input: Input, work: () => T): T {
    if (!this.#hub.isOpen) return work();
    const before = this.#hub.lastSeq;
    try {
      return work();
    } finally {
      this.#waiting.push(input);
      const count = this.#hub.lastSeq - before;
      if (count > 0 || this.#waiting.length >= MAX_WAITING) this.#write(count);
    }
  }

  /** As {@link run} where what the input was is known only after `work`; undefined for one that did nothing. */
  note<T>(work: () => T, input: (result: T) => Input | undefined): T {
    if (!this.#hub.isOpen) return work();
    const before = this.#hub.lastSeq;
    const result = work();
    const done = input(result);
    if (done) this.#waiting.push(done);
    const count = this.#hub.lastSeq - before;
    if (done && (count > 0 || this.#waiting.length >= MAX_WAITING)) this.#write(count);
    return result;
  }

  /** What an endpoint draws from `random` during an input is written before that input. */
  random(random: Random, replica: ReplicaId, clock: Clock): Random {
    return {
      next: () => {
        const value = random.next();
        if (this.#hub.isOpen) this.#waiting.push({ op: 'drawn', replica, now: clock.now(), value });
        return value;
      },
    };
  }

  /** Writes what waits; at the end of a session. */
  flush(): void {
    if (this.#waiting.length > 0) this.#write(0);
  }

  #write(count: number): void {
    const batch = new BatchBuilder();
    for (const [at, input] of this.#waiting.entries()) batch.add(input, 0, at === this.#waiting.length - 1 ? count : 0);
    this.#waiting = [];
    tellBatch(this.#hub, this.#witness, batch, 0);
  }
}
