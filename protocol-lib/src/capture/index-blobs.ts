import { type Compression, decompressChunk, type ZstdDecompress } from './compression.ts';
import { crc32 } from './crc32.ts';
import { damagedIndex } from './number-block.ts';

/** Where the bytes of a page lie in the file, and their CRC-32. */
export interface BlobRef {
  readonly offset: number;
  readonly length: number;
  readonly crc: number;
}

/** How the bytes of a page stand in the file: u8 compression (0 none, 1 zstd) · u32 size unpacked · the bytes. */
const HEAD_BYTES = 5;

export function packBlob(bytes: Uint8Array, compression: Compression): Uint8Array {
  const packed = bytes.length > 64 ? compression.compress(bytes) : bytes;
  const isSmaller = packed.length < bytes.length;
  const body = isSmaller ? packed : bytes;
  const blob = new Uint8Array(HEAD_BYTES + body.length);
  blob[0] = isSmaller ? 1 : 0;
  new DataView(blob.buffer).setUint32(1, bytes.length, true);
  blob.set(body, HEAD_BYTES);
  return blob;
}

/** @throws SyncError `INDEX_DAMAGED` */
export function unpackBlob(blob: Uint8Array, ref: BlobRef, zstd: ZstdDecompress): Uint8Array {
  if (blob.length !== ref.length || blob.length < HEAD_BYTES || crc32(blob) !== ref.crc) {
    throw damagedIndex(`does not match its checksum at offset ${ref.offset}`);
  }
  const size = new DataView(blob.buffer, blob.byteOffset, blob.byteLength).getUint32(1, true);
  try {
    return decompressChunk(blob.subarray(HEAD_BYTES), blob[0] === 1 ? 'zstd' : '', size, ref.offset, zstd);
  } catch {
    throw damagedIndex(`cannot be unpacked at offset ${ref.offset}`);
  }
}

/** Refs flat, for a block of numbers. */
export function flatRefs(refs: readonly BlobRef[]): number[] {
  return refs.flatMap(({ offset, length, crc }) => [offset, length, crc]);
}

export function refsOf(flat: ArrayLike<number>): BlobRef[] {
  const refs: BlobRef[] = [];
  for (let at = 0; at + 2 < flat.length; at += 3) {
    refs.push({ offset: flat[at]!, length: flat[at + 1]!, crc: flat[at + 2]! });
  }
  return refs;
}

/** Bytes that loaded pages may take together; the ones loaded first go first. */
export class PageCache {
  readonly #maxBytes: number;
  readonly #loaded: { readonly bytes: number; readonly release: () => void }[] = [];
  #first = 0;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  add(bytes: number, release: () => void): void {
    this.#loaded.push({ bytes, release });
    this.#bytes += bytes;
    while (this.#bytes > this.#maxBytes && this.#first < this.#loaded.length - 1) {
      const oldest = this.#loaded[this.#first++]!;
      this.#bytes -= oldest.bytes;
      oldest.release();
    }
    if (this.#first < 1_024) return;
    this.#loaded.splice(0, this.#first);
    this.#first = 0;
  }
}
