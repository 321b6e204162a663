import { milliseconds, type ReconciliationEnd } from '../ports/index.ts';
import type { ReplicaId } from '../state/index.ts';
import { closedTap, type Tap } from './tap.ts';

export interface WatchSettings {
  /** Nanoseconds back that count. */
  readonly window: number;
  /** Reconciliations in the window below which no alert begins: one failure of two says nothing. */
  readonly minimum: number;
  /** An alert begins above this share of failures, and ends at half of it. */
  readonly threshold: number;
}

export const WATCH_DEFAULTS: WatchSettings = { window: milliseconds(300_000), minimum: 50, threshold: 0.02 };

/** The window slides by such parts of itself. */
const PARTS = 30;

interface Part {
  readonly from: number;
  ended: number;
  failed: number;
}

export interface WatchOptions {
  /** In whose name the alert is traced. */
  readonly replica: ReplicaId;
  readonly tap?: Tap;
  readonly settings?: Partial<WatchSettings>;
  /** Told once when an alert begins and once when it ends. */
  readonly onAlert?: (isAlert: boolean, rate: number) => void;
}

/**
 * The share of reconciliations that fail, over a sliding window, and the alert on it. A failed one is no loss: it is tried again, or
 * a whole state is sent. Many of them say that something is wrong that no retry mends. Both ends of an alert are trace records.
 */
export class ReconciliationWatch {
  readonly #options: WatchOptions;
  readonly #settings: WatchSettings;
  #parts: Part[] = [];
  #ended = 0;
  #failed = 0;
  #isAlert = false;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#settings = { ...WATCH_DEFAULTS, ...options.settings };
  }

  /** From 0 to 1; 0 where nothing ended in the window. */
  get rate(): number {
    return this.#ended === 0 ? 0 : this.#failed / this.#ended;
  }

  /** Reconciliations that ended in the window. */
  get count(): number {
    return this.#ended;
  }

  get isAlert(): boolean {
    return this.#isAlert;
  }

  ended({ hasSucceeded, now }: Pick<ReconciliationEnd, 'hasSucceeded' | 'now'>): void {
    this.#forget(now);
    const length = this.#settings.window / PARTS;
    let last = this.#parts.at(-1);
    if (!last || now >= last.from + length) {
      last = { from: Math.floor(now / length) * length, ended: 0, failed: 0 };
      this.#parts.push(last);
    }
    last.ended++;
    this.#ended++;
    if (!hasSucceeded) {
      last.failed++;
      this.#failed++;
    }
    this.#judge();
  }

  /** Lets old ones go, so that an alert also ends when nothing happens any more; to be called now and then. */
  tick(now: number): void {
    this.#forget(now);
    this.#judge();
  }

  #forget(now: number): void {
    const kept = this.#parts.findIndex(({ from }) => from > now - this.#settings.window);
    for (const { ended, failed } of this.#parts.splice(0, kept === -1 ? this.#parts.length : kept)) {
      this.#ended -= ended;
      this.#failed -= failed;
    }
  }

  #judge(): void {
    const { minimum, threshold } = this.#settings;
    const { rate } = this;
    const isAlert = this.#isAlert ? rate > threshold / 2 : this.#ended >= minimum && rate > threshold;
    if (isAlert === this.#isAlert) return;
    this.#isAlert = isAlert;
    const { tap = closedTap, replica, onAlert } = this.#options;
    const share = `${this.#failed} of ${this.#ended} reconciliations failed`;
    const text = isAlert ? `RECONCILIATION_FAILURES: ${share}` : `reconciliations succeed again: ${share}`;
    if (tap.isOpen) tap.emit(replica, { kind: 'log', level: isAlert ? 'error' : 'info', text });
    onAlert?.(isAlert, rate);
  }
}
