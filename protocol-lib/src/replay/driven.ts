import { SyncError } from '../errors/index.ts';
import type { DomainEvent } from '../events/index.ts';
import { decodeMessage, type Message, NameTable } from '../messages/index.ts';
import type { Change, RecordKey, ReplicaId, SyncRecord, Value } from '../state/index.ts';
import type { ClientStanding, CommandHandler, CommandOutcome, SessionDefinition } from '../sync/index.ts';
import type { MutationId, TraceBodyOf } from '../trace/index.ts';
import type { Input } from './inputs.ts';
import type { Placed, Step } from './steps.ts';

/** What is run where commands are decided: the app's own definition, or what the recording says that it decided. */
export interface Decisions {
  readonly definition: SessionDefinition;
  /** By which clients predict; {@link definition} where absent. */
  readonly asPlayed?: SessionDefinition;
  /** An input is about to be handed over, which made these records when it was recorded. `message` is the frame that it brings. */
  expect(input: Input, records: readonly Placed[], message: Message | undefined, args?: Value): void;
}

interface Outcome {
  readonly changes: readonly Change[];
  readonly events: readonly DomainEvent[];
  readonly refused?: string;
}

const NOTHING: Outcome = { changes: [], events: [] };

function idOf({ writer, counter }: MutationId): string {
  return `${writer}:${counter}`;
}

/** The app's definition, with the first state that the recording has. */
export function appDecisions(definition: SessionDefinition, steps: readonly Step[]): Decisions {
  const initial = firstRecords(steps);
  const { asPlayed } = definition;
  return {
    definition: { ...definition, initialRecords: () => initial },
    ...(asPlayed ? { asPlayed } : {}),
    expect() {},
  };
}

/** The records of the first state, as the authority told them when it began. */
function firstRecords(steps: readonly Step[]): (readonly [RecordKey, SyncRecord])[] {
  for (const { records } of steps) {
    for (const { record } of records) {
      if (record.body.kind === 'snapshot')
        return record.body.records.map((entry) => [entry.key, entry.record] as const);
    }
  }
  return [];
}

/**
 * Decides as was recorded, without the app's code: a mutation does what its commit or prediction says, each time that it is run. What
 * the recording does not tell, such as a mutation that was lost with its authority, does nothing.
 */
export class RecordedDecisions implements Decisions {
  readonly definition: SessionDefinition;
  readonly #commands: Record<string, CommandHandler> = Object.create(null);
  /** How each mutation ended at the authority, in the order of the records. A crash can make one end twice. */
  readonly #outcomes: ReadonlyMap<string, readonly { readonly seq: number; readonly outcome: Outcome }[]>;
  readonly #predicted = new Map<string, readonly Change[]>();
  /** Mutations that each client has pending, in order. */
  readonly #pending = new Map<ReplicaId, readonly string[]>();
  /** Which mutation the arguments of a pending one are of, for runs of which no recording tells. */
  readonly #mutations = new WeakMap<object, string>();
  /** What the next runs do, in order. */
  #next: Outcome[] = [];
  #ownCounter = 0;

  /**
   * @throws SyncError `REPLAY_NEEDS_DEFINITION` where clients see a part of the state, or the authority was restored from its log: what
   * they see, and what was never told, only the app's code can tell
   */
  constructor(steps: readonly Step[]) {
    this.#outcomes = outcomesOf(steps);
    const initial = firstRecords(steps);
    const begun = steps.find(({ input }) => input?.op === 'authority')?.input;
    const lives = steps.filter(({ input }) => input?.op === 'authority' && input.log !== null).length;
    if (lives > 1) {
      const text = 'its authority ended and began again with mutations that it had told nobody of: give the definition';
      throw new SyncError('REPLAY_NEEDS_DEFINITION', text, { origin: 'setting' });
    }
    const stands = steps.find(({ input }) => input?.op === 'authorityStands')?.input;
    const began = begun?.op === 'authority' ? begun : stands?.op === 'authorityStands' ? stands.standing : undefined;
    if (stands?.op === 'authorityStands' && stands.standing.isShared) {
      const text =
        'its authority shares its log with others, and decides again what they came before: give the definition';
      throw new SyncError('REPLAY_NEEDS_DEFINITION', text, { origin: 'setting' });
    }
    if (began?.hasViews) {
      const text = 'each client of this session sees a part of the state: give the definition, which tells which';
      throw new SyncError('REPLAY_NEEDS_DEFINITION', text, { origin: 'setting' });
    }
    this.definition = {
      name: 'recorded',
      groups: began?.groups ?? [],
      initialRecords: () => initial,
      commands: this.#commands,
      // An event that a log gave back carries what it does as well.
      reduce: (_, event) => (event.data ?? []) as unknown as readonly Change[],
    };
  }

  expect(input: Input, records: readonly Placed[], message: Message | undefined, args?: Value): void {
    this.#next = [];
    const [first] = records;
    const seq = first?.record.seq ?? 0;
    switch (input.op) {
      case 'predict':
        this.#add(input.command);
        for (const { record } of records) if (record.body.kind === 'prediction') this.#predict(record.body, args);
        if (this.#next.length === 0) this.#next.push({ ...NOTHING, refused: 'it was refused when it was recorded' });
        return;
      case 'corrupt':
        // What is pending is run again, which is not recorded: it is taken to do the same as before.
        for (const mutation of this.#pending.get(input.replica) ?? []) {
          this.#next.push(outcomeOf(this.#predicted.get(mutation) ?? [], []));
        }
        return;
      case 'delivery':
        this.#expectRebase(input.replica, records);
        return;
      case 'arrival':
        if (message?.type !== 'COMMAND') return;
        this.#add(message.command);
        this.#next.push(this.#outcome({ writer: message.sender, counter: message.counter }, seq));
        return;
      case 'mutate':
        this.#add(input.command);
        this.#next.push(this.#outcome({ writer: input.replica, counter: ++this.#ownCounter }, seq));
        return;
      case 'client':
        this.#pending.delete(input.replica);
        return;
      case 'clientStands':
        this.#stands(input.replica, input.standing);
        return;
      case 'authorityStands': {
        const own = input.standing.state.ledger.writers.find(({ replica }) => replica === input.replica);
        const waiting = input.standing.state.log?.waiting ?? [];
        const last = waiting.findLast(({ mutation }) => mutation.writer === input.replica);
        this.#ownCounter = last?.mutation.counter ?? own?.counter ?? 0;
        return;
      }
      case 'settle':
        this.#add(input.command);
        this.#next.push(this.#outcome(input, seq));
        return;
      case 'authority':
        this.#ownCounter = ownCounter(records, input.replica);
        return;
      default:
    }
  }

  /** What is pending of a client in the midst of its session. */
  #stands(replica: ReplicaId, { pending: { list } }: ClientStanding): void {
    for (const { mutation, command, args, changes } of list) {
      this.#add(command);
      this.#predicted.set(idOf(mutation), changes);
      if (typeof args === 'object' && args !== null) this.#mutations.set(args, idOf(mutation));
    }
    this.#pending.set(
      replica,
      list.map(({ mutation }) => idOf(mutation)),
    );
  }

  #predict({ mutation, changes }: TraceBodyOf<'prediction'>, args: Value | undefined): void {
    if (typeof args === 'object' && args !== null) this.#mutations.set(args, idOf(mutation));
    this.#predicted.set(idOf(mutation), changes);
    this.#pending.set(mutation.writer, [...(this.#pending.get(mutation.writer) ?? []), idOf(mutation)]);
    this.#next.push(outcomeOf(changes, []));
  }

  #expectRebase(replica: ReplicaId, records: readonly Placed[]): void {
    for (const { record } of records) {
      if (record.replica !== replica) continue;
      const { body } = record;
      if (body.kind === 'confirmation' || body.kind === 'rollback') this.#settled(replica, body.mutation);
      if (body.kind !== 'rebase') continue;
      for (const { mutation, changes } of body.pending) {
        this.#predicted.set(idOf(mutation), changes);
        this.#next.push(outcomeOf(changes, []));
      }
    }
  }

  #settled(replica: ReplicaId, mutation: MutationId): void {
    const left = this.#pending.get(replica)?.filter((one) => one !== idOf(mutation)) ?? [];
    this.#pending.set(replica, left);
  }

  #outcome(mutation: MutationId, seq: number): Outcome {
    const outcomes = this.#outcomes.get(idOf(mutation)) ?? [];
    const outcome = outcomes.find((one) => one.seq >= seq) ?? outcomes.at(-1);
    if (outcome) return outcome.outcome;
    return outcomeOf(this.#predicted.get(idOf(mutation)) ?? [], []);
  }

  /** A pending mutation is run again where nothing was recorded of that: it does the same as before. */
  #again(args: Value): Outcome {
    const mutation = typeof args === 'object' && args !== null ? this.#mutations.get(args) : undefined;
    return outcomeOf((mutation && this.#predicted.get(mutation)) || [], []);
  }

  #add(command: string): void {
    if (Object.hasOwn(this.#commands, command)) return;
    Object.defineProperty(this.#commands, command, {
      enumerable: true,
      value: (_state: unknown, args: Value) => this.#take(args),
    });
  }

  #take(args: Value): CommandOutcome {
    const { changes, events, refused } = this.#next.shift() ?? this.#again(args);
    if (refused !== undefined) return { accepted: false, reason: refused };
    // All changes go with the first: what each of several events changed is not recorded.
    const data = changes as unknown as Value;
    const told = events.map((event, at) => (at === 0 ? { ...event, data } : event));
    return { accepted: true, events: told };
  }
}

/** An outcome that has at least one event where something changes. */
function outcomeOf(changes: readonly Change[], events: readonly DomainEvent[]): Outcome {
  if (events.length > 0 || changes.length === 0) return { changes, events };
  return { changes, events: [{ type: 'recorded', player: '', detail: '' }] };
}

function ownCounter(records: readonly Placed[], own: ReplicaId): number {
  for (const { record } of records) {
    if (record.body.kind !== 'snapshot') continue;
    return record.body.vector.find(({ replica }) => replica === own)?.counter ?? 0;
  }
  return 0;
}

function outcomesOf(steps: readonly Step[]): Map<string, { readonly seq: number; readonly outcome: Outcome }[]> {
  const outcomes = new Map<string, { readonly seq: number; readonly outcome: Outcome }[]>();
  const events = eventsByCommit(steps);
  const add = (mutation: MutationId, seq: number, outcome: Outcome): void => {
    const known = outcomes.get(idOf(mutation));
    if (known) known.push({ seq, outcome });
    else outcomes.set(idOf(mutation), [{ seq, outcome }]);
  };
  for (const { records } of steps) {
    for (const { record } of records) {
      const { body, seq } = record;
      if (body.kind === 'rejection') add(body.mutation, seq, { ...NOTHING, refused: body.reason });
      if (body.kind !== 'commit' || !body.mutation) continue;
      const told = events.get(seq);
      const isNothing = body.event.type === 'nothing' && body.changes.length === 0 && !told;
      const list = told ?? (isNothing ? [] : [{ ...body.event }]);
      add(body.mutation, seq, { changes: body.changes, events: list });
    }
  }
  return outcomes;
}

/** The events that were told of each commit, from the frames that told them. */
function eventsByCommit(steps: readonly Step[]): Map<number, DomainEvent[]> {
  const events = new Map<number, DomainEvent[]>();
  const told = new Set<string>();
  let names = new NameTable();
  for (const { records } of steps) {
    for (const { record } of records) {
      const { body, wire, cause, replica } = record;
      if (body.kind === 'names' && body.sender === replica) {
        if (body.first === 0) names = new NameTable();
        if (body.first === names.length) names.append(body.first, body.names);
      }
      if (body.kind !== 'send' || body.type !== 'EVENT' || !wire || cause[0] === undefined) continue;
      // One frame goes to many.
      const frame = `${replica}/${body.sequence}/${cause[0]}`;
      if (told.has(frame)) continue;
      told.add(frame);
      const message = decodeMessage(wire, names);
      if (message.type !== 'EVENT') continue;
      const list = events.get(cause[0]) ?? [];
      list.push({ ...message.event });
      events.set(cause[0], list);
    }
  }
  return events;
}
