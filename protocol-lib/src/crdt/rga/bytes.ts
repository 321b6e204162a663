import { CompactReader, CompactWriter, packMsgpack, unpackMsgpack } from '../../bytes/index.ts';
import { type ReplicaId, replicaId, type Value } from '../../state/index.ts';
import type { Content, Deletion, ElementId, Side } from './block.ts';
import { STAMP_STEP } from './block.ts';
import { invalid, type RgaRun, type RgaState } from './state.ts';

/**
 * The saved form of a whole state, column after column, since a column repeats itself: version; writers; the vector;
 * the number of runs; a byte of flags a run; counters, each from where the writer's run before ended; lengths but for
 * those of 1; parents, as how many runs further up (a run hangs on the end or the beginning of another), but for the
 * one right above; places, deletions where flagged; then all that can be seen, as one msgpack value: text or an array.
 */
const FORMAT = 1;
const LEFT = 1;
const DELETED = 2;
const OTHER_PLACE = 4;
const OTHER_WRITER = 8;
const SAME_DELETION = 16;
const ONE_ELEMENT = 32;
const ON_THE_LAST = 64;

/** @throws RangeError where the state is not a whole one */
export function encodeState(state: RgaState): Uint8Array {
  if (state.since.length > 0) throw new RangeError('only a whole state can be saved');
  const out = new CompactWriter();
  const writers = writersOf(state);
  const numbers = new Map(writers.map((replica, number) => [replica, number]));
  out.uint(FORMAT);
  out.uint(writers.length);
  for (const replica of writers) out.text(replica);
  const seen = new Map(state.vector.map(({ replica, counter }) => [replica, counter]));
  for (const replica of writers) out.uint(seen.get(replica) ?? 0);
  out.uint(state.runs.length);
  const columns = writeRuns(state.runs, numbers);
  for (const column of columns) {
    out.uint(column.length);
    out.bytes(column.written());
  }
  out.bytes(packMsgpack(contentOf(state.runs)));
  return out.written();
}

function writersOf(state: RgaState): ReplicaId[] {
  const writers = new Set(state.vector.map(({ replica }) => replica));
  for (const { place, deletion } of state.runs) {
    writers.add(place.replica);
    if (deletion !== null) writers.add(deletion.replica);
  }
  return [...writers];
}

function contentOf(runs: readonly RgaRun[]): Value {
  const parts = runs.flatMap(({ content }) => (content === null ? [] : [content]));
  return parts.every((part) => typeof part === 'string') ? parts.join('') : parts.flat(1);
}

/** Flags, writers, counters, lengths, parents, places, deletions. */
function writeRuns(runs: readonly RgaRun[], numbers: ReadonlyMap<ReplicaId, number>): CompactWriter[] {
  const columns = Array.from({ length: 7 }, () => new CompactWriter());
  const [flags, writers, counters, lengths, parents, places, deletions] = columns as Seven<CompactWriter>;
  const ends = new Map<string, number>();
  const nextCounters = new Map<ReplicaId, number>();
  let writer: ReplicaId | null = null;
  let deletion: Deletion | null = null;
  runs.forEach((run, at) => {
    const isOtherPlace = run.place.counter !== run.counter || run.place.replica !== run.replica;
    const isSameDeletion =
      run.deletion !== null && run.deletion.replica === deletion?.replica && run.deletion.upTo === deletion.upTo;
    const up = run.parent === null ? 0 : at - ends.get(`${run.side} ${run.parent.replica} ${run.parent.counter}`)!;
    flags.uint(
      (run.side === 'left' ? LEFT : 0) |
        (run.content === null ? DELETED : 0) |
        (isOtherPlace ? OTHER_PLACE : 0) |
        (run.replica === writer ? 0 : OTHER_WRITER) |
        (isSameDeletion ? SAME_DELETION : 0) |
        (run.length === 1 ? ONE_ELEMENT : 0) |
        (up === 1 ? ON_THE_LAST : 0),
    );
    if (run.replica !== writer) writers.uint(numbers.get(run.replica)!);
    counters.int(run.counter - (nextCounters.get(run.replica) ?? 1));
    if (run.length !== 1) lengths.uint(run.length);
    if (up !== 1) parents.uint(up);
    if (isOtherPlace) writeId(places, run.place, numbers);
    if (run.deletion !== null && !isSameDeletion) {
      deletions.uint(numbers.get(run.deletion.replica)!);
      deletions.int(run.deletion.upTo / STAMP_STEP - (deletion?.upTo ?? 0) / STAMP_STEP);
    }
    ends.set(`left ${run.replica} ${run.counter}`, at);
    ends.set(`right ${run.replica} ${run.counter + run.length - 1}`, at);
    nextCounters.set(run.replica, run.counter + run.length);
    writer = run.replica;
    deletion = run.deletion ?? deletion;
  });
  return columns;
}

type Seven<T> = [T, T, T, T, T, T, T];

function writeId(out: CompactWriter, id: ElementId, numbers: ReadonlyMap<ReplicaId, number>): void {
  out.uint(numbers.get(id.replica)!);
  out.uint(id.counter);
}

/**
 * The state in `bytes`. What it says is checked where it is merged.
 * @throws SyncError with the offset: `LENGTH_EXCEEDS_INPUT`, `COMPACT_INVALID`, those of {@link unpackMsgpack}, `CRDT_STATE_INVALID`
 */
export function decodeState(bytes: Uint8Array): RgaState {
  const input = new CompactReader(bytes);
  const format = input.uint();
  if (format !== FORMAT) input.invalid(`format ${format} is not known here, only ${FORMAT}; update to read it`, 0);
  const writers: ReplicaId[] = [];
  for (let count = input.count(2); count > 0; count--) writers.push(replicaId(input.text()));
  const vector = writers.map((replica) => ({ replica, counter: input.uint() })).filter(({ counter }) => counter > 0);
  const count = input.count(2);
  const columns = Array.from({ length: 7 }, () => new CompactReader(input.bytes(input.count())));
  const runs = readRuns(count, columns as Seven<CompactReader>, writers);
  for (const column of columns) column.end();
  const content = unpackMsgpack(input.bytes(input.left), { depth: 64, nodes: 2 ** 27, mapKeys: 65_535 });
  if (typeof content !== 'string' && !Array.isArray(content)) throw invalid('has no content');
  return { since: [], vector, runs: withContent(runs, content as Content), deletions: [] };
}

type Bare = Omit<RgaRun, 'content'>;

function readRuns(count: number, columns: Seven<CompactReader>, writers: readonly ReplicaId[]): Bare[] {
  const [flags, writerColumn, counters, lengths, parents, places, deletions] = columns;
  const writerOf = (column: CompactReader): ReplicaId =>
    writers[column.uint()] ?? column.invalid('a writer that is not listed');
  const runs: Bare[] = [];
  const nextCounters = new Map<ReplicaId, number>();
  let replica: ReplicaId | null = null;
  let deletion: Deletion | null = null;
  for (let at = 0; at < count; at++) {
    const flag = flags.uint();
    if (flag & OTHER_WRITER) replica = writerOf(writerColumn);
    if (replica === null) return flags.invalid('a run without a writer');
    const counter: number = counters.int() + (nextCounters.get(replica) ?? 1);
    const length = flag & ONE_ELEMENT ? 1 : lengths.uint();
    const side = flag & LEFT ? 'left' : 'right';
    const parent = parentAt(runs, flag & ON_THE_LAST ? 1 : parents.uint(), parents, side);
    const place: ElementId =
      flag & OTHER_PLACE ? { replica: writerOf(places), counter: places.uint() } : { replica, counter };
    if (flag & DELETED && !(flag & SAME_DELETION)) {
      const before: number = deletion?.upTo ?? 0;
      deletion = { replica: writerOf(deletions), upTo: before + deletions.int() * STAMP_STEP };
    }
    if (flag & DELETED && deletion === null) return flags.invalid('a tombstone without its deletion');
    runs.push({ replica, counter, length, parent, side, place, deletion: flag & DELETED ? deletion : null });
    nextCounters.set(replica, counter + length);
  }
  return runs;
}

function parentAt(runs: readonly Bare[], distance: number, column: CompactReader, side: Side): ElementId | null {
  if (distance === 0) return null;
  const parent = runs[runs.length - distance] ?? column.invalid('a parent before the first run');
  const { replica, counter, length } = parent;
  return { replica, counter: side === 'left' ? counter : counter + length - 1 };
}

function withContent(runs: readonly Bare[], content: Content): RgaRun[] {
  let from = 0;
  const whole = runs.map((run): RgaRun => {
    if (run.deletion !== null) return { ...run, content: null };
    const part = content.slice(from, from + run.length);
    from += run.length;
    return { ...run, content: part };
  });
  if (from !== content.length) throw invalid(`shows ${content.length} elements where its runs hold ${from}`);
  return whole;
}
