import { SyncError } from '../errors/index.ts';
import type { ByteSource } from '../ports/index.ts';
import { decompressChunk, type ZstdDecompress } from './compression.ts';
import { crc32 } from './crc32.ts';

/** Where a chunk's data lies in a file, and what it must unpack to. */
export interface ChunkPlace {
  readonly offset: number;
  readonly dataOffset: number;
  readonly dataLength: number;
  readonly compression: string;
  readonly size: number;
  readonly crc: number;
}

/** @throws SyncError what unpacking refuses, `CHUNK_DAMAGED`, or what the source rejects with */
export async function loadChunk(source: ByteSource, place: ChunkPlace, zstd: ZstdDecompress): Promise<Uint8Array> {
  // A chunk is small, and to read it at once takes less than to wait for it.
  const compressed = source.readNow
    ? source.readNow(place.dataOffset, place.dataLength)
    : await source.read(place.dataOffset, place.dataLength);
  return unpackChunk(compressed, place, zstd);
}

export function unpackChunk(compressed: Uint8Array, place: ChunkPlace, zstd: ZstdDecompress): Uint8Array {
  const payload = decompressChunk(compressed, place.compression, place.size, place.offset, zstd);
  if (crc32(payload) === place.crc) return payload;
  throw damaged(place.offset, 'its checksum does not match its bytes');
}

function damaged(offset: number, what: string): SyncError {
  return new SyncError('CHUNK_DAMAGED', `the chunk at offset ${offset} is damaged: ${what}`, {
    origin: 'capture',
    place: { offset },
  });
}
