import { type VectorEntry, type VersionVector, vectorEntriesSchema } from '../../clock/index.ts';
import { SyncError } from '../../errors/index.ts';
import { array, literal, nullable, object, type Schema, uint } from '../../schema/index.ts';
import { type ReplicaId, replicaIdSchema } from '../../state/index.ts';
import {
  type Block,
  type Content,
  continues,
  type Deletion,
  type ElementId,
  joinContent,
  partsCharacter,
  type Side,
} from './block.ts';
import { contentSchema, type ElementRange, elementIdSchema } from './operation.ts';
import { parentId } from './operation-check.ts';
import type { Sequence } from './sequence.ts';

/** Elements of one writer in a row, each the right child of the one before, as long as they can be. */
export interface RgaRun extends ElementId {
  readonly length: number;
  /** What the first element hangs on; nothing for the start of the document. */
  readonly parent: ElementId | null;
  readonly side: Side;
  /** Whose place among its siblings it has: its own first element's, or that of a collected ancestor. */
  readonly place: ElementId;
  /** Nothing where the elements are deleted. */
  readonly content: Content | null;
  readonly deletion: Deletion | null;
}

/** Elements that were deleted, of those that `since` has seen. */
export interface RgaDeletion extends ElementId {
  readonly length: number;
  readonly deletion: Deletion;
}

/**
 * The state of an {@link RGA}, or of what came after `since` (empty for all of it). Runs are in an order in which
 * parents come first. Equal documents, of which the same was collected, have equal states.
 */
export interface RgaState {
  readonly since: readonly VectorEntry[];
  readonly vector: readonly VectorEntry[];
  readonly runs: readonly RgaRun[];
  readonly deletions: readonly RgaDeletion[];
}

const deletionSchema = object({ replica: replicaIdSchema, upTo: uint });
const runFields = { replica: replicaIdSchema, counter: uint, length: uint };

export const rgaRunSchema = object({
  ...runFields,
  parent: nullable(elementIdSchema),
  side: literal('left', 'right'),
  place: elementIdSchema,
  content: nullable(contentSchema),
  deletion: nullable(deletionSchema),
});

export const rgaStateSchema: Schema<RgaState> = object({
  since: vectorEntriesSchema,
  vector: vectorEntriesSchema,
  runs: array(rgaRunSchema),
  deletions: array(object({ ...runFields, deletion: deletionSchema })),
});

/** Counters of all writers of one document together: they are indexed, and a state must not be able to ask for more room. */
const MAX_COUNTERS = 2 ** 27;

/** What is here of elements and deletions that `since` has not seen. */
export function stateOf(sequence: Sequence, vector: VersionVector, since: VersionVector): RgaState {
  const runs: RgaRun[] = [];
  const deletions: RgaDeletion[] = [];
  const pending: Block[] = [...(sequence.root.right ?? [])];
  for (let block = pending.pop(); block !== undefined; block = pending.pop()) {
    const run = runFrom(block);
    const known = Math.min(run.length, Math.max(0, since.get(run.replica) - run.counter + 1));
    const { deletion } = run;
    if (known > 0 && deletion !== null && deletion.upTo > since.get(deletion.replica)) {
      deletions.push({ replica: run.replica, counter: run.counter, length: known, deletion });
    }
    if (known < run.length) runs.push(known === 0 ? run : restOf(run, known));
    const end = endOfRun(block);
    // The farthest first: then whoever reads it puts each sibling right beside its parent.
    if (block.left !== null) pending.push(...block.left);
    if (end.right !== null) pending.push(...end.right);
  }
  return { since: since.entries(), vector: vector.entries(), runs, deletions };
}

/** The block and those after it that go on where it ends. */
function runFrom(block: Block): RgaRun {
  const parts: Content[] = block.content === null ? [] : [block.content];
  let length = block.length;
  for (let one = block; one.right?.length === 1 && continues(one, one.right[0]!); ) {
    one = one.right[0]!;
    length += one.length;
    if (one.content !== null) parts.push(one.content);
  }
  return {
    replica: block.replica,
    counter: block.counter,
    length,
    parent: parentId(block),
    side: block.side,
    place: { replica: block.place.replica, counter: block.place.counter },
    content: parts.length === 0 ? null : parts.reduce(joinContent),
    deletion: block.deletion,
  };
}

function endOfRun(block: Block): Block {
  let end = block;
  while (end.right?.length === 1 && continues(end, end.right[0]!)) end = end.right[0]!;
  return end;
}

/** A run without its first elements, which the reader has. */
function restOf(run: RgaRun, known: number): RgaRun {
  const { replica } = run;
  const counter = run.counter + known;
  return {
    ...run,
    counter,
    length: run.length - known,
    parent: { replica, counter: counter - 1 },
    side: 'right',
    place: { replica, counter },
    content: run.content === null ? null : run.content.slice(known),
  };
}

/** Joins a state into a sequence and what was seen. @throws SyncError as {@link RGA.merge}, before anything changes */
export function mergeState(sequence: Sequence, seen: Map<ReplicaId, number>, state: RgaState, isText: boolean): void {
  const counters = checkVector(seen, state);
  const index = new RunIndex(state.runs);
  for (const [at, run] of state.runs.entries()) checkRun(run, counters, isText, sequence, seen, index, at);
  for (const deletion of state.deletions) checkDeletion(deletion, sequence);
  const gone = state.since.length === 0 ? collectedThere(sequence, counters, index) : [];

  for (const run of state.runs) takeRun(sequence, run, seen.get(run.replica) ?? 0);
  for (const { length, deletion, ...id } of state.deletions) sequence.delete(id, length, deletion);
  for (const [replica, counter] of counters) seen.set(replica, Math.max(counter, seen.get(replica) ?? 0));
  collectAll(sequence, gone);
}

function takeRun(sequence: Sequence, run: RgaRun, seen: number): void {
  const known = Math.min(run.length, Math.max(0, seen - run.counter + 1));
  if (known > 0 && run.deletion !== null) sequence.delete(run, known, run.deletion);
  if (known === run.length) return;
  const news = known === 0 ? run : restOf(run, known);
  const block = sequence.insert(news, news.content, news.length, news.parent, news.side, news.place);
  if (news.deletion !== null) sequence.bury(block, news.deletion);
}

/** Elements that the other has seen and has no more: dropped there as known to all, so dropped here. */
function collectedThere(sequence: Sequence, counters: ReadonlyMap<ReplicaId, number>, index: RunIndex): ElementRange[] {
  const gone: ElementRange[] = [];
  for (const writer of sequence.writers()) {
    const { replica } = writer;
    const end = (counters.get(replica) ?? 0) + 1;
    for (let block = writer.first.nextOfWriter; block !== null && block.counter < end; block = block.nextOfWriter) {
      for (const { counter, length } of index.gaps(
        replica,
        block.counter,
        Math.min(end, block.counter + block.length),
      )) {
        if (block.content !== null) throw stillSeen({ replica, counter });
        gone.push({ replica, counter, length });
      }
    }
  }
  return gone;
}

function collectAll(sequence: Sequence, gone: readonly ElementRange[]): void {
  const doomed = new Set<Block>();
  for (const { replica, counter, length } of gone) {
    for (let from = counter; from < counter + length; ) {
      const block = sequence.isolate({ replica, counter: from }, counter + length);
      if (block.content === null) doomed.add(block);
      from = block.counter + block.length;
    }
  }
  // Taking one out can free its parent.
  for (const start of doomed) {
    let block: Block | null = start;
    while (block !== null && doomed.has(block) && block.node !== null) {
      const parent: Block | null = block.parent;
      if (!sequence.collect(block)) break;
      block = parent;
    }
  }
}

/** Where the runs of a state are, by element. */
class RunIndex {
  readonly #byWriter = new Map<ReplicaId, { readonly run: RgaRun; readonly at: number }[]>();

  /** @throws SyncError `CRDT_STATE_INVALID` where two runs hold one element */
  constructor(runs: readonly RgaRun[]) {
    runs.forEach((run, at) => {
      const list = this.#byWriter.get(run.replica);
      if (list === undefined) this.#byWriter.set(run.replica, [{ run, at }]);
      else list.push({ run, at });
    });
    for (const list of this.#byWriter.values()) {
      list.sort((a, b) => a.run.counter - b.run.counter);
      for (let at = 1; at < list.length; at++) {
        const before = list[at - 1]!.run;
        if (before.counter + before.length > list[at]!.run.counter) throw invalid('holds an element twice', before);
      }
    }
  }

  find(id: ElementId): { readonly run: RgaRun; readonly at: number } | null {
    const list = this.#byWriter.get(id.replica) ?? [];
    const found = list[lowerBound(list, id.counter)];
    return found !== undefined && found.run.counter <= id.counter ? found : null;
  }

  /** The parts of a writer's elements from `from` to before `end` that no run holds. */
  gaps(replica: ReplicaId, from: number, end: number): { readonly counter: number; readonly length: number }[] {
    const gaps: { readonly counter: number; readonly length: number }[] = [];
    const list = this.#byWriter.get(replica) ?? [];
    let counter = from;
    for (let at = lowerBound(list, from); counter < end; at++) {
      const next = at < list.length ? Math.min(list[at]!.run.counter, end) : end;
      if (next > counter) gaps.push({ counter, length: next - counter });
      if (at >= list.length) break;
      counter = Math.max(counter, list[at]!.run.counter + list[at]!.run.length);
    }
    return gaps;
  }
}

/** The first run that ends after `counter` begins. */
function lowerBound(list: readonly { readonly run: RgaRun }[], counter: number): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const { run } = list[middle]!;
    if (run.counter + run.length <= counter) low = middle + 1;
    else high = middle;
  }
  return low;
}

function checkDeletion({ length, ...id }: ElementRange, sequence: Sequence): void {
  if (!isCounter(id.counter) || !isCounter(length)) throw invalid('deletes nothing', id);
  if (sequence.isInsideCharacter(id) || sequence.isInsideCharacter({ ...id, counter: id.counter + length })) {
    throw invalid('parts a character', id);
  }
}

function checkVector(seen: ReadonlyMap<ReplicaId, number>, state: RgaState): Map<ReplicaId, number> {
  for (const { replica, counter } of state.since) {
    if (counter <= (seen.get(replica) ?? 0)) continue;
    throw new SyncError(
      'CRDT_BASE_MISSING',
      `the state begins after ${counter} of ${replica}, of which ${seen.get(replica) ?? 0} were seen here; ask with our own vector`,
      { origin: 'protocol', retry: 'now' },
    );
  }
  const counters = new Map(state.vector.map(({ replica, counter }) => [replica, counter]));
  let total = 0;
  for (const counter of counters.values()) total += counter;
  if (!Number.isSafeInteger(total) || total > MAX_COUNTERS) throw invalid(`counts ${total}, at most ${MAX_COUNTERS}`);
  return counters;
}

function checkRun(
  run: RgaRun,
  counters: ReadonlyMap<ReplicaId, number>,
  isText: boolean,
  sequence: Sequence,
  seen: ReadonlyMap<ReplicaId, number>,
  index: RunIndex,
  at: number,
): void {
  const { content, parent, side } = run;
  if (!isCounter(run.counter) || !isCounter(run.length)) throw invalid('has a run of nothing', run);
  if (run.counter + run.length - 1 > (counters.get(run.replica) ?? 0)) throw invalid('counts less than it holds', run);
  if ((content === null) === (run.deletion === null)) throw invalid('neither shows nor deletes a run', run);
  if (content !== null) {
    if ((typeof content === 'string') !== isText) throw invalid('is of the other kind of content', run);
    if (content.length !== run.length)
      throw invalid(`has ${content.length} elements where ${run.length} are declared`, run);
    if (typeof content === 'string' && !content.isWellFormed()) throw invalid('has a lone surrogate', run);
  }
  const known = Math.min(run.length, Math.max(0, (seen.get(run.replica) ?? 0) - run.counter + 1));
  if (known > 0 && run.deletion !== null) checkDeletion({ ...run, length: known }, sequence);
  if (known === run.length) return;
  if (known > 0) {
    const last = { replica: run.replica, counter: run.counter + known - 1 };
    if (sequence.find(last) === null) throw stillSeen(last);
    return;
  }
  if (parent === null) {
    if (side !== 'right') throw invalid('hangs a run before the start', run);
    return;
  }
  checkParent(parent, side, run, sequence, seen, index, at);
}

function checkParent(
  parent: ElementId,
  side: Side,
  run: RgaRun,
  sequence: Sequence,
  seen: ReadonlyMap<ReplicaId, number>,
  index: RunIndex,
  at: number,
): void {
  const cut = side === 'left' ? 0 : 1;
  const isSeen = parent.counter <= (seen.get(parent.replica) ?? 0);
  const block = isSeen ? sequence.find(parent) : null;
  if (isSeen && block === null) throw stillSeen(parent);
  if (block !== null && partsCharacter(block.content, parent.counter - block.counter + cut)) {
    throw invalid('parts a character', run);
  }
  if (isSeen) return;
  const above = index.find(parent);
  if (above === null || above.at >= at) throw invalid('hangs a run on nothing that comes before it', run);
  if (partsCharacter(above.run.content, parent.counter - above.run.counter + cut))
    throw invalid('parts a character', run);
}

function isCounter(value: number): boolean {
  return Number.isSafeInteger(value) && value > 0;
}

/** @throws nothing; answers the error `CRDT_STATE_INVALID` */
export function invalid(what: string, run?: ElementId): SyncError {
  const where = run === undefined ? '' : ` (element ${run.counter} of ${run.replica})`;
  return new SyncError('CRDT_STATE_INVALID', `the state ${what}${where}`, { origin: 'protocol' });
}

function stillSeen({ replica, counter }: ElementId): SyncError {
  return new SyncError(
    'CRDT_CAUSE_COLLECTED',
    `element ${counter} of ${replica} was collected on one side and is needed on the other, which was not asked before`,
    { origin: 'protocol' },
  );
}
