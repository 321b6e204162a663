import type { MessageBody, MessageOf, Rejection } from '../messages/index.ts';
import type { ReplicaId, Version } from '../state/index.ts';
import type { ClientEvent } from './client-events.ts';
import type { ClientTrace } from './client-trace.ts';
import type { Committed } from './committed.ts';
import type { PendingMutation, PendingMutations } from './pending.ts';
import { type OwnReceipt, OwnReceipts, ownReceipt } from './receipts.ts';

/** What {@link OwnMutations} needs of its client. */
export interface OwnMutationsParts {
  readonly replica: ReplicaId;
  readonly pending: PendingMutations;
  readonly trace: ClientTrace;
  committed(): Committed;
  send(body: MessageBody, cause: readonly number[]): void;
  /** The authority keeps on which version a mutation was made: it is told of that first, where it has not been. */
  acknowledgeOwed(now: number): void;
  tell(event: ClientEvent): void;
}

/** A client's own mutations on their way: sent, sent again, and settled as the authority says. */
export class OwnMutations {
  readonly #parts: OwnMutationsParts;
  readonly #pending: PendingMutations;
  readonly #receipts = new OwnReceipts();

  constructor(parts: OwnMutationsParts) {
    this.#parts = parts;
    this.#pending = parts.pending;
  }

  /** Of those that were settled last, and those that wait. Oldest first. */
  get receipts(): OwnReceipt[] {
    const waiting = this.#pending.list.map((pending) => ownReceipt(pending, { state: 'pending' }, undefined));
    return [...this.#receipts.list(), ...waiting];
  }

  receipt(counter: number): OwnReceipt | undefined {
    const waiting = this.#pending.list.find(({ mutation }) => mutation.counter === counter);
    return waiting ? ownReceipt(waiting, { state: 'pending' }, undefined) : this.#receipts.get(counter);
  }

  /** Takes out what the committed vector covers: refused where the authority says so, confirmed otherwise. */
  settle(rejected: readonly Rejection[], cause: number, now: number): void {
    const { replica: own } = this.#parts;
    const { version, vector } = this.#parts.committed();
    const settled = vector.get(own);
    const reasons = new Map<number, string>();
    for (const { replica, counter, reason } of rejected) if (replica === own) reasons.set(counter, reason);
    for (const pending of this.#pending.remove(({ mutation }) => mutation.counter <= settled, now)) {
      const reason = reasons.get(pending.mutation.counter);
      if (reason === undefined) this.#confirmed(pending, cause, now);
      else this.#rolledBack(pending, reason, version, cause, now);
    }
  }

  onReject(reject: MessageOf<'REJECT'>, seq: number, now: number): void {
    const [pending] = this.#pending.remove(({ mutation }) => mutation.counter === reject.counter, now);
    if (!pending) return;
    this.#rolledBack(pending, reject.reason, reject.version, seq, now);
    this.rebase(seq);
  }

  #confirmed(pending: PendingMutation, cause: number, now: number): void {
    const { trace } = this.#parts;
    const { version } = this.#parts.committed();
    const { mutation } = pending;
    this.#receipts.settle(pending, { state: 'accepted', version }, now);
    trace.confirmation(mutation, version, cause);
    this.#parts.tell({ type: 'confirmed', mutation, version });
  }

  /** `version` is the authority's at which it was refused. */
  #rolledBack(pending: PendingMutation, reason: string, version: Version, cause: number, now: number): void {
    const { mutation } = pending;
    this.#receipts.settle(pending, { state: 'rejected', version, reason }, now);
    this.#parts.trace.rollback(mutation, reason, this.#parts.committed().version, cause);
    this.#parts.tell({ type: 'rejected', mutation, reason });
  }

  /** Runs what waits again on the committed state. */
  rebase(cause: number): void {
    const { version, root } = this.#parts.committed();
    this.#pending.rebase(root);
    this.#parts.trace.rebase(this.#pending.list, version, [cause]);
  }

  send({ mutation, command, args, seq }: PendingMutation, now: number): void {
    this.#pending.sent(mutation, now);
    this.#parts.acknowledgeOwed(now);
    this.#parts.send({ type: 'COMMAND', counter: mutation.counter, command, args }, [seq]);
  }

  /** Sends all that waits once more, in order. */
  resend(now: number): void {
    const { replica, committed } = this.#parts;
    let next = committed().vector.get(replica) + 1;
    for (const pending of this.#pending.list) {
      // A refusal may have taken one out before its turn. To an authority that has lost its memory it would be missing, for
      // ever; so it is given something to refuse in its place. Any other knows the counter and passes it over.
      for (; next < pending.mutation.counter; next++)
        this.#parts.send({ type: 'COMMAND', counter: next, command: '', args: null }, []);
      this.send(pending, now);
      next++;
    }
    this.#pending.resent(now);
  }
}
