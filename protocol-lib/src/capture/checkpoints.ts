import { packMsgpack, unpackMsgpack } from '../bytes/index.ts';
import { isSyncError } from '../errors/index.ts';
import { changesBetween, StateRoot } from '../merkle/index.ts';
import { array, type Infer, object, optional, uint } from '../schema/index.ts';
import { changeSchema, recordKeySchema, recordSchema } from '../state/index.ts';
import type { Committed } from './committed.ts';
import { damagedIndex } from './number-block.ts';

/** A state kept beside the records: after the record at some position, with nothing of how it came to be. */
export type Checkpoint = Pick<Committed, 'version' | 'root'>;

/**
 * The states of a capture that were worked out of its records, by replica and position. They save the way to a position and say nothing
 * of their own: who takes one holds it against the root hash that the record there tells.
 */
export class Checkpoints {
  readonly #byReplica = new Map<number, Map<number, () => Checkpoint>>();

  /** `load` gives the state when it is wanted. */
  add(replica: number, position: number, load: () => Checkpoint): void {
    let states = this.#byReplica.get(replica);
    if (!states) {
      states = new Map();
      this.#byReplica.set(replica, states);
    }
    states.set(position, load);
  }

  /** The state of a replica right after the record at a position; undefined where none is kept, or it cannot be read. */
  at(replica: number, position: number): Checkpoint | undefined {
    const load = this.#byReplica.get(replica)?.get(position);
    try {
      return load?.();
    } catch (error) {
      if (!isSyncError(error)) throw error;
      return undefined;
    }
  }

  get size(): number {
    let size = 0;
    for (const states of this.#byReplica.values()) size += states.size;
    return size;
  }

  /** Lets go of every second one. */
  thin(): void {
    for (const states of this.#byReplica.values()) {
      for (const [at, position] of [...states.keys()].entries()) if (at % 2 === 0) states.delete(position);
    }
  }
}

/** Either all records, or the changes since another checkpoint. */
const checkpointSchema = object({
  version: uint,
  records: optional(array(object({ key: recordKeySchema, record: recordSchema }))),
  changes: optional(array(changeSchema)),
});

export function encodeCheckpoint({ version, root }: Checkpoint, since?: StateRoot): Uint8Array {
  if (since) return packMsgpack({ version, changes: changesBetween(since, root) });
  return packMsgpack({ version, records: Array.from(root.entries(), ([key, record]) => ({ key, record })) });
}

/** @throws SyncError `INDEX_DAMAGED` where it is none */
export function decodeCheckpoint(bytes: Uint8Array, since: (() => StateRoot) | undefined): Checkpoint {
  let read: Infer<typeof checkpointSchema>;
  try {
    read = checkpointSchema.parse(unpackMsgpack(bytes), 'checkpoint');
  } catch {
    throw damagedIndex('has a checkpoint that cannot be read');
  }
  const { version, records, changes } = read;
  if (records && !since)
    return { version, root: StateRoot.from(records.map(({ key, record }) => [key, record] as const)) };
  if (changes && since) return { version, root: since().apply(changes) };
  throw damagedIndex('has a checkpoint that builds on another one than it says');
}
