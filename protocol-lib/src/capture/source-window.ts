import type { ByteSource } from '../ports/index.ts';

const READ_AHEAD = 1024 * 1024;

/** Reads a source from front to back in large steps, and gives it out in small ones. */
export class SourceWindow {
  readonly #source: ByteSource;
  readonly #size: number;
  #start = 0;
  #bytes: Uint8Array = new Uint8Array(0);

  constructor(source: ByteSource, size: number) {
    this.#source = source;
    this.#size = size;
  }

  /** Exactly `length` bytes from `offset`, which must be there. A view that is good until the next call. */
  async bytes(offset: number, length: number): Promise<Uint8Array> {
    const end = offset + length;
    if (offset < this.#start || end > this.#start + this.#bytes.length) {
      const wanted = Math.max(length, Math.min(READ_AHEAD, this.#size - offset));
      this.#bytes = await this.#source.read(offset, wanted);
      this.#start = offset;
    }
    return this.#bytes.subarray(offset - this.#start, end - this.#start);
  }
}
