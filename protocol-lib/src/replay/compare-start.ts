import { hashOf, onceKey, PASSED_OVER } from './compare-keys.ts';
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
/** Records by which it shows that both begin alike: the first of a recording that begins later say where its session is by then. */
const FIRST = 6;
/** So many that were found in both have to be as far apart in time: one that comes again may be taken for the other. */
const AGREEING = 12;
/** Of a branch or another run, hardly two are: after so many, those in the middle decide. */
const MOST_FOUND = 64;
/** Records of which the times are remembered, of those read last. */
const REMEMBERED_TIMES = 65_536;

/** One side, as it is read from its beginning on. */
class Beginning {
  /** Of its first records that a session has once: position and time. */
  readonly once = new Map<number, { readonly position: number; readonly time: number }>();
  /** What its first records are. */
  readonly first: number[] = [];
  begins: number | undefined;
  #times = new Float64Array(REMEMBERED_TIMES);
  #end = 0;

  take({ position, record: { time, replica, body } }: Placed): void {
    this.begins ??= time;
    this.#times[position % REMEMBERED_TIMES] = time;
    this.#end = position + 1;
    if (this.first.length < FIRST && !PASSED_OVER.has(body.kind)) this.first.push(hashOf([replica, body]));
  }

  isLike({ first }: Beginning): boolean {
    return first.length === FIRST && this.first.length === FIRST && first.every((key, at) => key === this.first[at]);
  }

  /** The first position up to `end` that is not earlier than `time`, as far as times are remembered. */
  firstFrom(time: number, end: number): number {
    let position = end;
    const least = Math.max(0, this.#end - REMEMBERED_TIMES);
    while (position > least && this.#times[(position - 1) % REMEMBERED_TIMES]! >= time) position--;
    return position;
  }
}

/** A record that both have. */
interface Found {
  readonly left: { readonly position: number; readonly time: number };
  readonly right: { readonly position: number; readonly time: number };
  /** Nanoseconds by which the left one is later. */
  readonly ahead: number;
}

/**
 * Finds where the one recording begins within the other: both are read in turn until records that a session has once, such as a commit with its root, stand among the first of
 * the other. What one has before the moment at which the other began, on the clock of that record, is before the common start; what it has more of since is a difference.
 */
export class StartFinder {
  readonly #sides = { left: new Beginning(), right: new Beginning() };
  readonly #found: Found[] = [];

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
    const [left, right] = side === 'left' ? [place, there] : [there, place];
    const found: Found = { left, right, ahead: left.time - right.time };
    this.#found.push(found);
    if (this.#found.filter(({ ahead }) => ahead === found.ahead).length >= AGREEING) return this.#startOf(found);
    return this.#found.length >= MOST_FOUND ? this.end() : undefined;
  }

  /** By what was found, where there is no more: that on which most agree, or what is in the middle. */
  end(): CommonStart {
    const found = this.#found.toSorted((one, other) => one.ahead - other.ahead);
    const counts = new Map<number, number>();
    for (const { ahead } of found) counts.set(ahead, (counts.get(ahead) ?? 0) + 1);
    const most = Math.max(0, ...counts.values());
    const best = most > 1 ? found.find(({ ahead }) => counts.get(ahead) === most) : found[found.length >> 1];
    return best ? this.#startOf(best) : SAME_START;
  }

  #startOf({ left, right, ahead }: Found): CommonStart {
    const { left: ours, right: theirs } = this.#sides;
    // The times of a branch, or of another run, are not quite the same: by them alone one would begin later.
    if (ours.isLike(theirs)) return SAME_START;
    const leftAt = ours.firstFrom((theirs.begins ?? 0) + ahead, left.position);
    const rightAt = theirs.firstFrom((ours.begins ?? 0) - ahead, right.position);
    if (leftAt > 0) return { left: leftAt, right: 0, later: 'right' };
    return rightAt > 0 ? { left: 0, right: rightAt, later: 'left' } : SAME_START;
  }
}
