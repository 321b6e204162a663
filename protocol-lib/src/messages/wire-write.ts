import { writeArrayHeader, writeNumber, writeText, writeValue, writeWords } from '../bytes/index.ts';
import type { VectorEntry } from '../clock/index.ts';
import type { Change, StateHash, SyncRecord, Value } from '../state/index.ts';
import type { BodyOf } from './message.ts';
import type { NameSink } from './names.ts';
import type { Rejection, SnapshotEntry } from './replication.ts';

/**
 * Writes the fields that have a wire form of their own (`wire.ts` says which) onto the frame that is being written. Names get
 * their numbers in the order in which a reader meets them, entry by entry.
 */

export const WIRE_OP = { put: 0, patch: 1, patchAndRemove: 2, remove: 3 } as const;

/** Containers around a value of a record: the frame, the field, the run. */
const RUN_DEPTH = 3;

const NONE: readonly string[] = [];
const NO_FIELDS: SyncRecord = {};

function writeReference(reference: number | string): void {
  if (typeof reference === 'number') writeNumber(reference);
  else writeText(reference);
}

function writeReferences(list: readonly string[], names: NameSink): void {
  writeArrayHeader(list.length);
  for (let index = 0; index < list.length; index++) writeReference(names.reference(list[index]!));
}

function writeFields(fields: readonly string[], record: SyncRecord): void {
  for (let index = 0; index < fields.length; index++) writeValue(record[fields[index]!], 'own', RUN_DEPTH);
}

/** Whether these are the names of a record, in its order. */
function isShapeOf(fields: readonly string[], record: SyncRecord): boolean {
  let index = 0;
  for (const name in record) if (fields[index++] !== name) return false;
  return index === fields.length;
}

function isSameList(left: readonly string[], right: readonly string[]): boolean {
  if (left === right) return true;
  if (left.length !== right.length) return false;
  for (let index = 0; index < left.length; index++) if (left[index] !== right[index]) return false;
  return true;
}

/** Changes that follow upon each other with one shape: from `start` up to the next run's. */
interface Run {
  readonly op: number;
  readonly start: number;
  readonly fields: readonly string[];
  readonly removed: readonly string[];
}

function opOf(change: Change): number {
  if (change.op === 'patch' && change.removed.length > 0) return WIRE_OP.patchAndRemove;
  return WIRE_OP[change.op];
}

function recordOf(change: Change): SyncRecord {
  return change.op === 'put' ? change.record : change.op === 'patch' ? change.fields : NO_FIELDS;
}

function runsOf(changes: readonly Change[]): Run[] {
  const runs: Run[] = [];
  let open: Run | undefined;
  for (let index = 0; index < changes.length; index++) {
    const change = changes[index]!;
    const op = opOf(change);
    const record = recordOf(change);
    const removed = change.op === 'patch' ? change.removed : NONE;
    if (open?.op === op && isShapeOf(open.fields, record) && isSameList(open.removed, removed)) continue;
    open = { op, start: index, fields: Object.keys(record), removed };
    runs.push(open);
  }
  return runs;
}

export function writeChanges(changes: readonly Change[], names: NameSink): void {
  const runs = runsOf(changes);
  writeArrayHeader(runs.length);
  for (let index = 0; index < runs.length; index++) {
    writeRun(runs[index]!, changes, runs[index + 1]?.start ?? changes.length, names);
  }
}

function writeRun({ op, start, fields, removed }: Run, changes: readonly Change[], end: number, names: NameSink): void {
  const count = end - start;
  if (op === WIRE_OP.remove) {
    writeArrayHeader(1 + count);
    writeNumber(op);
  } else {
    const heads = op === WIRE_OP.patchAndRemove ? 3 : 2;
    writeArrayHeader(heads + count * (fields.length + 1));
    writeNumber(op);
    writeReferences(fields, names);
    if (op === WIRE_OP.patchAndRemove) writeReferences(removed, names);
  }
  for (let index = start; index < end; index++) {
    const change = changes[index]!;
    writeReference(names.reference(change.key));
    writeFields(fields, recordOf(change));
  }
}

interface EntryRun {
  readonly fields: readonly string[];
  readonly fieldReferences: readonly (number | string)[];
  readonly keyReferences: (number | string)[];
  readonly records: SyncRecord[];
}

/** A snapshot has no order of its own, so all records of one shape lie in one run. */
export function writeEntries(entries: readonly SnapshotEntry[], names: NameSink): void {
  const runs = new Map<string, EntryRun>();
  let last: EntryRun | undefined;
  for (const { key, record } of entries) {
    const run: EntryRun = last !== undefined && isShapeOf(last.fields, record) ? last : runFor(record, runs, names);
    run.keyReferences.push(names.reference(key));
    run.records.push(record);
    last = run;
  }
  writeArrayHeader(runs.size);
  for (const run of runs.values()) {
    writeArrayHeader(1 + run.records.length * (run.fields.length + 1));
    writeArrayHeader(run.fieldReferences.length);
    run.fieldReferences.forEach(writeReference);
    for (let index = 0; index < run.records.length; index++) {
      writeReference(run.keyReferences[index]!);
      writeFields(run.fields, run.records[index]!);
    }
  }
}

function runFor(record: SyncRecord, runs: Map<string, EntryRun>, names: NameSink): EntryRun {
  const fields = Object.keys(record);
  const shape = JSON.stringify(fields);
  let run = runs.get(shape);
  if (!run) {
    const fieldReferences = fields.map((field) => names.reference(field));
    run = { fields, fieldReferences, keyReferences: [], records: [] };
    runs.set(shape, run);
  }
  return run;
}

export function writeVector(entries: readonly VectorEntry[], names: NameSink): void {
  writeArrayHeader(entries.length);
  for (const { replica, counter } of entries) {
    writeArrayHeader(2);
    writeReference(names.reference(replica));
    writeNumber(counter);
  }
}

export function writeRejections(entries: readonly Rejection[], names: NameSink): void {
  writeArrayHeader(entries.length);
  for (const { replica, counter, reason } of entries) {
    writeArrayHeader(3);
    writeReference(names.reference(replica));
    writeNumber(counter);
    writeText(reason);
  }
}

export function writeStateHash(hash: StateHash): void {
  writeWords(wordAt(hash, 0), wordAt(hash, 8));
}

/** The word that eight lower-case hex digits from `start` on say. */
function wordAt(hash: string, start: number): number {
  let word = 0;
  for (let index = start; index < start + 8; index++) {
    const unit = hash.charCodeAt(index);
    word = (word << 4) | (unit < 0x61 ? unit - 0x30 : unit - 0x57);
  }
  return word;
}

/** All fields of a delta: the message that is sent most, so it is not looked up field by field. */
export function writeDelta(delta: BodyOf<'DELTA_SYNC'>, names: NameSink): void {
  writePlain(delta.from);
  writePlain(delta.to);
  writePlain(delta.since);
  writePlain(delta.progress);
  writeChanges(delta.changes, names);
  writeVector(delta.vector, names);
  writeRejections(delta.rejected, names);
  writeStateHash(delta.root);
}

/** A field without a wire form of its own, which is its value; nil where it is absent. */
export function writePlain(value: unknown): void {
  writeValue((value as Value | undefined) ?? null, 'own', 1);
}
