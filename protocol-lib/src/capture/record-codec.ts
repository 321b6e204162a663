import {
  beginWriting,
  unpackMsgpack,
  writeArrayHeader,
  writeMapHeader,
  writeNumber,
  writeText,
  writeValue,
  writtenBytes,
} from '../bytes/index.ts';
import { SyncError } from '../errors/index.ts';
import { TRACE_KINDS, type TraceKind, type TraceRecord, traceRecordSchema } from '../trace/index.ts';
import { MsgpackCursor } from './cursor.ts';

/**
 * A trace record as bytes: the msgpack array `[seq, time, replica, kind, cause, wire, source, body]`.
 * `kind` is the index into `TRACE_KINDS`, `body` the body's fields by name without `kind`, and it stands
 * last so that everything before it is read without touching it.
 */
export const RECORD_FIELDS = 8;

const kindNumbers = new Map<TraceKind, number>(TRACE_KINDS.map((kind, number) => [kind, number]));

/** The bytes of one record; the same on the attach stream and in a file. */
export function encodeTraceRecord(record: TraceRecord): Uint8Array {
  beginWriting();
  writeTraceRecord(record);
  return writtenBytes();
}

/** Writes the record behind what has been written since `beginWriting`. @throws SyncError as `writeValue` */
export function writeTraceRecord({ seq, time, replica, cause, wire, source, body }: TraceRecord): void {
  writeArrayHeader(RECORD_FIELDS);
  writeNumber(seq);
  writeNumber(time);
  writeText(replica);
  writeNumber(kindNumbers.get(body.kind)!);
  writeCause(cause);
  writeValue(wire ?? null, 'own', 1);
  writeValue(source ? [source.file, source.line, source.column] : null, 'own', 1);
  const fields = Object.keys(body);
  writeMapHeader(fields.length - 1);
  for (const field of fields) {
    if (field === 'kind') continue;
    writeText(field);
    writeValue((body as Readonly<Record<string, unknown>>)[field], 'own', 2);
  }
}

/** What made a record happen, by `seq`. */
export function writeCause(cause: readonly number[]): void {
  writeArrayHeader(cause.length);
  for (let at = 0; at < cause.length; at++) writeNumber(cause[at]!);
}

/**
 * The record in `bytes`, every part checked. It shares no memory with them.
 * @throws SyncError `RECORD_MALFORMED` or what the body's schema and the msgpack profile refuse
 */
export function decodeTraceRecord(bytes: Uint8Array): TraceRecord {
  const cursor = new MsgpackCursor();
  cursor.reset(bytes, 0, bytes.length);
  if (cursor.array() !== RECORD_FIELDS) cursor.fail(`an array of ${RECORD_FIELDS}`);
  const seq = cursor.uint();
  const time = cursor.uint();
  const replica = cursor.string();
  const kind = takeKind(cursor);
  const cause = Array.from({ length: cursor.array() }, () => cursor.uint());
  const wire = takeWire(cursor);
  const source = takeSource(cursor);
  const body = unpackBody(cursor, kind);
  return traceRecordSchema.parse({ seq, time, replica, cause, body, wire, source }, `record ${seq}`) as TraceRecord;
}

/**
 * What a record says, as it says it: nothing but that it is msgpack is checked, and everything around it is passed over.
 * For looking through many records of which few are wanted; those are then decoded with every check.
 * @throws SyncError `RECORD_MALFORMED` or what the msgpack profile refuses
 */
export function unpackTraceBody(bytes: Uint8Array, cursor: MsgpackCursor): UncheckedBody {
  cursor.reset(bytes, 0, bytes.length);
  if (cursor.array() !== RECORD_FIELDS) cursor.fail(`an array of ${RECORD_FIELDS}`);
  for (let field = 0; field < 3; field++) cursor.skip();
  const kind = takeKind(cursor);
  for (let field = 0; field < 3; field++) cursor.skip();
  return unpackBody(cursor, kind);
}

/** The kind of a record; nothing behind it is looked at. @throws SyncError `RECORD_MALFORMED` */
export function recordKind(bytes: Uint8Array, cursor: MsgpackCursor): TraceKind {
  cursor.reset(bytes, 0, bytes.length);
  if (cursor.array() !== RECORD_FIELDS) cursor.fail(`an array of ${RECORD_FIELDS}`);
  for (let field = 0; field < 3; field++) cursor.skip();
  return takeKind(cursor);
}

/** A body that no schema has seen. */
export interface UncheckedBody {
  readonly kind: TraceKind;
  readonly [field: string]: unknown;
}

function takeKind(cursor: MsgpackCursor): TraceKind {
  const kind = TRACE_KINDS[cursor.uint()];
  return kind ?? cursor.fail('a known kind');
}

function unpackBody(cursor: MsgpackCursor, kind: TraceKind): UncheckedBody {
  const body = unpackMsgpack(cursor.bytes.subarray(cursor.offset));
  if (typeof body !== 'object' || body === null || Array.isArray(body) || body instanceof Uint8Array) {
    throw new SyncError('RECORD_MALFORMED', 'the body of a record is not a map', {
      origin: 'capture',
      place: { offset: cursor.offset },
    });
  }
  // Its own, and new: nobody else sees it before it has its kind.
  return Object.assign(body, { kind });
}

function takeWire(cursor: MsgpackCursor): Uint8Array | undefined {
  if (cursor.takeNil()) return undefined;
  const length = cursor.binary();
  // Not `slice`: a Node Buffer answers that with a view of itself.
  return new Uint8Array(cursor.bytes.subarray(cursor.offset - length, cursor.offset));
}

function takeSource(cursor: MsgpackCursor): { file: string; line: number; column: number } | undefined {
  if (cursor.takeNil()) return undefined;
  if (cursor.array() !== 3) cursor.fail('a source of file, line and column');
  return { file: cursor.string(), line: cursor.uint(), column: cursor.uint() };
}
