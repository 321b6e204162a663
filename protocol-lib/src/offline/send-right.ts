import { type DeviceState, writesBetween } from './device-state.ts';
import type { MutationQueue, WallClock } from './queue.ts';

/**
 * Who may send, where several processes or tabs share one queue. That only one does saves traffic; it is not what keeps a mutation
 * from being carried out twice, so a right that two have for a moment does no harm.
 */
export interface SendRight {
  /** Whether it is ours now. To be asked before each sending. */
  acquire(): Promise<boolean>;
  release(): Promise<void>;
}

/** Milliseconds after which a right that nobody renewed is free: its holder is dead or asleep. */
export const LEASE_MS = 10_000;

/** A right that lies in the storage itself, for whoever shares nothing else. `owner` names this process or tab, and no other. */
export class StorageLease implements SendRight {
  readonly #queue: MutationQueue;
  readonly #owner: string;
  readonly #clock: WallClock;
  readonly #duration: number;

  constructor(queue: MutationQueue, owner: string, clock: WallClock, duration = LEASE_MS) {
    this.#queue = queue;
    this.#owner = owner;
    this.#clock = clock;
    this.#duration = duration;
  }

  async acquire(): Promise<boolean> {
    const now = this.#clock.now();
    const after = await this.#queue.change((state) => {
      const { lease } = state;
      // A clock that was set back makes nobody wait for longer than a lease lasts.
      const isHeld = lease !== undefined && lease.until > now && lease.until <= now + this.#duration;
      if (isHeld && lease.owner !== this.#owner) return undefined;
      if (isHeld && lease.until - now > this.#duration / 2) return undefined;
      return withLease(state, { owner: this.#owner, until: Math.floor(now + this.#duration) });
    });
    return after.lease?.owner === this.#owner;
  }

  async release(): Promise<void> {
    await this.#queue.change((state) => {
      return state.lease?.owner === this.#owner ? withLease(state, undefined) : undefined;
    });
  }
}

function withLease(state: DeviceState, lease: DeviceState['lease']) {
  const after = { ...state, lease };
  return { after, writes: writesBetween(state, after) };
}
