import type { ReplicaId } from '../../state/index.ts';
import type { ElementId } from './block.ts';
import type { RgaOperation } from './operation.ts';

interface Held {
  readonly operation: RgaOperation;
  /** The operation waits until this much of its writer was seen. */
  readonly missing: ElementId;
  readonly size: number;
}

export interface HeldLimits {
  /** Operations that wait at once. */
  readonly operations: number;
  /** Elements and ranges in them. */
  readonly elements: number;
}

/** Operations whose cause has not arrived, by what they wait for; bounded. */
export class HeldOperations {
  readonly #limits: HeldLimits;
  /** By writer that is waited for; the one that waits for the highest counter first. */
  readonly #waiting = new Map<ReplicaId, Held[]>();
  readonly #byId = new Map<string, Held>();
  #elements = 0;

  constructor(limits: HeldLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#byId.size;
  }

  /** The first of what is waited for, of each writer. */
  missing(): ElementId[] {
    return Array.from(this.#waiting.values(), (list) => list[list.length - 1]!.missing);
  }

  get(operation: RgaOperation): RgaOperation | undefined {
    return this.#byId.get(idOf(operation))?.operation;
  }

  /** False, and not held, where that would pass a limit. */
  add(operation: RgaOperation, missing: ElementId): boolean {
    const size = operation.op === 'insert' ? operation.content.length : operation.ranges.length;
    if (this.size >= this.#limits.operations || this.#elements + size > this.#limits.elements) return false;
    const held: Held = { operation, missing, size };
    const list = this.#waiting.get(missing.replica) ?? [];
    let at = list.length;
    while (at > 0 && list[at - 1]!.missing.counter < missing.counter) at--;
    list.splice(at, 0, held);
    this.#waiting.set(missing.replica, list);
    this.#byId.set(idOf(operation), held);
    this.#elements += size;
    return true;
  }

  /** Takes out one operation that waits for no more than `counter` of `replica`. */
  release(replica: ReplicaId, counter: number): RgaOperation | undefined {
    const list = this.#waiting.get(replica);
    const held = list?.[list.length - 1];
    if (list === undefined || held === undefined || held.missing.counter > counter) return undefined;
    list.pop();
    if (list.length === 0) this.#waiting.delete(replica);
    this.#byId.delete(idOf(held.operation));
    this.#elements -= held.size;
    return held.operation;
  }
}

function idOf({ replica, counter }: RgaOperation): string {
  return `${replica} ${counter}`;
}
