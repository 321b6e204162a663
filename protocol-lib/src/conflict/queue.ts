import { SyncError } from '../errors/index.ts';
import type { StateRoot } from '../merkle/index.ts';
import type { Change, RecordKey, SyncRecord, Value } from '../state/index.ts';
import { DECIDE, REOPEN } from './unit-history.ts';
import { CONFLICT_COLLECTION, type WaitingConflict, waitingSchema } from './waiting.ts';

/** A conflict of the queue, under the key of its record. */
export interface QueuedConflict extends WaitingConflict {
  readonly id: RecordKey;
}

/** A mutation that somebody means to make: what it is called, and what it changes. */
export interface Intent {
  readonly command: string;
  readonly args: Value;
  readonly changes: readonly Change[];
}

/**
 * What a queue keeps over a restart: which conflicts it has told of, as it saw them. `offline/conflict-rows.ts` has one that lasts, in
 * any storage of rows.
 */
export interface ConflictStore {
  load(): Iterable<readonly [id: string, record: SyncRecord]>;
  /** Also called for what is there already. */
  save(id: string, record: SyncRecord): void;
  remove(id: string): void;
}

/** A store that lasts as long as the process. */
export class MemoryConflictStore implements ConflictStore {
  readonly #records = new Map<string, SyncRecord>();

  load(): Iterable<readonly [string, SyncRecord]> {
    return [...this.#records];
  }

  save(id: string, record: SyncRecord): void {
    this.#records.set(id, record);
  }

  remove(id: string): void {
    this.#records.delete(id);
  }
}

/**
 * The conflicts that wait for a human. They are records of the state (`conflict/…`), so every replica has the same queue; what was
 * seen of it is kept in a store, so that after a restart it is there before any state is. A decision, and its being taken back,
 * are mutations like any other: they are replicated, and merged by what their writers had seen.
 */
export class ConflictQueue {
  readonly #store: ConflictStore;
  readonly #conflicts = new Map<RecordKey, QueuedConflict>();

  /** @throws SyncError `SCHEMA_MISMATCH` where the store holds what is no conflict */
  constructor(store: ConflictStore) {
    this.#store = store;
    for (const [id, record] of store.load()) {
      this.#conflicts.set(id as RecordKey, { id: id as RecordKey, ...waitingSchema.parse(record, id) });
    }
  }

  /** Those that wait, oldest key first. */
  get waiting(): QueuedConflict[] {
    return this.#list('waiting');
  }

  /** Those that somebody decided and may open again. */
  get decided(): QueuedConflict[] {
    return this.#list('decided');
  }

  /** Takes over the queue of a state. Answers the conflicts that wait and did not before. */
  follow(state: StateRoot): QueuedConflict[] {
    const found = new Map(state.entries(CONFLICT_COLLECTION));
    for (const id of [...this.#conflicts.keys()]) {
      if (found.has(id)) continue;
      this.#conflicts.delete(id);
      this.#store.remove(id);
    }
    const added: QueuedConflict[] = [];
    for (const [id, record] of found) {
      const conflict = { id, ...waitingSchema.parse(record, id) };
      const before = this.#conflicts.get(id);
      this.#conflicts.set(id, conflict);
      this.#store.save(id, record);
      if (conflict.state === 'waiting' && before?.state !== 'waiting') added.push(conflict);
    }
    return added;
  }

  /**
   * The mutation that decides: for the side of a writer's mutation, or, without one, for the base.
   * @throws SyncError `CONFLICT_UNKNOWN` where it does not wait, or has no such side
   */
  decide(id: RecordKey, chosen?: { readonly writer: string; readonly counter: number }): Intent {
    const conflict = this.#get(id, 'waiting');
    const side =
      chosen && conflict.sides.find(({ writer, counter }) => writer === chosen.writer && counter === chosen.counter);
    if (chosen && !side) {
      throw unknown(id, `it has no side ${chosen.writer}:${chosen.counter}`);
    }
    const value = side?.value ?? conflict.base;
    const name = side ? `${side.writer}:${side.counter}` : 'base';
    return {
      command: DECIDE,
      args: { conflict: id, chosen: name },
      changes: [changeTo(conflict, value)],
    };
  }

  /** The mutation that takes a decision back: the base stands again, and the conflict waits. @throws SyncError `CONFLICT_UNKNOWN` */
  reopen(id: RecordKey): Intent {
    const conflict = this.#get(id, 'decided');
    return { command: REOPEN, args: { conflict: id }, changes: [changeTo(conflict, conflict.base)] };
  }

  #list(state: WaitingConflict['state']): QueuedConflict[] {
    const found = [...this.#conflicts.values()].filter((one) => one.state === state);
    return found.sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  #get(id: RecordKey, state: WaitingConflict['state']): QueuedConflict {
    const conflict = this.#conflicts.get(id);
    if (conflict?.state === state) return conflict;
    throw unknown(id, conflict ? `it is ${conflict.state}` : 'there is none');
  }
}

function changeTo({ key, fields }: QueuedConflict, value: SyncRecord): Change {
  if (fields === null) return { op: 'put', key, record: value };
  return { op: 'patch', key, fields: value, removed: fields.filter((field) => !Object.hasOwn(value, field)) };
}

function unknown(id: RecordKey, why: string): SyncError {
  return new SyncError('CONFLICT_UNKNOWN', `conflict ${id}: ${why}; ask for the queue again`, {
    origin: 'state',
    place: { key: id },
  });
}
