import { isSyncError, type SyncError } from '../errors/index.ts';
import type { MessageBody, MessageOf, Rejection, SyncReason } from '../messages/index.ts';
import type { ReplicaId } from '../state/index.ts';
import type { TraceBodyOf } from '../trace/index.ts';
import type { ClientEvent } from './client-events.ts';
import type { ClientTrace } from './client-trace.ts';
import { type Committed, standing } from './committed.ts';
import { MerkleRepair } from './merkle-repair.ts';
import type { OwnHealth } from './own-health.ts';
import type { SyncRequest } from './sync-request.ts';

/** What {@link ClientRepair} needs of its client. */
export interface ClientRepairParts {
  readonly trace: ClientTrace;
  readonly request: SyncRequest;
  readonly health: OwnHealth;
  committed(): Committed;
  authority(): ReplicaId;
  commit(committed: Committed, rejected: readonly Rejection[], cause: number, now: number): void;
  acknowledge(cause: number, now: number): void;
  send(body: MessageBody, cause: readonly number[]): void;
  refused(error: SyncError, cause: readonly number[]): void;
  tell(event: ClientEvent): void;
}

/** How a client that differs from the authority is put right: it asks, descends where it is offered that, and says when it is equal again. */
export class ClientRepair {
  readonly #parts: ClientRepairParts;
  #descent: MerkleRepair | undefined;
  #mismatch: number | undefined;

  constructor(parts: ClientRepairParts) {
    this.#parts = parts;
  }

  /** Whether a Merkle exchange is under way. */
  get isDescending(): boolean {
    return this.#descent !== undefined;
  }

  /** `seq` of the `mismatch` that is not yet put right; 0 where that was not traced. */
  get mismatch(): number | undefined {
    return this.#mismatch;
  }

  resume(mismatch: number | undefined): void {
    this.#mismatch = mismatch;
  }

  /** Gives up a descent. */
  drop(): void {
    this.#descent = undefined;
  }

  /** Asks the authority to put us right, unless it was asked already. */
  ask(reason: SyncReason, cause: readonly number[], now: number): void {
    const { request, health, committed, send } = this.#parts;
    this.#descent = undefined;
    health.doubted(now);
    if (request.begin(reason, now)) send({ type: 'SYNC_REQUEST', ...standing(committed()), reason }, cause);
  }

  /** Asks again where there was no answer. */
  retry(now: number): void {
    if (this.#descent?.isOverdue(now)) this.ask('merkle', [], now);
    const overdue = this.#parts.request.overdue(now);
    if (overdue) this.ask(overdue, [], now);
  }

  /** A difference was found. Answers `seq` of its record. */
  found(body: Omit<TraceBodyOf<'mismatch'>, 'kind' | 'version' | 'own'>, cause: number): number {
    const { trace, tell } = this.#parts;
    const committed = this.#parts.committed();
    tell({ type: 'mismatch', reason: body.reason });
    const isFirst = this.#mismatch === undefined;
    const seq = trace.mismatch({ version: committed.version, own: committed.root.hash, ...body }, cause);
    this.#mismatch ??= seq;
    // What is there now explains the difference, and nobody wrote it through the protocol.
    if (isFirst && body.reason !== 'base') trace.snapshot('mismatch', committed, [seq]);
    return seq;
  }

  /** Own root equals the authority's again. */
  done(method: 'delta' | 'merkle' | 'snapshot', cause: number, bytes: number): void {
    if (this.#mismatch === undefined) return;
    const { version, root } = this.#parts.committed();
    this.#parts.trace.repair(method, version, root, bytes, [cause, this.#mismatch]);
    this.#mismatch = undefined;
    this.#parts.tell({ type: 'repaired', method });
  }

  onOffer(offer: MessageOf<'MERKLE_OFFER'>, seq: number, now: number): void {
    const { request, health } = this.#parts;
    const { version, root } = this.#parts.committed();
    if (offer.version !== version) {
      this.ask('base', [seq], now);
      return;
    }
    if (offer.root === root.hash) {
      request.end();
      health.verified(version, now);
      this.#parts.acknowledge(seq, now);
      return;
    }
    if (this.#descent?.isFor(root, offer)) {
      // A heartbeat and a request may cross and bring two offers. Starting anew would take the answer under way for a wrong one.
      request.end();
      return;
    }
    let cause = seq;
    if (this.#mismatch === undefined) {
      const body = { from: version, to: version, expected: offer.root, got: root.hash };
      cause = this.found({ reason: 'heartbeat', ...body }, seq);
    }
    request.end();
    health.doubted(now);
    this.#descent = new MerkleRepair(root, offer);
    this.#continue(this.#descent, cause, now);
  }

  onAnswer(answer: MessageOf<'MERKLE_ANSWER'>, seq: number, now: number): void {
    const descent = this.#descent;
    if (!descent) {
      this.#parts.trace.log('debug', 'a Merkle answer that nobody waits for was passed over', [seq]);
      return;
    }
    try {
      descent.receive(answer);
    } catch (error) {
      if (!isSyncError(error)) throw error;
      this.#parts.refused(error, [seq]);
      this.ask('merkle', [seq], now);
      return;
    }
    this.#continue(descent, seq, now);
  }

  #continue(repair: MerkleRepair, cause: number, now: number): void {
    const { trace, authority, commit, acknowledge, send } = this.#parts;
    const query = repair.next(now);
    if (query) {
      send({ type: 'MERKLE_QUERY', ...query }, [cause]);
      return;
    }
    this.#descent = undefined;
    const committed = this.#parts.committed();
    const result = repair.result(committed.root);
    if (!result) {
      this.ask('merkle', [cause], now);
      return;
    }
    const { changes, root } = result;
    const { version, descent } = repair;
    const found = trace.divergence(authority(), version, descent, [cause, this.#mismatch ?? 0]);
    const applied = trace.apply(version, version, changes, root.hash, found);
    commit({ ...committed, root }, [], applied, now);
    this.done('merkle', applied, descent.bytes);
    acknowledge(applied, now);
  }
}
