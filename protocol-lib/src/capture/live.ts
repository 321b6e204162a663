import type { RecordKey, ReplicaId } from '../state/index.ts';
import type { TraceHeader, TraceRecord } from '../trace/index.ts';
import { CaptureIndex } from './capture-index.ts';
import { ChunkBuilder, RECORD_PREFIX_BYTES, type SealedChunk } from './chunk.ts';
import { type Compression, noCompression } from './compression.ts';
import { CaptureEngine, type OpenCapture, type PlacedRecord } from './engine.ts';
import { IndexBuilder } from './index-builder.ts';
import { join, McapFraming } from './mcap-framing.ts';
import type { GrowingCapture, MarkerKind, StateAt, TimeRange } from './query.ts';
import { encodeTraceRecord } from './record-codec.ts';
import { vectorsAt } from './vectors.ts';
import { CHUNK_TARGET_BYTES } from './writer.ts';

const DEFAULT_MAX_BYTES = 256 * 1024 * 1024;
/** How much goes at once when there is too much. */
const DROP_TO = 0.85;
/** Where time is bounded, how much of it a chunk has at most. */
const CHUNK_AGE = 1 / 16;

export interface LiveCaptureOptions {
  /** Bytes of records and index kept at most, about; the oldest chunks go first. Default 256 MiB. */
  readonly maxBytes?: number;
  /** Nanoseconds of trace time that are kept at least, and not much more; the oldest chunks go first. Default: all. */
  readonly maxAge?: number;
  /** Of what {@link LiveCapture.save} gives. Default: none. */
  readonly compression?: Compression;
  /** Calls its argument once, soon: an animation frame, a timer. Default: at once. */
  readonly schedule?: (run: () => void) => void;
  /** Awaited between parts of long scans, so that others get their turn. Default: nothing. */
  readonly pause?: () => Promise<void>;
}

type GrowListener = (info: { readonly records: number; readonly range: TimeRange }) => void;

/**
 * A capture in memory that still grows, as one attached to a session does. It answers what a file of the
 * same records would. Where it would grow beyond its bound the oldest chunks are dropped and counted as
 * lost; the states before the first record kept are remembered, so that every position that remains can
 * be answered, and positions stay what they were.
 */
export class LiveCapture implements GrowingCapture, OpenCapture {
  readonly #header: TraceHeader;
  readonly #compression: Compression;
  readonly #maxBytes: number;
  readonly #maxAge: number;
  readonly #schedule: (run: () => void) => void;
  readonly #index: CaptureIndex;
  readonly #indexing: IndexBuilder;
  readonly #engine: CaptureEngine;
  readonly #builder = new ChunkBuilder();
  readonly #sealed = new Map<number, SealedChunk>();
  /** Chunks with which a segment begins, ascending. */
  #segments: number[] = [];
  readonly #listeners = new Set<GrowListener>();
  /** Number of the chunk that is being filled. */
  #current = -1;
  #sealedBytes = 0;
  #size = 0;
  #isScheduled = false;
  #isDropping = false;

  constructor(header: TraceHeader, options: LiveCaptureOptions = {}) {
    this.#header = header;
    this.#compression = options.compression ?? noCompression;
    this.#maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
    this.#maxAge = options.maxAge ?? Number.POSITIVE_INFINITY;
    this.#schedule = options.schedule ?? ((run) => run());
    this.#index = new CaptureIndex(header.authority);
    this.#indexing = new IndexBuilder(this.#index);
    const store = { payload: (chunk: number) => this.#payload(chunk), close: () => this.#listeners.clear() };
    const facts = { header, isGrowing: true, size: () => this.#size };
    this.#engine = new CaptureEngine(this.#index, store, facts, options.pause ?? (() => Promise.resolve()));
  }

  get header(): TraceHeader {
    return this.#header;
  }

  /** Records so far, those dropped included. */
  get records(): number {
    return this.#index.end;
  }

  /** Records that are still there. */
  get kept(): number {
    return this.#index.end - this.#index.start;
  }

  /**
   * Appends one encoded trace record.
   * @throws SyncError `RECORD_MALFORMED`, and then nothing was appended
   */
  append(record: Uint8Array): void {
    const builder = this.#builder;
    const isFull =
      builder.length + RECORD_PREFIX_BYTES + record.length > CHUNK_TARGET_BYTES ||
      builder.duration > this.#maxAge * CHUNK_AGE;
    if (builder.records > 0 && isFull) this.#seal();
    this.#indexing.check(record);
    const isNewChunk = builder.records === 0;
    const offset = builder.append(record);
    if (isNewChunk) {
      this.#index.beginChunk();
      this.#current++;
    }
    this.#indexing.append(builder.payload, offset, record.length);
    this.#size += RECORD_PREFIX_BYTES + record.length;
    this.#announce();
  }

  /**
   * From here on a reader could begin, as where all replicas tell where they stand. As long as there is room, what is dropped ends before such a place.
   */
  beginSegment(): void {
    if (this.#builder.records > 0) this.#seal();
    this.#segments.push(this.#current + 1);
  }

  onGrow(listener: GrowListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** All that is kept, as a complete capture file. */
  save(header: TraceHeader = this.#header): Uint8Array {
    const framing = new McapFraming(this.#compression);
    const parts = [framing.start(header)];
    const preface = this.#preface();
    if (preface) parts.push(framing.chunk(preface));
    for (const chunk of this.#sealed.values()) parts.push(framing.chunk(chunk));
    if (this.#builder.records > 0) parts.push(framing.chunk(this.#builder.view()));
    parts.push(framing.end());
    return join(parts);
  }

  #payload(chunk: number): Uint8Array {
    // A reader that comes too late checks the position again after this, and says that it was dropped.
    return chunk === this.#current ? this.#builder.payload : (this.#sealed.get(chunk)?.payload ?? new Uint8Array(0));
  }

  #seal(): void {
    const sealed = this.#builder.seal();
    this.#sealed.set(this.#current, sealed);
    this.#sealedBytes += sealed.payload.length;
    if (this.#isDropping || (this.#bytes <= this.#maxBytes && !this.#isTooOld(sealed.endTime))) return;
    // Where the states before the cut cannot be worked out nothing is dropped, and the next full chunk tries again.
    this.#drop().catch(() => {});
  }

  get #bytes(): number {
    return this.#sealedBytes + this.#builder.length + this.#index.columns.bytes;
  }

  /** Whether the oldest chunk ended longer ago than need be, by enough to be worth dropping. */
  #isTooOld(now: number): boolean {
    const [oldest] = this.#sealed.values();
    return oldest !== undefined && now - oldest.endTime > this.#maxAge * (1 + 2 * CHUNK_AGE);
  }

  async #drop(): Promise<void> {
    this.#isDropping = true;
    try {
      const until = this.#chunkToKeepFrom();
      const position = this.#index.chunks.at(until);
      if (position <= this.#index.start) return;
      const folds = await this.#engine.folds.prepareDrop(position);
      const names = await this.#engine.names.prepareDrop(position);
      const vectors = await vectorsAt(this.#index, this.#engine.records, position - 1);
      folds();
      names();
      for (const { replica, vector } of vectors.vectors) {
        const one = this.#index.replicaOf(replica);
        if (one && vector.length > 0) one.vectorAtStart = vector;
      }
      this.#index.dropBelow(position);
      this.#segments = this.#segments.filter((chunk) => chunk >= until);
      for (const [chunk, sealed] of this.#sealed) {
        if (chunk >= until) break;
        this.#sealed.delete(chunk);
        this.#sealedBytes -= sealed.payload.length;
      }
    } finally {
      this.#isDropping = false;
    }
  }

  /** The first chunk that stays when the oldest go: what is too much goes; what is only too old stays with what is not, up to where a segment begins. */
  #chunkToKeepFrom(): number {
    const perRecord = this.#index.columns.bytes / Math.max(1, this.#index.end - this.#index.start);
    const now = this.#index.timeAt(this.#index.end - 1);
    let excess = this.#bytes > this.#maxBytes ? this.#bytes - this.#maxBytes * DROP_TO : 0;
    let large = this.#current;
    let old = this.#current;
    for (const [chunk, sealed] of this.#sealed) {
      if (excess <= 0) large = Math.min(large, chunk);
      if (now - sealed.endTime <= this.#maxAge) old = Math.min(old, chunk);
      excess -= sealed.payload.length + sealed.records * perRecord;
    }
    return this.#segments.findLast((chunk) => chunk <= old && chunk >= large) ?? Math.max(large, old);
  }

  /** What the dropped records had told, as records of their own: who is there, the names, the states, and the gap. */
  #preface(): SealedChunk | undefined {
    const index = this.#index;
    if (index.start === 0 || index.end === index.start) return undefined;
    const firstSeq = index.seqAt(index.start);
    const time = index.timeAt(index.start);
    const bodies: { replica: ReplicaId; body: TraceRecord['body'] }[] = [];
    for (const replica of index.knownReplicas()) {
      if (replica.first >= index.start) continue;
      const { role, title } = replica.introduction ?? { role: replica.role, title: undefined };
      bodies.push({ replica: replica.id, body: { kind: 'replica', role, ...(title ? { title } : {}) } });
      for (const [sender, names] of this.#engine.names.dropped.entries()) {
        if (sender === replica.id)
          bodies.push({ replica: sender, body: { kind: 'names', sender, first: 0, names: [...names] } });
      }
      const { version, root, unknown } = this.#engine.folds.baseOf(replica);
      if (unknown !== undefined) continue;
      const records = Array.from(root.entries(), ([key, record]) => ({ key, record }));
      const vector = [...(replica.vectorAtStart ?? [])];
      bodies.push({
        replica: replica.id,
        body: { kind: 'snapshot', reason: 'checkpoint', version, records, root: root.hash, vector },
      });
    }
    const witness = index.nameOf(index.columns.replica(index.start));
    bodies.unshift({
      replica: witness,
      body: { kind: 'gap', count: index.start, reason: 'the oldest records were dropped to bound memory' },
    });
    const builder = new ChunkBuilder();
    const seq = Math.max(1, firstSeq - bodies.length);
    for (const [at, { replica, body }] of bodies.entries()) {
      builder.append(encodeTraceRecord({ seq: seq + at, time, replica, cause: [], body }));
    }
    return builder.seal();
  }

  #announce(): void {
    if (this.#listeners.size === 0 || this.#isScheduled) return;
    this.#isScheduled = true;
    this.#schedule(() => {
      this.#isScheduled = false;
      const { start, end } = this.#index;
      const range = { from: this.#index.timeAt(start), to: this.#index.timeAt(end - 1) };
      for (const listener of this.#listeners) listener({ records: end, range });
    });
  }

  info() {
    return this.#engine.info();
  }

  overview(range: TimeRange, buckets: number) {
    return this.#engine.overview(range, buckets);
  }

  lanes(range: TimeRange, buckets: number, limit: number) {
    return this.#engine.lanes(range, buckets, limit);
  }

  rows(filter: string, offset: number, limit: number, signal?: AbortSignal) {
    return this.#engine.rows(filter, offset, limit, signal);
  }

  rowsSoFar(filter: string, offset: number, limit: number, signal?: AbortSignal) {
    return this.#engine.rowsSoFar(filter, offset, limit, signal);
  }

  rowIndex(filter: string, position: number, signal?: AbortSignal) {
    return this.#engine.rowIndex(filter, position, signal);
  }

  record(position: number) {
    return this.#engine.record(position);
  }

  positionAt(time: number) {
    return this.#engine.positionAt(time);
  }

  related(position: number) {
    return this.#engine.related(position);
  }

  status(position: number) {
    return this.#engine.status(position);
  }

  state(replica: ReplicaId, position: number, prefix: string, limit: number) {
    return this.#engine.state(replica, position, prefix, limit);
  }

  history(replica: ReplicaId, key: RecordKey, field: string | undefined, position: number, limit: number) {
    return this.#engine.history(replica, key, field, position, limit);
  }

  diff(left: StateAt, right: StateAt, limit: number) {
    return this.#engine.diff(left, right, limit);
  }

  vectors(position: number) {
    return this.#engine.vectors(position);
  }

  merkleDiff(left: StateAt, right: StateAt, limit: number) {
    return this.#engine.merkleDiff(left, right, limit);
  }

  markers(range: TimeRange, limit: number) {
    return this.#engine.markers(range, limit);
  }

  nextMarker(position: number, direction: 1 | -1, kind?: MarkerKind) {
    return this.#engine.nextMarker(position, direction, kind);
  }

  explain(position: number) {
    return this.#engine.explain(position);
  }

  trace(from?: number, to?: number): AsyncIterable<PlacedRecord> {
    return this.#engine.trace(from, to);
  }

  close(): Promise<void> {
    return this.#engine.close();
  }
}
