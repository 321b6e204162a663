/**
 * What the core needs from the world, injected so that production, tests, the simulator and replay
 * differ only in what they pass in.
 */

/** Time in nanoseconds, monotonic, from an arbitrary start. Safe integers: good for 104 days. */
export interface Clock {
  now(): number;
}

/** A seeded stream of uniform numbers in [0, 1). */
export interface Random {
  next(): number;
}

/** An ordered, message-preserving byte channel to one peer. */
export interface Transport {
  send(frame: Uint8Array): void;
  close(reason: string): void;
  onFrame(listener: (frame: Uint8Array) => void): void;
  onClose(listener: (reason: string) => void): void;
}

/** Random-access bytes, such as a file, a Blob or a buffer in memory. */
export interface ByteSource {
  /** Bytes that exist now. A growing source may answer more later. */
  size(): Promise<number>;
  /** Exactly `length` bytes from `offset`; rejects where the source is shorter. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** The same at once, where the source can: a file in Node, a Blob in a worker. Throws where {@link read} rejects. */
  readNow?(offset: number, length: number): Uint8Array;
}

/** Append-only bytes, such as a file being written. */
export interface ByteSink {
  write(bytes: Uint8Array): void | Promise<void>;
  /** Makes what was written durable as far as the medium can. */
  flush(): void | Promise<void>;
  close(): void | Promise<void>;
  /**
   * Where the medium can: hands over all that was written. Where `instead` is called, what goes into the sink that it answers takes the place of that, whole
   * or, where `write` rejects, not at all. Nothing but {@link close} may follow.
   */
  rewrite?(write: (written: ByteSource, instead: () => Promise<ByteSink>) => Promise<void>): Promise<void>;
}

const NANOSECONDS_PER_MILLISECOND = 1_000_000;

export function milliseconds(value: number): number {
  return value * NANOSECONDS_PER_MILLISECOND;
}

/** mulberry32: a small 32-bit generator, good enough for workloads, not for secrets. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return {
    next() {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
    },
  };
}
