import { canonicalBytes, toHex } from '../bytes/index.ts';
import { SyncError } from '../errors/index.ts';
import type { StateRoot } from '../merkle/index.ts';
import { type Infer, object, uint } from '../schema/index.ts';
import type { ReplicaId } from '../state/index.ts';
import { mutationIdSchema } from '../trace/index.ts';
import { domainEventSchema, type Reducer } from './domain.ts';

/** An event with its place in the one order of all: by `time`, then by writer, then by counter. */
export const orderedEventSchema = object({
  /** A Lamport time or a timestamp; that of a writer's next event is greater. */
  time: uint,
  mutation: mutationIdSchema,
  event: domainEventSchema,
});
export type OrderedEvent = Infer<typeof orderedEventSchema>;

/** An event in its place, with what it did there. */
export interface AppliedEvent extends OrderedEvent {
  /** The state after it. */
  readonly root: StateRoot;
  /** Why its reducer could do nothing in this place; the state is the one before. */
  readonly failure?: string;
}

/** What became of an arrival. */
export type Arrival =
  /** It is in its place, with `count` in all that were waiting for it. `rewound` events after the place were run again. */
  | { readonly outcome: 'applied'; readonly count: number; readonly rewound: number }
  /** It waits for the events of its writer from `missing` on. */
  | { readonly outcome: 'held'; readonly missing: number }
  | { readonly outcome: 'duplicate' };

/** Events of a writer that must come before others of its, which are here, can be applied. */
export interface EventGap {
  readonly writer: ReplicaId;
  readonly from: number;
  readonly to: number;
}

export interface EventBufferOptions {
  readonly initial: StateRoot;
  readonly reduce: Reducer;
  /** Events that may wait for a gap to close; 10,000 where absent. */
  readonly maxHeld?: number;
  /** Events that can still be rewound; 100,000 where absent. {@link EventBuffer.settle} makes room. */
  readonly maxEvents?: number;
}

interface Writer {
  /** Its last event that is in the order, or was settled; 0 before the first. */
  counter: number;
  time: number;
  /** By counter: what is in its place and not settled, and what is held behind a gap. */
  readonly placed: Map<number, OrderedEvent>;
  readonly held: Map<number, OrderedEvent>;
}

/**
 * Puts events that arrive late, twice or in any order into the one order of all, and keeps the state that they come to in
 * that order: a late one rewinds to its place and runs the rest again. The log and the state depend on which events have
 * arrived, and on nothing else.
 */
export class EventBuffer {
  readonly #reduce: Reducer;
  readonly #maxHeld: number;
  readonly #maxEvents: number;
  #base: StateRoot;
  /** In order. */
  #placed: OrderedEvent[] = [];
  /** As far as they have been run since the last rewind. */
  #applied: AppliedEvent[] = [];
  readonly #writers = new Map<ReplicaId, Writer>();
  #held = 0;
  /** Everything up to here is settled. */
  #settled = -1;

  constructor({ initial, reduce, maxHeld = 10_000, maxEvents = 100_000 }: EventBufferOptions) {
    this.#base = initial;
    this.#reduce = reduce;
    this.#maxHeld = maxHeld;
    this.#maxEvents = maxEvents;
  }

  /** The state after all events that are in their place. */
  get root(): StateRoot {
    return this.events.at(-1)?.root ?? this.#base;
  }

  /** The events that are in their place and not settled, in order. What was rewound is run again here, once for all that have arrived. */
  get events(): readonly AppliedEvent[] {
    for (let at = this.#applied.length; at < this.#placed.length; at++) this.#run(this.#placed[at]!);
    return this.#applied;
  }

  /** Events that wait for a gap to close. */
  get held(): number {
    return this.#held;
  }

  /** What is missing, ascending by writer. */
  get gaps(): EventGap[] {
    const gaps: EventGap[] = [];
    for (const [writer, { counter, held }] of this.#writers) {
      let from = counter + 1;
      for (const there of [...held.keys()].sort((a, b) => a - b)) {
        if (there > from) gaps.push({ writer, from, to: there - 1 });
        from = there + 1;
      }
    }
    return gaps.sort((a, b) => (a.writer < b.writer ? -1 : a.writer > b.writer ? 1 : a.from - b.from));
  }

  /**
   * Takes an event that arrived. One that is refused changes nothing.
   * @throws SyncError `EVENT_CONFLICT` another event has this writer and counter; `EVENT_DISORDERED` its time does not lie
   * between those of its writer's neighbours; `EVENT_TOO_LATE` its place is settled; `BUFFER_FULL` as many as may be are held or kept;
   * `SCHEMA_MISMATCH` it is no event
   */
  add(arrived: OrderedEvent): Arrival {
    const event = orderedEventSchema.parse(arrived, 'event');
    const { writer, counter } = event.mutation;
    if (counter < 1) throw eventError('EVENT_DISORDERED', event, 'counters count from 1');
    const known = this.#writers.get(writer) ?? { counter: 0, time: -1, placed: new Map(), held: new Map() };
    const twin = known.placed.get(counter) ?? known.held.get(counter);
    if (twin && textOf(twin) !== textOf(event)) {
      throw eventError('EVENT_CONFLICT', event, 'another event came under this counter');
    }
    // What is settled is not compared any more.
    if (twin || counter <= known.counter) return { outcome: 'duplicate' };
    this.#checkTime(known, event);
    return counter > known.counter + 1 ? this.#hold(known, event) : this.#place(known, event);
  }

  /** A writer's times must rise with its counters, whichever of its events come first. */
  #checkTime(writer: Writer, event: OrderedEvent): void {
    const { time, mutation } = event;
    if (time <= this.#settled)
      throw eventError('EVENT_TOO_LATE', event, `everything up to ${this.#settled} is settled`);
    let isRising = time > writer.time;
    for (const [counter, other] of writer.held) {
      if (counter < mutation.counter ? other.time >= time : other.time <= time) isRising = false;
    }
    if (!isRising) throw eventError('EVENT_DISORDERED', event, 'times of a writer rise with its counters');
  }

  #hold(writer: Writer, event: OrderedEvent): Arrival {
    if (this.#held >= this.#maxHeld) throw this.#full(event, `${this.#held} events wait for others`);
    this.#writers.set(event.mutation.writer, writer);
    writer.held.set(event.mutation.counter, event);
    this.#held++;
    return { outcome: 'held', missing: writer.counter + 1 };
  }

  #place(writer: Writer, first: OrderedEvent): Arrival {
    const arrived = [first];
    for (let next = first.mutation.counter + 1; ; next++) {
      const held = writer.held.get(next);
      if (!held) break;
      arrived.push(held);
    }
    if (this.#placed.length + arrived.length > this.#maxEvents) {
      throw this.#full(first, `${this.#placed.length} events are kept for rewinding`);
    }
    const last = arrived.at(-1)!;
    this.#held -= arrived.length - 1;
    writer.counter = last.mutation.counter;
    writer.time = last.time;
    for (const event of arrived) {
      writer.held.delete(event.mutation.counter);
      writer.placed.set(event.mutation.counter, event);
    }
    this.#writers.set(first.mutation.writer, writer);
    const at = this.#placeOf(first);
    const after = this.#placed.splice(at);
    for (const event of [...after, ...arrived].sort(compareEvents)) this.#placed.push(event);
    this.#applied.length = Math.min(this.#applied.length, at);
    return { outcome: 'applied', count: arrived.length, rewound: after.length };
  }

  #placeOf(event: OrderedEvent): number {
    let low = 0;
    let high = this.#placed.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareEvents(this.#placed[middle]!, event) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #run({ time, mutation, event }: OrderedEvent): void {
    const before = this.#applied.at(-1)?.root ?? this.#base;
    try {
      this.#applied.push({ time, mutation, event, root: before.apply(this.#reduce(before, event)) });
    } catch (error) {
      const failure = error instanceof Error ? error.message : String(error);
      this.#applied.push({ time, mutation, event, root: before, failure });
    }
  }

  /**
   * The time up to which nothing more can arrive, if these are all the writers there are and each sends its events in order
   * of time: the least of their last times; -1 where one has not been heard.
   */
  settledBy(writers: Iterable<ReplicaId>): number {
    let least = Number.POSITIVE_INFINITY;
    for (const writer of writers) least = Math.min(least, this.#writers.get(writer)?.time ?? -1);
    return least === Number.POSITIVE_INFINITY ? -1 : least;
  }

  /**
   * Gives up rewinding events up to a time, and answers them in order. What arrives for a place among them is refused from now on.
   * @throws SyncError `EVENT_GAP` where an event up to that time still waits for others; nothing is settled then
   */
  settle(time: number): AppliedEvent[] {
    for (const { counter, held } of this.#writers.values()) {
      for (const event of held.values()) {
        if (event.time <= time) throw eventError('EVENT_GAP', event, `waits for ${counter + 1}`);
      }
    }
    const count = this.events.findIndex((one) => one.time > time);
    const settled = this.#applied.splice(0, count < 0 ? this.#applied.length : count);
    this.#placed.splice(0, settled.length);
    for (const { mutation } of settled) this.#writers.get(mutation.writer)?.placed.delete(mutation.counter);
    this.#base = settled.at(-1)?.root ?? this.#base;
    this.#settled = Math.max(this.#settled, time);
    return settled;
  }

  #full(event: OrderedEvent, text: string): SyncError {
    return new SyncError('BUFFER_FULL', `${nameOf(event)}: ${text}, as many as may`, {
      origin: 'state',
      retry: 'backoff',
    });
  }
}

/** The one order of all events. */
export function compareEvents(left: OrderedEvent, right: OrderedEvent): number {
  if (left.time !== right.time) return left.time - right.time;
  const a = left.mutation;
  const b = right.mutation;
  if (a.writer !== b.writer) return a.writer < b.writer ? -1 : 1;
  return a.counter - b.counter;
}

function textOf(event: OrderedEvent): string {
  return toHex(canonicalBytes(event));
}

function nameOf({ mutation }: OrderedEvent): string {
  return `event ${mutation.counter} of ${mutation.writer}`;
}

function eventError(code: string, event: OrderedEvent, text: string): SyncError {
  return new SyncError(code, `${nameOf(event)} at time ${event.time}: ${text}`, { origin: 'state' });
}
