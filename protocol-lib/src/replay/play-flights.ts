import type { VersionVector } from '../clock/index.ts';
import type { ReplicaId } from '../state/index.ts';
import type { PlayedIntent } from './play-script.ts';
import type { AtOnce } from './play-types.ts';

interface Flight {
  readonly intent: PlayedIntent;
  /** The counter that it has here. */
  readonly counter: number;
  isAnswered: boolean;
}

/** What a difference names at most. */
const NAMED_MAX = 20;

/**
 * Commands on their way, and those that were so at once with another client's: in which order these were decided cannot be told from outside, until a
 * state that they are in is found equal.
 */
export class Flights {
  readonly #open = new Map<ReplicaId, Map<number, Flight>>();
  readonly #doubtful = new Map<ReplicaId, Map<number, Flight>>();
  #count = 0;
  #most = 0;

  get count(): number {
    return this.#count;
  }

  get most(): number {
    return this.#most;
  }

  /** Those of a client, oldest first. */
  of(replica: ReplicaId): Iterable<PlayedIntent> {
    return Array.from(this.#open.get(replica)?.values() ?? [], ({ intent }) => intent);
  }

  intentOf(replica: ReplicaId, counter: number): PlayedIntent | undefined {
    return this.#open.get(replica)?.get(counter)?.intent;
  }

  /** The one that has waited longest. */
  get oldest(): { readonly intent: PlayedIntent; readonly counter: number } | undefined {
    for (const flights of this.#open.values()) for (const flight of flights.values()) return flight;
    return undefined;
  }

  countOf(replica: ReplicaId): number {
    return this.#open.get(replica)?.size ?? 0;
  }

  isOnlyOf(replica: ReplicaId): boolean {
    return this.#count === this.countOf(replica);
  }

  start(intent: PlayedIntent, counter: number): void {
    const flight: Flight = { intent, counter, isAnswered: false };
    const { replica } = intent;
    if (!this.isOnlyOf(replica)) {
      keep(this.#doubtful, replica, flight);
      for (const [other, flights] of this.#open) {
        if (other !== replica) for (const one of flights.values()) keep(this.#doubtful, other, one);
      }
    }
    keep(this.#open, replica, flight);
    this.#count++;
    this.#most = Math.max(this.#most, this.#count);
  }

  end(replica: ReplicaId, counter: number): void {
    const flights = this.#open.get(replica);
    const flight = flights?.get(counter);
    if (!flights || !flight) return;
    flight.isAnswered = true;
    flights.delete(counter);
    this.#count--;
  }

  /** A state with all of a vector is as it was: in whichever order they were decided, it made no difference. */
  settle(vector: VersionVector): void {
    for (const [replica, flights] of this.#doubtful) {
      const settled = vector.get(replica);
      for (const counter of flights.keys()) if (counter <= settled) flights.delete(counter);
      if (flights.size === 0) this.#doubtful.delete(replica);
    }
  }

  /** Those that may have been decided in another order up to a vector, as they were decided then; `also` is one that was just answered. */
  doubtful(vector: VersionVector, also?: { readonly replica: ReplicaId; readonly counter: number }): AtOnce[] {
    const found: PlayedIntent[] = [];
    for (const [replica, flights] of this.#doubtful) {
      const settled = vector.get(replica);
      for (const { intent, counter, isAnswered } of flights.values()) {
        const isThis = also?.replica === replica && also.counter === counter;
        if (isAnswered || isThis || counter <= settled) found.push(intent);
      }
    }
    found.sort((left, right) => left.answer.seq - right.answer.seq);
    return found.slice(0, NAMED_MAX).map(({ replica, counter, command }) => ({ replica, counter, command }));
  }
}

function keep(into: Map<ReplicaId, Map<number, Flight>>, replica: ReplicaId, flight: Flight): void {
  const flights = into.get(replica);
  if (flights) flights.set(flight.counter, flight);
  else into.set(replica, new Map([[flight.counter, flight]]));
}
