import type { VersionVector } from '../clock/index.ts';
import { SyncError } from '../errors/index.ts';
import type { MerkleAnswer, MerkleQuery } from '../merkle/index.ts';
import { MerkleDescent, type MerkleDifference, type StateRoot } from '../merkle/index.ts';
import type { ReplicaId, StateHash } from '../state/index.ts';

/** What somebody says of the checkpoint that its history begins with. */
export interface StatedBase {
  readonly vector: VersionVector;
  readonly root: StateHash;
}

/**
 * Taking over the state at another's checkpoint, where the changes that led to it are no longer kept, or where the same changes led to
 * another state here. Only unequal subtrees are asked for, and every part is verified against the root before it counts.
 */
export class BaseRepair {
  readonly peer: ReplicaId;
  readonly base: StatedBase;
  readonly #own: StateRoot;
  readonly #descent: MerkleDescent;
  #askedAt: number | undefined;

  constructor(peer: ReplicaId, base: StatedBase, own: StateRoot) {
    this.peer = peer;
    this.base = base;
    this.#own = own;
    this.#descent = new MerkleDescent(own, base.root);
  }

  get differences(): readonly MerkleDifference[] {
    return this.#descent.differences;
  }

  get cost(): { readonly rounds: number; readonly hashes: number; readonly bytes: number } {
    const { rounds, hashes, bytes } = this.#descent;
    return { rounds, hashes, bytes };
  }

  /** What to ask now: a new question, or the one that had no answer for `patience` nanoseconds. */
  ask(now: number, patience: number): MerkleQuery | undefined {
    if (this.#askedAt !== undefined && now - this.#askedAt < patience) return undefined;
    const query = this.#descent.next();
    if (query) this.#askedAt = now;
    return query;
  }

  /**
   * Takes an answer; the state of the base once everything is known.
   * @throws SyncError `MERKLE_UNVERIFIED`, or `ROOT_DIFFERS` where the parts do not add up to the root
   */
  receive(answer: MerkleAnswer): StateRoot | undefined {
    this.#descent.receive(answer);
    this.#askedAt = undefined;
    return this.finished();
  }

  finished(): StateRoot | undefined {
    if (!this.#descent.isDone) return undefined;
    const root = this.#own.apply(this.#descent.result());
    if (root.hash === this.base.root) return root;
    throw new SyncError('ROOT_DIFFERS', `the repaired state has the root ${root.hash}, not ${this.base.root}`, {
      origin: 'protocol',
      retry: 'backoff',
    });
  }
}

/**
 * Of two states that the same mutations led to, which is right: the one that more members have, and of two that equally many have, that
 * of the member whose name comes first. All members choose alike.
 */
export function prefersTheirs(
  own: { readonly replica: ReplicaId; readonly root: StateHash },
  stated: ReadonlyMap<ReplicaId, StateHash>,
  theirs: StateHash,
): boolean {
  const holders = (root: StateHash): ReplicaId[] => {
    const found = [...stated].filter(([, one]) => one === root).map(([replica]) => replica);
    return (root === own.root ? [...found, own.replica] : found).sort();
  };
  const [mine, others] = [holders(own.root), holders(theirs)];
  if (mine.length !== others.length) return others.length > mine.length;
  return others[0]! < mine[0]!;
}
