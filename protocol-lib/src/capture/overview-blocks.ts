import { IntegerList } from './integer-list.ts';
import { type Agreement, KIND_GROUPS } from './query.ts';

/** Records in one block. Part of the file format. */
export const BLOCK_RECORDS = 256;
const BLOCK_SHIFT = 8;

/** What one replica did in the block that is being filled. */
interface OpenLane {
  count: number;
  kinds: number;
  worst: Agreement;
  after: Agreement;
}

/**
 * The overview of a capture in blocks of {@link BLOCK_RECORDS} records: counts by group and kinds seen, in
 * all and for each replica that wrote in the block, with its worst agreement there and the last one. Only
 * whole blocks are here; what comes after the last is asked of the columns.
 */
export class OverviewBlocks {
  /** Time of each block's first record. */
  readonly time = new IntegerList(true);
  readonly kinds = new IntegerList();
  /** By kind group. */
  readonly counts = KIND_GROUPS.map(() => new IntegerList());
  /** Parallel: the block (ascending), a replica by number, how many records, which kinds, worst agreement × 4 + last one. */
  readonly laneBlock = new IntegerList();
  readonly laneReplica = new IntegerList();
  readonly laneCount = new IntegerList();
  readonly laneKinds = new IntegerList();
  readonly laneAgreement = new IntegerList();
  #open = new Map<number, OpenLane>();
  #openCounts = KIND_GROUPS.map(() => 0);
  #openKinds = 0;
  #openTime = 0;
  #filled = 0;

  /** Whole blocks. */
  get length(): number {
    return this.time.length;
  }

  /** Takes the next record. `before` and `after` are its replica's agreement before and after it. */
  take(time: number, replica: number, kind: number, group: number, before: Agreement, after: Agreement): void {
    if (this.#filled === 0) this.#openTime = time;
    this.#openCounts[group]!++;
    this.#openKinds |= 1 << kind;
    let lane = this.#open.get(replica);
    if (!lane) {
      lane = { count: 0, kinds: 0, worst: before, after };
      this.#open.set(replica, lane);
    }
    lane.count++;
    lane.kinds |= 1 << kind;
    lane.after = after;
    // Agreements are numbered from the best to the worst.
    if (after > lane.worst) lane.worst = after;
    if (++this.#filled === BLOCK_RECORDS) this.#close();
  }

  #close(): void {
    const block = this.length;
    this.time.push(this.#openTime);
    this.kinds.push(this.#openKinds);
    for (const [group, list] of this.counts.entries()) list.push(this.#openCounts[group]!);
    for (const [replica, lane] of this.#open) {
      this.laneBlock.push(block);
      this.laneReplica.push(replica);
      this.laneCount.push(lane.count);
      this.laneKinds.push(lane.kinds);
      this.laneAgreement.push(lane.worst * 4 + lane.after);
    }
    this.#open.clear();
    this.#openCounts.fill(0);
    this.#openKinds = 0;
    this.#filled = 0;
  }

  /** The block that holds a position. */
  static of(position: number): number {
    return position >>> BLOCK_SHIFT;
  }
}
