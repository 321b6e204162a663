/** What is to happen, by trace time and then by order. */
export interface Event {
  readonly time: number;
  readonly order: number;
  readonly run: () => void;
}

/** A heap of events. */
export class Timeline {
  readonly #events: Event[] = [];

  get isEmpty(): boolean {
    return this.#events.length === 0;
  }

  add(event: Event): void {
    const events = this.#events;
    let at = events.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, events[parent]!)) break;
      events[at] = events[parent]!;
      at = parent;
    }
    events[at] = event;
  }

  /** Runs all events up to `end`, in order, also those that they add; `clock` stands at the time of each, and never goes back. */
  runUntil(end: number, clock: { time: number }): void {
    for (let event = this.take(); event; event = this.take()) {
      if (event.time > end) break;
      clock.time = Math.max(clock.time, event.time);
      event.run();
    }
  }

  take(): Event | undefined {
    const events = this.#events;
    const [first] = events;
    const last = events.pop();
    if (first === undefined || last === undefined || events.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= events.length) break;
      if (child + 1 < events.length && isBefore(events[child + 1]!, events[child]!)) child++;
      if (!isBefore(events[child]!, last)) break;
      events[at] = events[child]!;
      at = child;
    }
    events[at] = last;
    return first;
  }
}

function isBefore(left: Event, right: Event): boolean {
  return left.time < right.time || (left.time === right.time && left.order < right.order);
}
