import { toHex } from '../../bytes/index.ts';

const MAX_DEPTH = 64;
const TIMESTAMP = -1;

/**
 * What msgpack of any maker says, as JSON: unlike the profile of `bytes/`, which is for what is hashed and replayed, it takes extension types, timestamps, integers of 64
 * bits and keys of any type. Bytes are `{"$bytes":hex}`, numbers that JSON has not `{"$number":"NaN"}`, timestamps `{"$time":…}`, other extensions `{"$extension":type,"$bytes":hex}`.
 * Undefined where it is none, or something is behind it.
 */
export function msgpackText(bytes: Uint8Array): string | undefined {
  try {
    const reader = new Reader(bytes);
    const text = reader.value(0);
    return reader.isAtEnd ? text : undefined;
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError) return undefined;
    throw error;
  }
}

/** Reads one value after another; beyond the end, `DataView` throws a RangeError. */
class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  value(depth: number): string {
    if (depth > MAX_DEPTH) throw new RangeError('too deep');
    const type = this.#uint(1);
    if (type < 0x80) return String(type);
    if (type < 0x90) return this.#map(type & 0x0f, depth);
    if (type < 0xa0) return this.#array(type & 0x0f, depth);
    if (type < 0xc0) return this.#text(type & 0x1f);
    if (type >= 0xe0) return String(type - 0x100);
    switch (type) {
      case 0xc0:
        return 'null';
      case 0xc2:
        return 'false';
      case 0xc3:
        return 'true';
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return bytesText(this.#take(this.#uint(1 << (type - 0xc4))));
      case 0xc7:
      case 0xc8:
      case 0xc9:
        return this.#extension(this.#uint(1 << (type - 0xc7)));
      case 0xca:
        return numberText(this.#view.getFloat32(this.#skip(4)));
      case 0xcb:
        return numberText(this.#view.getFloat64(this.#skip(8)));
      case 0xcc:
      case 0xcd:
      case 0xce:
        return String(this.#uint(1 << (type - 0xcc)));
      case 0xcf:
        return String(this.#view.getBigUint64(this.#skip(8)));
      case 0xd0:
        return String(this.#view.getInt8(this.#skip(1)));
      case 0xd1:
        return String(this.#view.getInt16(this.#skip(2)));
      case 0xd2:
        return String(this.#view.getInt32(this.#skip(4)));
      case 0xd3:
        return String(this.#view.getBigInt64(this.#skip(8)));
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return this.#extension(1 << (type - 0xd4));
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.#text(this.#uint(1 << (type - 0xd9)));
      case 0xdc:
      case 0xdd:
        return this.#array(this.#uint(type === 0xdc ? 2 : 4), depth);
      case 0xde:
      case 0xdf:
        return this.#map(this.#uint(type === 0xde ? 2 : 4), depth);
      default:
        throw new RangeError('no type of msgpack');
    }
  }

  #array(length: number, depth: number): string {
    const items: string[] = [];
    // What is declared and is not there ends with the bytes.
    for (let at = 0; at < length; at++) items.push(this.value(depth + 1));
    return `[${items.join(',')}]`;
  }

  #map(length: number, depth: number): string {
    const items: string[] = [];
    for (let at = 0; at < length; at++) {
      const key = this.value(depth + 1);
      items.push(`${key.startsWith('"') ? key : JSON.stringify(key)}:${this.value(depth + 1)}`);
    }
    return `{${items.join(',')}}`;
  }

  #text(length: number): string {
    return JSON.stringify(this.#utf8.decode(this.#take(length)));
  }

  #extension(length: number): string {
    const type = this.#view.getInt8(this.#skip(1));
    const bytes = this.#take(length);
    const time = type === TIMESTAMP ? timestamp(bytes) : undefined;
    return time ? `{"$time":${JSON.stringify(time)}}` : `{"$extension":${type},"$bytes":"${toHex(bytes)}"}`;
  }

  #uint(length: number): number {
    const at = this.#skip(length);
    if (length === 1) return this.#view.getUint8(at);
    return length === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at);
  }

  #take(length: number): Uint8Array {
    const at = this.#skip(length);
    return this.#bytes.subarray(at, at + length);
  }

  /** Goes on behind so many bytes, and answers where they begin. */
  #skip(length: number): number {
    const at = this.#at;
    if (at + length > this.#bytes.length) throw new RangeError('the end');
    this.#at = at + length;
    return at;
  }
}

function bytesText(bytes: Uint8Array): string {
  return `{"$bytes":"${toHex(bytes)}"}`;
}

function numberText(number: number): string {
  return Number.isFinite(number) && !Object.is(number, -0)
    ? String(number)
    : `{"$number":"${Object.is(number, -0) ? '-0' : number}"}`;
}

/** The extension type of msgpack for times: 32, 64 or 96 bits. Undefined where it is none, or of a time that no date has. */
function timestamp(bytes: Uint8Array): string | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let seconds: number;
  let nanoseconds = 0;
  if (bytes.length === 4) seconds = view.getUint32(0);
  else if (bytes.length === 8) {
    const both = view.getBigUint64(0);
    nanoseconds = Number(both >> 34n);
    seconds = Number(both & 0x3_ffff_ffffn);
  } else if (bytes.length === 12) {
    nanoseconds = view.getUint32(0);
    seconds = Number(view.getBigInt64(4));
  } else return undefined;
  const date = new Date(seconds * 1_000 + nanoseconds / 1e6);
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString();
}
