import { compareHybrid, HybridClock, type HybridClockState, VersionVector, vectorFromOutside } from '../clock/index.ts';
import {
  ConflictQueue,
  type ConflictResolver,
  type ConflictStore,
  draftMutation,
  type Intent,
  MemoryConflictStore,
  type Mutation,
  type MutationOutcome,
  mutationId,
  type QueuedConflict,
  stampOf,
  withAmendments,
} from '../conflict/index.ts';
import { isSyncError, SyncError } from '../errors/index.ts';
import { answerMerkleQuery, StateRoot } from '../merkle/index.ts';
import type { BodyOf, Message, MessageOf } from '../messages/index.ts';
import type { SyncMetrics } from '../ports/index.ts';
import { fitText } from '../schema/index.ts';
import type { Change, RecordKey, ReplicaId, StateHash, SyncRecord, Value } from '../state/index.ts';
import { closedTap, type MutationId, type Tap } from '../trace/index.ts';
import { BaseRepair, prefersTheirs, type StatedBase } from './divergence.ts';
import { HeldBatches } from './held.ts';
import { type Checkpoint, PeerHistory } from './history.ts';
import { PartitionRecoveryManager, type PartitionState, type PartitionView } from './partition.ts';
import { type PeerFrame, PeerLinks } from './peer-links.ts';
import { PEER_DEFAULTS, type PeerSettings } from './peer-settings.ts';
import {
  type CheckedChanges,
  checkChanges,
  missingChanges,
  type PeerStanding,
  Stability,
  standingOf,
  withChanges,
} from './peer-sync.ts';
import { PeerTrace } from './peer-trace.ts';
import { Doubts, Renewal } from './renewal.ts';

/** What a replica must not forget over a restart: it would give its counters to other mutations. */
export interface SavedPeer {
  readonly base: Checkpoint;
  readonly mutations: readonly Mutation[];
  readonly clock: HybridClockState;
}

export interface PeerReplicaOptions {
  readonly replica: ReplicaId;
  readonly session: string;
  /** Everybody, the same at every member; strangers are refused. */
  readonly members: readonly ReplicaId[];
  readonly resolver: ConflictResolver;
  /** The state before any mutation, the same at every member. */
  readonly records?: Iterable<readonly [RecordKey, SyncRecord]>;
  /** Wall time, in milliseconds since 1970, at time 0 of the clock that all calls take `now` from. */
  readonly epoch: number;
  readonly maxDrift?: number;
  readonly role?: string;
  readonly settings?: Partial<PeerSettings>;
  readonly conflicts?: ConflictStore;
  readonly saved?: SavedPeer;
  readonly tap?: Tap;
  /** Told how the takeover of another's checkpoint ended, and of what each member lacks, in mutations. */
  readonly metrics?: SyncMetrics;
}

export type MakeResult =
  | { readonly mutation: MutationId; readonly frames: readonly PeerFrame[] }
  | { readonly rejected: string };

export type PeerEvent =
  | { readonly type: 'changed'; readonly root: StateRoot; readonly vector: VersionVector }
  | { readonly type: 'conflict'; readonly conflict: QueuedConflict }
  | { readonly type: 'partition'; readonly view: PartitionView; readonly detail: string };

const MAX_COUNT = 2 ** 32;
/** Outcomes of own mutations that are kept after they became final. */
const OUTCOMES_KEPT = 1_000;

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
  readonly #resolver: ConflictResolver;
  readonly #settings: PeerSettings;
  readonly #clock: HybridClock;
  readonly #epoch: number;
  readonly #role: string;
  readonly #members: ReadonlySet<ReplicaId>;
  readonly #links: PeerLinks;
  readonly #trace: PeerTrace;
  readonly #metrics: SyncMetrics | undefined;
  readonly #held: HeldBatches;
  readonly #stability: Stability;
  readonly #doubts: Doubts;
  /** What everybody began with. */
  readonly #initial: StateRoot;
  readonly #standings = new Map<ReplicaId, PeerStanding>();
  /** What was sent or asked last, and when, so that nothing is said twice at once. */
  readonly #said = new Map<string, { readonly what: string; readonly at: number }>();
  readonly #final = new Map<number, MutationOutcome>();
  readonly #listeners = new Set<(event: PeerEvent) => void>();
  #history: PeerHistory;
  #repair: BaseRepair | undefined;
  #renewal: Renewal | undefined;
  #nextStatus = 0;
  #events: PeerEvent[] = [];

  /** @throws SyncError as `PeerHistory.added` for what was saved */
  constructor(options: PeerReplicaOptions) {
    this.replica = options.replica;
    this.session = options.session;
    this.#resolver = options.resolver;
    this.#settings = { ...PEER_DEFAULTS, ...options.settings };
    const { saved, maxDrift } = options;
    const drift = maxDrift === undefined ? {} : { maxDrift };
    this.#clock = new HybridClock(options.replica, { ...drift, ...(saved ? { saved: saved.clock } : {}) });
    this.#epoch = options.epoch;
    this.#metrics = options.metrics;
    this.#role = options.role ?? '';
    this.#members = new Set([...options.members, options.replica]);
    this.#trace = new PeerTrace(options.tap ?? closedTap, options.replica);
    this.#links = new PeerLinks(options.replica, [...this.#members], this.#trace);
    this.#held = new HeldBatches(this.#settings.maxHeld);
    this.#stability = new Stability(this.#links.others);
    this.#doubts = new Doubts(this.#members.size);
    this.#initial = StateRoot.from(options.records ?? []);
    const base = saved?.base ?? { vector: VersionVector.empty, root: this.#initial };
    this.#history = PeerHistory.from(this.#resolver, base).added(saved?.mutations ?? []);
    this.conflicts = new ConflictQueue(options.conflicts ?? new MemoryConflictStore());
    this.partition = new PartitionRecoveryManager(options.replica, [...this.#members], this.#settings, this.#ports());
    this.#trace.replica();
    this.#trace.snapshot('attach', this.vector, this.root);
    this.conflicts.follow(this.root);
  }

  get vector(): VersionVector {
    return this.#history.vector;
  }

  /** The state with everything that is known here, tentative changes included. */
  get root(): StateRoot {
    return this.#history.root;
  }

  /** The state of what a majority of the members is known to have; a minority's tentative changes are not in it. */
  get settled(): StateRoot {
    return this.#history.at(this.settledVector);
  }

  get settledVector(): VersionVector {
    return this.#stability.majority(this.vector).merge(this.#history.base.vector);
  }

  /** What can no longer come out differently, and the state there. */
  get checkpoint(): Checkpoint {
    return this.#history.base;
  }

  /** What became of a mutation, as far as is known here; undefined where it is not known, or was final too long ago. */
  outcome(mutation: MutationId): MutationOutcome | undefined {
    const found = this.#history.outcomes.find(
      (one) => one.mutation.writer === mutation.writer && one.mutation.counter === mutation.counter,
    );
    if (found || mutation.writer !== this.replica) return found;
    const final = this.#final.get(mutation.counter);
    return final && withAmendments([final], this.#history.amendments)[0];
  }

  /** Whether a mutation's outcome can no longer change: everybody has agreed on all that is concurrent with it. */
  isFinal({ writer, counter }: MutationId): boolean {
    return this.checkpoint.vector.get(writer) >= counter;
  }

  /** Mutations since the checkpoint, in the order of the merge, and what became of each. */
  get outcomes(): readonly MutationOutcome[] {
    return this.#history.outcomes;
  }

  /** Where each other member has last said that it stands. */
  get standings(): ReadonlyMap<ReplicaId, PeerStanding> {
    return this.#standings;
  }

  /** Mutations that wait for a cause that has not come. */
  get held(): number {
    return this.#held.count;
  }

  /** What a restart needs. */
  get saved(): SavedPeer {
    return { base: this.#history.base, mutations: this.#history.mutations, clock: this.#clock.state };
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
    const made = this.#make(intent, now);
    return typeof made === 'string' ? { rejected: made } : { mutation: made, frames: this.#done() };
  }

  /** A frame came over the link of `from`. One that is refused changes nothing. */
  receive(from: ReplicaId, frame: Uint8Array, now: number): PeerFrame[] {
    let cause: number[] = [];
    try {
      const message = this.#links.read(from, frame);
      cause = [this.#trace.received(message, from, frame)];
      this.#onMessage(message, cause, now);
    } catch (error) {
      if (!isSyncError(error)) throw error;
      this.#onRefused(from, error, frame, cause);
    }
    return this.#done();
  }

  /** Carries out what is due: saying where we stand, noticing silence, cutting off history. */
  tick(now: number): PeerFrame[] {
    this.partition.tick(now);
    if (now >= this.#nextStatus) {
      this.#nextStatus = now + this.#settings.statusInterval;
      this.#sendStatus(this.#links.others, []);
      this.#prune();
    }
    this.#askRepair(now, []);
    this.#askRenewal(now, []);
    return this.#done();
  }

  /** Emits who this is and its state, so that a capture that starts now is complete. */
  describe(): void {
    this.#trace.replica();
    this.#trace.snapshot('attach', this.vector, this.root);
  }

  /** For tests: changes the state of the checkpoint behind the protocol's back. */
  corruptCheckpoint(changes: readonly Change[]): void {
    this.#history = this.#history.rebased(this.#history.base.root.apply(changes));
  }

  // — making —

  #make({ command, args, changes }: Intent, now: number): MutationId | string {
    if (this.partition.mode === 'read-only') return 'read-only while the group is cut';
    if (this.#repair) return 'the state is being taken over from another member';
    const before = this.#history;
    const stamp = this.#clock.tick(this.#wallTime(now));
    const counter = before.vector.get(this.replica) + 1;
    const seen = before.vector.entries();
    try {
      const draft = { state: before.root, stamp, counter, seen, role: this.#role, command, args, changes };
      const mutation = draftMutation(this.#resolver.policies, draft);
      if (!this.#resolver.rules.forCommand(command) && mutation.changes.length === 0) {
        return changes.length === 0 ? `no rule knows the command ${command}` : 'nothing would change';
      }
      const next = before.added([mutation]);
      const outcome = next.outcomes.at(-1)!;
      if (outcome.state === 'rejected') return outcome.parts[0]?.reason ?? 'it was rejected';
      this.#history = next;
      const seq = this.#trace.made(mutation, next.vector, before.root, next.root);
      this.#changed([seq]);
      this.#broadcast(mutation, before.vector, [seq]);
      return mutationId(mutation);
    } catch (error) {
      if (!isSyncError(error)) throw error;
      return error.message;
    }
  }

  #broadcast(mutation: Mutation, before: VersionVector, cause: readonly number[]): void {
    const to = this.vector.entries();
    const body = { from: before.entries(), to, root: this.root.hash, mutations: [mutation] };
    this.#links.send(this.#links.others, { type: 'PEER_CHANGES', ...body }, cause);
  }

  #wallTime(now: number): number {
    return this.#epoch + Math.floor(now / 1_000_000);
  }

  // — receiving —

  #onMessage(message: Message, cause: readonly number[], now: number): void {
    switch (message.type) {
      case 'PEER_STATUS':
        this.#onStatus(message, cause, now);
        return;
      case 'PEER_REQUEST':
        this.#sendMissing(message.sender, vectorFromOutside(message.vector), cause, now, true);
        return;
      case 'PEER_CHANGES':
        this.#onChanges(message.sender, message, cause, now);
        return;
      case 'PEER_BASE':
        this.#onBase(message, cause, now);
        return;
      case 'MERKLE_QUERY': {
        const answer = answerMerkleQuery(this.checkpoint.root, message);
        this.#links.send([message.sender], { type: 'MERKLE_ANSWER', ...answer }, cause);
        return;
      }
      case 'MERKLE_ANSWER':
        this.#onAnswer(message, cause, now);
        return;
      case 'ERROR':
        this.#trace.log('warn', `${message.sender} refused a frame: ${message.code}: ${message.message}`, cause);
        return;
      default:
        throw new SyncError('MESSAGE_UNEXPECTED', `${message.type} is not for a peer`, { origin: 'protocol' });
    }
  }

  #onRefused(from: ReplicaId, error: SyncError, frame: Uint8Array, cause: readonly number[]): void {
    const seq = this.#trace.refused(from, error.code, error.message, frame, cause);
    if (!this.#links.others.has(from)) return;
    this.#links.send([from], { type: 'ERROR', code: error.code, message: fitText(error.message, 2_000) }, [seq]);
  }

  #onStatus(status: MessageOf<'PEER_STATUS'>, cause: readonly number[], now: number): void {
    const { sender, session } = status;
    if (session !== this.session) {
      throw new SyncError('SESSION_UNKNOWN', `${sender} is of the session ${session}, not of ${this.session}`, {
        origin: 'protocol',
      });
    }
    const standing = standingOf(status);
    this.#standings.set(sender, standing);
    this.#stability.heard(sender, standing.vector, this.vector);
    this.#metrics?.backlog(sender, this.#history.since(standing.vector).length);
    const order = this.vector.compare(standing.vector);
    const isEqual = order === 'equal' && standing.root === this.root.hash;
    if (order === 'equal') {
      this.#trace.hash(this.vector, this.root.hash, standing.root, cause);
      this.#doubt(sender, isEqual, cause, now);
    } else if (order === 'after' && standing.vector.covers(this.checkpoint.vector)) {
      // Who lags had this state too. It may lag only because ours is wrong, and nobody can take what was written upon it.
      this.#doubt(sender, standing.root === this.#history.at(standing.vector).hash, cause, now);
    }
    this.partition.heard(sender, standing.vector, isEqual, now);
    if (order === 'before' || order === 'concurrent') this.#request(sender, cause, now);
    if (order === 'after' || order === 'concurrent') this.#sendMissing(sender, standing.vector, cause, now, false);
    this.#compareBases(sender, standing.base, cause, now);
  }

  #request(from: ReplicaId, cause: readonly number[], now: number): void {
    const vector = this.vector.entries();
    if (!this.#mayNowSay(`ask ${from}`, nameOf(this.vector), now)) return;
    this.#links.send([from], { type: 'PEER_REQUEST', vector }, cause);
  }

  #sendMissing(to: ReplicaId, theirs: VersionVector, cause: readonly number[], now: number, isAsked: boolean): void {
    const { base } = this.#history;
    if (!theirs.covers(base.vector)) {
      if (theirs.covers(this.vector)) return;
      if (!this.#mayNowSay(`base ${to}`, nameOf(base.vector), now)) return;
      const vector = base.vector.entries();
      this.#links.send([to], { type: 'PEER_BASE', vector, root: base.root.hash }, cause);
      return;
    }
    const body = missingChanges(this.#history, theirs, this.#settings.maxBatch);
    if (!body) return;
    // Who asks has not got what was sent before.
    if (!this.#mayNowSay(`send ${to}`, `${nameOf(theirs)} ${nameOf(this.vector)} ${isAsked}`, now)) return;
    this.#links.send([to], body, cause);
  }

  #onChanges(sender: ReplicaId, body: BodyOf<'PEER_CHANGES'>, cause: readonly number[], now: number): void {
    const changes = checkChanges(body, this.#members);
    if (this.#renew(sender, changes, cause, now)) return;
    if (!this.vector.covers(changes.from)) {
      this.#hold(sender, body, cause, now);
      return;
    }
    this.#take(sender, changes, cause, now);
    for (;;) {
      const ready = this.#held.take(({ from }) => this.vector.covers(VersionVector.from(from)));
      if (!ready) break;
      this.#takeHeld(ready.from, ready.body, cause, now);
    }
    // Says that it came, and asks for more where there is more.
    this.#sendStatus([sender], cause);
  }

  #takeHeld(from: ReplicaId, body: BodyOf<'PEER_CHANGES'>, cause: readonly number[], now: number): void {
    try {
      this.#take(from, checkChanges(body, this.#members), cause, now);
    } catch (error) {
      if (!isSyncError(error)) throw error;
      this.#trace.log('warn', `held changes of ${from} were refused: ${error.code}: ${error.message}`, cause);
    }
  }

  #hold(from: ReplicaId, body: BodyOf<'PEER_CHANGES'>, cause: readonly number[], now: number): void {
    const dropped = this.#held.hold({ from, body });
    const text = `${body.mutations.length} changes wait for what they follow upon${dropped > 0 ? `; ${dropped} had to go for want of room and will be asked for` : ''}`;
    this.#trace.log(dropped > 0 ? 'warn' : 'debug', text, cause);
    this.#request(from, cause, now);
  }

  /** All of the changes, or none. @throws SyncError where anything about them is wrong */
  #take(sender: ReplicaId, changes: CheckedChanges, cause: readonly number[], now: number): void {
    const before = this.#history;
    const next = this.#checkedWith(sender, changes, cause, now);
    if (next === before) return;
    this.#observe(changes.mutations, now);
    this.#history = next;
    const seq = this.#trace.applied(before.vector, next.vector, before.root, next.root, cause);
    this.#changed([seq]);
  }

  #checkedWith(sender: ReplicaId, changes: CheckedChanges, cause: readonly number[], now: number): PeerHistory {
    try {
      return withChanges(this.#history, changes);
    } catch (error) {
      if (isSyncError(error, 'ROOT_DIFFERS')) {
        this.#trace.mismatch(this.vector, changes.to, this.root.hash, changes.root, cause);
        this.#doubt(sender, false, cause, now);
      }
      throw error;
    }
  }

  /** Stamps made from now on are later than those of the mutations. @throws SyncError as `HybridClock.observe`; the clock is then as before */
  #observe(mutations: readonly Mutation[], now: number): void {
    const stamps = mutations.map(stampOf);
    const latest = stamps.reduce((best, one) => (compareHybrid(best, one) < 0 ? one : best));
    const wrong = stamps.find(({ count }) => count >= MAX_COUNT);
    this.#clock.observe(wrong ?? latest, this.#wallTime(now));
  }

  /** The state is another: tells who wants to know. */
  #changed(cause: readonly number[]): void {
    this.#trace.vector(this.vector, cause);
    this.#trace.conflicts(this.#history.conflicts, cause);
    for (const conflict of this.conflicts.follow(this.root)) this.#events.push({ type: 'conflict', conflict });
    this.#events.push({ type: 'changed', root: this.root, vector: this.vector });
  }

  #sendStatus(to: Iterable<ReplicaId>, cause: readonly number[]): void {
    const { base } = this.#history;
    const standing = { vector: this.vector.entries(), root: this.root.hash };
    const from = { base: base.vector.entries(), baseRoot: base.root.hash };
    this.#links.send(to, { type: 'PEER_STATUS', session: this.session, ...standing, ...from }, cause);
  }

  /** Whether something has not just been said. */
  #mayNowSay(subject: string, what: string, now: number): boolean {
    const before = this.#said.get(subject);
    if (before?.what === what && now - before.at < this.#settings.resendAfter) return false;
    this.#said.set(subject, { what, at: now });
    return true;
  }

  // — checkpoints —

  #prune(): void {
    const before = this.#history;
    if (before.mutations.length <= this.#settings.keepHistory) return;
    const pruned = before.pruned(this.#stability.everybody(this.vector));
    if (pruned === before) return;
    for (const [counter, outcome] of this.#final) {
      this.#final.set(counter, withAmendments([outcome], before.amendments)[0]!);
    }
    for (const outcome of before.outcomes) {
      const { writer, counter } = outcome.mutation;
      if (writer !== this.replica || counter > pruned.base.vector.get(writer)) continue;
      this.#final.set(counter, outcome);
      if (this.#final.size > OUTCOMES_KEPT) this.#final.delete(this.#final.keys().next().value!);
    }
    this.#history = pruned;
    this.#trace.log('debug', `history is kept from ${nameOf(pruned.base.vector)} on`, []);
  }

  /** Two of one checkpoint must have one state there; where they have not, all members choose alike whose it is. */
  #compareBases(peer: ReplicaId, theirs: StatedBase, cause: readonly number[], now: number): void {
    const own = this.checkpoint;
    if (this.#repair || own.root.hash === theirs.root || own.vector.compare(theirs.vector) !== 'equal') return;
    const stated = new Map<ReplicaId, StateHash>();
    for (const [member, { base }] of this.#standings) {
      if (base.vector.compare(own.vector) === 'equal') stated.set(member, base.root);
    }
    // Where not everybody begins there, those who do cannot outvote the others: what these have decides (`#doubt`).
    if (stated.size < this.#links.others.size) return;
    if (!prefersTheirs({ replica: this.replica, root: own.root.hash }, stated, theirs.root)) return;
    this.#repair = new BaseRepair(peer, theirs, own.root);
    this.#askRepair(now, cause);
  }

  #onBase({ sender, vector, root }: MessageOf<'PEER_BASE'>, cause: readonly number[], now: number): void {
    const base = { vector: vectorFromOutside(vector), root };
    if (this.#repair) return;
    const isRenewed = this.#renewal?.peer === sender && this.#renewal.wantsBase(base.vector);
    if (this.vector.covers(base.vector) && !isRenewed) return;
    this.#repair = new BaseRepair(sender, base, this.root);
    if (!this.#finishRepair(this.#repair.finished(), cause, now)) this.#askRepair(now, cause);
  }

  #askRepair(now: number, cause: readonly number[]): void {
    const repair = this.#repair;
    if (!repair) return;
    if (!this.partition.isReached(repair.peer)) {
      this.#endRepair(repair, false, now);
      return;
    }
    const query = repair.ask(now, this.#settings.resendAfter);
    if (query) this.#links.send([repair.peer], { type: 'MERKLE_QUERY', ...query }, cause);
  }

  #onAnswer(answer: MessageOf<'MERKLE_ANSWER'>, cause: readonly number[], now: number): void {
    const repair = this.#repair;
    if (repair?.peer !== answer.sender) return;
    try {
      if (!this.#finishRepair(repair.receive(answer), cause, now)) this.#askRepair(now, cause);
    } catch (error) {
      // The other side has gone on, or lies: begun anew by what it says next.
      this.#endRepair(repair, false, now);
      throw error;
    }
  }

  #endRepair({ peer }: BaseRepair, hasSucceeded: boolean, now: number): void {
    this.#repair = undefined;
    this.#metrics?.reconciliation({ client: peer, way: 'checkpoint', hasSucceeded, now });
  }

  /** Takes over the repaired checkpoint, and makes anew on it what nobody but us has. */
  #finishRepair(root: StateRoot | undefined, cause: readonly number[], now: number): boolean {
    const repair = this.#repair;
    if (!root || !repair) return false;
    this.#endRepair(repair, true, now);
    if (this.#renewal?.peer === repair.peer && this.vector.covers(repair.base.vector)) {
      this.#renewal.takeBase(repair.base.vector, root);
      this.#finishRenewal(this.#renewal, cause);
      this.#askRenewal(now, cause);
      return true;
    }
    const before = this.#history;
    const isSame = repair.base.vector.compare(before.base.vector) === 'equal';
    // Overtaken: what it was to bring has come in another way, or our own checkpoint has moved. Taken over now, it would undo that.
    if (!isSame && this.vector.covers(repair.base.vector)) return true;
    this.#history = isSame
      ? before.rebased(root)
      : PeerHistory.from(this.#resolver, { vector: repair.base.vector, root });
    const seq = this.#trace.repaired(repair, this.vector, this.root, cause);
    this.#trace.snapshot('full-sync', this.vector, this.root);
    this.#changed([seq]);
    if (!isSame) this.#remake(before, now);
    this.#sendStatus(this.#links.others, [seq]);
    return true;
  }

  // — a checkpoint that a majority contradicts —

  /** A member of the same mutations, or who sent changes upon ours, has the state that we have, or another. */
  #doubt(member: ReplicaId, agrees: boolean, cause: readonly number[], now: number): void {
    this.#doubts.note(member, agrees);
    const peer = this.#doubts.majority.find((one) => this.partition.isReached(one));
    if (peer === undefined || this.#renewal || this.#repair) return;
    this.#trace.log('warn', `a majority contradicts the state here; it is fetched anew from ${peer}`, cause);
    this.#renewal = new Renewal(peer, this.#resolver, now);
    this.#links.send([peer], { type: 'PEER_REQUEST', vector: [] }, cause);
  }

  #askRenewal(now: number, cause: readonly number[]): void {
    const renewal = this.#renewal;
    if (!renewal || this.#repair) return;
    if (!this.partition.isReached(renewal.peer) || renewal.isHopeless) {
      this.#renewal = undefined;
      return;
    }
    if (!renewal.isDue(now, this.#settings.resendAfter)) return;
    this.#links.send([renewal.peer], { type: 'PEER_REQUEST', vector: renewal.vector.entries() }, cause);
  }

  /** Whether changes were for the history that is fetched anew. */
  #renew(sender: ReplicaId, changes: CheckedChanges, cause: readonly number[], now: number): boolean {
    const renewal = this.#renewal;
    if (renewal?.peer !== sender || this.#repair) return false;
    const isFirst = !renewal.hasBase && changes.from.entries().length === 0;
    if (isFirst) renewal.takeBase(VersionVector.empty, this.#initial);
    let isTaken = false;
    try {
      isTaken = renewal.take(changes);
      if (isTaken) this.#finishRenewal(renewal, cause);
    } catch (error) {
      this.#renewal = undefined;
      throw error;
    }
    if (isTaken && this.#renewal) {
      this.#links.send([sender], { type: 'PEER_REQUEST', vector: renewal.vector.entries() }, cause);
    }
    if (isTaken) this.#observe(changes.mutations, now);
    return isTaken;
  }

  #finishRenewal(renewal: Renewal, cause: readonly number[]): void {
    const next = renewal.finished(this.#history);
    if (!next) return;
    this.#renewal = undefined;
    this.#doubts.clear();
    const before = this.#history;
    this.#history = next;
    const seq = this.#trace.applied(before.vector, next.vector, before.root, next.root, cause);
    this.#trace.snapshot('full-sync', this.vector, this.root);
    this.#changed([seq]);
    this.#sendStatus(this.#links.others, [seq]);
  }

  #remake(before: PeerHistory, now: number): void {
    for (const { writer, counter, command, args, changes } of before.mutations) {
      if (writer !== this.replica || counter <= this.vector.get(writer)) continue;
      const made = this.#make({ command, args, changes }, now);
      const what = `${writer}:${counter} was made on a state that is gone`;
      if (typeof made !== 'string') {
        this.#trace.log('info', `${what}; made anew as ${made.counter}`, []);
        continue;
      }
      const part = { part: 'command', state: 'rejected' as const, reason: made };
      this.#final.set(counter, { mutation: { writer, counter }, state: 'rejected', parts: [part] });
      this.#trace.log('warn', `${what}, and refused on the one that is: ${made}`, []);
    }
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
        self.#trace.partition(state, view, self.vector, detail);
        self.#events.push({ type: 'partition', view, detail });
      },
    };
  }

  #done(): PeerFrame[] {
    const events = this.#events;
    this.#events = [];
    for (const event of events) for (const listener of this.#listeners) listener(event);
    return this.#links.drain();
  }
}

/** A vector as text, to tell two apart. */
function nameOf(vector: VersionVector): string {
  return vector
    .entries()
    .map(({ replica, counter }) => `${replica}:${counter}`)
    .join(' ');
}
