import { checkMsgpack, MSGPACK_LIMITS, MsgpackChecker, type MsgpackLimits } from './check.ts';
import { beginWriting, writeValue, writtenBytes } from './writer.ts';

/**
 * Values to msgpack and back, exactly: -0 stays -0, a safe integer stays an integer of the shortest
 * form, fields keep their order, and nothing but plain values comes out. Written by hand because the
 * usual packers lose -0, replace lone surrogates in silence, and revive extension types; and because it
 * must run under a content security policy without `unsafe-eval`.
 */

/**
 * Packs null, booleans, numbers, text, `Uint8Array`, arrays and plain objects of these.
 * @throws SyncError `VALUE_INVALID` (anything else, `undefined` included), `FIELD_RESERVED`, `LIMIT_DEPTH` or `LIMIT_MAP_KEYS`
 */
export function packMsgpack(value: unknown): Uint8Array {
  beginWriting();
  writeValue(value, 'own', 0);
  return writtenBytes();
}

/**
 * The one value in `bytes`, whole or not at all: it is checked first. Bytes in it are copies.
 * @throws SyncError as {@link checkMsgpack}
 */
export function unpackMsgpack(bytes: Uint8Array, limits: MsgpackLimits = MSGPACK_LIMITS): unknown {
  checkMsgpack(bytes, limits);
  return new Reader(bytes).value();
}

/** Reads values that lie somewhere in bytes of another form. The limits hold for all of them together. */
export class ValueReader {
  readonly #checker: MsgpackChecker;
  readonly #reader: Reader;
  /** Where the value that was read last ends. */
  end = 0;

  constructor(bytes: Uint8Array, limits: MsgpackLimits = MSGPACK_LIMITS) {
    this.#checker = new MsgpackChecker(bytes, limits);
    this.#reader = new Reader(bytes);
  }

  /** Counts values at `offset`, of whatever form. @throws SyncError `LIMIT_NODES` */
  count(offset: number, values: number): void {
    this.#checker.count(offset, values);
  }

  /** The value at `offset`, which was counted. @throws SyncError as {@link checkMsgpack} */
  read(offset: number): unknown {
    this.end = this.#checker.value(offset, 0);
    this.#reader.at = offset;
    return this.#reader.value();
  }
}

const TWO_32 = 4_294_967_296;

/** Reads what {@link checkMsgpack} has passed; believes it. */
class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  value(): unknown {
    const tag = this.#bytes[this.at++]!;
    if (tag < 0x80) return tag;
    if (tag < 0x90) return this.#map(tag & 0x0f);
    if (tag < 0xa0) return this.#array(tag & 0x0f);
    if (tag < 0xc0) return this.#text(tag & 0x1f);
    if (tag >= 0xe0) return tag - 0x100;
    switch (tag) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
        return this.#copy(this.#uint8());
      case 0xc5:
        return this.#copy(this.#uint16());
      case 0xc6:
        return this.#copy(this.#uint32());
      case 0xca:
        this.at += 4;
        return this.#view.getFloat32(this.at - 4);
      case 0xcb:
        this.at += 8;
        return this.#view.getFloat64(this.at - 8);
      case 0xcc:
        return this.#uint8();
      case 0xcd:
        return this.#uint16();
      case 0xce:
        return this.#uint32();
      case 0xcf:
        return this.#uint32() * TWO_32 + this.#uint32();
      case 0xd0:
        this.at += 1;
        return this.#view.getInt8(this.at - 1);
      case 0xd1:
        this.at += 2;
        return this.#view.getInt16(this.at - 2);
      case 0xd2:
        this.at += 4;
        return this.#view.getInt32(this.at - 4);
      case 0xd3:
        this.at += 8;
        return this.#view.getInt32(this.at - 8) * TWO_32 + this.#view.getUint32(this.at - 4);
      case 0xd9:
        return this.#text(this.#uint8());
      case 0xda:
        return this.#text(this.#uint16());
      case 0xdb:
        return this.#text(this.#uint32());
      case 0xdc:
        return this.#array(this.#uint16());
      case 0xdd:
        return this.#array(this.#uint32());
      case 0xde:
        return this.#map(this.#uint16());
      case 0xdf:
        return this.#map(this.#uint32());
      default:
        throw new TypeError(`unchecked msgpack: 0x${tag.toString(16)} at ${this.at - 1}`);
    }
  }

  #uint8(): number {
    return this.#bytes[this.at++]!;
  }

  #uint16(): number {
    this.at += 2;
    return this.#view.getUint16(this.at - 2);
  }

  #uint32(): number {
    this.at += 4;
    return this.#view.getUint32(this.at - 4);
  }

  #array(count: number): unknown[] {
    const items: unknown[] = [];
    for (let index = 0; index < count; index++) items.push(this.value());
    return items;
  }

  #map(count: number): Record<string, unknown> {
    const map: Record<string, unknown> = {};
    for (let index = 0; index < count; index++) {
      const name = this.value() as string;
      map[name] = this.value();
    }
    return map;
  }

  #copy(length: number): Uint8Array {
    const from = this.at;
    this.at += length;
    // Not `slice`: a Node Buffer answers that with a view of itself.
    return new Uint8Array(this.#bytes.subarray(from, this.at));
  }

  #text(length: number): string {
    const from = this.at;
    this.at += length;
    return textAt(this.#bytes, from, this.at);
  }
}

// A byte order mark is text like any other here; a decoder would swallow it.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Short names and ids come again and again: the last one of each place is kept, and is then one string in memory too. */
const RECENT_TEXTS = 1_024;
const RECENT_MAX_LENGTH = 32;
const recent: string[] = new Array(RECENT_TEXTS).fill('');

/** The text in these bytes. @throws TypeError where they are not valid UTF-8 */
export function textAt(bytes: Uint8Array, from: number, end: number): string {
  const length = end - from;
  if (length === 0) return '';
  if (length > RECENT_MAX_LENGTH) return decoder.decode(bytes.subarray(from, end));
  let hash = length;
  let all = 0;
  for (let at = from; at < end; at++) {
    const byte = bytes[at]!;
    all |= byte;
    hash = Math.imul(hash, 31) + byte;
  }
  if (all > 0x7f) return decoder.decode(bytes.subarray(from, end));
  const place = (hash ^ (hash >>> 10)) & (RECENT_TEXTS - 1);
  const kept = recent[place]!;
  if (kept.length === length && isText(kept, bytes, from)) return kept;
  const text = asciiText(bytes, from, end);
  recent[place] = text;
  return text;
}

/** Four at a time: for so short a text a decoder costs more to call than the text to make. */
function asciiText(bytes: Uint8Array, from: number, end: number): string {
  let text = '';
  let at = from;
  for (; at + 4 <= end; at += 4) {
    text += String.fromCharCode(bytes[at]!, bytes[at + 1]!, bytes[at + 2]!, bytes[at + 3]!);
  }
  for (; at < end; at++) text += String.fromCharCode(bytes[at]!);
  return text;
}

function isText(text: string, bytes: Uint8Array, from: number): boolean {
  for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) !== bytes[from + index]) return false;
  return true;
}
