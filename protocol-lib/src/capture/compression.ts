import { decompress } from 'fzstd';
import { SyncError } from '../errors/index.ts';

/** How chunks are made smaller. `name` is what stands in the file: `zstd`, or nothing for bytes as they are. */
export interface Compression {
  readonly name: 'zstd' | '';
  compress(bytes: Uint8Array): Uint8Array;
}

/** Unpacks one zstd frame into at most `size` bytes; throws on anything that is not one. */
export type ZstdDecompress = (bytes: Uint8Array, size: number) => Uint8Array;

/** Everywhere the same and without anything native. The library fills the buffer that it is given and cannot grow it. */
export const portableZstd: ZstdDecompress = (bytes, size) => decompress(bytes, new Uint8Array(size));

export const noCompression: Compression = { name: '', compress: (bytes) => bytes };

/** A chunk above this is refused before a byte of it is made room for. */
export const CHUNK_MAX_BYTES = 64 * 1024 * 1024;
/** Above this many bytes out of one byte in, it is refused, once the result is larger than {@link RATIO_FREE_BYTES}. */
export const RATIO_MAX = 200;
export const RATIO_FREE_BYTES = 1024 * 1024;

/**
 * The payload of a chunk that says it is `declaredSize` bytes long.
 * @throws SyncError `CHUNK_TOO_LARGE`, `RATIO_LIMIT`, `COMPRESSION_UNKNOWN` or `CHUNK_DAMAGED`
 */
export function decompressChunk(
  compressed: Uint8Array,
  compression: string,
  declaredSize: number,
  offset: number,
  zstd: ZstdDecompress = portableZstd,
): Uint8Array {
  const fail = (code: string, message: string): SyncError =>
    new SyncError(code, message, { origin: 'capture', place: { offset } });
  if (declaredSize > CHUNK_MAX_BYTES) {
    throw fail(
      'CHUNK_TOO_LARGE',
      `the chunk at offset ${offset} says it holds ${declaredSize} bytes, at most ${CHUNK_MAX_BYTES}`,
    );
  }
  if (compression === '') {
    if (compressed.length !== declaredSize) {
      throw fail(
        'CHUNK_DAMAGED',
        `the chunk at offset ${offset} says ${declaredSize} bytes and holds ${compressed.length}`,
      );
    }
    return compressed;
  }
  if (compression !== 'zstd') {
    throw fail(
      'COMPRESSION_UNKNOWN',
      `the chunk at offset ${offset} is compressed as ${JSON.stringify(compression.slice(0, 20))}, known: zstd`,
    );
  }
  const ratioLimit = Math.max(RATIO_FREE_BYTES, compressed.length * RATIO_MAX);
  if (declaredSize > ratioLimit) {
    throw fail(
      'RATIO_LIMIT',
      `the chunk at offset ${offset} says that ${compressed.length} bytes become ${declaredSize}, at most ${RATIO_MAX} times as many`,
    );
  }
  const frame = measureFrame(compressed);
  if (frame === undefined) throw fail('CHUNK_DAMAGED', `the chunk at offset ${offset} is not one zstd frame`);
  if (frame.knownBytes > ratioLimit) {
    throw fail(
      'RATIO_LIMIT',
      `the chunk at offset ${offset} would become at least ${frame.knownBytes} bytes out of ${compressed.length}`,
    );
  }
  if (frame.knownBytes > declaredSize || (frame.contentSize !== undefined && frame.contentSize !== declaredSize)) {
    throw fail(
      'CHUNK_DAMAGED',
      `the chunk at offset ${offset} holds another number of bytes than the ${declaredSize} that it says`,
    );
  }
  try {
    return zstd(compressed, declaredSize);
  } catch (cause) {
    throw new SyncError('CHUNK_DAMAGED', `the chunk at offset ${offset} is not valid zstd`, {
      origin: 'capture',
      place: { offset },
      cause,
    });
  }
}

/**
 * What one zstd frame (RFC 8878) says of its size before any of it is expanded: the content size of its
 * header, and the sum over its raw and run-length blocks. Undefined where it is not exactly one frame.
 */
function measureFrame(bytes: Uint8Array): { contentSize: number | undefined; knownBytes: number } | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 9 || view.getUint32(0, true) !== 0xfd2fb528) return undefined;
  const descriptor = bytes[4]!;
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const hasChecksum = (descriptor & 0x04) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3]!;
  const sizeFlag = descriptor >> 6;
  const sizeBytes = sizeFlag === 0 ? (isSingleSegment ? 1 : 0) : 1 << sizeFlag;
  let offset = 5 + (isSingleSegment ? 0 : 1) + dictionaryBytes;
  if (dictionaryBytes > 0 || offset + sizeBytes > bytes.length) return undefined;
  let contentSize: number | undefined;
  if (sizeBytes === 1) contentSize = bytes[offset]!;
  else if (sizeBytes === 2) contentSize = view.getUint16(offset, true) + 256;
  else if (sizeBytes === 4) contentSize = view.getUint32(offset, true);
  else if (sizeBytes === 8) contentSize = Number(view.getBigUint64(offset, true));
  offset += sizeBytes;
  let knownBytes = 0;
  for (;;) {
    if (offset + 3 > bytes.length) return undefined;
    const head = bytes[offset]! | (bytes[offset + 1]! << 8) | (bytes[offset + 2]! << 16);
    const type = (head >> 1) & 3;
    const size = head >> 3;
    offset += 3;
    if (type === 3) return undefined;
    if (type !== 2) knownBytes += size;
    offset += type === 1 ? 1 : size;
    if (head & 1) break;
  }
  return offset + (hasChecksum ? 4 : 0) === bytes.length ? { contentSize, knownBytes } : undefined;
}
