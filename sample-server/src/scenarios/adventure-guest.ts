import { type ReplicaId, recordKey } from '@syncscope/protocol/state';
import type { StateView } from '@syncscope/protocol/sync';
import type { Intent, Mind } from './scenario.ts';

/** A player who signs the guest book once it is in the house, and else does what another mind thinks of. */
export class GuestMind implements Mind {
  readonly #self: ReplicaId;
  readonly #mind: Mind;

  constructor(self: ReplicaId, mind: Mind) {
    this.#self = self;
    this.#mind = mind;
  }

  think(view: StateView, now: number): Intent | undefined {
    const isIn = view.get(recordKey(`player/${this.#self}`)) !== undefined;
    if (!isIn || view.get(recordKey(`guest/${this.#self}`))) return this.#mind.think(view, now);
    return { command: 'sign', args: { email: `${this.#self}@guests.example` } };
  }

  pause(): number {
    return this.#mind.pause();
  }

  startle(view: StateView, now: number): number | undefined {
    return this.#mind.startle(view, now);
  }

  refused(intent: Intent, reason: string, now: number): void {
    if (intent.command !== 'sign') this.#mind.refused(intent, reason, now);
  }
}
