import type { VersionVector } from '../clock/index.ts';
import { ConflictResolver, type MutationOutcome, type PolicyEntry } from '../conflict/index.ts';
import type { StateRoot } from '../merkle/index.ts';
import type { ReplicaId, Value } from '../state/index.ts';
import type { HealthLimits, SessionDefinition, SyncHealth } from '../sync/index.ts';
import type { MutationId } from '../trace/index.ts';
import { KeepFirst } from './keep-first.ts';
import type { PeerFrame } from './peer-links.ts';
import type { PeerReplicaOptions } from './peer-options.ts';
import { PeerReplica } from './peer-replica.ts';
import type { PeerStorage } from './peer-storage.ts';
import { Driven, type Made, type Session, type SessionOutcome } from './session.ts';
import { type GroupFacts, GroupHealth } from './session-health.ts';
import { type LinePorts, SessionLine } from './session-line.ts';
import { sessionRule } from './session-rule.ts';

export type MergeSessionOptions = {
  readonly truth: 'peers';
  readonly agreement: 'merge';
  readonly definition: SessionDefinition;
  /** What the keys of the session's records begin with, such as `player/`. */
  readonly collections: readonly string[];
  /** Where the peer keeps what must survive its process; without it, a restart must take a new replica id. */
  readonly storage?: PeerStorage;
  /** The storage refused: nothing more is said or done here, since what is not kept must not be told. */
  readonly onStorageFailed?: (error: unknown) => void;
  readonly health?: Partial<HealthLimits>;
} & LinePorts &
  Omit<PeerReplicaOptions, 'resolver' | 'saved' | 'conflicts'>;

interface Unsettled {
  readonly counter: number;
  readonly madeAt: number;
}

/** A session among peers that each write at any time, and merge. */
export class MergeSession extends Driven implements Session {
  readonly truth = 'peers';
  readonly #peer: PeerReplica;
  readonly #lines: ReadonlyMap<ReplicaId, SessionLine>;
  readonly #now: () => number;
  readonly #health: GroupHealth;
  #unsettled: Unsettled[] = [];
  #keeper: KeepFirst<PeerFrame> | undefined;

  constructor(options: MergeSessionOptions) {
    super();
    const { storage } = options;
    const { saved, conflicts } = storage ?? {};
    const resolver = resolverOf(options);
    this.#peer = new PeerReplica({ ...options, resolver, ...(saved && { saved }), ...(conflicts && { conflicts }) });
    this.#now = () => options.clock.now();
    if (storage) this.#keeper = this.#keeperOf(storage, options.onStorageFailed);
    const others = options.members.filter((one) => one !== options.replica);
    this.#health = new GroupHealth(others, this.#now(), options.health);
    // When they were made is not kept: they wait anew.
    for (let counter = this.#settledOwn + 1; counter <= this.#ownCounter; counter++) {
      this.#unsettled.push({ counter, madeAt: this.#now() });
    }
    this.#lines = new Map(others.map((member) => [member, this.#lineTo(member, options)]));
    for (const line of this.#lines.values()) line.tick();
  }

  get replica(): ReplicaId {
    return this.#peer.replica;
  }

  get committed(): StateRoot {
    return this.#peer.settled;
  }

  get optimistic(): StateRoot {
    return this.#peer.root;
  }

  get isConnected(): boolean {
    return this.#peer.partition.hasMajority && !this.#keeper?.hasFailed;
  }

  get health(): SyncHealth {
    return this.#health.assess(this.#facts, this.#now());
  }

  mutate(command: string, args: Value): Made {
    if (this.#keeper?.hasFailed) return { rejected: 'the storage of this peer has failed' };
    const made = this.#peer.command(command, args, this.#now());
    if ('rejected' in made) return made;
    this.#unsettled.push({ counter: made.mutation.counter, madeAt: this.#now() });
    this.#send(made.frames);
    return { mutation: made.mutation };
  }

  outcome(mutation: MutationId): SessionOutcome | undefined {
    const outcome = this.#peer.outcome(mutation);
    if (outcome?.state === 'rejected') return { state: 'rejected', reason: reasonOf(outcome) };
    const isSettled = this.#peer.settledVector.get(mutation.writer) >= mutation.counter;
    return outcome && { state: isSettled ? 'settled' : 'pending' };
  }

  tick(): void {
    for (const line of this.#lines.values()) line.tick();
    this.#send(this.#peer.tick(this.#now()));
    // Those beyond the own counter were made anew under another one, upon the state of others.
    const [first, last] = [this.#settledOwn, this.#ownCounter];
    this.#unsettled = this.#unsettled.filter(({ counter }) => counter > first && counter <= last);
    this.#health.follow(this.#facts, this.#now());
  }

  close(reason: string): void {
    for (const line of this.#lines.values()) line.end(reason);
  }

  get #ownCounter(): number {
    return this.#peer.vector.get(this.replica);
  }

  get #settledOwn(): number {
    return this.#peer.settledVector.get(this.replica);
  }

  get #facts(): GroupFacts {
    const { vector, root, standings } = this.#peer;
    const equal = [...standings.values()].filter((one) => one.vector.compare(vector) === 'equal');
    const agreeing = equal.filter((one) => one.root === root.hash).length;
    const known = [...standings.values()].reduce((all, one) => all.merge(one.vector), vector);
    const settled = this.#settledOwn;
    return {
      isConnected: this.isConnected,
      version: mutationsIn(vector),
      newest: mutationsIn(known),
      agreeing,
      differing: equal.length - agreeing,
      pendingSince: this.#unsettled.find(({ counter }) => counter > settled)?.madeAt,
    };
  }

  #lineTo(member: ReplicaId, ports: LinePorts): SessionLine {
    const line = new SessionLine(member, ports, {
      onOpen: () => this.tell(),
      onFrame: (frame) => {
        line.worked();
        const now = this.#now();
        this.#send(this.#peer.receive(member, frame, now));
        this.#health.heard(member, this.#facts, now);
      },
      onClose: () => this.tell(),
    });
    return line;
  }

  #keeperOf(storage: PeerStorage, onFailed: MergeSessionOptions['onStorageFailed']): KeepFirst<PeerFrame> {
    return new KeepFirst(
      () => storage.keep(this.#peer.saved),
      (frames) => this.#transmit(frames),
      (error) => {
        onFailed?.(error);
        this.tell();
      },
    );
  }

  #send(frames: readonly PeerFrame[]): void {
    if (this.#keeper) this.#keeper.push(frames);
    else this.#transmit(frames);
    this.tell();
  }

  #transmit(frames: readonly PeerFrame[]): void {
    for (const { to, frame } of frames) this.#lines.get(to)?.send(frame);
  }
}

function resolverOf({ definition, collections }: MergeSessionOptions): ConflictResolver {
  const policy = { kind: 'domain' as const, rule: definition.name, version: 1 };
  const policies: PolicyEntry[] = collections.map((collection) => ({ collection, policy }));
  return new ConflictResolver({ policies, rules: [sessionRule(definition)] });
}

function mutationsIn(vector: VersionVector): number {
  return vector.entries().reduce((sum, { counter }) => sum + counter, 0);
}

function reasonOf({ parts }: MutationOutcome): string {
  return parts.find(({ state }) => state === 'rejected')?.reason ?? '';
}
