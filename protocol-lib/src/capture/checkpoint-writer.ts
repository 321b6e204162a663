import type { StateRoot } from '../merkle/index.ts';
import { type Checkpoint, encodeCheckpoint } from './checkpoints.ts';
import type { BlobRef } from './index-blobs.ts';

/** Checkpoints in a row of which each has only what changed since the one before it. */
export const CHAIN_MAX = 16;

/** A checkpoint in the file. */
export interface PlacedCheckpoint {
  readonly replica: number;
  readonly position: number;
  /** The one that it builds on, by its number; -1 where it has all records. */
  readonly since: number;
  /** One, once it has its place. */
  readonly refs: BlobRef[];
}

interface Last {
  readonly number: number;
  readonly root: StateRoot;
  /** Bytes of the last one with all records, and of those with changes since. */
  readonly wholeBytes: number;
  readonly chainBytes: number;
  readonly chain: number;
}

/**
 * Writes checkpoints one after the other: the whole state, then only what changed, until the changes are as many bytes as the whole
 * or {@link CHAIN_MAX} in a row. So they take about as many bytes as the changes themselves, and reading one costs two states at most.
 */
export class CheckpointWriter {
  readonly #placed: PlacedCheckpoint[] = [];
  readonly #last = new Map<number, Last>();
  readonly #write: (bytes: Uint8Array, refs: BlobRef[]) => void;

  /** `write` puts bytes into the file sooner or later, and says in `refs` where they came to be. */
  constructor(write: (bytes: Uint8Array, refs: BlobRef[]) => void) {
    this.#write = write;
  }

  take(replica: number, position: number, state: Checkpoint): void {
    const last = this.#last.get(replica);
    const number = this.#placed.length;
    const changed = last && last.chain < CHAIN_MAX ? encodeCheckpoint(state, last.root) : undefined;
    const isChange = last && changed && last.chainBytes + changed.length < last.wholeBytes;
    const bytes = isChange ? changed : encodeCheckpoint(state);
    const refs: BlobRef[] = [];
    this.#placed.push({ replica, position, since: isChange ? last.number : -1, refs });
    this.#last.set(replica, {
      number,
      root: state.root,
      wholeBytes: isChange ? last.wholeBytes : bytes.length,
      chainBytes: isChange ? last.chainBytes + bytes.length : 0,
      chain: isChange ? last.chain + 1 : 0,
    });
    this.#write(bytes, refs);
  }

  /** Flat, six numbers each: replica, position, number of the one that it builds on, offset, length, CRC-32. */
  figures(): number[] {
    return this.#placed.flatMap(({ replica, position, since, refs }) =>
      refs.flatMap(({ offset, length, crc }) => [replica, position, since, offset, length, crc]),
    );
  }
}
