import { beginWriting, copyWritten, writeCountedText, writeValue, writtenLength } from '../bytes/index.ts';

const FIRST_BYTES = 1024;
const KEPT_BYTES = 1024 * 1024;

/** Memory that grows, is written to from its beginning on, and is used again. */
export class BatchArea {
  #bytes = new Uint8Array(FIRST_BYTES);
  #length = 0;

  /** Bytes that were written. */
  get length(): number {
    return this.#length;
  }

  /** A view of what was written, good until more is. */
  get written(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  clear(): void {
    // One large state must not hold its memory for ever.
    if (this.#bytes.length > KEPT_BYTES) this.#bytes = new Uint8Array(FIRST_BYTES);
    this.#length = 0;
  }

  /** Takes back what was written from there on. */
  cut(length: number): void {
    this.#length = length;
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  /** An integer from 0 to 2^53 - 1, as `CompactWriter.uint` writes it. */
  uint(value: number): void {
    this.#reserve(8);
    const bytes = this.#bytes;
    let at = this.#length;
    let rest = value;
    while (rest > 0x7fff_ffff) {
      bytes[at++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    while (rest > 0x7f) {
      bytes[at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    bytes[at++] = rest;
    this.#length = at;
  }

  /** An integer within ±(2^52 - 1), as `CompactWriter.int` writes it. */
  int(value: number): void {
    this.uint(value < 0 ? -value * 2 - 1 : value * 2);
  }

  /** Text behind its length in UTF-8 bytes. @throws SyncError `VALUE_INVALID` for a lone surrogate, and then nothing was written */
  text(text: string): void {
    const { length } = text;
    this.#reserve(length + 5);
    const before = this.#length;
    this.uint(length);
    const bytes = this.#bytes;
    let at = this.#length;
    for (let index = 0; index < length; index++) {
      const unit = text.charCodeAt(index);
      if (unit > 0x7f) {
        this.#length = before;
        this.#wide(text);
        return;
      }
      bytes[at++] = unit;
    }
    this.#length = at;
  }

  /** Bytes as they are. */
  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** A value as msgpack, `depth` deep in others. @throws SyncError as `writeValue`, and then nothing was written */
  value(value: unknown, depth: number): void {
    if (this.#short(value)) return;
    beginWriting();
    writeValue(value, 'own', depth);
    this.#takeWritten();
  }

  /** Writes what most values are; else nothing, and says so. */
  #short(value: unknown): boolean {
    if (typeof value === 'number') return this.#number(value);
    if (typeof value === 'string') return this.#narrow(value);
    if (typeof value !== 'boolean' && value !== null) return false;
    this.byte(value === null ? 0xc0 : value ? 0xc3 : 0xc2);
    return true;
  }

  /** An integer from 0 to 2^32 - 1 as msgpack, as most are; else nothing, and says so. */
  #number(value: number): boolean {
    if (value >>> 0 !== value || Object.is(value, -0)) return false;
    this.#reserve(5);
    const bytes = this.#bytes;
    if (value < 0x80) {
      bytes[this.#length++] = value;
      return true;
    }
    const width = value < 0x100 ? 1 : value < 0x10000 ? 2 : 4;
    let at = this.#length;
    bytes[at++] = value < 0x100 ? 0xcc : value < 0x10000 ? 0xcd : 0xce;
    for (let shift = (width - 1) * 8; shift >= 0; shift -= 8) bytes[at++] = value >>> shift;
    this.#length = at;
    return true;
  }

  /** A short ASCII text as msgpack; else nothing, and says so. */
  #narrow(text: string): boolean {
    const { length } = text;
    if (length > 0xff) return false;
    this.#reserve(length + 2);
    const bytes = this.#bytes;
    let at = this.#length;
    if (length < 0x20) bytes[at++] = 0xa0 | length;
    else {
      bytes[at++] = 0xd9;
      bytes[at++] = length;
    }
    for (let index = 0; index < length; index++) {
      const unit = text.charCodeAt(index);
      if (unit > 0x7f) return false;
      bytes[at++] = unit;
    }
    this.#length = at;
    return true;
  }

  /** What was written by the functions of `bytes/writer.ts` since `beginWriting`, behind its length. */
  counted(): void {
    this.uint(writtenLength());
    this.#takeWritten();
  }

  #wide(text: string): void {
    beginWriting();
    writeCountedText(text);
    this.#takeWritten();
  }

  #takeWritten(): void {
    const length = writtenLength();
    this.#reserve(length);
    copyWritten(this.#bytes, this.#length);
    this.#length += length;
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}
