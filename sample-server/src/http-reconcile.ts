import { SyncError } from '@syncscope/protocol/errors';
import type { ReconcileAnswer, ReconcileRequest, Reconciler } from '@syncscope/protocol/offline';
import { milliseconds } from '@syncscope/protocol/ports';

/** How long a device waits for the log before it is told to come again. */
const PATIENCE_NS = milliseconds(10_000);
/** Requests that wait for the log at once. */
const WAITING_MAX = 1_000;

interface Waiting {
  readonly request: ReconcileRequest;
  readonly until: number;
  readonly resolve: (answer: ReconcileAnswer) => void;
  readonly reject: (error: unknown) => void;
}

/** Requests of devices that were offline, each until what it asks for is durable. */
export class Reconciling {
  readonly #reconciler: Reconciler;
  readonly #now: () => number;
  #waiting: Waiting[] = [];

  /** `now` in nanoseconds. */
  constructor(reconciler: Reconciler, now: () => number) {
    this.#reconciler = reconciler;
    this.#now = now;
  }

  get isBusy(): boolean {
    return this.#waiting.length > 0;
  }

  /**
   * Settles a request. What it asked for is settled once, however often it is asked.
   * @throws SyncError as `Reconciler.handle`; `LOG_SLOW` where the log takes too long: ask again
   */
  async settle(request: ReconcileRequest): Promise<ReconcileAnswer> {
    if (this.#waiting.length >= WAITING_MAX) throw slow();
    const answer = this.#reconciler.handle(request, this.#now());
    if (answer) return answer;
    return new Promise((resolve, reject) => {
      this.#waiting.push({ request, until: this.#now() + PATIENCE_NS, resolve, reject });
    });
  }

  /** Answers who can be answered by now; called a few times a second. */
  tick(): void {
    if (this.#waiting.length === 0) return;
    const now = this.#now();
    this.#waiting = this.#waiting.filter((waiting) => !this.#isOver(waiting, now));
  }

  close(): void {
    for (const { reject } of this.#waiting.splice(0)) reject(slow());
  }

  #isOver({ request, until, resolve, reject }: Waiting, now: number): boolean {
    try {
      const answer = this.#reconciler.handle(request, now);
      if (answer) resolve(answer);
      else if (now >= until) reject(slow());
      return answer !== undefined || now >= until;
    } catch (error) {
      reject(error);
      return true;
    }
  }
}

function slow(): SyncError {
  return new SyncError('LOG_SLOW', 'what was asked for is not durable yet: ask again with the same request', {
    origin: 'state',
    retry: 'backoff',
  });
}
