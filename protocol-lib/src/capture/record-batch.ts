import {
  beginLongBytes,
  beginWriting,
  copyWritten,
  endLongBytes,
  unwriteFrom,
  writeArrayHeader,
  writeBytes,
  writeEncoded,
  writeMapHeader,
  writeNumber,
  writeText,
  writeValue,
  writtenBytes,
  writtenLength,
} from '../bytes/index.ts';
import { SyncError } from '../errors/index.ts';
import { array, bytes, object, string, uint } from '../schema/index.ts';
import { type ReplicaId, replicaIdSchema } from '../state/index.ts';
import { type FrameSends, TRACE_KINDS, type TraceRecord } from '../trace/index.ts';
import { isPlainCommit, writeCommitRecord } from './commit-writer.ts';
import { MsgpackCursor } from './cursor.ts';
import { RECORD_FIELDS, writeCause, writeTraceRecord } from './record-codec.ts';

/**
 * Trace records on the attach stream, many in one frame. A frame that was sent to many is told once, with who got it, and the
 * observer makes a record of each: what a recorded session pays for is one entry, whether ten replicas listen or a thousand.
 *
 * A batch is msgpack values, one after the other. A bin is one encoded trace record. An array of 8,
 * `[seq, time, sender, to, type, sequence, cause, wire]`, stands for a `send` record of `sender` to each of `to`, the first with this
 * `seq` and each next with one more. `to` is the list of names where it is met first, and from then on its number in this batch.
 */
const SENDS_FIELDS = 8;
const SEND_KIND = TRACE_KINDS.indexOf('send');
const FIRST_BYTES = 16 * 1024;
const KEPT_BYTES = 1024 * 1024;
const BIN_32 = 0xc6;
/** Bytes of a `send` record beside its frame, at most: numbers, field names, two replicas and a type. */
const SEND_BYTES = 320;
/** Bytes of the records that a batch stands for without having them in it. */
const EXPANDED_MAX_BYTES = 64 * 1024 * 1024;
/** Where a batch stands for so many it is full, so that there is always room for one entry more. */
const EXPANDED_FULL_BYTES = EXPANDED_MAX_BYTES / 4;

/** Collects what is told into a batch. */
export class RecordBatch {
  #bytes = new Uint8Array(FIRST_BYTES);
  #length = 0;
  #expanded = 0;
  #audiences: (readonly ReplicaId[])[] = [];
  /** Whether what is added stays where it was written, behind {@link #bytes}, until all of it is copied at once. */
  #isTogether = false;

  /** Bytes so far. */
  get length(): number {
    return this.#isTogether ? this.#length + writtenLength() : this.#length;
  }

  /** Whether it stands for as much as an observer takes at once. */
  get isFull(): boolean {
    return this.#expanded >= EXPANDED_FULL_BYTES;
  }

  /** Calls `addAll`, which adds many and takes what is full. Nothing else may be encoded meanwhile. */
  together(addAll: () => void): void {
    beginWriting();
    this.#isTogether = true;
    try {
      addAll();
    } finally {
      this.#isTogether = false;
      this.#keepWritten();
    }
  }

  /** @throws SyncError as `packMsgpack`, and then nothing was added */
  add(record: TraceRecord): void {
    const start = this.#begin();
    try {
      const bytes = beginLongBytes();
      if (isPlainCommit(record)) writeCommitRecord(record);
      else writeTraceRecord(record);
      endLongBytes(bytes);
    } catch (error) {
      unwriteFrom(start);
      throw error;
    }
    this.#end();
  }

  /**
   * The sends from the `from`-th receiver on; answers up to which they went in. Where that is not all, the batch is full.
   * @throws SyncError as `packMsgpack`, and then nothing was added
   */
  addSends(
    firstSeq: number,
    time: number,
    sends: FrameSends,
    cause: readonly number[],
    wire: Uint8Array,
    from = 0,
  ): number {
    const each = SEND_BYTES + wire.length + cause.length * 9;
    // One at least: a frame that is larger than all there may be is told as it is.
    const room = Math.max(1, Math.floor((EXPANDED_FULL_BYTES * 2 - this.#expanded) / each));
    const until = Math.min(sends.to.length, from + Math.min(room, AUDIENCE_MAX));
    const to = from === 0 && until === sends.to.length ? sends.to : sends.to.slice(from, until);
    const known = this.#audience(to);
    const start = this.#begin();
    try {
      writeArrayHeader(SENDS_FIELDS);
      writeNumber(firstSeq + from);
      writeNumber(time);
      writeText(sends.sender);
      if (known < 0) writeValue(to, 'own', 1);
      else writeNumber(known);
      writeText(sends.type);
      writeNumber(sends.sequence);
      writeCause(cause);
      writeBytes(wire);
    } catch (error) {
      unwriteFrom(start);
      throw error;
    }
    this.#end();
    this.#expanded += each * to.length;
    if (known < 0) this.#audiences.push(to);
    return until;
  }

  #begin(): number {
    if (!this.#isTogether) beginWriting();
    return writtenLength();
  }

  #end(): void {
    if (!this.#isTogether) this.#keepWritten();
  }

  #keepWritten(): void {
    const length = writtenLength();
    this.#reserve(length);
    copyWritten(this.#bytes, this.#length);
    this.#length += length;
    beginWriting();
  }

  /** What was collected, good until something is added; the next batch begins empty. */
  take(): Uint8Array {
    if (this.#isTogether) this.#keepWritten();
    const taken = this.#bytes.subarray(0, this.#length);
    this.clear();
    return taken;
  }

  clear(): void {
    // One large state must not hold its memory for ever.
    if (this.#bytes.length > KEPT_BYTES) this.#bytes = new Uint8Array(FIRST_BYTES);
    this.#length = 0;
    this.#expanded = 0;
    this.#audiences = [];
  }

  /** The number of a list of receivers that was written already; -1 for none. The one met last is tried first. */
  #audience(to: readonly ReplicaId[]): number {
    for (let number = this.#audiences.length - 1; number >= 0; number--) {
      if (isSame(this.#audiences[number]!, to)) return number;
    }
    return -1;
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}

function isSame(left: readonly ReplicaId[], right: readonly ReplicaId[]): boolean {
  if (left === right) return true;
  if (left.length !== right.length) return false;
  for (let at = 0; at < left.length; at++) if (left[at] !== right[at]) return false;
  return true;
}

/** Records of one batch: a view of a record is far larger than the shortest record. */
const RECORDS_MAX = 1_000_000;
/** Receivers of one frame, and causes, at most: what is longer is refused before it is read. */
const AUDIENCE_MAX = 65_535;
const CAUSES_MAX = 1_000;
/** Names in all lists of receivers of one batch. */
const NAMES_MAX = 1_000_000;

const audienceSchema = array(replicaIdSchema, AUDIENCE_MAX);
const sendsSchema = object({
  seq: uint,
  time: uint,
  sender: replicaIdSchema,
  type: string(40),
  sequence: uint,
  cause: array(uint, CAUSES_MAX),
  wire: bytes(),
});

/**
 * The encoded trace records that a batch stands for, in order. Those that are in it as they are come as views of it, unread. A view
 * keeps its memory: what is to be kept for long is to be copied.
 * @throws SyncError `BATCH_MALFORMED` where it is not as {@link RecordBatch} makes them, or what the msgpack profile and the schemas
 * refuse
 */
export function recordsOfBatch(batch: Uint8Array): Uint8Array[] {
  const cursor = new MsgpackCursor();
  cursor.reset(batch, 0, batch.length);
  const records: Uint8Array[] = [];
  const audiences: Audiences = { lists: [], names: 0 };
  let expanded = 0;
  while (cursor.offset < batch.length) {
    if (records.length > RECORDS_MAX) throw malformed(`more than ${RECORDS_MAX} records`, cursor.offset);
    const tag = cursor.peek();
    if (tag >= 0xc4 && tag <= BIN_32) {
      const length = cursor.binary();
      records.push(batch.subarray(cursor.offset - length, cursor.offset));
      continue;
    }
    const { to, ...sends } = takeSends(cursor, audiences);
    expanded += (SEND_BYTES + sends.wire.length + sends.cause.length * 9) * to.length;
    if (expanded > EXPANDED_MAX_BYTES && to.length > 1) {
      throw malformed(`a batch stands for more than ${EXPANDED_MAX_BYTES} bytes of records`, cursor.offset);
    }
    if (!Number.isSafeInteger(sends.seq + to.length))
      throw malformed('numbers of records that are too high', cursor.offset);
    for (const record of sendRecords(sends, to)) records.push(record);
  }
  return records;
}

/** The lists of receivers that a batch has had so far, and how many names there are in them. */
interface Audiences {
  readonly lists: (readonly ReplicaId[])[];
  names: number;
}

interface Sends {
  readonly seq: number;
  readonly time: number;
  readonly sender: ReplicaId;
  readonly type: string;
  readonly sequence: number;
  readonly cause: readonly number[];
  readonly wire: Uint8Array;
}

function takeSends(cursor: MsgpackCursor, audiences: Audiences): Sends & { readonly to: readonly ReplicaId[] } {
  const { offset } = cursor;
  if (cursor.array() !== SENDS_FIELDS) throw malformed('neither a record nor sends', offset);
  const seq = cursor.uint();
  const time = cursor.uint();
  const sender = cursor.string();
  const to = takeAudience(cursor, audiences);
  const type = cursor.string();
  const sequence = cursor.uint();
  const cause = takeList(cursor, CAUSES_MAX, () => cursor.uint());
  const length = cursor.binary();
  const wire = cursor.bytes.subarray(cursor.offset - length, cursor.offset);
  const sends = sendsSchema.parse({ seq, time, sender, type, sequence, cause, wire }, `sends ${seq}`);
  return { ...sends, to };
}

function takeAudience(cursor: MsgpackCursor, audiences: Audiences): readonly ReplicaId[] {
  const { offset } = cursor;
  const tag = cursor.peek();
  if ((tag >= 0x90 && tag < 0xa0) || tag === 0xdc || tag === 0xdd) {
    const names = takeList(cursor, AUDIENCE_MAX, () => cursor.string());
    const audience = audienceSchema.parse(names, 'receivers');
    audiences.lists.push(audience);
    audiences.names += audience.length + 1;
    if (audiences.names > NAMES_MAX) throw malformed('too many receivers', offset);
    return audience;
  }
  const known = audiences.lists[cursor.uint()];
  if (!known) throw malformed('receivers that were not named', offset);
  return known;
}

function takeList<T>(cursor: MsgpackCursor, max: number, take: () => T): T[] {
  const { offset } = cursor;
  const length = cursor.array();
  if (length > max) throw malformed(`a list of ${length}, of ${max} at most`, offset);
  return Array.from({ length }, take);
}

/** The `send` records as `encodeTraceRecord` gives them, each a view of one memory; what they have in common is written once. */
function sendRecords(sends: Sends, to: readonly ReplicaId[]): Uint8Array[] {
  const [before, after] = commonParts(sends);
  const ends: number[] = [];
  beginWriting();
  for (let at = 0; at < to.length; at++) {
    writeArrayHeader(RECORD_FIELDS);
    writeNumber(sends.seq + at);
    writeEncoded(before);
    writeText(to[at]!);
    writeEncoded(after);
    ends.push(writtenLength());
  }
  const all = writtenBytes();
  return ends.map((end, at) => all.subarray(at === 0 ? 0 : ends[at - 1], end));
}

/** What stands before the receiver's name in each, behind `seq`, and what stands behind it. */
function commonParts({ time, sender, type, sequence, cause, wire }: Sends): [Uint8Array, Uint8Array] {
  beginWriting();
  writeNumber(time);
  writeText(sender);
  writeNumber(SEND_KIND);
  writeCause(cause);
  writeBytes(wire);
  writeValue(null, 'own', 1);
  writeMapHeader(4);
  writeText('to');
  const before = writtenBytes();
  beginWriting();
  for (const [name, value] of Object.entries({ type, sender, sequence })) {
    writeText(name);
    writeValue(value, 'own', 2);
  }
  return [before, writtenBytes()];
}

function malformed(what: string, offset: number): SyncError {
  return new SyncError('BATCH_MALFORMED', `${what}, at byte ${offset} of a batch of trace records`, {
    origin: 'attach',
    place: { offset },
  });
}
