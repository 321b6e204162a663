import type { StateRoot } from '../merkle/index.ts';
import type { Change, ReplicaId, Value } from '../state/index.ts';
import type { MutationId } from '../trace/index.ts';
import { decide } from './decide.ts';
import type { SessionDefinition } from './session.ts';
import { MAX_BACKOFF } from './settings.ts';
import { RETRY_INTERVAL } from './sync-request.ts';

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
  /** When what is pending is sent again, and how long to wait after that. */
  #resendAt = 0;
  #resendWait = RETRY_INTERVAL;

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

  /** Adds a mutation whose effect on the present optimistic state is known. */
  add(pending: PendingMutation, root: StateRoot): void {
    if (this.#list.length === 0) this.#resendAt = pending.madeAt + this.#resendWait;
    this.#list = [...this.#list, pending];
    this.#root = root;
  }

  /** Takes out those that are settled; their effects stay until {@link rebase}. */
  remove(isSettled: (pending: PendingMutation) => boolean, now: number): PendingMutation[] {
    const removed = this.#list.filter(isSettled);
    if (removed.length === 0) return removed;
    this.#list = this.#list.filter((pending) => !removed.includes(pending));
    this.#resendWait = RETRY_INTERVAL;
    this.#resendAt = now + RETRY_INTERVAL;
    return removed;
  }

  /** Whether nothing was settled for so long that what is pending may have been lost. */
  isOverdue(now: number): boolean {
    return this.#list.length > 0 && now >= this.#resendAt;
  }

  /** Some of it is known to have been lost. */
  resendSoon(now: number): void {
    this.#resendAt = Math.min(this.#resendAt, now);
  }

  /** It was sent again, and has twice as long until the next time. */
  resent(now: number): void {
    this.#resendAt = now + this.#resendWait;
    this.#resendWait = Math.min(this.#resendWait * 2, MAX_BACKOFF);
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
