import { VersionVector } from '../clock/index.ts';
import { isSyncError, type SyncError, unreachable } from '../errors/index.ts';
import type { MessageOf, Rejection } from '../messages/index.ts';
import type { Change, ReplicaId, StateHash } from '../state/index.ts';
import type { Acknowledging } from './acknowledging.ts';
import type { ClientRepair } from './client-repair.ts';
import type { ClientTrace } from './client-trace.ts';
import { afterDelta, type Committed, fromFullSync } from './committed.ts';
import type { OwnHealth } from './own-health.ts';
import { SnapshotAssembly } from './snapshot-parts.ts';
import type { ClientStanding } from './standing.ts';
import type { SyncRequest } from './sync-request.ts';

/** What {@link CommittedState} needs of its client. */
export interface CommittedStateParts {
  readonly trace: ClientTrace;
  readonly request: SyncRequest;
  readonly health: OwnHealth;
  readonly repair: ClientRepair;
  readonly acknowledging: Acknowledging;
  authority(): ReplicaId;
  /** There is a new state; `rejected` are the mutations that it came with as refused. */
  onCommitted(committed: Committed, rejected: readonly Rejection[], cause: number, now: number): void;
  acknowledge(cause: number, now: number): void;
  refused(error: SyncError, cause: readonly number[]): void;
}

/**
 * What a client holds of the authority's state, and how what arrives becomes part of it: whole or not at all. Where something does not fit, the repair
 * asks the authority.
 */
export class CommittedState {
  readonly #parts: CommittedStateParts;
  #value: Committed;
  /** Which life of the session it is of, 0 where that is not known, and which the authority has said that this is. */
  #incarnation: number;
  #authorityIncarnation = 0;
  /** Whether the authority has said that it starts anew, so that an older version may replace ours. */
  #mayReset = false;
  readonly #assembly = new SnapshotAssembly();

  constructor(value: Committed, incarnation: number, parts: CommittedStateParts) {
    this.#value = value;
    this.#incarnation = incarnation;
    this.#parts = parts;
  }

  get value(): Committed {
    return this.#value;
  }

  get incarnation(): number {
    return this.#incarnation;
  }

  /** Whether the rest of a snapshot is awaited. */
  get isAssembling(): boolean {
    return this.#assembly.isOpen;
  }

  get standing(): Pick<ClientStanding, 'mayReset' | 'incarnation' | 'authorityIncarnation'> {
    return {
      mayReset: this.#mayReset,
      incarnation: this.#incarnation,
      authorityIncarnation: this.#authorityIncarnation,
    };
  }

  resume({ mayReset, incarnation, authorityIncarnation }: CommittedState['standing']): void {
    this.#mayReset = mayReset;
    this.#incarnation = incarnation;
    this.#authorityIncarnation = authorityIncarnation;
  }

  /** A connection was opened. */
  opened(): void {
    this.#mayReset = this.#value.version === 0;
    this.#assembly.drop();
  }

  /** The connection was closed: the rest of a snapshot does not come any more. */
  closed(): void {
    this.#assembly.drop();
  }

  /** The authority has let this client in. Answers whether what is here is known to be of another life of the session. */
  welcomed({ resumed, incarnation }: MessageOf<'WELCOME'>, cause: number): boolean {
    this.#mayReset = !resumed;
    this.#authorityIncarnation = incarnation;
    // Before the first state there is nothing that could be of another life.
    const isOther = this.#value.version > 0 && incarnation !== this.#incarnation;
    if (isOther) this.#forgetSettlements(cause);
    return isOther && this.#incarnation !== 0;
  }

  /**
   * What another life of the session settled, and how much that was, says nothing of this one, which may have come to the same state by other
   * mutations: all that it has settled has to be told anew.
   */
  #forgetSettlements(cause: number): void {
    this.#value = { ...this.#value, progress: 0, vector: VersionVector.empty };
    this.#parts.trace.vector(this.#value.vector, [cause]);
  }

  onFullSync(full: MessageOf<'FULL_SYNC'>, seq: number, now: number): void {
    const { trace, request, repair, authority } = this.#parts;
    const { version, root } = this.#value;
    if (!this.#mayReset && !request.isOpen && (full.version < version || this.#isRest(full))) {
      trace.log('debug', `full sync of ${full.version} passed over: already at ${version}`, [seq]);
      return;
    }
    let committed: Committed;
    let whole: MessageOf<'FULL_SYNC'> | undefined;
    try {
      whole = this.#assembly.take(full);
      if (whole === undefined) {
        request.answering(now);
        return;
      }
      committed = fromFullSync(whole);
    } catch (error) {
      if (!isSyncError(error)) throw error;
      this.#parts.refused(error, [seq]);
      repair.ask('merkle', [seq], now);
      return;
    }
    const { mismatch } = repair;
    if (mismatch !== undefined && version === full.version) {
      trace.replaced(authority(), full.version, root, committed.root, [seq, mismatch]);
    }
    repair.drop();
    this.#mayReset = false;
    const cause = trace.snapshot('full-sync', committed, [seq]);
    this.commit(committed, whole.rejected, cause, now);
    repair.done('snapshot', cause, 0);
    this.#parts.acknowledge(cause, now);
  }

  /** Whether it is the rest of a snapshot that is no longer needed, since what was lacking came by another way. */
  #isRest({ version, part }: MessageOf<'FULL_SYNC'>): boolean {
    return part !== undefined && part.index > 0 && version <= this.#value.version && !this.#assembly.isOpen;
  }

  onDelta(delta: MessageOf<'DELTA_SYNC'>, seq: number, now: number): void {
    const { trace, repair } = this.#parts;
    const { from, to } = delta;
    if (repair.isDescending) {
      trace.log('debug', `delta ${from}→${to} passed over during a repair`, [seq]);
      return;
    }
    const before = this.#value;
    const outcome = afterDelta(before, delta);
    switch (outcome.fit) {
      case 'whole':
        this.#onWhole(outcome.committed, delta, seq, now);
        return;
      case 'stale':
        trace.log('debug', `delta ${from}→${to} passed over: already at ${before.version}`, [seq]);
        // The authority seems not to know.
        this.#parts.acknowledge(seq, now);
        return;
      case 'settlements':
        // How some mutations ended went with a frame that was lost; the state lacks nothing.
        trace.log('warn', `delta ${from}→${to} begins at ${delta.since} settled mutations: some are missing`, [seq]);
        repair.ask('base', [seq], now);
        return;
      case 'base':
        if (this.#parts.request.isOpen) {
          trace.log('debug', `delta ${from}→${to} does not fit ${before.version}; asked already`, [seq]);
          return;
        }
        this.#onMismatch('base', delta, undefined, seq, now);
        return;
      case 'record':
        this.#onMismatch('record', delta, undefined, seq, now);
        return;
      case 'root':
        this.#onMismatch('root', delta, outcome.got, seq, now);
        return;
      default:
        unreachable(outcome);
    }
  }

  #onWhole(committed: Committed, delta: MessageOf<'DELTA_SYNC'>, seq: number, now: number): void {
    const { trace, repair, acknowledging, acknowledge } = this.#parts;
    const { from, to, changes, rejected } = delta;
    const cause = trace.apply(from, to, changes, committed.root.hash, seq);
    if (committed.vector !== this.#value.vector) trace.vector(committed.vector, [cause]);
    this.commit(committed, rejected, cause, now);
    repair.done('delta', cause, 0);
    if (acknowledging.applied(cause, now)) acknowledge(cause, now);
  }

  /** Nothing was applied. Asks the authority, which finds out whether the delta was wrong or what is here. */
  #onMismatch(
    reason: 'base' | 'record' | 'root',
    delta: MessageOf<'DELTA_SYNC'>,
    got: StateHash | undefined,
    seq: number,
    now: number,
  ): void {
    const { repair } = this.#parts;
    const { from, to } = delta;
    const body = { reason, from, to, expected: delta.root, ...(got === undefined ? {} : { got }) };
    repair.ask(reason, [repair.found(body, seq)], now);
  }

  /** Swaps in a new state, of which the authority's root hash is known to be the same. */
  commit(committed: Committed, rejected: readonly Rejection[], cause: number, now: number): void {
    this.#value = committed;
    this.#incarnation = this.#authorityIncarnation;
    // Of a snapshot that says no more than this, the rest may be lost: nobody would ask for it.
    if ((this.#assembly.version ?? Number.POSITIVE_INFINITY) <= committed.version) this.#assembly.drop();
    this.#parts.request.end();
    this.#parts.health.verified(committed.version, now);
    this.#parts.onCommitted(committed, rejected, cause, now);
  }

  /** Changes it behind the protocol's back. */
  corrupt(changes: readonly Change[]): void {
    this.#value = { ...this.#value, root: this.#value.root.apply(changes) };
  }
}
