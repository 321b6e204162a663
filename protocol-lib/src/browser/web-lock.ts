import type { SendRight } from '../offline/index.ts';

/**
 * The right to send as a Web Lock, one for all tabs of an origin: free the moment that its tab is gone, whatever became of it.
 */
export class WebLock implements SendRight {
  readonly #name: string;
  readonly #locks: LockManager;
  #release: (() => void) | undefined;
  #asking: Promise<boolean> | undefined;

  constructor(name: string, locks: LockManager = navigator.locks) {
    this.#name = name;
    this.#locks = locks;
  }

  acquire(): Promise<boolean> {
    if (this.#release) return Promise.resolve(true);
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async release(): Promise<void> {
    this.#release?.();
    this.#release = undefined;
  }

  #ask(): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const held = this.#locks.request(this.#name, { ifAvailable: true }, (lock) => {
        if (!lock) {
          resolve(false);
          return undefined;
        }
        // It is held for as long as this is not resolved.
        const { promise, resolve: release } = Promise.withResolvers<void>();
        this.#release = release;
        resolve(true);
        return promise;
      });
      held.catch((error: unknown) => {
        // Somebody has taken it away.
        this.#release = undefined;
        reject(error);
      });
    });
  }
}
