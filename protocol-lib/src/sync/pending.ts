import type { StateRoot } from '../merkle/index.ts';
import type { Change, ReplicaId, Value } from '../state/index.ts';
import type { MutationId } from '../trace/index.ts';
import { decide } from './decide.ts';
import type { SessionDefinition } from './session.ts';

/** A mutation that was made here and not yet settled by the authority. */
export interface PendingMutation {
  readonly mutation: MutationId;
  readonly command: string;
  readonly args: Value;
  /** What it does to the optimistic state now; nothing where that state does not allow it at present. */
  readonly changes: readonly Change[];
  /** When it was made, in nanoseconds. */
  readonly madeAt: number;
  /** `seq` of its `prediction` record. */
  readonly seq: number;
}

/**
 * The optimistic state: the committed one with every pending mutation run again on top, in the order they were made. A
 * mutation leaves only when it is settled, and only that one.
 */
export class PendingMutations {
  readonly #definition: SessionDefinition;
  readonly #replica: ReplicaId;
  #list: readonly PendingMutation[] = [];
  #root: StateRoot;

  constructor(definition: SessionDefinition, replica: ReplicaId, committed: StateRoot) {
    this.#definition = definition;
    this.#replica = replica;
    this.#root = committed;
  }

  /** Oldest first. */
  get list(): readonly PendingMutation[] {
    return this.#list;
  }

  /** The optimistic state. */
  get root(): StateRoot {
    return this.#root;
  }

  get(counter: number): PendingMutation | undefined {
    return this.#list.find(({ mutation }) => mutation.counter === counter);
  }

  /** Adds a mutation whose effect on the present optimistic state is known. */
  add(pending: PendingMutation, root: StateRoot): void {
    this.#list = [...this.#list, pending];
    this.#root = root;
  }

  /** Takes out those that are settled; their effects stay until {@link rebase}. */
  remove(isSettled: (pending: PendingMutation) => boolean): PendingMutation[] {
    const removed = this.#list.filter(isSettled);
    if (removed.length > 0) this.#list = this.#list.filter((pending) => !removed.includes(pending));
    return removed;
  }

  /** Runs what is pending again on a committed state. */
  rebase(committed: StateRoot): void {
    let root = committed;
    this.#list = this.#list.map((pending) => {
      const decision = decide(this.#definition, root, pending.command, pending.args, this.#replica);
      if (!decision.accepted) return pending.changes.length === 0 ? pending : { ...pending, changes: [] };
      root = decision.root;
      return { ...pending, changes: decision.changes };
    });
    this.#root = root;
  }
}
