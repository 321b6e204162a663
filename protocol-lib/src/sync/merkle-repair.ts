import { type MerkleAnswer, MerkleDescent, type MerkleQuery, type StateRoot } from '../merkle/index.ts';
import { milliseconds } from '../ports/index.ts';
import type { Change, StateHash, Version } from '../state/index.ts';

/** An answer that has not come by then will not come. */
const ANSWER_TIMEOUT = milliseconds(3_000);

/** What an authority offers to descend against. */
export interface RepairOffer {
  readonly version: Version;
  readonly root: StateHash;
}

/** A client's repair under way: a Merkle descent from its own state towards the one that the authority keeps for it. */
export class MerkleRepair {
  readonly descent: MerkleDescent;
  readonly version: Version;
  readonly #base: StateRoot;
  readonly #root: StateHash;
  #until = 0;

  constructor(base: StateRoot, offer: RepairOffer) {
    this.descent = new MerkleDescent(base, offer.root);
    this.version = offer.version;
    this.#base = base;
    this.#root = offer.root;
  }

  /** Whether this is the very repair that an offer is about. */
  isFor(base: StateRoot, offer: RepairOffer): boolean {
    return this.version === offer.version && this.#root === offer.root && this.#base === base;
  }

  /** The next question; undefined when everything is known. */
  next(now: number): MerkleQuery | undefined {
    this.#until = now + ANSWER_TIMEOUT;
    return this.descent.next();
  }

  /** @throws SyncError `MERKLE_UNVERIFIED` where the answer is not what was promised */
  receive(answer: MerkleAnswer): void {
    this.descent.receive(answer);
  }

  isOverdue(now: number): boolean {
    return now >= this.#until;
  }

  /**
   * What was found, and the state with it; undefined where that is not the offered one after all. The descent verified
   * every part, so this only happens where the own state was changed meanwhile.
   */
  result(current: StateRoot): { readonly changes: readonly Change[]; readonly root: StateRoot } | undefined {
    if (current !== this.#base) return undefined;
    const changes = this.descent.result();
    const root = this.#base.apply(changes);
    return root.hash === this.#root ? { changes, root } : undefined;
  }
}
