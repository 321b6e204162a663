import type { ReplicaId } from '../state/index.ts';
import type { VectorEntries } from '../trace/index.ts';
import { IntegerList } from './integer-list.ts';
import { AGREEMENT, type Agreement } from './query.ts';
import { freshStanding, type Standing } from './standing.ts';

/** A time in which a replica held other values than its records give: found out at `start`, over at `end`. */
export interface Drift {
  readonly start: number;
  readonly version: number;
  /** Position of the divergence record that tells its own values; -1 where none does. */
  divergence: number;
  /** Position of a snapshot of its own whole state; -1 where there is none. */
  snapshot: number;
  end: number;
}

/** What the index keeps of one replica. */
export class ReplicaIndex {
  readonly id: ReplicaId;
  /** As far as it is known without its `replica` record. */
  role: 'server' | 'client' | 'peer' = 'client';
  /** Position of its first `replica` record, -1 for none, and what that said once it was read. */
  introducedAt = -1;
  introduction: { readonly role: ReplicaIndex['role']; readonly title: string | undefined } | undefined;
  first = 0;
  last = 0;
  records = 0;
  /** Positions of the kinds that tell or change its committed state. */
  readonly states = new IntegerList();
  /** Positions of the records that set many keys at once: repairs, and snapshots that say something new. */
  readonly resets = new IntegerList();
  readonly rebases = new IntegerList();
  readonly vectors = new IntegerList();
  /** Positions at which the agreement changed, and to what. */
  readonly turns = new IntegerList();
  readonly turnsTo = new IntegerList();
  /** Positions at which it refused a delta that did not fit, while it was not known to differ. */
  readonly refusals = new IntegerList();
  readonly drifts: Drift[] = [];
  /** How it stands after the last record taken; of a growing capture only. */
  readonly standing: Standing = freshStanding();
  /** What is drawn of {@link standing}. */
  agreement: Agreement = AGREEMENT.unknown;
  /** What it had seen before the first record kept, where older ones were dropped. */
  vectorAtStart: VectorEntries | undefined;

  constructor(id: ReplicaId) {
    this.id = id;
  }

  /** The drift that is not over at the end. */
  get openDrift(): Drift | undefined {
    const last = this.drifts.at(-1);
    return last && last.end < 0 ? last : undefined;
  }

  /** The drift that a position lies in. */
  driftAt(position: number): Drift | undefined {
    return this.drifts.findLast((one) => one.start <= position && (one.end < 0 || position < one.end));
  }

  dropBelow(position: number): void {
    this.states.dropBelow(position);
    this.resets.dropBelow(position);
    this.rebases.dropBelow(position);
    this.vectors.dropBelow(position);
    this.refusals.dropBelow(position);
    // The last turn before the cut says how things stand at it.
    const turns = Math.max(0, this.turns.countBelow(position + 1) - 1);
    this.turns.dropFirst(turns);
    this.turnsTo.dropFirst(turns);
  }
}
