import type { ReplicaId } from '../../state/index.ts';
import {
  Block,
  type Content,
  compareDeletions,
  continues,
  type Deletion,
  type ElementId,
  isNearer,
  joinContent,
  partsCharacter,
  type Side,
  type Writer,
} from './block.ts';
import { BlockTree } from './block-tree.ts';
import { addBlock, findBlock, findFrom, makeWriter, reachTo, removeBlock } from './writers.ts';

const ROOT_WRITER = '' as ReplicaId;

/**
 * The elements of one replica as a tree, in document order: left children, the element, right children (Weidner and
 * Kleppmann, The Art of the Fugue, 2023). A run that is typed forwards hangs by its first element, one that is typed
 * backwards by its last, so concurrent runs stand one after the other. Siblings are ordered as RGA does (Roh et al.,
 * Replicated Abstract Data Types, 2011): the newer the nearer.
 *
 * Knows nothing of causes and vectors; whoever calls has checked that what is spoken of is here.
 */
export class Sequence {
  readonly root: Block = makeWriter(ROOT_WRITER).first;
  readonly tree: BlockTree = new BlockTree(this.root);
  readonly #writers = new Map<ReplicaId, Writer>();

  writer(replica: ReplicaId): Writer {
    let writer = this.#writers.get(replica);
    if (writer === undefined) {
      writer = makeWriter(replica);
      this.#writers.set(replica, writer);
    }
    return writer;
  }

  writers(): Iterable<Writer> {
    return this.#writers.values();
  }

  /** The block with an element; nothing where it never was here or was collected. */
  find(id: ElementId): Block | null {
    const writer = this.#writers.get(id.replica);
    return writer === undefined ? null : findBlock(writer, id.counter);
  }

  /** The first block of the writer that holds the element or a later one. */
  findFrom(id: ElementId): Block | null {
    const writer = this.#writers.get(id.replica);
    return writer === undefined ? null : findFrom(writer, id.counter);
  }

  /**
   * Puts in elements that are not here yet. Answers the block that holds them.
   * @param parent nothing for the start of the document
   */
  insert(
    id: ElementId,
    content: Content | null,
    length: number,
    parent: ElementId | null,
    side: Side,
    place?: ElementId,
  ): Block {
    const writer = this.writer(id.replica);
    const above = parent === null ? this.root : this.#endingAt(parent, side);
    if (
      side === 'right' &&
      content !== null &&
      above.content !== null &&
      above.writer === writer &&
      above.right === null &&
      above.counter + above.length === id.counter
    ) {
      this.extend(above, content, length);
      return above;
    }
    const block = new Block(writer, id.counter, length, content, above, side);
    if (place !== undefined && (place.counter !== id.counter || place.replica !== id.replica)) block.place = place;
    return this.attach(block);
  }

  /** More elements at the end of a block without right children, by its own writer and with the next counters. */
  extend(block: Block, content: Content, length: number): void {
    block.content = joinContent(block.content!, content);
    block.length += length;
    reachTo(block);
    this.tree.add(block, length);
  }

  /** Takes in a new block under the parent that it names. */
  attach(block: Block): Block {
    const parent = block.parent!;
    const siblings = block.side === 'left' ? parent.left : parent.right;
    let at = 0;
    if (siblings === null) {
      if (block.side === 'left') parent.left = [block];
      else parent.right = [block];
    } else {
      while (at < siblings.length && isNearer(siblings[at]!.place, block.place)) at++;
      siblings.splice(at, 0, block);
    }
    this.tree.insertAfter(blockBefore(block, siblings ?? [], at), block);
    addBlock(block);
    return block;
  }

  /** Cuts a block so that a new one begins at its element `offset`; answers that. */
  split(block: Block, offset: number): Block {
    const content = block.content === null ? null : block.content.slice(offset);
    const rest = new Block(block.writer, block.counter + offset, block.length - offset, content, block, 'right');
    rest.deletion = block.deletion;
    rest.right = block.right;
    if (rest.right !== null) for (const child of rest.right) child.parent = rest;
    if (block.content !== null) {
      this.tree.add(block, -rest.length);
      block.content = block.content.slice(0, offset);
    }
    block.length = offset;
    block.right = [rest];
    this.tree.insertAfter(block, rest);
    addBlock(rest);
    return rest;
  }

  /**
   * Deletes what is here of elements of one writer.
   * @param onDelete told of each visible part before it goes
   */
  delete(id: ElementId, length: number, deletion: Deletion, onDelete?: (block: Block) => void): void {
    const end = id.counter + length;
    let from = id.counter;
    while (from < end) {
      let block = findFrom(this.writer(id.replica), from);
      if (block === null || block.counter >= end) return;
      const isNews =
        block.content !== null || block.deletion === null || compareDeletions(deletion, block.deletion) < 0;
      if (isNews) {
        if (block.counter < from) block = this.split(block, from - block.counter);
        if (block.counter + block.length > end) this.split(block, end - block.counter);
        if (block.content !== null) onDelete?.(block);
      }
      from = block.counter + block.length;
      if (isNews) this.bury(block, deletion);
    }
  }

  /** Makes a whole block a tombstone, one with its neighbours where it can be. */
  bury(block: Block, deletion: Deletion): void {
    this.tree.add(block, -block.visible);
    block.content = null;
    block.deletion = deletion;
    this.#absorbNext(block);
    if (block.parent !== null && block.parent !== this.root && block.parent.content === null) {
      this.#absorbNext(block.parent);
    }
  }

  /**
   * Takes out a tombstone that no operation can name any more: without children, or with one that takes its place among
   * the siblings. False where it has more; such ones are fewer than the blocks that can be seen.
   */
  collect(block: Block): boolean {
    const children = [...(block.left ?? []), ...(block.right ?? [])];
    if (children.length > 1) return false;
    const parent = block.parent!;
    const siblings = (block.side === 'left' ? parent.left : parent.right)!;
    const at = siblings.indexOf(block);
    const [heir] = children;
    if (heir === undefined) {
      siblings.splice(at, 1);
      if (siblings.length === 0) {
        if (block.side === 'left') parent.left = null;
        else parent.right = null;
      }
    } else {
      siblings[at] = heir;
      heir.parent = parent;
      heir.side = block.side;
      heir.place = { replica: block.place.replica, counter: block.place.counter };
    }
    this.tree.remove(block);
    removeBlock(block);
    return true;
  }

  /** The block that begins with an element that is here, cut so, and ends before `end`. */
  isolate(id: ElementId, end: number): Block {
    const block = this.#endingAt(id, 'left');
    if (block.counter + block.length > end) this.split(block, end - block.counter);
    return block;
  }

  /** Whether an element is the second half of a character that is here. */
  isInsideCharacter(id: ElementId): boolean {
    const block = this.find(id);
    return block !== null && partsCharacter(block.content, id.counter - block.counter);
  }

  /** The block that ends with the element (for a right child) or begins with it (for a left one), cut where need be. */
  #endingAt(id: ElementId, side: Side): Block {
    const block = this.find(id)!;
    const offset = id.counter - block.counter;
    if (side === 'left') return offset === 0 ? block : this.split(block, offset);
    if (offset < block.length - 1) this.split(block, offset + 1);
    return block;
  }

  #absorbNext(block: Block): void {
    const next = block.next;
    if (next === null || next.content !== null || !continues(block, next)) return;
    this.tree.remove(next);
    removeBlock(next);
    block.length += next.length;
    block.right = next.right;
    if (block.right !== null) for (const child of block.right) child.parent = block;
    reachTo(block);
  }
}

/** The last block of what hangs on one by its right side, or the block itself. */
export function endOf(block: Block): Block {
  let end = block;
  while (end.right !== null) end = end.right[end.right.length - 1]!;
  return end;
}

function beginOf(block: Block): Block {
  let begin = block;
  while (begin.left !== null) begin = begin.left[begin.left.length - 1]!;
  return begin;
}

/** What stands before a block in the document, that is the `at`-th nearest of its siblings; those it had before are given. */
function blockBefore(block: Block, siblings: readonly Block[], at: number): Block {
  const parent = block.parent!;
  const nearer = siblings[at - 1];
  const farther = siblings[at + 1];
  if (block.side === 'right') {
    if (nearer === undefined) return parent;
    return farther === undefined ? endOf(nearer) : beginOf(farther).previous!;
  }
  if (nearer === undefined) return parent.previous!;
  return beginOf(nearer).previous!;
}
