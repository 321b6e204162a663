import { type VectorEntry, VersionVector } from '../../clock/index.ts';
import { SyncError } from '../../errors/index.ts';
import { sameValue } from '../../merkle/index.ts';
import type { ReplicaId, Value } from '../../state/index.ts';
import { Block, type Content, type ElementId, partsCharacter, type Side, STAMP_STEP } from './block.ts';
import { type HeldLimits, HeldOperations } from './held.ts';
import type { ElementRange, RgaOperation } from './operation.ts';
import { checkOperation, isKnownOtherwise, missingCause } from './operation-check.ts';
import { endOf, Sequence } from './sequence.ts';
import { mergeState, type RgaState, stateOf } from './state.ts';

/** What became of an operation. */
export type RgaOutcome =
  | { readonly outcome: 'applied' | 'duplicate' }
  /** Its cause has not arrived: it waits until `missing` was seen. */
  | { readonly outcome: 'held'; readonly missing: ElementId }
  /** As `held`, but too many wait already: it was not kept. Ask for everything from `missing` on, or for a state. */
  | { readonly outcome: 'overflow'; readonly missing: ElementId };

/** One change of what can be seen, made by an operation from elsewhere: for an editor to follow. */
export interface RgaEdit<C extends Content> {
  readonly index: number;
  readonly removed: number;
  readonly inserted: C | null;
}

export interface RgaOptions<C extends Content> {
  readonly held?: Partial<HeldLimits>;
  /** Told of every edit that {@link RGA.apply} makes. Looking their places up costs a little; without it nothing. */
  readonly onEdit?: (edit: RgaEdit<C>) => void;
}

const DEFAULT_LIMITS: HeldLimits = { operations: 10_000, elements: 1_000_000 };
const APPLIED: RgaOutcome = { outcome: 'applied' };
const DUPLICATE: RgaOutcome = { outcome: 'duplicate' };

/**
 * A replicated text or list. Positions count visible elements from 0: UTF-16 units of a text, items of a list.
 * Concurrent runs do not interleave, forwards or backwards; see {@link Sequence} for the algorithm and its sources.
 *
 * Every edit answers the operation for the other replicas. Operations may come in any order and more than once; one
 * whose cause has not arrived waits. The other way is {@link RGA.state} and {@link RGA.merge}.
 */
export class RGA<C extends Content = string> {
  readonly replica: ReplicaId;
  readonly #empty: C;
  readonly #options: RgaOptions<C>;
  readonly #sequence = new Sequence();
  readonly #seen = new Map<ReplicaId, number>();
  readonly #held: HeldOperations;
  /** Where the last edit was: the block, and its position. Typing on needs no search. */
  #cursor: Block | null = null;
  #cursorStart = 0;

  private constructor(replica: ReplicaId, empty: C, options: RgaOptions<C>) {
    this.replica = replica;
    this.#empty = empty;
    this.#options = options;
    this.#held = new HeldOperations({ ...DEFAULT_LIMITS, ...options.held });
  }

  static text(replica: ReplicaId, options: RgaOptions<string> = {}): RGA<string> {
    return new RGA<string>(replica, '', options);
  }

  static list(replica: ReplicaId, options: RgaOptions<readonly Value[]> = {}): RGA<readonly Value[]> {
    return new RGA<readonly Value[]>(replica, [], options);
  }

  get length(): number {
    return this.#sequence.tree.length;
  }

  /** What was seen of every writer: elements and deletions. */
  get vector(): VersionVector {
    return VersionVector.from(Array.from(this.#seen, ([replica, counter]) => ({ replica, counter })));
  }

  /** Operations that wait for their cause. */
  get held(): number {
    return this.#held.size;
  }

  /** What to ask for so that those can go on: of each writer the first counter that is missing. */
  missing(): VectorEntry[] {
    return this.#held.missing();
  }

  /** The whole text or list. */
  content(): C {
    const parts: Content[] = [];
    for (let block = this.#sequence.root.next; block !== null; block = block.next) {
      if (block.content !== null) parts.push(block.content);
    }
    return (typeof this.#empty === 'string' ? parts.join('') : parts.flat(1)) as C;
  }

  /**
   * Inserts before position `index`. Answers the operation.
   * @throws RangeError where `index` is not from 0 to {@link length}, inside a character, or there is nothing to insert
   * @throws SyncError `VALUE_INVALID` for text with a lone surrogate; nothing changes
   */
  insert(index: number, content: C): RgaOperation<C> {
    this.#checkRange(index, 0);
    if (content.length === 0) throw new RangeError('there is nothing to insert');
    if (typeof content === 'string' && !content.isWellFormed()) {
      throw new SyncError('VALUE_INVALID', 'the text has a lone surrogate', { origin: 'state' });
    }
    const before = index === 0 ? this.#sequence.root : this.#blockWith(index - 1);
    const offset = index === 0 ? 0 : index - this.#cursorStart;
    if (offset < before.length) return this.#insertInside(before, offset, index, content);
    const counter = this.#next();
    if (before.right === null && before.replica === this.replica && before.last === counter - 1) {
      const parent = { replica: before.replica, counter: before.last };
      this.#sequence.extend(before, content, content.length);
      return this.#inserted(counter, parent, 'right', content);
    }
    const after = before.right === null ? null : this.#visibleAfter(before, index);
    return after === null
      ? this.#attach(before, 'right', counter, index, content)
      : this.#attach(after, 'left', counter, index, content);
  }

  /**
   * Deletes `length` elements from position `index` on. Answers the operation.
   * @throws RangeError where they are not all there, or only half of a character is meant; nothing changes
   */
  delete(index: number, length = 1): RgaOperation<C> {
    this.#checkRange(index, length);
    if (length === 0) throw new RangeError('there is nothing to delete');
    const first = this.#blockWith(index);
    const start = this.#cursorStart;
    const ranges = rangesFrom(first, index - start, length);
    const counter = this.#next();
    for (const range of ranges) this.#sequence.delete(range, range.length, this.#stamp(this.replica, counter));
    this.#seen.set(this.replica, counter);
    this.#cursor = index > start ? first : null;
    return { op: 'delete', replica: this.replica, counter, ranges };
  }

  /**
   * Applies an operation of another replica, and those that waited for it.
   * @throws SyncError, with nothing changed: `CRDT_OPERATION_INVALID` (impossible in itself, or in a character's middle),
   * `CRDT_DUPLICATE_DIFFERS` (an operation of this id is known, and it was another), `CRDT_CAUSE_COLLECTED` (it names
   * an element that was collected: its writer was left out when that was decided; take a state)
   */
  apply(operation: RgaOperation<Content>): RgaOutcome {
    checkOperation(operation, typeof this.#empty === 'string');
    const { replica, counter } = operation;
    const seen = this.#seen.get(replica) ?? 0;
    if (counter <= seen) {
      if (isKnownOtherwise(operation, this.#sequence, seen)) throw differs(operation);
      return DUPLICATE;
    }
    const missing = missingCause(operation, this.#seen);
    if (missing !== null) return this.#hold(operation, missing);
    this.#integrate(operation);
    if (this.#held.size > 0) this.#release(replica);
    return APPLIED;
  }

  /**
   * The state as plain data: all of it, or only what a replica with vector `since` has not seen.
   */
  state(since: VersionVector = VersionVector.empty): RgaState {
    return stateOf(this.#sequence, this.vector, since);
  }

  /**
   * Joins a state of another replica, in any order and as often as it comes.
   * @throws SyncError, with nothing changed: `CRDT_BASE_MISSING` (it begins after what was seen here: ask for more),
   * `CRDT_STATE_INVALID`, `CRDT_CAUSE_COLLECTED` as {@link apply}
   */
  merge(state: RgaState): void {
    this.#cursor = null;
    mergeState(this.#sequence, this.#seen, state, typeof this.#empty === 'string');
    for (const replica of [...this.#seen.keys()]) this.#release(replica);
  }

  /**
   * Drops tombstones that nobody can name any more. Give the vector of every replica that may still write, as last
   * heard from it. A deletion that all have seen counts, and only once everything that was written before it was
   * seen has arrived here. Answers how many elements were dropped.
   */
  collect(vectors: ReadonlyMap<ReplicaId, VersionVector>): number {
    for (const [replica, vector] of vectors) if (vector.get(replica) > (this.#seen.get(replica) ?? 0)) return 0;
    const isStable = (block: Block) => {
      const { replica, upTo } = block.deletion!;
      const least = Math.min(upTo, this.#seen.get(replica) ?? 0);
      for (const vector of vectors.values()) if (vector.get(replica) < least) return false;
      return true;
    };
    this.#cursor = null;
    return collectTombstones(this.#sequence, isStable);
  }

  #next(): number {
    return (this.#seen.get(this.replica) ?? 0) + 1;
  }

  #stamp(replica: ReplicaId, counter: number) {
    return { replica, upTo: Math.ceil(counter / STAMP_STEP) * STAMP_STEP };
  }

  #checkRange(index: number, length: number): void {
    const isInside = Number.isSafeInteger(index) && Number.isSafeInteger(length) && index >= 0 && length >= 0;
    if (isInside && index + length <= this.length) return;
    throw new RangeError(`${length} at ${index} is not within the ${this.length} elements`);
  }

  /** The block with the element at a position; the cursor is then there. */
  #blockWith(position: number): Block {
    const cursor = this.#cursor;
    if (cursor !== null && position >= this.#cursorStart && position < this.#cursorStart + cursor.length) return cursor;
    const block = this.#sequence.tree.find(position);
    this.#cursor = block;
    this.#cursorStart = position - this.#sequence.tree.offset;
    return block;
  }

  #insertInside(block: Block, offset: number, index: number, content: C): RgaOperation<C> {
    if (partsCharacter(block.content, offset)) throw new RangeError(`${index} is inside a character`);
    return this.#attach(this.#sequence.split(block, offset), 'left', this.#next(), index, content);
  }

  /** What can be seen at `index`, where it hangs on `before` (which ends there), by whatever tombstones. */
  #visibleAfter(before: Block, index: number): Block | null {
    if (index === this.length) return null;
    const next = before.next!;
    if (next.content !== null) return next;
    const after = this.#sequence.tree.find(index);
    if (before === this.#sequence.root) return after;
    const end = endOf(before);
    return end.content !== null || this.#sequence.tree.positionOf(end) > index ? after : null;
  }

  #attach(parent: Block, side: Side, counter: number, index: number, content: C): RgaOperation<C> {
    const id = side === 'left' ? parent.counter : parent.last;
    const name = parent === this.#sequence.root ? null : { replica: parent.replica, counter: id };
    const writer = this.#sequence.writer(this.replica);
    this.#cursor = this.#sequence.attach(new Block(writer, counter, content.length, content, parent, side));
    this.#cursorStart = index;
    return this.#inserted(counter, name, side, content);
  }

  #inserted(counter: number, parent: ElementId | null, side: Side, content: C): RgaOperation<C> {
    this.#seen.set(this.replica, counter + content.length - 1);
    return { op: 'insert', replica: this.replica, counter, parent, side, content };
  }

  #hold(operation: RgaOperation, missing: ElementId): RgaOutcome {
    const known = this.#held.get(operation);
    if (known !== undefined) {
      if (!sameValue(known as unknown as Value, operation as unknown as Value)) throw differs(operation);
      return { outcome: 'held', missing };
    }
    return { outcome: this.#held.add(operation, missing) ? 'held' : 'overflow', missing };
  }

  /** Lets go on what waited for a writer, and what waited for that. One that turns out impossible now is dropped. */
  #release(replica: ReplicaId): void {
    const moved = [replica];
    for (let one = moved.pop(); one !== undefined; one = moved.pop()) {
      const counter = this.#seen.get(one) ?? 0;
      const operation = this.#held.release(one, counter);
      if (operation === undefined) continue;
      moved.push(one);
      if (operation.counter <= (this.#seen.get(operation.replica) ?? 0)) continue;
      const missing = missingCause(operation, this.#seen);
      if (missing !== null) this.#held.add(operation, missing);
      else if (this.#canIntegrate(operation)) {
        this.#integrate(operation);
        moved.push(operation.replica);
      }
    }
  }

  #canIntegrate(operation: RgaOperation): boolean {
    try {
      checkPlaces(operation, this.#sequence);
      return true;
    } catch (error) {
      if (error instanceof SyncError) return false;
      throw error;
    }
  }

  #integrate(operation: RgaOperation): void {
    checkPlaces(operation, this.#sequence);
    this.#cursor = null;
    const onEdit = this.#options.onEdit;
    const { replica, counter } = operation;
    if (operation.op === 'insert') {
      const { content, parent, side } = operation;
      const block = this.#sequence.insert(operation, content, content.length, parent, side);
      this.#seen.set(replica, counter + content.length - 1);
      if (onEdit === undefined) return;
      const index = this.#sequence.tree.positionOf(block) + counter - block.counter;
      onEdit({ index, removed: 0, inserted: content as C });
      return;
    }
    const tell = (block: Block) =>
      onEdit?.({ index: this.#sequence.tree.positionOf(block), removed: block.length, inserted: null });
    const stamp = this.#stamp(replica, counter);
    for (const range of operation.ranges) this.#sequence.delete(range, range.length, stamp, onEdit && tell);
    this.#seen.set(replica, counter);
  }
}

/** The elements that can be seen from `offset` of a block on. @throws RangeError where an end is inside a character */
function rangesFrom(first: Block, offset: number, length: number): ElementRange[] {
  const ranges: ElementRange[] = [];
  let left = length;
  let from = offset;
  for (let block: Block | null = first; left > 0; block = block!.next) {
    if (block!.content === null) continue;
    const { replica, counter } = block!;
    const count = Math.min(left, block!.length - from);
    if (partsCharacter(block!.content, from) || partsCharacter(block!.content, from + count)) {
      throw new RangeError('only half of a character is meant');
    }
    const last = ranges[ranges.length - 1];
    if (last !== undefined && last.replica === replica && last.counter + last.length === counter + from) {
      ranges[ranges.length - 1] = { ...last, length: last.length + count };
    } else ranges.push({ replica, counter: counter + from, length: count });
    left -= count;
    from = 0;
  }
  return ranges;
}

/** @throws SyncError `CRDT_CAUSE_COLLECTED`, or `CRDT_OPERATION_INVALID` where a block would be cut inside a character */
function checkPlaces(operation: RgaOperation, sequence: Sequence): void {
  if (operation.op === 'insert') {
    const { parent, side } = operation;
    if (parent === null) return;
    const block = sequence.find(parent);
    if (block === null) throw collected(parent);
    const cut = parent.counter - block.counter + (side === 'left' ? 0 : 1);
    if (partsCharacter(block.content, cut)) throw insideCharacter(parent);
    return;
  }
  for (const range of operation.ranges) {
    const after = { replica: range.replica, counter: range.counter + range.length };
    if (sequence.isInsideCharacter(range) || sequence.isInsideCharacter(after)) throw insideCharacter(range);
  }
}

function collectTombstones(sequence: Sequence, isStable: (block: Block) => boolean): number {
  const doomed: Block[] = [];
  for (let block = sequence.root.next; block !== null; block = block.next) {
    if (block.content === null && isStable(block)) doomed.push(block);
  }
  let count = 0;
  while (doomed.length > 0) {
    const block = doomed.pop()!;
    if (block.node === null) continue;
    const { parent } = block;
    if (!sequence.collect(block)) continue;
    count += block.length;
    // It may have been the child that kept its parent.
    if (parent !== sequence.root && parent!.content === null && isStable(parent!)) doomed.push(parent!);
  }
  return count;
}

/** The error for an element that is named and was collected. */
export function collected({ replica, counter }: ElementId): SyncError {
  return new SyncError(
    'CRDT_CAUSE_COLLECTED',
    `element ${counter} of ${replica} was collected here; whoever still names it was not asked before. Merge a state`,
    { origin: 'protocol' },
  );
}

function insideCharacter({ replica, counter }: ElementId): SyncError {
  return new SyncError('CRDT_OPERATION_INVALID', `at element ${counter} of ${replica} it would part a character`, {
    origin: 'protocol',
  });
}

function differs({ replica, counter }: RgaOperation): SyncError {
  return new SyncError(
    'CRDT_DUPLICATE_DIFFERS',
    `operation ${counter} of ${replica} is known here, and it was another one; two replicas must not share an id`,
    { origin: 'protocol' },
  );
}
