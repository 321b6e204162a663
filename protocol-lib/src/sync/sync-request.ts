import type { SyncReason } from '../messages/index.ts';
import { milliseconds } from '../ports/index.ts';
import { MAX_BACKOFF } from './settings.ts';
import type { ClientStanding } from './standing.ts';

/** Before what had no answer is sent again; doubled each time. */
export const RETRY_INTERVAL = milliseconds(1_000);

/** How much an answer to each reason brings: the names only, what changed, or everything. */
const WEIGHT: Readonly<Record<SyncReason, number>> = {
  silence: 0,
  base: 1,
  record: 1,
  root: 1,
  heartbeat: 1,
  frame: 1,
  names: 2,
  merkle: 3,
};

/**
 * The one request that a client keeps up until the authority has put it right. What stops it: any applied state; until then
 * it is repeated after 1 s, 2 s, 4 s and so on up to 30 s.
 */
export class SyncRequest {
  #open: { readonly reason: SyncReason; readonly retryAt: number; readonly wait: number } | undefined;

  get isOpen(): boolean {
    return this.#open !== undefined;
  }

  get standing(): ClientStanding['request'] {
    return this.#open ?? null;
  }

  resume(standing: ClientStanding['request']): void {
    this.#open = standing ?? undefined;
  }

  /** Whether to send a request now: none is out, the time for its answer is over, or this reason weighs more. */
  begin(reason: SyncReason, now: number): boolean {
    const before = this.#open;
    if (before && now < before.retryAt && WEIGHT[reason] <= WEIGHT[before.reason]) return false;
    const wait = before?.reason === reason ? Math.min(before.wait * 2, MAX_BACKOFF) : RETRY_INTERVAL;
    this.#open = { reason, retryAt: now + wait, wait };
    return true;
  }

  /** The reason of a request whose time is over. */
  overdue(now: number): SyncReason | undefined {
    return this.#open && now >= this.#open.retryAt ? this.#open.reason : undefined;
  }

  /** The answer has begun to come: the time for it begins again. */
  answering(now: number): void {
    if (this.#open) this.#open = { ...this.#open, retryAt: now + this.#open.wait };
  }

  end(): void {
    this.#open = undefined;
  }
}
