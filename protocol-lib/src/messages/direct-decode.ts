import { MSGPACK_LIMITS, textAt, wordsToHex } from '../bytes/index.ts';
import type { VectorEntry } from '../clock/index.ts';
import {
  type Change,
  type RecordKey,
  recordKey,
  replicaId,
  type StateHash,
  type SyncRecord,
  type Value,
} from '../state/index.ts';
import { MESSAGES, type MessageOf } from './message.ts';
import type { NameSource } from './names.ts';
import type { Rejection, SnapshotEntry } from './replication.ts';
import { WIRE_OP } from './wire-write.ts';

/**
 * Reads the frames that carry states, DELTA_SYNC and FULL_SYNC, from bytes to changes in one pass, checking on the way. It knows only
 * what such frames usually look like and gives up at anything else, be it wrong or merely rare: then the codec reads the frame in its
 * plain way, step by step, which accepts it or says what is wrong. So whatever this accepts must be read the same by that.
 */

/** Thrown to give up; never leaves this file. */
const GIVE_UP = new Error('not a usual frame');

/** Longer frames could pass limits that are not counted here. */
const FRAME_MAX = MSGPACK_LIMITS.nodes;
/** Containers within a record's value. */
const DEPTH_MAX = 8;
/** Names that are compared each with each. */
const FEW = 32;
/** As the schema of rejections has it. */
const REASON_MAX = 500;

const DELTA_HEAD = [0x90 | (3 + MESSAGES.DELTA_SYNC.schema.fields.length), MESSAGES.DELTA_SYNC.id] as const;
const FULL_HEAD = [0x90 | (3 + MESSAGES.FULL_SYNC.schema.fields.length), MESSAGES.FULL_SYNC.id] as const;

const NONE: readonly string[] = [];

/** The message in a frame, or undefined where the frame is not a usual one of these. Never throws. */
export function decodeDirectly(
  frame: Uint8Array,
  names: NameSource,
): MessageOf<'DELTA_SYNC'> | MessageOf<'FULL_SYNC'> | undefined {
  if (frame.length > FRAME_MAX) return undefined;
  const isDelta = frame[0] === DELTA_HEAD[0] && frame[1] === DELTA_HEAD[1];
  if (!isDelta && (frame[0] !== FULL_HEAD[0] || frame[1] !== FULL_HEAD[1])) return undefined;
  const reader = new FrameReader(frame, names);
  try {
    return isDelta ? reader.delta() : reader.full();
  } catch {
    // The plain way says what is wrong, if anything is.
    return undefined;
  }
}

class FrameReader {
  declare readonly bytes: Uint8Array;
  declare readonly view: DataView;
  declare readonly names: NameSource;
  declare at: number;

  constructor(bytes: Uint8Array, names: NameSource) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.names = names;
    this.at = 2;
  }

  delta(): MessageOf<'DELTA_SYNC'> {
    const sender = replicaId(this.text());
    const sequence = this.counter();
    if (sequence === 0) throw GIVE_UP;
    const message: MessageOf<'DELTA_SYNC'> = {
      type: 'DELTA_SYNC',
      sender,
      sequence,
      from: this.counter(),
      to: this.counter(),
      since: this.counter(),
      progress: this.counter(),
      changes: this.changes(),
      vector: this.vector(),
      rejected: this.rejections(),
      root: this.stateHash(),
    };
    return this.whole(message);
  }

  full(): MessageOf<'FULL_SYNC'> {
    const sender = replicaId(this.text());
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
    return this.whole(message);
  }

  whole<T>(message: T): T {
    // Past the end, bytes read as nothing; that is found here at the latest.
    if (this.at !== this.bytes.length) throw GIVE_UP;
    return message;
  }

  /** The number of items in an array. Every item takes a byte at least. */
  list(): number {
    const tag = this.bytes[this.at++]!;
    let count: number;
    if (tag >= 0x90 && tag < 0xa0) count = tag & 0x0f;
    else if (tag === 0xdc) count = this.uint16();
    else if (tag === 0xdd) count = this.uint32();
    else throw GIVE_UP;
    if (count > this.bytes.length - this.at) throw GIVE_UP;
    return count;
  }

  uint16(): number {
    this.at += 2;
    return this.view.getUint16(this.at - 2);
  }

  uint32(): number {
    this.at += 4;
    return this.view.getUint32(this.at - 4);
  }

  int32(): number {
    this.at += 4;
    return this.view.getInt32(this.at - 4);
  }

  /** An integer from 0 to 2^53 - 1. */
  counter(): number {
    const tag = this.bytes[this.at]!;
    if (tag < 0x80) {
      this.at++;
      return tag;
    }
    if (tag < 0xcc || tag > 0xcf) throw GIVE_UP;
    return this.value(0) as number;
  }

  text(): string {
    const tag = this.bytes[this.at++]!;
    if (tag >= 0xa0 && tag < 0xc0) return this.textOf(tag & 0x1f);
    if (tag === 0xd9) return this.textOf(this.bytes[this.at++]!);
    throw GIVE_UP;
  }

  textOf(length: number): string {
    const from = this.at;
    if (!(length <= this.bytes.length - from)) throw GIVE_UP;
    this.at = from + length;
    return textAt(this.bytes, from, this.at);
  }

  /** The number of a name, or -1 where a name is written out. */
  number(): number {
    const tag = this.bytes[this.at]!;
    return tag < 0x80 || (tag >= 0xcc && tag <= 0xce) ? this.counter() : -1;
  }

  name(): string {
    const number = this.number();
    if (number < 0) return this.text();
    const known = this.names.nameAt(number);
    if (known === undefined) throw GIVE_UP;
    return known;
  }

  key(): RecordKey {
    const number = this.number();
    if (number < 0) return recordKey(this.text());
    const known = this.names.keyAt?.(number);
    if (known !== undefined) return known;
    const name = this.names.nameAt(number);
    if (name === undefined) throw GIVE_UP;
    return recordKey(name);
  }

  /** Field names, each once. */
  fieldNames(): string[] {
    const count = this.list();
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

  record(fields: readonly string[]): SyncRecord {
    const record: Record<string, Value> = {};
    for (let index = 0; index < fields.length; index++) record[fields[index]!] = this.value(0);
    return record;
  }

  /** How many keys with a record each are in the rest of a run of `items`. */
  records(items: number, fields: readonly string[]): number {
    const stride = fields.length + 1;
    if (items < 0 || items % stride !== 0) throw GIVE_UP;
    return items / stride;
  }

  changes(): Change[] {
    const changes: Change[] = [];
    for (let runs = this.list(); runs > 0; runs--) this.run(changes);
    return changes;
  }

  run(changes: Change[]): void {
    const items = this.list();
    const op = items === 0 ? -1 : this.bytes[this.at++]!;
    if (op === WIRE_OP.remove) {
      for (let index = 1; index < items; index++) changes.push({ op: 'remove', key: this.key() });
      return;
    }
    if (op !== WIRE_OP.put && op !== WIRE_OP.patch && op !== WIRE_OP.patchAndRemove) throw GIVE_UP;
    const fields = this.fieldNames();
    const removed = op === WIRE_OP.patchAndRemove ? this.fieldNames() : NONE;
    const count = this.records(items - (op === WIRE_OP.patchAndRemove ? 3 : 2), fields);
    for (let index = 0; index < count; index++) {
      const key = this.key();
      const record = this.record(fields);
      changes.push(op === WIRE_OP.put ? { op: 'put', key, record } : { op: 'patch', key, fields: record, removed });
    }
  }

  entries(): SnapshotEntry[] {
    const entries: SnapshotEntry[] = [];
    const seen = new Set<RecordKey>();
    for (let runs = this.list(); runs > 0; runs--) {
      const items = this.list();
      const fields = this.fieldNames();
      const count = this.records(items - 1, fields);
      for (let index = 0; index < count; index++) {
        const key = this.key();
        seen.add(key);
        entries.push({ key, record: this.record(fields) });
      }
    }
    if (seen.size < entries.length) throw GIVE_UP;
    return entries;
  }

  vector(): VectorEntry[] {
    const count = this.list();
    if (count > FEW) throw GIVE_UP;
    const entries: VectorEntry[] = [];
    for (let index = 0; index < count; index++) {
      if (this.bytes[this.at++] !== 0x92) throw GIVE_UP;
      const replica = replicaId(this.name());
      for (let other = 0; other < index; other++) if (entries[other]!.replica === replica) throw GIVE_UP;
      entries.push({ replica, counter: this.counter() });
    }
    return entries;
  }

  rejections(): Rejection[] {
    const count = this.list();
    if (count > FEW) throw GIVE_UP;
    const rejections: Rejection[] = [];
    for (let index = 0; index < count; index++) {
      if (this.bytes[this.at++] !== 0x93) throw GIVE_UP;
      const replica = replicaId(this.name());
      const counter = this.counter();
      const reason = this.text();
      if (reason.length > REASON_MAX) throw GIVE_UP;
      for (const other of rejections) if (other.replica === replica && other.counter === counter) throw GIVE_UP;
      rejections.push({ replica, counter, reason });
    }
    return rejections;
  }

  stateHash(): StateHash {
    const { bytes, view, at } = this;
    if (bytes[at] !== 0xc4 || bytes[at + 1] !== 8) throw GIVE_UP;
    this.at = at + 10;
    return wordsToHex(view.getInt32(at + 2), view.getInt32(at + 6)) as StateHash;
  }

  value(depth: number): Value {
    const tag = this.bytes[this.at++]!;
    if (tag < 0x80) return tag;
    if (tag >= 0xe0) return tag - 0x100;
    if (tag >= 0xa0 && tag < 0xc0) return this.textOf(tag & 0x1f);
    if (tag < 0x90) return this.map(tag & 0x0f, depth);
    if (tag < 0xa0) return this.array(tag & 0x0f, depth);
    const { view } = this;
    switch (tag) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
        return this.copy(this.bytes[this.at++]!);
      case 0xc5:
        return this.copy(this.uint16());
      case 0xcb: {
        this.at += 8;
        const value = view.getFloat64(this.at - 8);
        // Of all NaNs only one is canonical.
        if (Number.isNaN(value) && !this.isCanonicalNaN()) throw GIVE_UP;
        return value;
      }
      case 0xcc:
        return this.bytes[this.at++]!;
      case 0xcd:
        return this.uint16();
      case 0xce:
        return this.uint32();
      case 0xcf: {
        const value = this.uint32() * 4_294_967_296 + this.uint32();
        if (value > Number.MAX_SAFE_INTEGER) throw GIVE_UP;
        return value;
      }
      case 0xd0:
        this.at += 1;
        return view.getInt8(this.at - 1);
      case 0xd1:
        this.at += 2;
        return view.getInt16(this.at - 2);
      case 0xd2:
        return this.int32();
      case 0xd3: {
        const value = this.int32() * 4_294_967_296 + this.uint32();
        if (!Number.isSafeInteger(value)) throw GIVE_UP;
        return value;
      }
      case 0xd9:
        return this.textOf(this.bytes[this.at++]!);
      case 0xda:
        return this.textOf(this.uint16());
      default:
        throw GIVE_UP;
    }
  }

  /** Of the eight bytes before. */
  isCanonicalNaN(): boolean {
    return this.view.getUint32(this.at - 8) === 0x7ff80000 && this.view.getUint32(this.at - 4) === 0;
  }

  copy(length: number): Uint8Array {
    const from = this.at;
    if (!(length <= this.bytes.length - from)) throw GIVE_UP;
    this.at = from + length;
    // Not `slice`: a Node Buffer answers that with a view of itself.
    return new Uint8Array(this.bytes.subarray(from, this.at));
  }

  array(count: number, depth: number): Value {
    if (depth >= DEPTH_MAX) throw GIVE_UP;
    const items: Value[] = [];
    for (let index = 0; index < count; index++) items.push(this.value(depth + 1));
    return items;
  }

  map(count: number, depth: number): Value {
    if (depth >= DEPTH_MAX) throw GIVE_UP;
    const map: Record<string, Value> = {};
    for (let index = 0; index < count; index++) {
      const name = this.text();
      if (name === '__proto__' || Object.hasOwn(map, name)) throw GIVE_UP;
      map[name] = this.value(depth + 1);
    }
    return map;
  }
}
