/**
 * How a difference between two replicas was to be put right: `merkle`, by an authority's offer of its hashes; `offline`, a device's request with
 * what it did alone; `heartbeat`, the exchange of two replicas; `checkpoint`, a peer taking over another's.
 */
export type ReconciliationWay = 'merkle' | 'offline' | 'heartbeat' | 'checkpoint';

/** One reconciliation has ended. */
export interface ReconciliationEnd {
  /** With whom. */
  readonly client: string;
  readonly way: ReconciliationWay;
  readonly hasSucceeded: boolean;
  /** Nanoseconds of the clock of the one who tells. */
  readonly now: number;
}

/**
 * Where the library reports what an operator watches. Called on hot paths: an implementation counts, and returns. Client names come from
 * outside, and there may be any number of them; a backend that keeps a series for each must bound them.
 */
export interface SyncMetrics {
  /** `sync.latency`: a client has acknowledged, with an equal hash, what was sent to it `time` nanoseconds before. */
  latency(client: string, time: number): void;
  /** `sync.backlog`: what a client lacks, in versions; or, told by a device, its mutations that wait. */
  backlog(client: string, waiting: number): void;
  /** For `sync.reconciliation.failure_rate`. */
  reconciliation(end: ReconciliationEnd): void;
}
