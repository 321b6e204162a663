import { SyncError } from '../errors/index.ts';
import { CHANGES_KEPT, type Durability, type EventLog, isEntryFault, type LogEntry } from '../events/index.ts';
import type { StateRoot } from '../merkle/index.ts';
import type { ReplicaId, Value, Version } from '../state/index.ts';
import type { MutationId } from '../trace/index.ts';
import { type Decision, refuse } from './decide.ts';
import type { CommitLogStanding } from './standing.ts';

/** A mutation whose end is decided, with the state after it. */
export interface Decided {
  readonly mutation: MutationId;
  readonly command?: string;
  /** Absent where it was decided without being carried out. */
  readonly args?: Value;
  /** `adopted`: it and all before it of its writer were settled elsewhere. */
  readonly decision: Decision | 'adopted';
  readonly root: StateRoot;
  readonly version: Version;
  /** Nanoseconds since the session began. */
  readonly time: number;
  /** The newest version that its writer was known to have. */
  readonly seen: Version;
  readonly cause: readonly number[];
  /** How often another's mutation came before it in a log that is shared. */
  readonly overtaken?: number;
  /** As `Moment.isPosted`. */
  readonly isPosted?: boolean;
}

/** What has become durable, and what another authority's entries came before. */
export interface Taken {
  /** In order: what was decided here, and entries of others. */
  readonly durable: readonly (Decided | LogEntry)[];
  /** In order. They are not settled, and are to be decided on the state that there is now. */
  readonly overtaken: readonly Decided[];
}

/** Decided mutations that may wait for their log. */
const MAX_WAITING = 10_000;

/** What is decided goes into the log first; nobody is told of it before it is durable. Holds what is on its way, in order. */
export class CommitLog {
  readonly #log: EventLog;
  #position: number;
  /** Of the last entry that {@link takeDurable} has answered. */
  #taken: number;
  #time: number;
  #waiting: Decided[] = [];
  /** The last counter of each writer among those that wait. */
  #counters = new Map<ReplicaId, number>();
  #failure: SyncError | undefined;

  /** Goes on behind the end of the log, where `time` is that of its last entry. */
  constructor(log: EventLog, time: number) {
    this.#log = log;
    this.#position = log.last;
    this.#taken = log.last;
    this.#time = time;
  }

  get standing(): CommitLogStanding {
    const waiting = this.#waiting.map(({ mutation, command, decision, version, time, seen, cause }) => {
      const named = { mutation, ...(command === undefined ? {} : { command }), version, time, seen, cause: [...cause] };
      if (decision === 'adopted') return { ...named, outcome: 'adopted' as const };
      if (!decision.accepted) return { ...named, outcome: 'refused' as const, reason: decision.reason };
      const { events, changes } = decision;
      return { ...named, outcome: 'committed' as const, events: [...events], changes: [...changes] };
    });
    return { position: this.#position, taken: this.#taken, time: this.#time, waiting };
  }

  /** Goes on where another one was, on a log of the same length, from the state of the last that was taken. */
  resume({ position, taken, time, waiting }: CommitLogStanding, present: StateRoot): void {
    this.#position = position;
    this.#taken = taken;
    this.#time = time;
    let root = present;
    for (const { outcome, reason = '', events = [], changes = [], ...one } of waiting) {
      root = root.apply(changes);
      const accepted = { accepted: true as const, events, changes, root };
      const decision = outcome === 'adopted' ? outcome : outcome === 'refused' ? refuse(reason) : accepted;
      this.#waiting.push({ ...one, decision, root });
      this.#counters.set(one.mutation.writer, one.mutation.counter);
    }
  }

  get durability(): Durability {
    return this.#log.durability;
  }

  /** Whether other authorities append as well. */
  get isShared(): boolean {
    return this.#log.isShared ?? false;
  }

  /** Whether nothing is on its way, here or from elsewhere. */
  get isStill(): boolean {
    return this.#waiting.length === 0 && this.#taken === this.#log.durable;
  }

  /** Why nothing more can be settled. */
  get failure(): SyncError | undefined {
    return this.#failure ?? this.#log.failure;
  }

  get isFull(): boolean {
    return this.#waiting.length >= MAX_WAITING;
  }

  /** The last that waits, whose state is the one to decide on. */
  get head(): Decided | undefined {
    return this.#waiting.at(-1);
  }

  /** The last counter of a writer that waits; 0 where none does. */
  settled(writer: ReplicaId): number {
    return this.#counters.get(writer) ?? 0;
  }

  /**
   * Hands over what was decided on the state of `before`. An entry that cannot be kept makes the mutation a refused one.
   * @throws SyncError {@link failure}, also where somebody else has written to the log; nothing is decided then
   */
  write(decided: Decided, before: { readonly root: StateRoot; readonly version: Version }): void {
    let written = decided;
    try {
      this.#append(written);
    } catch (error) {
      if (!isEntryFault(error)) throw this.#fail(error);
      written = { ...decided, ...before, decision: refuse(`${decided.command} cannot be logged: ${error.message}`) };
      try {
        this.#append(written);
      } catch (again) {
        throw this.#fail(again);
      }
    }
    this.#waiting.push(written);
    this.#counters.set(decided.mutation.writer, decided.mutation.counter);
  }

  #append(decided: Decided): void {
    const time = Math.max(this.#time, decided.time);
    this.#log.append(this.#position, [entryOf(decided, this.#position + 1, time)]);
    this.#position++;
    this.#time = time;
  }

  #fail(error: unknown): unknown {
    if (error instanceof SyncError) this.#failure = error;
    return error;
  }

  /** Takes out what has become durable, in order. */
  takeDurable(): Taken {
    const { durable } = this.#log;
    const taken = this.isShared ? this.#takeShared(durable) : this.#takeOwn(durable);
    this.#taken = Math.max(this.#taken, durable);
    if (this.#waiting.length === 0) this.#counters.clear();
    return taken;
  }

  #takeOwn(durable: number): Taken {
    return { durable: this.#waiting.splice(0, Math.max(0, durable - this.#taken)), overtaken: [] };
  }

  /** Where another's entry came in the place of one that waits, the log has let go of all that wait. */
  #takeShared(last: number): Taken {
    const durable: (Decided | LogEntry)[] = [];
    const entries = last > this.#taken ? this.#log.read(this.#taken, last - this.#taken) : [];
    for (const entry of entries) {
      const [mine] = this.#waiting;
      if (mine && isOf(entry, mine)) this.#waiting.shift();
      durable.push(mine && isOf(entry, mine) ? mine : entry);
      this.#time = Math.max(this.#time, entry.time);
    }
    const overtaken = this.#log.last === last ? this.#waiting.splice(0) : [];
    if (overtaken.length > 0) this.#counters.clear();
    if (this.#waiting.length === 0) this.#position = last;
    return { durable, overtaken };
  }

  /** Ends the log's use here. */
  end(error: SyncError): void {
    this.#failure ??= error;
  }
}

/** Whether an entry is what was decided here, or came out the same elsewhere. */
function isOf(entry: LogEntry, { mutation, root, version, decision }: Decided): boolean {
  const outcome = decision === 'adopted' ? 'adopted' : decision.accepted ? 'committed' : 'refused';
  const isSame = entry.mutation.writer === mutation.writer && entry.mutation.counter === mutation.counter;
  return isSame && entry.outcome === outcome && entry.version === version && entry.root === root.hash;
}

function entryOf(
  { mutation, command, decision, root, version, seen }: Decided,
  position: number,
  time: number,
): LogEntry {
  const settled = { position, version, root: root.hash, time, mutation, seen };
  if (decision === 'adopted') return { outcome: 'adopted', ...settled };
  const told = command === undefined ? {} : { command: command.slice(0, 80) };
  if (!decision.accepted) return { outcome: 'refused', ...settled, ...told, reason: decision.reason };
  const changes = decision.changes.length <= CHANGES_KEPT ? { changes: [...decision.changes] } : {};
  return { outcome: 'committed', ...settled, ...told, events: [...decision.events], ...changes };
}
