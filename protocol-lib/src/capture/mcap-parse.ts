import { Opcode } from '@mcap/core';
import { SyncError } from '../errors/index.ts';
import { getUint64 } from './chunk.ts';

/** Contents of the MCAP records that we read ourselves, each length checked before it is believed. */

const decoder = new TextDecoder();

interface ChunkHead {
  readonly uncompressedSize: number;
  readonly uncompressedCrc: number;
  readonly compression: string;
  /** From the start of the record's content. */
  readonly dataOffset: number;
  readonly dataLength: number;
}

/** @throws SyncError `CHUNK_DAMAGED` */
export function parseChunkHead(content: Uint8Array): ChunkHead {
  const view = viewOf(content);
  const nameAt = 28;
  if (content.length < nameAt + 4) throw tooShort();
  const nameLength = view.getUint32(nameAt, true);
  const lengthAt = nameAt + 4 + nameLength;
  if (nameLength > content.length || lengthAt + 8 > content.length) throw tooShort();
  const dataLength = getUint64(view, lengthAt);
  const dataOffset = lengthAt + 8;
  if (dataLength !== content.length - dataOffset) throw tooShort();
  return {
    uncompressedSize: getUint64(view, 16),
    uncompressedCrc: view.getUint32(24, true),
    compression: decoder.decode(content.subarray(nameAt + 4, lengthAt)),
    dataOffset,
    dataLength,
  };
}

function tooShort(): SyncError {
  return new SyncError('CHUNK_DAMAGED', "a chunk's lengths do not fit each other", { origin: 'capture' });
}

/** The first `count` strings of a record; fewer where it ends before. */
export function parseStrings(content: Uint8Array, count: number): string[] {
  const view = viewOf(content);
  const strings: string[] = [];
  let offset = 0;
  while (strings.length < count && offset + 4 <= content.length) {
    const length = view.getUint32(offset, true);
    if (length > content.length - offset - 4) break;
    strings.push(decoder.decode(content.subarray(offset + 4, offset + 4 + length)));
    offset += 4 + length;
  }
  return strings;
}

/** A Metadata record; undefined where it is not whole. */
export function parseMetadata(content: Uint8Array): { name: string; fields: Map<string, string> } | undefined {
  const view = viewOf(content);
  if (content.length < 8) return undefined;
  const nameLength = view.getUint32(0, true);
  if (nameLength > content.length - 8) return undefined;
  const mapAt = 4 + nameLength;
  const mapLength = view.getUint32(mapAt, true);
  if (mapLength > content.length - mapAt - 4) return undefined;
  const pairs = parseStrings(content.subarray(mapAt + 4, mapAt + 4 + mapLength), Number.POSITIVE_INFINITY);
  const fields = new Map<string, string>();
  for (let at = 0; at + 1 < pairs.length; at += 2) fields.set(pairs[at]!, pairs[at + 1]!);
  return { name: decoder.decode(content.subarray(4, mapAt)), fields };
}

/** Where each chunk of a summary section begins in the file. */
export function recordOffsetsOfChunkIndex(summary: Uint8Array): number[] {
  const view = viewOf(summary);
  const offsets: number[] = [];
  for (let at = 0; at + 9 <= summary.length; ) {
    const length = getUint64(view, at + 1);
    if (length > summary.length - at - 9) break;
    if (summary[at] === Opcode.CHUNK_INDEX && length >= 24) offsets.push(getUint64(view, at + 9 + 16));
    at += 9 + length;
  }
  return offsets;
}

/** Calls `visit` with each whole MCAP record in `bytes`; what is not whole at the end is left. */
export function eachRecord(bytes: Uint8Array, visit: (opcode: number, content: Uint8Array) => void): void {
  const view = viewOf(bytes);
  for (let at = 0; at + 9 <= bytes.length; ) {
    const length = getUint64(view, at + 1);
    if (length > bytes.length - at - 9) return;
    visit(bytes[at]!, bytes.subarray(at + 9, at + 9 + length));
    at += 9 + length;
  }
}

/** Data and CRC of an Attachment record, whose CRC is over all before it; undefined where it is not whole. */
export function parseAttachment(content: Uint8Array): { data: Uint8Array; crc: number } | undefined {
  const view = viewOf(content);
  const times = 16;
  const texts = parseStrings(content.subarray(times), 2);
  if (texts.length < 2) return undefined;
  const nameBytes = view.getUint32(times, true);
  const lengthAt = times + 4 + nameBytes + 4 + view.getUint32(times + 4 + nameBytes, true);
  if (lengthAt + 8 + 4 > content.length) return undefined;
  const length = getUint64(view, lengthAt);
  if (length !== content.length - lengthAt - 8 - 4) return undefined;
  const dataAt = lengthAt + 8;
  return { data: content.subarray(dataAt, dataAt + length), crc: view.getUint32(dataAt + length, true) };
}

/** Where an attachment is, by its record in the summary. */
export function parseAttachmentIndex(content: Uint8Array): { offset: number; name: string } | undefined {
  // Offset, length, two times and the data's size, of 8 bytes each, before the name.
  const [name] = parseStrings(content.subarray(40), 1);
  return name === undefined ? undefined : { offset: getUint64(viewOf(content), 0), name };
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
