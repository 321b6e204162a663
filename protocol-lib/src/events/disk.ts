import type { ByteSink } from '../ports/index.ts';

/** Called once an operation has taken effect for good, or could not. May be called before the operation returns. */
export type Done = (error?: unknown) => void;

/**
 * One file that grows, as a log needs it. Operations take effect in the order in which they were begun. After a crash
 * there is everything that a `flush` was done for; of what was appended after, any part may be there, in pieces or not.
 */
export interface LogDisk {
  append(bytes: Uint8Array): void;
  /** Makes everything appended so far durable. */
  flush(done: Done): void;
  /** Puts `bytes` in place of everything: after a crash there is the one or the other, whole; the new once it is done. */
  replace(bytes: Uint8Array, done: Done): void;
}

/** Files as a {@link LogDisk} of byte sinks needs them. */
export interface SinkFiles {
  /** Begins an empty file beside the log. */
  create(): ByteSink | Promise<ByteSink>;
  /** Durably puts the file that was last created, and has been flushed, in the place of the log: on POSIX, a rename and a flush of the folder. */
  install(): void | Promise<void>;
}

/**
 * A disk of byte sinks. It writes to files that it has created only: begin with `replace`. One process at a time: two that have opened
 * one file do not see each other, so whoever opens it must hold a lock.
 */
export class SinkDisk implements LogDisk {
  readonly #files: SinkFiles;
  #sink: ByteSink | undefined;
  #work: Promise<void> = Promise.resolve();

  constructor(files: SinkFiles) {
    this.#files = files;
  }

  append(bytes: Uint8Array): void {
    this.#then(() => this.#current().write(bytes));
  }

  flush(done: Done): void {
    this.#then(() => this.#current().flush());
    this.#tell(done);
  }

  replace(bytes: Uint8Array, done: Done): void {
    this.#then(async () => {
      const before = this.#sink;
      const sink = await this.#files.create();
      this.#sink = sink;
      await sink.write(bytes);
      await sink.flush();
      await this.#files.install();
      await before?.close();
    });
    this.#tell(done);
  }

  /** Resolves when all is done and the file is closed. */
  async close(): Promise<void> {
    await this.#work.catch(() => undefined);
    await this.#sink?.close();
    this.#sink = undefined;
  }

  #current(): ByteSink {
    if (!this.#sink) throw new TypeError('a SinkDisk begins with replace, and ends with close');
    return this.#sink;
  }

  /** After a failure nothing more is done: what a failed flush has left on the medium is not known. */
  #then(step: () => void | Promise<void>): void {
    this.#work = this.#work.then(step);
    this.#work.catch(() => undefined);
  }

  #tell(done: Done): void {
    this.#work.then(
      () => done(),
      (error) => done(error ?? new Error('the disk failed')),
    );
  }
}
