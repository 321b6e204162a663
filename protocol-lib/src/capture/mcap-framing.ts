import { McapRecordBuilder, Opcode } from '@mcap/core';
import type { TraceHeader } from '../trace/index.ts';
import { CHANNEL_ID, channelRecord, type SealedChunk, schemaRecord, setUint64 } from './chunk.ts';
import type { Compression } from './compression.ts';
import { crc32, hex8 } from './crc32.ts';
import { metadataRecord } from './metadata-record.ts';

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
  readonly #compression: Compression;
  readonly #chunks: ChunkIndexEntry[] = [];
  readonly #metadata: { offset: bigint; length: bigint; name: string }[] = [];
  readonly #attachments: AttachmentIndexEntry[] = [];
  #position = 0;
  #records = 0;
  #chain = 0;
  #startTime = 0;
  #endTime = 0;
  #placed: PlacedChunk | undefined;

  constructor(compression: Compression) {
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
    const start = this.#take();
    const crc = hex8(crc32(new TextEncoder().encode(text)));
    const described = this.#metadataAt(0, METADATA_HEADER, { header: text, crc });
    this.#position += described.length;
    return join([start, described]);
  }

  chunk(chunk: SealedChunk): Uint8Array {
    const compressed = this.#compression.compress(chunk.payload);
    // What does not shrink is stored as it is, and a reader's limit on the ratio is never met by our own files.
    const isSmaller = compressed.length < chunk.payload.length;
    const compression = isSmaller ? this.#compression.name : '';
    const payload = isSmaller ? compressed : chunk.payload;
    const payloadCrc = crc32(chunk.payload);
    const chunkLength = RECORD_HEADER_BYTES + CHUNK_HEADER_BYTES + compression.length + payload.length;
    this.#takeTotals(chunk, payloadCrc);
    const metadata = this.#metadataAt(chunkLength + INDEX_BYTES, METADATA_CHUNK, this.#describe(chunk, payloadCrc));
    // One buffer for all of it: the payload is copied once.
    const bytes = new Uint8Array(chunkLength + INDEX_BYTES + metadata.length);
    const view = new DataView(bytes.buffer);
    writeChunkHeader(view, chunk, payloadCrc, compression, payload.length);
    bytes.set(payload, chunkLength - payload.length);
    writeMessageIndex(view, chunkLength, chunk);
    bytes.set(metadata, chunkLength + INDEX_BYTES);
    this.#chunks.push({
      // Its one message has this log time.
      messageStartTime: BigInt(chunk.endTime),
      messageEndTime: BigInt(chunk.endTime),
      chunkStartOffset: BigInt(this.#position),
      chunkLength: BigInt(chunkLength),
      messageIndexOffsets: new Map([[CHANNEL_ID, BigInt(this.#position + chunkLength)]]),
      messageIndexLength: BigInt(INDEX_BYTES),
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
    this.#startTime = this.#records === 0 ? chunk.endTime : Math.min(this.#startTime, chunk.endTime);
    this.#endTime = Math.max(this.#endTime, chunk.endTime);
    this.#records += chunk.records;
    this.#chain = chainHash(this.#chain, payloadCrc, chunk.records);
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
    const totals = this.#metadataAt(0, METADATA_TOTALS, {
      chunks: String(this.#chunks.length),
      records: String(this.#records),
      chain: hex8(this.#chain),
    });
    this.#position += totals.length;
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
    const messages = BigInt(this.#chunks.length);
    if (messages > 0) {
      group(Opcode.SCHEMA, () => builder.writeSchema(schemaRecord()));
      group(Opcode.CHANNEL, () => builder.writeChannel(channelRecord()));
    }
    group(Opcode.STATISTICS, () =>
      builder.writeStatistics({
        messageCount: messages,
        schemaCount: messages > 0 ? 1 : 0,
        channelCount: messages > 0 ? 1 : 0,
        attachmentCount: this.#attachments.length,
        metadataCount: this.#metadata.length,
        chunkCount: this.#chunks.length,
        messageStartTime: BigInt(this.#startTime),
        messageEndTime: BigInt(this.#endTime),
        channelMessageCounts: new Map(messages > 0 ? [[CHANNEL_ID, messages]] : []),
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

  /** A Metadata record that will begin so many bytes from here. */
  #metadataAt(ahead: number, name: string, fields: Readonly<Record<string, string>>): Uint8Array {
    const bytes = metadataRecord(name, fields);
    this.#metadata.push({ offset: BigInt(this.#position + ahead), length: BigInt(bytes.length), name });
    return bytes;
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
/** A message index with one message: channel, length of the entries, and a time and an offset. */
const INDEX_BYTES = RECORD_HEADER_BYTES + 2 + 4 + 16;

function writeChunkHeader(
  view: DataView,
  chunk: SealedChunk,
  payloadCrc: number,
  compression: string,
  dataLength: number,
): void {
  view.setUint8(0, Opcode.CHUNK);
  setUint64(view, 1, CHUNK_HEADER_BYTES + compression.length + dataLength);
  setUint64(view, 9, chunk.endTime);
  setUint64(view, 17, chunk.endTime);
  setUint64(view, 25, chunk.payload.length);
  view.setUint32(33, payloadCrc, true);
  view.setUint32(37, compression.length, true);
  for (let at = 0; at < compression.length; at++) view.setUint8(41 + at, compression.charCodeAt(at));
  setUint64(view, 41 + compression.length, dataLength);
}

function writeMessageIndex(view: DataView, at: number, { endTime, messageAt }: SealedChunk): void {
  view.setUint8(at, Opcode.MESSAGE_INDEX);
  setUint64(view, at + 1, INDEX_BYTES - RECORD_HEADER_BYTES);
  view.setUint16(at + 9, CHANNEL_ID, true);
  view.setUint32(at + 11, 16, true);
  setUint64(view, at + 15, endTime);
  setUint64(view, at + 23, messageAt);
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
