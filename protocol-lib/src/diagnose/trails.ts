import type { ReplicaId } from '../state/index.ts';
import type { Forgotten } from './finding.ts';
import { Trail } from './trail.ts';

/** What is known of each replica. There are as many as the capture names, which is not bounded: each is small. */
export class Trails {
  readonly #trails = new Map<ReplicaId, Trail>();

  of(id: ReplicaId): Trail {
    let trail = this.#trails.get(id);
    if (!trail) {
      trail = new Trail(id);
      this.#trails.set(id, trail);
    }
    return trail;
  }

  known(id: ReplicaId): Trail | undefined {
    return this.#trails.get(id);
  }

  all(): MapIterator<Trail> {
    return this.#trails.values();
  }

  get forgotten(): Forgotten[] {
    return [...this.#trails.values()].flatMap((one) => one.forgotten);
  }
}
