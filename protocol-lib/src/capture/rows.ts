import { isSyncError, SyncError } from '../errors/index.ts';
import type { TraceBody } from '../trace/index.ts';
import type { CaptureIndex } from './capture-index.ts';
import { messageAt } from './chunk.ts';
import { PAGE_RECORDS, pageEnd } from './columns.ts';
import { MsgpackCursor } from './cursor.ts';
import { type CompiledFilter, compileFilter, type FilterSource, VERDICT } from './filter.ts';
import { FLAG, SEVERITIES } from './flags.ts';
import { IntegerList } from './integer-list.ts';
import type { Row, RowsPage } from './query.ts';
import { decodeTraceRecord, unpackTraceBody } from './record-codec.ts';
import type { ChunkStore, RecordReader } from './store.ts';
import { summarize } from './summary.ts';

const KEPT_FILTERS = 8;
const MAX_PAGE = 10_000;

/** The positions that pass one filter, found as far as the capture has been looked through. */
interface Passing {
  readonly filter: CompiledFilter;
  readonly positions: IntegerList;
  scannedTo: number;
  /** One scan at a time; others wait for it. */
  scan: Promise<void>;
}

/** The stream table: rows by filter and window. */
export class Rows {
  readonly #index: CaptureIndex;
  readonly #store: ChunkStore;
  readonly #records: RecordReader;
  readonly #pause: () => Promise<void>;
  readonly #valueSteps: FilterSource['valueSteps'];
  readonly #kept = new Map<string, Passing>();
  readonly #cursor = new MsgpackCursor();

  /** `pause` is awaited between chunks of a long scan, so that a caller can be heard in between. */
  constructor(
    index: CaptureIndex,
    store: ChunkStore,
    records: RecordReader,
    pause: () => Promise<void>,
    valueSteps: FilterSource['valueSteps'],
  ) {
    this.#valueSteps = valueSteps;
    this.#index = index;
    this.#store = store;
    this.#records = records;
    this.#pause = pause;
  }

  async page(filter: string, offset: number, limit: number, signal: AbortSignal | undefined): Promise<RowsPage> {
    const from = Math.max(0, Math.floor(offset));
    const count = Math.max(0, Math.min(MAX_PAGE, Math.floor(limit)));
    const passing = await this.#passing(filter, signal);
    const total = passing ? passing.positions.length : this.#index.end - this.#index.start;
    const rows: Row[] = [];
    for (let at = from; at < Math.min(from + count, total); at++) {
      rows.push(await this.row(passing ? passing.positions.at(at) : this.#index.start + at));
    }
    return { rows, offset: from, total };
  }

  async indexOf(filter: string, position: number, signal: AbortSignal | undefined): Promise<number> {
    const passing = await this.#passing(filter, signal);
    if (passing) return passing.positions.countBelow(position);
    return Math.max(0, Math.min(position, this.#index.end) - this.#index.start);
  }

  /** The row of a record; one that cannot be read says why. */
  async row(position: number): Promise<Row> {
    const index = this.#index;
    const { columns } = index;
    const row = {
      position,
      seq: index.seqAt(position),
      time: columns.time(position),
      replica: index.nameOf(columns.replica(position)),
      kind: index.kindAt(position),
      bytes: columns.frame(position),
      severity: SEVERITIES[columns.flags(position) & FLAG.severity]!,
    };
    try {
      return { ...row, summary: summarize(await this.#records.read(position), index, position) };
    } catch (error) {
      if (isIndexDamaged(error)) throw error;
      return { ...row, summary: `unreadable: ${error instanceof Error ? error.message : error}`, severity: 'error' };
    }
  }

  /** Undefined where every row passes. */
  async #passing(text: string, signal: AbortSignal | undefined): Promise<Passing | undefined> {
    const key = text.trim();
    if (key === '') return undefined;
    let passing = this.#kept.get(key);
    this.#kept.delete(key);
    passing ??= {
      filter: compileFilter(text, { index: this.#index, valueSteps: this.#valueSteps }),
      positions: new IntegerList(),
      scannedTo: this.#index.start,
      scan: Promise.resolve(),
    };
    this.#kept.set(key, passing);
    if (this.#kept.size > KEPT_FILTERS) this.#kept.delete(this.#kept.keys().next().value!);
    const one = passing;
    const scan = one.scan.catch(() => {}).then(() => this.#scan(one, signal));
    one.scan = scan;
    await scan;
    one.positions.dropBelow(this.#index.start);
    return one;
  }

  async #scan(passing: Passing, signal: AbortSignal | undefined): Promise<void> {
    const index = this.#index;
    const { filter } = passing;
    passing.scannedTo = Math.max(passing.scannedTo, index.start);
    const end = index.end;
    await filter.prepare(end);
    const verdicts = new Uint8Array(PAGE_RECORDS);
    while (passing.scannedTo < end) {
      checkAborted(signal);
      const from = Math.max(passing.scannedTo, index.start);
      const to = Math.min(end, pageEnd(from));
      filter.judge(from, to - from, verdicts);
      await this.#take(passing, from, to, verdicts, signal);
      passing.scannedTo = to;
    }
  }

  /** Takes the positions that pass among those judged; where the columns leave it open, the records say. */
  async #take(
    { filter, positions }: Passing,
    from: number,
    to: number,
    verdicts: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const found: number[] = [];
    let chunk = -1;
    let chunkEnd = from;
    let payload: Uint8Array | undefined;
    for (let position = from; position < to; position++) {
      const verdict = verdicts[position - from];
      if (verdict === VERDICT.no) continue;
      if (verdict === VERDICT.maybe) {
        // A growing capture may have dropped it while others were asked.
        if (position < this.#index.start) continue;
        if (position >= chunkEnd) {
          if (payload) await this.#pause();
          checkAborted(signal);
          chunk = this.#index.chunkOf(position);
          chunkEnd = chunk + 1 < this.#index.chunks.length ? this.#index.chunks.at(chunk + 1) : to;
          payload = await this.#store.payload(chunk);
        }
        if (!this.#passes(filter, payload!, position)) continue;
      }
      found.push(position);
    }
    // Only now, so that a scan that is stopped takes up where this page began.
    for (const position of found) positions.push(position);
    if (payload) await this.#pause();
  }

  #passes(filter: CompiledFilter, payload: Uint8Array, position: number): boolean {
    const index = this.#index;
    if (position < index.start) return false;
    try {
      const bytes = messageAt(payload, index.columns.offset(position));
      const said = { body: unpackTraceBody(bytes, this.#cursor) as unknown as TraceBody };
      if (!filter.passes(said, () => summarize(said, index, position), position)) return false;
      // Most do not pass, so that only those that do are held against their schema.
      decodeTraceRecord(bytes);
      return true;
    } catch (error) {
      if (isIndexDamaged(error)) throw error;
      // Its row says that it is unreadable; it has no words to search.
      return false;
    }
  }
}

/** What is wrong with the index is no fault of the record: the capture makes another one and asks again. */
function isIndexDamaged(error: unknown): boolean {
  return isSyncError(error) && error.code === 'INDEX_DAMAGED';
}

export function checkAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted)
    throw new SyncError('ABORTED', 'the query was stopped by who asked', { origin: 'query', retry: 'now' });
}
