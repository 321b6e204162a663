import { compareHybrid, type HybridStamp, hybridStampSchema } from '../clock/index.ts';
import { StateRoot } from '../merkle/index.ts';
import { nullable, object } from '../schema/index.ts';
import { type Change, type RecordKey, recordKey, type SyncRecord, type Value, valueSchema } from '../state/index.ts';
import { foreignKey } from './counters.ts';
import { JoinedRecords } from './joined-records.ts';
import { compareValues, laterStamp, stampOf, stampValue } from './stamps.ts';

const elementSchema = object({
  added: nullable(hybridStampSchema),
  removed: nullable(hybridStampSchema),
  payload: valueSchema,
});

/**
 * A set in which the last write of an element wins. A record an element, `name/element`: the latest stamp that added it,
 * the latest that removed it, and the payload of that addition. Stamps are those of a {@link HybridClock}, ordered by
 * time, count and writer, so two replicas never disagree on which of two writes is the later, and a write that has seen
 * another overrides it whatever the wall clocks say.
 *
 * Equal stamps: no clock makes one twice; where a faulty writer does, an element both added and removed at the same
 * stamp is in the set (what is in doubt stays), and of two payloads the one with the greater canonical bytes counts.
 */
export class LWWElementSet {
  readonly #name: string;
  readonly #records: JoinedRecords;

  /** @param name the collection of its records @throws SyncError where `root` holds other records */
  constructor(name: string, root: StateRoot = StateRoot.empty) {
    this.#name = name;
    this.#records = new JoinedRecords(root, joinElements, (key, record) => {
      if (!key.startsWith(`${name}/`)) throw foreignKey(key, name);
      return elementRecord(record, key);
    });
  }

  /**
   * Adds an element, or gives it another payload. Answers the delta: one record, or nothing where a later addition is known.
   * @throws SyncError `KEY_INVALID` where `element` cannot be part of a key, `VALUE_INVALID` for a payload without canonical bytes
   */
  add(element: string, stamp: HybridStamp, payload: Value = null): Change[] {
    return this.#write(element, { added: stampValue(stamp), removed: null, payload });
  }

  /** Removes an element, also one that was never seen here. Answers the delta. @throws SyncError `KEY_INVALID` */
  remove(element: string, stamp: HybridStamp): Change[] {
    return this.#write(element, { added: null, removed: stampValue(stamp), payload: null });
  }

  has(element: string): boolean {
    const record = this.#records.get(recordKey(`${this.#name}/${element}`));
    return record !== undefined && isPresent(record);
  }

  /** The payload of an element that is in the set. */
  get(element: string): Value | undefined {
    const record = this.#records.get(recordKey(`${this.#name}/${element}`));
    return record !== undefined && isPresent(record) ? record.payload : undefined;
  }

  /** Elements and payloads, ascending by element. */
  values(): [string, Value][] {
    const values: [string, Value][] = [];
    for (const [key, record] of this.#records.entries()) {
      if (isPresent(record)) values.push([key.slice(this.#name.length + 1), record.payload!]);
    }
    return values.sort(([a], [b]) => (a < b ? -1 : 1));
  }

  root(): StateRoot {
    return this.#records.root();
  }

  /** Joins a delta, in any order and as often as it comes. Answers what changed. @throws SyncError; the set is then as before */
  apply(delta: Iterable<readonly [RecordKey, SyncRecord]>): Change[] {
    return this.#records.joinAll(delta);
  }

  /** Joins another replica's state; looks only at what differs. */
  merge(other: StateRoot): Change[] {
    return this.#records.merge(other);
  }

  since(base: StateRoot): [RecordKey, SyncRecord][] {
    return this.#records.since(base);
  }

  /**
   * Forgets removed elements whose last write every replica has seen: `stable` is the earliest of what the replicas say
   * they have seen everything up to. A replica that was not asked could bring them back. Answers how many.
   */
  collect(stable: HybridStamp): number {
    const gone: RecordKey[] = [];
    for (const [key, record] of this.#records.entries()) {
      if (isPresent(record)) continue;
      const { added, removed } = readElement(record, key);
      const last = laterStamp(added, removed);
      if (last !== null && compareHybrid(last, stable) <= 0) gone.push(key);
    }
    this.#records.discard(gone);
    return gone.length;
  }

  #write(element: string, record: SyncRecord): Change[] {
    const key = recordKey(`${this.#name}/${element}`);
    const change = this.#records.join(key, elementRecord(record, key));
    return change === undefined ? [] : [change];
  }
}

/** @throws SyncError `SCHEMA_MISMATCH` and what {@link valueSchema} throws */
function elementRecord(record: SyncRecord, key: RecordKey): SyncRecord {
  const { added, removed, payload } = elementSchema.parse(record, key);
  return {
    added: added === null ? null : stampValue(added),
    removed: removed === null ? null : stampValue(removed),
    payload,
  };
}

interface Element {
  readonly added: HybridStamp | null;
  readonly removed: HybridStamp | null;
}

function readElement(record: SyncRecord, key: string): Element {
  const read = (value: Value | undefined) => (value === null ? null : stampOf(value, key));
  return { added: read(record.added), removed: read(record.removed) };
}

/** Records in the set have passed the schema, so their stamps are believed here. */
function isPresent(record: SyncRecord): boolean {
  const added = record.added as HybridStamp | null;
  const removed = record.removed as HybridStamp | null;
  return added !== null && (removed === null || compareHybrid(added, removed) >= 0);
}

function joinElements(left: SyncRecord, right: SyncRecord, key: RecordKey): SyncRecord {
  const [ours, theirs] = [readElement(left, key), readElement(right, key)];
  const added = laterStamp(ours.added, theirs.added);
  const removed = laterStamp(ours.removed, theirs.removed);
  const isTheirs = added !== null && isTheirPayload(ours.added, theirs.added, left.payload!, right.payload!);
  const isOurs = sameStamp(ours.added, added) && sameStamp(ours.removed, removed);
  if (isOurs && !isTheirs) return left;
  return {
    added: added === null ? null : stampValue(added),
    removed: removed === null ? null : stampValue(removed),
    payload: isTheirs ? right.payload! : left.payload!,
  };
}

function isTheirPayload(ours: HybridStamp | null, theirs: HybridStamp | null, left: Value, right: Value): boolean {
  if (theirs === null) return false;
  if (ours === null) return true;
  const order = compareHybrid(theirs, ours);
  return order > 0 || (order === 0 && compareValues(right, left) > 0);
}

function sameStamp(left: HybridStamp | null, right: HybridStamp | null): boolean {
  return left === right || (left !== null && right !== null && compareHybrid(left, right) === 0);
}
