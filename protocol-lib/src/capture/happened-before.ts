import type { CaptureIndex } from './capture-index.ts';
import { KIND } from './envelope.ts';
import type { Relation } from './filter-syntax.ts';

/**
 * Which records happened before one, after it, or neither (Lamport, Time, Clocks, and the Ordering of Events, 1978): a record follows upon
 * the one before it of its replica, upon its causes, and a receipt upon what was sent. A bit a record, worked out once and carried on while
 * the capture grows.
 */
export class HappenedBefore {
  readonly #index: CaptureIndex;
  readonly #seq: number;
  #position = -1;
  readonly #before = new Set<number>();
  readonly #after = new Set<number>();
  /** Replicas of which every later record is after. */
  readonly #reached = new Set<number>();
  #scannedTo = -1;

  constructor(index: CaptureIndex, seq: number) {
    this.#index = index;
    this.#seq = seq;
  }

  /** Position of the record that all are compared with; -1 where it is not there. */
  get position(): number {
    return this.#position;
  }

  /** Looks at everything up to `end`. */
  prepare(end: number): void {
    if (this.#position < 0) {
      this.#position = this.#index.positionOfSeq(this.#seq);
      if (this.#position < 0) return;
      this.#lookBack();
      this.#reached.add(this.#index.columns.replica(this.#position));
      this.#scannedTo = this.#position + 1;
    }
    for (; this.#scannedTo < end; this.#scannedTo++) this.#lookOn(this.#scannedTo);
  }

  holds(relation: Relation, position: number): boolean {
    if (this.#position < 0 || position === this.#position) return false;
    switch (relation) {
      case 'before':
        return this.#before.has(position);
      case 'after':
        return this.#after.has(position);
      case 'concurrent':
        return !this.#before.has(position) && !this.#after.has(position);
    }
  }

  #lookBack(): void {
    const { columns, start } = this.#index;
    const wanted = new Set<number>(this.#causes(this.#position));
    const reached = new Set([columns.replica(this.#position)]);
    for (let at = this.#position - 1; at >= start; at--) {
      const replica = columns.replica(at);
      if (!reached.has(replica) && !wanted.delete(at)) continue;
      reached.add(replica);
      this.#before.add(at);
      for (const cause of this.#causes(at)) if (cause < at) wanted.add(cause);
    }
  }

  #lookOn(at: number): void {
    const replica = this.#index.columns.replica(at);
    const follows =
      this.#reached.has(replica) ||
      this.#causes(at).some((cause) => cause === this.#position || this.#after.has(cause));
    if (!follows) return;
    this.#reached.add(replica);
    this.#after.add(at);
  }

  /** Positions of what made a record happen, besides the one before it of its replica. */
  #causes(at: number): number[] {
    const { columns } = this.#index;
    const causes = [...this.#index.extraCauses(at)];
    const first = columns.cause(at);
    if (first >= 0) causes.push(first);
    if (columns.kind(at) === KIND.receive && columns.partner(at) >= 0) causes.push(columns.partner(at));
    return causes;
  }
}
