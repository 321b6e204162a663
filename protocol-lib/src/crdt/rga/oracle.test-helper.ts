import type { Content, ElementId, RgaOperation } from './index.ts';

interface Node {
  readonly id: ElementId;
  readonly value: unknown;
  isDeleted: boolean;
  readonly left: Node[];
  readonly right: Node[];
}

/**
 * The algorithm as it is defined, one node an element and nothing else: left children, the element, right children,
 * newer ones nearer. Operations must come with their causes before them; none is ever forgotten.
 */
export class SlowSequence {
  readonly #root: Node = {
    id: { replica: '', counter: 0 } as unknown as ElementId,
    value: '',
    isDeleted: true,
    left: [],
    right: [],
  };
  readonly #nodes = new Map<string, Node>();

  apply(operation: RgaOperation<Content>): void {
    if (operation.op === 'delete') {
      for (const { replica, counter, length } of operation.ranges) {
        for (let at = counter; at < counter + length; at++) this.#node({ replica, counter: at }).isDeleted = true;
      }
      return;
    }
    let parent = operation.parent === null ? this.#root : this.#node(operation.parent);
    let side = operation.side;
    for (let at = 0; at < operation.content.length; at++) {
      const id = { replica: operation.replica, counter: operation.counter + at };
      if (this.#nodes.has(nameOf(id))) return;
      const node: Node = { id, value: operation.content[at], isDeleted: false, left: [], right: [] };
      this.#nodes.set(nameOf(id), node);
      (side === 'left' ? parent.left : parent.right).push(node);
      parent = node;
      side = 'right';
    }
  }

  values(): unknown[] {
    const values: unknown[] = [];
    const walk = (node: Node) => {
      for (const child of node.left.toSorted(nearestFirst).reverse()) walk(child);
      if (!node.isDeleted) values.push(node.value);
      for (const child of node.right.toSorted(nearestFirst)) walk(child);
    };
    walk(this.#root);
    return values;
  }

  #node(id: ElementId): Node {
    return this.#nodes.get(nameOf(id))!;
  }
}

function nearestFirst(left: Node, right: Node): number {
  if (left.id.counter !== right.id.counter) return right.id.counter - left.id.counter;
  return left.id.replica < right.id.replica ? -1 : 1;
}

const nameOf = ({ replica, counter }: ElementId) => `${replica} ${counter}`;
