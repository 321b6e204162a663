import { MSGPACK_LIMITS, textAt, ValueReader, wordsToHex } from '../bytes/index.ts';
import type { VectorEntry } from '../clock/index.ts';
import {
  type Change,
  type RecordKey,
  type ReplicaId,
  recordKey,
  replicaId,
  type StateHash,
  type SyncRecord,
  type Value,
} from '../state/index.ts';
import { AGAIN_LIMIT, COLUMN, WIRE_OP } from './compact.ts';
import { MESSAGES, type MessageOf } from './message.ts';
import type { NameSource } from './names.ts';
import { type Rejection, type SnapshotEntry, snapshotPartSchema } from './replication.ts';
import { rejectionsForm } from './wire.ts';

/**
 * Reads the frames that are sent most, those that carry states, DELTA_SYNC and FULL_SYNC, and those that say where a client stands, ACK
 * and HEARTBEAT, from bytes to messages in one pass, checking on the way. It knows only
 * what such frames usually look like and gives up at anything else, be it wrong or merely rare: then the codec reads the frame in its
 * plain way, step by step, which accepts it or says what is wrong. So whatever this accepts must be read the same by that.
 *
 * Past the end, bytes read as nothing, and no step goes back: that a field ends where it was said to is checked once, at its end.
 */

/** Thrown to give up; never leaves this file. */
const GIVE_UP = new Error('not a usual frame');

/** Names that are compared each with each. */
const FEW = 32;

/** In shorter frames the limit of values cannot be passed, so that they are not counted. */
const FEW_VALUES = MSGPACK_LIMITS.nodes;

const DELTA_HEAD = [0x90 | (3 + MESSAGES.DELTA_SYNC.schema.fields.length), MESSAGES.DELTA_SYNC.id] as const;
const STANDING_HEAD = 0x90 | (3 + MESSAGES.ACK.schema.fields.length);
const FULL_HEAD = [0x90 | (3 + MESSAGES.FULL_SYNC.schema.fields.length), MESSAGES.FULL_SYNC.id] as const;

const NONE: readonly string[] = [];

/** The message in a frame, or undefined where the frame is not a usual one of these. Never throws. */
export function decodeDirectly(
  frame: Uint8Array,
  names: NameSource,
): MessageOf<'DELTA_SYNC' | 'FULL_SYNC' | 'ACK' | 'HEARTBEAT'> | undefined {
  const isDelta = frame[0] === DELTA_HEAD[0] && frame[1] === DELTA_HEAD[1];
  const standing = isDelta ? undefined : standingType(frame);
  if (!isDelta && !standing && (frame[0] !== FULL_HEAD[0] || frame[1] !== FULL_HEAD[1])) return undefined;
  const reader = new FrameReader(frame, names);
  try {
    if (standing) return reader.standing(standing);
    return isDelta ? reader.delta() : reader.full();
  } catch {
    // The plain way says what is wrong, if anything is.
    return undefined;
  }
}

function standingType(frame: Uint8Array): 'ACK' | 'HEARTBEAT' | undefined {
  if (frame[0] !== STANDING_HEAD) return undefined;
  if (frame[1] === MESSAGES.ACK.id) return 'ACK';
  return frame[1] === MESSAGES.HEARTBEAT.id ? 'HEARTBEAT' : undefined;
}

// The sender of the last frame, which is mostly that of the next.
let lastSender = '' as ReplicaId;

function senderOf(text: string): ReplicaId {
  if (text !== lastSender) lastSender = replicaId(text);
  return lastSender;
}

class FrameReader {
  declare readonly bytes: Uint8Array;
  declare readonly names: NameSource;
  declare at: number;
  /** Of what is not of the compact form; made where something is met. */
  declare values: ValueReader | undefined;
  /** The number of the last key that had one. */
  declare lastKey: number;
  /** Names of fields that go, in all rows. */
  declare removals: number;
  /** Units of texts that were referred to, in the field that is read. */
  declare repeated: number;

  constructor(bytes: Uint8Array, names: NameSource) {
    this.bytes = bytes;
    this.names = names;
    this.at = 2;
    this.values = undefined;
    this.lastKey = 0;
    this.removals = 0;
    this.repeated = 0;
  }

  delta(): MessageOf<'DELTA_SYNC'> {
    const sender = senderOf(this.shortText());
    const sequence = this.counter();
    if (sequence === 0) throw GIVE_UP;
    const from = this.counter();
    const to = from + this.counter();
    const since = this.difference(from);
    const progress = since + this.counter();
    if (to > Number.MAX_SAFE_INTEGER || progress > Number.MAX_SAFE_INTEGER) throw GIVE_UP;
    const message: MessageOf<'DELTA_SYNC'> = {
      type: 'DELTA_SYNC',
      sender,
      sequence,
      from,
      to,
      since,
      progress,
      changes: this.changes(),
      vector: this.vector(),
      rejected: this.rejections(),
      root: this.stateHash(),
    };
    return this.whole(message);
  }

  full(): MessageOf<'FULL_SYNC'> {
    const sender = senderOf(this.shortText());
    const sequence = this.counter();
    if (sequence === 0) throw GIVE_UP;
    const message: MessageOf<'FULL_SYNC'> = {
      type: 'FULL_SYNC',
      sender,
      sequence,
      version: this.counter(),
      progress: this.counter(),
      records: this.entries(),
      vector: this.vector(),
      rejected: this.rejections(),
      root: this.stateHash(),
    };
    const part = this.value();
    if (part === null) return this.whole(message);
    return this.whole({ ...message, part: snapshotPartSchema.parse(part, '') });
  }

  /** Of a client; one comes after the other, so that the last sender says nothing of the next. */
  standing<T extends 'ACK' | 'HEARTBEAT'>(type: T): { type: T } & Omit<MessageOf<'ACK'>, 'type'> {
    const sender = replicaId(this.shortText());
    const sequence = this.counter();
    if (sequence === 0) throw GIVE_UP;
    const version = this.counter();
    const progress = this.counter();
    return this.whole({ type, sender, sequence, version, progress, root: this.stateHash() });
  }

  whole<T>(message: T): T {
    if (this.at !== this.bytes.length) throw GIVE_UP;
    return message;
  }

  // — msgpack —

  /** Any msgpack value of the profile, checked. */
  value(): unknown {
    const tag = this.bytes[this.at]!;
    if (tag < 0x80 || tag === 0xc0 || tag === 0xc2 || tag === 0xc3) {
      this.at++;
      return tag < 0x80 ? tag : tag === 0xc0 ? null : tag === 0xc3;
    }
    this.values ??= new ValueReader(this.bytes);
    const value = this.values.read(this.at);
    this.at = this.values.end;
    return value;
  }

  /** An integer from 0 to 2^53 - 1. */
  counter(): number {
    const { bytes, at } = this;
    const tag = bytes[at]!;
    if (tag < 0x80) {
      this.at = at + 1;
      return tag;
    }
    if (tag === 0xcd) {
      this.at = at + 3;
      return (bytes[at + 1]! << 8) | bytes[at + 2]!;
    }
    const value = this.value();
    if (!Number.isSafeInteger(value) || (value as number) < 0) throw GIVE_UP;
    return value as number;
  }

  /** A counter that lies there as its difference to `base`. */
  difference(base: number): number {
    const tag = this.bytes[this.at]!;
    if (tag < 0x80) this.at++;
    const difference = tag < 0x80 ? tag : this.value();
    if (!Number.isSafeInteger(difference)) throw GIVE_UP;
    const value = base + (difference as number);
    if (!(value >= 0 && value <= Number.MAX_SAFE_INTEGER)) throw GIVE_UP;
    return value;
  }

  shortText(): string {
    const tag = this.bytes[this.at++]!;
    if (tag < 0xa0 || tag >= 0xc0) throw GIVE_UP;
    return this.textOf(tag & 0x1f);
  }

  textOf(length: number): string {
    const from = this.at;
    if (!(length <= this.bytes.length - from)) throw GIVE_UP;
    this.at = from + length;
    return textAt(this.bytes, from, this.at);
  }

  /** Where the `bin` that begins here ends. */
  binEnd(): number {
    const { bytes, at } = this;
    const tag = bytes[at];
    let length: number;
    if (tag === 0xc4) {
      length = bytes[at + 1]!;
      this.at = at + 2;
    } else if (tag === 0xc5) {
      length = (bytes[at + 1]! << 8) | bytes[at + 2]!;
      this.at = at + 3;
    } else if (tag === 0xc6) {
      length = bytes[at + 1]! * 0x1000000 + ((bytes[at + 2]! << 16) | (bytes[at + 3]! << 8) | bytes[at + 4]!);
      this.at = at + 5;
    } else {
      throw GIVE_UP;
    }
    const end = this.at + length;
    if (!(end <= bytes.length)) throw GIVE_UP;
    return end;
  }

  rejections(): Rejection[] {
    if (this.bytes[this.at] !== 0x90) return rejectionsForm.decode(this.value(), this.names, '');
    this.at++;
    return [];
  }

  stateHash(): StateHash {
    const { bytes, at } = this;
    if (bytes[at] !== 0xc4 || bytes[at + 1] !== 8) throw GIVE_UP;
    this.at = at + 10;
    return wordsToHex(this.word(at + 2), this.word(at + 6)) as StateHash;
  }

  word(at: number): number {
    const { bytes } = this;
    return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
  }

  // — the compact form —

  uint(): number {
    const { bytes, at } = this;
    const first = bytes[at]!;
    if (first < 0x80) {
      this.at = at + 1;
      return first;
    }
    const second = bytes[at + 1]!;
    if (second < 0x80 && second > 0) {
      this.at = at + 2;
      return (first & 0x7f) | (second << 7);
    }
    return this.longUint();
  }

  longUint(): number {
    const { bytes } = this;
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 8; count++) {
      const byte = bytes[this.at++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        // In the fewest bytes, and a number that a number can hold.
        if (byte === 0 || value > Number.MAX_SAFE_INTEGER) throw GIVE_UP;
        return value;
      }
      scale *= 128;
    }
    throw GIVE_UP;
  }

  int(): number {
    const value = this.uint();
    if (value <= 0x7fff_ffff) return (value >>> 1) ^ -(value & 1);
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  text(): string {
    return this.textOf(this.uint());
  }

  name(): string {
    const number = this.uint();
    if (number === 0) return this.text();
    const known = this.names.nameAt(number - 1);
    if (known === undefined) throw GIVE_UP;
    return known;
  }

  key(): RecordKey {
    const step = this.uint();
    if (step === 0) return recordKey(this.text());
    const number = this.lastKey + (step % 2 === 1 ? (step - 1) / 2 : -step / 2);
    if (number < 0) throw GIVE_UP;
    this.lastKey = number;
    const known = this.names.keyAt?.(number);
    if (known !== undefined) return known;
    const name = this.names.nameAt(number);
    if (name === undefined) throw GIVE_UP;
    return recordKey(name);
  }

  replica(): ReplicaId {
    const number = this.uint();
    if (number === 0) return replicaId(this.text());
    const known = this.names.replicaAt?.(number - 1);
    if (known !== undefined) return known;
    const name = this.names.nameAt(number - 1);
    if (name === undefined) throw GIVE_UP;
    return replicaId(name);
  }

  /** Field names, each once. */
  fieldNames(): string[] {
    const count = this.uint();
    if (count > FEW) throw GIVE_UP;
    const fields: string[] = [];
    for (let index = 0; index < count; index++) {
      const name = this.name();
      if (name === '__proto__') throw GIVE_UP;
      for (let other = 0; other < index; other++) if (fields[other] === name) throw GIVE_UP;
      fields.push(name);
    }
    return fields;
  }

  changes(): Change[] {
    const end = this.binEnd();
    const changes: Change[] = [];
    this.lastKey = 0;
    while (this.at < end) this.run(changes, end);
    if (this.at !== end) throw GIVE_UP;
    return changes;
  }

  run(changes: Change[], end: number): void {
    const head = this.uint();
    const op = head % 4;
    const count = Math.floor(head / 4);
    if (op === WIRE_OP.remove) {
      this.countRows(count, 0, end);
      for (let row = 0; row < count; row++) changes.push({ op: 'remove', key: this.key() });
      return;
    }
    const fields = this.fieldNames();
    const types = this.types(fields.length);
    const removed = op === WIRE_OP.patchAndRemove ? this.fieldNames() : NONE;
    this.countRows(count, fields.length, end);
    // Said once for many rows: with the values, of which each takes a byte at least, they might be more than may be.
    this.removals += count * removed.length;
    if (this.removals > 0 && this.removals + this.bytes.length > FEW_VALUES) throw GIVE_UP;
    const seen: string[][] = [];
    for (let row = 0; row < count; row++) {
      const key = this.key();
      const record = this.record(fields, types, seen);
      changes.push(op === WIRE_OP.put ? { op: 'put', key, record } : { op: 'patch', key, fields: record, removed });
    }
  }

  entries(): SnapshotEntry[] {
    const end = this.binEnd();
    const entries: SnapshotEntry[] = [];
    const keys = new Set<RecordKey>();
    this.lastKey = 0;
    while (this.at < end) {
      const head = this.uint();
      if (head % 4 !== WIRE_OP.put) throw GIVE_UP;
      const count = Math.floor(head / 4);
      const fields = this.fieldNames();
      const types = this.types(fields.length);
      this.countRows(count, fields.length, end);
      const seen: string[][] = [];
      for (let row = 0; row < count; row++) {
        const key = this.key();
        keys.add(key);
        entries.push({ key, record: this.record(fields, types, seen) });
      }
    }
    if (this.at !== end || keys.size < entries.length) throw GIVE_UP;
    return entries;
  }

  /** Where the types of so many fields lie. */
  types(count: number): number {
    const from = this.at;
    this.at = from + count;
    for (let at = from; at < this.at; at++) if (!(this.bytes[at]! <= COLUMN.again)) throw GIVE_UP;
    return from;
  }

  /** Every row has a key and its values, and each of them takes a byte at least. */
  countRows(rows: number, fields: number, end: number): void {
    const values = rows * (fields + 1);
    if (rows === 0 || values > end - this.at) throw GIVE_UP;
    if (this.values === undefined && this.bytes.length < FEW_VALUES) return;
    this.values ??= new ValueReader(this.bytes);
    this.values.count(this.at, values);
  }

  record(fields: readonly string[], types: number, seen: string[][]): SyncRecord {
    const record: Record<string, Value> = {};
    const { bytes } = this;
    for (let index = 0; index < fields.length; index++) {
      const type = bytes[types + index];
      const value =
        type === COLUMN.int
          ? this.int()
          : type === COLUMN.text
            ? this.text()
            : type === COLUMN.value
              ? (this.value() as Value)
              : this.again(seen, index);
      record[fields[index]!] = value;
    }
    return record;
  }

  again(seen: string[][], column: number): string {
    let texts = seen[column];
    if (texts === undefined) {
      while (seen.length <= column) seen.push([]);
      texts = seen[column]!;
    }
    const number = this.uint();
    if (number === 0) {
      const text = this.text();
      texts.push(text);
      return text;
    }
    if (number > texts.length) throw GIVE_UP;
    const text = texts[number - 1]!;
    this.repeated += text.length;
    if (this.repeated > AGAIN_LIMIT) throw GIVE_UP;
    return text;
  }

  vector(): VectorEntry[] {
    const end = this.binEnd();
    const entries: VectorEntry[] = [];
    while (this.at < end) {
      const replica = this.replica();
      for (let other = 0; other < entries.length; other++) if (entries[other]!.replica === replica) throw GIVE_UP;
      entries.push({ replica, counter: this.uint() });
      if (entries.length > FEW) throw GIVE_UP;
    }
    if (this.at !== end) throw GIVE_UP;
    return entries;
  }
}
