import type { Random } from '../ports/index.ts';
import type { Done, LogDisk } from './disk.ts';
import { joinBytes } from './log-file.ts';

interface Operation {
  readonly bytes: Uint8Array;
  readonly kind: 'append' | 'flush' | 'replace';
  readonly done?: Done;
}

/** What becomes of a write that was never flushed. */
const FATES = ['kept', 'kept', 'dropped', 'torn', 'flipped'] as const;

/**
 * A disk in memory that can fail as disks do: for tests and the simulator. With `isHeld`, a flush or replace is done when
 * {@link SimulatedDisk.complete} says so; otherwise at once.
 */
export class SimulatedDisk implements LogDisk {
  /** What the last completed operation has made durable. */
  #durable: Uint8Array;
  /** Begun since, in order. */
  #operations: Operation[] = [];
  #failure: unknown;
  isHeld = false;

  constructor(contents: Uint8Array = new Uint8Array(0)) {
    this.#durable = contents;
  }

  /** What is there whatever happens. */
  get durable(): Uint8Array {
    return this.#durable;
  }

  /** What a process would read that starts now, the machine still running. */
  get contents(): Uint8Array {
    const appends = this.#operations.filter(({ kind }) => kind === 'append');
    return joinBytes([this.#durable, ...appends.map(({ bytes }) => bytes)]);
  }

  /** Flushes and replaces that wait for {@link complete}. */
  get held(): number {
    return this.#operations.filter(({ kind }) => kind !== 'append').length;
  }

  append(bytes: Uint8Array): void {
    this.#operations.push({ kind: 'append', bytes });
  }

  flush(done: Done): void {
    this.#begin({ kind: 'flush', bytes: new Uint8Array(0), done });
  }

  replace(bytes: Uint8Array, done: Done): void {
    this.#begin({ kind: 'replace', bytes, done });
  }

  #begin(operation: Operation): void {
    this.#operations.push(operation);
    if (!this.isHeld) while (this.complete()) {}
  }

  /** Completes the oldest flush or replace; false where there is none. */
  complete(): boolean {
    const at = this.#operations.findIndex(({ kind }) => kind !== 'append');
    if (at < 0) return false;
    const operations = this.#operations.splice(0, at + 1);
    const { kind, bytes, done } = operations[at]!;
    if (this.#failure !== undefined) {
      // What it would have made durable may be there or not: it stays as something that was never flushed.
      if (kind === 'flush') this.#operations.unshift(...operations.slice(0, at));
      done?.(this.#failure);
      return true;
    }
    const appended = operations.slice(0, at).map((one) => one.bytes);
    this.#durable = kind === 'replace' ? bytes : joinBytes([this.#durable, ...appended]);
    done?.();
    return true;
  }

  /** From now on every flush and replace fails, as when the disk is full or broken. */
  fail(error: unknown): void {
    this.#failure = error;
  }

  /** What a crash leaves: the durable bytes, and of each later write all, nothing, a beginning, or one flipped bit. A new disk. */
  crash(random: Random): SimulatedDisk {
    const pick = (below: number): number => Math.floor(random.next() * below);
    let kept = this.#durable;
    /** Bytes from the start that nothing can take away. */
    let safe = kept.length;
    for (const { kind, bytes } of this.#operations) {
      if (kind === 'flush') continue;
      if (kind === 'replace') {
        if (pick(2) === 0) {
          kept = bytes;
          safe = bytes.length;
        }
        continue;
      }
      const written = bytes.slice();
      const fate = FATES[pick(FATES.length)];
      const at = pick(written.length);
      // The file may have grown already where its bytes are still missing.
      if (fate === 'dropped') written.fill(0);
      if (fate === 'torn') written.fill(0, at);
      if (fate === 'flipped') written[at] = written[at]! ^ (1 << pick(8));
      kept = joinBytes([kept, written]);
    }
    const lost = pick(2) === 0 ? pick(kept.length - safe + 1) : 0;
    return new SimulatedDisk(kept.slice(0, kept.length - lost));
  }
}
