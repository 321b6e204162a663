import { ALIKE, alignWindow, findAnchor, type Item, likeness, type Step } from './compare-window.ts';

export type Side = 'left' | 'right';

/** Records that are looked at together where two sides are not alike. */
export const WINDOW = 128;
/** How far a place is looked for at which they go on alike, where that is beyond the window. */
export const FAR = 8_192;
/** So many pairs that are alike in a row, and what comes behind is taken one by one again. */
const SETTLED = 8;

/** How much of what both captures have is the same. */
export interface Tally {
  /** Alike in everything. */
  same: number;
  /** Alike but for versions, sequences and counters, as behind a message that only one has. */
  renumbered: number;
  /** The same record with other values. */
  changed: number;
  onlyLeft: number;
  onlyRight: number;
  /** What endpoints said of themselves because a recording began: no part of what happened. */
  described: number;
}

export function noTally(): Tally {
  return { same: 0, renumbered: 0, changed: 0, onlyLeft: 0, onlyRight: 0, described: 0 };
}

/** Where a replica's two sides first part: a pair with other content, or what one or both sides have alone up to where they go on alike. */
export type Parting =
  | { readonly isPair: true; readonly left: number; readonly right: number }
  | {
      readonly isPair: false;
      left?: number;
      right?: number;
      resumes?: { readonly left: number; readonly right: number };
    };

/** Items of one side that wait. */
class Queue {
  #items: Item[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  get first(): Item | undefined {
    return this.#items[this.#head];
  }

  push(item: Item): void {
    this.#items.push(item);
  }

  shift(): Item {
    const item = this.#items[this.#head++]!;
    if (this.#head > 1_024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  next(count: number): Item[] {
    return this.#items.slice(this.#head, this.#head + count);
  }
}

/**
 * One replica's records in two captures, put beside each other as they come. What is alike goes by at once; where it is not, the next {@link WINDOW} records of both
 * are aligned as well as can be, and where they have little in common, the place is looked for within {@link FAR} at which both go on. So time is linear and memory bounded.
 */
export class Lane {
  readonly tally = noTally();
  parting: Parting | undefined;
  /** How far both are through, as positions. */
  readonly through = { left: -1, right: -1 };
  readonly #queues = { left: new Queue(), right: new Queue() };
  readonly #isEnded: Readonly<Record<Side, boolean>>;
  /** A side whose recording began later, so that its endpoints first said where they are. */
  readonly #later: Side | undefined;
  #gap: Extract<Parting, { isPair: false }> | undefined;
  #hasPair = false;
  #taken = 0;
  #farFrom = 0;
  /** How many records have to be there before the next step can be told. */
  #needs = WINDOW;

  constructor(isEnded: Readonly<Record<Side, boolean>>, later: Side | undefined) {
    this.#isEnded = isEnded;
    this.#later = later;
  }

  get waiting(): number {
    return this.#queues.left.length + this.#queues.right.length;
  }

  take(side: Side, item: Item): void {
    this.#queues[side].push(item);
  }

  /** Aligns what can be. `isForced`: with what is there, though more would come. */
  advance(isForced = false): void {
    const { left, right } = this.#queues;
    for (;;) {
      while (left.first && right.first && left.first.content === right.first.content) this.#step('pair');
      if (left.length === 0 || right.length === 0) break;
      if (!isForced && !this.#has(this.#needs)) return;
      this.#needs = this.#resolve(isForced) ? WINDOW : FAR;
      if (this.#needs === FAR) return;
    }
    this.#passAlone(isForced);
  }

  /** Whether so many records are there of both, or all that ever come. */
  #has(count: number): boolean {
    return (['left', 'right'] as const).every((side) => this.#queues[side].length >= count || this.#isEnded[side]);
  }

  /** Where one side has come to its end, or may not be waited for, the other goes on alone. */
  #passAlone(isForced: boolean): void {
    for (const side of ['left', 'right'] as const) {
      const queue = this.#queues[side];
      const isOver = this.#isEnded[side === 'left' ? 'right' : 'left'];
      const most = isOver ? queue.length : isForced ? Math.ceil(queue.length / 2) : 0;
      for (let count = 0; count < most; count++) this.#step(side);
    }
  }

  /** Takes the heads, which are not alike, as far as is certain; false where more has to come before. */
  #resolve(isForced: boolean): boolean {
    const { left, right } = this.#queues;
    const [lefts, rights] = [left.next(WINDOW), right.next(WINDOW)];
    const steps = alignWindow(lefts, rights);
    const isMore = left.length > WINDOW || right.length > WINDOW || !this.#has(WINDOW + 1);
    const isNowhere = isPoor(lefts, rights, steps);
    if (isMore && isNowhere && this.#taken >= this.#farFrom) {
      if (!isForced && !this.#has(FAR)) return false;
      const anchor = findAnchor(left.next(FAR), right.next(FAR));
      if (anchor) {
        this.#takeUpTo(anchor.left, anchor.right);
        return true;
      }
      this.#farFrom = this.#taken + FAR / 2;
    }
    // The end of a window is aligned without what comes behind it, so where there is more only the first half counts, and of that what lies between pairs.
    const certain = isMore && !isNowhere ? steps.slice(0, steps.lastIndexOf('pair') + 1) : steps;
    this.#takeSteps(lefts, rights, certain, isMore ? WINDOW / 2 : WINDOW);
    return true;
  }

  /** Aligns so many records of each side with one another and nothing else. */
  #takeUpTo(lefts: number, rights: number): void {
    let [fromLeft, fromRight] = [lefts, rights];
    while (fromLeft > 0 && fromRight > 0) {
      const [some, others] = [
        this.#queues.left.next(Math.min(WINDOW, fromLeft)),
        this.#queues.right.next(Math.min(WINDOW, fromRight)),
      ];
      const isMore = fromLeft > WINDOW || fromRight > WINDOW;
      const taken = this.#takeSteps(some, others, alignWindow(some, others), isMore ? WINDOW / 2 : WINDOW);
      fromLeft -= taken.left;
      fromRight -= taken.right;
    }
    for (; fromLeft > 0; fromLeft--) this.#step('left');
    for (; fromRight > 0; fromRight--) this.#step('right');
  }

  /** Takes steps until one side has taken `most`, or what is alike goes on by itself. */
  #takeSteps(lefts: readonly Item[], rights: readonly Item[], steps: readonly Step[], most: number) {
    const taken = { left: 0, right: 0 };
    let settled = 0;
    for (const step of steps) {
      if (taken.left >= most || taken.right >= most || settled >= SETTLED) break;
      const isSame = step === 'pair' && likeness(lefts[taken.left]!, rights[taken.right]!) === ALIKE;
      settled = isSame ? settled + 1 : 0;
      if (step !== 'right') taken.left++;
      if (step !== 'left') taken.right++;
      this.#step(step);
    }
    return taken;
  }

  #step(step: Step): void {
    this.#taken++;
    const left = step === 'right' ? undefined : this.#shift('left');
    const right = step === 'left' ? undefined : this.#shift('right');
    if (left && right) this.#pair(left, right);
    else if (left) this.#alone('left', left);
    else if (right) this.#alone('right', right);
  }

  #shift(side: Side): Item {
    const item = this.#queues[side].shift();
    this.through[side] = item.position;
    return item;
  }

  #pair(left: Item, right: Item): void {
    const places = { left: left.position, right: right.position };
    if (this.#gap) this.#gap.resumes = places;
    this.#gap = undefined;
    this.#hasPair = true;
    if (left.content === right.content) {
      this.tally.same++;
      return;
    }
    if (left.values === right.values) this.tally.renumbered++;
    else this.tally.changed++;
    this.parting ??= { isPair: true, ...places };
  }

  #alone(side: Side, { position, isDescribing }: Item): void {
    if (isDescribing && side === this.#later && !this.#hasPair) {
      this.tally.described++;
      return;
    }
    this.tally[side === 'left' ? 'onlyLeft' : 'onlyRight']++;
    this.#gap ??= { isPair: false };
    this.#gap[side] ??= position;
    this.parting ??= this.#gap;
  }
}

/** Whether the window shows next to nothing that both have: then they go on alike beyond it, or nowhere. */
function isPoor(lefts: readonly Item[], rights: readonly Item[], steps: readonly Step[]): boolean {
  let [i, j, good] = [0, 0, 0];
  for (const step of steps) {
    if (step === 'pair' && likeness(lefts[i]!, rights[j]!) > 1) good++;
    if (step !== 'right') i++;
    if (step !== 'left') j++;
  }
  return good * 8 < Math.min(lefts.length, rights.length);
}
