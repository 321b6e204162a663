import { McapRecordBuilder, Opcode } from '@mcap/core';
import type { TraceHeader } from '../trace/index.ts';
import { type Channels, channelRecord, type SealedChunk, schemaRecord, setUint64 } from './chunk.ts';
import type { Compression } from './compression.ts';
import { crc32, hex8 } from './crc32.ts';

export const PROFILE = 'syncscope';
export const LIBRARY = '@syncscope/protocol';
export const METADATA_HEADER = 'syncscope.header';
export const METADATA_CHUNK = 'syncscope.chunk';
export const METADATA_TOTALS = 'syncscope.totals';

interface AttachmentIndexEntry {
  readonly offset: bigint;
  readonly length: bigint;
  readonly logTime: bigint;
  readonly createTime: bigint;
  readonly dataSize: bigint;
  readonly name: string;
  readonly mediaType: string;
}

/** Where a chunk came to stand in the file. */
export interface PlacedChunk {
  readonly offset: number;
  /** Of its data, as it stands in the file. */
  readonly dataLength: number;
  readonly size: number;
  readonly crc: number;
  readonly records: number;
  readonly isCompressed: boolean;
}

interface ChunkIndexEntry {
  readonly messageStartTime: bigint;
  readonly messageEndTime: bigint;
  readonly chunkStartOffset: bigint;
  readonly chunkLength: bigint;
  readonly messageIndexOffsets: Map<number, bigint>;
  readonly messageIndexLength: bigint;
  readonly compression: string;
  readonly compressedSize: bigint;
  readonly uncompressedSize: bigint;
}

/**
 * Turns sealed chunks into the bytes of an MCAP file, in order: {@link start}, {@link chunk} for each,
 * {@link end}. Knows nothing of where the bytes go.
 */
export class McapFraming {
  readonly #builder = new McapRecordBuilder();
  readonly #channels: Channels;
  readonly #compression: Compression;
  readonly #chunks: ChunkIndexEntry[] = [];
  readonly #metadata: { offset: bigint; length: bigint; name: string }[] = [];
  readonly #attachments: AttachmentIndexEntry[] = [];
  readonly #channelCounts = new Map<number, bigint>();
  #position = 0;
  #records = 0;
  #chain = 0;
  #startTime = 0;
  #endTime = 0;
  #placed: PlacedChunk | undefined;

  constructor(channels: Channels, compression: Compression) {
    this.#channels = channels;
    this.#compression = compression;
  }

  /** Bytes handed out so far. */
  get size(): number {
    return this.#position;
  }

  /** The running hash over the chunks so far. */
  get chain(): number {
    return this.#chain;
  }

  /** The chunk framed last. */
  get placed(): PlacedChunk | undefined {
    return this.#placed;
  }

  /** An attachment, and where in the file its data begins. */
  attachment(name: string, mediaType: string, data: Uint8Array): { bytes: Uint8Array; dataOffset: number } {
    const offset = this.#position;
    const times = { logTime: BigInt(this.#endTime), createTime: 0n };
    this.#builder.writeAttachment({ ...times, name, mediaType, data });
    const bytes = this.#take();
    const sizes = { offset: BigInt(offset), length: BigInt(bytes.length), dataSize: BigInt(data.length) };
    this.#attachments.push({ ...sizes, ...times, name, mediaType });
    return { bytes, dataOffset: offset + bytes.length - ATTACHMENT_CRC_BYTES - data.length };
  }

  start(header: TraceHeader): Uint8Array {
    this.#builder.writeMagic();
    this.#builder.writeHeader({ profile: PROFILE, library: LIBRARY });
    const text = JSON.stringify(header);
    this.#writeMetadata(METADATA_HEADER, { header: text, crc: hex8(crc32(new TextEncoder().encode(text))) });
    return this.#take();
  }

  chunk(chunk: SealedChunk): Uint8Array {
    const compressed = this.#compression.compress(chunk.payload);
    // What does not shrink is stored as it is, and a reader's limit on the ratio is never met by our own files.
    const isSmaller = compressed.length < chunk.payload.length;
    const compression = isSmaller ? this.#compression.name : '';
    const payload = isSmaller ? compressed : chunk.payload;
    const payloadCrc = crc32(chunk.payload);
    const chunkLength = RECORD_HEADER_BYTES + CHUNK_HEADER_BYTES + compression.length + payload.length;
    const indexLength = lengthOfIndexes(chunk.messageIndexes);
    this.#takeTotals(chunk, payloadCrc);
    this.#writeMetadata(METADATA_CHUNK, this.#describe(chunk, payloadCrc), chunkLength + indexLength);
    const metadata = this.#builder.buffer;
    this.#builder.reset();
    // One buffer for all of it: the payload is copied once.
    const bytes = new Uint8Array(chunkLength + indexLength + metadata.length);
    const view = new DataView(bytes.buffer);
    writeChunkHeader(view, chunk, payloadCrc, compression, payload.length);
    bytes.set(payload, chunkLength - payload.length);
    const messageIndexOffsets = writeMessageIndexes(view, chunkLength, chunk.messageIndexes);
    bytes.set(metadata, chunkLength + indexLength);
    this.#chunks.push({
      messageStartTime: BigInt(chunk.startTime),
      messageEndTime: BigInt(chunk.endTime),
      chunkStartOffset: BigInt(this.#position),
      chunkLength: BigInt(chunkLength),
      messageIndexOffsets: new Map(
        Array.from(messageIndexOffsets, ([channel, offset]) => [channel, BigInt(this.#position + offset)]),
      ),
      messageIndexLength: BigInt(indexLength),
      compression,
      compressedSize: BigInt(payload.length),
      uncompressedSize: BigInt(chunk.payload.length),
    });
    this.#placed = {
      offset: this.#position,
      dataLength: payload.length,
      size: chunk.payload.length,
      crc: payloadCrc,
      records: chunk.records,
      isCompressed: compression !== '',
    };
    this.#position += bytes.length;
    return bytes;
  }

  #takeTotals(chunk: SealedChunk, payloadCrc: number): void {
    this.#startTime = this.#records === 0 ? chunk.startTime : Math.min(this.#startTime, chunk.startTime);
    this.#endTime = Math.max(this.#endTime, chunk.endTime);
    this.#records += chunk.records;
    this.#chain = chainHash(this.#chain, payloadCrc, chunk.records);
    for (const [channel, entries] of chunk.messageIndexes) {
      this.#channelCounts.set(channel, (this.#channelCounts.get(channel) ?? 0n) + BigInt(entries.length / 2));
    }
  }

  #describe(chunk: SealedChunk, payloadCrc: number): Readonly<Record<string, string>> {
    return {
      chunk: String(this.#chunks.length),
      first: String(this.#records - chunk.records),
      records: String(chunk.records),
      firstSeq: String(chunk.firstSeq),
      lastSeq: String(chunk.lastSeq),
      crc: hex8(payloadCrc),
      chain: hex8(this.#chain),
    };
  }

  end(): Uint8Array {
    this.#writeMetadata(METADATA_TOTALS, {
      chunks: String(this.#chunks.length),
      records: String(this.#records),
      chain: hex8(this.#chain),
    });
    const totals = this.#take();
    // 0 is "not told": every part that counts has a checksum of its own already.
    this.#builder.writeDataEnd({ dataSectionCrc: 0 });
    const dataEnd = this.#take();
    return join([totals, dataEnd, this.#summary()]);
  }

  #summary(): Uint8Array {
    const builder = this.#builder;
    const start = this.#position;
    const groups: { groupOpcode: number; groupStart: bigint; groupLength: bigint }[] = [];
    const group = (opcode: number, write: () => void): void => {
      const before = builder.length;
      write();
      if (builder.length === before) return;
      groups.push({
        groupOpcode: opcode,
        groupStart: BigInt(start + before),
        groupLength: BigInt(builder.length - before),
      });
    };
    const channels = this.#channels.list().filter(({ id }) => this.#channelCounts.has(id));
    if (channels.length > 0) group(Opcode.SCHEMA, () => builder.writeSchema(schemaRecord()));
    group(Opcode.CHANNEL, () => {
      for (const { id, replica } of channels) builder.writeChannel(channelRecord(id, replica));
    });
    group(Opcode.STATISTICS, () =>
      builder.writeStatistics({
        messageCount: BigInt(this.#records),
        schemaCount: channels.length > 0 ? 1 : 0,
        channelCount: channels.length,
        attachmentCount: this.#attachments.length,
        metadataCount: this.#metadata.length,
        chunkCount: this.#chunks.length,
        messageStartTime: BigInt(this.#startTime),
        messageEndTime: BigInt(this.#endTime),
        channelMessageCounts: this.#channelCounts,
      }),
    );
    group(Opcode.METADATA_INDEX, () => {
      for (const one of this.#metadata) builder.writeMetadataIndex(one);
    });
    group(Opcode.ATTACHMENT_INDEX, () => {
      for (const one of this.#attachments) builder.writeAttachmentIndex(one);
    });
    group(Opcode.CHUNK_INDEX, () => {
      for (const one of this.#chunks) builder.writeChunkIndex(one);
    });
    const offsetsAt = start + builder.length;
    for (const one of groups) builder.writeSummaryOffset(one);
    const summary = this.#take();
    const footerHead = new Uint8Array(25);
    const view = new DataView(footerHead.buffer);
    view.setUint8(0, Opcode.FOOTER);
    setUint64(view, 1, 20);
    setUint64(view, 9, start);
    setUint64(view, 17, offsetsAt);
    builder.writeFooter({
      summaryStart: BigInt(start),
      summaryOffsetStart: BigInt(offsetsAt),
      summaryCrc: crc32(footerHead, crc32(summary)),
    });
    builder.writeMagic();
    return join([summary, this.#take()]);
  }

  /** `ahead` bytes will stand before what the builder has. */
  #writeMetadata(name: string, fields: Readonly<Record<string, string>>, ahead = 0): void {
    const offset = BigInt(this.#position + ahead + this.#builder.length);
    const length = this.#builder.writeMetadata({ name, metadata: new Map(Object.entries(fields)) });
    this.#metadata.push({ offset, length, name });
  }

  #take(): Uint8Array {
    const bytes = this.#builder.buffer;
    this.#builder.reset();
    this.#position += bytes.length;
    return bytes;
  }
}

const RECORD_HEADER_BYTES = 9;
const ATTACHMENT_CRC_BYTES = 4;
/** Start and end time, size, CRC, length of the compression's name, length of the data. */
const CHUNK_HEADER_BYTES = 8 + 8 + 8 + 4 + 4 + 8;
const INDEX_HEADER_BYTES = RECORD_HEADER_BYTES + 2 + 4;

function writeChunkHeader(
  view: DataView,
  chunk: SealedChunk,
  payloadCrc: number,
  compression: string,
  dataLength: number,
): void {
  view.setUint8(0, Opcode.CHUNK);
  setUint64(view, 1, CHUNK_HEADER_BYTES + compression.length + dataLength);
  setUint64(view, 9, chunk.startTime);
  setUint64(view, 17, chunk.endTime);
  setUint64(view, 25, chunk.payload.length);
  view.setUint32(33, payloadCrc, true);
  view.setUint32(37, compression.length, true);
  for (let at = 0; at < compression.length; at++) view.setUint8(41 + at, compression.charCodeAt(at));
  setUint64(view, 41 + compression.length, dataLength);
}

function lengthOfIndexes(indexes: SealedChunk['messageIndexes']): number {
  let length = 0;
  for (const entries of indexes.values()) length += INDEX_HEADER_BYTES + entries.length * 8;
  return length;
}

/** Returns where the index of each channel begins, from the start of the view. */
function writeMessageIndexes(
  view: DataView,
  offset: number,
  indexes: SealedChunk['messageIndexes'],
): Map<number, number> {
  const offsets = new Map<number, number>();
  let at = offset;
  for (const [channel, entries] of indexes) {
    offsets.set(channel, at);
    view.setUint8(at, Opcode.MESSAGE_INDEX);
    setUint64(view, at + 1, 2 + 4 + entries.length * 8);
    view.setUint16(at + 9, channel, true);
    view.setUint32(at + 11, entries.length * 8, true);
    at += INDEX_HEADER_BYTES;
    for (let index = 0; index < entries.length; index++, at += 8) setUint64(view, at, entries[index]!);
  }
  return offsets;
}

/** The running hash over the chunks: CRC-32 of (hash before, payload's CRC, record count), each a little-endian u32. */
export function chainHash(before: number, payloadCrc: number, records: number): number {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, before, true);
  view.setUint32(4, payloadCrc, true);
  view.setUint32(8, records, true);
  return crc32(bytes);
}

export function join(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}
