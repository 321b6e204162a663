import { VersionVector, vectorFromOutside } from '../clock/index.ts';
import { isSyncError, SyncError } from '../errors/index.ts';
import type { BodyOf, MessageOf } from '../messages/index.ts';
import type { ReplicaId } from '../state/index.ts';
import { HeldBatches } from './held.ts';
import type { PeerHistory } from './history.ts';
import type { PartitionRecoveryManager } from './partition.ts';
import type { PeerCheckpoints } from './peer-checkpoints.ts';
import { nameOf, type PeerCore } from './peer-core.ts';
import {
  type CheckedChanges,
  checkChanges,
  missingChanges,
  type PeerStanding,
  standingOf,
  withChanges,
} from './peer-sync.ts';

export interface ExchangeParts {
  readonly partition: PartitionRecoveryManager;
  readonly checkpoints: PeerCheckpoints;
  /** Where each other member has last said that it stands; kept by this part. */
  readonly standings: Map<ReplicaId, PeerStanding>;
}

/** The part of a replica that compares vectors with the others, sends what they lack, asks for what it lacks itself, and takes it in. */
export class PeerExchange {
  readonly #core: PeerCore;
  readonly #parts: ExchangeParts;
  readonly #held: HeldBatches;

  constructor(core: PeerCore, parts: ExchangeParts) {
    this.#core = core;
    this.#parts = parts;
    this.#held = new HeldBatches(core.settings.maxHeld);
  }

  /** Mutations that wait for a cause that has not come. */
  get held(): number {
    return this.#held.count;
  }

  onStatus(status: MessageOf<'PEER_STATUS'>, cause: readonly number[], now: number): void {
    const { sender, session } = status;
    const { history, metrics, stability, trace, vector } = this.#core;
    const { checkpoints, partition, standings } = this.#parts;
    if (session !== this.#core.session) {
      throw new SyncError('SESSION_UNKNOWN', `${sender} is of the session ${session}, not of ${this.#core.session}`, {
        origin: 'protocol',
      });
    }
    const standing = standingOf(status);
    standings.set(sender, standing);
    stability.heard(sender, standing.vector, vector);
    metrics?.backlog(sender, history.since(standing.vector).length);
    const order = vector.compare(standing.vector);
    const isEqual = order === 'equal' && standing.root === this.#core.root.hash;
    if (order === 'equal') {
      trace.hash(vector, this.#core.root.hash, standing.root, cause);
      checkpoints.doubt(sender, isEqual, cause, now);
    } else if (order === 'after' && standing.vector.covers(history.base.vector)) {
      // Who lags had this state too. It may lag only because ours is wrong, and nobody can take what was written upon it.
      checkpoints.doubt(sender, standing.root === history.at(standing.vector).hash, cause, now);
    }
    partition.heard(sender, standing.vector, isEqual, now);
    if (order === 'before' || order === 'concurrent') this.#request(sender, cause, now);
    if (order === 'after' || order === 'concurrent') this.#sendMissing(sender, standing.vector, cause, now, false);
    checkpoints.compareBases(sender, standing.base, cause, now);
  }

  onRequest({ sender, vector }: MessageOf<'PEER_REQUEST'>, cause: readonly number[], now: number): void {
    this.#sendMissing(sender, vectorFromOutside(vector), cause, now, true);
  }

  onChanges(body: MessageOf<'PEER_CHANGES'>, cause: readonly number[], now: number): void {
    const { sender } = body;
    const changes = checkChanges(body, this.#core.members);
    if (this.#parts.checkpoints.renew(sender, changes, cause, now)) return;
    if (!this.#core.vector.covers(changes.from)) {
      this.#hold(sender, body, cause, now);
      return;
    }
    this.#take(sender, changes, cause, now);
    for (;;) {
      const ready = this.#held.take(({ from }) => this.#core.vector.covers(VersionVector.from(from)));
      if (!ready) break;
      this.#takeHeld(ready.from, ready.body, cause, now);
    }
    // Says that it came, and asks for more where there is more.
    this.#core.sendStatus([sender], cause);
  }

  #request(from: ReplicaId, cause: readonly number[], now: number): void {
    const { links, vector } = this.#core;
    if (!this.#core.mayNowSay(`ask ${from}`, nameOf(vector), now)) return;
    links.send([from], { type: 'PEER_REQUEST', vector: vector.entries() }, cause);
  }

  #sendMissing(to: ReplicaId, theirs: VersionVector, cause: readonly number[], now: number, isAsked: boolean): void {
    const { history, links, settings, vector } = this.#core;
    const { base } = history;
    if (!theirs.covers(base.vector)) {
      if (theirs.covers(vector)) return;
      if (!this.#core.mayNowSay(`base ${to}`, nameOf(base.vector), now)) return;
      links.send([to], { type: 'PEER_BASE', vector: base.vector.entries(), root: base.root.hash }, cause);
      return;
    }
    const body = missingChanges(history, theirs, settings.maxBatch);
    if (!body) return;
    // Who asks has not got what was sent before.
    if (!this.#core.mayNowSay(`send ${to}`, `${nameOf(theirs)} ${nameOf(vector)} ${isAsked}`, now)) return;
    links.send([to], body, cause);
  }

  #takeHeld(from: ReplicaId, body: BodyOf<'PEER_CHANGES'>, cause: readonly number[], now: number): void {
    try {
      this.#take(from, checkChanges(body, this.#core.members), cause, now);
    } catch (error) {
      if (!isSyncError(error)) throw error;
      this.#core.trace.log('warn', `held changes of ${from} were refused: ${error.code}: ${error.message}`, cause);
    }
  }

  #hold(from: ReplicaId, body: BodyOf<'PEER_CHANGES'>, cause: readonly number[], now: number): void {
    const dropped = this.#held.hold({ from, body });
    const text = `${body.mutations.length} changes wait for what they follow upon${dropped > 0 ? `; ${dropped} had to go for want of room and will be asked for` : ''}`;
    this.#core.trace.log(dropped > 0 ? 'warn' : 'debug', text, cause);
    this.#request(from, cause, now);
  }

  /** All of the changes, or none. @throws SyncError where anything about them is wrong */
  #take(sender: ReplicaId, changes: CheckedChanges, cause: readonly number[], now: number): void {
    const before = this.#core.history;
    const next = this.#checkedWith(sender, changes, cause, now);
    if (next === before) return;
    this.#core.observe(changes.mutations, now);
    this.#core.history = next;
    const seq = this.#core.trace.applied(before.vector, next.vector, before.root, next.root, cause);
    this.#core.changed([seq]);
  }

  #checkedWith(sender: ReplicaId, changes: CheckedChanges, cause: readonly number[], now: number): PeerHistory {
    try {
      return withChanges(this.#core.history, changes);
    } catch (error) {
      if (isSyncError(error, 'ROOT_DIFFERS')) {
        const { root, trace, vector } = this.#core;
        trace.mismatch(vector, changes.to, root.hash, changes.root, cause);
        this.#parts.checkpoints.doubt(sender, false, cause, now);
      }
      throw error;
    }
  }
}
