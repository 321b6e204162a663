import { SyncError } from '../errors/index.ts';
import type { TraceBodyOf, TraceKind, TraceRecord } from '../trace/index.ts';
import type { CaptureIndex } from './capture-index.ts';
import { recordAt } from './chunk.ts';
import { decodeTraceRecord } from './record-codec.ts';

/** The payloads of a capture's chunks, by number. A file reads and unpacks them, a live capture has them at hand. */
export interface ChunkStore {
  payload(chunk: number): Uint8Array | Promise<Uint8Array>;
  close(): void | Promise<void>;
}

/** Keeps the payloads used last, so that neighbouring records cost one read. */
export class CachedChunks implements ChunkStore {
  readonly #load: (chunk: number) => Promise<Uint8Array>;
  readonly #close: () => void | Promise<void>;
  readonly #capacity: number;
  readonly #kept = new Map<number, Promise<Uint8Array>>();

  constructor(load: (chunk: number) => Promise<Uint8Array>, close: () => void | Promise<void>, capacity = 48) {
    this.#load = load;
    this.#close = close;
    this.#capacity = capacity;
  }

  payload(chunk: number): Promise<Uint8Array> {
    const kept = this.#kept.get(chunk);
    this.#kept.delete(chunk);
    const payload = kept ?? this.#load(chunk);
    this.#kept.set(chunk, payload);
    if (!kept) {
      // A failed read must be tried again, not remembered.
      payload.catch(() => this.#kept.delete(chunk));
      if (this.#kept.size > this.#capacity) this.#kept.delete(this.#kept.keys().next().value!);
    }
    return payload;
  }

  close(): void | Promise<void> {
    this.#kept.clear();
    return this.#close();
  }
}

/** Reads whole records by position. */
export class RecordReader {
  readonly #index: CaptureIndex;
  readonly #store: ChunkStore;

  constructor(index: CaptureIndex, store: ChunkStore) {
    this.#index = index;
    this.#store = store;
  }

  /**
   * The record at a position, checked. It shares no memory with the chunk, so it may be handed on.
   * @throws SyncError `POSITION_OUT_OF_RANGE`, `POSITION_DROPPED`, `RECORD_UNEXPECTED`, or what decoding refuses
   */
  async read(position: number): Promise<TraceRecord> {
    const record = decodeTraceRecord(await this.bytes(position));
    const index = this.#index;
    // The index of a file is not made of the records that are read now, so the two are held against each other.
    const fits =
      record.seq === index.seqAt(position) &&
      record.body.kind === index.kindAt(position) &&
      record.replica === index.nameOf(index.columns.replica(position));
    if (fits) return record;
    throw new SyncError(
      'RECORD_UNEXPECTED',
      `the record at position ${position} is not the one that the index tells of`,
      {
        origin: 'capture',
      },
    );
  }

  /** As {@link read}, for a record that the index says is of this kind. */
  async readKind<K extends TraceKind>(position: number, kind: K): Promise<TraceRecord & { body: TraceBodyOf<K> }> {
    const record = await this.read(position);
    if (record.body.kind !== kind) {
      throw new SyncError('RECORD_MALFORMED', `record ${record.seq} is of kind ${record.body.kind}, not ${kind}`, {
        origin: 'capture',
      });
    }
    return record as TraceRecord & { body: TraceBodyOf<K> };
  }

  /** The bytes of the record at a position: a view of its chunk. */
  async bytes(position: number): Promise<Uint8Array> {
    const index = this.#index;
    checkPosition(index, position);
    const payload = await this.#store.payload(index.chunkOf(position));
    // A growing capture may have dropped it while the chunk was being fetched.
    checkPosition(index, position);
    return recordAt(payload, index.columns.offset(position));
  }
}

export function checkPosition(index: CaptureIndex, position: number): void {
  if (!Number.isSafeInteger(position) || position < 0 || position >= index.end) {
    throw new SyncError(
      'POSITION_OUT_OF_RANGE',
      `position ${position} is not in this capture of ${index.end} records`,
      {
        origin: 'query',
      },
    );
  }
  if (position < index.start) {
    throw new SyncError(
      'POSITION_DROPPED',
      `the record at position ${position} was dropped to bound memory; the oldest kept is at ${index.start}`,
      { origin: 'query' },
    );
  }
}
