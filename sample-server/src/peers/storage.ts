import type { LogDisk } from '@syncscope/protocol/events';
import type { Value } from '@syncscope/protocol/state';

/** What a storage holds. */
export interface StoredContents {
  readonly values: readonly { readonly name: string; readonly value: Value }[];
  readonly file: Uint8Array;
}

/**
 * What a peer keeps over a crash: values by name, and one file. It lives as long as the server, since peers of a demonstration crash and the
 * machine does not; a member of a real group passes a file of the file system.
 */
export class PeerStorage {
  readonly disk: MemoryFile = new MemoryFile();
  readonly #values = new Map<string, Value>();

  /** Values are copied in and out, as through a file. */
  put(name: string, value: Value): void {
    this.#values.set(name, structuredClone(value));
  }

  get(name: string): Value | undefined {
    return structuredClone(this.#values.get(name));
  }

  /** All of it, for another one to begin {@link PeerStorage.of}. */
  get contents(): StoredContents {
    return { values: this.values, file: this.disk.contents };
  }

  get values(): StoredContents['values'] {
    return Array.from(this.#values, ([name, value]) => ({ name, value: structuredClone(value) }));
  }

  static of({ values, file }: StoredContents): PeerStorage {
    const storage = new PeerStorage();
    for (const { name, value } of values) storage.put(name, value);
    storage.disk.replace(file);
    return storage;
  }
}

/** A file whose bytes outlive who wrote them. A writer that has crashed writes no more: {@link MemoryFile.open} gives each life its own way in. */
export class MemoryFile {
  #bytes: Uint8Array[] = [];
  #lives = 0;

  get contents(): Uint8Array {
    const whole = new Uint8Array(this.#bytes.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of this.#bytes) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }

  /** Puts other bytes in it, before anybody has opened it. */
  replace(bytes: Uint8Array): void {
    this.#bytes = bytes.length > 0 ? [bytes.slice()] : [];
  }

  /** The file for one life; whoever had it before is shut out. */
  open(): LogDisk {
    const life = ++this.#lives;
    const isMine = (): boolean => life === this.#lives;
    let unflushed: Uint8Array[] = [];
    return {
      append: (bytes) => {
        unflushed.push(bytes.slice());
      },
      flush: (done) => {
        if (!isMine()) return;
        this.#bytes.push(...unflushed);
        unflushed = [];
        done();
      },
      replace: (bytes, done) => {
        if (!isMine()) return;
        unflushed = [];
        this.#bytes = [bytes.slice()];
        done();
      },
    };
  }
}
