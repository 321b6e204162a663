import { isSyncError } from '../errors/index.ts';
import { MIN_PROTOCOL, messageType, OWN_PROTOCOLS, PROTOCOL_VERSION } from '../messages/index.ts';
import { milliseconds } from '../ports/index.ts';
import { argumentText, type Input, InputJournal } from '../replay/index.ts';
import { type Change, type ReplicaId, replicaId, type Value } from '../state/index.ts';
import { ClientState, type Outgoing, perLink, type SessionDefinition, type SyncManager } from '../sync/index.ts';
import { TraceHub, type TraceRecord } from '../trace/index.ts';
import { AuthorityProcess, SESSION } from './authority-process.ts';
import { AUTHORITY, bazaar } from './bazaar.ts';
import { Choices, Stream } from './choices.ts';
import { ClientModel } from './client-model.ts';
import { EventQueue } from './event-queue.ts';
import { type FaultTarget, type StrikingFault, strike } from './faults.ts';
import { Line } from './network.ts';
import { NodeClock } from './node-clock.ts';
import { ClientNode, type ServerNode, type Socket } from './nodes.ts';
import { drawIntent, drawOwnIntent } from './operations.ts';
import { Referee } from './referee.ts';
import { type ClientShape, drawShape, type Shape, type SimulationOptions } from './shape.ts';

const SERVER = replicaId(AUTHORITY);
const TICK = milliseconds(50);
const CONNECT_TIMEOUT = milliseconds(1_000);
/** After healing, whoever holds a dead connection hears of it. */
const HEARD = milliseconds(100);
const MAX_IN_FLIGHT = 2_000;
/** More than any state of this session with all its names. */
const STATE_BYTES = 64 * 1024;
const HEARTBEAT = 17;

/**
 * One authority, its clients, and the network between them, in virtual time: carries out what the state machines ask for, and
 * lets them be struck by faults. Each node reads its own clock.
 */
export class World implements FaultTarget {
  readonly shape: Shape;
  readonly queue = new EventQueue();
  readonly referee: Referee;
  readonly server: ServerNode;
  readonly clients: readonly ClientNode[];
  /** Frames that were sent. */
  frames = 0;
  /** Whether people still do things of their own accord. */
  isWorking = true;
  /** Types of frames other than heartbeats, collected while it is there: when the network should be quiet. */
  chatter: string[] | undefined;
  readonly #hub = new TraceHub(this.queue);
  readonly #definition: SessionDefinition;
  readonly #byName = new Map<ReplicaId, ClientNode>();
  readonly #authority: AuthorityProcess;
  #nextLink = 1;
  #restarts = 0;
  /** Where the inputs go that the session is run again from. */
  readonly #journal: InputJournal | undefined;

  constructor(options: SimulationOptions, listener: ((record: TraceRecord) => void) | undefined) {
    const { seed, skip = {} } = options;
    this.shape = drawShape(options);
    this.#definition = bazaar(this.shape.size, this.shape.hasViews);
    this.referee = new Referee(this.shape, this.#definition.initialRecords(Stream.of(seed, 'authority')));
    this.#hub.listen((record) => this.referee.follow(record, this.#byName.get(record.replica)));
    if (listener) this.#hub.listen(listener);
    this.#journal = options.inputs ? new InputJournal(this.#hub, SERVER) : undefined;
    this.#authority = new AuthorityProcess({
      seed,
      shape: this.shape,
      definition: this.#definition,
      queue: this.queue,
      tap: this.#hub,
      oracle: this.referee.oracle,
      operations: new Choices(seed, AUTHORITY, skip),
      hand: (input, work) => this.#hand(input, work),
      isJournaled: this.#journal !== undefined,
    });
    this.server = this.#authority.node;
    this.clients = this.shape.clients.map((shape) => {
      const choices = {
        operations: new Choices(seed, shape.name, skip),
        up: new Choices(seed, `up/${shape.name}`, skip),
        down: new Choices(seed, `down/${shape.name}`, skip),
      };
      const clock = new NodeClock(this.queue, shape.clock);
      const client = new ClientNode(clock, shape, choices, this.#newMemory(shape, clock));
      this.#byName.set(replicaId(shape.name), client);
      return client;
    });
  }

  get now(): number {
    return this.queue.now();
  }

  /** Mutations that took effect, at this authority and those that were lost. */
  get commits(): number {
    return this.#authority.commits;
  }

  /** Hands an input to a state machine, and keeps it where the session is to be run again. */
  #hand<T>(input: Input, work: () => T): T {
    return this.#journal ? this.#journal.run(input, work) : work();
  }

  /** The recording is to end here. */
  endRecording(): void {
    this.#journal?.flush();
  }

  /** Everybody connects and begins. */
  start(): void {
    for (const client of this.clients) {
      this.#connect(client);
      this.#every(TICK * 2, () => this.#tickClient(client));
      this.#act(client);
    }
    this.#every(Math.max(TICK / 2, this.shape.settings.syncInterval / 2), () => {
      if (!this.server.isPaused) this.#tickServer();
    });
    this.#actAtServer();
  }

  // — what people do —

  #every(interval: number, run: () => void): void {
    this.queue.after(interval, () => {
      run();
      this.#every(interval, run);
    });
  }

  #tickServer(): void {
    const { manager, clock, sockets } = this.server;
    const { maxQueued } = this.shape.settings;
    for (const { link, down } of sockets.values()) {
      const { waiting } = down;
      const now = clock.now();
      this.#hand({ op: 'queued', replica: SERVER, now, link, bytes: waiting }, () =>
        manager.queued(link, waiting, now),
      );
      if (waiting <= maxQueued * 2 + STATE_BYTES) continue;
      this.referee.report({ invariant: 'bounded', text: `${waiting} bytes wait for a reader that is slow` });
    }
    const now = clock.now();
    this.#toClients(this.#hand({ op: 'tick', replica: SERVER, now }, () => manager.tick(now)));
  }

  #tickClient(client: ClientNode): void {
    if (client.isPaused) return;
    const { state, clock } = client;
    const now = clock.now();
    this.#toServer(
      client,
      this.#hand({ op: 'tick', replica: state.replica, now }, () => state.tick(now)),
    );
  }

  #act(client: ClientNode): void {
    const pause = client.shape.pace * (0.5 + (client.operations.count % 7) / 7);
    this.queue.after(pause, () => {
      if (!this.isWorking) return;
      if (client.isPaused) client.operations.next();
      else this.perform(client);
      this.#act(client);
    });
  }

  perform(client: ClientNode): void {
    const { state, model, operations } = client;
    const operation = `${state.replica}.${operations.count}`;
    const { stream, isSkipped } = operations.next();
    if (isSkipped) return;
    const { command, args, isUnchecked } = drawIntent(stream, this.shape.size, operation);
    const now = client.clock.now();
    const input: Input = {
      op: 'predict',
      replica: state.replica,
      now,
      command,
      args: argumentText(args),
      unchecked: isUnchecked,
    };
    const result = this.#hand(input, () => state.predict(command, args, now, { unchecked: isUnchecked }));
    if ('rejected' in result) {
      model.check();
      return;
    }
    model.predicted(result.mutation.counter, operation, command, args);
    this.#toServer(client, result.frames);
  }

  #actAtServer(): void {
    this.queue.after(this.shape.serverPace, () => {
      if (!this.isWorking) return;
      const { operations, manager, isPaused, clock } = this.server;
      const operation = `${AUTHORITY}.${operations.count}`;
      const { stream, isSkipped } = operations.next();
      const { command, args } = drawOwnIntent(stream, this.shape.size, operation);
      const now = clock.now();
      const input: Input = { op: 'mutate', replica: SERVER, now, command, args: argumentText(args) };
      if (!isSkipped && !isPaused) this.#hand(input, () => mutate(manager, command, args, now));
      this.#authority.driveDisk();
      this.#actAtServer();
    });
  }

  // — connections —

  #connect(client: ClientNode): void {
    client.attempts++;
    const { conditions } = client;
    const retry = (): void => this.queue.after(CONNECT_TIMEOUT, () => this.#reconnect(client));
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
      up: new Line(this.queue, conditions, 'up', client.upChoices, (frame) => this.#atServer(socket, frame)),
      down: new Line(this.queue, conditions, 'down', client.downChoices, (frame) => this.#atClient(socket, frame)),
    };
    client.socket = socket;
    const { up, down } = conditions.blockedUntil;
    const arrival = Math.max(this.now, up, down) + conditions.shape.latency;
    this.queue.at(arrival, () => {
      if (socket.isBroken || client.socket !== socket) return;
      this.server.handle(() => {
        this.server.sockets.set(link, socket);
        const now = this.server.clock.now();
        this.#hand({ op: 'connect', replica: SERVER, now, link }, () => this.server.manager.connect(link, now));
      });
      this.queue.after(conditions.shape.latency, () => {
        client.handle(() => {
          if (client.socket !== socket) return;
          socket.isOpen = true;
          const { state, clock } = client;
          const now = clock.now();
          this.#toServer(
            client,
            this.#hand({ op: 'open', replica: state.replica, now, link }, () => state.open(now)),
          );
        });
      });
    });
  }

  #reconnect(client: ClientNode): void {
    if (client.socket === undefined) this.#connect(client);
  }

  #atServer(socket: Socket, frame: Uint8Array): void {
    this.server.handle(() => {
      // A closed socket gives nothing more to read.
      if (this.server.sockets.get(socket.link) !== socket) return;
      const { manager, clock } = this.server;
      const { link } = socket;
      const now = clock.now();
      this.#toClients(
        this.#hand({ op: 'arrival', replica: SERVER, now, link }, () => manager.receive(link, frame, now)),
      );
    });
  }

  #atClient(socket: Socket, frame: Uint8Array): void {
    const { client } = socket;
    client.handle(() => {
      if (client.socket !== socket) return;
      const { state, clock } = client;
      const now = clock.now();
      const input: Input = { op: 'delivery', replica: state.replica, now, link: socket.link };
      this.#toServer(
        client,
        this.#hand(input, () => state.receive(frame, now)),
      );
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
    this.#authority.driveDisk();
    for (const one of perLink(outgoing)) {
      const socket = this.server.sockets.get(one.link);
      if (!socket) continue;
      if ('close' in one) {
        this.server.sockets.delete(one.link);
        socket.up.drop();
        socket.down.finish(() => this.#closedForClient(socket, one.close));
      } else {
        if (socket.client.socket === socket) this.#note([one.frame]);
        if (this.shape.hasViews) this.#checkPermission(socket.client.state.replica, one.frame);
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
    const now = client.clock.now();
    this.#hand({ op: 'closed', replica: state.replica, now, reason }, () => state.closed(reason, now));
    client.model.check();
    this.queue.after(milliseconds(Math.min(2_000, 100 * client.attempts)), () => this.#reconnect(client));
  }

  #closedForServer(socket: Socket, reason: string): void {
    this.server.handle(() => {
      if (!this.server.sockets.delete(socket.link)) return;
      const { link } = socket;
      const now = this.server.clock.now();
      const input: Input = { op: 'disconnect', replica: SERVER, now, link, reason };
      this.#hand(input, () => this.server.manager.disconnect(link, reason, now));
    });
  }

  // — faults —

  strike(fault: StrikingFault, client: ClientNode, stream: Stream): void {
    const target = fault === 'server-pause' ? SERVER : client.state.replica;
    const detail = strike(fault, client, stream, this);
    this.referee.count(fault);
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
    this.queue.after(heard.client, () =>
      socket.down.finish(() => this.#closedForClient(socket, 'the connection broke')),
    );
    this.queue.after(heard.server, () => socket.up.finish(() => this.#closedForServer(socket, 'the connection broke')));
  }

  pause(node: 'server' | ClientNode, duration: number): void {
    const paused = node === 'server' ? this.server : node;
    paused.pause();
    this.queue.after(duration, () => paused.resume());
  }

  restart(client: ClientNode, isHeard: boolean): void {
    const { socket } = client;
    client.socket = undefined;
    if (socket) {
      socket.isBroken = true;
      socket.down.drop();
      // An authority without a memory cannot tell the HELLO of a process that is gone from that of its successor.
      if (this.shape.faults.has('crash')) socket.up.drop();
      if (isHeard) socket.up.finish(() => this.#closedForServer(socket, 'closed by the client'));
      else this.queue.after(milliseconds(8_000), () => this.#closedForServer(socket, 'the connection broke'));
    }
    Object.assign(client, this.#newMemory(client.shape, client.clock, ++this.#restarts % 2 === 1));
    this.queue.after(milliseconds(50), () => this.#reconnect(client));
  }

  corrupt({ state, clock }: ClientNode, changes: readonly Change[]): void {
    const input: Input = { op: 'corrupt', replica: state.replica, now: clock.now(), changes: [...changes] };
    this.#hand(input, () => state.corruptCommitted(changes));
  }

  stepClock(node: 'server' | ClientNode, by: number): void {
    (node === 'server' ? this.server : node).clock.step(by);
  }

  crash(stream: Stream): void {
    const { server } = this;
    server.forget();
    for (const socket of server.sockets.values()) {
      socket.isBroken = true;
      socket.up.drop();
      socket.down.cut(1);
      const late = milliseconds(stream.pick([0, 100, 2_000, 8_000]));
      // A process that is ended for its disk may end when all else is whole again: then everybody hears of it as of any dead connection.
      const heard = socket.client.conditions.isRough ? late : Math.min(late, HEARD);
      this.queue.after(heard, () => socket.down.finish(() => this.#closedForClient(socket, 'the authority is gone')));
    }
    server.sockets.clear();
    this.#authority.restart(stream);
  }

  failDisk(stream: Stream): boolean {
    const { disk } = this.server;
    disk?.fail(new Error('the disk is full'));
    // Whoever watches over the process ends it.
    if (disk)
      this.queue.after(
        milliseconds(stream.pick([1, 300, 2_000])),
        () => this.server.disk === disk && this.crash(stream),
      );
    return disk !== undefined;
  }

  /** A process that begins without a memory; `isNewer`: of a build that speaks a protocol of which nobody else knows yet. */
  #newMemory(shape: ClientShape, clock: NodeClock, isNewer = false): { state: ClientState; model: ClientModel } {
    const replica = replicaId(shape.name);
    const features = [...shape.features];
    const protocols = isNewer ? { min: MIN_PROTOCOL, max: PROTOCOL_VERSION + 1 } : OWN_PROTOCOLS;
    const options = { definition: this.#definition, replica, session: SESSION, token: 'none', features, protocols };
    const now = clock.now();
    const input: Input = { op: 'client', replica, now, session: SESSION, features, protocols, role: 'client' };
    const state = this.#hand(input, () => new ClientState({ ...options, tap: this.#hub }));
    const model = new ClientModel(state, {
      oracle: this.referee.oracle,
      definition: this.#definition,
      size: this.shape.size,
      isPartial: this.shape.hasViews,
      report: (violation) => this.referee.report(violation),
    });
    return { state, model };
  }

  cutOff(client: ClientNode): void {
    client.conditions.isCutOff = true;
    const { socket } = client;
    if (!socket) return;
    socket.isBroken = true;
    socket.up.drop();
    socket.down.drop();
  }

  heal(client: ClientNode): void {
    const { conditions } = client;
    conditions.isRough = false;
    conditions.isCutOff = false;
    conditions.blockedUntil.up = 0;
    conditions.blockedUntil.down = 0;
    client.attempts = 0;
    client.resume();
    const { socket } = client;
    if (socket?.isBroken) this.queue.after(HEARD, () => this.#closedForClient(socket, 'the connection is dead'));
    for (const old of [...this.server.sockets.values()]) {
      if (old.client === client && old.isBroken) this.#closedForServer(old, 'the connection is dead');
    }
  }

  /** A frame to somebody who may not see all must not even name what is another's. */
  #checkPermission(replica: ReplicaId, frame: Uint8Array): void {
    const text = textIn(frame);
    for (const person of this.shape.size.people) {
      if (person === replica) continue;
      const told = [`account/${person}`, `bag/${person}`].find((key) => text.includes(key));
      if (told === undefined) continue;
      this.referee.report({ invariant: 'permission', text: `a frame to ${replica} speaks of ${told}` });
    }
  }

  #checkLine(line: Line, sender: ReplicaId): void {
    if (line.inFlight <= MAX_IN_FLIGHT) return;
    this.referee.report({ invariant: 'bounded', text: `${line.inFlight} frames of ${sender} are on their way` });
  }

  #note(frames: readonly Uint8Array[]): void {
    this.frames += frames.length;
    if (!this.chatter) return;
    // Every frame is an array that begins with the number of its type.
    for (const frame of frames)
      if (frame[1] !== HEARTBEAT) this.chatter.push(messageType(frame[1]) ?? 'something else');
  }
}

/** Where its log has failed, an authority refuses its own mutations too. */
function mutate(manager: SyncManager, command: string, args: Value, now: number): void {
  try {
    manager.mutate(command, args, now);
  } catch (error) {
    if (!isSyncError(error) || error.code !== 'LOG_FAILED') throw error;
  }
}

/** The bytes of a frame as characters, so that keys can be looked for: all of them are ASCII here. */
function textIn(frame: Uint8Array): string {
  let text = '';
  for (const byte of frame) text += String.fromCharCode(byte);
  return text;
}
