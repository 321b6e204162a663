import { isSyncError, SyncError } from '../errors/index.ts';
import type { TraceBody } from '../trace/index.ts';
import type { CaptureIndex } from './capture-index.ts';
import { recordAt } from './chunk.ts';
import { PAGE_RECORDS, pageEnd } from './columns.ts';
import { MsgpackCursor } from './cursor.ts';
import { type CompiledFilter, compileFilter, type FilterSource, VERDICT } from './filter.ts';
import { FLAG, SEVERITIES } from './flags.ts';
import { IntegerList } from './integer-list.ts';
import type { Row, RowsPage, RowsSoFar } from './query.ts';
import { decodeTraceRecord, unpackTraceBody } from './record-codec.ts';
import type { ChunkStore, RecordReader } from './store.ts';
import { summarize } from './summary.ts';

const KEPT_FILTERS = 8;
const MAX_PAGE = 10_000;
/** How far one step of a search goes: records whose columns are judged, and records that are themselves asked. */
const STEP_JUDGED = 64 * PAGE_RECORDS;
const STEP_ASKED = 2 * PAGE_RECORDS;
/** The same where states are worked out first: so that it is told how far that has come. */
const STEP_PREPARED = PAGE_RECORDS;

/** The positions that pass one filter, found as far as the capture has been looked through. */
interface Passing {
  readonly filter: CompiledFilter;
  readonly positions: IntegerList;
  scannedTo: number;
  /** One step at a time; who comes meanwhile has the next one. */
  step: Promise<void>;
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

  /** `pause` is awaited between the chunks and the steps of a long scan, so that a caller can be heard in between. */
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
    const passing = this.#passing(filter);
    if (passing) await this.#look(passing, this.#index.end, signal);
    return this.#rowsOf(passing, offset, limit);
  }

  /** {@link page} after one step more, which ends early where it finds the rows that are asked for. */
  async soFar(filter: string, offset: number, limit: number, signal: AbortSignal | undefined): Promise<RowsSoFar> {
    const passing = this.#passing(filter);
    const of = this.#index.end;
    if (passing) {
      const wanted = Math.max(0, Math.floor(offset)) + countOf(limit);
      await this.#step(passing, of, signal, passing.positions.length < wanted ? wanted : Number.POSITIVE_INFINITY);
    }
    // Others may look further while the rows are read, so what is counted and how far that is are taken together.
    const looked = passing ? Math.min(of, passing.scannedTo) : of;
    return { ...(await this.#rowsOf(passing, offset, limit)), looked, of };
  }

  async indexOf(filter: string, position: number, signal: AbortSignal | undefined): Promise<number> {
    const until = Math.max(0, Math.min(position, this.#index.end));
    const passing = this.#passing(filter);
    if (!passing) return Math.max(0, until - this.#index.start);
    await this.#look(passing, until, signal);
    return passing.positions.countBelow(position);
  }

  async #rowsOf(passing: Passing | undefined, offset: number, limit: number): Promise<RowsPage> {
    passing?.positions.dropBelow(this.#index.start);
    const from = Math.max(0, Math.floor(offset));
    const total = passing ? passing.positions.length : this.#index.end - this.#index.start;
    const positions: number[] = [];
    for (let at = from; at < Math.min(from + countOf(limit), total); at++) {
      positions.push(passing ? passing.positions.at(at) : this.#index.start + at);
    }
    const rows: Row[] = [];
    // A growing capture may drop the oldest while others are read.
    for (const position of positions) if (position >= this.#index.start) rows.push(await this.row(position));
    return { rows, offset: from, total };
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
  #passing(text: string): Passing | undefined {
    const key = text.trim();
    if (key === '') return undefined;
    let passing = this.#kept.get(key);
    this.#kept.delete(key);
    passing ??= {
      filter: compileFilter(text, { index: this.#index, valueSteps: this.#valueSteps }),
      positions: new IntegerList(),
      scannedTo: this.#index.start,
      step: Promise.resolve(),
    };
    this.#kept.set(key, passing);
    if (this.#kept.size > KEPT_FILTERS) this.#kept.delete(this.#kept.keys().next().value!);
    return passing;
  }

  /** Looks through everything before `until`, with pauses in which others have their steps. */
  async #look(passing: Passing, until: number, signal: AbortSignal | undefined): Promise<void> {
    do {
      await this.#step(passing, until, signal, Number.POSITIVE_INFINITY);
      if (passing.scannedTo < until) await this.#pause();
    } while (passing.scannedTo < until);
    passing.positions.dropBelow(this.#index.start);
  }

  /** Looks a part further, up to `until` at most and not beyond the page in which the `wanted`-th passing record is found. */
  #step(passing: Passing, until: number, signal: AbortSignal | undefined, wanted: number): Promise<void> {
    const step = passing.step.catch(() => {}).then(() => this.#scan(passing, until, signal, wanted));
    passing.step = step;
    return step;
  }

  async #scan(passing: Passing, until: number, signal: AbortSignal | undefined, wanted: number): Promise<void> {
    const index = this.#index;
    const { filter, positions } = passing;
    passing.scannedTo = Math.max(passing.scannedTo, index.start);
    const verdicts = new Uint8Array(PAGE_RECORDS);
    const stop = Math.min(until, passing.scannedTo + (filter.isSlowToPrepare ? STEP_PREPARED : STEP_JUDGED));
    let asked = 0;
    checkAborted(signal);
    if (passing.scannedTo < stop) await filter.prepare(stop);
    while (passing.scannedTo < stop && asked < STEP_ASKED && positions.length < wanted) {
      checkAborted(signal);
      const from = Math.max(passing.scannedTo, index.start);
      const to = Math.min(stop, pageEnd(from));
      filter.judge(from, to - from, verdicts);
      asked += await this.#take(passing, from, to, verdicts, signal);
      passing.scannedTo = Math.max(from, to);
    }
  }

  /** Takes the positions that pass among those judged; where the columns leave it open, the records say. Answers how many those were. */
  async #take(
    { filter, positions }: Passing,
    from: number,
    to: number,
    verdicts: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    const found: number[] = [];
    let asked = 0;
    let chunk = -1;
    let chunkEnd = from;
    let payload: Uint8Array | undefined;
    for (let position = from; position < to; position++) {
      const verdict = verdicts[position - from];
      if (verdict === VERDICT.no) continue;
      if (verdict === VERDICT.maybe) {
        // A growing capture may have dropped it while others were asked.
        if (position < this.#index.start) continue;
        asked++;
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
    return asked;
  }

  #passes(filter: CompiledFilter, payload: Uint8Array, position: number): boolean {
    const index = this.#index;
    if (position < index.start) return false;
    try {
      const bytes = recordAt(payload, index.columns.offset(position));
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

function countOf(limit: number): number {
  return Math.max(0, Math.min(MAX_PAGE, Math.floor(limit)));
}

/** What is wrong with the index is no fault of the record: the capture makes another one and asks again. */
function isIndexDamaged(error: unknown): boolean {
  return isSyncError(error) && error.code === 'INDEX_DAMAGED';
}

export function checkAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted)
    throw new SyncError('ABORTED', 'the query was stopped by who asked', { origin: 'query', retry: 'now' });
}
