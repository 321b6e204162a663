import { type MutationOutcome, withAmendments } from '../conflict/index.ts';
import type { ReplicaId } from '../state/index.ts';
import type { PeerHistory } from './history.ts';

/** Outcomes of own mutations that are kept after they became final. */
const OUTCOMES_KEPT = 1_000;

/** What became of own mutations that are no longer part of the history, by their counters: the newest of them. */
export class FinalOutcomes {
  readonly #writer: ReplicaId;
  readonly #final = new Map<number, MutationOutcome>();

  constructor(writer: ReplicaId) {
    this.#writer = writer;
  }

  get(counter: number, history: PeerHistory): MutationOutcome | undefined {
    const final = this.#final.get(counter);
    return final && withAmendments([final], history.amendments)[0];
  }

  /** Keeps those that `pruned` no longer has, and `before` had. */
  keep(before: PeerHistory, pruned: PeerHistory): void {
    for (const [counter, outcome] of this.#final) {
      this.#final.set(counter, withAmendments([outcome], before.amendments)[0]!);
    }
    for (const outcome of before.outcomes) {
      const { writer, counter } = outcome.mutation;
      if (writer !== this.#writer || counter > pruned.base.vector.get(writer)) continue;
      this.#final.set(counter, outcome);
      if (this.#final.size > OUTCOMES_KEPT) this.#final.delete(this.#final.keys().next().value!);
    }
  }

  /** It was made anew on another state, and refused there. */
  reject(counter: number, reason: string): void {
    const part = { part: 'command', state: 'rejected' as const, reason };
    this.#final.set(counter, { mutation: { writer: this.#writer, counter }, state: 'rejected', parts: [part] });
  }
}
