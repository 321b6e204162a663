import { SyncError } from '../errors/index.ts';

/** What a msgpack value from outside may cost. */
export interface MsgpackLimits {
  /** Containers within containers. */
  readonly depth: number;
  /** Values in all, names of fields included. */
  readonly nodes: number;
  /** Fields of one map. */
  readonly mapKeys: number;
}

export const MSGPACK_LIMITS: MsgpackLimits = { depth: 64, nodes: 1_000_000, mapKeys: 65_535 };

/**
 * Walks a msgpack value without building anything, so that what is decoded afterwards can neither
 * surprise nor exhaust a decoder. `bytes` must hold exactly one value of the profile: nil, booleans,
 * integers within ±(2^53 - 1), floats, text in valid UTF-8, bytes, arrays, and maps with unique names
 * that are text. Headers need not be the shortest.
 *
 * @throws SyncError with the offset of the offending byte and one of these codes:
 * `LENGTH_EXCEEDS_INPUT` a declared length or count is more than what is left;
 * `LIMIT_DEPTH`, `LIMIT_NODES`, `LIMIT_MAP_KEYS` a limit is passed;
 * `MSGPACK_DUPLICATE_KEY`, `FIELD_RESERVED` a map has a name twice, or the name `__proto__`;
 * `MSGPACK_TRAILING` bytes follow the value;
 * `MSGPACK_INVALID` anything else: 0xc1, an extension type, invalid UTF-8, an integer that a number
 * cannot hold, a NaN other than the canonical one, a name that is not text.
 */
export function checkMsgpack(bytes: Uint8Array, limits: MsgpackLimits = MSGPACK_LIMITS): void {
  const checker = new MsgpackChecker(bytes, limits);
  checker.count(0, 1);
  const end = checker.value(0, 0);
  if (end < bytes.length) fail('MSGPACK_TRAILING', end, `${bytes.length - end} bytes follow the value`);
}

function fail(code: string, offset: number, what: string): never {
  throw new SyncError(code, `byte ${offset}: ${what}`, { origin: 'bytes', place: { offset } });
}

const PROTO = [...'__proto__'].map((letter) => letter.charCodeAt(0));

/** Above this many fields, names are sorted to find a double; below, each is compared with each. */
const FEW_FIELDS = 16;

/** {@link checkMsgpack} of values that lie somewhere in bytes, all counted together. */
export class MsgpackChecker {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #limits: MsgpackLimits;
  #nodes = 0;

  constructor(bytes: Uint8Array, limits: MsgpackLimits) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#limits = limits;
  }

  /** Counts values that are met at `offset`. */
  count(offset: number, values: number): void {
    this.#nodes += values;
    if (this.#nodes > this.#limits.nodes) fail('LIMIT_NODES', offset, `more than ${this.#limits.nodes} values`);
  }

  /** Checks the value at `offset` and returns the offset after it. `depth` counts the containers around it. */
  value(offset: number, depth: number): number {
    this.#need(offset, offset, 1);
    const tag = this.#bytes[offset]!;
    if (tag < 0x80 || tag >= 0xe0) return offset + 1;
    if (tag < 0x90) return this.#map(offset, offset + 1, tag & 0x0f, depth);
    if (tag < 0xa0) return this.#array(offset, offset + 1, tag & 0x0f, depth);
    if (tag < 0xc0) return this.#text(offset, offset + 1, tag & 0x1f);
    switch (tag) {
      case 0xc0:
      case 0xc2:
      case 0xc3:
        return offset + 1;
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return this.#need(offset, offset + 1 + sizeOf(tag - 0xc4), this.#length(offset, tag - 0xc4));
      case 0xca:
        return this.#float32(offset);
      case 0xcb:
        return this.#float64(offset);
      case 0xcc:
      case 0xd0:
        return this.#need(offset, offset + 1, 1);
      case 0xcd:
      case 0xd1:
        return this.#need(offset, offset + 1, 2);
      case 0xce:
      case 0xd2:
        return this.#need(offset, offset + 1, 4);
      case 0xcf:
      case 0xd3:
        return this.#integer64(offset, tag === 0xd3);
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.#text(offset, offset + 1 + sizeOf(tag - 0xd9), this.#length(offset, tag - 0xd9));
      case 0xdc:
      case 0xdd:
        return this.#array(offset, offset + 1 + sizeOf(tag - 0xdb), this.#length(offset, tag - 0xdb), depth);
      case 0xde:
      case 0xdf:
        return this.#map(offset, offset + 1 + sizeOf(tag - 0xdd), this.#length(offset, tag - 0xdd), depth);
      case 0xc1:
        return fail('MSGPACK_INVALID', offset, '0xc1 starts no value');
      default:
        return fail('MSGPACK_INVALID', offset, 'extension types are not part of the profile');
    }
  }

  /** `from + length`, where that much is there. `offset` is the value's own, for the error. */
  #need(offset: number, from: number, length: number): number {
    const left = this.#bytes.length - from;
    if (length > left) {
      fail('LENGTH_EXCEEDS_INPUT', offset, `${length} bytes declared, ${Math.max(left, 0)} left`);
    }
    return from + length;
  }

  /** The length behind the tag at `offset`: 8, 16 or 32 bits for `width` 0, 1 or 2. */
  #length(offset: number, width: number): number {
    this.#need(offset, offset + 1, sizeOf(width));
    if (width === 0) return this.#bytes[offset + 1]!;
    return width === 1 ? this.#view.getUint16(offset + 1) : this.#view.getUint32(offset + 1);
  }

  #enter(offset: number, start: number, items: number, depth: number): void {
    // Every item takes a byte at least, so a count that lies is found before anything is done for it.
    this.#need(offset, start, items);
    if (depth >= this.#limits.depth) fail('LIMIT_DEPTH', offset, `nested deeper than ${this.#limits.depth}`);
    this.count(offset, items);
  }

  #array(offset: number, start: number, count: number, depth: number): number {
    this.#enter(offset, start, count, depth);
    let at = start;
    for (let index = 0; index < count; index++) at = this.value(at, depth + 1);
    return at;
  }

  #map(offset: number, start: number, count: number, depth: number): number {
    this.#enter(offset, start, count * 2, depth);
    if (count > this.#limits.mapKeys) {
      fail('LIMIT_MAP_KEYS', offset, `${count} fields, at most ${this.#limits.mapKeys}`);
    }
    /** Start and end of each name's bytes. */
    const names: number[] = [];
    let at = start;
    for (let index = 0; index < count; index++) {
      const end = this.#name(at);
      const from = end - this.#nameLength;
      if (count <= FEW_FIELDS) {
        for (let other = 0; other < names.length; other += 2) {
          if (this.#compare(names[other]!, names[other + 1]!, from, end) === 0) this.#duplicate(from, end);
        }
      }
      names.push(from, end);
      at = this.value(end, depth + 1);
    }
    if (count > FEW_FIELDS) this.#refuseDoubles(names);
    return at;
  }

  /** Sorting costs n log n whatever the names are; a table could be made to collide. */
  #refuseDoubles(names: readonly number[]): void {
    const order = Array.from({ length: names.length / 2 }, (_, index) => index * 2);
    const compare = (a: number, b: number) => this.#compare(names[a]!, names[a + 1]!, names[b]!, names[b + 1]!);
    order.sort((a, b) => compare(a, b) || a - b);
    for (let index = 1; index < order.length; index++) {
      const later = order[index]!;
      if (compare(order[index - 1]!, later) === 0) this.#duplicate(names[later]!, names[later + 1]!);
    }
  }

  #duplicate(from: number, end: number): never {
    const name = new TextDecoder().decode(this.#bytes.subarray(from, Math.min(end, from + 64)));
    return fail('MSGPACK_DUPLICATE_KEY', from, `the map has the field ${JSON.stringify(name)} twice`);
  }

  #compare(aFrom: number, aEnd: number, bFrom: number, bEnd: number): number {
    const lengths = aEnd - aFrom - (bEnd - bFrom);
    if (lengths !== 0) return lengths;
    const bytes = this.#bytes;
    for (let a = aFrom, b = bFrom; a < aEnd; a++, b++) {
      const order = bytes[a]! - bytes[b]!;
      if (order !== 0) return order;
    }
    return 0;
  }

  #nameLength = 0;

  /** Checks a field's name and returns the offset after it; its length in bytes is left in `#nameLength`. */
  #name(offset: number): number {
    this.#need(offset, offset, 1);
    const tag = this.#bytes[offset]!;
    let start = offset + 1;
    if (tag >= 0xa0 && tag < 0xc0) {
      this.#nameLength = tag & 0x1f;
    } else if (tag >= 0xd9 && tag <= 0xdb) {
      this.#nameLength = this.#length(offset, tag - 0xd9);
      start += sizeOf(tag - 0xd9);
    } else {
      fail('MSGPACK_INVALID', offset, 'the name of a field is not text');
    }
    const length = this.#nameLength;
    const end = this.#text(offset, start, length);
    if (length === PROTO.length && PROTO.every((letter, index) => this.#bytes[start + index] === letter)) {
      fail('FIELD_RESERVED', start, 'a field may not be called __proto__');
    }
    return end;
  }

  #float32(offset: number): number {
    const end = this.#need(offset, offset + 1, 4);
    const bits = this.#view.getUint32(offset + 1);
    if ((bits & 0x7f800000) === 0x7f800000 && (bits & 0x007fffff) !== 0 && bits !== 0x7fc00000) badNaN(offset);
    return end;
  }

  #float64(offset: number): number {
    const end = this.#need(offset, offset + 1, 8);
    const high = this.#view.getUint32(offset + 1);
    if ((high & 0x7ff00000) === 0x7ff00000) {
      const low = this.#view.getUint32(offset + 5);
      const isNotANumber = (high & 0x000fffff) !== 0 || low !== 0;
      if (isNotANumber && (high !== 0x7ff80000 || low !== 0)) badNaN(offset);
    }
    return end;
  }

  #integer64(offset: number, isSigned: boolean): number {
    const end = this.#need(offset, offset + 1, 8);
    const high = isSigned ? this.#view.getInt32(offset + 1) : this.#view.getUint32(offset + 1);
    // ±(2^53 - 1): the high word is within [-2^21, 2^21), and -2^53 itself is out.
    const isSafe =
      high < 0x200000 && (high > -0x200000 || (high === -0x200000 && this.#view.getUint32(offset + 5) > 0));
    if (!isSafe) fail('MSGPACK_INVALID', offset, 'an integer beyond ±(2^53 - 1), which a number cannot hold');
    return end;
  }

  /** Checks `length` bytes of UTF-8 at `start` and returns the offset after them. */
  #text(offset: number, start: number, length: number): number {
    const end = this.#need(offset, start, length);
    const bytes = this.#bytes;
    let at = start;
    while (at < end) {
      if (bytes[at]! < 0x80) at++;
      else at = wideCharacter(bytes, at, end);
    }
    return end;
  }
}

/** Checks one UTF-8 sequence of two to four bytes (RFC 3629, table 3-7 of Unicode) and returns the offset after it. */
function wideCharacter(bytes: Uint8Array, at: number, end: number): number {
  const first = bytes[at]!;
  let lowest = 0x80;
  let highest = 0xbf;
  let more: number;
  if (first >= 0xc2 && first <= 0xdf) {
    more = 1;
  } else if (first >= 0xe0 && first <= 0xef) {
    more = 2;
    // Overlong forms, and the surrogates.
    if (first === 0xe0) lowest = 0xa0;
    if (first === 0xed) highest = 0x9f;
  } else if (first >= 0xf0 && first <= 0xf4) {
    more = 3;
    if (first === 0xf0) lowest = 0x90;
    if (first === 0xf4) highest = 0x8f;
  } else {
    return fail('MSGPACK_INVALID', at, 'not valid UTF-8');
  }
  for (let index = 1; index <= more; index++) {
    const byte = at + index < end ? bytes[at + index]! : -1;
    if (byte < lowest || byte > highest) fail('MSGPACK_INVALID', at, 'not valid UTF-8');
    lowest = 0x80;
    highest = 0xbf;
  }
  return at + more + 1;
}

function badNaN(offset: number): never {
  return fail('MSGPACK_INVALID', offset, 'a NaN other than the canonical one');
}

/** Bytes of a length field: 1, 2, 4 for `width` 0, 1, 2. */
function sizeOf(width: number): number {
  return 1 << width;
}
