import type { BodyOf } from '../messages/index.ts';
import type { SyncPoint } from './settlement.ts';

type Delta = BodyOf<'DELTA_SYNC'>;

/**
 * The deltas that lead to the present state, each made once however many ask for it: those who come back together after an interruption
 * mostly stand at a few points. As soon as the state moves on, they are let go of.
 */
export class DeltaCache {
  readonly #capacity: number;
  readonly #deltas = new Map<string, Delta>();
  #to: SyncPoint = { version: 0, progress: 0 };

  /** Keeps `capacity` deltas, the last that were made. */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Deltas held now. */
  get size(): number {
    return this.#deltas.size;
  }

  /** The delta to `to` that an audience is to be given. */
  get(audience: string, to: SyncPoint, make: () => Delta): Delta {
    if (to.version !== this.#to.version || to.progress !== this.#to.progress) {
      this.#to = to;
      this.#deltas.clear();
    }
    const known = this.#deltas.get(audience);
    if (known) return known;
    const delta = make();
    this.#deltas.set(audience, delta);
    if (this.#deltas.size > this.#capacity) {
      const [oldest] = this.#deltas.keys();
      if (oldest !== undefined) this.#deltas.delete(oldest);
    }
    return delta;
  }
}
