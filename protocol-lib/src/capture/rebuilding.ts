import { isSyncError } from '../errors/index.ts';
import type { RecordKey, ReplicaId } from '../state/index.ts';
import type { OpenCapture, PlacedRecord } from './engine.ts';
import type { MarkerKind, StateAt, TimeRange } from './query.ts';

/**
 * A capture that answers by the index in its file, and where a page of that turns out to be damaged, makes
 * the index again from the records and answers by that. Who asks does not notice, but for the time.
 */
export class RebuildingCapture implements OpenCapture {
  #capture: OpenCapture;
  readonly #rebuild: () => Promise<OpenCapture>;
  #rebuilding: Promise<void> | undefined;

  constructor(capture: OpenCapture, rebuild: () => Promise<OpenCapture>) {
    this.#capture = capture;
    this.#rebuild = rebuild;
  }

  info() {
    return this.#ask((capture) => capture.info());
  }

  overview(range: TimeRange, buckets: number) {
    return this.#ask((capture) => capture.overview(range, buckets));
  }

  lanes(range: TimeRange, buckets: number, limit: number) {
    return this.#ask((capture) => capture.lanes(range, buckets, limit));
  }

  rows(filter: string, offset: number, limit: number, signal?: AbortSignal) {
    return this.#ask((capture) => capture.rows(filter, offset, limit, signal));
  }

  rowsSoFar(filter: string, offset: number, limit: number, signal?: AbortSignal) {
    return this.#ask((capture) => capture.rowsSoFar(filter, offset, limit, signal));
  }

  rowIndex(filter: string, position: number, signal?: AbortSignal) {
    return this.#ask((capture) => capture.rowIndex(filter, position, signal));
  }

  record(position: number) {
    return this.#ask((capture) => capture.record(position));
  }

  positionAt(time: number) {
    return this.#ask((capture) => capture.positionAt(time));
  }

  related(position: number) {
    return this.#ask((capture) => capture.related(position));
  }

  status(position: number) {
    return this.#ask((capture) => capture.status(position));
  }

  state(replica: ReplicaId, position: number, prefix: string, limit: number) {
    return this.#ask((capture) => capture.state(replica, position, prefix, limit));
  }

  history(replica: ReplicaId, key: RecordKey, field: string | undefined, position: number, limit: number) {
    return this.#ask((capture) => capture.history(replica, key, field, position, limit));
  }

  diff(left: StateAt, right: StateAt, limit: number) {
    return this.#ask((capture) => capture.diff(left, right, limit));
  }

  vectors(position: number) {
    return this.#ask((capture) => capture.vectors(position));
  }

  merkleDiff(left: StateAt, right: StateAt, limit: number) {
    return this.#ask((capture) => capture.merkleDiff(left, right, limit));
  }

  markers(range: TimeRange, limit: number) {
    return this.#ask((capture) => capture.markers(range, limit));
  }

  nextMarker(position: number, direction: 1 | -1, kind?: MarkerKind) {
    return this.#ask((capture) => capture.nextMarker(position, direction, kind));
  }

  explain(position: number) {
    return this.#ask((capture) => capture.explain(position));
  }

  async *trace(from = 0, to = Number.POSITIVE_INFINITY): AsyncGenerator<PlacedRecord> {
    let next = from;
    try {
      for await (const one of this.#capture.trace(from, to)) {
        next = one.position + 1;
        yield one;
      }
    } catch (error) {
      await this.#recover(error);
      yield* this.#capture.trace(next, to);
    }
  }

  close(): Promise<void> {
    return this.#capture.close();
  }

  async #ask<T>(question: (capture: OpenCapture) => Promise<T>): Promise<T> {
    await this.#rebuilding;
    try {
      return await question(this.#capture);
    } catch (error) {
      await this.#recover(error);
      return question(this.#capture);
    }
  }

  /** Throws what is not the index's fault. */
  async #recover(error: unknown): Promise<void> {
    if (!isSyncError(error) || error.code !== 'INDEX_DAMAGED') throw error;
    this.#rebuilding ??= this.#rebuild().then((capture) => {
      this.#capture = capture;
    });
    await this.#rebuilding;
  }
}
