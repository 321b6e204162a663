import type { StateRoot } from '../merkle/index.ts';
import { milliseconds } from '../ports/index.ts';
import type { RecordKey, SyncRecord, Value } from '../state/index.ts';
import type { StateView } from './session.ts';

/** Numbers that move evenly from one known state to the next, such as those of a position. */
export interface MovingFields {
  /** What the keys of the records begin with, such as `ball/`. */
  readonly collection: string;
  readonly fields: readonly string[];
}

/** Times in nanoseconds. */
export interface JitterBufferOptions {
  readonly moving: readonly MovingFields[];
  /** Between two states, as WELCOME says it. */
  readonly interval: number;
  /** The least and the most that is shown behind what has arrived; `interval` and a second where absent. */
  readonly minDelay?: number;
  readonly maxDelay?: number;
  /** States that are kept, and arrivals of which the jitter is measured; 32 where absent. */
  readonly window?: number;
}

/** What is shown at one moment. */
export interface InterpolatedView extends StateView {
  /** The moment of the session that is shown, on the clock of the states. */
  readonly time: number;
  /** Whether the newest state is shown because no later one has come in time. */
  readonly isStarved: boolean;
}

interface KnownState {
  readonly root: StateRoot;
  readonly time: number;
}

/** A gap of more intervals than this between two states is a time in which nothing changed. */
const QUIET_INTERVALS = 2;

/**
 * Shows a session evenly although its states arrive unevenly: always a little behind, between two states that are both known, and never
 * beyond what is known. The delay follows the jitter of the last arrivals; time never runs backwards. Where nothing changed for long, and so no
 * state came, the last one stands until one interval before the next.
 */
export class JitterBuffer {
  readonly #moving: readonly MovingFields[];
  readonly #interval: number;
  readonly #minDelay: number;
  readonly #maxDelay: number;
  readonly #window: number;
  #states: KnownState[] = [];
  /** How long each of the last states was on its way, plus the difference of the clocks. */
  #transits: number[] = [];
  #shown = Number.NEGATIVE_INFINITY;
  /** Whether any state has said when it came about. Before, the clock of the arrivals is that of the states too. */
  #isTold = false;

  /** @throws RangeError for times or a window that are not positive, and where `minDelay` is more than `maxDelay` */
  constructor({
    moving,
    interval,
    minDelay = interval,
    maxDelay = Math.max(minDelay, milliseconds(1_000)),
    window = 32,
  }: JitterBufferOptions) {
    if (!(interval > 0 && minDelay > 0 && minDelay <= maxDelay)) {
      throw new RangeError(`no delay is between ${minDelay} and ${maxDelay} at an interval of ${interval}`);
    }
    if (!Number.isSafeInteger(window) || window < 2)
      throw new RangeError(`a window is 2 or more states, not ${window}`);
    this.#moving = moving;
    this.#interval = interval;
    this.#minDelay = minDelay;
    this.#maxDelay = maxDelay;
    this.#window = window;
  }

  /** How far what is shown is behind the fastest arrival of the last. */
  get delay(): number {
    const jitter = this.#transits.length === 0 ? 0 : Math.max(...this.#transits) - Math.min(...this.#transits);
    return Math.min(this.#maxDelay, Math.max(this.#minDelay, this.#interval + jitter));
  }

  /**
   * A newer state has arrived. `time` is the moment of the session that it shows, on the authority's clock, as `committed` tells it. Where that is not
   * known, `undefined`: it counts as one that was as long on its way as the fastest of the last. One that is not later than the state before, such as
   * after a repair, takes its place. Times that are no numbers are passed over.
   */
  push(root: StateRoot, time: number | undefined, arrivedAt: number): void {
    if (!Number.isFinite(time ?? 0) || !Number.isFinite(arrivedAt)) return;
    if (time !== undefined && !this.#isTold) this.#begin(time, arrivedAt);
    const moment = time ?? arrivedAt - (this.#transits.length === 0 ? 0 : Math.min(...this.#transits));
    const last = this.#states.at(-1);
    const isLater = last === undefined || moment > last.time;
    if (isLater) this.#states.push({ root, time: moment });
    else this.#states[this.#states.length - 1] = { root, time: last.time };
    if (this.#states.length > this.#window) this.#states.shift();
    // What comes again says nothing of the jitter, nor does what was only estimated.
    if (!isLater || (time === undefined && this.#transits.length > 0)) return;
    this.#transits.push(arrivedAt - moment);
    if (this.#transits.length > this.#window) this.#transits.shift();
  }

  /** The first that says its time: what is known already is put on the clock of the states, as if it had been as long on its way. */
  #begin(time: number, arrivedAt: number): void {
    this.#isTold = true;
    const transit = arrivedAt - time;
    this.#states = this.#states.map((state) => ({ ...state, time: state.time - transit }));
    this.#transits = this.#transits.length === 0 ? [] : [transit];
    this.#shown -= transit;
  }

  /** Forgets all states: another session follows, or another life of this one, whose time has nothing to do with theirs. */
  reset(): void {
    this.#states = [];
    this.#transits = [];
    this.#shown = Number.NEGATIVE_INFINITY;
    this.#isTold = false;
  }

  /** What to show at `now`, on the clock of the arrivals; undefined before the first state. */
  at(now: number): InterpolatedView | undefined {
    const [first] = this.#states;
    const last = this.#states.at(-1);
    if (!first || !last) return undefined;
    const due = now - Math.min(...this.#transits) - this.delay;
    const time = Math.min(last.time, Math.max(first.time, this.#shown, due));
    this.#shown = time;
    const later = this.#states.find((state) => state.time > time);
    const from = this.#states.findLast((state) => state.time <= time) ?? first;
    const fraction = later ? this.#fraction(from.time, later.time, time) : 0;
    return between(from.root, later?.root ?? from.root, fraction, this.#moving, time, !later && due > last.time);
  }

  /** How much of the way from one state to the next is done at `time`. */
  #fraction(from: number, to: number, time: number): number {
    const start = to - from > QUIET_INTERVALS * this.#interval ? to - this.#interval : from;
    return Math.max(0, time - start) / (to - start);
  }
}

/** The state that is `fraction` (0 to 1) of the way between two: records and all that does not move are those of the first. */
function between(
  from: StateRoot,
  to: StateRoot,
  fraction: number,
  moving: readonly MovingFields[],
  time: number,
  isStarved: boolean,
): InterpolatedView {
  const shown = (key: RecordKey, record: SyncRecord) => moved(record, to.get(key), fieldsOf(moving, key), fraction);
  return {
    time,
    isStarved,
    get(key) {
      const record = from.get(key);
      return record && shown(key, record);
    },
    *entries(prefix) {
      for (const [key, record] of from.entries(prefix)) yield [key, shown(key, record)] as const;
    },
  };
}

function fieldsOf(moving: readonly MovingFields[], key: RecordKey): string[] {
  return moving.flatMap(({ collection, fields }) => (key.startsWith(collection) ? fields : []));
}

function moved(from: SyncRecord, to: SyncRecord | undefined, fields: readonly string[], fraction: number): SyncRecord {
  if (to === undefined || to === from || fraction === 0 || fields.length === 0) return from;
  const record: Record<string, Value> = { ...from };
  for (const field of fields) {
    const start = Object.hasOwn(from, field) ? from[field] : undefined;
    const end = Object.hasOwn(to, field) ? to[field] : undefined;
    // Weighted, so that it never leaves the two values however large they are.
    if (typeof start === 'number' && typeof end === 'number') record[field] = start * (1 - fraction) + end * fraction;
  }
  return record;
}
