import { randomBytes, randomInt } from 'node:crypto';
import { SyncError } from '@syncscope/protocol/errors';
import type { Durability } from '@syncscope/protocol/events';
import { type Feature, PROTOCOL_VERSION } from '@syncscope/protocol/messages';
import {
  type FlightRecorderSettings,
  type Inspectable,
  inspectable,
  monotonicClock,
  SyncClient,
} from '@syncscope/protocol/node';
import { NO_REFERENCES, Reconciler, type ReconcilerOptions } from '@syncscope/protocol/offline';
import { milliseconds, type Random, randomOf } from '@syncscope/protocol/ports';
import { JournaledClient, JournaledManager, journaledDevice, LiveJournal } from '@syncscope/protocol/replay';
import { reconcileOverHttp } from '@syncscope/protocol/sse';
import { type ReplicaId, replicaId, type SyncRecord, type Value } from '@syncscope/protocol/state';
import { type SyncManager, type SyncManagerOptions, secretFields } from '@syncscope/protocol/sync';
import { type Tap, TRACE_VERSION, type TraceHeader, TraceHub } from '@syncscope/protocol/trace';
import { Bot } from './bot.ts';
import { DeviceBot } from './device-bot.ts';
import { chooseDrift } from './faults/drift.ts';
import { FaultBoard } from './faults/fault-board.ts';
import type { PlannedFault } from './faults/specs.ts';
import { UnsteadyReducer } from './faults/unsteady.ts';
import { type DrainOptions, Gateway } from './gateway.ts';
import { SYNC_PATH } from './http-app.ts';
import {
  isTrouble,
  newIncarnation,
  openPersistence,
  type Persistence,
  type PersistenceOptions,
} from './log/persistence.ts';
import { SkewedClock } from './peers/skewed-clock.ts';
import { PresenceService, type Sighting } from './presence-service.ts';
import { AUTHORITY } from './scenarios/adventure.ts';
import { SCENARIOS } from './scenarios/index.ts';
import type { Scenario } from './scenarios/scenario.ts';
import { sameToken, withoutToken } from './token.ts';

export interface ServerOptions
  extends Pick<PersistenceOptions, 'log' | 'bus' | 'session' | 'durable' | 'patience' | 'onRetry'> {
  /** A name of {@link SCENARIOS}; `adventure` by default. */
  readonly scenario?: string;
  /** What a client gets: all of the state, the default, or only what concerns it. */
  readonly view?: 'all' | 'room';
  /** Bots sign the guest book, so that the state has something secret in it. */
  readonly guestBook?: boolean;
  /** 4 by default. */
  readonly bots?: number;
  /** The authority does nothing of its own accord, so that all that happens comes from clients. */
  readonly idle?: boolean;
  /** Of the one HTTP server: sync, attach and page. 0, the default, takes a free one. */
  readonly port?: number;
  /** Where clients may come from; loopback by default. Anything else needs `token`, and only synchronising is offered there. */
  readonly host?: string;
  /** What clients show in their HELLO; made up where absent. */
  readonly token?: string;
  /** The same seed gives the same world and the same bots. Random where absent. */
  readonly seed?: number;
  readonly faults?: readonly PlannedFault[];
  /** Told of one of `faults` that could not start when its time had come. */
  readonly onFaultFailed?: (error: SyncError) => void;
  /** The folder of the built inspector page. */
  readonly assets?: string;
  /** Where discovery files are; the user's own folder by default. */
  readonly sessionsFolder?: string;
  /** Milliseconds between two deltas to a client; 100 where absent. */
  readonly syncInterval?: number;
  /**
   * Whether each event is run twice, so that a mutation of which the two runs differ is refused: it could not be replayed. True where absent; it costs
   * the reducer once more for each mutation, some 20 µs in the adventure, whatever the number of clients.
   */
  readonly verifyReducer?: boolean;
  /** Saves the last seconds by itself when a client is found to differ. */
  readonly flightRecorder?: FlightRecorderSettings;
}

export interface RunningServer {
  /** `ws://HOST:PORT/sync`. */
  readonly url: string;
  /** The session that a HELLO names. */
  readonly session: string;
  /** What a HELLO shows. */
  readonly token: string;
  readonly seed: number;
  /** What an acknowledged mutation survives. */
  readonly durability: Durability;
  readonly inspect: Inspectable;
  readonly manager: SyncManager;
  readonly bots: readonly Bot[];
  /** Bots that work offline now and then. */
  readonly devices: readonly DeviceBot[];
  /**
   * Says goodbye to everyone, closes all ports and removes the discovery file. Nothing is left running. With `drain`, nobody else is let in
   * first, what was decided is made durable and told, and clients are sent elsewhere.
   */
  close(reason?: string, drain?: DrainOptions): Promise<void>;
}

export const BOTS_MAX = 200;
const CARETAKER_MS = 1_000;
/** From which clients go on by deltas where the session is kept, so that one that comes from another server, or after a restart, can. */
const KEPT_VERSIONS = 5_000;
/** In a stream of deltas a client says once a second where it stands, as at rest, and may leave as much again unacknowledged. */
const CHAIN = { maxDeltaChain: 20, acknowledgeEvery: 10, acknowledgeWithin: milliseconds(1_000) } as const;
const LOOPBACK_HOSTS: readonly string[] = ['127.0.0.1', '::1', 'localhost'];

/**
 * Runs a session: the authority, its gateway, bots and faults, and the endpoint to attach to.
 * @throws SyncError `SCENARIO_UNKNOWN`, `VIEW_UNKNOWN`, `GUEST_BOOK_UNKNOWN`, `SERVER_EXPOSED` (another host without a token), `SERVER_PORT_TAKEN` or what {@link inspectable} throws
 */
export async function startServer(options: ServerOptions = {}): Promise<RunningServer> {
  const { host = '127.0.0.1', seed = randomInt(2 ** 31), port = 0 } = options;
  const { view = 'all', guestBook = false } = options;
  const scenario = withGuests(withView(scenarioNamed(options.scenario ?? 'adventure'), view), guestBook);
  const isLoopback = LOOPBACK_HOSTS.includes(host);
  if (!isLoopback && options.token === undefined) {
    throw new SyncError(
      'SERVER_EXPOSED',
      `${host} can be reached from other machines; give clients a token (--token), or stay on 127.0.0.1`,
      { origin: 'setting' },
    );
  }
  const { definition, name } = scenario;
  const kept = await openPersistence({
    ...options,
    scenario: name,
    definition,
    seed,
    random: (own) => randomOf(own, 'world'),
  });
  const token = options.token ?? randomBytes(32).toString('hex');
  const { syncInterval, verifyReducer = true } = options;
  const world = await worldOf(scenario, kept, token, {
    verifyReducer,
    ...(syncInterval === undefined ? {} : { syncInterval: milliseconds(syncInterval) }),
  });
  try {
    const inspect = await world.open(options, isLoopback ? port : 0);
    const opened = isLoopback ? new URL(inspect.url).host : `${host}:${await world.gateway.listen(host, port)}`;
    const local = isLoopback ? opened : `127.0.0.1:${new URL(inspect.url).port}`;
    await world.start(`ws://${local}${SYNC_PATH}`, options);
    return {
      url: `ws://${opened}${SYNC_PATH}`,
      session: world.session,
      token: world.token,
      seed: kept.seed,
      durability: kept.log?.durability ?? 'memory',
      inspect,
      manager: world.manager,
      bots: world.bots,
      devices: world.devices,
      close: (reason = 'the server ended', drain) => world.close(reason, drain),
    };
  } catch (error) {
    await world.close('the server could not start');
    throw error;
  }
}

/** What of the authority's settings a server's options decide. */
type ManagerSettings = Pick<SyncManagerOptions, 'verifyReducer' | 'syncInterval'>;

async function worldOf(
  scenario: Scenario,
  kept: Persistence,
  token: string,
  settings: ManagerSettings,
): Promise<World> {
  try {
    return new World(scenario, kept, token, settings);
  } catch (error) {
    await kept.close();
    throw error;
  }
}

function scenarioNamed(name: string): Scenario {
  const scenario = Object.hasOwn(SCENARIOS, name) ? SCENARIOS[name] : undefined;
  if (scenario) return scenario;
  throw new SyncError(
    'SCENARIO_UNKNOWN',
    `there is no scenario ${JSON.stringify(name)}; there is ${Object.keys(SCENARIOS).join(', ')}`,
    { origin: 'setting' },
  );
}

function withView(scenario: Scenario, view: 'all' | 'room'): Scenario {
  if (view === 'all') return scenario;
  if (scenario.byInterest) return { ...scenario, definition: scenario.byInterest };
  throw new SyncError('VIEW_UNKNOWN', `${scenario.name} has no rooms; every client gets all of it`, {
    origin: 'setting',
  });
}

function withGuests(scenario: Scenario, guestBook: boolean): Scenario {
  if (!guestBook) return scenario;
  if (scenario.guestMind) return { ...scenario, mind: scenario.guestMind };
  throw new SyncError('GUEST_BOOK_UNKNOWN', `${scenario.name} has no guest book; the adventure has one`, {
    origin: 'setting',
  });
}

/** A bot, and what of it faults can strike. */
interface BotParts {
  readonly bot: Bot;
  readonly clock: SkewedClock;
  readonly reducer: UnsteadyReducer;
}

/** Everything that runs, and its end. */
class World {
  readonly session: string;
  readonly token: string;
  readonly manager: JournaledManager;
  readonly gateway: Gateway;
  readonly bots: Bot[] = [];
  readonly #parts = new Map<ReplicaId, BotParts>();
  readonly #reducer: UnsteadyReducer;
  readonly devices: DeviceBot[] = [];
  readonly #reconciling: Omit<ReconcilerOptions, 'authority' | 'tap'>;
  readonly #scenario: Scenario;
  readonly #kept: Persistence;
  readonly #hub = new TraceHub(monotonicClock);
  /** Where it is written what is done to the endpoints of this process. */
  readonly #journal = new LiveJournal(this.#hub, AUTHORITY);
  /** What the session's own parts report to. */
  readonly #tap: Tap;
  readonly #startedAt = Date.now();
  readonly #faults: FaultBoard;
  readonly #members: PresenceService;
  #inspect: Inspectable | undefined;
  #caretaking: NodeJS.Timeout | undefined;
  #carrying: NodeJS.Immediate | undefined;
  #closing: Promise<void> | undefined;

  constructor(scenario: Scenario, kept: Persistence, token: string, settings: ManagerSettings) {
    this.#scenario = scenario;
    this.#kept = kept;
    this.token = token;
    this.session = kept.session;
    const tap = withoutToken(this.#hub, token);
    this.#tap = scenario.tap?.(tap) ?? tap;
    this.#reconciling = scenario.reconciling?.(() => this.manager.posted.head.root) ?? {};
    const { definition, reducer } = UnsteadyReducer.in(scenario.definition);
    this.#reducer = reducer;
    const options: SyncManagerOptions = {
      definition,
      replica: AUTHORITY,
      session: this.session,
      random: this.#random('world'),
      now: monotonicClock.now(),
      tap: this.#tap,
      authorize: (shown) => sameToken(shown, token),
      ...(kept.log ? { log: kept.log, ring: KEPT_VERSIONS } : {}),
      incarnation: newIncarnation(),
      ...CHAIN,
      ...settings,
      metrics: {
        latency: (client, time) => this.gateway.metrics.latency(client, time),
        backlog: () => undefined,
        reconciliation: (end) => this.gateway.metrics.reconciliation(end),
      },
      onDurable: (time) => this.gateway.metrics.appended(time),
      onGoodbye: (replica, now) => {
        this.#members.goodbye(replica, now);
        kept.presence?.goodbye(replica);
      },
    };
    this.manager = new JournaledManager(options, this.#journal);
    this.#faults = new FaultBoard({
      tap: this.#tap,
      authority: AUTHORITY,
      random: this.#random('faults'),
      targets: () => this.#targets(),
      corrupt: (target, key, field) => this.#corrupt(target, key, field),
      crash: (target, downtime) => {
        const lost = this.#botOf(target).bot.crash(downtime);
        return `ended without a word, ${lost} mutations without an answer are forgotten; comes back after ${downtime} ms`;
      },
      skew: (target, by) => {
        this.#botOf(target).clock.skew(milliseconds(by));
        return by === 0 ? 'its clock is right again' : `its clock is ${Math.abs(by)} ms ${by > 0 ? 'ahead' : 'behind'}`;
      },
      unsteady: (target, events) => {
        (target === AUTHORITY ? this.#reducer : this.#botOf(target).reducer).disturb(events);
        return `its reducer answers something else each time, for ${events} ${events === 1 ? 'event' : 'events'}`;
      },
    });
    const settled = (writer: ReplicaId) => this.manager.posted.settled(writer);
    this.#members = new PresenceService({ tap: this.#tap, authority: AUTHORITY, settled });
    this.gateway = new Gateway({
      manager: this.manager,
      faults: this.#faults,
      tap: this.#tap,
      clock: monotonicClock,
      authorize: (shown) => sameToken(shown, token),
      mayInspect: (shown) => this.#mayInspect(shown),
      parts: () => kept.parts(),
      status: () => this.#status(),
      onReconciled: ({ device, acknowledged }) => {
        const metadata = { way: 'reconcile' };
        this.#members.posted({ replica: device, visit: 'reconcile', version: acknowledged.version, metadata });
      },
      reconciler: new Reconciler({ ...this.#reconciling, authority: this.manager.posting, tap: this.#tap }),
    });
  }

  async open({ assets, sessionsFolder, flightRecorder }: ServerOptions, port: number): Promise<Inspectable> {
    this.#inspect = await inspectable({
      hub: this.#hub,
      header: this.#header(),
      describe: () => this.#describe(),
      flush: () => this.#journal.flush(),
      targets: () => this.#targets(),
      injectFault: (spec) => this.#faults.inject(spec),
      upgrades: { [SYNC_PATH]: (request, socket, head) => this.gateway.upgrade(request, socket, head) },
      app: {
        answers: (path) => this.gateway.answers(path),
        handle: (request, response) => this.gateway.handle(request, response),
      },
      port,
      ...(assets === undefined ? {} : { assets }),
      ...(sessionsFolder === undefined ? {} : { sessionsFolder }),
      ...(flightRecorder === undefined ? {} : { flightRecorder }),
    });
    return this.#inspect;
  }

  async start(url: string, { bots = 4, idle = false, faults = [], onFaultFailed }: ServerOptions): Promise<void> {
    const { presence } = this.#kept;
    const { devicesFrom = Number.POSITIVE_INFINITY } = this.#scenario;
    // Servers that share a session have bots of their own.
    const own = presence ? `${presence.gateway.slice(0, 4)}-` : '';
    for (let number = 1; number <= bots; number++) {
      if (number < devicesFrom) this.bots.push(this.#bot(url, replicaId(`bot-${own}${number}`)));
      else this.devices.push(await this.#device(url, this.#newName(`device-${own}${number}`)));
    }
    for (const { spec, at } of faults) this.#faults.schedule(at / 1_000_000, spec, onFaultFailed);
    const caretaker = this.#scenario.caretaker(this.#random('caretaker'));
    presence?.start(() => this.#targets());
    this.#kept.onChange(() => this.#carrySoon());
    this.#caretaking = setInterval(() => {
      this.#kept.maintain();
      for (const name of presence?.leftElsewhere ?? []) this.#members.goodbye(name, monotonicClock.now());
      this.#members.tick(this.#sightings(), monotonicClock.now());
      // One server is enough.
      if (idle || (presence && !presence.isFirst)) return;
      const connected = new Set<string>([...this.#targets(), ...(presence?.elsewhere ?? [])]);
      for (const { command, args } of caretaker.due(this.manager.root, connected, performance.now())) {
        this.#mutate(command, args);
      }
    }, CARETAKER_MS);
  }

  /** Those that are connected here, and those that other gateways of the session tell of. */
  #sightings(): Sighting[] {
    const here = this.manager.present.map(({ replica, link, version, features, lastSyncTime }): Sighting => {
      const metadata = metadataOf(features);
      return { replica, visit: link, version, metadata, heard: this.gateway.heardAt(link), agreed: lastSyncTime };
    });
    const elsewhere = (this.#kept.presence?.elsewhere ?? []).map((name) => {
      const metadata = { way: 'another gateway' };
      return { replica: name, visit: 'elsewhere', version: 0, metadata, isHearsay: true };
    });
    return [...here, ...elsewhere];
  }

  #status(): object {
    const { name } = this.#scenario;
    const { version } = this.manager;
    const isWhole = this.#scenario.definition.view === undefined;
    const members = this.#members.members(monotonicClock.now());
    return { session: this.session, scenario: name, version, view: isWhole ? 'all' : 'room', members };
  }

  /** What is due comes again; why it cannot be done now, health says. */
  #mutate(command: string, args: Value): void {
    try {
      this.manager.mutate(command, args, monotonicClock.now());
    } catch (error) {
      if (!isTrouble(error)) throw error;
    }
  }

  /** Tells what has become durable, once a turn. */
  #carrySoon(): void {
    this.#carrying ??= setImmediate(() => {
      this.#carrying = undefined;
      this.gateway.tick();
    });
  }

  close(reason: string, drain?: DrainOptions): Promise<void> {
    this.#closing ??= this.#end(reason, drain);
    return this.#closing;
  }

  async #end(reason: string, drain: DrainOptions | undefined): Promise<void> {
    clearInterval(this.#caretaking);
    await Promise.all(this.devices.map((device) => device.rest()));
    const bots = this.bots.map((bot) => bot.rest());
    if (drain) await this.gateway.drain(reason, drain);
    else await this.gateway.close(reason);
    this.#faults.close();
    // Each ends by itself within a few seconds, whatever the other side does.
    await Promise.all(bots);
    this.#journal.flush();
    await this.#inspect?.close(reason);
    await this.#kept.close();
    clearImmediate(this.#carrying);
  }

  #mayInspect(shown: string): boolean {
    const inspect = this.#inspect;
    return inspect !== undefined && (sameToken(shown, inspect.token) || sameToken(shown, inspect.injectToken));
  }

  #random(part: string): Random {
    return randomOf(this.#kept.seed, part);
  }

  #header(): TraceHeader {
    return {
      sessionId: this.session,
      title: `${this.#scenario.title} (seed ${this.#kept.seed})`,
      scenario: this.#scenario.name,
      traceVersion: TRACE_VERSION,
      protocolVersion: PROTOCOL_VERSION,
      startedAt: this.#startedAt,
      authority: AUTHORITY,
      build: 'syncscope 0.1.0',
      ...secretFields(this.#scenario.definition),
    };
  }

  #describe(): void {
    this.manager.describe();
    this.#faults.describe();
    for (const bot of this.bots) bot.state.describe();
    for (const device of this.devices) device.describe();
    this.#members.describe();
    // Where everybody stands is right behind what they hold there.
    this.#journal.flush();
  }

  #targets(): ReplicaId[] {
    return this.manager.connected.sort();
  }

  #bot(url: string, replica: ReplicaId): Bot {
    const clock = new SkewedClock();
    const { definition, reducer } = UnsteadyReducer.in(this.#scenario.asPlayed);
    const random = this.#random(`${replica} reconnects`);
    const begin = (): SyncClient => {
      const { session, token } = this;
      const options = { definition, replica, session, token, tap: this.#tap, authority: AUTHORITY };
      const state = new JournaledClient(options, this.#journal, clock.now());
      return new SyncClient({ url, state, clock, random, token: this.token });
    };
    const bot = new Bot(replica, begin, this.#scenario.mind(replica, this.#random(replica)));
    this.#parts.set(replica, { bot, clock, reducer });
    return bot;
  }

  /** Devices keep their mutations in memory: after a restart they are others than those whose mutations the log has counted. */
  #newName(name: string): ReplicaId {
    const known = new Set<string>(Array.from(this.manager.vector, ({ replica }) => replica));
    let life = 2;
    let free = name;
    while (known.has(free)) free = `${name}.${life++}`;
    return replicaId(free);
  }

  #device(url: string, device: ReplicaId): Promise<DeviceBot> {
    const http = url.replace(/^ws/, 'http').slice(0, -SYNC_PATH.length);
    return DeviceBot.start({
      device,
      definition: this.#scenario.asPlayed,
      references: this.#reconciling.references ?? NO_REFERENCES,
      session: this.session,
      connection: reconcileOverHttp({ url: http, token: this.token }),
      mind: this.#scenario.mind(device, this.#random(device)),
      random: this.#random(`${device} travels`),
      tap: this.#tap,
      journal: journaledDevice(this.#journal, device),
    });
  }

  #botOf(target: ReplicaId): BotParts {
    const parts = this.#parts.get(target);
    if (parts) return parts;
    throw new SyncError('FAULT_TARGET_UNKNOWN', `${target} is not in this process; choose a bot`, {
      origin: 'setting',
    });
  }

  #corrupt(target: ReplicaId, key: string | undefined, field: string | undefined): string {
    const { bot } = this.#botOf(target);
    const { change, before, after, ...drift } = chooseDrift(bot.state.committed, this.#faults.random, key, field);
    bot.corrupt(change);
    return `${drift.key} ${drift.field}: ${JSON.stringify(before)} became ${JSON.stringify(after)}`;
  }
}

/** The same for as long as a connection lasts, whose features are. */
const metadata = new WeakMap<readonly Feature[], SyncRecord>();

function metadataOf(features: readonly Feature[]): SyncRecord {
  const known = metadata.get(features) ?? { way: 'connection', features: [...features] };
  metadata.set(features, known);
  return known;
}
