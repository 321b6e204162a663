import { VersionVector } from '../clock/index.ts';
import { isSyncError, SyncError } from '../errors/index.ts';
import type { SharedEventLog } from '../events/index.ts';
import { StateRoot } from '../merkle/index.ts';
import { FrameDecoder, type Message } from '../messages/index.ts';
import type { ReplicaId, Value } from '../state/index.ts';
import { ClientState, type LinkId, type Outgoing, type SessionDefinition, SyncManager } from '../sync/index.ts';
import type { Tap, TraceBodyOf } from '../trace/index.ts';
import { parseArguments } from './arguments.ts';
import { DeviceMachines, isOfDevice } from './device-machines.ts';
import type { Decisions } from './driven.ts';
import type { Input, InputOf } from './inputs.ts';
import { ReplayLog } from './replay-log.ts';
import type { Placed } from './steps.ts';

/** What the machines ask for after an input: frames of a client to the authority, or what the authority has its driver do. */
export interface Effects {
  readonly frames: readonly Uint8Array[];
  readonly outgoing: readonly Outgoing[];
}

const NO_FRAME = new Uint8Array(0);
const NO_EFFECTS: Effects = { frames: [], outgoing: [] };

/**
 * The state machines of a recorded session, made anew: a real {@link SyncManager} and real {@link ClientState}s that are handed the
 * inputs of the recording, or of a branch of it, and report to `tap`.
 */
export class Machines {
  readonly clients = new Map<ReplicaId, ClientState>();
  readonly #tap: Tap;
  readonly #decisions: Decisions;
  readonly #devices: DeviceMachines;
  /** Clients that began and were not yet connected. */
  readonly #begun = new Map<ReplicaId, InputOf<'client'>>();
  readonly #links = new Map<LinkId, { decoder: FrameDecoder }>();
  #manager: SyncManager | undefined;
  #log: ReplayLog | undefined;
  /** In its place, where others append to it as well. */
  #shared: SharedEventLog | undefined;
  #authority: ReplicaId | undefined;
  /** What each client shows in its HELLO: a capture has it there alone. */
  readonly #tokens = new Map<ReplicaId, string>();
  /** The links of which was told last how much waits in them. */
  #queues: readonly LinkId[] = [];
  /** Whether the token in the frame that is being handed over did not let in when it was recorded. */
  #isTokenWrong = false;

  constructor(tap: Tap, decisions: Decisions) {
    this.#tap = tap;
    this.#decisions = decisions;
    this.#devices = new DeviceMachines(tap, this.#played);
  }

  /** Entries of the present authority's log; -1 where it has none. */
  get logged(): number {
    return this.#log?.last ?? -1;
  }

  get #played(): SessionDefinition {
    return this.#decisions.asPlayed ?? this.#decisions.definition;
  }

  has(replica: ReplicaId): boolean {
    return replica === this.#authority || this.clients.has(replica) || this.#devices.has(replica);
  }

  get authority(): SyncManager | undefined {
    return this.#manager;
  }

  /**
   * Hands over one input. `records` are what it made when it was recorded; `frame` is what it brings, by default what the recording has.
   * @throws SyncError `REPLAY_INPUT_UNFIT` where no such endpoint is there, and what the machines throw
   */
  apply(
    input: Input,
    records: readonly Placed[],
    frame: Uint8Array | undefined = frameOf(records),
    snapshot?: TraceBodyOf<'snapshot'>,
  ): Effects {
    this.#isTokenWrong = input.op === 'arrival' && records.some(isTokenRefusal);
    const args = input.op === 'predict' ? parseArguments(input.args) : undefined;
    this.#decisions.expect(input, records, frame && this.#read(input, frame), args);
    switch (input.op) {
      case 'authority':
        return this.#begin(input);
      case 'client':
        this.clients.delete(input.replica);
        this.#begun.set(input.replica, input);
        return NO_EFFECTS;
      case 'authorityStands':
        // One that runs here is where it is; that it is there is seen in what it goes on to do.
        if (!this.#manager) this.#goOn(input, snapshot);
        return NO_EFFECTS;
      case 'clientStands':
        if (input.isNew || !this.clients.has(input.replica)) this.#goOnAsClient(input, snapshot);
        return NO_EFFECTS;
      case 'agreed':
        this.#agree(input);
        return NO_EFFECTS;
      case 'describe':
        if (input.replica === this.#authority) this.#requireManager().describe();
        else if (this.#devices.has(input.replica)) this.#devices.describe(input.replica);
        else this.clients.get(input.replica)?.describe();
        return NO_EFFECTS;
      case 'queues':
        this.#queues = input.links;
        return { frames: [], outgoing: takeLive(this.#requireManager(), input) };
      case 'queuesAgain':
        for (const link of this.#queues.slice(0, input.of)) this.#requireManager().queued(link, 0, input.now);
        return NO_EFFECTS;
      case 'flush':
      case 'stop':
      case 'adopt':
      case 'settle':
      case 'refuse':
      case 'follow':
      case 'keep':
        return { frames: [], outgoing: takeLive(this.#requireManager(), input) };
      case 'connect':
      case 'disconnect':
      case 'arrival':
      case 'queued':
      case 'mutate':
      case 'durable':
        return { frames: [], outgoing: this.#atAuthority(input, this.#requireManager(), frame) };
      case 'tick':
        if (input.replica === this.#authority) {
          return { frames: [], outgoing: this.#requireManager().tick(input.now) };
        }
        return { frames: this.clients.get(input.replica)?.tick(input.now) ?? [], outgoing: [] };
      case 'open':
      case 'delivery':
      case 'predict':
      case 'closed':
      case 'close':
      case 'corrupt':
        return { frames: this.#atClient(input, records, frame, args ?? null), outgoing: [] };
      default:
        if (isOfDevice(input)) {
          this.#devices.apply(input, snapshot);
          return NO_EFFECTS;
        }
        throw new SyncError('REPLAY_INPUT_UNFIT', `${input.op} is no input of a session with an authority`, {
          origin: 'capture',
        });
    }
  }

  #begin(input: InputOf<'authority'>): Effects {
    const { replica, session, now, settings, incarnation, log } = input;
    this.#authority = replica;
    this.#links.clear();
    this.#log = log ? ReplayLog.open(this.#log, log.last, log.durability) : undefined;
    this.#manager = managerOf({
      ...settings,
      definition: this.#decisions.definition,
      replica,
      session,
      // Nothing is drawn: what begins is the recorded state, in the recorded life.
      random: { next: () => 0 },
      now,
      incarnation,
      tap: this.#tap,
      ...(this.#log ? { log: this.#log } : {}),
    });
    return NO_EFFECTS;
  }

  /** An authority in the midst of its session. */
  #goOn({ replica, now, standing }: InputOf<'authorityStands'>, snapshot: TraceBodyOf<'snapshot'> | undefined): void {
    const root = rootOf(snapshot, replica);
    this.#authority = replica;
    for (const { id, names } of standing.links) {
      const decoder = new FrameDecoder();
      decoder.resume(names);
      this.#links.set(id, { decoder });
    }
    this.#log = standing.durability && !standing.isShared ? ReplayLog.at(standing, root) : undefined;
    this.#shared = standing.isShared ? ReplayLog.sharedAt(standing, root) : undefined;
    const log = this.#log ?? this.#shared;
    this.#manager = managerOf({
      ...standing.settings,
      definition: this.#decisions.definition,
      replica,
      session: standing.session,
      random: { next: () => 0 },
      now,
      features: standing.features,
      protocols: standing.protocols,
      verifyReducer: standing.verifiesReducer,
      authorize: () => !this.#isTokenWrong,
      tap: this.#tap,
      resume: { root, standing },
      ...(log ? { log } : {}),
    });
  }

  #goOnAsClient({ replica, standing }: InputOf<'clientStands'>, snapshot: TraceBodyOf<'snapshot'> | undefined): void {
    const { session, features, protocols, role, version } = standing;
    const root = version === 0 ? StateRoot.empty : rootOf(snapshot, replica);
    const vector = VersionVector.from(version === 0 ? [] : (snapshot?.vector ?? []));
    const client = new ClientState({
      ...{ definition: this.#played, replica, session, features, protocols, role },
      token: () => this.#tokens.get(replica) ?? '',
      tap: this.#tap,
      resume: { root, vector, standing },
    });
    this.clients.set(replica, client);
  }

  #atAuthority(
    input: InputOf<'connect' | 'disconnect' | 'arrival' | 'queued' | 'mutate' | 'durable'>,
    manager: SyncManager,
    frame: Uint8Array | undefined,
  ): readonly Outgoing[] {
    switch (input.op) {
      case 'connect':
        this.#links.set(input.link, { decoder: new FrameDecoder() });
        manager.connect(input.link, input.now);
        return [];
      case 'disconnect':
        this.#links.delete(input.link);
        manager.disconnect(input.link, input.reason, input.now);
        return [];
      case 'arrival':
        // One that was not recorded came to a link that is closed, which only then comes to light.
        return manager.receive(input.link, frame ?? NO_FRAME, input.now);
      case 'queued':
        manager.queued(input.link, input.bytes, input.now);
        return [];
      case 'mutate':
        mutate(manager, input);
        return [];
      case 'durable':
        this.#log?.settle(input.durable, input.failure);
        return [];
    }
  }

  #atClient(
    input: InputOf<'open' | 'delivery' | 'predict' | 'closed' | 'close' | 'corrupt'>,
    records: readonly Placed[],
    frame: Uint8Array | undefined,
    args: Value,
  ): Uint8Array[] {
    const { replica, now } = input;
    const client = input.op === 'open' ? this.#opened(replica, records) : this.clients.get(replica);
    // Before its first connection it has no state that anything could be done to.
    if (!client) return [];
    switch (input.op) {
      case 'open':
        return client.open(now);
      case 'delivery':
        return frame ? client.receive(frame, now) : [];
      case 'predict': {
        const { command, unchecked } = input;
        const result = client.predict(command, args, now, { unchecked });
        return 'frames' in result ? result.frames : [];
      }
      case 'closed':
        client.closed(input.reason, now);
        return [];
      case 'close':
        return client.close(input.reason);
      case 'corrupt':
        client.corruptCommitted(input.changes);
        return [];
    }
  }

  /** The client that opens its connection. The token that it shows is in its HELLO only, where a capture can have it blacked out. */
  #opened(replica: ReplicaId, records: readonly Placed[]): ClientState {
    this.#tokens.set(replica, tokenIn(records));
    const known = this.clients.get(replica);
    if (known) return known;
    const begun = this.#begun.get(replica);
    if (!begun) {
      throw new SyncError('REPLAY_INPUT_UNFIT', `${replica} opens a connection and never began`, { origin: 'capture' });
    }
    const { session, features, protocols, role } = begun;
    const client = new ClientState({
      definition: this.#played,
      replica,
      session,
      token: () => this.#tokens.get(replica) ?? '',
      features,
      protocols,
      role,
      tap: this.#tap,
      ...(this.#authority ? { authority: this.#authority } : {}),
    });
    this.clients.set(replica, client);
    return client;
  }

  #agree({ entries, failure }: InputOf<'agreed'>): void {
    const log = this.#shared;
    if (!log)
      throw new SyncError('REPLAY_INPUT_UNFIT', 'entries of others came to a log of its own', { origin: 'capture' });
    for (const bytes of entries) log.agree(log.durable + 1, bytes);
    if (failure !== undefined) log.fail(new SyncError('LOG_FAILED', failure, { origin: 'state' }));
  }

  /** The frame of a client as its link can read it, for whoever decides. */
  #read(input: Input, frame: Uint8Array): Message | undefined {
    if (input.op !== 'arrival') return undefined;
    try {
      return this.#links.get(input.link)?.decoder.decode(frame);
    } catch (error) {
      if (isSyncError(error)) return undefined;
      throw error;
    }
  }

  #requireManager(): SyncManager {
    if (this.#manager) return this.#manager;
    throw new SyncError('REPLAY_INPUT_UNFIT', 'something came to an authority that never began', { origin: 'capture' });
  }
}

/** Where its log has failed, an authority refuses its own mutations by throwing. */
function mutate(manager: SyncManager, { command, args, now }: InputOf<'mutate'>): void {
  try {
    manager.mutate(command, parseArguments(args), now);
  } catch (error) {
    if (!isSyncError(error)) throw error;
  }
}

/** What is done to an authority outside a simulation. */
function takeLive(
  manager: SyncManager,
  input: InputOf<'queues' | 'flush' | 'stop' | 'adopt' | 'settle' | 'refuse' | 'follow' | 'keep'>,
): readonly Outgoing[] {
  const { posted } = manager;
  const { now } = input;
  switch (input.op) {
    case 'queues':
      for (const [at, link] of input.links.entries()) manager.queued(link, input.bytes[at] ?? 0, now);
      return [];
    case 'flush':
      return manager.flush(now);
    case 'stop':
      return manager.stop(input.reason, input.reconnect);
    case 'adopt':
      posted.adopt(input.writer, input.counter, input.seen, now);
      return [];
    case 'settle': {
      const { writer, counter, command, args, seen } = input;
      posted.settle({ writer, counter }, command, parseArguments(args), seen, now);
      return [];
    }
    case 'refuse': {
      const { writer, counter, command, reason, seen } = input;
      posted.refuse({ writer, counter }, command, reason, seen, now);
      return [];
    }
    case 'follow':
      posted.follow(now);
      return [];
    case 'keep':
      posted.keep();
      return [];
  }
}

/** @throws SyncError `REPLAY_INPUTS_DAMAGED` */
function rootOf(snapshot: TraceBodyOf<'snapshot'> | undefined, replica: ReplicaId): StateRoot {
  if (snapshot) return StateRoot.from(snapshot.records.map(({ key, record }) => [key, record] as const));
  const text = `${replica} is said to stand somewhere, and no record has its state`;
  throw new SyncError('REPLAY_INPUTS_DAMAGED', text, { origin: 'capture' });
}

/** The authority says why it sends a link away; with that the capture says what the token was worth, which is not in it. */
function isTokenRefusal({ record: { body } }: Placed): boolean {
  return body.kind === 'log' && body.text.endsWith('was refused: TOKEN_REJECTED');
}

/** The frame that an input brought when it was recorded. What became durable meanwhile is told before it. */
export function frameOf(records: readonly Placed[]): Uint8Array | undefined {
  const brought = records.find(({ record: { body, wire } }) => {
    return wire !== undefined && (body.kind === 'receive' || body.kind === 'refused');
  });
  return brought?.record.wire;
}

function tokenIn(records: readonly Placed[]): string {
  for (const { record } of records) {
    if (record.body.kind !== 'send' || record.body.type !== 'HELLO' || !record.wire) continue;
    const hello = new FrameDecoder().decode(record.wire);
    if (hello.type === 'HELLO') return hello.token;
  }
  return '';
}

/** @throws SyncError `REPLAY_INPUT_UNFIT` for settings or groups of fields that no authority takes */
function managerOf(options: ConstructorParameters<typeof SyncManager>[0]): SyncManager {
  try {
    return new SyncManager(options);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    const text = `the authority ${options.replica} cannot begin as it is recorded: ${cause.message}`;
    throw new SyncError('REPLAY_INPUT_UNFIT', text, { origin: 'capture', cause });
  }
}
