import { McapRecordBuilder, Opcode } from '@mcap/core';
import { SyncError } from '../errors/index.ts';
import { MsgpackCursor } from './cursor.ts';

/**
 * The payload of a chunk: an MCAP Schema, a Channel, and one Message with all of the chunk's trace records. MCAP takes 31 bytes for
 * each message and 16 more in its message index, which it does not compress; one message a chunk leaves 5 a record.
 */

const RECORD_HEADER_BYTES = 9; // opcode, u64 length
const MESSAGE_HEADER_BYTES = 22; // channel u16, sequence u32, log time u64, publish time u64
/** msgpack's array 32: a tag and a count. */
const LIST_HEADER_BYTES = 5;
/** msgpack's bin 32: a tag and a length. It stands before each record. */
export const RECORD_PREFIX_BYTES = 5;
const ARRAY_32 = 0xdd;
const BIN_32 = 0xc6;
const POW_32 = 4_294_967_296;

const SCHEMA_ID = 1;
const SCHEMA_NAME = 'syncscope.TraceRecords';
/** The one channel of a capture. */
export const CHANNEL_ID = 1;
const TOPIC = 'trace';
const MESSAGE_ENCODING = 'msgpack';
const schemaText =
  'msgpack array of bin, each a msgpack array [seq, time, replica, kind, cause, wire, source, body]; see docs/capture-format.md';

/** What a sealed chunk is, with its uncompressed payload. Times in nanoseconds. */
export interface SealedChunk {
  readonly payload: Uint8Array;
  readonly records: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly startTime: number;
  readonly endTime: number;
  /** Where its message begins in the payload. */
  readonly messageAt: number;
}

export function schemaRecord(): { id: number; name: string; encoding: string; data: Uint8Array } {
  return { id: SCHEMA_ID, name: SCHEMA_NAME, encoding: '', data: new TextEncoder().encode(schemaText) };
}

export function channelRecord() {
  return {
    id: CHANNEL_ID,
    schemaId: SCHEMA_ID,
    topic: TOPIC,
    messageEncoding: MESSAGE_ENCODING,
    metadata: new Map<string, string>(),
  };
}

/** What each payload begins with, so that it stands alone. */
function definitions(): Uint8Array {
  const builder = new McapRecordBuilder();
  builder.writeSchema(schemaRecord());
  builder.writeChannel(channelRecord());
  return builder.buffer.slice();
}

const DEFINITIONS = definitions();
const MESSAGE_AT = DEFINITIONS.length;
const FIRST_RECORD_AT = MESSAGE_AT + RECORD_HEADER_BYTES + MESSAGE_HEADER_BYTES + LIST_HEADER_BYTES;

/** Collects encoded trace records into one chunk after another. */
export class ChunkBuilder {
  readonly #cursor = new MsgpackCursor();
  #bytes: Uint8Array;
  #view: DataView;
  #length = FIRST_RECORD_AT;
  #records = 0;
  #firstSeq = 0;
  #lastSeq = 0;
  #startTime = 0;
  #endTime = 0;

  constructor(capacity = 300 * 1024) {
    this.#bytes = new Uint8Array(Math.max(capacity, FIRST_RECORD_AT));
    this.#bytes.set(DEFINITIONS);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get length(): number {
    return this.#length;
  }

  get records(): number {
    return this.#records;
  }

  /** Nanoseconds from the first to the last record. */
  get duration(): number {
    return this.#endTime - this.#startTime;
  }

  /** What has been collected, valid until the next call. Its records are there; only {@link view} writes how many they are. */
  get payload(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /**
   * Appends a record and returns where its bytes begin in the payload.
   * @throws SyncError `RECORD_MALFORMED` where the envelope is not that of a trace record; then nothing was appended
   */
  append(record: Uint8Array): number {
    const cursor = this.#cursor;
    cursor.reset(record, 0, record.length);
    if (cursor.array() !== 8) cursor.fail('an array of 8');
    const seq = cursor.uint();
    return this.appendRead(record, seq, cursor.uint());
  }

  /** The same for one of which `seq` and time are known already. */
  appendRead(record: Uint8Array, seq: number, time: number): number {
    this.#reserve(RECORD_PREFIX_BYTES + record.length);
    const at = this.#length + RECORD_PREFIX_BYTES;
    this.#bytes[this.#length] = BIN_32;
    this.#view.setUint32(this.#length + 1, record.length);
    this.#bytes.set(record, at);
    this.#length = at + record.length;
    if (this.#records === 0) {
      this.#firstSeq = seq;
      this.#startTime = time;
      this.#endTime = time;
    }
    this.#lastSeq = seq;
    this.#startTime = Math.min(this.#startTime, time);
    this.#endTime = Math.max(this.#endTime, time);
    this.#records++;
    return at;
  }

  /** The chunk so far. Its payload is a view that is good until the next call. */
  view(): SealedChunk {
    this.#writeHeads();
    return {
      payload: this.payload,
      records: this.#records,
      firstSeq: this.#firstSeq,
      lastSeq: this.#lastSeq,
      startTime: this.#startTime,
      endTime: this.#endTime,
      messageAt: MESSAGE_AT,
    };
  }

  /** Starts the next chunk in the same memory. */
  clear(): void {
    this.#length = FIRST_RECORD_AT;
    this.#records = 0;
  }

  /** The chunk so far, for keeping; the next one is started in other memory, so that views of this one stay as they are. */
  seal(): SealedChunk {
    const sealed = this.view();
    const kept = { ...sealed, payload: sealed.payload.slice() };
    this.#bytes = new Uint8Array(this.#bytes.length);
    this.#bytes.set(DEFINITIONS);
    this.#view = new DataView(this.#bytes.buffer);
    this.clear();
    return kept;
  }

  /** The message was logged when its last record was there, and holds what happened from its publish time on. */
  #writeHeads(): void {
    const view = this.#view;
    view.setUint8(MESSAGE_AT, Opcode.MESSAGE);
    setUint64(view, MESSAGE_AT + 1, this.#length - MESSAGE_AT - RECORD_HEADER_BYTES);
    view.setUint16(MESSAGE_AT + 9, CHANNEL_ID, true);
    view.setUint32(MESSAGE_AT + 11, this.#firstSeq % POW_32, true);
    setUint64(view, MESSAGE_AT + 15, this.#endTime);
    setUint64(view, MESSAGE_AT + 23, this.#startTime);
    view.setUint8(MESSAGE_AT + 31, ARRAY_32);
    view.setUint32(MESSAGE_AT + 32, this.#records);
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.payload);
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}

export function setUint64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value % POW_32, true);
  view.setUint32(offset + 4, Math.floor(value / POW_32), true);
}

export function getUint64(view: DataView, offset: number): number {
  return view.getUint32(offset + 4, true) * POW_32 + view.getUint32(offset, true);
}

/**
 * Calls `visit` with where each trace record of a payload lies.
 * @throws SyncError `CHUNK_DAMAGED` where the payload is not whole MCAP records, holds one of an unknown opcode, or a message that
 * is no list of records
 */
export function forEachRecord(payload: Uint8Array, visit: (offset: number, length: number) => void): void {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  let offset = 0;
  while (offset < payload.length) {
    if (payload.length - offset < RECORD_HEADER_BYTES) throw damaged('ends inside a record', offset);
    const opcode = payload[offset]!;
    const length = getUint64(view, offset + 1);
    const content = offset + RECORD_HEADER_BYTES;
    if (length > payload.length - content) throw damaged(`holds a record of ${length} bytes past its end`, offset);
    if (opcode === Opcode.MESSAGE) forEachOfList(view, content + MESSAGE_HEADER_BYTES, content + length, visit);
    else if (opcode !== Opcode.SCHEMA && opcode !== Opcode.CHANNEL)
      throw damaged(`holds a record of the unknown opcode ${opcode}`, offset);
    offset = content + length;
  }
}

function forEachOfList(
  view: DataView,
  from: number,
  end: number,
  visit: (offset: number, length: number) => void,
): void {
  if (end - from < LIST_HEADER_BYTES || view.getUint8(from) !== ARRAY_32)
    throw damaged('holds a message that is no list of records', from);
  const count = view.getUint32(from + 1);
  let at = from + LIST_HEADER_BYTES;
  for (let left = count; left > 0; left--) {
    if (end - at < RECORD_PREFIX_BYTES || view.getUint8(at) !== BIN_32)
      throw damaged(`holds a message without the last ${left} of its ${count} records`, at);
    const length = view.getUint32(at + 1);
    at += RECORD_PREFIX_BYTES;
    if (length > end - at) throw damaged(`holds a trace record of ${length} bytes past its end`, at);
    visit(at, length);
    at += length;
  }
  if (at !== end) throw damaged(`holds ${end - at} bytes behind the last of its records`, at);
}

/**
 * The bytes of the trace record that begins at `offset` of a payload. A view.
 * @throws SyncError `CHUNK_DAMAGED` where none can begin there
 */
export function recordAt(payload: Uint8Array, offset: number): Uint8Array {
  const head = offset - RECORD_PREFIX_BYTES;
  if (head < 0 || offset > payload.length || payload[head] !== BIN_32) throw damaged('holds no record', offset);
  const view = new DataView(payload.buffer, payload.byteOffset + head, RECORD_PREFIX_BYTES);
  return payload.subarray(offset, offset + view.getUint32(1));
}

function damaged(what: string, offset: number): SyncError {
  return new SyncError('CHUNK_DAMAGED', `the chunk ${what}, at its byte ${offset}`, {
    origin: 'capture',
    place: { offset },
  });
}
