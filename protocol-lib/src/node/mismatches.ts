import type { ReplicaId, StateHash, Version } from '../state/index.ts';
import type { TraceBodyOf, TraceRecord } from '../trace/index.ts';

const KEPT_VERSIONS = 512;

/**
 * Which records say that two differ. A delta that was refused since it does not fit is none, as in the inspector: the replica asks again. It is one where
 * the replica holds something else than its authority had at that version.
 */
export class Mismatches {
  readonly #authority: ReplicaId | null;
  /** Of late: what the authority had, or a group decided. */
  readonly #roots = new Map<Version, StateHash>();
  /** Who is shown a part, whose root says nothing of the whole. */
  readonly #partial = new Set<ReplicaId>();

  constructor(authority: ReplicaId | null) {
    this.#authority = authority;
  }

  /** Takes the next record. Answers whether it says so. */
  take({ body, replica }: TraceRecord): boolean {
    switch (body.kind) {
      case 'commit':
      case 'snapshot':
        this.#told(body, replica);
        return false;
      case 'view':
        this.#partial.add(replica);
        return false;
      case 'gone':
        this.#partial.delete(replica);
        return false;
      case 'divergence':
        return true;
      case 'hash':
        return body.agrees === false;
      case 'mismatch':
        return body.reason !== 'base' || this.#isWrong(body, replica);
      default:
        return false;
    }
  }

  #told({ kind, version, root }: TraceBodyOf<'commit' | 'snapshot'>, replica: ReplicaId): void {
    const isTold = this.#authority === null ? kind === 'commit' : replica === this.#authority;
    if (!isTold || root === undefined) return;
    this.#roots.delete(version);
    this.#roots.set(version, root);
    if (this.#roots.size > KEPT_VERSIONS) this.#roots.delete(this.#roots.keys().next().value!);
  }

  #isWrong({ version, own }: TraceBodyOf<'mismatch'>, replica: ReplicaId): boolean {
    const known = this.#partial.has(replica) ? undefined : this.#roots.get(version);
    // In a group a change that does not fit was made on another state: whose is right nobody says.
    return known === undefined ? this.#authority === null : known !== own;
  }
}
