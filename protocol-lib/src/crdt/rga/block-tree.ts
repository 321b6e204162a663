import type { Block } from './block.ts';

const FAN_OUT = 32;

/** A node of the {@link BlockTree}: blocks at the bottom, nodes above; one shape, so that the engine sees one. */
export class TreeNode {
  parent: TreeNode | null = null;
  /** Elements that can be seen in and below it. */
  visible = 0;
  readonly blocks: Block[] | null;
  readonly children: TreeNode[] | null;

  constructor(isLeaf: boolean) {
    this.blocks = isLeaf ? [] : null;
    this.children = isLeaf ? null : [];
  }
}

/**
 * Blocks in document order, found by position and asked for theirs, in logarithmic time: a B-tree that counts what can
 * be seen. It begins with one block that is never removed.
 */
export class BlockTree {
  #root: TreeNode;
  /** Where {@link find} found the position, in the block it answered. */
  offset = 0;

  constructor(first: Block) {
    this.#root = new TreeNode(true);
    this.#root.blocks!.push(first);
    first.node = this.#root;
  }

  get length(): number {
    return this.#root.visible;
  }

  /** The block with the visible element at `position`, from 0 to below {@link length}; {@link offset} tells which of it. */
  find(position: number): Block {
    let left = position;
    let node = this.#root;
    while (node.children !== null) {
      const { children } = node;
      let at = 0;
      while (left >= children[at]!.visible) left -= children[at++]!.visible;
      node = children[at]!;
    }
    const blocks = node.blocks!;
    let at = 0;
    while (left >= blocks[at]!.visible) left -= blocks[at++]!.visible;
    this.offset = left;
    return blocks[at]!;
  }

  /** Visible elements before the block. */
  positionOf(block: Block): number {
    let position = 0;
    let node = block.node!;
    for (const one of node.blocks!) {
      if (one === block) break;
      position += one.visible;
    }
    for (let above = node.parent; above !== null; above = node.parent) {
      for (const child of above.children!) {
        if (child === node) break;
        position += child.visible;
      }
      node = above;
    }
    return position;
  }

  /** Puts a block, with what can be seen of it, right behind another. */
  insertAfter(before: Block, block: Block): void {
    block.previous = before;
    block.next = before.next;
    if (before.next !== null) before.next.previous = block;
    before.next = block;
    const node = before.node!;
    node.blocks!.splice(node.blocks!.indexOf(before) + 1, 0, block);
    block.node = node;
    this.add(block, block.visible);
    if (node.blocks!.length > FAN_OUT) this.#split(node);
  }

  /** Of `block`, so many more or fewer can be seen. */
  add(block: Block, visible: number): void {
    for (let node = block.node; node !== null; node = node.parent) node.visible += visible;
  }

  remove(block: Block): void {
    this.add(block, -block.visible);
    block.previous!.next = block.next;
    if (block.next !== null) block.next.previous = block.previous;
    const node = block.node!;
    node.blocks!.splice(node.blocks!.indexOf(block), 1);
    block.node = null;
    if (node.blocks!.length === 0) removeNode(node);
  }

  #split(node: TreeNode): void {
    const isLeaf = node.blocks !== null;
    const half = new TreeNode(isLeaf);
    if (node.blocks !== null) {
      half.blocks!.push(...node.blocks.splice(FAN_OUT >>> 1));
      for (const block of half.blocks!) {
        block.node = half;
        half.visible += block.visible;
      }
    } else {
      half.children!.push(...node.children!.splice(FAN_OUT >>> 1));
      for (const child of half.children!) {
        child.parent = half;
        half.visible += child.visible;
      }
    }
    const above = node.parent ?? this.#grow(node);
    node.visible -= half.visible;
    half.parent = above;
    above.children!.splice(above.children!.indexOf(node) + 1, 0, half);
    if (above.children!.length > FAN_OUT) this.#split(above);
  }

  #grow(node: TreeNode): TreeNode {
    const root = new TreeNode(false);
    root.children!.push(node);
    root.visible = node.visible;
    node.parent = root;
    this.#root = root;
    return root;
  }
}

/** The first block is never removed, so there is always a node that stays. */
function removeNode(node: TreeNode): void {
  const above = node.parent;
  if (above === null) return;
  above.children!.splice(above.children!.indexOf(node), 1);
  if (above.children!.length === 0) removeNode(above);
}
