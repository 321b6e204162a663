import { packMsgpack, unpackMsgpack } from '../bytes/index.ts';
import { SyncError } from '../errors/index.ts';
import { TRACE_KINDS, type TraceKind, type TraceRecord, traceRecordSchema } from '../trace/index.ts';
import { MsgpackCursor } from './cursor.ts';

/**
 * A trace record as bytes: the msgpack array `[seq, time, replica, kind, cause, wire, source, body]`.
 * `kind` is the index into `TRACE_KINDS`, `body` the body's fields by name without `kind`, and it stands
 * last so that everything before it is read without touching it.
 */
const RECORD_FIELDS = 8;

const kindNumbers = new Map<TraceKind, number>(TRACE_KINDS.map((kind, number) => [kind, number]));

/** The bytes of one record; the same on the attach stream and in a file. */
export function encodeTraceRecord(record: TraceRecord): Uint8Array {
  const { kind, ...body } = record.body;
  const { source } = record;
  return packMsgpack([
    record.seq,
    record.time,
    record.replica,
    kindNumbers.get(kind)!,
    record.cause,
    record.wire ?? null,
    source ? [source.file, source.line, source.column] : null,
    body,
  ]);
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
  const kind = TRACE_KINDS[cursor.uint()];
  if (kind === undefined) cursor.fail('a known kind');
  const cause = Array.from({ length: cursor.array() }, () => cursor.uint());
  const wire = takeWire(cursor);
  const source = takeSource(cursor);
  const body = unpackMsgpack(bytes.subarray(cursor.offset));
  if (typeof body !== 'object' || body === null || Array.isArray(body) || body instanceof Uint8Array) {
    throw new SyncError('RECORD_MALFORMED', `the body of record ${seq} is not a map`, {
      origin: 'capture',
      place: { offset: cursor.offset },
    });
  }
  return traceRecordSchema.parse(
    { seq, time, replica, cause, body: { ...body, kind }, wire, source },
    `record ${seq}`,
  ) as TraceRecord;
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
