import type { ReplicaId } from '../state/index.ts';
import type { RecordRef, VerdictClass } from './finding.ts';
import type { Step, Trail } from './trail.ts';

const MAX_DOUBTS = 64;

interface Doubt {
  /** Whether the hash is that of what it has by its records. */
  readonly isOwn: boolean;
  /** Version and hash. */
  readonly key: string;
  /** What it only looks like, if it is none. */
  readonly verdict: VerdictClass;
  /** It only looked like a divergence. */
  sure(): void;
  /** It was one, or nobody can say. */
  otherwise(): void;
}

/**
 * Hashes that are those of something else than they were said to be of. Either the replica named the wrong thing, or it holds the wrong thing; what it
 * does next tells which.
 */
export class Doubts {
  readonly #open = new Map<ReplicaId, (Doubt & { readonly said: number })[]>();
  /** Of each replica what it was found to have said wrongly. */
  readonly #known = new Map<ReplicaId, string>();
  /** Of each replica what it was found to say wrongly, though it held the right thing. */
  readonly #habits = new Map<ReplicaId, Set<VerdictClass>>();

  /**
   * @param held what its records gave it at the version
   * @param sent the frame in which it said so
   */
  take(
    { id, verified }: Trail,
    held: Step | undefined,
    sent: { readonly ref: RecordRef; readonly cause: RecordRef | undefined },
    doubt: Doubt,
  ): void {
    const said = sent.ref.position;
    // It came to the state with the very record that made it say so, or has shown since that it has it.
    const isFresh = held !== undefined && held.at.position === sent.cause?.position;
    const isShown = held !== undefined && (verified?.position ?? -1) > said;
    if (doubt.isOwn || isFresh || isShown || this.#known.get(id) === doubt.key) {
      this.#sure(id, doubt);
      return;
    }
    const open = this.#open.get(id) ?? [];
    this.#open.set(id, open);
    if (open.length < MAX_DOUBTS) open.push({ ...doubt, said });
  }

  /** The replica was seen to have what its records say, at a position. */
  settle(id: ReplicaId, position: number): void {
    const open = this.#open.get(id);
    if (!open) return;
    const settled = open.filter(({ said }) => said < position);
    for (const one of settled) this.#sure(id, one);
    if (settled.length === open.length) this.#open.delete(id);
    else this.#open.set(id, open.slice(settled.length));
  }

  /** The replica was found to differ, which is said in another way. */
  drop(id: ReplicaId): void {
    this.#open.delete(id);
    this.#habits.delete(id);
  }

  /** Nothing more comes: what a replica has always said wrongly it says wrongly once more. */
  finish(): void {
    for (const [id, open] of [...this.#open]) {
      const odd = open.find(({ verdict }) => !this.#habits.get(id)?.has(verdict));
      if (odd) odd.otherwise();
      else for (const one of open) one.sure();
    }
    this.#open.clear();
  }

  #sure(id: ReplicaId, doubt: Doubt): void {
    this.#known.set(id, doubt.key);
    const habits = this.#habits.get(id) ?? new Set();
    this.#habits.set(id, habits.add(doubt.verdict));
    doubt.sure();
  }
}
