import type { StateRoot } from '../merkle/index.ts';
import type { BodyOf } from '../messages/index.ts';
import type { RecordKey, ReplicaId, SyncRecord, Value, Version } from '../state/index.ts';
import type { MutationId } from '../trace/index.ts';
import type { AuthorityState } from './authority-state.ts';
import type { Moment, Settlement, SyncPoint } from './settlement.ts';
import { sees } from './views.ts';

/** What {@link PostedMutations} needs of its manager. */
export interface PostedOptions {
  readonly state: AuthorityState;
  readonly session: string;
  readonly authority: ReplicaId;
  readonly maxWriters: number;
  moment(seen: Version, now: number): Moment;
  /** Tells what has become durable. */
  follow(now: number): void;
}

/** Where a writer stands. */
export type Admission = 'admitted' | 'authority' | 'full' | 'behind';

/** What can be asked of {@link PostedMutations}. */
export type PostedAuthority = Pick<PostedMutations, keyof PostedMutations>;

/**
 * The authority for mutations that come by another way than a link, several at once and with an answer of their own, as from a
 * device that was offline. They are settled in the same ledger and log, and links are told of them, as of any other.
 */
export class PostedMutations {
  readonly #options: PostedOptions;

  constructor(options: PostedOptions) {
    this.#options = options;
  }

  get session(): string {
    return this.#options.session;
  }

  get authority(): ReplicaId {
    return this.#options.authority;
  }

  /** What may be told: the durable state. */
  get point(): SyncPoint {
    return this.#options.state.point;
  }

  /** What is decided on: ahead of {@link point} where the log is slower. */
  get head(): { readonly root: StateRoot; readonly version: Version } {
    return this.#options.state.head;
  }

  /** Whether the writer's mutations may be settled now. @throws SyncError why the log takes nothing any more */
  admission(writer: ReplicaId): Admission {
    const { state, authority, maxWriters } = this.#options;
    if (state.failure) throw state.failure;
    if (writer === authority) return 'authority';
    if (!state.ledger.has(writer) && state.ledger.size >= maxWriters) return 'full';
    return state.isBehind ? 'behind' : 'admitted';
  }

  /** The last counter of a writer that is settled, and may be told. */
  settled(writer: ReplicaId): number {
    return this.#options.state.ledger.settled(writer);
  }

  /** The last counter of a writer that is decided, durable or not. */
  decided(writer: ReplicaId): number {
    return this.#options.state.decided(writer);
  }

  /** Why a settled mutation was refused; undefined where it was accepted, or is too long ago. */
  refusal({ writer, counter }: MutationId): string | undefined {
    return this.#options.state.ledger.rejection(writer, counter);
  }

  /** Takes a writer's mutations up to `counter` for settled, where it says so itself. */
  adopt(writer: ReplicaId, counter: number, seen: Version, now: number): void {
    const { state } = this.#options;
    state.adopt(writer, counter, this.#options.moment(seen, now));
    this.#options.follow(now);
  }

  /** Settles the next mutation of a writer by a command. `cause`: `seq` of the trace records that made it happen. */
  settle(
    mutation: MutationId,
    command: string,
    args: Value,
    seen: Version,
    now: number,
    cause: readonly number[] = [],
  ): Settlement {
    const { writer, counter } = mutation;
    const moment = { ...this.#options.moment(seen, now), isPosted: true };
    const settlement = this.#options.state.commit(command, args, writer, counter, cause, moment);
    this.#options.follow(now);
    return settlement;
  }

  /** Settles the next mutation of a writer as refused, without running it. */
  refuse(
    mutation: MutationId,
    command: string,
    reason: string,
    seen: Version,
    now: number,
    cause: readonly number[] = [],
  ): void {
    const { writer, counter } = mutation;
    const moment = { ...this.#options.moment(seen, now), isPosted: true };
    this.#options.state.refuse(command, reason, writer, counter, cause, moment);
    this.#options.follow(now);
  }

  /** Tells what has become durable meanwhile. */
  follow(now: number): void {
    this.#options.follow(now);
  }

  /**
   * Mutations whose settlement has come to nothing, as another authority's entry came before it in a log that is shared. Each is to be
   * weighed anew and settled again, unless it was settled elsewhere.
   */
  takeReturned(): MutationId[] {
    return this.#options.state.takeReturned();
  }

  /** The root that a replica had at a version, or undefined where that is not kept. */
  rootAt(version: Version, replica: ReplicaId): StateRoot | undefined {
    const { state } = this.#options;
    const kept = version === state.version ? state : state.snapshot(version);
    return kept && state.rootFor(replica, kept);
  }

  /** The record of a key in {@link head}, where the replica may see it. */
  get(key: RecordKey, replica: ReplicaId): SyncRecord | undefined {
    const { state } = this.#options;
    const record = state.head.root.get(key);
    const view = record && state.viewFor(replica, state.head);
    return record && view && !sees(view, key, record) ? undefined : record;
  }

  /** What a replica may see of the present state. */
  rootFor(replica: ReplicaId): StateRoot {
    return this.#options.state.rootFor(replica);
  }

  /** The delta from a point to now, or undefined where the point's version is not kept. */
  deltaFrom(point: SyncPoint, replica: ReplicaId): BodyOf<'DELTA_SYNC'> | undefined {
    return this.#options.state.deltaFrom(point, replica);
  }

  fullSync(replica: ReplicaId): BodyOf<'FULL_SYNC'> {
    return this.#options.state.fullSync(replica);
  }

  /** Keeps the present version, so that its receiver can later be given a delta. */
  keep(): void {
    const { state } = this.#options;
    // It gets the version before the round is over.
    state.tellRoot();
    state.keep();
  }
}
