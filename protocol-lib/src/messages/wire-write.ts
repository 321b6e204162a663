import {
  beginBytes,
  endBytes,
  rewriteByte,
  unwriteFrom,
  writeArrayHeader,
  writeCountedText,
  writeInt,
  writeInts,
  writeNumber,
  writeShort,
  writeSmallUints,
  writeText,
  writeUint,
  writeValue,
  writeWords,
  writtenFrom,
  writtenLength,
} from '../bytes/index.ts';
import type { VectorEntry } from '../clock/index.ts';
import type { Change, StateHash, SyncRecord, Value } from '../state/index.ts';
import { AGAIN_LIMIT, COLUMN, VALUE_DEPTH, WIRE_OP } from './compact.ts';
import type { BodyOf } from './message.ts';
import type { NameSink } from './names.ts';
import type { Rejection, SnapshotEntry } from './replication.ts';

/**
 * Writes the fields that have a wire form of their own (`compact.ts` and `wire.ts` say which) onto the frame that is being written.
 * Names get their numbers in the order in which a reader meets them.
 */

const NONE: readonly string[] = [];
const NO_FIELDS: SyncRecord = {};

/** From so many rows on it pays to look whether the texts of a field repeat themselves; looked at are the first of these at most. */
const AGAIN_ROWS = 16;
const AGAIN_SAMPLE = 256;

/** What a field's values were found to be, as bits. */
const IS_INT = 1;
const IS_TEXT = 2;
const IS_OTHER = 4;

// One run at a time, gathered here before it is written: writing is synchronous and never re-entered.
let fields: readonly string[] = NONE;
/** The values of all rows, row by row. */
const values: unknown[] = [];
let used = 0;
/** The keys of all rows: their numbers, or themselves. */
const references: (number | string)[] = [];
/** One a field: the bits of its values, then its type. */
const kinds: number[] = [];
let hasOnlyInts = false;
/** One a field whose texts repeat: the number of each. */
const numbers: (Map<string, number> | undefined)[] = [];
/** Units of texts that the bin refers to. Once it may refer to no more, all are written out. */
let repeated = 0;
/** The fields that were looked up last, how their names are written, and whose table they are of: a table never gives a name another one. */
let knownFields: readonly string[] = NONE;
let knownNames: Uint8Array = new Uint8Array();
/** The same with the types of fields that are integers all: what the head of such a run says behind its operation. */
let knownInts: Uint8Array = new Uint8Array();
let knownBy: NameSink | undefined;
/** The number of the key that was written last. */
let lastKey = 0;
/** Changes of a short list and fields of a row that {@link writeIntRun} takes. With so few rows the head of a run is one byte. */
const SHORT_CHANGES = 31;
const SHORT_FIELDS = 32;
/** One a change of a short list: the number of its key, -1 where it had none before. */
const keyNumbers = new Int32Array(SHORT_CHANGES);
/** The values of one row, zigzagged. */
const zigzags = new Int32Array(SHORT_FIELDS);
/** Values of long runs are given back to the collector with their array. */
const VALUES_KEPT = 4_096;

function writeName(name: string, names: NameSink): void {
  const reference = names.reference(name);
  if (typeof reference === 'number') {
    writeUint(reference + 1);
    return;
  }
  writeUint(0);
  writeCountedText(reference);
}

function writeNames(list: readonly string[], names: NameSink): void {
  writeUint(list.length);
  for (let index = 0; index < list.length; index++) writeName(list[index]!, names);
}

/** The names of the run's fields. */
function writeFieldNames(names: NameSink): void {
  if (knownFields !== fields || knownBy !== names) {
    const references = fields.map((field) => names.reference(field));
    if (!references.every((reference) => typeof reference === 'number')) {
      writeNames(fields, names);
      return;
    }
    const start = writtenLength();
    writeNames(fields, names);
    knownFields = fields;
    knownNames = writtenFrom(start);
    knownInts = Uint8Array.from([...knownNames, ...fields.map(() => COLUMN.int)]);
    knownBy = names;
    return;
  }
  writeShort(knownNames);
}

function writeKey(reference: number | string): void {
  if (typeof reference !== 'number') {
    writeUint(0);
    writeCountedText(reference);
    return;
  }
  const step = reference - lastKey;
  lastKey = reference;
  writeUint(step < 0 ? -step * 2 : step * 2 + 1);
}

function kindOf(value: unknown): number {
  if (typeof value === 'number') {
    // Small ones first: most are.
    if ((value | 0) === value) return value === 0 && Object.is(value, -0) ? IS_OTHER : IS_INT;
    return Number.isInteger(value) && value >= -(2 ** 52) && value < 2 ** 52 ? IS_INT : IS_OTHER;
  }
  return typeof value === 'string' ? IS_TEXT : IS_OTHER;
}

/** Begins a run with a record, of which the shape is mostly that of the run before. */
function beginRun(first: SyncRecord): void {
  used = 0;
  resetKinds();
  if (gather(first)) return;
  fields = Object.keys(first);
  resetKinds();
  gather(first);
}

function resetKinds(): void {
  for (let index = 0; index < fields.length; index++) kinds[index] = 0;
}

/** Takes the values of a record that has the names of this run, in their order; of another it takes nothing and says so. */
function gather(record: SyncRecord): boolean {
  const names = fields;
  const width = names.length;
  const start = used;
  let index = 0;
  for (const name in record) {
    if (index >= width || names[index] !== name) return drop(start, index);
    values[start + index] = record[name];
    index++;
  }
  if (index !== width) return drop(start, index);
  for (index = 0; index < width; index++) kinds[index]! |= kindOf(values[start + index]);
  used = start + width;
  return true;
}

function drop(start: number, count: number): false {
  for (let index = 0; index < count; index++) values[start + index] = undefined;
  return false;
}

function isSameList(left: readonly string[], right: readonly string[]): boolean {
  if (left === right) return true;
  if (left.length !== right.length) return false;
  for (let index = 0; index < left.length; index++) if (left[index] !== right[index]) return false;
  return true;
}

function recordOf(change: Change): SyncRecord {
  return change.op === 'put' ? change.record : change.op === 'patch' ? change.fields : NO_FIELDS;
}

/** Gathers the changes from `start` on that follow upon each other with one shape. Answers where the next run begins. */
function gatherRun(changes: readonly Change[], start: number): number {
  const first = changes[start]!;
  const { op } = first;
  const removed = first.op === 'patch' ? first.removed : NONE;
  beginRun(recordOf(first));
  let end = start + 1;
  while (end < changes.length) {
    const change = changes[end]!;
    if (change.op !== op || (change.op === 'patch' && !isSameList(change.removed, removed))) break;
    if (!gather(recordOf(change))) break;
    end++;
  }
  return end;
}

export function writeChanges(changes: readonly Change[], names: NameSink): void {
  const bytes = beginBytes();
  const { length } = changes;
  const isShort = length <= SHORT_CHANGES;
  lastKey = 0;
  repeated = 0;
  // One after the other, so that a processor waits for several at once: tables of names are larger than its nearest memory.
  if (isShort) for (let row = 0; row < length; row++) keyNumbers[row] = names.numberOf(changes[row]!.key);
  for (let start = 0; start < length; ) {
    const end = isShort ? writeIntRun(changes, start, names) : start;
    start = end > start ? end : writeRun(changes, start, names);
  }
  endBytes(bytes);
}

/** Writes the run of any kind that begins at `start`. Answers where the next one begins. */
function writeRun(changes: readonly Change[], start: number, names: NameSink): number {
  const end = gatherRun(changes, start);
  const first = changes[start]!;
  const removed = first.op === 'patch' ? first.removed : NONE;
  const op = removed.length > 0 ? WIRE_OP.patchAndRemove : WIRE_OP[first.op];
  writeHead(op, end - start, removed, names);
  for (let row = start; row < end; row++) references[row - start] = names.reference(changes[row]!.key);
  writeRows(end - start);
  forget();
  return end;
}

/**
 * {@link writeRun} for the changes that are sent most, patches of a few integers with the fields of the run before: each is written as it is met.
 * Answers `start` where the run is of another kind; then nothing was written, and only keys got a number that would get the same one now.
 */
function writeIntRun(changes: readonly Change[], start: number, names: NameSink): number {
  if (knownBy !== names || knownFields.length > SHORT_FIELDS) return start;
  const head = writtenLength();
  const keyBefore = lastKey;
  writeUint(0);
  writeShort(knownInts);
  let end = start;
  for (; end < changes.length; end++) {
    const change = changes[end]!;
    if (change.op !== 'patch' || change.removed.length > 0) break;
    const taken = takeInts(change.fields);
    if (taken === OTHER_FIELDS) break;
    if (taken === OTHER_VALUES) {
      end = start;
      break;
    }
    const number = keyNumbers[end]!;
    writeKey(number >= 0 ? number : names.reference(change.key));
    writeSmallUints(zigzags, knownFields.length);
  }
  if (end > start) {
    rewriteByte(head, (end - start) * 4 + WIRE_OP.patch);
  } else {
    lastKey = keyBefore;
    unwriteFrom(head);
  }
  return end;
}

const INTS = 0;
const OTHER_FIELDS = 1;
const OTHER_VALUES = 2;

/** Takes the values of a record that has the fields looked up last, in their order, where all are integers within ±2^30. */
function takeInts(record: SyncRecord): number {
  const names = knownFields;
  const width = names.length;
  let taken = INTS;
  let index = 0;
  for (const name in record) {
    if (index >= width || names[index] !== name) return OTHER_FIELDS;
    const value = record[name];
    // 0 may be -0, which is another number.
    if (typeof value !== 'number' || (value << 1) >> 1 !== value || (value === 0 && Object.is(value, -0)))
      taken = OTHER_VALUES;
    else zigzags[index] = (value << 1) ^ (value >> 31);
    index++;
  }
  return index === width ? taken : OTHER_FIELDS;
}

/** A snapshot has no order of its own, so all records of one shape lie in one run. */
export function writeEntries(entries: readonly SnapshotEntry[], names: NameSink): void {
  const bytes = beginBytes();
  lastKey = 0;
  repeated = 0;
  for (const run of runsByShape(entries)) {
    beginRun(run[0]!.record);
    for (let row = 1; row < run.length; row++) gather(run[row]!.record);
    writeHead(WIRE_OP.put, run.length, NONE, names);
    for (let row = 0; row < run.length; row++) references[row] = names.reference(run[row]!.key);
    writeRows(run.length);
    forget();
  }
  endBytes(bytes);
}

function runsByShape(entries: readonly SnapshotEntry[]): Iterable<SnapshotEntry[]> {
  const runs = new Map<string, SnapshotEntry[]>();
  let last: SnapshotEntry[] | undefined;
  for (const entry of entries) {
    if (last === undefined || !hasShapeOf(last[0]!.record, entry.record)) {
      const shape = JSON.stringify(Object.keys(entry.record));
      last = runs.get(shape) ?? [];
      runs.set(shape, last);
    }
    last.push(entry);
  }
  return runs.values();
}

function hasShapeOf(left: SyncRecord, right: SyncRecord): boolean {
  return isSameList(Object.keys(left), Object.keys(right));
}

function writeHead(op: number, rows: number, removed: readonly string[], names: NameSink): void {
  writeUint(rows * 4 + op);
  hasOnlyInts = true;
  if (op === WIRE_OP.remove) return;
  writeFieldNames(names);
  for (let index = 0; index < fields.length; index++) {
    const type = typeOf(kinds[index]!);
    const isAgain = type === COLUMN.text && isRepeating(index, rows);
    numbers[index] = isAgain ? new Map() : undefined;
    kinds[index] = isAgain ? COLUMN.again : type;
    hasOnlyInts &&= type === COLUMN.int;
    writeUint(kinds[index]!);
  }
  if (op === WIRE_OP.patchAndRemove) writeNames(removed, names);
}

function typeOf(kind: number): number {
  if (kind === IS_INT) return COLUMN.int;
  return kind === IS_TEXT ? COLUMN.text : COLUMN.value;
}

function isRepeating(column: number, rows: number): boolean {
  if (rows < AGAIN_ROWS) return false;
  const looked = Math.min(rows, AGAIN_SAMPLE);
  const seen = new Set<unknown>();
  for (let row = 0; row < looked; row++) seen.add(values[row * fields.length + column]);
  return seen.size * 2 <= looked;
}

function writeRows(rows: number): void {
  const width = fields.length;
  for (let row = 0; row < rows; row++) {
    writeKey(references[row]!);
    if (hasOnlyInts) writeInts(values, row * width, width);
    else writeRow(row * width);
  }
}

function writeRow(start: number): void {
  for (let index = 0; index < fields.length; index++) {
    const value = values[start + index];
    switch (kinds[index]) {
      case COLUMN.int:
        writeInt(value as number);
        break;
      case COLUMN.text:
        writeCountedText(value as string);
        break;
      case COLUMN.again:
        writeAgain(value as string, numbers[index]!);
        break;
      default:
        writeValue(value, 'own', VALUE_DEPTH);
    }
  }
}

function writeAgain(text: string, seen: Map<string, number>): void {
  const number = seen.get(text);
  if (number !== undefined && repeated <= AGAIN_LIMIT) repeated += text.length;
  if (number !== undefined && repeated <= AGAIN_LIMIT) {
    writeUint(number);
    return;
  }
  writeUint(0);
  writeCountedText(text);
  seen.set(text, seen.size + 1);
}

/** Nothing that was written is kept alive by having been written. */
function forget(): void {
  if (references.length > VALUES_KEPT) references.length = 0;
  if (used > VALUES_KEPT) values.length = 0;
  else for (let index = 0; index < used; index++) values[index] = undefined;
  used = 0;
}

export function writeVector(entries: readonly VectorEntry[], names: NameSink): void {
  const bytes = beginBytes();
  for (let index = 0; index < entries.length; index++) {
    const { replica, counter } = entries[index]!;
    writeName(replica, names);
    writeUint(counter);
  }
  endBytes(bytes);
}

export function writeRejections(entries: readonly Rejection[], names: NameSink): void {
  writeArrayHeader(entries.length);
  for (const { replica, counter, reason } of entries) {
    writeArrayHeader(3);
    writeReference(replica, names);
    writeNumber(counter);
    writeText(reason);
  }
}

export function writeToldEvent({ type, player, detail }: BodyOf<'EVENT'>['event'], names: NameSink): void {
  writeArrayHeader(3);
  writeReference(type, names);
  writeReference(player, names);
  writeText(detail);
}

/** A name outside the compact form: its number, or itself. */
function writeReference(name: string, names: NameSink): void {
  const reference = names.reference(name);
  if (typeof reference === 'number') writeNumber(reference);
  else writeText(reference);
}

export function writeStateHash(hash: StateHash): void {
  writeWords(wordAt(hash, 0), wordAt(hash, 8));
}

/** The word that eight lower-case hex digits from `start` on say. */
function wordAt(hash: string, start: number): number {
  let word = 0;
  for (let index = start; index < start + 8; index++) {
    const unit = hash.charCodeAt(index);
    // A letter has bit 6 and counts from 1. Without a branch, since no processor foresees the digits of a hash.
    word = (word << 4) | ((unit & 0xf) + (unit >> 6) * 9);
  }
  return word;
}

/** All fields of a delta: the message that is sent most, so it is not looked up field by field. */
export function writeDelta(delta: BodyOf<'DELTA_SYNC'>, names: NameSink): void {
  const { from, to, since, progress } = delta;
  writeNumber(from);
  writeNumber(to - from);
  writeNumber(since - from);
  writeNumber(progress - since);
  writeChanges(delta.changes, names);
  writeVector(delta.vector, names);
  writeRejections(delta.rejected, names);
  writeStateHash(delta.root);
}

/** A field without a wire form of its own, which is its value; nil where it is absent. */
export function writePlain(value: unknown): void {
  writeValue((value as Value | undefined) ?? null, 'own', 1);
}
