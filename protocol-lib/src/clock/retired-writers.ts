import { SyncError } from '../errors/index.ts';
import type { ReplicaId } from '../state/index.ts';

/**
 * Writers that have left for good, each with the number of mutations that it ever made, in the order of their leaving.
 * All replicas of a session must agree on this list, so it belongs into the log or under consensus; being only ever
 * appended to, its length names it. Vectors {@link VersionVector.prune} by it. A value.
 */
export class RetiredWriters {
  static readonly none: RetiredWriters = new RetiredWriters(new Map());

  readonly #finals: ReadonlyMap<ReplicaId, number>;

  private constructor(finals: ReadonlyMap<ReplicaId, number>) {
    this.#finals = finals;
  }

  /** How many; also which state of the list this is. */
  get size(): number {
    return this.#finals.size;
  }

  /** Mutations that the writer ever made; 0 where it has not retired. */
  get(replica: ReplicaId): number {
    return this.#finals.get(replica) ?? 0;
  }

  /**
   * The list with one more writer.
   * @throws RangeError where `counter` is not an integer from 1 to 2^53 - 1
   * @throws SyncError `VECTOR_RETIRED` where the writer has retired with another counter
   */
  retire(replica: ReplicaId, counter: number): RetiredWriters {
    if (!Number.isSafeInteger(counter) || counter < 1) {
      throw new RangeError(`a writer retires with an integer from 1 to 2^53 - 1, not ${counter}`);
    }
    const known = this.#finals.get(replica);
    if (known === counter) return this;
    if (known !== undefined) throw differs(replica, known, counter);
    return new RetiredWriters(new Map(this.#finals).set(replica, counter));
  }

  /** The list as it was when it had `size` writers; nothing where it never had so many. */
  at(size: number): RetiredWriters | undefined {
    if (size === this.size) return this;
    if (size > this.size) return undefined;
    return size === 0 ? RetiredWriters.none : new RetiredWriters(new Map([...this.#finals].slice(0, size)));
  }

  /** The longer of two states of the list. @throws SyncError `VECTOR_RETIRED` where neither is the beginning of the other */
  union(other: RetiredWriters): RetiredWriters {
    if (other === this || other.size === 0) return this;
    if (this.size === 0) return other;
    const [shorter, longer] = this.size <= other.size ? [this, other] : [other, this];
    const long = longer.entries();
    shorter.entries().forEach(({ replica, counter }, place) => {
      const there = long[place]!;
      if (there.replica !== replica || there.counter !== counter) throw differs(replica, counter, longer.get(replica));
    });
    return this.size >= other.size ? this : other;
  }

  /** @throws SyncError `VECTOR_RETIRED` where the writer has retired having written fewer than `counter` */
  check(replica: ReplicaId, counter: number): void {
    const known = this.#finals.get(replica);
    if (known !== undefined && counter > known) throw differs(replica, known, counter);
  }

  entries(): { readonly replica: ReplicaId; readonly counter: number }[] {
    return Array.from(this.#finals, ([replica, counter]) => ({ replica, counter }));
  }
}

function differs(replica: ReplicaId, known: number, counter: number): SyncError {
  return new SyncError(
    'VECTOR_RETIRED',
    `writer ${replica} has retired with ${known} mutations, and ${counter} are now spoken of; replicas must agree on who retired, and a writer that returns takes a new id`,
    { origin: 'protocol' },
  );
}
