import type { ReplicaId } from '../state/index.ts';
import type { VectorEntries } from '../trace/index.ts';
import type { Forgotten, RecordRef } from './finding.ts';
import { Recent } from './recent.ts';

const KEPT_INTAKES = 65_536;
/** What a vector counts at once beyond this is a whole state rather than changes. */
const MAX_AT_ONCE = 4_096;

/** With which record each peer took each mutation in, by what its vectors count. */
export class Intakes {
  readonly #vectors = new Map<ReplicaId, ReadonlyMap<ReplicaId, number>>();
  readonly #taken = new Recent<string, RecordRef>('stamps', KEPT_INTAKES);

  /** What a replica has without having taken it in here. */
  begun(replica: ReplicaId, vector: VectorEntries): void {
    this.#vectors.set(replica, countersOf(vector));
  }

  /** A replica's vector after the record `at`. Answers the mutations, as `writer:counter`, that it counts since. */
  take(replica: ReplicaId, vector: VectorEntries, at: RecordRef): string[] {
    const before = this.#vectors.get(replica);
    this.begun(replica, vector);
    if (!before) return [];
    const taken = vector.flatMap(({ replica: writer, counter }) => {
      const last = before.get(writer) ?? 0;
      const count = Math.min(MAX_AT_ONCE, Math.max(0, counter - last));
      return Array.from({ length: count }, (_, more) => `${writer}:${counter - more}`);
    });
    for (const id of taken) this.#taken.set(`${replica} ${id}`, at);
    return taken;
  }

  /** Records are missing: what each takes in next is not all that it counts. */
  lapse(): void {
    this.#vectors.clear();
  }

  of(replica: ReplicaId, id: string): RecordRef | undefined {
    return this.#taken.get(`${replica} ${id}`);
  }

  get forgotten(): Forgotten {
    return this.#taken.forgotten;
  }
}

function countersOf(vector: VectorEntries): ReadonlyMap<ReplicaId, number> {
  return new Map(vector.map(({ replica, counter }) => [replica, counter]));
}
