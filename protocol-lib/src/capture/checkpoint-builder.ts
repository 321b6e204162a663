import { isSyncError } from '../errors/index.ts';
import { advance, type Committed, nothingKnown } from './committed.ts';
import { decodeTraceRecord } from './record-codec.ts';

/** Records of one replica's state that may lie between any place and a state that is read at once. */
export const CHECKPOINT_STATES = 256;
/** What one replica's records may take while they wait to be worked out; a state above that has no checkpoints. */
const WAITING_MAX_BYTES = 1024 * 1024;

/** What is known of one replica while records come. */
interface Waiting {
  /** The state before the records that wait; undefined where the first of them tells all of it. */
  state: Committed | undefined;
  /** Encoded records that tell or change the state, since then. */
  records: Uint8Array[];
  bytes: number;
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

  /** The next record that tells or changes the state of a replica; `isWhole` where it is a snapshot. */
  next(replica: number, position: number, record: Uint8Array, isWhole: boolean): void {
    let waiting = this.#waiting.get(replica);
    if (!waiting || isWhole) {
      waiting = { state: undefined, records: [], bytes: 0, isLost: false };
      this.#waiting.set(replica, waiting);
    }
    if (waiting.isLost) return;
    waiting.bytes += record.length;
    if (waiting.bytes > WAITING_MAX_BYTES) {
      Object.assign(waiting, { state: undefined, records: [], isLost: true });
      return;
    }
    // The bytes are a part of a chunk's, which would be kept whole.
    waiting.records.push(record.slice());
    if (waiting.records.length > CHECKPOINT_STATES) this.#workOut(replica, position, waiting);
  }

  #workOut(replica: number, position: number, waiting: Waiting): void {
    let state = waiting.state ?? nothingKnown;
    for (const record of waiting.records) {
      try {
        state = advance(state, decodeTraceRecord(record), undefined);
      } catch (error) {
        if (!isSyncError(error)) throw error;
        state = { ...state, unknown: error.message };
      }
    }
    Object.assign(waiting, { state, records: [], bytes: 0 });
    // A repair is worked out with what was found before it, which a checkpoint does not have.
    if (state.unknown === undefined && !state.found) this.#take(replica, position, state);
  }
}
