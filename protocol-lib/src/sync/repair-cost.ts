import type { MerkleAnswer, StateRoot } from '../merkle/index.ts';
import type { Change, SyncRecord, Value } from '../state/index.ts';

/** How a client is brought up to date: by what changed, by a Merkle descent and then what changed, or by everything. */
export type RepairWay = 'delta' | 'merkle' | 'snapshot';

/** Expected bytes of each way that is open, and the cheapest of them. */
export interface RepairPlan {
  readonly way: RepairWay;
  readonly bytes: { readonly [W in RepairWay]?: number };
}

export interface RepairCase {
  /** Whether the client's state at its version is not ours. */
  readonly isDifferent: boolean;
  /** What changed since its version; undefined where that is not known any more. */
  readonly changes: readonly Change[] | undefined;
  /** What the client is to have in the end. */
  readonly root: StateRoot;
  /** Whether both sides can descend. */
  readonly mayDescend: boolean;
}

/** What differs after a lost or damaged change is a record or two; who differs in more is found out on the way. */
const EXPECTED_DIFFERENCES = 2;
const FAN_OUT = 16;
const BUCKET = 8;
/** Of a frame without its records: type, sender, sequence, versions, root. */
const FRAME_BYTES = 32;
/** A child of a branch in an answer: its hash and its count. */
const CHILD_BYTES = 10;
/** A record in an answer: its hash and its tag. */
const LEAF_BYTES = 12;
/** A path in a query. */
const PATH_BYTES = 6;
/** A key that is a number by then; written out, it is sent once. */
const KEY_BYTES = 3;
/** Records that are looked at to know how large they are. */
const SAMPLE = 32;

/**
 * So many times the bytes of a snapshot may a descent cost: it tells what differed and leaves all else as it is, where a snapshot only
 * makes the difference go away.
 */
const DESCENT_WORTH = 3;

/** Chooses by expected bytes, a descent at its {@link DESCENT_WORTH}; of equal ones the way that needs fewer rounds. */
export function planRepair({ isDifferent, changes, root, mayDescend }: RepairCase): RepairPlan {
  const record = averageRecord(root);
  const snapshot = FRAME_BYTES + root.size * (record + KEY_BYTES);
  const delta = changes === undefined ? undefined : FRAME_BYTES + changesSize(changes);
  const bytes: { -readonly [W in RepairWay]?: number } = { snapshot };
  if (!isDifferent && delta !== undefined) bytes.delta = delta;
  if (isDifferent && mayDescend) bytes.merkle = descentSize(root.size, record) + (delta ?? snapshot);
  const isDeltaLeast = bytes.delta !== undefined && bytes.delta < snapshot;
  const isDescentWorth = bytes.merkle !== undefined && bytes.merkle < DESCENT_WORTH * snapshot;
  const way = isDeltaLeast ? 'delta' : isDescentWorth ? 'merkle' : 'snapshot';
  return { way, bytes };
}

/**
 * Whether all records are said much sooner than what changed, such as after most of them have gone. Not where it is only a little sooner: a
 * delta goes to everybody at its point in one encoding, and leaves what stays as it is.
 */
export function isSnapshotSmaller(changes: readonly Change[], root: StateRoot): boolean {
  if (changes.length <= root.size) return false;
  return changesSize(changes) > 2 * (FRAME_BYTES + root.size * (averageRecord(root) + KEY_BYTES));
}

/** Values and names in one delta, at most: well below the 10^6 that a receiver takes in a frame. */
const MAX_DELTA_VALUES = 500_000;
/** Parts of a snapshot that a delta may be as large as. */
const MAX_DELTA_PARTS = 16;
const FEW_CHANGES = 100;

/** Whether so much changed that one frame should not hold it, or cannot: the state comes in parts then, where a delta would be refused for ever. */
export function isTooMuchForDelta(changes: readonly Change[], partBytes: number): boolean {
  let values = 0;
  for (const change of changes) values += valuesIn(change);
  return (
    values > MAX_DELTA_VALUES || (changes.length > FEW_CHANGES && changesSize(changes) > MAX_DELTA_PARTS * partBytes)
  );
}

/** A key, its values, and the names of fields that go. */
function valuesIn(change: Change): number {
  if (change.op === 'remove') return 1;
  let values = change.op === 'patch' ? 1 + change.removed.length : 1;
  for (const _name in change.op === 'put' ? change.record : change.fields) values++;
  return values;
}

/** About as many bytes as an answer of a descent takes; keys count as they are written out. */
export function answerBytes({ nodes }: MerkleAnswer): number {
  let bytes = FRAME_BYTES;
  for (const node of nodes) {
    bytes += PATH_BYTES;
    if (node.kind === 'branch') bytes += node.counts.length * CHILD_BYTES;
    else for (const { key, record } of node.entries) bytes += key.length + recordSize(record) + LEAF_BYTES;
  }
  return bytes;
}

/** Bytes that the answers of one descent may take, so that it is never much dearer than everything. `least` is allowed in any case. */
export function descentLimit(root: StateRoot, least: number): number {
  return Math.max(least, DESCENT_WORTH * (FRAME_BYTES + root.size * (averageRecord(root) + KEY_BYTES)));
}

/** The plan in words, for the trace. */
export function planText({ way, bytes }: RepairPlan): string {
  const ways = (['delta', 'merkle', 'snapshot'] as const).flatMap((one) =>
    bytes[one] === undefined ? [] : [`${one} ${Math.round(bytes[one])} B`],
  );
  return `${way}, expected ${ways.join(', ')}`;
}

/** Bytes both ways until the expected differences are found and their values are there. */
function descentSize(records: number, record: number): number {
  const levels = Math.max(0, Math.ceil(Math.log(records / BUCKET) / Math.log(FAN_OUT)));
  const leaves = Math.min(BUCKET, records) * (record + LEAF_BYTES);
  let bytes = 0;
  for (let level = 0; level <= levels; level++) {
    // All differences share the root; further down each goes its own way.
    const subtrees = level === 0 ? 1 : EXPECTED_DIFFERENCES;
    const answer = level < levels ? FAN_OUT * CHILD_BYTES : leaves;
    bytes += 2 * FRAME_BYTES + subtrees * (PATH_BYTES + answer);
  }
  return bytes;
}

function averageRecord(root: StateRoot): number {
  let count = 0;
  let bytes = 0;
  for (const [, record] of root.entries()) {
    bytes += recordSize(record);
    if (++count === SAMPLE) break;
  }
  return count === 0 ? 0 : bytes / count;
}

function changesSize(changes: readonly Change[]): number {
  let bytes = 0;
  for (const change of changes) bytes += KEY_BYTES + changeSize(change);
  return bytes;
}

function changeSize(change: Change): number {
  switch (change.op) {
    case 'put':
      return recordSize(change.record);
    case 'patch':
      return recordSize(change.fields) + change.removed.length;
    case 'remove':
      return 0;
  }
}

/** Field names are numbers by then. */
function recordSize(record: SyncRecord): number {
  let bytes = 1;
  for (const name in record) bytes += 1 + valueSize(record[name]!);
  return bytes;
}

/** About what the binary codec needs. */
function valueSize(value: Value): number {
  switch (typeof value) {
    case 'string':
      return 1 + value.length;
    case 'number':
      return Number.isInteger(value) && Math.abs(value) < 128
        ? 1
        : Number.isInteger(value) && Math.abs(value) < 65_536
          ? 3
          : 9;
    case 'object':
      return objectSize(value);
    default:
      return 1;
  }
}

function objectSize(value: Exclude<Value, string | number | boolean>): number {
  if (value === null) return 1;
  if (value instanceof Uint8Array) return 2 + value.length;
  let bytes = 1;
  if (Array.isArray(value)) for (const one of value as readonly Value[]) bytes += valueSize(one);
  else
    for (const name of Object.keys(value))
      bytes += 1 + name.length + valueSize((value as { [name: string]: Value })[name]!);
  return bytes;
}
