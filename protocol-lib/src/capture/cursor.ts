import { SyncError } from '../errors/index.ts';

const POW_32 = 4_294_967_296;
const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Walks msgpack without building values, so that a pass over a million records costs no objects.
 * Every length is checked against what is there before it is believed, and nesting is counted, not recursed.
 * All methods throw `RECORD_MALFORMED` with the offset.
 */
export class MsgpackCursor {
  bytes: Uint8Array = new Uint8Array(0);
  offset = 0;
  end = 0;

  /** Starts over at `offset` of `bytes`, up to `end`. */
  reset(bytes: Uint8Array, offset: number, end: number): void {
    this.bytes = bytes;
    this.offset = offset;
    this.end = end;
  }

  fail(expected: string): never {
    throw new SyncError('RECORD_MALFORMED', `expected ${expected} at offset ${this.offset} of a trace record`, {
      origin: 'capture',
      place: { offset: this.offset },
    });
  }

  #byte(at: number): number {
    return this.bytes[at]!;
  }

  #word(at: number): number {
    return (this.bytes[at]! << 8) | this.bytes[at + 1]!;
  }

  #long(at: number): number {
    const { bytes } = this;
    return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
  }

  /** For what is rare: most numbers are read without it, so that a new record needs none. */
  #view(at: number): DataView {
    return new DataView(this.bytes.buffer, this.bytes.byteOffset + at);
  }

  #take(length: number, what: string): number {
    const start = this.offset;
    if (length > this.end - start) this.fail(what);
    this.offset = start + length;
    return start;
  }

  /** Looks at the next byte without taking it. */
  peek(): number {
    if (this.offset >= this.end) this.fail('a value');
    return this.bytes[this.offset]!;
  }

  /** True, and past it, where the next value is nil. */
  takeNil(): boolean {
    if (this.peek() !== 0xc0) return false;
    this.offset++;
    return true;
  }

  /** An integer from 0 to 2^53 - 1, in any of its encodings. */
  uint(): number {
    const tag = this.peek();
    if (tag < 0x80) {
      this.offset++;
      return tag;
    }
    let value = -1;
    switch (tag) {
      case 0xcc:
        value = this.#byte(this.#take(2, 'an integer') + 1);
        break;
      case 0xcd:
        value = this.#word(this.#take(3, 'an integer') + 1);
        break;
      case 0xce:
        value = this.#long(this.#take(5, 'an integer') + 1);
        break;
      case 0xcf:
      case 0xd3: {
        const at = this.#take(9, 'an integer') + 1;
        value = this.#long(at) * POW_32 + this.#long(at + 4);
        break;
      }
      case 0xcb: {
        const at = this.#take(9, 'an integer') + 1;
        value = this.#view(at).getFloat64(0);
        break;
      }
      case 0xd0:
        value = this.#view(this.#take(2, 'an integer') + 1).getInt8(0);
        break;
      case 0xd1:
        value = this.#view(this.#take(3, 'an integer') + 1).getInt16(0);
        break;
      case 0xd2:
        value = this.#view(this.#take(5, 'an integer') + 1).getInt32(0);
        break;
    }
    if (value < 0 || !Number.isSafeInteger(value)) this.fail('a non-negative integer');
    return value;
  }

  /** Takes a string and returns its length in bytes; it starts at `offset - length`. */
  stringBytes(): number {
    const tag = this.peek();
    let length: number;
    if (tag >= 0xa0 && tag < 0xc0) {
      this.offset++;
      length = tag - 0xa0;
    } else if (tag === 0xd9) length = this.#byte(this.#take(2, 'a string') + 1);
    else if (tag === 0xda) length = this.#word(this.#take(3, 'a string') + 1);
    else if (tag === 0xdb) length = this.#long(this.#take(5, 'a string') + 1);
    else return this.fail('a string');
    this.#take(length, `a string of ${length} bytes`);
    return length;
  }

  string(): string {
    const length = this.stringBytes();
    try {
      return text.decode(this.bytes.subarray(this.offset - length, this.offset));
    } catch {
      return this.fail('valid UTF-8');
    }
  }

  /** Takes bytes and returns how many; they start at `offset - length`. */
  binary(): number {
    const tag = this.peek();
    let length: number;
    if (tag === 0xc4) length = this.#byte(this.#take(2, 'bytes') + 1);
    else if (tag === 0xc5) length = this.#word(this.#take(3, 'bytes') + 1);
    else if (tag === 0xc6) length = this.#long(this.#take(5, 'bytes') + 1);
    else return this.fail('bytes');
    this.#take(length, `${length} bytes`);
    return length;
  }

  /** Takes the head of an array and returns how many values follow. */
  array(): number {
    const tag = this.peek();
    let count: number;
    if (tag >= 0x90 && tag < 0xa0) {
      this.offset++;
      count = tag - 0x90;
    } else if (tag === 0xdc) count = this.#word(this.#take(3, 'an array') + 1);
    else if (tag === 0xdd) count = this.#long(this.#take(5, 'an array') + 1);
    else return this.fail('an array');
    if (count > this.end - this.offset) this.fail(`an array of ${count}`);
    return count;
  }

  /** Takes the head of a map and returns how many pairs follow. */
  map(): number {
    const tag = this.peek();
    let count: number;
    if (tag >= 0x80 && tag < 0x90) {
      this.offset++;
      count = tag - 0x80;
    } else if (tag === 0xde) count = this.#word(this.#take(3, 'a map') + 1);
    else if (tag === 0xdf) count = this.#long(this.#take(5, 'a map') + 1);
    else return this.fail('a map');
    if (count * 2 > this.end - this.offset) this.fail(`a map of ${count}`);
    return count;
  }

  /** True or false; undefined, and nothing taken, where the next value is neither. */
  boolean(): boolean | undefined {
    const tag = this.peek();
    if (tag !== 0xc2 && tag !== 0xc3) return undefined;
    this.offset++;
    return tag === 0xc3;
  }

  /** Goes past the next value, whatever it is. */
  skip(): void {
    let pending = 1;
    while (pending > 0) {
      pending--;
      const tag = this.peek();
      if (tag < 0x80 || tag >= 0xe0 || tag === 0xc0 || tag === 0xc2 || tag === 0xc3) this.offset++;
      else if (tag < 0x90 || tag === 0xde || tag === 0xdf) pending += this.map() * 2;
      else if (tag < 0xa0 || tag === 0xdc || tag === 0xdd) pending += this.array();
      else if (tag < 0xc0 || (tag >= 0xd9 && tag <= 0xdb)) this.stringBytes();
      else if (tag >= 0xc4 && tag <= 0xc6) this.binary();
      else if (tag >= 0xca && tag <= 0xd3) this.#take(1 + SCALAR_BYTES[tag - 0xca]!, 'a number');
      else if (tag >= 0xd4 && tag <= 0xd8) this.#take(2 + (1 << (tag - 0xd4)), 'an extension');
      else if (tag >= 0xc7 && tag <= 0xc9) this.#extension(tag);
      else this.fail('a msgpack value');
    }
  }

  #extension(tag: number): void {
    const width = 1 << (tag - 0xc7);
    const at = this.#take(1 + width + 1, 'an extension') + 1;
    const length = width === 1 ? this.#byte(at) : width === 2 ? this.#word(at) : this.#long(at);
    this.#take(length, `an extension of ${length} bytes`);
  }
}

/** Bytes after the tags 0xca (float32) to 0xd3 (int64). */
const SCALAR_BYTES = [4, 8, 1, 2, 4, 8, 1, 2, 4, 8];
