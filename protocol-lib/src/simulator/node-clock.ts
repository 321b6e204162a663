import type { Clock } from '../ports/index.ts';
import type { ClockShape } from './shape.ts';

/** A node's own clock: started at any time, too fast or too slow, and sometimes set. */
export class NodeClock implements Clock {
  readonly #world: Clock;
  readonly #shape: ClockShape;
  #steps = 0;

  constructor(world: Clock, shape: ClockShape) {
    this.#world = world;
    this.#shape = shape;
  }

  now(): number {
    const { offset, drift } = this.#shape;
    return Math.max(0, Math.round(offset + this.#world.now() * (1 + drift)) + this.#steps);
  }

  /** Sets it forward, or back with a negative number of nanoseconds. */
  step(by: number): void {
    this.#steps += by;
  }
}
