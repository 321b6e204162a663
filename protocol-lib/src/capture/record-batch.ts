import { beginWriting } from '../bytes/index.ts';
import { SyncError } from '../errors/index.ts';
import type { Change, ReplicaId } from '../state/index.ts';
import type { FrameSends, TraceBodyOf, TraceRecord } from '../trace/index.ts';
import { BatchArea } from './batch-area.ts';
import {
  AUDIENCE_MAX,
  CAUSES_MAX,
  CHANGE_BYTES,
  COMMIT_BYTES,
  ENTRY,
  EXPANDED_MAX_BYTES,
  HAS_MUTATION,
  HAS_ROOT,
  KNOWN_TEXT,
  LOG_BYTES,
  NEW,
  NEW_TEXT,
  OPS,
  SEND_BYTES,
  TEXT_VALUE,
  UNNUMBERED_TEXT,
} from './batch-format.ts';
import { BatchTables, type NumberedText, type Shape } from './batch-tables.ts';
import { inputTextCount } from './inputs-text.ts';
import { writeTraceRecord } from './record-codec.ts';

export { recordsOfBatch } from './batch-reader.ts';

/**
 * Trace records on the attach stream, many in one frame, as `batch-format.ts` says. What a recorded session tells most are commits and the frames that go
 * to many. A commit is told without what it has in common with those before it, a frame once with who got it, and the observer makes the records of both:
 * a server pays for what is new, whether ten replicas listen or a thousand. All is written at once, into memory that is used again, and nothing of the
 * session's own is kept.
 */

/** Where a batch stands for so many it is full, so that there is always room for one entry more. */
const EXPANDED_FULL_BYTES = EXPANDED_MAX_BYTES / 4;
/** A commit that stands for more is told as it is. */
const COMMIT_MAX_BYTES = 1024 * 1024;
/** Values of a record stand so deep in what is written: below a body, its changes, one of them, and the record. */
const VALUE_DEPTH = 5;
/** Beyond that, a difference of two may be more than a number of the batch can say. */
const COUNT_MAX = 2 ** 51;

type Commit = TraceBodyOf<'commit'>;

/** Collects what is told into a batch. */
export class RecordBatch {
  readonly #area = new BatchArea();
  readonly #tables = new BatchTables();
  #expanded = 0;
  /** What the next entry counts from. */
  #seq = 0;
  #time = 0;
  #version = 0;
  #counter = 0;
  readonly #before = { length: 0, expanded: 0, texts: 0, shapes: 0, seq: 0, time: 0, version: 0, counter: 0 };

  /** Bytes so far. */
  get length(): number {
    return this.#area.length;
  }

  /** Whether it stands for as much as an observer takes at once. */
  get isFull(): boolean {
    return this.#expanded >= EXPANDED_FULL_BYTES;
  }

  /** @throws SyncError as `packMsgpack`, and then nothing was added */
  add(record: TraceRecord): void {
    const { body } = record;
    if (body.kind === 'commit' && isShort(record, body) && this.#addCommit(record, body)) return;
    beginWriting();
    writeTraceRecord(record);
    this.#area.byte(ENTRY.record);
    this.#area.counted();
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
    if (from >= sends.to.length) return from;
    const each = SEND_BYTES + wire.length + cause.length * 9;
    // One at least: a frame that is larger than all there may be is told as it is.
    const room = Math.max(1, Math.floor((EXPANDED_FULL_BYTES * 2 - this.#expanded) / each));
    const until = Math.min(sends.to.length, from + Math.min(room, AUDIENCE_MAX));
    const to = from === 0 && until === sends.to.length ? sends.to : sends.to.slice(from, until);
    const known = this.#tables.audience(to);
    this.#mark();
    try {
      this.#place(ENTRY.sends, firstSeq + from, time);
      this.#text(sends.sender);
      if (known < 0) this.#audience(to);
      else this.#area.uint(known + 1);
      this.#text(sends.type);
      this.#count(sends.sequence);
      this.#causes(cause);
      this.#area.uint(wire.length);
      this.#area.raw(wire);
    } catch (error) {
      this.#undo();
      throw error;
    }
    this.#seq += to.length - 1;
    this.#expanded += each * to.length;
    if (known < 0) this.#tables.addAudience(to);
    return until;
  }

  /** `log` records with inputs, as `inputTexts` says, the first of them with this `seq`. @throws SyncError as `packMsgpack`, and then nothing was added */
  addInputs(firstSeq: number, time: number, replica: ReplicaId, packed: Uint8Array): void {
    const count = inputTextCount(packed);
    if (count === 0) return;
    this.#mark();
    try {
      this.#place(ENTRY.inputs, firstSeq, time);
      this.#text(replica);
      this.#area.uint(packed.length);
      this.#area.raw(packed);
    } catch (error) {
      this.#undo();
      throw error;
    }
    this.#seq += count - 1;
    this.#expanded += packed.length * 2 + count * LOG_BYTES;
  }

  /** What was collected, good until something is added; the next batch begins empty. */
  take(): Uint8Array {
    const taken = this.#area.written;
    this.clear();
    return taken;
  }

  clear(): void {
    this.#area.clear();
    this.#tables.clear();
    this.#expanded = 0;
    this.#seq = 0;
    this.#time = 0;
    this.#version = 0;
    this.#counter = 0;
  }

  /** Whether it went in; where it did not, it is told as it is, or cannot be told. */
  #addCommit(record: TraceRecord, body: Commit): boolean {
    this.#mark();
    try {
      this.#writeCommit(record, body);
    } catch {
      this.#undo();
      return false;
    }
    const { length, expanded } = this.#before;
    const stands = this.#expanded - expanded + COMMIT_BYTES + this.#area.length - length;
    if (stands > COMMIT_MAX_BYTES) {
      this.#undo();
      return false;
    }
    this.#expanded = expanded + stands;
    return true;
  }

  #writeCommit({ seq, time, replica, cause }: TraceRecord, body: Commit): void {
    const { version, event, mutation, changes, root } = body;
    this.#place(ENTRY.commit, seq, time);
    this.#text(replica);
    this.#causes(cause);
    this.#area.byte((mutation ? HAS_MUTATION : 0) | (root === undefined ? 0 : HAS_ROOT));
    this.#area.int(version - this.#version);
    this.#version = version;
    this.#text(event.type);
    this.#text(event.player);
    this.#text(event.detail);
    if (mutation) {
      this.#text(mutation.writer);
      this.#area.int(mutation.counter - this.#counter);
      this.#counter = mutation.counter;
    }
    this.#area.uint(changes.length);
    for (let at = 0; at < changes.length; at++) this.#change(changes[at]!);
    if (root !== undefined) this.#area.text(root);
  }

  #change(change: Change): void {
    const key = this.#text(change.key);
    const shape = this.#tables.shapeOf(change, key);
    if (shape) this.#area.uint(shape.number + 1);
    const { bytes } = shape ?? this.#newShape(change, key);
    this.#expanded += bytes + CHANGE_BYTES;
    if (change.op === 'put') this.#values(change.record);
    else if (change.op === 'patch') this.#values(change.fields);
  }

  #newShape(change: Change, key: NumberedText | undefined): Shape {
    const shape = this.#tables.newShape(change, key);
    if (!shape) throw new SyncError('BATCH_UNUSUAL', 'a change that is told as it is', { origin: 'attach' });
    this.#area.uint(NEW);
    this.#area.byte(OPS.indexOf(shape.op));
    this.#names(shape.names);
    if (shape.op === 'patch') this.#names(shape.removed);
    return shape;
  }

  #names(names: readonly string[]): void {
    this.#area.uint(names.length);
    for (const name of names) this.#text(name);
  }

  #values(fields: Readonly<Record<string, unknown>>): void {
    for (const name in fields) {
      const value = fields[name];
      if (typeof value === 'string') {
        this.#area.byte(TEXT_VALUE);
        this.#text(value);
      } else this.#area.value(value, VALUE_DEPTH);
    }
  }

  /** The text, or its number where the batch has had it. */
  #text(text: string): NumberedText | undefined {
    const known = this.#tables.known(text);
    if (known) {
      this.#area.uint(known.number + KNOWN_TEXT);
      this.#expanded += known.bytes;
      return known;
    }
    const numbered = this.#tables.number(text);
    this.#area.uint(numbered ? NEW_TEXT : UNNUMBERED_TEXT);
    this.#area.text(text);
    return numbered;
  }

  #audience(to: readonly ReplicaId[]): void {
    this.#area.uint(NEW);
    this.#area.uint(to.length);
    for (let at = 0; at < to.length; at++) this.#area.text(to[at]!);
  }

  #causes(cause: readonly number[]): void {
    this.#area.uint(cause.length);
    for (let at = 0; at < cause.length; at++) this.#count(cause[at]!);
  }

  /** @throws SyncError `VALUE_INVALID` where it is no integer from 0 to 2^53 - 1 */
  #count(value: number): void {
    if (!isCount(value)) throw new SyncError('VALUE_INVALID', `${value} is no count`, { origin: 'state' });
    this.#area.uint(value);
  }

  /** How an entry begins: what it is, and how much later it was than the one before. */
  #place(entry: number, seq: number, time: number): void {
    if (seq < this.#seq || time < this.#time) {
      this.#area.byte(ENTRY.again);
      this.#seq = 0;
      this.#time = 0;
    }
    this.#area.byte(entry);
    this.#count(seq - this.#seq);
    this.#count(time - this.#time);
    this.#seq = seq;
    this.#time = time;
  }

  #mark(): void {
    const before = this.#before;
    before.length = this.#area.length;
    before.expanded = this.#expanded;
    before.texts = this.#tables.texts;
    before.shapes = this.#tables.shapes;
    before.seq = this.#seq;
    before.time = this.#time;
    before.version = this.#version;
    before.counter = this.#counter;
  }

  /** As if nothing had been added since {@link #mark}. */
  #undo(): void {
    const { length, expanded, texts, shapes, seq, time, version, counter } = this.#before;
    this.#area.cut(length);
    this.#tables.cut(texts, shapes);
    this.#expanded = expanded;
    this.#seq = seq;
    this.#time = time;
    this.#version = version;
    this.#counter = counter;
  }
}

/** Whether it can be told as a difference to the one before. What it has beside that has no place there. */
function isShort({ seq, time, cause, wire, source }: TraceRecord, { version, mutation }: Commit): boolean {
  return (
    wire === undefined &&
    source === undefined &&
    isCount(seq) &&
    isCount(time) &&
    cause.length <= CAUSES_MAX &&
    isSmall(version) &&
    (mutation === undefined || isSmall(mutation.counter))
  );
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function isSmall(value: number): boolean {
  return isCount(value) && value <= COUNT_MAX;
}
