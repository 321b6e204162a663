import type { ByteSink } from '../ports/index.ts';
import type { TraceHeader } from '../trace/index.ts';
import { ChunkBuilder, RECORD_PREFIX_BYTES } from './chunk.ts';
import { type Compression, noCompression } from './compression.ts';
import { INDEX_MEDIA_TYPE, INDEX_NAME, PAGES_MEDIA_TYPE, PAGES_NAME } from './index-manifest.ts';
import { IndexWriter } from './index-writer.ts';
import { McapFraming } from './mcap-framing.ts';

export const CHUNK_TARGET_BYTES = 256 * 1024;
const CHUNK_TARGET_NANOSECONDS = 1_000_000_000;

export interface CaptureWriterOptions {
  /** Default: none. */
  readonly compression?: Compression;
  /** False leaves the index out; opening such a file reads all of it. Default: true. */
  readonly hasIndex?: boolean;
}

/**
 * Writes a capture as it happens: an MCAP file of chunks of at most 256 KiB or 1 s of trace time. It has
 * no clock, so whoever drives it calls {@link flush} at least once a second; what a crash costs is then
 * at most what came since. A failed write rejects every later {@link flush} and {@link end}.
 */
export class CaptureWriter {
  readonly #sink: ByteSink;
  readonly #builder = new ChunkBuilder();
  readonly #framing: McapFraming;
  readonly #index: IndexWriter | undefined;
  #written: Promise<void> = Promise.resolve();
  #queued = 0;
  #records = 0;
  #isEnded = false;

  constructor(sink: ByteSink, header: TraceHeader, options: CaptureWriterOptions = {}) {
    this.#sink = sink;
    const compression = options.compression ?? noCompression;
    this.#framing = new McapFraming(compression);
    this.#index = options.hasIndex === false ? undefined : new IndexWriter(header.authority, compression);
    this.#write(this.#framing.start(header));
  }

  /** Records appended so far. */
  get records(): number {
    return this.#records;
  }

  /** Bytes of the file so far, without the chunk that is being filled. */
  get size(): number {
    return this.#framing.size;
  }

  /** Bytes that the sink has not taken yet; a driver may hold back while it is large. */
  get queued(): number {
    return this.#queued;
  }

  /**
   * Appends one encoded trace record. Nothing waits.
   * @throws SyncError `RECORD_MALFORMED`, and then nothing was appended
   */
  append(record: Uint8Array): void {
    if (this.#isEnded) throw new TypeError('the capture has ended');
    const builder = this.#builder;
    if (builder.records > 0 && builder.length + RECORD_PREFIX_BYTES + record.length > CHUNK_TARGET_BYTES) this.#seal();
    if (this.#index) {
      const { seq, time } = this.#index.append(record, builder.records === 0);
      this.#index.place(builder.appendRead(record, seq, time));
    } else builder.append(record);
    this.#records++;
    if (builder.length >= CHUNK_TARGET_BYTES || builder.duration >= CHUNK_TARGET_NANOSECONDS) this.#seal();
  }

  /** Closes the chunk and makes everything so far durable, as far as the sink can. */
  async flush(): Promise<void> {
    this.#seal();
    await this.#written;
    await this.#sink.flush();
  }

  /** Writes the summary and closes the sink. */
  async end(): Promise<void> {
    if (this.#isEnded) return this.#written;
    this.#isEnded = true;
    this.#seal();
    this.#writeIndex();
    this.#write(this.#framing.end());
    await this.#written;
    await this.#sink.flush();
    await this.#sink.close();
  }

  #seal(): void {
    if (this.#builder.records === 0) return;
    this.#write(this.#framing.chunk(this.#builder.view()));
    this.#builder.clear();
    this.#index?.chunkWritten(this.#framing.placed!);
    this.#writePages(false);
  }

  #writePages(isEnd: boolean): void {
    const pages = this.#index?.takePages(isEnd);
    if (!pages) return;
    const { bytes, dataOffset } = this.#framing.attachment(PAGES_NAME, PAGES_MEDIA_TYPE, pages.bytes);
    pages.settle(dataOffset);
    this.#write(bytes);
  }

  /** The list of contents stands right before the totals, so that both are read at once. */
  #writeIndex(): void {
    if (!this.#index) return;
    this.#writePages(true);
    const manifest = this.#index.manifest(this.#framing.chain);
    this.#write(this.#framing.attachment(INDEX_NAME, INDEX_MEDIA_TYPE, manifest).bytes);
  }

  #write(bytes: Uint8Array): void {
    this.#queued += bytes.length;
    this.#written = this.#written.then(async () => {
      await this.#sink.write(bytes);
      this.#queued -= bytes.length;
    });
    // The failure is kept in the chain and told by the next flush; it must not also be an unhandled rejection.
    this.#written.catch(() => {});
  }
}
