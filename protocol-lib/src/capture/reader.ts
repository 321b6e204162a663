import { MCAP_MAGIC, Opcode } from '@mcap/core';
import { isSyncError, SyncError } from '../errors/index.ts';
import type { ByteSource } from '../ports/index.ts';
import { TRACE_VERSION, type TraceHeader, traceHeaderSchema } from '../trace/index.ts';
import { CaptureIndex } from './capture-index.ts';
import { forEachMessage, getUint64 } from './chunk.ts';
import { CHUNK_MAX_BYTES, decompressChunk, portableZstd, type ZstdDecompress } from './compression.ts';
import { crc32, hex8 } from './crc32.ts';
import { CaptureEngine, type OpenCapture } from './engine.ts';
import { IndexBuilder } from './index-builder.ts';
import { chainHash, METADATA_CHUNK, METADATA_HEADER, METADATA_TOTALS, PROFILE } from './mcap-framing.ts';
import { parseChunkHead, parseMetadata, parseStrings, recordOffsetsOfChunkIndex } from './mcap-parse.ts';
import { checkAborted } from './rows.ts';
import { SourceWindow } from './source-window.ts';
import { CachedChunks } from './store.ts';

const RECORD_HEADER_BYTES = 9;
const MAGIC_BYTES = 8;
const FOOTER_BYTES = 29;
const SMALL_RECORD_MAX = 16 * 1024 * 1024;

export interface OpenCaptureOptions {
  /** Told after each chunk of the first pass how many of how many bytes are done. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
  /** How zstd is unpacked where there is something faster than the portable way, as in Node. */
  readonly decompressZstd?: ZstdDecompress;
  /** Awaited between chunks of long scans, so that others get their turn. Default: nothing. */
  readonly pause?: () => Promise<void>;
}

interface ChunkPlace {
  readonly offset: number;
  readonly dataOffset: number;
  readonly dataLength: number;
  readonly compression: string;
  readonly size: number;
  readonly crc: number;
}

/**
 * Opens a capture file. One pass over its chunks builds the index; after that chunks are read as they are
 * needed. A file that ends early opens up to its last whole chunk, and a damaged chunk is left out; both
 * are told in `info().cut`.
 *
 * @throws SyncError `CAPTURE_EMPTY` (no bytes), `CAPTURE_NOT_MCAP` (something else), `CAPTURE_NOT_SYNCSCOPE`
 * (another profile), `CAPTURE_TOO_NEW`, `CAPTURE_CUT_TOO_EARLY` (ends inside its header),
 * `CAPTURE_HEADER_DAMAGED`, `CHUNK_TOO_LARGE`, `RATIO_LIMIT`, `ABORTED`, or what the source rejects with
 */
export async function openCapture(source: ByteSource, options: OpenCaptureOptions = {}): Promise<OpenCapture> {
  const scan = new FileScan(source, await source.size(), options);
  await scan.run();
  const { index, chunks, header, size } = scan;
  const store = new CachedChunks(
    (chunk) => loadChunk(source, chunks[chunk]!, options.decompressZstd ?? portableZstd),
    () => {},
  );
  const cut = scan.cut();
  const facts = { header, isGrowing: false, size: () => size, ...(cut ? { cut } : {}) };
  return new CaptureEngine(index, store, facts, options.pause ?? (() => Promise.resolve()));
}

async function loadChunk(source: ByteSource, place: ChunkPlace, zstd: ZstdDecompress): Promise<Uint8Array> {
  const compressed = await source.read(place.dataOffset, place.dataLength);
  return unpackChunk(compressed, place, zstd);
}

function unpackChunk(compressed: Uint8Array, place: ChunkPlace, zstd: ZstdDecompress): Uint8Array {
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

/** The first pass over a file. */
class FileScan {
  readonly size: number;
  readonly chunks: ChunkPlace[] = [];
  header!: TraceHeader;
  index!: CaptureIndex;
  #indexing!: IndexBuilder;
  readonly #source: ByteSource;
  readonly #window: SourceWindow;
  readonly #options: OpenCaptureOptions;
  readonly #faults: { readonly offset: number; readonly message: string }[] = [];
  /** Records that the file's own counts say were left out. */
  #missing = 0;
  #chain = 0;
  /** CRC and records of the chunk read last, for the metadata record that follows it. */
  #lastChunk: { readonly crc: number; readonly records: number; readonly offset: number } | undefined;
  #isComplete = false;
  #hasTotals = false;
  #endedAt = 0;

  constructor(source: ByteSource, size: number, options: OpenCaptureOptions) {
    this.#source = source;
    this.size = size;
    this.#options = options;
    this.#window = new SourceWindow(source, size);
  }

  async run(): Promise<void> {
    let offset = await this.#begin();
    while (offset < this.size && !this.#isComplete) {
      checkAborted(this.#options.signal);
      const next = await this.#record(offset);
      if (next < 0) {
        const resumeAt = await this.#resumeAfter(offset);
        if (resumeAt <= offset) break;
        offset = resumeAt;
      } else offset = next;
    }
    this.#endedAt = Math.min(offset, this.size);
    this.#options.onProgress?.(this.size, this.size);
  }

  /** What is missing and why, in words; undefined for a whole file. */
  cut(): { offset: number; message: string } | undefined {
    const faults = [...this.#faults];
    if (!this.#isComplete && faults.length === 0) {
      faults.push({
        offset: this.#endedAt,
        message: 'the file ends before its end: it was cut, or its recorder never closed it',
      });
    }
    const first = faults[0];
    if (!first) return undefined;
    const more = faults.length > 1 ? ` (and ${faults.length - 1} more faults)` : '';
    return { offset: first.offset, message: `${first.message}${more}. ${this.#whatIsHere()}` };
  }

  #whatIsHere(): string {
    const { index } = this;
    const records = index.end;
    const here =
      records === 0
        ? 'No record could be read'
        : `The ${records} records up to ${(index.timeAt(records - 1) / 1e9).toFixed(3)} s can be read`;
    if (this.#missing > 0) return `${here}, ${this.#missing} are missing.`;
    return this.#isComplete
      ? `${here}.`
      : `${here}; what came after is missing, at most the last second of a recording.`;
  }

  /** Magic, header and our metadata. Returns the offset after them. */
  async #begin(): Promise<number> {
    if (this.size === 0) throw refuse('CAPTURE_EMPTY', 'the file is empty: zero bytes', 0);
    const start = await this.#window.bytes(0, Math.min(this.size, MAGIC_BYTES));
    const magic = Uint8Array.from(MCAP_MAGIC);
    if (!start.every((byte, at) => byte === magic[at])) {
      const found = describeBytes(await this.#window.bytes(0, Math.min(this.size, 16)));
      throw refuse('CAPTURE_NOT_MCAP', `not an MCAP file: found ${found}`, 0);
    }
    const head = await this.#headRecord(MAGIC_BYTES, Opcode.HEADER, 'header');
    const [profile] = parseStrings(head.content, 2);
    if (profile !== PROFILE) {
      throw refuse(
        'CAPTURE_NOT_SYNCSCOPE',
        `an MCAP file of profile ${JSON.stringify((profile ?? '').slice(0, 60))}, expected ${JSON.stringify(PROFILE)}`,
        MAGIC_BYTES,
      );
    }
    const metadata = await this.#headRecord(head.end, Opcode.METADATA, 'description');
    this.header = readHeader(metadata.content, head.end);
    this.index = new CaptureIndex(this.header.authority);
    this.#indexing = new IndexBuilder(this.index);
    return metadata.end;
  }

  async #headRecord(offset: number, opcode: number, what: string): Promise<{ content: Uint8Array; end: number }> {
    const record = await this.#recordHead(offset);
    if (record.opcode !== opcode && record.isWhole) {
      throw refuse('CAPTURE_HEADER_DAMAGED', `the capture's ${what} is not at offset ${offset}`, offset);
    }
    if (!record.isWhole || record.length > SMALL_RECORD_MAX) {
      throw refuse('CAPTURE_CUT_TOO_EARLY', `the file ends inside its ${what}, before any record`, offset);
    }
    const content = await this.#window.bytes(offset + RECORD_HEADER_BYTES, record.length);
    return { content, end: offset + RECORD_HEADER_BYTES + record.length };
  }

  async #recordHead(offset: number): Promise<{ opcode: number; length: number; isWhole: boolean }> {
    if (offset + RECORD_HEADER_BYTES > this.size) return { opcode: -1, length: 0, isWhole: false };
    const bytes = await this.#window.bytes(offset, RECORD_HEADER_BYTES);
    const length = getUint64(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 1);
    return { opcode: bytes[0]!, length, isWhole: length <= this.size - offset - RECORD_HEADER_BYTES };
  }

  /** Takes the record at `offset` and returns where the next one is; -1 where there is no way on. */
  async #record(offset: number): Promise<number> {
    const { opcode, length, isWhole } = await this.#recordHead(offset);
    const content = offset + RECORD_HEADER_BYTES;
    if (!isWhole) {
      // Only where the file's end is there as well is this a wrong length and not a cut.
      if ((await this.#chunkIndex()).length > 0)
        this.#fault(offset, `the record at offset ${offset} has a length that cannot be`);
      return -1;
    }
    switch (opcode) {
      case Opcode.CHUNK:
        await this.#chunk(offset, content, length);
        break;
      case Opcode.METADATA:
        if (length <= SMALL_RECORD_MAX) this.#metadata(offset, await this.#window.bytes(content, length));
        break;
      case Opcode.FOOTER:
        await this.#footer(content + length);
        break;
      case Opcode.SCHEMA:
      case Opcode.CHANNEL:
      case Opcode.MESSAGE_INDEX:
      case Opcode.CHUNK_INDEX:
      case Opcode.ATTACHMENT:
      case Opcode.ATTACHMENT_INDEX:
      case Opcode.STATISTICS:
      case Opcode.METADATA_INDEX:
      case Opcode.SUMMARY_OFFSET:
      case Opcode.DATA_END:
        break;
      default:
        this.#fault(offset, `unknown record type ${opcode} at offset ${offset}`);
        return -1;
    }
    return content + length;
  }

  async #chunk(offset: number, content: number, length: number): Promise<void> {
    this.#lastChunk = undefined;
    if (length > CHUNK_MAX_BYTES + 4_096) {
      throw refuse(
        'CHUNK_TOO_LARGE',
        `the chunk at offset ${offset} is ${length} bytes long, at most ${CHUNK_MAX_BYTES}`,
        offset,
      );
    }
    const bytes = await this.#window.bytes(content, length);
    try {
      const head = parseChunkHead(bytes);
      const place: ChunkPlace = {
        offset,
        dataOffset: content + head.dataOffset,
        dataLength: head.dataLength,
        compression: head.compression,
        size: head.uncompressedSize,
        crc: head.uncompressedCrc,
      };
      const data = bytes.subarray(head.dataOffset, head.dataOffset + head.dataLength);
      this.#takePayload(unpackChunk(data, place, this.#options.decompressZstd ?? portableZstd), place);
    } catch (error) {
      // What asks for more than it may is hostile; everything else is damage, and the other chunks still count.
      if (!isSyncError(error) || error.code === 'CHUNK_TOO_LARGE' || error.code === 'RATIO_LIMIT') throw error;
      this.#fault(offset, error.message);
    }
    this.#options.onProgress?.(content + length, this.size);
    await this.#options.pause?.();
  }

  #takePayload(payload: Uint8Array, place: ChunkPlace): void {
    const { index } = this;
    const before = index.end;
    let isBegun = false;
    let unreadable = 0;
    let count = 0;
    forEachMessage(payload, (offset, length) => {
      count++;
      if (!isBegun) {
        index.beginChunk();
        this.chunks.push(place);
        isBegun = true;
      }
      try {
        this.#indexing.append(payload, offset, length);
      } catch (error) {
        if (!isSyncError(error)) throw error;
        unreadable++;
      }
    });
    if (unreadable > 0) {
      this.#missing += unreadable;
      this.#fault(
        place.offset,
        `${unreadable} of ${index.end - before + unreadable} records of the chunk at offset ${place.offset} are not trace records`,
      );
    }
    this.#chain = chainHash(this.#chain, place.crc, count);
    this.#lastChunk = { crc: place.crc, records: count, offset: place.offset };
  }

  #metadata(offset: number, bytes: Uint8Array): void {
    const metadata = parseMetadata(bytes);
    if (metadata?.name === METADATA_CHUNK) this.#chunkMetadata(offset, metadata.fields);
    else if (metadata?.name === METADATA_TOTALS) this.#totals(offset, metadata.fields);
  }

  #chunkMetadata(offset: number, fields: ReadonlyMap<string, string>): void {
    const chunk = this.#lastChunk;
    this.#lastChunk = undefined;
    const records = Number(fields.get('records'));
    if (!chunk) {
      if (Number.isSafeInteger(records)) this.#missing += records;
      if (!this.#faults.some((one) => one.offset < offset && offset - one.offset <= CHUNK_MAX_BYTES)) {
        this.#fault(offset, `the chunk before offset ${offset} is missing`);
      }
    } else if (
      records !== chunk.records ||
      fields.get('crc') !== hex8(chunk.crc) ||
      fields.get('chain') !== hex8(this.#chain)
    ) {
      this.#fault(
        chunk.offset,
        `the chunk at offset ${chunk.offset} is not the one that its own description at ${offset} tells of`,
      );
    }
    // From here on the file's own word counts, so that one missing chunk is one fault and not one for each that follows.
    const told = fields.get('chain');
    if (told && /^[0-9a-f]{8}$/.test(told)) this.#chain = Number.parseInt(told, 16);
  }

  #totals(offset: number, fields: ReadonlyMap<string, string>): void {
    this.#hasTotals = true;
    const records = Number(fields.get('records'));
    if (records !== this.index.end + this.#missing) {
      if (records > this.index.end) this.#missing = records - this.index.end;
      if (this.#faults.length === 0) {
        this.#fault(offset, `the file says that it holds ${records} records, and ${this.index.end} were found`);
      }
    } else if (fields.get('chain') !== hex8(this.#chain) && this.#faults.length === 0) {
      this.#fault(offset, 'the running hash over the chunks is not the one that the file tells');
    }
  }

  async #footer(end: number): Promise<void> {
    const magic = Uint8Array.from(MCAP_MAGIC);
    if (end + MAGIC_BYTES > this.size) return;
    const bytes = await this.#window.bytes(end, MAGIC_BYTES);
    this.#isComplete = bytes.every((byte, at) => byte === magic[at]);
    // A wrong length may have led past whole chunks, and past the totals that would tell.
    if (this.#isComplete && !this.#hasTotals) this.#fault(end, 'the file has an end, but not the totals before it');
  }

  #fault(offset: number, message: string): void {
    this.#faults.push({ offset, message });
  }

  /** Where the next chunk begins after a record that leads nowhere, by the index at the file's end; -1 for unknown. */
  async #resumeAfter(offset: number): Promise<number> {
    const chunks = await this.#chunkIndex();
    return chunks.find((one) => one > offset) ?? (chunks.length > 0 ? this.#summaryStart : -1);
  }

  #summaryStart = -1;
  #chunkOffsets: number[] | undefined;

  /** Offsets of all chunks by the summary; none where the file has no whole end. */
  async #chunkIndex(): Promise<number[]> {
    if (this.#chunkOffsets) return this.#chunkOffsets;
    this.#chunkOffsets = [];
    const footerAt = this.size - MAGIC_BYTES - FOOTER_BYTES;
    if (footerAt < MAGIC_BYTES) return this.#chunkOffsets;
    const footer = await this.#source.read(footerAt, FOOTER_BYTES + MAGIC_BYTES);
    const view = new DataView(footer.buffer, footer.byteOffset, footer.byteLength);
    const hasMagic = MCAP_MAGIC.every((byte, at) => footer[FOOTER_BYTES + at] === byte);
    const summaryStart = getUint64(view, 9);
    if (!hasMagic || footer[0] !== Opcode.FOOTER || summaryStart < MAGIC_BYTES || summaryStart > footerAt) {
      return this.#chunkOffsets;
    }
    if (footerAt - summaryStart > CHUNK_MAX_BYTES) return this.#chunkOffsets;
    this.#summaryStart = summaryStart;
    const summary = await this.#source.read(summaryStart, footerAt - summaryStart);
    this.#chunkOffsets = recordOffsetsOfChunkIndex(summary)
      .filter((one) => one >= MAGIC_BYTES && one < summaryStart)
      .sort((a, b) => a - b);
    return this.#chunkOffsets;
  }
}

function refuse(code: string, message: string, offset: number): SyncError {
  return new SyncError(code, message, { origin: 'capture', place: { offset } });
}

function readHeader(bytes: Uint8Array, offset: number): TraceHeader {
  const metadata = parseMetadata(bytes);
  const text = metadata?.name === METADATA_HEADER ? metadata.fields.get('header') : undefined;
  const isWhole = text !== undefined && metadata?.fields.get('crc') === hex8(crc32(new TextEncoder().encode(text)));
  if (!isWhole)
    throw refuse('CAPTURE_HEADER_DAMAGED', `the capture's description at offset ${offset} is damaged`, offset);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SyncError('CAPTURE_HEADER_DAMAGED', `the capture's description at offset ${offset} is not JSON`, {
      origin: 'capture',
      place: { offset },
      cause,
    });
  }
  const version =
    typeof value === 'object' && value !== null && 'traceVersion' in value ? value.traceVersion : undefined;
  if (typeof version === 'number' && version > TRACE_VERSION) {
    throw refuse(
      'CAPTURE_TOO_NEW',
      `the capture has trace version ${version}, this build reads up to ${TRACE_VERSION}: open it with a newer one`,
      offset,
    );
  }
  return traceHeaderSchema.parse(value, 'header');
}

const KNOWN_STARTS: ReadonlyArray<readonly [name: string, bytes: readonly number[]]> = [
  ['a JPEG image', [0xff, 0xd8, 0xff]],
  ['a PNG image', [0x89, 0x50, 0x4e, 0x47]],
  ['a GIF image', [0x47, 0x49, 0x46, 0x38]],
  ['a PDF document', [0x25, 0x50, 0x44, 0x46]],
  ['a ZIP archive', [0x50, 0x4b, 0x03, 0x04]],
  ['gzip data', [0x1f, 0x8b]],
  ['zstd data', [0x28, 0xb5, 0x2f, 0xfd]],
  ['an SQLite database', [0x53, 0x51, 0x4c, 0x69, 0x74, 0x65]],
  ['a program', [0x7f, 0x45, 0x4c, 0x46]],
  ['a pcapng capture', [0x0a, 0x0d, 0x0d, 0x0a]],
];

function describeBytes(bytes: Uint8Array): string {
  const known = KNOWN_STARTS.find(([, start]) => start.every((byte, at) => bytes[at] === byte));
  if (known) return known[0];
  const isText = bytes.every((byte) => byte === 9 || byte === 10 || byte === 13 || (byte >= 32 && byte < 127));
  if (isText) return `text that begins with ${JSON.stringify(String.fromCharCode(...bytes))}`;
  return `bytes ${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ')}`;
}
