import type { ReplicaId } from '../state/index.ts';
import { CaptureIndex } from './capture-index.ts';
import { CheckpointBuilder } from './checkpoint-builder.ts';
import { CheckpointWriter } from './checkpoint-writer.ts';
import { PAGE_RECORDS, slotOf } from './columns.ts';
import type { Compression } from './compression.ts';
import { crc32 } from './crc32.ts';
import { type BlobRef, flatRefs, packBlob } from './index-blobs.ts';
import { IndexBuilder } from './index-builder.ts';
import { allLists, SEARCHED_WHILE_GROWING } from './index-lists.ts';
import { encodeManifest, INDEX_SIZES, INDEX_VERSION, numbers } from './index-manifest.ts';
import { encodeColumnPage, encodeListPage } from './index-pages.ts';
import type { IntegerList } from './integer-list.ts';
import type { PlacedChunk } from './mcap-framing.ts';
import { BlockWriter } from './number-block.ts';

/** Pages stay so long after the one that is being filled, for receipts that come later than what they answer. */
const PAGES_KEPT = 4;
/** Bytes of pages that are worth an attachment of their own. */
const ATTACH_BYTES = 256 * 1024;

/**
 * Makes the index of a capture while it is written. Pages go into the file as soon as they are full, so
 * that a recording of any length takes the same memory, about; the list of contents comes at the end.
 */
export class IndexWriter {
  readonly #index: CaptureIndex;
  readonly #builder: IndexBuilder;
  readonly #compression: Compression;
  readonly #chunks: PlacedChunk[] = [];
  readonly #pages: BlobRef[] = [];
  readonly #lists = new Map<IntegerList, BlobRef[]>();
  readonly #latePartners: number[] = [];
  readonly #checkpoints = new CheckpointWriter((bytes, refs) => this.#wait(bytes, refs));
  /** Pages that wait for an attachment, and who wants to know where they came to be. */
  #waiting: { readonly blob: Uint8Array; readonly refs: BlobRef[] }[] = [];
  #waitingBytes = 0;

  constructor(authority: ReplicaId | null, compression: Compression) {
    this.#compression = compression;
    this.#index = new CaptureIndex(authority);
    this.#builder = new IndexBuilder(
      this.#index,
      new CheckpointBuilder((replica, position, state) => this.#checkpoints.take(replica, position, state)),
      (position, partner) => this.#latePartners.push(position, partner),
    );
  }

  /** Takes a record, and tells what its head says, good until the next. @throws SyncError `RECORD_MALFORMED`, and then nothing was taken */
  append(record: Uint8Array, isFirstOfChunk: boolean): { readonly seq: number; readonly time: number } {
    if (isFirstOfChunk) {
      this.#builder.check(record);
      this.#index.beginChunk();
    }
    return this.#builder.append(record, 0, record.length);
  }

  /** Says where in its chunk's payload the record taken last lies. */
  place(offset: number): void {
    const position = this.#index.end - 1;
    this.#index.columns.page(position).offset[slotOf(position)] = offset;
  }

  chunkWritten(chunk: PlacedChunk): void {
    this.#chunks.push(chunk);
    this.#sealPages();
  }

  /** What is ready to be written as an attachment, and where in the file it will begin; undefined for not enough yet. */
  takePages(isEnd: boolean): { readonly bytes: Uint8Array; settle(offset: number): void } | undefined {
    if (isEnd) this.#sealRest();
    if (this.#waiting.length === 0 || (!isEnd && this.#waitingBytes < ATTACH_BYTES)) return undefined;
    const waiting = this.#waiting;
    const bytes = new Uint8Array(this.#waitingBytes);
    let length = 0;
    for (const { blob } of waiting) {
      bytes.set(blob, length);
      length += blob.length;
    }
    this.#waiting = [];
    this.#waitingBytes = 0;
    return {
      bytes,
      settle(offset) {
        let at = offset;
        for (const { blob, refs } of waiting) {
          refs.push({ offset: at, length: blob.length, crc: crc32(blob) });
          at += blob.length;
        }
      },
    };
  }

  /** The list of contents, after all pages have their place. */
  manifest(chain: number): Uint8Array {
    const index = this.#index;
    const chunks = this.#chunks;
    return encodeManifest({
      version: INDEX_VERSION,
      sizes: [...INDEX_SIZES],
      records: index.end,
      chain,
      replicaNames: [...index.replicaNames.texts],
      typeNames: [...index.typeNames.texts],
      lost: index.lost,
      firstVersion: index.firstVersion,
      lastVersion: index.lastVersion,
      maxLatency: index.maxLatency,
      kinds: numbers(index.kindCounts),
      links: numbers(index.links.figures()),
      latePartners: numbers(this.#latePartners),
      chunks: new BlockWriter()
        .numbers(chunks.map((one) => one.offset))
        .numbers(chunks.map((one) => one.dataLength))
        .numbers(chunks.map((one) => one.size))
        .numbers(chunks.map((one) => one.crc))
        .numbers(chunks.map((one) => one.records))
        .numbers(chunks.map((one) => (one.isCompressed ? 1 : 0)))
        .take(),
      checkpoints: numbers(this.#checkpoints.figures()),
      pages: numbers(flatRefs(this.#pages)),
      lists: allLists(index)
        .filter(([, list]) => list.length > 0)
        .map(([name, list]) => ({
          name,
          length: list.length,
          firsts: numbers(list.firsts),
          pages: numbers(flatRefs(this.#lists.get(list) ?? [])),
        })),
      replicas: index.replicas.flatMap((one, number) =>
        one
          ? {
              number,
              introducedAt: one.introducedAt,
              first: one.first,
              last: one.last,
              records: one.records,
              drifts: numbers(
                one.drifts.flatMap((drift) => [
                  drift.start,
                  drift.version,
                  drift.divergence,
                  drift.snapshot,
                  drift.end,
                ]),
              ),
            }
          : [],
      ),
    });
  }

  #sealPages(): void {
    const whole = Math.floor(this.#index.end / PAGE_RECORDS);
    while (this.#sealed < whole - PAGES_KEPT) this.#sealPage();
    // Looked at once a page of records: there may be hundreds of lists.
    if (whole === this.#listsAt) return;
    this.#listsAt = whole;
    for (const [name, list] of allLists(this.#index)) this.#sealList(name, list, list.fullPages);
  }

  #sealed = 0;
  #listsAt = 0;
  readonly #listsSealed = new Map<IntegerList, number>();

  #sealRest(): void {
    while (this.#sealed * PAGE_RECORDS < this.#index.end) this.#sealPage();
    for (const [name, list] of allLists(this.#index)) this.#sealList(name, list, list.firsts.length);
  }

  #sealPage(): void {
    const first = this.#sealed * PAGE_RECORDS;
    const { columns } = this.#index;
    const count = Math.min(PAGE_RECORDS, columns.end - first);
    this.#wait(encodeColumnPage(columns.page(first), count, first), this.#pages);
    columns.recycle(this.#sealed);
    this.#sealed++;
  }

  #sealList(name: string, list: IntegerList, until: number): void {
    const from = this.#listsSealed.get(list) ?? 0;
    if (from >= until) return;
    let refs = this.#lists.get(list);
    if (!refs) {
      refs = [];
      this.#lists.set(list, refs);
    }
    for (let page = from; page < until; page++) {
      this.#wait(encodeListPage(list.valuesOf(page)), refs);
      if (!SEARCHED_WHILE_GROWING.has(name)) list.release(page);
    }
    this.#listsSealed.set(list, until);
  }

  #wait(bytes: Uint8Array, refs: BlobRef[]): void {
    const blob = packBlob(bytes, this.#compression);
    this.#waiting.push({ blob, refs });
    this.#waitingBytes += blob.length;
  }
}
