import {
  beginWriting,
  CompactReader,
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
import { array, object, string, uint } from '../schema/index.ts';
import { type ReplicaId, replicaIdSchema } from '../state/index.ts';
import { logBody, TRACE_KINDS } from '../trace/index.ts';
import {
  AUDIENCE_MAX,
  CAUSES_MAX,
  ENTRY,
  EXPANDED_MAX_BYTES,
  HAS_MUTATION,
  HAS_ROOT,
  KNOWN_TEXT,
  LOG_BYTES,
  NEW,
  OPS,
  SEND_BYTES,
  SHAPE_NAMES_MAX,
  SHAPES_MAX,
  TEXT_UNITS_MAX,
  TEXT_VALUE,
  TEXTS_MAX,
  UNNUMBERED_TEXT,
} from './batch-format.ts';
import { MsgpackCursor } from './cursor.ts';
import { inputTextCount, inputTexts } from './inputs-text.ts';
import { encodeTraceRecord, RECORD_FIELDS, writeCause } from './record-codec.ts';

/** Records of one batch: a view of a record is far larger than the shortest record. */
const RECORDS_MAX = 1_000_000;
/** Names in all lists of receivers of one batch. */
const NAMES_MAX = 1_000_000;
const SEND_KIND = TRACE_KINDS.indexOf('send');
const COMMIT_KIND = TRACE_KINDS.indexOf('commit');
/** Bytes of UTF-8 that so many units of UTF-16 take at most. */
const TEXT_BYTES_MAX = TEXT_UNITS_MAX * 3;

const audienceSchema = array(replicaIdSchema, AUDIENCE_MAX);
const sendsSchema = object({ sender: replicaIdSchema, type: string(40), sequence: uint });

/**
 * The encoded trace records that a batch stands for, in order. Those that are in it as they are come as views of it, unread. A view
 * keeps its memory: what is to be kept for long is to be copied.
 * @throws SyncError `BATCH_MALFORMED` where it is not as `RecordBatch` makes them, what `CompactReader` refuses (`COMPACT_INVALID`,
 * `LENGTH_EXCEEDS_INPUT`), or what the msgpack profile and the schemas refuse
 */
export function recordsOfBatch(batch: Uint8Array): Uint8Array[] {
  const reader = new BatchReader(batch);
  while (reader.takeEntry());
  return reader.records;
}

/** A change but for its key and its values: bytes of its names as they stand in a record. */
interface Shape {
  readonly op: (typeof OPS)[number];
  readonly names: readonly Uint8Array[];
  readonly removed: readonly Uint8Array[];
}

interface Sends {
  readonly sender: ReplicaId;
  readonly type: string;
  readonly sequence: number;
  readonly cause: readonly number[];
  readonly wire: Uint8Array;
}

class BatchReader {
  readonly records: Uint8Array[] = [];
  readonly #batch: Uint8Array;
  readonly #in: CompactReader;
  readonly #cursor = new MsgpackCursor();
  /** As they stand in a record. */
  readonly #texts: Uint8Array[] = [];
  readonly #shapes: Shape[] = [];
  readonly #audiences: (readonly ReplicaId[])[] = [];
  #names = 0;
  /** Bytes of records that are not in the batch as they are. */
  #expanded = 0;
  #seq = 0;
  #time = 0;
  #version = 0;
  #counter = 0;

  constructor(batch: Uint8Array) {
    this.#batch = batch;
    this.#in = new CompactReader(batch);
  }

  /** Takes the next; false where there is none. */
  takeEntry(): boolean {
    if (this.#in.left === 0) return false;
    if (this.records.length >= RECORDS_MAX) throw this.#malformed(`more than ${RECORDS_MAX} records`);
    const entry = this.#in.bytes(1)[0];
    if (entry === ENTRY.record) this.records.push(this.#in.bytes(this.#in.count()));
    else if (entry === ENTRY.commit) this.#takeCommit();
    else if (entry === ENTRY.sends) this.#takeSends();
    else if (entry === ENTRY.inputs) this.#takeInputs();
    else if (entry === ENTRY.again) {
      this.#seq = 0;
      this.#time = 0;
    } else throw this.#malformed('an entry of no known kind');
    return true;
  }

  #takeCommit(): void {
    this.#takePlace();
    const replica = this.#takeText();
    const cause = this.#takeCause();
    const flags = this.#in.bytes(1)[0]!;
    if ((flags & ~(HAS_MUTATION | HAS_ROOT)) !== 0) throw this.#malformed('a commit with unknown parts');
    this.#version = this.#later(this.#version, this.#in.int());
    const [type, player, detail] = [this.#takeText(), this.#takeText(), this.#takeText()];
    const hasMutation = (flags & HAS_MUTATION) !== 0;
    const writer = hasMutation ? this.#takeText() : undefined;
    if (hasMutation) this.#counter = this.#later(this.#counter, this.#in.int());
    beginWriting();
    writeArrayHeader(RECORD_FIELDS);
    writeNumber(this.#seq);
    writeNumber(this.#time);
    writeEncoded(replica);
    writeNumber(COMMIT_KIND);
    writeCause(cause);
    // Neither a frame nor a place in a source.
    writeValue(null, 'own', 1);
    writeValue(null, 'own', 1);
    writeMapHeader(3 + (hasMutation ? 1 : 0) + ((flags & HAS_ROOT) === 0 ? 0 : 1));
    writeText('version');
    writeNumber(this.#version);
    writeText('event');
    writeMapHeader(3);
    writeFields({ type, player, detail });
    if (writer) {
      writeText('mutation');
      writeMapHeader(2);
      writeFields({ writer });
      writeText('counter');
      writeNumber(this.#counter);
    }
    writeText('changes');
    this.#takeChanges();
    if ((flags & HAS_ROOT) !== 0) {
      writeText('root');
      writeText(this.#in.text());
    }
    this.#expand(writtenLength());
    this.records.push(writtenBytes());
  }

  #takeChanges(): void {
    // A key and a shape at least.
    const count = this.#in.count(2);
    writeArrayHeader(count);
    for (let at = 0; at < count; at++) {
      const key = this.#takeText();
      this.#writeChange(key, this.#takeShape());
      // What is written must not grow beyond what is allowed before it is found out.
      if (this.#expanded + writtenLength() > EXPANDED_MAX_BYTES) this.#expand(writtenLength());
    }
  }

  #writeChange(key: Uint8Array, { op, names, removed }: Shape): void {
    writeMapHeader(op === 'remove' ? 2 : op === 'put' ? 3 : 4);
    writeText('op');
    writeText(op);
    writeFields({ key });
    if (op === 'remove') return;
    writeText(op === 'put' ? 'record' : 'fields');
    writeMapHeader(names.length);
    for (const name of names) {
      writeEncoded(name);
      writeEncoded(this.#takeValue());
    }
    if (op !== 'patch') return;
    writeText('removed');
    writeArrayHeader(removed.length);
    for (const name of removed) writeEncoded(name);
  }

  #takeShape(): Shape {
    const number = this.#in.uint();
    if (number !== NEW) return this.#shapes[number - 1] ?? this.#unknown('a change of a shape');
    if (this.#shapes.length >= SHAPES_MAX) throw this.#malformed(`more than ${SHAPES_MAX} shapes`);
    const op = OPS[this.#in.bytes(1)[0]!];
    if (op === undefined) throw this.#malformed('a change of no known kind');
    const names = op === 'remove' ? this.#takeNone() : this.#takeNames();
    const removed = op === 'patch' ? this.#takeNames() : [];
    const shape: Shape = { op, names, removed };
    this.#shapes.push(shape);
    return shape;
  }

  #takeNames(): Uint8Array[] {
    const count = this.#in.count();
    if (count > SHAPE_NAMES_MAX) throw this.#malformed(`${count} names, of ${SHAPE_NAMES_MAX} at most`);
    return Array.from({ length: count }, () => this.#takeText());
  }

  #takeNone(): Uint8Array[] {
    if (this.#in.uint() !== 0) throw this.#malformed('fields of what is removed');
    return [];
  }

  /** A value as it stands in a record. */
  #takeValue(): Uint8Array {
    const { offset } = this.#in;
    if (this.#batch[offset] === TEXT_VALUE) {
      this.#in.bytes(1);
      return this.#takeText();
    }
    this.#cursor.reset(this.#batch, offset, this.#batch.length);
    this.#cursor.skip();
    return this.#in.bytes(this.#cursor.offset - offset);
  }

  /** A text as it stands in a record. */
  #takeText(): Uint8Array {
    const number = this.#in.uint();
    if (number >= KNOWN_TEXT) return this.#texts[number - KNOWN_TEXT] ?? this.#unknown('a text');
    const utf8 = this.#in.bytes(this.#in.count());
    if (!isUtf8(utf8)) throw this.#malformed('text that is not UTF-8');
    const bytes = packedText(utf8);
    if (number === UNNUMBERED_TEXT) return bytes;
    if (utf8.length > TEXT_BYTES_MAX) throw this.#malformed('a text that is too long to be numbered');
    if (this.#texts.length >= TEXTS_MAX) throw this.#malformed(`more than ${TEXTS_MAX} texts`);
    this.#texts.push(bytes);
    return bytes;
  }

  #takeSends(): void {
    this.#takePlace();
    const sender = this.#takePlainText();
    const to = this.#takeAudience();
    const type = this.#takePlainText();
    const sequence = this.#in.uint();
    const cause = this.#takeCause();
    const wire = this.#in.bytes(this.#in.count());
    const sends = { ...sendsSchema.parse({ sender, type, sequence }, `sends ${this.#seq}`), cause, wire };
    this.#expanded += (SEND_BYTES + wire.length + cause.length * 9) * to.length;
    if (this.#expanded > EXPANDED_MAX_BYTES && to.length > 1) throw this.#tooMuch();
    if (to.length === 0) throw this.#malformed('a frame to nobody');
    const first = this.#seq;
    this.#seq = this.#later(first, to.length - 1);
    for (const record of sendRecords(sends, first, this.#time, to)) this.records.push(record);
  }

  #takeInputs(): void {
    this.#takePlace();
    const replica = replicaIdSchema.parse(this.#takePlainText(), 'the replica of inputs');
    const packed = this.#in.bytes(this.#in.count());
    this.#expand(packed.length * 2 + inputTextCount(packed) * LOG_BYTES);
    const first = this.#seq;
    this.#seq = this.#later(first, Math.max(0, inputTextCount(packed) - 1));
    for (const [at, text] of inputTexts(packed).entries()) {
      const record = { seq: first + at, time: this.#time, replica, cause: [], body: logBody(text) };
      this.records.push(encodeTraceRecord(record));
    }
  }

  #takePlainText(): string {
    const cursor = this.#cursor;
    const text = this.#takeText();
    cursor.reset(text, 0, text.length);
    return cursor.string();
  }

  #takeAudience(): readonly ReplicaId[] {
    const number = this.#in.uint();
    if (number !== NEW) return this.#audiences[number - 1] ?? this.#unknown('a list of receivers');
    const count = this.#in.count();
    if (count > AUDIENCE_MAX) throw this.#malformed(`${count} receivers, of ${AUDIENCE_MAX} at most`);
    this.#names += count + 1;
    if (this.#names > NAMES_MAX) throw this.#malformed('too many receivers');
    const names = Array.from({ length: count }, () => this.#in.text());
    const audience = audienceSchema.parse(names, 'receivers');
    this.#audiences.push(audience);
    return audience;
  }

  #takeCause(): number[] {
    const count = this.#in.count();
    if (count > CAUSES_MAX) throw this.#malformed(`${count} causes, of ${CAUSES_MAX} at most`);
    return Array.from({ length: count }, () => this.#in.uint());
  }

  #takePlace(): void {
    this.#seq = this.#later(this.#seq, this.#in.uint());
    this.#time = this.#later(this.#time, this.#in.uint());
  }

  #later(from: number, by: number): number {
    const to = from + by;
    if (!Number.isSafeInteger(to) || to < 0) throw this.#malformed('a number that is none');
    return to;
  }

  #expand(bytes: number): void {
    this.#expanded += bytes;
    if (this.#expanded > EXPANDED_MAX_BYTES) throw this.#tooMuch();
  }

  #tooMuch(): SyncError {
    return this.#malformed(`a batch stands for more than ${EXPANDED_MAX_BYTES} bytes of records`);
  }

  #unknown(what: string): never {
    throw this.#malformed(`${what} that the batch has not had`);
  }

  #malformed(what: string): SyncError {
    const { offset } = this.#in;
    return new SyncError('BATCH_MALFORMED', `${what}, at byte ${offset} of a batch of trace records`, {
      origin: 'attach',
      place: { offset },
    });
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function isUtf8(bytes: Uint8Array): boolean {
  try {
    decoder.decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** Text as msgpack has it. Not by the writer, which is in the middle of a record. */
function packedText(utf8: Uint8Array): Uint8Array {
  const { length } = utf8;
  const head = length < 0x20 ? [0xa0 | length] : length < 0x100 ? [0xd9] : length < 0x10000 ? [0xda] : [0xdb];
  const width = length < 0x20 ? 0 : length < 0x100 ? 1 : length < 0x10000 ? 2 : 4;
  for (let shift = (width - 1) * 8; shift >= 0; shift -= 8) head.push((length >>> shift) & 0xff);
  const packed = new Uint8Array(head.length + length);
  packed.set(head);
  packed.set(utf8, head.length);
  return packed;
}

/** Fields of which the values are as they stand in a record. */
function writeFields(fields: Readonly<Record<string, Uint8Array>>): void {
  for (const [name, value] of Object.entries(fields)) {
    writeText(name);
    writeEncoded(value);
  }
}

/** The `send` records as `encodeTraceRecord` gives them, each a view of one memory; what they have in common is written once. */
function sendRecords(sends: Sends, first: number, time: number, to: readonly ReplicaId[]): Uint8Array[] {
  const [before, after] = commonParts(sends, time);
  const ends: number[] = [];
  beginWriting();
  for (let at = 0; at < to.length; at++) {
    writeArrayHeader(RECORD_FIELDS);
    writeNumber(first + at);
    writeEncoded(before);
    writeText(to[at]!);
    writeEncoded(after);
    ends.push(writtenLength());
  }
  const all = writtenBytes();
  return ends.map((end, at) => all.subarray(at === 0 ? 0 : ends[at - 1], end));
}

/** What stands before the receiver's name in each, behind `seq`, and what stands behind it. */
function commonParts({ sender, type, sequence, cause, wire }: Sends, time: number): [Uint8Array, Uint8Array] {
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
