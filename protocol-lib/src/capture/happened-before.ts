import type { CaptureIndex } from './capture-index.ts';
import { KIND } from './envelope.ts';
import type { Relation } from './filter-syntax.ts';

/**
 * Which records happened before one, after it, or neither (Lamport, Time, Clocks, and the Ordering of Events, 1978): a record follows upon
 * the one before it of its replica, upon its causes, and a receipt upon what was sent. So of each replica those up to one are before, and those from one on
 * after: two positions a replica, worked out once and carried on while the capture grows.
 */
export class HappenedBefore {
  readonly #index: CaptureIndex;
  readonly #seq: number;
  #position = -1;
  /** By replica the last position before. */
  readonly #before = new Map<number, number>();
  /** By replica the first position after. */
  readonly #after = new Map<number, number>();
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
      this.#after.set(this.#index.columns.replica(this.#position), this.#position + 1);
      this.#scannedTo = this.#position + 1;
    }
    for (; this.#scannedTo < end; this.#scannedTo++) this.#lookOn(this.#scannedTo);
  }

  holds(relation: Relation, position: number): boolean {
    if (this.#position < 0 || position === this.#position) return false;
    switch (relation) {
      case 'before':
        return this.#isBefore(position);
      case 'after':
        return this.#isAfter(position);
      case 'concurrent':
        return !this.#isBefore(position) && !this.#isAfter(position);
    }
  }

  #isBefore(at: number): boolean {
    return at <= (this.#before.get(this.#index.columns.replica(at)) ?? -1);
  }

  #isAfter(at: number): boolean {
    return at >= (this.#after.get(this.#index.columns.replica(at)) ?? Number.POSITIVE_INFINITY);
  }

  #lookBack(): void {
    const { columns, start } = this.#index;
    const found = (at: number): void => {
      const replica = columns.replica(at);
      this.#before.set(replica, Math.max(at, this.#before.get(replica) ?? -1));
    };
    if (this.#position > start) this.#before.set(columns.replica(this.#position), this.#position - 1);
    for (let at = this.#position; at >= start; at--) {
      if (at !== this.#position && !this.#isBefore(at)) continue;
      for (const cause of this.#causes(at)) if (cause < at) found(cause);
    }
  }

  #lookOn(at: number): void {
    if (this.#isAfter(at)) return;
    const follows = this.#causes(at).some((cause) => cause === this.#position || (cause < at && this.#isAfter(cause)));
    if (follows) this.#after.set(this.#index.columns.replica(at), at);
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
