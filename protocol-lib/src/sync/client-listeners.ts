import type { ClientEvent } from './client-events.ts';

/**
 * What a client has to tell, and those who listen to it. Each event is told to everybody before the next one: what comes of a listener that does
 * something itself, such as a prediction, is told behind what is being told.
 */
export class ClientListeners {
  readonly #listeners = new Set<(event: ClientEvent) => void>();
  #waiting: ClientEvent[] = [];
  #isTelling = false;

  /** Calls `listener` with each event from now on. Returns the function that ends it. */
  on(listener: (event: ClientEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  push(event: ClientEvent): void {
    this.#waiting.push(event);
  }

  /** Tells what waits. @throws what a listener has thrown first, once all were told everything */
  tell(): void {
    if (this.#isTelling || this.#waiting.length === 0) return;
    const failures: unknown[] = [];
    this.#isTelling = true;
    for (let event = this.#waiting.shift(); event; event = this.#waiting.shift()) {
      for (const listener of this.#listeners) {
        try {
          listener(event);
        } catch (error) {
          failures.push(error);
        }
      }
    }
    this.#isTelling = false;
    if (failures.length > 0) throw failures[0];
  }
}
