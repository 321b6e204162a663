import type { VectorEntry } from '../clock/index.ts';
import type { LogState } from '../events/index.ts';
import type { Rejection } from '../messages/index.ts';
import type { ReplicaId } from '../state/index.ts';
import type { LedgerStanding } from './standing.ts';

interface Writer {
  counter: number;
  /** Value of {@link MutationLedger.progress} when the counter last rose. */
  progress: number;
  rejections: { readonly counter: number; readonly reason: string; readonly progress: number }[];
}

/**
 * How the mutations of every writer ended, as far as replicas may still ask. A mutation settles exactly once, in
 * the order of its writer's counter; what settled since some moment is found by `progress`, which counts settlements
 * (of which the version counts only those that changed the state).
 */
export class MutationLedger {
  readonly #writers = new Map<ReplicaId, Writer>();
  readonly #maxRejections: number;
  #progress = 0;

  /**
   * `maxRejections` a writer are remembered: as many as it may have pending, so that none can be asked for in vain.
   * `log` is where an earlier ledger stood, one position of its log a settlement.
   */
  constructor(maxRejections: number, log?: Pick<LogState, 'position' | 'writers'>) {
    this.#maxRejections = maxRejections;
    if (!log) return;
    this.#progress = log.position;
    for (const { writer, counter, position, refusals } of log.writers.values()) {
      const rejections = refusals.map((one) => ({ counter: one.counter, reason: one.reason, progress: one.position }));
      this.#writers.set(writer, { counter, progress: position, rejections: rejections.slice(-maxRejections) });
    }
  }

  get standing(): LedgerStanding {
    const writers = Array.from(this.#writers, ([replica, { counter, progress, rejections }]) => {
      return { replica, counter, progress, rejections: [...rejections] };
    });
    return { progress: this.#progress, writers };
  }

  /** Goes on where another one was; for one that has settled nothing. */
  resume({ progress, writers }: LedgerStanding): void {
    this.#progress = progress;
    this.#writers.clear();
    for (const { replica, ...writer } of writers) {
      this.#writers.set(replica, { ...writer, rejections: [...writer.rejections] });
    }
  }

  get progress(): number {
    return this.#progress;
  }

  get size(): number {
    return this.#writers.size;
  }

  /** The last settled counter of a writer; 0 where none. */
  settled(replica: ReplicaId): number {
    return this.#writers.get(replica)?.counter ?? 0;
  }

  has(replica: ReplicaId): boolean {
    return this.#writers.has(replica);
  }

  /** Settles the writer's mutations up to `counter`; `reason` where it was refused. A counter that was settled before changes nothing. */
  settle(replica: ReplicaId, counter: number, reason?: string): void {
    let writer = this.#writers.get(replica);
    if (counter <= (writer?.counter ?? 0)) return;
    if (!writer) {
      writer = { counter: 0, progress: 0, rejections: [] };
      this.#writers.set(replica, writer);
    }
    writer.counter = counter;
    writer.progress = ++this.#progress;
    if (reason === undefined) return;
    writer.rejections.push({ counter, reason, progress: this.#progress });
    if (writer.rejections.length > this.#maxRejections) writer.rejections.shift();
  }

  /** Why a settled mutation was refused; undefined where it was accepted, or is too long ago. */
  rejection(replica: ReplicaId, counter: number): string | undefined {
    return this.#writers.get(replica)?.rejections.find((one) => one.counter === counter)?.reason;
  }

  /** `progress` just before the writer's last settlement: a delta since then tells the writer where it stands. */
  progressBefore(replica: ReplicaId): number {
    return Math.max(0, (this.#writers.get(replica)?.progress ?? 1) - 1);
  }

  /** The vector entries that rose since `progress`, by replica; all with 0. */
  entriesSince(progress: number): VectorEntry[] {
    const entries: VectorEntry[] = [];
    for (const [replica, writer] of this.#writers) {
      if (writer.progress > progress) entries.push({ replica, counter: writer.counter });
    }
    return entries.sort((a, b) => (a.replica < b.replica ? -1 : 1));
  }

  /** Whether a mutation of this writer was refused since `progress`. */
  hasRejectionSince(replica: ReplicaId, progress: number): boolean {
    // They come in order.
    return (this.#writers.get(replica)?.rejections.at(-1)?.progress ?? 0) > progress;
  }

  /** The refusals of one writer that are still remembered, or of them those since `progress`. */
  rejectionsOf(replica: ReplicaId, progress = -1): Rejection[] {
    const rejections = this.#writers.get(replica)?.rejections ?? [];
    return rejections
      .filter((one) => one.progress > progress)
      .map(({ counter, reason }) => ({ replica, counter, reason }));
  }
}
