import { VersionVector } from '../clock/index.ts';
import type { ConflictResolver } from '../conflict/index.ts';
import type { StateRoot } from '../merkle/index.ts';
import type { ReplicaId } from '../state/index.ts';
import { PeerHistory } from './history.ts';
import { type CheckedChanges, withChanges } from './peer-sync.ts';

/** Which members' states contradict our own where we have the same mutations. */
export class Doubts {
  readonly #contradicting = new Set<ReplicaId>();
  readonly #members: number;

  constructor(members: number) {
    this.#members = members;
  }

  note(member: ReplicaId, agrees: boolean): void {
    if (agrees) this.#contradicting.delete(member);
    else this.#contradicting.add(member);
  }

  clear(): void {
    this.#contradicting.clear();
  }

  /** Those who contradict us, by name, where they are a majority of all: then it is we who are wrong. */
  get majority(): readonly ReplicaId[] {
    return this.#contradicting.size > this.#members / 2 ? [...this.#contradicting].sort() : [];
  }
}

/** Questions without an answer that leads on. */
const MAX_ASKED = 5;

/**
 * A history fetched anew from another member, beside the own one, whose checkpoint a majority contradicts: the other's checkpoint by a
 * Merkle descent, or the state that all began with, and the changes since. The own history stays what it is until the new one has
 * reached its checkpoint; then its mutations join, so that none is lost and no counter is given twice.
 */
export class Renewal {
  readonly peer: ReplicaId;
  readonly #resolver: ConflictResolver;
  #history: PeerHistory | undefined;
  #askedAt: number;
  #asked = 0;

  constructor(peer: ReplicaId, resolver: ConflictResolver, now: number) {
    this.peer = peer;
    this.#resolver = resolver;
    this.#askedAt = now;
  }

  /** From where on changes are wanted; from the beginning while there is nothing. */
  get vector(): VersionVector {
    return this.#history?.vector ?? VersionVector.empty;
  }

  get hasBase(): boolean {
    return this.#history !== undefined;
  }

  /** Whether a checkpoint of the other's leads further than what is here: it may have cut its history off meanwhile. */
  wantsBase(vector: VersionVector): boolean {
    return !this.hasBase || !this.vector.covers(vector);
  }

  /** Asked so often without getting on that it is better begun anew. */
  get isHopeless(): boolean {
    return this.#asked > MAX_ASKED;
  }

  /** Whether to ask once more. */
  isDue(now: number, patience: number): boolean {
    if (now - this.#askedAt < patience) return false;
    this.#askedAt = now;
    this.#asked++;
    return true;
  }

  takeBase(vector: VersionVector, root: StateRoot): void {
    this.#asked = 0;
    this.#history = PeerHistory.from(this.#resolver, { vector, root });
  }

  /** Answers whether they were what was wanted. @throws SyncError as `PeerHistory.added`, `ROOT_DIFFERS` */
  take(changes: CheckedChanges): boolean {
    const history = this.#history;
    if (!history?.vector.covers(changes.from)) return false;
    const next = withChanges(history, changes);
    this.#history = next;
    this.#asked = 0;
    return next !== history;
  }

  /** The new history with everything that the own one has, once it reaches that far. @throws SyncError as `PeerHistory.added` */
  finished(own: PeerHistory): PeerHistory | undefined {
    if (!this.#history?.vector.covers(own.base.vector)) return undefined;
    return this.#history.added(own.mutations);
  }
}
