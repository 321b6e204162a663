import { Opcode } from '@mcap/core';
import type { ByteSource } from '../ports/index.ts';
import { RECORD_HEADER_BYTES, readHead, recordHead } from './capture-head.ts';
import { forEachRecord } from './chunk.ts';
import { unpackChunk } from './chunk-place.ts';
import { portableZstd, type ZstdDecompress } from './compression.ts';
import { parseChunkHead } from './mcap-parse.ts';
import { SourceWindow } from './source-window.ts';

/**
 * The trace records of a capture that was just written, as they stand in it, a chunk at a time; it need not have its end yet. They are views of memory of
 * this chunk alone.
 * @throws SyncError `CHUNK_DAMAGED` or what unpacking refuses: nothing is passed over. Else as `openCapture`
 */
export async function* rawRecords(
  source: ByteSource,
  zstd: ZstdDecompress = portableZstd,
): AsyncGenerator<readonly Uint8Array[]> {
  const size = await source.size();
  const window = new SourceWindow(source, size);
  let { end: offset } = await readHead(window, size);
  while (offset < size) {
    const { opcode, length, isWhole } = await recordHead(window, size, offset);
    if (!isWhole || opcode === Opcode.FOOTER) return;
    const content = offset + RECORD_HEADER_BYTES;
    if (opcode === Opcode.CHUNK) yield recordsOf(await window.bytes(content, length), offset, zstd);
    offset = content + length;
  }
}

function recordsOf(chunk: Uint8Array, offset: number, zstd: ZstdDecompress): Uint8Array[] {
  const { dataOffset, dataLength, compression, uncompressedSize: size, uncompressedCrc: crc } = parseChunkHead(chunk);
  const data = chunk.subarray(dataOffset, dataOffset + dataLength);
  const payload = unpackChunk(data, { offset, dataOffset, dataLength, compression, size, crc }, zstd);
  const records: Uint8Array[] = [];
  forEachRecord(payload, (at, length) => records.push(payload.subarray(at, at + length)));
  return records;
}
