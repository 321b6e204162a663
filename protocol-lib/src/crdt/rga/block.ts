import type { ReplicaId, Value } from '../../state/index.ts';
import type { TreeNode } from './block-tree.ts';

/** What a sequence is made of: UTF-16 units of a text, or the items of a list. */
export type Content = string | readonly Value[];

/** Names one element: its writer, and the writer's counter from 1. Counters are shared with deletions, which take one each. */
export interface ElementId {
  readonly replica: ReplicaId;
  readonly counter: number;
}

/** Of which child of its parent an element is: `left` stands before the parent, `right` after it. */
export type Side = 'left' | 'right';

/**
 * Who deleted an element, and about when: the writer's counter of the deletion, rounded up to {@link STAMP_STEP}, so
 * that neighbours deleted one by one are one tombstone.
 */
export interface Deletion {
  readonly replica: ReplicaId;
  readonly upTo: number;
}

export const STAMP_STEP = 256;

/** All blocks of one writer, ascending by counter, and where to begin looking for a counter. */
export interface Writer {
  readonly replica: ReplicaId;
  /** Before all others; holds no element. */
  readonly first: Block;
  /** For every {@link BUCKET} counters the last block that starts at or before them. */
  readonly buckets: Block[];
}

/**
 * Elements that one writer typed in a row, each the right child of the one before. Children hang only on the ends:
 * left ones on the first element, right ones on the last; where one comes between, the block is split first.
 */
export class Block {
  readonly writer: Writer;
  counter: number;
  length: number;
  /** Nothing where the elements are deleted. */
  content: Content | null;
  deletion: Deletion | null = null;
  parent: Block | null;
  side: Side;
  /** Orders it among its siblings: its first element, or that of a collected ancestor whose place it took. */
  place: ElementId;
  /** Nearest to this block first; nothing where there are none. */
  left: Block[] | null = null;
  right: Block[] | null = null;
  /** In document order. */
  next: Block | null = null;
  previous: Block | null = null;
  nextOfWriter: Block | null = null;
  node: TreeNode | null = null;

  constructor(
    writer: Writer,
    counter: number,
    length: number,
    content: Content | null,
    parent: Block | null,
    side: Side,
  ) {
    this.writer = writer;
    this.counter = counter;
    this.length = length;
    this.content = content;
    this.parent = parent;
    this.side = side;
    this.place = this;
  }

  get replica(): ReplicaId {
    return this.writer.replica;
  }

  get last(): number {
    return this.counter + this.length - 1;
  }

  /** Elements that can be seen. */
  get visible(): number {
    return this.content === null ? 0 : this.length;
  }

  get hasOwnPlace(): boolean {
    return this.place === this;
  }
}

/** Newer elements stand nearer to their parent, so that typing at a place looks at no older siblings. */
export function isNearer(left: ElementId, right: ElementId): boolean {
  if (left.counter !== right.counter) return left.counter > right.counter;
  return left.replica < right.replica;
}

export function compareDeletions(left: Deletion, right: Deletion): number {
  if (left.replica !== right.replica) return left.replica < right.replica ? -1 : 1;
  return left.upTo - right.upTo;
}

export function sameDeletion(left: Deletion | null, right: Deletion | null): boolean {
  return left === right || (left !== null && right !== null && compareDeletions(left, right) === 0);
}

/** Whether `block` goes on where `before` ends, as if it had never been split: both can be one. */
export function continues(before: Block, block: Block): boolean {
  return (
    block.parent === before &&
    block.side === 'right' &&
    block.writer === before.writer &&
    block.counter === before.counter + before.length &&
    block.hasOwnPlace &&
    block.left === null &&
    before.right!.length === 1 &&
    (before.content === null) === (block.content === null) &&
    sameDeletion(before.deletion, block.deletion)
  );
}

export function joinContent(left: Content, right: Content): Content {
  if (typeof left === 'string') return left + (right as string);
  return [...left, ...(right as readonly Value[])];
}

/** Whether a cut before unit `offset` would part the halves of one character. */
export function partsCharacter(content: Content | null, offset: number): boolean {
  if (typeof content !== 'string' || offset <= 0 || offset >= content.length) return false;
  return isHigh(content.charCodeAt(offset - 1)) && isLow(content.charCodeAt(offset));
}

const isHigh = (unit: number) => (unit & 0xfc00) === 0xd800;
const isLow = (unit: number) => (unit & 0xfc00) === 0xdc00;
