import { SyncError } from '../errors/index.ts';

/**
 * Compact lists of numbers and text: unsigned integers in groups of seven bits, the lowest first, the top bit set on
 * all but the last byte (LEB128, as Protocol Buffers write them), signed ones zigzagged. For forms in which msgpack's
 * header a value would be most of the bytes.
 */

const MAX_VARINT_BYTES = 8;

/** Appends to a growing area. */
export class CompactWriter {
  #bytes = new Uint8Array(256);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** An integer from 0 to 2^53 - 1. */
  uint(value: number): void {
    this.#reserve(MAX_VARINT_BYTES);
    let rest = value;
    while (rest > 0x7fff_ffff) {
      this.#bytes[this.#length++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    while (rest > 0x7f) {
      this.#bytes[this.#length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#bytes[this.#length++] = rest;
  }

  /** An integer within ±(2^52 - 1): near 0 on either side is short. */
  int(value: number): void {
    this.uint(value < 0 ? -value * 2 - 1 : value * 2);
  }

  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Well-formed text behind its length in UTF-8 bytes. */
  text(text: string): void {
    const bytes = encoder.encode(text);
    this.uint(bytes.length);
    this.bytes(bytes);
  }

  /** A copy of what was written. */
  written(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  #reserve(length: number): void {
    if (this.#length + length <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + length));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}

/**
 * Reads what {@link CompactWriter} wrote, believing nothing. Every method throws a SyncError with the offset:
 * `LENGTH_EXCEEDS_INPUT` where the input ends before the value does, `COMPACT_INVALID` where the value is none.
 */
export class CompactReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get offset(): number {
    return this.#at;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  uint(): number {
    const start = this.#at;
    let value = 0;
    let scale = 1;
    for (let count = 0; count < MAX_VARINT_BYTES; count++) {
      if (this.#at >= this.#bytes.length) this.#short(start, 'a number goes on after the end');
      const byte = this.#bytes[this.#at++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (!Number.isSafeInteger(value)) this.invalid('a number above 2^53 - 1', start);
        if (byte === 0 && count > 0) this.invalid('a number in more bytes than it needs', start);
        return value;
      }
      scale *= 128;
    }
    return this.invalid('a number above 2^53 - 1', start);
  }

  int(): number {
    const value = this.uint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  /** A count of things that take at least `least` bytes each: never more than there can be. */
  count(least = 1): number {
    const start = this.#at;
    const count = this.uint();
    if (count * least > this.left) this.#short(start, `${count} declared, ${this.left} bytes left`);
    return count;
  }

  /** A view of the next `length` bytes. */
  bytes(length: number): Uint8Array {
    if (length > this.left) this.#short(this.#at, `${length} bytes declared, ${this.left} left`);
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  text(): string {
    const start = this.#at;
    const bytes = this.bytes(this.count());
    try {
      return decoder.decode(bytes);
    } catch {
      return this.invalid('text that is not UTF-8', start);
    }
  }

  /** Nothing may follow. */
  end(): void {
    if (this.left > 0) this.invalid(`${this.left} bytes follow the end`);
  }

  /** @throws SyncError `COMPACT_INVALID` */
  invalid(what: string, offset: number = this.#at): never {
    throw new SyncError('COMPACT_INVALID', `byte ${offset}: ${what}`, { origin: 'bytes', place: { offset } });
  }

  #short(offset: number, what: string): never {
    throw new SyncError('LENGTH_EXCEEDS_INPUT', `byte ${offset}: ${what}`, { origin: 'bytes', place: { offset } });
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
