import type { VersionVector } from '../clock/index.ts';
import type { ConflictQueue, Intent, MutationOutcome } from '../conflict/index.ts';
import { isSyncError, SyncError } from '../errors/index.ts';
import type { StateRoot } from '../merkle/index.ts';
import type { Message } from '../messages/index.ts';
import { fitText } from '../schema/index.ts';
import type { Change, ReplicaId, Value } from '../state/index.ts';
import type { MutationId } from '../trace/index.ts';
import { FinalOutcomes } from './final-outcomes.ts';
import type { Checkpoint } from './history.ts';
import { PartitionRecoveryManager, type PartitionState, type PartitionView } from './partition.ts';
import { PeerCheckpoints } from './peer-checkpoints.ts';
import { PeerCore } from './peer-core.ts';
import { PeerExchange } from './peer-exchange.ts';
import type { PeerFrame } from './peer-links.ts';
import type { MakeResult, PeerEvent, PeerReplicaOptions, SavedPeer } from './peer-options.ts';
import type { PeerStanding } from './peer-sync.ts';
import { PeerWriter } from './peer-writer.ts';

/**
 * A replica of a session that has no authority. Everybody may write at any time; what each did is merged by the session's policies, and
 * replicas of one vector have one state. A state machine: every method answers the frames to send. What arrives
 * counts whole or not at all, after everything about it was checked.
 */
export class PeerReplica {
  readonly replica: ReplicaId;
  readonly session: string;
  readonly partition: PartitionRecoveryManager;
  readonly conflicts: ConflictQueue;
  readonly #core: PeerCore;
  readonly #final: FinalOutcomes;
  readonly #writer: PeerWriter;
  readonly #checkpoints: PeerCheckpoints;
  readonly #exchange: PeerExchange;
  readonly #standings = new Map<ReplicaId, PeerStanding>();
  readonly #listeners = new Set<(event: PeerEvent) => void>();
  #nextStatus = 0;

  /** @throws SyncError as `PeerHistory.added` for what was saved */
  constructor(options: PeerReplicaOptions) {
    this.replica = options.replica;
    this.session = options.session;
    const core = new PeerCore(options);
    this.#core = core;
    this.conflicts = core.conflicts;
    this.partition = new PartitionRecoveryManager(core.replica, [...core.members], core.settings, this.#ports());
    this.#final = new FinalOutcomes(core.replica);
    this.#writer = new PeerWriter(core, this.#final, () => this.#refusal());
    const parts = { partition: this.partition, writer: this.#writer, final: this.#final, standings: this.#standings };
    this.#checkpoints = new PeerCheckpoints(core, parts);
    this.#exchange = new PeerExchange(core, { ...parts, checkpoints: this.#checkpoints });
    this.describe();
    this.conflicts.follow(this.root);
  }

  get vector(): VersionVector {
    return this.#core.vector;
  }

  /** The state with everything that is known here, tentative changes included. */
  get root(): StateRoot {
    return this.#core.root;
  }

  /** The state of what a majority of the members is known to have; a minority's tentative changes are not in it. */
  get settled(): StateRoot {
    return this.#core.history.at(this.settledVector);
  }

  get settledVector(): VersionVector {
    return this.#core.stability.majority(this.vector).merge(this.checkpoint.vector);
  }

  /** What can no longer come out differently, and the state there. */
  get checkpoint(): Checkpoint {
    return this.#core.history.base;
  }

  /** What became of a mutation, as far as is known here; undefined where it is not known, or was final too long ago. */
  outcome(mutation: MutationId): MutationOutcome | undefined {
    const { history } = this.#core;
    const found = history.outcomes.find(
      (one) => one.mutation.writer === mutation.writer && one.mutation.counter === mutation.counter,
    );
    if (found || mutation.writer !== this.replica) return found;
    return this.#final.get(mutation.counter, history);
  }

  /** Whether a mutation's outcome can no longer change: everybody has agreed on all that is concurrent with it. */
  isFinal({ writer, counter }: MutationId): boolean {
    return this.checkpoint.vector.get(writer) >= counter;
  }

  /** Mutations since the checkpoint, in the order of the merge, and what became of each. */
  get outcomes(): readonly MutationOutcome[] {
    return this.#core.history.outcomes;
  }

  /** Where each other member has last said that it stands. */
  get standings(): ReadonlyMap<ReplicaId, PeerStanding> {
    return this.#standings;
  }

  /** Mutations that wait for a cause that has not come. */
  get held(): number {
    return this.#exchange.held;
  }

  /** What a restart needs. */
  get saved(): SavedPeer {
    const { clock, history } = this.#core;
    return { base: history.base, mutations: history.mutations, clock };
  }

  on(listener: (event: PeerEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Writes records. What the rule of a domain owns is written by its commands only, and refused here. */
  write(changes: readonly Change[], now: number, command = 'write'): MakeResult {
    return this.carryOut({ command, args: null, changes }, now);
  }

  /** A command of a domain rule. Refused here where the state as known here does not allow it. */
  command(command: string, args: Value, now: number): MakeResult {
    return this.carryOut({ command, args, changes: [] }, now);
  }

  /** Decides a conflict that waits, or opens one again: what `conflicts.decide` and `conflicts.reopen` answer. */
  carryOut(intent: Intent, now: number): MakeResult {
    const made = this.#writer.make(intent, now);
    return typeof made === 'string' ? { rejected: made } : { mutation: made, frames: this.#done() };
  }

  /** A frame came over the link of `from`. One that is refused changes nothing. */
  receive(from: ReplicaId, frame: Uint8Array, now: number): PeerFrame[] {
    let cause: number[] = [];
    try {
      const message = this.#core.links.read(from, frame);
      cause = [this.#core.trace.received(message, from, frame)];
      this.#onMessage(message, cause, now);
    } catch (error) {
      if (!isSyncError(error)) throw error;
      this.#onRefused(from, error, frame, cause);
    }
    return this.#done();
  }

  /** Carries out what is due: saying where we stand, noticing silence, cutting off history. */
  tick(now: number): PeerFrame[] {
    const { links, settings } = this.#core;
    this.partition.tick(now);
    if (now >= this.#nextStatus) {
      this.#nextStatus = now + settings.statusInterval;
      this.#core.sendStatus(links.others, []);
      this.#checkpoints.prune();
    }
    this.#checkpoints.tick(now);
    return this.#done();
  }

  /** Emits who this is and its state, so that a capture that starts now is complete. */
  describe(): void {
    this.#core.trace.replica();
    this.#core.trace.snapshot('attach', this.vector, this.root);
  }

  /** For tests: changes the state of the checkpoint behind the protocol's back. */
  corruptCheckpoint(changes: readonly Change[]): void {
    const { history } = this.#core;
    this.#core.history = history.rebased(history.base.root.apply(changes));
  }

  #refusal(): string | undefined {
    if (this.partition.mode === 'read-only') return 'read-only while the group is cut';
    return this.#checkpoints.isRepairing ? 'the state is being taken over from another member' : undefined;
  }

  #onMessage(message: Message, cause: readonly number[], now: number): void {
    switch (message.type) {
      case 'PEER_STATUS':
        this.#exchange.onStatus(message, cause, now);
        return;
      case 'PEER_REQUEST':
        this.#exchange.onRequest(message, cause, now);
        return;
      case 'PEER_CHANGES':
        this.#exchange.onChanges(message, cause, now);
        return;
      case 'PEER_BASE':
        this.#checkpoints.onBase(message, cause, now);
        return;
      case 'MERKLE_QUERY':
        this.#checkpoints.onQuery(message, cause);
        return;
      case 'MERKLE_ANSWER':
        this.#checkpoints.onAnswer(message, cause, now);
        return;
      case 'ERROR': {
        const { sender, code, message: text } = message;
        this.#core.trace.log('warn', `${sender} refused a frame: ${code}: ${text}`, cause);
        return;
      }
      default:
        throw new SyncError('MESSAGE_UNEXPECTED', `${message.type} is not for a peer`, { origin: 'protocol' });
    }
  }

  #onRefused(from: ReplicaId, error: SyncError, frame: Uint8Array, cause: readonly number[]): void {
    const { links, trace } = this.#core;
    const seq = trace.refused(from, error.code, error.message, frame, cause);
    if (!links.others.has(from)) return;
    links.send([from], { type: 'ERROR', code: error.code, message: fitText(error.message, 2_000) }, [seq]);
  }

  #ports() {
    const self = this;
    return {
      get vector() {
        return self.vector;
      },
      outcomesSince: (divergence: VersionVector) =>
        self.outcomes.filter(({ mutation }) => mutation.counter > divergence.get(mutation.writer)),
      changed: (state: PartitionState | 'healed', view: PartitionView, detail: string) => {
        self.#core.trace.partition(state, view, self.vector, detail);
        self.#core.tell({ type: 'partition', view, detail });
      },
    };
  }

  #done(): PeerFrame[] {
    for (const event of this.#core.takeEvents()) for (const listener of this.#listeners) listener(event);
    return this.#core.links.drain();
  }
}
