import { McapRecordBuilder, Opcode } from '@mcap/core';
import { SyncError } from '../errors/index.ts';
import { ByteNames } from './byte-names.ts';
import { MsgpackCursor } from './cursor.ts';

/** The payload of a chunk: MCAP Schema, Channel and Message records one after the other. */

const RECORD_HEADER_BYTES = 9; // opcode, u64 length
const MESSAGE_HEADER_BYTES = 22; // channel u16, sequence u32, log time u64, publish time u64
export const MESSAGE_PREFIX_BYTES = RECORD_HEADER_BYTES + MESSAGE_HEADER_BYTES;
const POW_32 = 4_294_967_296;

export const SCHEMA_ID = 1;
export const SCHEMA_NAME = 'syncscope.TraceRecord';
export const MESSAGE_ENCODING = 'msgpack';
const schemaText = 'msgpack [seq, time, replica, kind, cause, wire, source, body]; see docs/capture-format.md';

/** What a sealed chunk is, with its uncompressed payload. Times in nanoseconds. */
export interface SealedChunk {
  readonly payload: Uint8Array;
  readonly records: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly startTime: number;
  readonly endTime: number;
  /** Per channel id: (log time, offset in the payload) of each message. */
  readonly messageIndexes: ReadonlyMap<number, MessageIndexEntries>;
}

/** Pairs of log time and offset, flat. */
export type MessageIndexEntries = readonly number[];

/** Numbers the replicas of a capture as MCAP channels, from 1. */
export class Channels {
  readonly #names = new ByteNames();

  /** The channel of the replica whose name these bytes are. */
  id(bytes: Uint8Array, offset: number, length: number): number {
    return this.#names.intern(bytes, offset, length) + 1;
  }

  replica(id: number): string {
    return this.#names.texts[id - 1]!;
  }

  list(): ReadonlyArray<{ readonly id: number; readonly replica: string }> {
    return this.#names.texts.map((replica, index) => ({ id: index + 1, replica }));
  }
}

export function schemaRecord(): { id: number; name: string; encoding: string; data: Uint8Array } {
  return { id: SCHEMA_ID, name: SCHEMA_NAME, encoding: '', data: new TextEncoder().encode(schemaText) };
}

export function channelRecord(id: number, replica: string) {
  return {
    id,
    schemaId: SCHEMA_ID,
    topic: replica,
    messageEncoding: MESSAGE_ENCODING,
    metadata: new Map<string, string>(),
  };
}

/** Collects encoded trace records into one chunk after another. Each chunk stands alone: it repeats the schema and its channels. */
export class ChunkBuilder {
  readonly #channels: Channels;
  readonly #cursor = new MsgpackCursor();
  readonly #definitions = new McapRecordBuilder();
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;
  #records = 0;
  #firstSeq = 0;
  #lastSeq = 0;
  #startTime = 0;
  #endTime = 0;
  #indexes = new Map<number, number[]>();

  constructor(channels: Channels, capacity = 300 * 1024) {
    this.#channels = channels;
    this.#bytes = new Uint8Array(capacity);
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

  /** What has been collected, valid until the next call. */
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
    const time = cursor.uint();
    const nameLength = cursor.stringBytes();
    const channel = this.#channels.id(record, cursor.offset - nameLength, nameLength);
    const index = this.#indexOf(channel);
    this.#reserve(MESSAGE_PREFIX_BYTES + record.length);
    index.push(time, this.#length);
    const view = this.#view;
    const at = this.#length;
    view.setUint8(at, Opcode.MESSAGE);
    setUint64(view, at + 1, MESSAGE_HEADER_BYTES + record.length);
    view.setUint16(at + 9, channel, true);
    view.setUint32(at + 11, seq % POW_32, true);
    setUint64(view, at + 15, time);
    setUint64(view, at + 23, time);
    this.#bytes.set(record, at + MESSAGE_PREFIX_BYTES);
    this.#length = at + MESSAGE_PREFIX_BYTES + record.length;
    if (this.#records === 0) {
      this.#firstSeq = seq;
      this.#startTime = time;
      this.#endTime = time;
    }
    this.#lastSeq = seq;
    this.#startTime = Math.min(this.#startTime, time);
    this.#endTime = Math.max(this.#endTime, time);
    this.#records++;
    return at + MESSAGE_PREFIX_BYTES;
  }

  /** The chunk so far. Its payload is a view that is good until the next call. */
  view(): SealedChunk {
    return {
      payload: this.payload,
      records: this.#records,
      firstSeq: this.#firstSeq,
      lastSeq: this.#lastSeq,
      startTime: this.#startTime,
      endTime: this.#endTime,
      messageIndexes: this.#indexes,
    };
  }

  /** Starts the next chunk in the same memory. */
  clear(): void {
    this.#length = 0;
    this.#records = 0;
    this.#indexes = new Map();
  }

  /** The chunk so far, for keeping; the next one is started in other memory, so that views of this one stay as they are. */
  seal(): SealedChunk {
    const sealed = { ...this.view(), payload: this.payload.slice() };
    this.#bytes = new Uint8Array(this.#bytes.length);
    this.#view = new DataView(this.#bytes.buffer);
    this.clear();
    return sealed;
  }

  #indexOf(channel: number): number[] {
    let index = this.#indexes.get(channel);
    if (!index) {
      index = [];
      const isFirst = this.#indexes.size === 0;
      this.#indexes.set(channel, index);
      this.#definitions.reset();
      if (isFirst) this.#definitions.writeSchema(schemaRecord());
      const replica = this.#channels.replica(channel);
      this.#definitions.writeChannel(channelRecord(channel, replica));
      const bytes = this.#definitions.buffer;
      this.#reserve(bytes.length);
      this.#bytes.set(bytes, this.#length);
      this.#length += bytes.length;
    }
    return index;
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
 * @throws SyncError `CHUNK_DAMAGED` where the payload is not whole MCAP records, or holds one of an unknown opcode
 */
export function forEachMessage(payload: Uint8Array, visit: (offset: number, length: number) => void): void {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  let offset = 0;
  while (offset < payload.length) {
    if (payload.length - offset < RECORD_HEADER_BYTES) throw damaged('ends inside a record', offset);
    const opcode = payload[offset]!;
    const length = getUint64(view, offset + 1);
    const content = offset + RECORD_HEADER_BYTES;
    if (length > payload.length - content) throw damaged(`holds a record of ${length} bytes past its end`, offset);
    if (opcode === Opcode.MESSAGE) {
      if (length < MESSAGE_HEADER_BYTES) throw damaged('holds a message without a header', offset);
      visit(content + MESSAGE_HEADER_BYTES, length - MESSAGE_HEADER_BYTES);
    } else if (opcode !== Opcode.SCHEMA && opcode !== Opcode.CHANNEL) {
      throw damaged(`holds a record of the unknown opcode ${opcode}`, offset);
    }
    offset = content + length;
  }
}

/**
 * The bytes of the trace record that begins at `offset` of a payload. A view.
 * @throws SyncError `CHUNK_DAMAGED` where none can begin there
 */
export function messageAt(payload: Uint8Array, offset: number): Uint8Array {
  if (offset < MESSAGE_PREFIX_BYTES || offset > payload.length) throw damaged('holds no record', offset);
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const length = getUint64(view, offset - MESSAGE_PREFIX_BYTES + 1) - MESSAGE_HEADER_BYTES;
  return payload.subarray(offset, offset + length);
}

function damaged(what: string, offset: number): SyncError {
  return new SyncError('CHUNK_DAMAGED', `the chunk ${what}, at its byte ${offset}`, {
    origin: 'capture',
    place: { offset },
  });
}
