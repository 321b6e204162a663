import { isSyncError } from '../errors/index.ts';
import { advance, type Committed, nothingKnown } from './committed.ts';
import { decodeTraceRecord } from './record-codec.ts';

/** Records of one replica's state that may lie between any place and a state that is read at once. */
export const CHECKPOINT_STATES = 256;
/** So many are waited for until one tells a root hash. */
const UNTOLD_STATES = 4 * CHECKPOINT_STATES;
/** What one replica's records may take while they wait to be worked out; a state above that has no checkpoints. */
const WAITING_MAX_BYTES = 1024 * 1024;
const FIRST_BYTES = 1024;

/** What is known of one replica while records come. */
interface Waiting {
  /** The state before the records that wait; undefined where the first of them tells all of it. */
  state: Committed | undefined;
  /** Encoded records that tell or change the state since then, one behind the other, and where each ends. */
  bytes: Uint8Array;
  readonly ends: number[];
  /** Whether too much waited: nothing more is known until a record tells the whole state. */
  isLost: boolean;
}

/** A state worked out of the records up to and with the one at `position`, whose root hash confirms it. */
export type TakeCheckpoint = (replica: number, position: number, state: Committed) => void;

/**
 * Works out a replica's state where its own records have not told it for long: after {@link CHECKPOINT_STATES} of them, so that a
 * reader is never further than that from a state. Records wait as bytes until then: a session that tells its states itself
 * costs no decoding.
 */
export class CheckpointBuilder {
  readonly #waiting = new Map<number, Waiting>();
  readonly #take: TakeCheckpoint;

  constructor(take: TakeCheckpoint) {
    this.#take = take;
  }

  /** A record after which the state of the replica can be found elsewhere: in the authority's, which is the same. */
  pass(replica: number): void {
    this.#waiting.delete(replica);
  }

  /**
   * The next record that tells or changes the state of a replica, in `length` bytes from `offset` of `bytes`; `isWhole` where it is a
   * snapshot, `isTold` where it tells a root hash, without which a state is none to begin from.
   */
  next(
    replica: number,
    position: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
    isWhole: boolean,
    isTold: boolean,
  ): void {
    let waiting = this.#waiting.get(replica);
    if (!waiting) {
      waiting = { state: undefined, bytes: new Uint8Array(FIRST_BYTES), ends: [], isLost: false };
      this.#waiting.set(replica, waiting);
    } else if (isWhole) {
      waiting.state = undefined;
      waiting.isLost = false;
      waiting.ends.length = 0;
    }
    if (waiting.isLost) return;
    const start = waiting.ends.at(-1) ?? 0;
    const end = start + length;
    if (end > WAITING_MAX_BYTES) {
      Object.assign(waiting, { state: undefined, bytes: new Uint8Array(FIRST_BYTES), isLost: true });
      waiting.ends.length = 0;
      return;
    }
    if (end > waiting.bytes.length) waiting.bytes = larger(waiting.bytes, end);
    // They are a part of a chunk's, which would be kept whole. One memory for all of a replica's costs far less than one for each.
    waiting.bytes.set(bytes.subarray(offset, offset + length), start);
    waiting.ends.push(end);
    const { ends } = waiting;
    if (ends.length > CHECKPOINT_STATES && (isTold || ends.length > UNTOLD_STATES))
      this.#workOut(replica, position, waiting, isTold);
  }

  #workOut(replica: number, position: number, waiting: Waiting, isTold: boolean): void {
    let state = waiting.state ?? nothingKnown;
    let start = 0;
    for (const end of waiting.ends) {
      try {
        state = advance(state, decodeTraceRecord(waiting.bytes.subarray(start, end)), undefined);
      } catch (error) {
        if (!isSyncError(error)) throw error;
        state = { ...state, unknown: error.message };
      }
      start = end;
    }
    waiting.state = state;
    waiting.ends.length = 0;
    // A repair is worked out with what was found before it, which a checkpoint does not have.
    if (isTold && state.unknown === undefined && !state.found) this.#take(replica, position, state);
  }
}

function larger(bytes: Uint8Array, needed: number): Uint8Array {
  const grown = new Uint8Array(Math.max(needed, bytes.length * 2));
  grown.set(bytes);
  return grown;
}
