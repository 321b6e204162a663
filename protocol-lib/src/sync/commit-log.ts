import { SyncError } from '../errors/index.ts';
import { CHANGES_KEPT, type Durability, type EventLog, isEntryFault, type LogEntry } from '../events/index.ts';
import type { StateRoot } from '../merkle/index.ts';
import type { ReplicaId, Version } from '../state/index.ts';
import type { MutationId } from '../trace/index.ts';
import { type Decision, refuse } from './decide.ts';

/** A mutation whose end is decided, with the state after it. */
export interface Decided {
  readonly mutation: MutationId;
  readonly command?: string;
  /** `adopted`: it and all before it of its writer were settled elsewhere. */
  readonly decision: Decision | 'adopted';
  readonly root: StateRoot;
  readonly version: Version;
  /** Nanoseconds since the session began. */
  readonly time: number;
  /** The newest version that its writer was known to have. */
  readonly seen: Version;
  readonly cause: readonly number[];
}

/** Decided mutations that may wait for their log. */
const MAX_WAITING = 10_000;

/** What is decided goes into the log first; nobody is told of it before it is durable. Holds what is on its way, in order. */
export class CommitLog {
  readonly #log: EventLog;
  #position: number;
  #time: number;
  #waiting: Decided[] = [];
  /** The last counter of each writer among those that wait. */
  #counters = new Map<ReplicaId, number>();
  #failure: SyncError | undefined;

  /** Goes on behind the end of the log, where `time` is that of its last entry. */
  constructor(log: EventLog, time: number) {
    this.#log = log;
    this.#position = log.last;
    this.#time = time;
  }

  get durability(): Durability {
    return this.#log.durability;
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
  takeDurable(): Decided[] {
    const first = this.#position - this.#waiting.length + 1;
    const durable = this.#waiting.splice(0, Math.max(0, this.#log.durable - first + 1));
    if (this.#waiting.length === 0) this.#counters.clear();
    return durable;
  }
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
