import {
  beginWriting,
  writeArrayHeader,
  writeMapHeader,
  writeNumber,
  writeShort,
  writeText,
  writeValue,
  writtenBytes,
} from '../bytes/index.ts';
import type { Change } from '../state/index.ts';
import { TRACE_KINDS, type TraceBodyOf, type TraceRecord } from '../trace/index.ts';
import { RECORD_FIELDS, writeCause } from './record-codec.ts';

/**
 * Commits as `writeTraceRecord` writes them, field by field: most of what an authority tells are commits, and to find out what is in each costs more
 * than to write it.
 */
export type CommitRecord = TraceRecord & { readonly body: TraceBodyOf<'commit'> };

/** Whether {@link writeCommitRecord} writes it. */
export function isPlainCommit(record: TraceRecord): record is CommitRecord {
  return record.body.kind === 'commit' && record.wire === undefined && record.source === undefined;
}

const COMMIT = TRACE_KINDS.indexOf('commit');

/** What stands between two values is always the same: texts, and numbers for maps of so many fields. */
const VERSION = constant('version');
const EVENT_TYPE = constant('event', 3, 'type');
const PLAYER = constant('player');
const DETAIL = constant('detail');
const MUTATION_WRITER = constant('mutation', 2, 'writer');
const COUNTER = constant('counter');
const CHANGES = constant('changes');
const ROOT = constant('root');
const PUT_KEY = constant(3, 'op', 'put', 'key');
const RECORD = constant('record');
const PATCH_KEY = constant(4, 'op', 'patch', 'key');
const FIELDS = constant('fields');
const REMOVED = constant('removed');
const REMOVE_KEY = constant(2, 'op', 'remove', 'key');

function constant(...parts: readonly (string | number)[]): Uint8Array {
  beginWriting();
  for (const part of parts) {
    if (typeof part === 'string') writeText(part);
    else writeMapHeader(part);
  }
  return writtenBytes();
}

/** Writes the record behind what has been written since `beginWriting`. @throws SyncError as `writeValue` */
export function writeCommitRecord({ seq, time, replica, cause, body }: CommitRecord): void {
  writeArrayHeader(RECORD_FIELDS);
  writeNumber(seq);
  writeNumber(time);
  writeText(replica);
  writeNumber(COMMIT);
  writeCause(cause);
  // Neither a frame nor a place in a source.
  writeValue(null, 'own', 1);
  writeValue(null, 'own', 1);
  writeCommitBody(body);
}

function writeCommitBody({ version, event, mutation, changes, root }: TraceBodyOf<'commit'>): void {
  writeMapHeader(3 + (mutation === undefined ? 0 : 1) + (root === undefined ? 0 : 1));
  writeShort(VERSION);
  writeNumber(version);
  writeShort(EVENT_TYPE);
  writeText(event.type);
  writeShort(PLAYER);
  writeText(event.player);
  writeShort(DETAIL);
  writeText(event.detail);
  if (mutation !== undefined) {
    writeShort(MUTATION_WRITER);
    writeText(mutation.writer);
    writeShort(COUNTER);
    writeNumber(mutation.counter);
  }
  writeShort(CHANGES);
  writeArrayHeader(changes.length);
  for (let at = 0; at < changes.length; at++) writeChange(changes[at]!);
  if (root !== undefined) {
    writeShort(ROOT);
    writeText(root);
  }
}

/** Values of a record stand so deep in what is written: below a body, its changes, one of them, and the record. */
const CHANGE_DEPTH = 4;

function writeChange(change: Change): void {
  if (change.op === 'patch') {
    writeShort(PATCH_KEY);
    writeText(change.key);
    writeShort(FIELDS);
    writeValue(change.fields, 'own', CHANGE_DEPTH);
    writeShort(REMOVED);
    writeValue(change.removed, 'own', CHANGE_DEPTH);
  } else if (change.op === 'put') {
    writeShort(PUT_KEY);
    writeText(change.key);
    writeShort(RECORD);
    writeValue(change.record, 'own', CHANGE_DEPTH);
  } else {
    writeShort(REMOVE_KEY);
    writeText(change.key);
  }
}
