import type { ReplicaId } from '../state/index.ts';
import { type ToldRoot, type TraceKind, type TraceRecord, toldRoot } from '../trace/index.ts';
import { isInputs } from './batches.ts';
import { KeyMaker, PASSED_OVER, versionIn } from './compare-keys.ts';
import { Lane, noTally, type Parting, type Side, type Tally } from './compare-lane.ts';
import type { CommonStart } from './compare-start.ts';
import { isDescribing } from './left-out.ts';
import type { Placed } from './steps.ts';

/** Records that wait for the other side, at most, of all replicas together. */
const MAX_WAITING = 200_000;

/** What one side is, as it is read. */
class Reading {
  readonly keys = new KeyMaker();
  readonly counts = new Map<TraceKind, number>();
  readonly ends = new Map<ReplicaId, ToldRoot>();
  /** What is before the common start. */
  readonly before = { records: 0, version: undefined as number | undefined };
  read = -1;
  through = -1;

  count({ replica, body }: TraceRecord): void {
    this.counts.set(body.kind, (this.counts.get(body.kind) ?? 0) + 1);
    if (PASSED_OVER.has(body.kind)) return;
    const told = toldRoot(body);
    if (!told) return;
    const end = this.ends.get(replica);
    // What is compared may be an older version, which says nothing of the end.
    const isCompared = body.kind === 'hash' || body.kind === 'mismatch';
    if (!(isCompared && end && told.version < end.version)) this.ends.set(replica, told);
  }

  isBefore({ body }: TraceRecord): void {
    this.before.records++;
    const version = versionIn(body);
    if (version !== undefined) this.before.version = Math.max(version, this.before.version ?? 0);
  }
}

/** Puts two captures beside each other while they are read, each in its order, by turns as {@link next} says. */
export class Aligner {
  readonly left = new Reading();
  readonly right = new Reading();
  readonly lanes = new Map<ReplicaId, Lane>();
  readonly start: CommonStart;
  readonly #isEnded = { left: false, right: false };

  constructor(start: CommonStart) {
    this.start = start;
  }

  /** Which side to read on: that of which less waits for the other. Undefined where both are read. */
  next(): Side | undefined {
    const { left, right } = this.#isEnded;
    if (left || right) return left && right ? undefined : left ? 'right' : 'left';
    const ahead = ({ read, through }: Reading): number => read - through;
    return ahead(this.left) <= ahead(this.right) ? 'left' : 'right';
  }

  take(side: Side, { position, record }: Placed): void {
    const reading = this[side];
    reading.read = position;
    if (isInputs(record)) return;
    reading.count(record);
    const { kind } = record.body;
    if (PASSED_OVER.has(kind)) return;
    // Also of what comes before: it may be the cause of what comes after.
    const keys = reading.keys.keysOf(record);
    if (position < this.start[side]) {
      reading.isBefore(record);
      reading.through = position;
      return;
    }
    const lane = this.#lane(record.replica);
    const version = versionIn(record.body) ?? -1;
    lane.take(side, { ...keys, position, version, isDescribing: isDescribing(kind) });
    this.#advance(lane);
    if (this.#waiting > MAX_WAITING) this.#advance(this.#longest(), true);
  }

  end(side: Side): void {
    this.#isEnded[side] = true;
    for (const lane of this.lanes.values()) this.#advance(lane);
  }

  get tally(): Tally {
    const sum = noTally();
    for (const { tally } of this.lanes.values()) {
      for (const name of Object.keys(sum) as (keyof Tally)[]) sum[name] += tally[name];
    }
    return sum;
  }

  /** Where each replica's sides part, by replica. */
  get partings(): Array<{ readonly replica: ReplicaId; readonly parting: Parting }> {
    return [...this.lanes]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .flatMap(([replica, { parting }]) => (parting ? [{ replica, parting }] : []));
  }

  #waiting = 0;

  #lane(replica: ReplicaId): Lane {
    let lane = this.lanes.get(replica);
    if (!lane) {
      lane = new Lane(this.#isEnded, this.start.later);
      this.lanes.set(replica, lane);
    }
    this.#waiting++;
    return lane;
  }

  #advance(lane: Lane, isForced = false): void {
    const before = lane.waiting;
    lane.advance(isForced);
    this.#waiting -= before - lane.waiting;
    this.left.through = Math.max(this.left.through, lane.through.left);
    this.right.through = Math.max(this.right.through, lane.through.right);
  }

  #longest(): Lane {
    return [...this.lanes.values()].reduce((most, lane) => (lane.waiting > most.waiting ? lane : most));
  }
}
