import { ConflictResolver, type DomainRule, type MutationOutcome, type PolicyEntry } from '../conflict/index.ts';
import type { StateRoot } from '../merkle/index.ts';
import type { Clock, Transport } from '../ports/index.ts';
import type { Change, ReplicaId, Value } from '../state/index.ts';
import { ClientState, type ClientStateOptions, type SessionDefinition } from '../sync/index.ts';
import type { MutationId } from '../trace/index.ts';
import { KeepFirst } from './keep-first.ts';
import type { PeerFrame } from './peer-links.ts';
import { PeerReplica, type PeerReplicaOptions } from './peer-replica.ts';
import type { PeerStorage } from './peer-storage.ts';

/** How a mutation stands: `settled` where the authority took it, or a majority of the peers is known to have it. */
export type SessionOutcome =
  | { readonly state: 'pending' }
  | { readonly state: 'settled' }
  | { readonly state: 'rejected'; readonly reason: string };

/** A session as an app sees it, whoever holds its truth. */
export interface Session {
  readonly truth: 'authority' | 'peers';
  readonly replica: ReplicaId;
  /** What the authority committed, or a majority of the peers has. */
  readonly committed: StateRoot;
  /** With what was done here and is not settled. */
  readonly optimistic: StateRoot;
  /** Whether the authority, or a majority of the peers, is reached. */
  readonly isConnected: boolean;
  /** Carries out a command on the optimistic state at once, and tells the others. */
  mutate(command: string, args: Value): { readonly mutation: MutationId } | { readonly rejected: string };
  /** Undefined where nothing is known of it. */
  outcome(mutation: MutationId): SessionOutcome | undefined;
  /** Calls `listener` when either state may have changed. Answers the function that ends it. */
  subscribe(listener: () => void): () => void;
  /** To be called a few times a second. */
  tick(): void;
  close(reason: string): void;
}

export type SessionOptions = { readonly clock: Clock } & (
  | ({ readonly truth: 'authority'; readonly transport: Transport } & ClientStateOptions)
  | ({
      readonly truth: 'peers';
      readonly definition: SessionDefinition;
      /** What the keys of the session's records begin with, such as `player/`. */
      readonly collections: readonly string[];
      readonly links: ReadonlyMap<ReplicaId, Transport>;
      /** Where the peer keeps what must survive its process; without it, a restart must take a new replica id. */
      readonly storage?: PeerStorage;
      /** The storage refused: nothing more is said or done here, since what is not kept must not be told. */
      readonly onStorageFailed?: (error: unknown) => void;
    } & Omit<PeerReplicaOptions, 'resolver' | 'saved' | 'conflicts'>)
);

/** Opens a session; where its truth lies is chosen here and nowhere else. */
export function openSession(options: SessionOptions): Session {
  return options.truth === 'authority' ? new AuthoritySession(options) : new PeersSession(options);
}

/**
 * The commands of a session as a rule of the merge: each is decided again on the state that it meets there, so that one that
 * was allowed where it was made, but not beside what others did, is rejected with the command's own reason.
 */
export function sessionRule(definition: SessionDefinition): DomainRule {
  return {
    name: definition.name,
    version: 1,
    commands: Object.keys(definition.commands),
    decide({ mutation, state }) {
      const handler = definition.commands[mutation.command]!;
      const outcome = handler(state, mutation.args, mutation.writer);
      if (!outcome.accepted) return { rejected: outcome.reason };
      const changes: Change[] = [];
      let root = state;
      for (const event of outcome.events) {
        const made = definition.reduce(root, event);
        root = root.apply(made);
        changes.push(...made);
      }
      return { changes };
    },
  };
}

abstract class Driven {
  readonly #listeners = new Set<() => void>();

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  protected tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

class AuthoritySession extends Driven implements Session {
  readonly truth = 'authority';
  readonly #client: ClientState;
  readonly #transport: Transport;
  readonly #clock: Clock;

  constructor(options: Extract<SessionOptions, { truth: 'authority' }>) {
    super();
    this.#client = new ClientState(options);
    this.#transport = options.transport;
    this.#clock = options.clock;
    this.#transport.onFrame((frame) => this.#send(this.#client.receive(frame, this.#clock.now())));
    this.#transport.onClose((reason) => {
      this.#client.closed(reason, this.#clock.now());
      this.tell();
    });
    this.#send(this.#client.open(this.#clock.now()));
  }

  get replica(): ReplicaId {
    return this.#client.replica;
  }

  get committed(): StateRoot {
    return this.#client.committed;
  }

  get optimistic(): StateRoot {
    return this.#client.optimistic;
  }

  get isConnected(): boolean {
    return this.#client.phase === 'live';
  }

  mutate(command: string, args: Value): { readonly mutation: MutationId } | { readonly rejected: string } {
    const made = this.#client.predict(command, args, this.#clock.now());
    if ('rejected' in made) return made;
    this.#send(made.frames);
    return { mutation: made.mutation };
  }

  outcome({ writer, counter }: MutationId): SessionOutcome | undefined {
    const outcome = writer === this.replica ? this.#client.receipt(counter)?.outcome : undefined;
    if (outcome === undefined || outcome.state === 'pending') return outcome;
    return outcome.state === 'accepted' ? { state: 'settled' } : { state: 'rejected', reason: outcome.reason };
  }

  tick(): void {
    this.#send(this.#client.tick(this.#clock.now()));
  }

  close(reason: string): void {
    this.#send(this.#client.close(reason));
    this.#transport.close(reason);
  }

  #send(frames: readonly Uint8Array[]): void {
    for (const frame of frames) this.#transport.send(frame);
    this.tell();
  }
}

class PeersSession extends Driven implements Session {
  readonly truth = 'peers';
  readonly #peer: PeerReplica;
  readonly #links: ReadonlyMap<ReplicaId, Transport>;
  readonly #clock: Clock;
  #keeper: KeepFirst<PeerFrame> | undefined;

  constructor(options: Extract<SessionOptions, { truth: 'peers' }>) {
    super();
    const { definition, collections, links, clock } = options;
    const policy = { kind: 'domain' as const, rule: definition.name, version: 1 };
    const policies: PolicyEntry[] = collections.map((collection) => ({ collection, policy }));
    const resolver = new ConflictResolver({ policies, rules: [sessionRule(definition)] });
    const { storage, onStorageFailed } = options;
    const { saved, conflicts } = storage ?? {};
    this.#peer = new PeerReplica({ ...options, resolver, ...(saved && { saved }), ...(conflicts && { conflicts }) });
    this.#links = links;
    if (storage) {
      this.#keeper = new KeepFirst(
        () => storage.keep(this.#peer.saved),
        (frames) => this.#transmit(frames),
        (error) => {
          onStorageFailed?.(error);
          this.tell();
        },
      );
    }
    this.#clock = clock;
    for (const [member, transport] of links) {
      transport.onFrame((frame) => this.#send(this.#peer.receive(member, frame, clock.now())));
    }
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

  mutate(command: string, args: Value): { readonly mutation: MutationId } | { readonly rejected: string } {
    if (this.#keeper?.hasFailed) return { rejected: 'the storage of this peer has failed' };
    const made = this.#peer.command(command, args, this.#clock.now());
    if ('rejected' in made) return made;
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
    this.#send(this.#peer.tick(this.#clock.now()));
  }

  close(reason: string): void {
    for (const transport of this.#links.values()) transport.close(reason);
  }

  #send(frames: readonly PeerFrame[]): void {
    if (this.#keeper) this.#keeper.push(frames);
    else this.#transmit(frames);
    this.tell();
  }

  #transmit(frames: readonly PeerFrame[]): void {
    for (const { to, frame } of frames) this.#links.get(to)?.send(frame);
  }
}

function reasonOf({ parts }: MutationOutcome): string {
  return parts.find(({ state }) => state === 'rejected')?.reason ?? '';
}
