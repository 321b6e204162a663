import { onceKey } from './compare-keys.ts';
import type { Side } from './compare-lane.ts';
import type { Placed } from './steps.ts';

/** From where on two captures tell of the same: what one has before is what happened before the other was begun. */
export interface CommonStart {
  /** Position of the first record of each that counts. */
  readonly left: number;
  readonly right: number;
  /** Whose recording began later, where either did. */
  readonly later?: Side;
}

export const SAME_START: CommonStart = { left: 0, right: 0 };

/** Records of each side's beginning that are looked for in the other. */
const BEGINNING = 1_024;
/** Records of which the times are remembered, of those read last. */
const REMEMBERED_TIMES = 65_536;

/** One side, as it is read from its beginning on. */
class Beginning {
  /** Of its first records that a session has once: position and time. */
  readonly once = new Map<number, { readonly position: number; readonly time: number }>();
  begins: number | undefined;
  #times = new Float64Array(REMEMBERED_TIMES);
  #end = 0;

  take({ position, record: { time } }: Placed): void {
    this.begins ??= time;
    this.#times[position % REMEMBERED_TIMES] = time;
    this.#end = position + 1;
  }

  /** The first position up to `end` that is not earlier than `time`, as far as times are remembered. */
  firstFrom(time: number, end: number): number {
    let position = end;
    const least = Math.max(0, this.#end - REMEMBERED_TIMES);
    while (position > least && this.#times[(position - 1) % REMEMBERED_TIMES]! >= time) position--;
    return position;
  }
}

/**
 * Finds where the one recording begins within the other: both are read in turn until a record that a session has once, such as a commit with its root, stands among the first of
 * the other. What one has before the moment at which the other began, on the clock of that record, is before the common start; what it has more of since is a difference.
 */
export class StartFinder {
  readonly #sides = { left: new Beginning(), right: new Beginning() };

  /** The common start, once it is known. */
  take(side: Side, placed: Placed): CommonStart | undefined {
    const other = side === 'left' ? 'right' : 'left';
    const [own, theirs] = [this.#sides[side], this.#sides[other]];
    own.take(placed);
    const key = onceKey(placed.record);
    if (key === undefined) return undefined;
    const place = { position: placed.position, time: placed.record.time };
    if (own.once.size < BEGINNING && !own.once.has(key)) own.once.set(key, place);
    const there = theirs.once.get(key);
    if (!there) return undefined;
    return side === 'left' ? this.#startOf(place, there) : this.#startOf(there, place);
  }

  #startOf(left: { position: number; time: number }, right: { position: number; time: number }): CommonStart {
    const { left: ours, right: theirs } = this.#sides;
    const ahead = left.time - right.time;
    const leftAt = ours.firstFrom((theirs.begins ?? 0) + ahead, left.position);
    const rightAt = theirs.firstFrom((ours.begins ?? 0) - ahead, right.position);
    if (leftAt > 0) return { left: leftAt, right: 0, later: 'right' };
    return rightAt > 0 ? { left: 0, right: rightAt, later: 'left' } : SAME_START;
  }
}
