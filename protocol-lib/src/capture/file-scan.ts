import { MCAP_MAGIC, Opcode } from '@mcap/core';
import { isSyncError } from '../errors/index.ts';
import type { ByteSource } from '../ports/index.ts';
import type { ReplicaId } from '../state/index.ts';
import { MAGIC_BYTES, RECORD_HEADER_BYTES, recordHead, refuse, SMALL_RECORD_MAX } from './capture-head.ts';
import { CaptureIndex } from './capture-index.ts';
import { CheckpointBuilder } from './checkpoint-builder.ts';
import type { Checkpoint } from './checkpoints.ts';
import { forEachRecord, getUint64 } from './chunk.ts';
import { type ChunkPlace, unpackChunk } from './chunk-place.ts';
import { CHUNK_MAX_BYTES, portableZstd, type ZstdDecompress } from './compression.ts';
import { hex8 } from './crc32.ts';
import { IndexBuilder } from './index-builder.ts';
import { chainHash, METADATA_CHUNK, METADATA_TOTALS } from './mcap-framing.ts';
import { parseChunkHead, parseMetadata, recordOffsetsOfChunkIndex } from './mcap-parse.ts';
import { checkAborted } from './rows.ts';
import { SourceWindow } from './source-window.ts';

export const FOOTER_BYTES = 29;
/** States that are kept of those worked out on the way. */
const CHECKPOINTS_MAX = 2_048;

export interface ScanOptions {
  /** Told after each chunk how many of how many bytes are done. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
  readonly decompressZstd?: ZstdDecompress;
  /** Awaited between chunks. */
  readonly pause?: () => Promise<void>;
}

/** Reads a file from front to back and makes its index, leaving out what is damaged. */
export class FileScan {
  readonly size: number;
  readonly chunks: ChunkPlace[] = [];
  readonly index: CaptureIndex;
  readonly #indexing: IndexBuilder;
  readonly #from: number;
  readonly #source: ByteSource;
  readonly #window: SourceWindow;
  readonly #options: ScanOptions;
  readonly #faults: { readonly offset: number; readonly message: string }[] = [];
  /** Records that the file's own counts say were left out. */
  #missing = 0;
  #chain = 0;
  /** CRC and records of the chunk read last, for the metadata record that follows it. */
  #lastChunk: { readonly crc: number; readonly records: number; readonly offset: number } | undefined;
  #isComplete = false;
  #hasTotals = false;
  #endedAt = 0;

  /** Begins at `from`, behind the description. */
  constructor(source: ByteSource, size: number, authority: ReplicaId | null, from: number, options: ScanOptions) {
    this.#source = source;
    this.size = size;
    this.#from = from;
    this.index = new CaptureIndex(authority);
    this.#indexing = new IndexBuilder(this.index, new CheckpointBuilder((...state) => this.#keepCheckpoint(...state)));
    this.#options = options;
    this.#window = new SourceWindow(source, size);
  }

  /** States share what they have in common, so that many take little. */
  #keepCheckpoint(replica: number, position: number, { version, root }: Checkpoint): void {
    const { checkpoints } = this.index;
    if (checkpoints.size >= CHECKPOINTS_MAX) checkpoints.thin();
    checkpoints.add(replica, position, () => ({ version, root }));
  }

  async run(): Promise<void> {
    let offset = this.#from;
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

  /** Takes the record at `offset` and returns where the next one is; -1 where there is no way on. */
  async #record(offset: number): Promise<number> {
    const { opcode, length, isWhole } = await recordHead(this.#window, this.size, offset);
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
    forEachRecord(payload, (offset, length) => {
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
