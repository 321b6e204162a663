import { type StateRoot, sameRecord, sameValue } from '../merkle/index.ts';
import type { Change, ReplicaId, Value, Version } from '../state/index.ts';
import type { MutationId } from '../trace/index.ts';
import { decide } from './decide.ts';
import type { SessionDefinition } from './session.ts';
import { MAX_BACKOFF } from './settings.ts';
import type { ClientStanding } from './standing.ts';
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
  /** The committed version on which it was made. */
  readonly madeOn: Version;
  /** `seq` of its `prediction` record. */
  readonly seq: number;
  /** When it was sent last; undefined before the first time. */
  readonly sentAt: number | undefined;
  readonly sends: number;
  /** How often it was run again on a newer committed state, and in how many of them it came to do something else. */
  readonly rebases: number;
  readonly alterations: number;
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

  get standing(): ClientStanding['pending'] {
    const list = this.#list.map(({ changes, sentAt, ...one }) => ({
      ...one,
      changes: [...changes],
      sentAt: sentAt ?? null,
    }));
    return { list, resendAt: this.#resendAt, resendWait: this.#resendWait };
  }

  /** Goes on where another one was; for one that has nothing pending, on the committed state that it was made with. */
  resume({ list, resendAt, resendWait }: ClientStanding['pending']): void {
    this.#list = list.map((one) => ({ ...one, sentAt: one.sentAt ?? undefined }));
    for (const { changes } of list) this.#root = this.#root.apply(changes);
    this.#resendAt = resendAt;
    this.#resendWait = resendWait;
  }

  /** Adds a mutation whose effect on the present optimistic state is known. */
  add(pending: PendingMutation, root: StateRoot): void {
    if (this.#list.length === 0) this.#resendAt = pending.madeAt + this.#resendWait;
    this.#list = [...this.#list, pending];
    this.#root = root;
  }

  /** It was handed to the connection. */
  sent(mutation: MutationId, now: number): void {
    this.#list = this.#list.map((one) =>
      one.mutation.counter === mutation.counter ? { ...one, sentAt: now, sends: one.sends + 1 } : one,
    );
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
      const changes = decision.accepted ? decision.changes : [];
      if (decision.accepted) root = decision.root;
      const alterations = pending.alterations + (isSameChanges(changes, pending.changes) ? 0 : 1);
      return { ...pending, changes, rebases: pending.rebases + 1, alterations };
    });
    this.#root = root;
  }
}

function isSameChanges(left: readonly Change[], right: readonly Change[]): boolean {
  return left.length === right.length && left.every((change, index) => isSameChange(change, right[index]!));
}

function isSameChange(left: Change, right: Change): boolean {
  if (left.key !== right.key) return false;
  if (left.op === 'put') return right.op === 'put' && sameRecord(left.record, right.record);
  if (left.op === 'remove') return right.op === 'remove';
  return right.op === 'patch' && sameRecord(left.fields, right.fields) && sameValue(left.removed, right.removed);
}
