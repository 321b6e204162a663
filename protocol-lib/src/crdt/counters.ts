import { SyncError } from '../errors/index.ts';
import { StateRoot } from '../merkle/index.ts';
import { object, uint } from '../schema/index.ts';
import { type Change, type RecordKey, type ReplicaId, recordKey, replicaId, type SyncRecord } from '../state/index.ts';
import { JoinedRecords } from './joined-records.ts';

const SIDES = ['increments', 'decrements'] as const;
const tallySchema = object({ increments: uint, decrements: uint });
const growingSchema = object({ increments: uint });

/** What counters have in common: records that are joined by the greater of each side. */
abstract class Counter {
  protected readonly tally: Tally;

  /** @param name the collection of its records, such as `likes` @throws SyncError `SCHEMA_MISMATCH` where `root` holds other records */
  constructor(name: string, replica: ReplicaId, root: StateRoot, sides: readonly Side[]) {
    this.tally = new Tally(name, replica, root, sides);
  }

  /** @throws RangeError where `by` is not an integer from 1, or the total leaves 2^53 - 1 */
  increment(by = 1): Change[] {
    return this.tally.add('increments', by);
  }

  root(): StateRoot {
    return this.tally.records.root();
  }

  /** Joins a delta, in any order and as often as it comes. Answers what changed. @throws SyncError; the counter is then as before */
  apply(delta: Iterable<readonly [RecordKey, SyncRecord]>): Change[] {
    return this.tally.records.joinAll(delta);
  }

  merge(other: StateRoot): Change[] {
    return this.tally.records.merge(other);
  }

  since(base: StateRoot): [RecordKey, SyncRecord][] {
    return this.tally.records.since(base);
  }
}

/**
 * A counter that only grows: a record a writer, `name/writer`, with what it has added in all; joined by the greater.
 * The delta that {@link GCounter.increment} answers carries the writer's total, so a lost one is made good by the next.
 */
export class GCounter extends Counter {
  constructor(name: string, replica: ReplicaId, root: StateRoot = StateRoot.empty) {
    super(name, replica, root, ['increments']);
  }

  get value(): number {
    return this.tally.sum('increments');
  }
}

/** A counter that goes both ways: what each writer has added and what it has taken away, both of which only grow. */
export class PNCounter extends Counter {
  constructor(name: string, replica: ReplicaId, root: StateRoot = StateRoot.empty) {
    super(name, replica, root, SIDES);
  }

  get value(): number {
    return this.tally.sum('increments') - this.tally.sum('decrements');
  }

  /** @throws RangeError as {@link PNCounter.increment} */
  decrement(by = 1): Change[] {
    return this.tally.add('decrements', by);
  }
}

type Side = (typeof SIDES)[number];

class Tally {
  readonly records: JoinedRecords;
  readonly #own: RecordKey;
  readonly #sides: readonly Side[];

  constructor(name: string, replica: ReplicaId, root: StateRoot, sides: readonly Side[]) {
    this.#own = recordKey(`${name}/${replica}`);
    this.#sides = sides;
    const schema = sides.length === 1 ? growingSchema : tallySchema;
    const read = (key: RecordKey, record: SyncRecord) => {
      if (!key.startsWith(`${name}/`)) throw foreignKey(key, name);
      replicaId(key.slice(name.length + 1));
      return schema.parse(record, key);
    };
    this.records = new JoinedRecords(root, (left, right) => this.#join(left, right), read);
  }

  sum(side: Side): number {
    let sum = 0;
    for (const [, record] of this.records.entries()) sum += record[side] as number;
    return sum;
  }

  add(side: Side, by: number): Change[] {
    const before = this.records.get(this.#own) ?? Object.fromEntries(this.#sides.map((name) => [name, 0]));
    const total = (before[side] as number) + by;
    if (!Number.isSafeInteger(by) || by < 1 || !Number.isSafeInteger(total)) {
      throw new RangeError(
        `a counter moves by an integer from 1 and stays below 2^53, not by ${by} from ${before[side]}`,
      );
    }
    const change = this.records.join(this.#own, { ...before, [side]: total });
    return change === undefined ? [] : [change];
  }

  #join(left: SyncRecord, right: SyncRecord): SyncRecord {
    if (this.#sides.every((side) => (left[side] as number) >= (right[side] as number))) return left;
    return Object.fromEntries(this.#sides.map((side) => [side, Math.max(left[side] as number, right[side] as number)]));
  }
}

/** The error for a record that belongs to something else. */
export function foreignKey(key: RecordKey, name: string): SyncError {
  return new SyncError('CRDT_FOREIGN_RECORD', `${key} is no record of ${name}`, { origin: 'state', place: { key } });
}
