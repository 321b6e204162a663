import { advance, type Committed, nothingKnown } from '../capture/committed.ts';
import { messageType } from '../messages/index.ts';
import { milliseconds } from '../ports/index.ts';
import { type ReplicaId, replicaId, type Value } from '../state/index.ts';
import { ClientState, type Outgoing, type SessionDefinition, SyncManager } from '../sync/index.ts';
import { TraceHub, type TraceRecord, type VectorEntries } from '../trace/index.ts';
import { AUTHORITY, bazaar } from './bazaar.ts';
import { Choices, Stream } from './choices.ts';
import { ClientModel } from './client-model.ts';
import { EventQueue } from './event-queue.ts';
import { type FaultTarget, STRIKING, type StrikingFault, strike } from './faults.ts';
import { Line } from './network.ts';
import { NodeClock } from './node-clock.ts';
import { ClientNode, ServerNode, type Socket } from './nodes.ts';
import { drawIntent, drawOwnIntent } from './operations.ts';
import { Oracle, type Violation } from './oracle.ts';
import { type ClientShape, drawShape, type Shape, type SimulationOptions } from './shape.ts';
import { differenceOf, textsOf } from './small-fold.ts';
import { TraceDigest } from './trace-digest.ts';

export type Phase = 'warm-up' | 'safety' | 'liveness' | 'healed' | 'audit';

export interface Failure extends Violation {
  /** Events before it. */
  readonly step: number;
  /** Virtual nanoseconds. */
  readonly time: number;
  readonly phase: Phase;
}

/** What a run came to. */
export interface SimulationResult {
  readonly options: SimulationOptions;
  readonly failure: Failure | undefined;
  /** Hash of everything that was traced. */
  readonly hash: string;
  readonly events: number;
  /** Virtual nanoseconds. */
  readonly time: number;
  readonly frames: number;
  readonly commits: number;
  /** How often each fault struck, and each kind of repair put things right. */
  readonly tally: Readonly<Record<string, number>>;
  /** Choices that were made, by concern: what may be taken out. */
  readonly choices: Readonly<Record<string, number>>;
}

const SERVER = replicaId(AUTHORITY);
export const SESSION = 'simulated';
const TICK = milliseconds(50);
const PROBE = milliseconds(100);
/** From healing to convergence: two waits of 30 s may follow upon each other, and clocks differ. */
const LIVENESS_BUDGET = milliseconds(150_000);
/** After convergence, what was on the way arrives. */
const SETTLING = milliseconds(1_500);
const QUIET = milliseconds(2_100);
const MAX_IN_FLIGHT = 2_000;
const CONNECT_TIMEOUT = milliseconds(1_000);
const DEEP_EVERY = 200;
const HEARTBEAT = 17;

/** Runs one seed to its end, or to the first rule that is broken. The same options give the same result. */
export function simulate(options: SimulationOptions, listener?: (record: TraceRecord) => void): SimulationResult {
  return new Simulation(options, listener).run();
}

/** One authority, its clients and the network between them, in virtual time. */
class Simulation implements FaultTarget {
  readonly #options: SimulationOptions;
  readonly #shape: Shape;
  readonly #queue = new EventQueue();
  readonly #hub = new TraceHub(this.#queue);
  readonly #definition: SessionDefinition;
  readonly #oracle: Oracle;
  readonly #server: ServerNode;
  readonly #clients: ClientNode[];
  readonly #faults: Choices;
  readonly #healing: Choices;
  readonly #digest = new TraceDigest();
  readonly #captured = new Map<ReplicaId, Committed>();
  readonly #tally: Record<string, number> = {};
  #phase: Phase = 'warm-up';
  #steps = 0;
  #frames = 0;
  /** Of authorities that were lost. */
  #commits = 0;
  #nextLink = 1;
  #violation: Violation | undefined;
  #isWorking = true;
  /** Frames other than heartbeats, counted while the network should be quiet. */
  #chatter: string[] | undefined;

  constructor(options: SimulationOptions, listener: ((record: TraceRecord) => void) | undefined) {
    const { seed, skip = {} } = options;
    this.#options = options;
    this.#shape = drawShape(options);
    this.#definition = bazaar(this.#shape.size);
    const report = (violation: Violation): void => this.#report(violation);
    this.#oracle = new Oracle(this.#definition.initialRecords(Stream.of(seed, 'authority')), this.#shape.size, report);
    this.#hub.listen((record) => this.#onRecord(record));
    if (listener) this.#hub.listen(listener);
    const clock = new NodeClock(this.#queue, this.#shape.serverClock);
    this.#server = new ServerNode(clock, this.#newManager(clock), new Choices(seed, AUTHORITY, skip));
    this.#clients = this.#shape.clients.map((shape) => {
      const clientClock = new NodeClock(this.#queue, shape.clock);
      const choices = {
        operations: new Choices(seed, shape.name, skip),
        up: new Choices(seed, `up/${shape.name}`, skip),
        down: new Choices(seed, `down/${shape.name}`, skip),
      };
      return new ClientNode(clientClock, shape, choices, this.#newMemory(shape));
    });
    this.#faults = new Choices(seed, 'faults', skip);
    this.#healing = new Choices(seed, 'healing', {});
  }

  get now(): number {
    return this.#queue.now();
  }

  run(): SimulationResult {
    let failure: Failure | undefined;
    try {
      this.#start();
      this.#advance(this.#shape.warmUp);
      this.#safety();
      this.#liveness();
      this.#healAll();
      this.#audit();
    } catch (error) {
      const { step, time, phase } = { step: this.#steps, time: this.now, phase: this.#phase };
      if (error instanceof Broken) failure = { ...error.violation, step, time, phase };
      else failure = { invariant: 'no-throw', text: stackOf(error), step, time, phase };
    }
    const all = [this.#faults, this.#server.operations];
    for (const client of this.#clients) all.push(client.operations, client.upChoices, client.downChoices);
    return {
      options: this.#options,
      failure,
      hash: this.#digest.hash,
      events: this.#steps,
      time: this.now,
      frames: this.#frames,
      commits: this.#commits + this.#server.manager.stats.commits,
      tally: this.#tally,
      choices: Object.fromEntries(all.map(({ concern, count }) => [concern, count])),
    };
  }

  // — phases —

  #start(): void {
    for (const client of this.#clients) {
      this.#connect(client);
      this.#every(TICK * 2, () => this.#tickClient(client));
      this.#act(client);
    }
    this.#every(Math.max(TICK / 2, this.#shape.settings.syncInterval / 2), () => {
      if (!this.#server.isPaused) this.#toClients(this.#server.manager.tick(this.#server.clock.now()));
    });
    this.#actAtServer();
  }

  #safety(): void {
    this.#phase = 'safety';
    for (const client of this.#clients) client.conditions.isRough = true;
    const start = this.now;
    for (let index = 0; index < this.#shape.faultEvents; index++) {
      const { stream, isSkipped } = this.#faults.next();
      const at = start + stream.next() * this.#shape.safety;
      const fault = stream.pick(STRIKING);
      const client = this.#clients[Math.floor(stream.next() * 4)];
      if (isSkipped || !client || !this.#shape.faults.has(fault)) continue;
      this.#queue.at(at, () => this.#strike(fault, client, stream));
    }
    this.#advance(start + this.#shape.safety);
    if (this.#options.canary) this.#report({ invariant: 'canary', text: 'the canary sings' });
    this.#isWorking = false;
  }

  /** The authority and a random majority of the clients are healed, the others cut off; the healed ones must converge. */
  #liveness(): void {
    this.#phase = 'liveness';
    const { stream } = this.#healing.next();
    const waiting = [...this.#clients];
    const healed: ClientNode[] = [];
    const count = stream.int(Math.ceil(waiting.length / 2), waiting.length);
    while (healed.length < count) healed.push(...waiting.splice(stream.int(0, waiting.length - 1), 1));
    for (const client of waiting) this.#cutOff(client);
    this.#server.resume();
    for (const client of healed) this.#heal(client);
    this.#converge(healed);
  }

  #healAll(): void {
    this.#phase = 'healed';
    for (const client of this.#clients) this.#heal(client);
    this.#converge(this.#clients);
    this.#disturbRest();
    this.#advance(this.now + SETTLING);
    this.#chatter = [];
    this.#advance(this.now + QUIET);
    const chatter = [...new Set(this.#chatter)];
    if (chatter.length > 0)
      this.#fail({ invariant: 'liveness', text: `all is well, yet they say ${chatter.join(', ')}` });
  }

  /** A copy changes while nothing else happens, so that no delta can bring it to light. */
  #disturbRest(): void {
    const { stream, isSkipped } = this.#faults.next();
    const client = this.#clients[Math.floor(stream.next() * 4)];
    if (isSkipped || !client || !this.#shape.faults.has('corrupt')) return;
    this.#strike('corrupt', client, stream);
    this.#waitForConvergence(this.#clients);
  }

  #audit(): void {
    this.#phase = 'audit';
    this.#checkDeeply();
    const { manager } = this.#server;
    for (const { state } of this.#clients) {
      const difference =
        this.#unsettled(state) ??
        differenceOf(textsOf(state.optimistic.entries(), true), textsOf(manager.root.entries(), true));
      if (difference) this.#fail({ invariant: 'convergence', text: `${state.replica}: ${difference}` });
      this.#checkCaptured(state.replica, state.committed.hash);
    }
    this.#checkCaptured(SERVER, manager.root.hash);
  }

  #checkCaptured(replica: ReplicaId, hash: string): void {
    const { root, unknown } = this.#captured.get(replica) ?? nothingKnown;
    if (unknown === undefined && root.hash === hash) return;
    const text = `the recording gives ${replica} the hash ${root.hash}, it has ${hash}${unknown ? `: ${unknown}` : ''}`;
    this.#fail({ invariant: 'capture-faithful', text });
  }

  /** Everybody becomes equal while nothing new happens, and again when everybody has done one thing more: it must go on. */
  #converge(clients: readonly ClientNode[]): void {
    this.#waitForConvergence(clients);
    for (const client of clients) client.handle(() => this.#perform(client));
    this.#waitForConvergence(clients);
  }

  #waitForConvergence(clients: readonly ClientNode[]): void {
    const deadline = this.now + LIVENESS_BUDGET;
    for (;;) {
      this.#advance(this.now + PROBE);
      const problem = clients.map(({ state }) => this.#unsettled(state)).find((one) => one !== undefined);
      if (problem === undefined) return;
      if (this.now >= deadline)
        this.#fail({ invariant: 'liveness', text: `after ${LIVENESS_BUDGET / 1e9} s, ${problem}` });
    }
  }

  /** What still keeps a client from being like the authority. */
  #unsettled(state: ClientState): string | undefined {
    const { replica, version, pending, committed } = state;
    const known = this.#oracle.latest;
    if (version !== this.#oracle.version) return `${replica} is at version ${version} of ${this.#oracle.version}`;
    if (committed.hash !== known.hash) return `${replica} has the hash ${committed.hash}, not ${known.hash}`;
    if (pending.length > 0) return `${replica} has ${pending.length} pending`;
    if (!state.isSettled) return `${replica} is ${state.phase} and still waits for something`;
    const vector = vectorText(state.vector.entries());
    const theirs = vectorText(this.#server.manager.vector);
    // An equal state of an authority that was lost is resumed from, with a vector that nobody can put right.
    if (vector !== theirs && this.#oracle.logs === 1) return `${replica} has seen ${vector} of ${theirs}`;
    const seen = this.#server.manager.clients.find((one) => one.replica === replica);
    if (!seen) return `${replica} is not known to the authority`;
    if (seen.version !== version || seen.pendingDeltas > 0)
      return `the authority thinks that ${replica} is at version ${seen.version}`;
    return undefined;
  }

  // — events —

  #advance(until: number): void {
    while (this.#queue.step(until)) {
      this.#steps++;
      this.#checkServer();
      if (this.#steps % DEEP_EVERY === 0) this.#checkDeeply();
      if (this.#violation) throw new Broken(this.#violation);
    }
    if (this.#violation) throw new Broken(this.#violation);
  }

  #every(interval: number, run: () => void): void {
    this.#queue.after(interval, () => {
      run();
      this.#every(interval, run);
    });
  }

  #tickClient(client: ClientNode): void {
    if (!client.isPaused) this.#toServer(client, client.state.tick(client.clock.now()));
  }

  #act(client: ClientNode): void {
    const pause = client.shape.pace * (0.5 + (client.operations.count % 7) / 7);
    this.#queue.after(pause, () => {
      if (!this.#isWorking) return;
      if (client.isPaused) client.operations.next();
      else this.#perform(client);
      this.#act(client);
    });
  }

  #perform(client: ClientNode): void {
    const { state, model, operations } = client;
    const operation = `${state.replica}.${operations.count}`;
    const { stream, isSkipped } = operations.next();
    if (isSkipped) return;
    const { command, args, isUnchecked } = drawIntent(stream, this.#shape.size, operation);
    const result = state.predict(command, args, client.clock.now(), { unchecked: isUnchecked });
    if ('rejected' in result) {
      model.check();
      return;
    }
    model.predicted(result.mutation.counter, operation, command, args);
    this.#toServer(client, result.frames);
  }

  #actAtServer(): void {
    this.#queue.after(this.#shape.serverPace, () => {
      if (!this.#isWorking) return;
      const { operations, manager, isPaused, clock } = this.#server;
      const operation = `${AUTHORITY}.${operations.count}`;
      const { stream, isSkipped } = operations.next();
      const { command, args } = drawOwnIntent(stream, this.#shape.size, operation);
      if (!isSkipped && !isPaused) manager.mutate(command, args as Value, clock.now());
      this.#actAtServer();
    });
  }

  // — connections —

  #connect(client: ClientNode): void {
    client.attempts++;
    const { conditions } = client;
    const retry = (): void => this.#queue.after(CONNECT_TIMEOUT, () => this.#reconnect(client));
    if (conditions.isCutOff) {
      retry();
      return;
    }
    const link = this.#nextLink++;
    const socket: Socket = {
      link,
      client,
      isOpen: false,
      isBroken: false,
      up: new Line(this.#queue, conditions, 'up', client.upChoices, (frame) => this.#atServer(socket, frame)),
      down: new Line(this.#queue, conditions, 'down', client.downChoices, (frame) => this.#atClient(socket, frame)),
    };
    client.socket = socket;
    const { up, down } = conditions.blockedUntil;
    const arrival = Math.max(this.now, up, down) + conditions.shape.latency;
    this.#queue.at(arrival, () => {
      if (socket.isBroken || client.socket !== socket) return;
      this.#server.handle(() => {
        this.#server.sockets.set(link, socket);
        this.#server.manager.connect(link, this.#server.clock.now());
      });
      this.#queue.after(conditions.shape.latency, () => {
        client.handle(() => {
          if (client.socket !== socket) return;
          socket.isOpen = true;
          this.#toServer(client, client.state.open(client.clock.now()));
        });
      });
    });
  }

  #reconnect(client: ClientNode): void {
    if (client.socket === undefined) this.#connect(client);
  }

  #atServer(socket: Socket, frame: Uint8Array): void {
    this.#server.handle(() => {
      // A closed socket gives nothing more to read.
      if (this.#server.sockets.get(socket.link) !== socket) return;
      this.#toClients(this.#server.manager.receive(socket.link, frame, this.#server.clock.now()));
    });
  }

  #atClient(socket: Socket, frame: Uint8Array): void {
    const { client } = socket;
    client.handle(() => {
      if (client.socket !== socket) return;
      this.#toServer(client, client.state.receive(frame, client.clock.now()));
    });
  }

  #toServer(client: ClientNode, frames: readonly Uint8Array[]): void {
    const { socket, state } = client;
    this.#note(frames);
    for (const frame of frames) socket?.up.send(frame);
    if (socket) this.#checkLine(socket.up, state.replica);
    // It has said that the connection is of no more use.
    if (socket?.isOpen && state.phase === 'closed') this.#closeAtClient(client, 'given up');
    client.model.check();
  }

  #toClients(outgoing: readonly Outgoing[]): void {
    for (const one of outgoing) {
      const socket = this.#server.sockets.get(one.link);
      if (!socket) continue;
      if ('close' in one) {
        this.#server.sockets.delete(one.link);
        socket.up.drop();
        socket.down.finish(() => this.#closedForClient(socket, one.close));
      } else {
        if (socket.client.socket === socket) this.#note([one.frame]);
        socket.down.send(one.frame);
        this.#checkLine(socket.down, SERVER);
      }
    }
  }

  #closedForClient(socket: Socket, reason: string): void {
    const { client } = socket;
    client.handle(() => {
      if (client.socket === socket) this.#closeAtClient(client, reason);
    });
  }

  #closeAtClient(client: ClientNode, reason: string): void {
    const { socket, state } = client;
    if (!socket) return;
    client.socket = undefined;
    socket.down.drop();
    if (!socket.isBroken) socket.up.finish(() => this.#closedForServer(socket, 'closed by the client'));
    state.closed(reason, client.clock.now());
    client.model.check();
    this.#queue.after(milliseconds(Math.min(2_000, 100 * client.attempts)), () => this.#reconnect(client));
  }

  #closedForServer(socket: Socket, reason: string): void {
    this.#server.handle(() => {
      if (!this.#server.sockets.delete(socket.link)) return;
      this.#server.manager.disconnect(socket.link, reason, this.#server.clock.now());
    });
  }

  // — faults —

  #strike(fault: StrikingFault, client: ClientNode, stream: Stream): void {
    const target = fault === 'server-pause' ? SERVER : client.state.replica;
    const detail = strike(fault, client, stream, this);
    this.#count(fault);
    this.#hub.emit(target, { kind: 'fault', fault, phase: 'struck', target, detail });
    client.model.check();
  }

  breakSocket(
    client: ClientNode,
    parts: { readonly up: number; readonly down: number },
    heard: { readonly client: number; readonly server: number },
  ): void {
    const { socket } = client;
    if (!socket || socket.isBroken) return;
    socket.isBroken = true;
    socket.up.cut(parts.up);
    socket.down.cut(parts.down);
    this.#queue.after(heard.client, () =>
      socket.down.finish(() => this.#closedForClient(socket, 'the connection broke')),
    );
    this.#queue.after(heard.server, () =>
      socket.up.finish(() => this.#closedForServer(socket, 'the connection broke')),
    );
  }

  pause(node: 'server' | ClientNode, duration: number): void {
    const paused = node === 'server' ? this.#server : node;
    paused.pause();
    this.#queue.after(duration, () => paused.resume());
  }

  restart(client: ClientNode, isHeard: boolean): void {
    const { socket } = client;
    client.socket = undefined;
    if (socket) {
      socket.isBroken = true;
      socket.down.drop();
      if (isHeard) socket.up.finish(() => this.#closedForServer(socket, 'closed by the client'));
      else this.#queue.after(milliseconds(8_000), () => this.#closedForServer(socket, 'the connection broke'));
    }
    Object.assign(client, this.#newMemory(client.shape));
    this.#queue.after(milliseconds(50), () => this.#reconnect(client));
  }

  stepClock(node: 'server' | ClientNode, by: number): void {
    (node === 'server' ? this.#server : node).clock.step(by);
  }

  crash(heard: () => number): void {
    const server = this.#server;
    this.#commits += server.manager.stats.commits;
    server.forget();
    for (const socket of server.sockets.values()) {
      socket.isBroken = true;
      socket.up.drop();
      socket.down.cut(1);
      this.#queue.after(heard(), () =>
        socket.down.finish(() => this.#closedForClient(socket, 'the authority is gone')),
      );
    }
    server.sockets.clear();
    this.#oracle.restart();
    server.manager = this.#newManager(server.clock);
  }

  #newManager(clock: NodeClock): SyncManager {
    return new SyncManager({
      definition: this.#definition,
      replica: SERVER,
      session: SESSION,
      random: Stream.of(this.#options.seed, 'authority'),
      now: clock.now(),
      tap: this.#hub,
      ...this.#shape.settings,
    });
  }

  #newMemory(shape: ClientShape): { state: ClientState; model: ClientModel } {
    const state = new ClientState({
      definition: this.#definition,
      replica: replicaId(shape.name),
      session: SESSION,
      token: 'none',
      features: shape.features,
      tap: this.#hub,
    });
    const model = new ClientModel(state, {
      oracle: this.#oracle,
      definition: this.#definition,
      size: this.#shape.size,
      report: (violation) => this.#report(violation),
    });
    return { state, model };
  }

  #cutOff(client: ClientNode): void {
    client.conditions.isCutOff = true;
    const { socket } = client;
    if (!socket) return;
    socket.isBroken = true;
    socket.up.drop();
    socket.down.drop();
  }

  #heal(client: ClientNode): void {
    const { conditions } = client;
    conditions.isRough = false;
    conditions.isCutOff = false;
    conditions.blockedUntil.up = 0;
    conditions.blockedUntil.down = 0;
    client.attempts = 0;
    client.resume();
    const { socket } = client;
    if (socket?.isBroken) this.#queue.after(PROBE, () => this.#closedForClient(socket, 'the connection is dead'));
    for (const old of [...this.#server.sockets.values()]) {
      if (old.client === client && old.isBroken) this.#closedForServer(old, 'the connection is dead');
    }
  }

  // — checks —

  #onRecord(record: TraceRecord): void {
    this.#digest.add(record);
    const { replica, body } = record;
    if (replica === SERVER) this.#oracle.follow(record);
    else this.#checkClientRecord(replica, record);
    const before = this.#captured.get(replica) ?? nothingKnown;
    const after = advance(before, record, undefined);
    if (after === before) return;
    this.#captured.set(replica, after);
    const isWhole = body.kind === 'commit' || body.kind === 'apply' || body.kind === 'snapshot';
    if (!isWhole || after.unknown === undefined || this.#clientOf(replica)?.model.isTainted) return;
    this.#report({ invariant: 'capture-faithful', text: `after ${body.kind} of ${replica}: ${after.unknown}` });
  }

  #checkClientRecord(replica: ReplicaId, { body }: TraceRecord): void {
    if (body.kind === 'apply' || body.kind === 'divergence') {
      const state = this.#clientOf(replica)?.state;
      if (!state) return;
      if (body.kind === 'divergence') {
        this.#count('differences');
        this.#oracle.checkDifferences(textsOf(state.committed.entries()), body.version, body.differences);
        const limit = 64 + 32 * body.differences.length;
        if (body.hashes > limit) {
          const text = `${body.differences.length} differences took ${body.hashes} hashes, at most ${limit} were due`;
          this.#report({ invariant: 'repair-exact', text });
        }
        return;
      }
      if (body.from !== state.version) {
        const text = `${replica} is at version ${state.version} and applied a delta from ${body.from}`;
        this.#report({ invariant: 'gap-free', text });
      }
      if (!this.#oracle.at(body.to).some(({ hash }) => hash === body.root)) {
        this.#report({
          invariant: 'hash-on-wire',
          text: `${replica} took ${body.root} for the hash of version ${body.to}`,
        });
      }
    } else if (body.kind === 'repair') {
      this.#count(`repair by ${body.method}`);
    } else if (body.kind === 'mismatch') {
      this.#count(`mismatch of ${body.reason}`);
    }
  }

  #checkServer(): void {
    const { manager } = this.#server;
    if (manager.version !== this.#oracle.version || manager.root.hash !== this.#oracle.latest.hash) {
      const text = `the authority has version ${manager.version} with ${manager.root.hash}, its log ${this.#oracle.version} with ${this.#oracle.latest.hash}`;
      this.#report({ invariant: 'state-at-version', text });
    }
  }

  #checkDeeply(): void {
    const { manager } = this.#server;
    const difference = differenceOf(textsOf(manager.root.entries(), true), this.#oracle.latest.texts);
    if (difference) this.#report({ invariant: 'state-at-version', text: `${SERVER}: ${difference}` });
    for (const client of this.#clients) client.model.check(true);
    const limit = this.#shape.settings.maxDeltaChain + 1;
    for (const { replica, sent, version, pendingDeltas } of manager.clients) {
      if (pendingDeltas > limit) {
        this.#report({
          invariant: 'bounded',
          text: `${replica} leaves ${pendingDeltas} deltas open, at most ${limit}`,
        });
      }
      if (version > sent || sent > manager.version) {
        const text = `${replica} acknowledged ${version} of ${sent} sent of ${manager.version}`;
        this.#report({ invariant: 'monotonic', text });
      }
    }
  }

  #checkLine(line: Line, sender: ReplicaId): void {
    if (line.inFlight <= MAX_IN_FLIGHT) return;
    this.#report({ invariant: 'bounded', text: `${line.inFlight} frames of ${sender} are on their way` });
  }

  #note(frames: readonly Uint8Array[]): void {
    this.#frames += frames.length;
    if (!this.#chatter) return;
    // Every frame is an array that begins with the number of its type.
    for (const frame of frames)
      if (frame[1] !== HEARTBEAT) this.#chatter.push(messageType(frame[1]) ?? 'something else');
  }

  #clientOf(replica: ReplicaId): ClientNode | undefined {
    // Not yet there while the first clients are being made.
    return this.#clients?.find((client) => client.state.replica === replica);
  }

  #count(what: string): void {
    this.#tally[what] = (this.#tally[what] ?? 0) + 1;
  }

  /** Keeps the first; thrown when the event is over, so that no code under test can catch it. */
  #report(violation: Violation): void {
    this.#violation ??= violation;
  }

  #fail(violation: Violation): never {
    throw new Broken(this.#violation ?? violation);
  }
}

class Broken extends Error {
  readonly violation: Violation;

  constructor(violation: Violation) {
    super(violation.text);
    this.violation = violation;
  }
}

function vectorText(entries: VectorEntries): string {
  return entries.map(({ replica, counter }) => `${replica}:${counter}`).join(' ');
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
