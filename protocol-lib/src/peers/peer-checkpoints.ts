import { VersionVector, vectorFromOutside } from '../clock/index.ts';
import { answerMerkleQuery, type StateRoot } from '../merkle/index.ts';
import type { MessageOf } from '../messages/index.ts';
import type { ReplicaId, StateHash } from '../state/index.ts';
import { BaseRepair, prefersTheirs, type StatedBase } from './divergence.ts';
import type { FinalOutcomes } from './final-outcomes.ts';
import { type Checkpoint, PeerHistory } from './history.ts';
import type { PartitionRecoveryManager } from './partition.ts';
import { nameOf, type PeerCore } from './peer-core.ts';
import type { CheckedChanges, PeerStanding } from './peer-sync.ts';
import type { PeerWriter } from './peer-writer.ts';
import { Doubts, Renewal } from './renewal.ts';

export interface CheckpointParts {
  readonly partition: PartitionRecoveryManager;
  readonly writer: PeerWriter;
  readonly final: FinalOutcomes;
  /** Where each other member has last said that it stands. */
  readonly standings: ReadonlyMap<ReplicaId, PeerStanding>;
}

/** The part of a replica that cuts its history off behind what all agree on, and takes over another's where its own is wrong or gone. */
export class PeerCheckpoints {
  readonly #core: PeerCore;
  readonly #parts: CheckpointParts;
  readonly #doubts: Doubts;
  #repair: BaseRepair | undefined;
  #renewal: Renewal | undefined;

  constructor(core: PeerCore, parts: CheckpointParts) {
    this.#core = core;
    this.#parts = parts;
    this.#doubts = new Doubts(core.members.size);
  }

  get #checkpoint(): Checkpoint {
    return this.#core.history.base;
  }

  /** Whether the state of another member is being taken over. */
  get isRepairing(): boolean {
    return this.#repair !== undefined;
  }

  prune(): void {
    const { history: before, settings, stability, trace } = this.#core;
    if (before.mutations.length <= settings.keepHistory) return;
    const pruned = before.pruned(stability.everybody(before.vector));
    if (pruned === before) return;
    this.#parts.final.keep(before, pruned);
    this.#core.history = pruned;
    trace.log('debug', `history is kept from ${nameOf(pruned.base.vector)} on`, []);
  }

  /** Asks again what is due. */
  tick(now: number): void {
    this.#askRepair(now, []);
    this.#askRenewal(now, []);
  }

  // — the checkpoint of another —

  /** Two of one checkpoint must have one state there; where they have not, all members choose alike whose it is. */
  compareBases(peer: ReplicaId, theirs: StatedBase, cause: readonly number[], now: number): void {
    const own = this.#checkpoint;
    if (this.#repair || own.root.hash === theirs.root || own.vector.compare(theirs.vector) !== 'equal') return;
    const stated = new Map<ReplicaId, StateHash>();
    for (const [member, { base }] of this.#parts.standings) {
      if (base.vector.compare(own.vector) === 'equal') stated.set(member, base.root);
    }
    // Where not everybody begins there, those who do cannot outvote the others: what these have decides (`doubt`).
    if (stated.size < this.#core.links.others.size) return;
    if (!prefersTheirs({ replica: this.#core.replica, root: own.root.hash }, stated, theirs.root)) return;
    this.#repair = new BaseRepair(peer, theirs, own.root);
    this.#askRepair(now, cause);
  }

  onBase({ sender, vector, root }: MessageOf<'PEER_BASE'>, cause: readonly number[], now: number): void {
    const base = { vector: vectorFromOutside(vector), root };
    if (this.#repair) return;
    const isRenewed = this.#renewal?.peer === sender && this.#renewal.wantsBase(base.vector);
    if (this.#core.vector.covers(base.vector) && !isRenewed) return;
    this.#repair = new BaseRepair(sender, base, this.#core.root);
    if (!this.#finishRepair(this.#repair.finished(), cause, now)) this.#askRepair(now, cause);
  }

  onQuery(query: MessageOf<'MERKLE_QUERY'>, cause: readonly number[]): void {
    const answer = answerMerkleQuery(this.#checkpoint.root, query);
    this.#core.links.send([query.sender], { type: 'MERKLE_ANSWER', ...answer }, cause);
  }

  onAnswer(answer: MessageOf<'MERKLE_ANSWER'>, cause: readonly number[], now: number): void {
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

  #askRepair(now: number, cause: readonly number[]): void {
    const repair = this.#repair;
    if (!repair) return;
    if (!this.#parts.partition.isReached(repair.peer)) {
      this.#endRepair(repair, false, now);
      return;
    }
    const query = repair.ask(now, this.#core.settings.resendAfter);
    if (query) this.#core.links.send([repair.peer], { type: 'MERKLE_QUERY', ...query }, cause);
  }

  #endRepair({ peer }: BaseRepair, hasSucceeded: boolean, now: number): void {
    this.#repair = undefined;
    this.#core.metrics?.reconciliation({ client: peer, way: 'checkpoint', hasSucceeded, now });
  }

  /** Takes over the repaired checkpoint, and makes anew on it what nobody but us has. */
  #finishRepair(root: StateRoot | undefined, cause: readonly number[], now: number): boolean {
    const repair = this.#repair;
    if (!root || !repair) return false;
    this.#endRepair(repair, true, now);
    if (this.#renewal?.peer === repair.peer && this.#core.vector.covers(repair.base.vector)) {
      this.#renewal.takeBase(repair.base.vector, root);
      this.#finishRenewal(this.#renewal, cause);
      this.#askRenewal(now, cause);
      return true;
    }
    const { history: before, links, resolver, trace } = this.#core;
    const isSame = repair.base.vector.compare(before.base.vector) === 'equal';
    // Overtaken: what it was to bring has come in another way, or our own checkpoint has moved. Taken over now, it would undo that.
    if (!isSame && before.vector.covers(repair.base.vector)) return true;
    this.#core.history = isSame
      ? before.rebased(root)
      : PeerHistory.from(resolver, { vector: repair.base.vector, root });
    const seq = trace.repaired(repair, this.#core.vector, this.#core.root, cause);
    trace.snapshot('full-sync', this.#core.vector, this.#core.root);
    this.#core.changed([seq]);
    if (!isSame) this.#parts.writer.remake(before, now);
    this.#core.sendStatus(links.others, [seq]);
    return true;
  }

  // — a checkpoint that a majority contradicts —

  /** A member has, or had, the same mutations as we, or sent changes upon ours; and the state that we have there, or another. */
  doubt(member: ReplicaId, agrees: boolean, cause: readonly number[], now: number): void {
    this.#doubts.note(member, agrees);
    const peer = this.#doubts.majority.find((one) => this.#parts.partition.isReached(one));
    if (peer === undefined || this.#renewal || this.#repair) return;
    this.#core.trace.log('warn', `a majority contradicts the state here; it is fetched anew from ${peer}`, cause);
    this.#renewal = new Renewal(peer, this.#core.resolver, now);
    this.#core.links.send([peer], { type: 'PEER_REQUEST', vector: [] }, cause);
  }

  /** Whether changes were for the history that is fetched anew. @throws SyncError where anything about them is wrong */
  renew(sender: ReplicaId, changes: CheckedChanges, cause: readonly number[], now: number): boolean {
    const renewal = this.#renewal;
    if (renewal?.peer !== sender || this.#repair) return false;
    const isFirst = !renewal.hasBase && changes.from.entries().length === 0;
    if (isFirst) renewal.takeBase(VersionVector.empty, this.#core.initial);
    let isTaken = false;
    try {
      isTaken = renewal.take(changes);
      if (isTaken) this.#finishRenewal(renewal, cause);
    } catch (error) {
      this.#renewal = undefined;
      throw error;
    }
    if (isTaken && this.#renewal) {
      this.#core.links.send([sender], { type: 'PEER_REQUEST', vector: renewal.vector.entries() }, cause);
    }
    if (isTaken) this.#core.observe(changes.mutations, now);
    return isTaken;
  }

  #askRenewal(now: number, cause: readonly number[]): void {
    const renewal = this.#renewal;
    if (!renewal || this.#repair) return;
    if (!this.#parts.partition.isReached(renewal.peer) || renewal.isHopeless) {
      this.#renewal = undefined;
      return;
    }
    if (!renewal.isDue(now, this.#core.settings.resendAfter)) return;
    this.#core.links.send([renewal.peer], { type: 'PEER_REQUEST', vector: renewal.vector.entries() }, cause);
  }

  #finishRenewal(renewal: Renewal, cause: readonly number[]): void {
    const { history: before, links, trace } = this.#core;
    const next = renewal.finished(before);
    if (!next) return;
    this.#renewal = undefined;
    this.#doubts.clear();
    this.#core.history = next;
    const seq = trace.applied(before.vector, next.vector, before.root, next.root, cause);
    trace.snapshot('full-sync', this.#core.vector, this.#core.root);
    this.#core.changed([seq]);
    this.#core.sendStatus(links.others, [seq]);
  }
}
