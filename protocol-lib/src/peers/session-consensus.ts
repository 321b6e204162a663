import { SyncError } from '../errors/index.ts';
import { StateRoot } from '../merkle/index.ts';
import type { Transport } from '../ports/index.ts';
import type { RecordKey, ReplicaId, SyncRecord, Value } from '../state/index.ts';
import { decide, type HealthLimits, isSendable, type SessionDefinition, type SyncHealth } from '../sync/index.ts';
import type { MutationId, Tap } from '../trace/index.ts';
import { ConsensusPeer, type ConsensusStorage } from './consensus/peer.ts';
import type { ProposalOutcome, StateProposal } from './consensus/proposal.ts';
import { type ConsensusSettings, consensusSettings } from './consensus/settings.ts';
import { Driven, type Made, type Session, type SessionOutcome } from './session.ts';
import { type GroupFacts, GroupHealth } from './session-health.ts';
import { type LinePorts, SessionLine } from './session-line.ts';

export type ConsensusSessionOptions = {
  readonly truth: 'peers';
  readonly agreement: 'consensus';
  readonly definition: SessionDefinition;
  readonly replica: ReplicaId;
  /** Everybody, the same at every member. */
  readonly members: readonly ReplicaId[];
  /** The state before anything was decided, the same at every member. */
  readonly records?: Iterable<readonly [RecordKey, SyncRecord]>;
  /** Where the member keeps its votes; without it, it may not come back under its name. */
  readonly storage?: ConsensusStorage;
  /** The disk refused: nothing more is said or done here. */
  readonly onStorageFailed?: (error: unknown) => void;
  readonly settings?: Partial<ConsensusSettings>;
  readonly health?: Partial<HealthLimits>;
  readonly tap?: Tap;
} & LinePorts;

/** A command that is not decided yet. */
interface Pending {
  readonly mutation: MutationId;
  readonly command: string;
  readonly args: Value;
  readonly madeAt: number;
}

/** Outcomes that are kept after they became final. */
const OUTCOMES_KEPT = 1_000;

/**
 * A session among peers that decide each version by majority. Commands are proposed one after the other, in the order in which they
 * were made; each is decided on the state that it will be based on, by every member for itself, and one that the group gave up on is
 * proposed again. A mutation's counter counts the commands of this process: that of the trace counts what was offered to the group.
 */
export class ConsensusSession extends Driven implements Session {
  readonly truth = 'peers';
  readonly replica: ReplicaId;
  readonly #options: ConsensusSessionOptions;
  readonly #lines: ReadonlyMap<ReplicaId, SessionLine>;
  readonly #health: GroupHealth;
  readonly #maxPending: number;
  readonly #pending: Pending[] = [];
  readonly #outcomes = new Map<number, SessionOutcome>();
  /** Undefined until what it begins with is durable. */
  #peer: ConsensusPeer | undefined;
  #failure: SyncError | undefined;
  #counter = 0;
  /** Whether the first of the pending ones is being proposed. */
  #isAsking = false;
  #isClosed = false;
  /** The optimistic state, and upon what it was made; dropped where the pending ones change. */
  #view: { readonly base: StateRoot; readonly root: StateRoot } | undefined;

  /** @throws SyncError as `ConsensusPeer.open` */
  constructor(options: ConsensusSessionOptions) {
    super();
    const { replica, members, storage } = options;
    this.#options = options;
    this.replica = replica;
    this.#maxPending = consensusSettings(options.settings ?? {}).maxQueue;
    const others = members.filter((one) => one !== replica);
    this.#health = new GroupHealth(others, options.clock.now(), options.health);
    this.#lines = new Map(others.map((member) => [member, this.#lineTo(member)]));
    const initial = StateRoot.from(options.records ?? []);
    const member = { ...options, validate: this.#refusal.bind(this) };
    if (!storage) this.#opened(ConsensusPeer.inMemory(member, initial));
    else ConsensusPeer.open(member, storage, initial, (opened) => this.#opened(opened));
  }

  get committed(): StateRoot {
    return this.#peer?.root ?? StateRoot.empty;
  }

  get optimistic(): StateRoot {
    const base = this.committed;
    if (this.#view?.base !== base) this.#view = { base, root: this.#withPending(base) };
    return this.#view.root;
  }

  get isConnected(): boolean {
    return !this.#isClosed && !this.#failure && this.#health.hasMajority(this.#now);
  }

  get health(): SyncHealth {
    return this.#health.assess(this.#facts, this.#now);
  }

  mutate(command: string, args: Value): Made {
    if (this.#failure) return { rejected: 'the storage of this peer has failed' };
    if (this.#isClosed) return { rejected: 'the session was closed' };
    if (!this.#peer) return { rejected: 'there is no state yet' };
    if (this.#pending.length >= this.#maxPending) {
      return { rejected: `${this.#maxPending} mutations are pending already` };
    }
    if (!isSendable(command, args)) return { rejected: 'the command or its arguments cannot be sent' };
    const decision = decide(this.#options.definition, this.optimistic, command, args, this.replica);
    if (!decision.accepted) return { rejected: decision.reason };
    const mutation = { writer: this.replica, counter: ++this.#counter };
    this.#pending.push({ mutation, command, args, madeAt: this.#now });
    this.#view = { base: this.committed, root: decision.root };
    this.#ask();
    this.tell();
    return { mutation };
  }

  outcome({ writer, counter }: MutationId): SessionOutcome | undefined {
    if (writer !== this.replica) return undefined;
    const isPending = this.#pending.some(({ mutation }) => mutation.counter === counter);
    return isPending ? { state: 'pending' } : this.#outcomes.get(counter);
  }

  tick(): void {
    for (const line of this.#lines.values()) line.tick();
    this.#peer?.tick();
    if (this.#peer?.failure) this.#fail(this.#peer.failure);
    this.#ask();
    this.#health.follow(this.#facts, this.#now);
    this.tell();
  }

  close(reason: string): void {
    this.#isClosed = true;
    this.#peer?.close(reason);
    for (const line of this.#lines.values()) line.end(reason);
  }

  get #now(): number {
    return this.#options.clock.now();
  }

  get #facts(): GroupFacts {
    const { version = 0, stated = new Map<ReplicaId, never>() } = this.#peer ?? {};
    const equal = [...stated.values()].filter((one) => one.version === version);
    const agreeing = equal.filter((one) => one.root === this.committed.hash).length;
    return {
      isConnected: this.isConnected,
      version,
      newest: Math.max(version, ...Array.from(stated.values(), (one) => one.version)),
      agreeing,
      differing: equal.length - agreeing,
      pendingSince: this.#pending[0]?.madeAt,
    };
  }

  #opened(opened: ConsensusPeer | SyncError): void {
    if (opened instanceof SyncError) {
      this.#fail(opened);
      return;
    }
    this.#peer = opened;
    for (const [member, line] of this.#lines) opened.attach(member, endOf(line));
    // What was proposed here is told of once its outcome is known, so that nobody sees it twice in the optimistic state.
    opened.listen((proposal) => {
      if (proposal && proposal.writer !== this.replica) this.tell();
    });
    for (const line of this.#lines.values()) line.tick();
    this.tell();
  }

  #fail(error: SyncError): void {
    if (this.#failure) return;
    this.#failure = error;
    this.#options.onStorageFailed?.(error);
    this.tell();
  }

  #lineTo(member: ReplicaId): SessionLine {
    const line = new SessionLine(member, this.#options, {
      onOpen: () => this.tell(),
      onFrame: (frame) => {
        if (!this.#peer || this.#peer.receiveFrame(frame, member)) return;
        line.worked();
        this.#health.heard(member, this.#facts, this.#now);
        this.tell();
      },
      onClose: () => this.tell(),
    });
    return line;
  }

  #withPending(base: StateRoot): StateRoot {
    let root = base;
    for (const { command, args } of this.#pending) {
      const decision = decide(this.#options.definition, root, command, args, this.replica);
      if (decision.accepted) root = decision.root;
    }
    return root;
  }

  /** Proposes the first of what is pending, unless that is under way. */
  #ask(): void {
    const [first] = this.#pending;
    const peer = this.#peer;
    if (!first || !peer || this.#isAsking || this.#isClosed || peer.failure) return;
    const { command, args } = first;
    this.#isAsking = true;
    const receipt = peer.propose({
      command,
      args,
      changes: (root) => {
        const decision = decide(this.#options.definition, root, command, args, this.replica);
        if (!decision.accepted) throw new SyncError('COMMAND_REFUSED', decision.reason, { origin: 'state' });
        return decision.changes;
      },
    });
    receipt.listen((outcome) => this.#onOutcome(first, outcome));
  }

  /** Every member decides a command itself, and takes no other changes than those that it comes to. */
  #refusal(before: StateRoot, after: StateRoot, { command, args = null, writer }: StateProposal): string | undefined {
    const decision = decide(this.#options.definition, before, command, args, writer);
    if (!decision.accepted) return decision.reason;
    return decision.root.hash === after.hash ? undefined : `${command} does not come to these changes`;
  }

  #onOutcome({ mutation }: Pending, outcome: ProposalOutcome): void {
    // Some member may have it: it is committed yet, or given up, and that is told.
    if (outcome.state === 'unknown') return;
    this.#isAsking = false;
    // It never takes effect, so that it may be proposed again, with the next tick.
    if (outcome.state === 'gave-up') return;
    this.#pending.shift();
    this.#view = undefined;
    const isCommitted = outcome.state === 'committed';
    this.#outcomes.set(
      mutation.counter,
      isCommitted ? { state: 'settled' } : { state: 'rejected', reason: outcome.detail },
    );
    if (this.#outcomes.size > OUTCOMES_KEPT) this.#outcomes.delete(this.#outcomes.keys().next().value!);
    this.#ask();
    this.tell();
  }
}

/** For the member: what comes in is handed to it by the session. */
function endOf(line: SessionLine): Transport {
  return {
    send: (frame) => line.send(frame),
    close: (reason) => line.drop(reason),
    onFrame: () => undefined,
    onClose: () => undefined,
  };
}
