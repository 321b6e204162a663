import type { BodyOf } from '../messages/index.ts';
import type { ReplicaId } from '../state/index.ts';

/** Changes whose cause has not come. */
export interface HeldChanges {
  readonly from: ReplicaId;
  readonly body: BodyOf<'PEER_CHANGES'>;
}

/** A bounded store of changes that came before what they follow upon. */
export class HeldBatches {
  readonly #limit: number;
  #held: HeldChanges[] = [];
  #count = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Mutations that are held. */
  get count(): number {
    return this.#count;
  }

  /** Answers how many mutations had to be dropped for it. */
  hold(changes: HeldChanges): number {
    const { length } = changes.body.mutations;
    if (length > this.#limit) return length;
    this.#held.push(changes);
    this.#count += length;
    let dropped = 0;
    while (this.#count > this.#limit) {
      const oldest = this.#held.shift()!.body.mutations.length;
      this.#count -= oldest;
      dropped += oldest;
    }
    return dropped;
  }

  /** Takes out what is ready. */
  take(isReady: (body: BodyOf<'PEER_CHANGES'>) => boolean): HeldChanges | undefined {
    const place = this.#held.findIndex(({ body }) => isReady(body));
    if (place === -1) return undefined;
    const [one] = this.#held.splice(place, 1);
    this.#count -= one!.body.mutations.length;
    return one;
  }
}
