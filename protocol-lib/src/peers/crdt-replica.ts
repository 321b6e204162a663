import { VersionVector } from '../clock/index.ts';
import { SyncError } from '../errors/index.ts';
import { StateRoot } from '../merkle/index.ts';
import type { BodyOf, MessageOf } from '../messages/index.ts';
import type { SharedState } from '../presence/index.ts';
import { array, fitText, type Infer, object, string, uint } from '../schema/index.ts';
import { type Change, type RecordKey, type ReplicaId, replicaIdSchema, type SyncRecord } from '../state/index.ts';
import { closedTap, type Tap } from '../trace/index.ts';

/** What every CRDT of this library that is made of joined records can do. */
export interface JoinedState {
  root(): StateRoot;
  /** @throws SyncError where a record is not of its kind; the state is then as before */
  apply(delta: Iterable<readonly [RecordKey, SyncRecord]>): Change[];
}

/** `held`: operations of its writer before it are missing; its effect is there, and it counts as seen once they are. */
export type OperationOutcome = 'applied' | 'duplicate' | 'held';

export interface CrdtReplicaOptions<S extends JoinedState> {
  readonly replica: ReplicaId;
  /** What it is, such as `call`: operations name it. At most 40 characters. */
  readonly crdt: string;
  readonly state: S;
  /** What was seen of everybody by the time of `state`, its own operations included. Empty by default. */
  readonly vector?: VersionVector;
  readonly tap?: Tap;
  /** Where another one was. */
  readonly standing?: CrdtStanding;
  readonly writersOf?: (key: RecordKey, record: SyncRecord) => readonly ReplicaId[];
}

/** What a replica holds beside its state and vector, for another one to go on from. */
export const crdtStandingSchema = object({
  version: uint,
  writers: array(
    object({
      replica: replicaIdSchema,
      held: array(uint),
      hashes: array(object({ counter: uint, hash: string(200) })),
    }),
  ),
});
export type CrdtStanding = Infer<typeof crdtStandingSchema>;

/** Operations of one writer that may wait for those before them. */
const MAX_HELD = 1_024;
/** Fingerprints of applied operations that are kept of one writer, to tell a repetition from another operation under its number. */
const MAX_REMEMBERED = 1_024;

interface Writer {
  /** Counters beyond the first missing one. */
  readonly held: Set<number>;
  readonly hashes: Map<number, string>;
}

/**
 * One replica of a CRDT among peers. Its own operations go out as small deltas with a counter; those of others are joined in any order
 * and as often as they come, since they commute. The vector counts what was seen without a gap: an operation that comes before
 * its predecessors takes effect, and is held to be counted later. What never comes is made good by the heartbeats' exchange,
 * which joins whole states.
 */
export class CrdtReplica<S extends JoinedState> implements SharedState {
  readonly replica: ReplicaId;
  readonly crdt: string;
  readonly state: S;
  readonly writersOf?: (key: RecordKey, record: SyncRecord) => readonly ReplicaId[];
  readonly #tap: Tap;
  readonly #writers = new Map<ReplicaId, Writer>();
  #vector: VersionVector;
  #version: number;

  constructor(options: CrdtReplicaOptions<S>) {
    this.replica = options.replica;
    this.crdt = options.crdt;
    this.state = options.state;
    this.#vector = options.vector ?? VersionVector.empty;
    this.#tap = options.tap ?? closedTap;
    if (options.writersOf) this.writersOf = options.writersOf;
    const { version, writers } = options.standing ?? { version: 0, writers: [] };
    this.#version = version;
    for (const { replica, held, hashes } of writers) {
      const known = new Map(hashes.map(({ counter, hash }) => [counter, hash]));
      this.#writers.set(replica, { held: new Set(held), hashes: known });
    }
  }

  get standing(): CrdtStanding {
    const writers = Array.from(this.#writers, ([replica, { held, hashes }]) => ({
      replica,
      held: [...held],
      hashes: Array.from(hashes, ([counter, hash]) => ({ counter, hash })),
    }));
    return { version: this.#version, writers };
  }

  root(): StateRoot {
    return this.state.root();
  }

  get version(): number {
    return this.#version;
  }

  get vector(): VersionVector {
    return this.#vector;
  }

  /** Writers of which operations are missing before others that have come: the next missing counter of each. */
  missing(): { readonly writer: ReplicaId; readonly counter: number }[] {
    return [...this.#writers]
      .filter(([, { held }]) => held.size > 0)
      .map(([writer]) => ({ writer, counter: this.#vector.get(writer) + 1 }));
  }

  /** An operation made here. Answers what the peers are to get; nothing where it changes nothing. */
  operate(
    detail: string,
    operation: (state: S) => Change[],
    cause: readonly number[] = [],
  ): BodyOf<'OPERATION'> | undefined {
    const changes = operation(this.state);
    if (changes.length === 0) return undefined;
    this.#vector = this.#vector.advance(this.replica);
    const counter = this.#vector.get(this.replica);
    const made = this.#traceOperation('local', this.replica, counter, detail, cause);
    this.#changed(changes, [made]);
    const entries = changes.flatMap((one) => (one.op === 'put' ? [{ key: one.key, record: one.record }] : []));
    return { type: 'OPERATION', crdt: this.crdt, writer: this.replica, counter, detail: fitText(detail, 500), entries };
  }

  /**
   * An operation of a peer; `cause` is the `seq` of its receipt.
   * @throws SyncError `OPERATION_FOREIGN` (of another CRDT, or under our own name), `OPERATION_CHANGED` (another operation had this number),
   *   `OPERATION_FLOOD` (too many before their predecessors), or what the CRDT throws; nothing has changed then
   */
  receive(message: MessageOf<'OPERATION'> | BodyOf<'OPERATION'>, cause = 0): OperationOutcome {
    const { writer, counter } = message;
    this.#check(message);
    const known = this.#writer(writer);
    const hash = fingerprint(message);
    const before = known.hashes.get(counter);
    if (before !== undefined && before !== hash) {
      throw new SyncError(
        'OPERATION_CHANGED',
        `operation ${writer}:${counter} came before with another content; its writer gives one number to two operations`,
        { origin: 'protocol', place: { version: counter } },
      );
    }
    if (counter <= this.#vector.get(writer) || known.held.has(counter)) return 'duplicate';
    if (known.held.size >= MAX_HELD) {
      throw new SyncError(
        'OPERATION_FLOOD',
        `${MAX_HELD} operations of ${writer} wait for ${writer}:${this.#vector.get(writer) + 1}; the heartbeats will fetch what is missing`,
        { origin: 'protocol', retry: 'backoff', place: { version: counter } },
      );
    }
    const changes = this.state.apply(message.entries.map(({ key, record }) => [key, record] as const));
    this.#remember(known, counter, hash);
    known.held.add(counter);
    this.#countHeld(writer, known);
    const came = this.#traceOperation('remote', writer, counter, message.detail, [cause]);
    this.#changed(changes, [came]);
    return known.held.has(counter) ? 'held' : 'applied';
  }

  join(entries: Iterable<readonly [RecordKey, SyncRecord]>, vector: VersionVector, cause: readonly number[]): void {
    const merged = this.#vector.merge(vector);
    const changes = this.state.apply(entries);
    this.#vector = merged;
    for (const [writer, known] of this.#writers) this.#countHeld(writer, known);
    this.#changed(changes, cause);
  }

  #check({ crdt, writer, counter }: BodyOf<'OPERATION'>): void {
    if (crdt !== this.crdt) {
      throw new SyncError('OPERATION_FOREIGN', `an operation on ${crdt} came where ${this.crdt} is kept`, {
        origin: 'protocol',
      });
    }
    if (writer === this.replica && counter > this.#vector.get(writer)) {
      throw new SyncError(
        'OPERATION_FOREIGN',
        `${writer}:${counter} bears our own name, and we made only ${this.#vector.get(writer)}; two replicas use one id`,
        { origin: 'protocol', place: { version: counter } },
      );
    }
    if (counter === 0) {
      throw new SyncError('OPERATION_FOREIGN', `${writer}:0 is no operation: they are counted from 1`, {
        origin: 'protocol',
        place: { version: 0 },
      });
    }
  }

  /** Counts held operations as seen as far as there is no gap. */
  #countHeld(writer: ReplicaId, { held }: Writer): void {
    let seen = this.#vector.get(writer);
    while (held.delete(seen + 1)) seen++;
    this.#vector = this.#vector.advance(writer, seen);
    for (const counter of held) if (counter <= seen) held.delete(counter);
  }

  #writer(writer: ReplicaId): Writer {
    const known = this.#writers.get(writer) ?? { held: new Set<number>(), hashes: new Map<number, string>() };
    this.#writers.set(writer, known);
    return known;
  }

  #remember({ hashes }: Writer, counter: number, hash: string): void {
    hashes.set(counter, hash);
    if (hashes.size <= MAX_REMEMBERED) return;
    const [oldest] = hashes.keys();
    hashes.delete(oldest!);
  }

  #traceOperation(
    origin: 'local' | 'remote',
    writer: ReplicaId,
    counter: number,
    detail: string,
    cause: readonly number[],
  ): number {
    if (!this.#tap.isOpen) return 0;
    return this.#tap.emit(
      this.replica,
      {
        kind: 'operation',
        crdt: this.crdt,
        origin,
        writer,
        counter,
        vector: this.#vector.entries(),
        detail: fitText(detail, 500),
      },
      cause,
    );
  }

  #changed(changes: readonly Change[], cause: readonly number[]): void {
    if (changes.length === 0) return;
    const from = this.#version++;
    if (!this.#tap.isOpen) return;
    const root = this.root().hash;
    this.#tap.emit(this.replica, { kind: 'apply', from, to: this.#version, changes: [...changes], root }, cause);
  }
}

/** What an operation does, whoever told it. */
function fingerprint({ entries }: BodyOf<'OPERATION'>): string {
  return StateRoot.from(entries.map(({ key, record }) => [key, record] as const)).hash;
}
