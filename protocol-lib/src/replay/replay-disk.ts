import { type Done, joinBytes, type LogDisk } from '../events/index.ts';

interface Operation {
  readonly done: Done;
  /** The bytes of the file once it is done. */
  readonly contents: () => Uint8Array;
}

/** A disk whose operations are done when the recording says that they were. */
export class ReplayDisk implements LogDisk {
  #durable: Uint8Array;
  #appended: Uint8Array[] = [];
  readonly #operations: Operation[] = [];
  readonly #onBegun: () => void;

  /** `onBegun` is called with each operation that waits for {@link complete}. */
  constructor(contents: Uint8Array, onBegun: () => void) {
    this.#durable = contents;
    this.#onBegun = onBegun;
  }

  /** What a process would find that starts after this one crashed. */
  get durable(): Uint8Array {
    return this.#durable;
  }

  /** Operations that are not done. */
  get waiting(): number {
    return this.#operations.length;
  }

  append(bytes: Uint8Array): void {
    this.#appended.push(bytes);
  }

  flush(done: Done): void {
    const appended = this.#appended;
    this.#appended = [];
    this.#begin({ done, contents: () => joinBytes([this.#durable, ...appended]) });
  }

  replace(bytes: Uint8Array, done: Done): void {
    this.#appended = [];
    this.#begin({ done, contents: () => bytes });
  }

  /** The oldest operation is done, or fails. Nothing where none waits, as where a recording goes another way. */
  complete(failure: string | undefined): void {
    const operation = this.#operations.shift();
    if (!operation) return;
    if (failure !== undefined) {
      operation.done(new Error(failure));
      return;
    }
    this.#durable = operation.contents();
    operation.done();
  }

  #begin(operation: Operation): void {
    this.#operations.push(operation);
    this.#onBegun();
  }
}
