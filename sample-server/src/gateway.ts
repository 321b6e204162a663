import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { SyncError } from '@syncscope/protocol/errors';
import { MESSAGES } from '@syncscope/protocol/messages';
import { type Refusal, refuse, refuseUpgrade } from '@syncscope/protocol/node';
import type { ReconcileAnswer, ReconcileRequest, Reconciler } from '@syncscope/protocol/offline';
import { type Clock, milliseconds } from '@syncscope/protocol/ports';
import { replicaId } from '@syncscope/protocol/state';
import { type LinkId, type Outgoing, perLink, type SyncManager } from '@syncscope/protocol/sync';
import type { Tap } from '@syncscope/protocol/trace';
import type { FaultBoard } from './faults/fault-board.ts';
import type { FaultyLink } from './faults/link.ts';
import { Alarm } from './gateway-alarm.ts';
import { Allowance, Doorkeeper, GATEWAY_LIMITS, type GatewayLimits } from './gateway-limits.ts';
import { GatewayMetrics, typeNumber } from './gateway-metrics.ts';
import { CLOSING, PATH_UNKNOWN, STRANGE_PAGE, TOKEN_MISSING, TOKEN_REJECTED } from './gateway-refusals.ts';
import { EventStreams } from './gateway-sse.ts';
import { CLIENT_FRAME_MAX, WebSocketEntrance } from './gateway-websocket.ts';
import { type ClientWire, type Entrance, NO_FRAMES, type WireSink, withFrame } from './gateway-wire.ts';
import {
  type HttpListener,
  type HttpParts,
  httpListener,
  isGatewayPath,
  type Readiness,
  SYNC_PATH,
} from './http-app.ts';
import { Reconciling } from './http-reconcile.ts';

/** How often at least what has to run out by itself is looked after, such as the patience with a client. */
const IDLE_NS = milliseconds(200);
/** How often somebody is looked after in whose connection something waits, or who waits for the log. */
const BUSY_MS = 10;
/** How long an event waits for its delta: a round, and some more. */
const EVENT_WAIT_NS = milliseconds(120);
const STRANGER = replicaId('unknown');

/** Milliseconds. */
export interface DrainOptions {
  /** How long to wait until what was decided is durable and told. */
  readonly patience: number;
  /** After which clients are to come back, here or to another server. */
  readonly reconnect: number;
}

export interface GatewayOptions {
  readonly manager: SyncManager;
  readonly faults: FaultBoard;
  readonly tap: Tap;
  readonly clock: Clock;
  readonly limits?: Partial<GatewayLimits>;
  /** Whether a token lets clients in, asked before an event stream is answered; without it anyone is. The manager asks for itself with each HELLO. */
  readonly authorize?: (token: string) => boolean;
  /** What a client may know of the session and of who is there, as JSON; without it, nobody can ask. */
  readonly status?: () => object;
  /** A device without a connection was answered. */
  readonly onReconciled?: (request: ReconcileRequest) => void;
  /** Settles what devices did while they were offline; without it, nobody can ask for that. */
  readonly reconciler?: Reconciler;
  /** What else must be well before new clients should come, such as a log or a bus: `ok`, or what is wrong. */
  readonly parts?: () => Readonly<Record<string, string>>;
  /** Whether a token lets inspect. On a port for other machines, the metrics are told only to who shows one; to anyone where absent. */
  readonly mayInspect?: (token: string) => boolean;
}

interface Connection {
  readonly link: LinkId;
  readonly wire: ClientWire;
  /** Takes what a fault board lets through. */
  readonly down: FaultyLink;
  readonly up: FaultyLink;
  readonly address: string;
  readonly visit: { greeted(): void; gone(): void };
  readonly allowance: Allowance;
  isGreeted: boolean;
  /** When a frame of it came to the authority last. */
  heardAt: number;
  /** Frames of this step, sent together at its end. */
  outgoing: readonly Uint8Array[];
  /** Whether they are sent at the end of this step. */
  isDue: boolean;
  /** Whether it is looked after, as one of which nothing but events waits, or has waited, since then. */
  isHeld: boolean;
  heldSince: number;
  /** Whether it is among those in which something waited when the authority was told last. */
  isBacked: boolean;
}

/**
 * Carries frames between clients and the authority, over WebSockets and event streams. It gives each client so much and no more: what
 * is too large, too much or too slowly read ends that connection with a reason, and no other notices.
 */
export class Gateway {
  readonly metrics: GatewayMetrics;
  readonly #options: GatewayOptions;
  readonly #limits: GatewayLimits;
  readonly #doorkeeper: Doorkeeper;
  readonly #webSockets: WebSocketEntrance;
  /** For this machine, and for others. */
  readonly #http: HttpListener;
  readonly #exposed: HttpListener;
  readonly #reconciling: Reconciling | undefined;
  readonly #connections = new Map<LinkId, Connection>();
  /** Rings when the authority has something to send, or when everybody was looked after too long ago. */
  readonly #alarm: Alarm;
  #lookedAt: number;
  /** Connections that have frames of this step. */
  #written: Connection[] = [];
  /** Connections of which events wait, or have waited. */
  #held: Connection[] = [];
  /** Connections in which something waited when the authority was told last. */
  #backed: Connection[] = [];
  /** Connections that a fault may still hold something back from. */
  readonly #delayed = new Set<Connection>();
  /** Connections whose wires do something from time to time. */
  readonly #timed = new Set<Connection>();
  #links = 0;
  #isCarrying = false;
  /** When the present step began: reading the clock for each frame of it would cost more than the frame. */
  #stepAt = 0;
  #state: 'open' | 'draining' | 'closed' = 'open';
  #server: Server | undefined;

  constructor(options: GatewayOptions) {
    this.#options = options;
    this.#limits = { ...GATEWAY_LIMITS, ...options.limits };
    const now = (): number => this.#now();
    this.#doorkeeper = new Doorkeeper(this.#limits, now);
    const entrance: Entrance = {
      refusal: (address) => (this.#state === 'open' ? this.#doorkeeper.refusal(address) : CLOSING),
      tokenRefusal: (address, token, isRight = options.authorize) => this.#tokenRefusal(address, token, isRight),
      upgradeRefusal: (address, token) =>
        token === undefined
          ? this.#doorkeeper.blockedRefusal(address)
          : this.#tokenRefusal(address, token, options.authorize),
      open: (wire, address) => this.#open(wire, address),
      reconcileRefusal: (address) => (this.#state === 'open' ? this.#doorkeeper.reconcileRefusal(address) : CLOSING),
    };
    this.#webSockets = new WebSocketEntrance(entrance);
    this.metrics = new GatewayMetrics(options.manager, () => this.#wires(), options.tap);
    const reconciling = options.reconciler && new Reconciling(options.reconciler, now);
    this.#reconciling = reconciling;
    const parts: HttpParts = {
      ...(options.status ? { status: options.status } : {}),
      ...(reconciling ? { reconcile: (request) => this.#reconcile(reconciling, request) } : {}),
      reconcileFailed: () => this.metrics.reconcileFailed(now()),
      entrance,
      streams: new EventStreams(entrance, now),
      readiness: () => this.readiness,
      metrics: () => this.metrics.text(),
    };
    const { mayInspect } = options;
    this.#http = httpListener(parts);
    this.#exposed = httpListener({ ...parts, ...(mayInspect ? { mayInspect } : {}) });
    this.#alarm = new Alarm(now, () => this.tick());
    this.#lookedAt = now();
    this.#wakeInTime();
    options.manager.onDue(() => this.#wakeInTime());
  }

  /** Whether new clients should be sent here. */
  get readiness(): Readiness {
    const { manager, parts: others } = this.#options;
    const session = manager.failure?.code ?? 'ok';
    const parts = { gateway: this.#state === 'open' ? 'ok' : this.#state, session, ...others?.() };
    return { isReady: Object.values(parts).every((state) => state === 'ok'), parts };
  }

  /** When a frame of a link came to the authority last, in nanoseconds; 0 where there is none. */
  heardAt(link: LinkId): number {
    return this.#connections.get(link)?.heardAt ?? 0;
  }

  /** Whether a path is answered by {@link handle}. */
  answers(path: string): boolean {
    return isGatewayPath(path);
  }

  /** Answers an HTTP request that has been found to be no stranger's. */
  handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    return this.#http(request, response);
  }

  /** Takes over a WebSocket request that has been found to be no stranger's. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#webSockets.upgrade(request, socket, head);
  }

  /**
   * Opens a port of its own, for other machines. Clients show their token; a page of another origin is refused before.
   * @throws SyncError `SERVER_PORT_TAKEN`
   */
  async listen(host: string, port: number): Promise<number> {
    const server = createServer((request, response) => {
      if (isOwnPage(request)) this.#exposed(request, response);
      else refuse(response, STRANGE_PAGE);
    });
    this.#server = server;
    server.on('upgrade', (request, socket, head) => {
      socket.on('error', () => socket.destroy());
      if (!isOwnPage(request)) refuseUpgrade(socket, STRANGE_PAGE);
      else if (request.url !== SYNC_PATH) refuseUpgrade(socket, PATH_UNKNOWN);
      else this.upgrade(request, socket, head);
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => {
        reject(
          new SyncError('SERVER_PORT_TAKEN', `${host}:${port} cannot be opened: ${error.message}`, {
            origin: 'setting',
            cause: error,
          }),
        );
      });
      server.listen(port, host, resolve);
    });
    return (server.address() as AddressInfo).port;
  }

  /** Lets the authority carry out what is due. */
  tick(): void {
    const { manager } = this.#options;
    const now = this.#now();
    this.#lookedAt = now;
    this.#tellBacked(now);
    for (const { wire } of this.#timed) wire.tick?.(now);
    this.#carry(manager.tick(now), now);
    this.#flushHeld(EVENT_WAIT_NS, now);
    this.#reconciling?.tick();
    this.metrics.reconciliations.tick(now);
    this.#wakeInTime();
  }

  /** Sets the alarm to when somebody has to be sent something, or looked after. */
  #wakeInTime(): void {
    if (this.#state === 'closed') return;
    const { manager } = this.#options;
    let at = Math.min(this.#lookedAt + IDLE_NS, manager.due);
    const held = this.#held[0];
    if (held) at = Math.min(at, held.heldSince + EVENT_WAIT_NS);
    const isBusy = this.#backed.length > 0 || !manager.isSettled || this.#reconciling?.isBusy;
    if (isBusy) at = Math.min(at, this.#now() + milliseconds(BUSY_MS));
    this.#alarm.set(at);
  }

  /** Tells the authority how much waits in connections in which something did when it was told last. */
  #tellBacked(now: number): void {
    const backed = this.#backed;
    if (backed.length === 0) return;
    this.#backed = [];
    for (const connection of backed) {
      connection.isBacked = false;
      if (this.#connections.has(connection.link)) this.#tellQueued(connection, now);
    }
  }

  #tellQueued(connection: Connection, now: number): void {
    const { link, wire } = connection;
    const { queued } = wire;
    if (queued > 0 && !connection.isBacked) {
      connection.isBacked = true;
      this.#backed.push(connection);
    }
    this.#options.manager.queued(link, queued, now);
  }

  /** Links are told of it with the next tick. */
  async #reconcile(reconciling: Reconciling, request: ReconcileRequest): Promise<ReconcileAnswer> {
    const answer = await reconciling.settle(request);
    this.metrics.reconciled(request, answer, this.#now());
    this.#options.onReconciled?.(request);
    return answer;
  }

  /**
   * Lets nobody else in, waits until what was decided is durable and told, and sends everybody elsewhere. `patience` in milliseconds is how
   * long that waiting may take; answers false where it was not enough, and something decided was never acknowledged to anybody.
   */
  async drain(reason: string, { patience, reconnect }: DrainOptions): Promise<boolean> {
    this.#state = 'draining';
    const end = this.#now() + milliseconds(patience);
    while (!this.#isToldAll() && this.#now() < end) await new Promise((resolve) => setTimeout(resolve, BUSY_MS));
    const isWhole = this.#options.manager.isSettled;
    await this.close(reason, reconnect);
    return isWhole;
  }

  /** Whether all that was decided is durable and with every client that reads. */
  #isToldAll(): boolean {
    const { manager } = this.#options;
    if (!manager.isSettled || this.#reconciling?.isBusy) return false;
    const now = this.#now();
    this.#carry(manager.flush(now), now);
    return manager.clients.every(({ version, queue }) => version === manager.version || queue.isSlow);
  }

  /** Says goodbye to every client, and closes. `reconnect`: milliseconds after which they may come back; it is over where absent. */
  async close(reason: string, reconnect?: number): Promise<void> {
    this.#state = 'closed';
    this.#flushHeld(0, this.#now());
    this.#reconciling?.close();
    this.#alarm.clear();
    const closed: Promise<void>[] = [];
    const frames = new Map<Connection, Uint8Array[]>();
    const hint = reconnect === undefined ? undefined : milliseconds(reconnect);
    for (const out of perLink(this.#options.manager.stop(reason, hint))) {
      const connection = this.#connections.get(out.link);
      if (!connection) continue;
      // A goodbye is not subject to faults, nor to what they still hold back.
      connection.down.close();
      connection.up.close();
      if ('frame' in out) frames.set(connection, [...(frames.get(connection) ?? []), out.frame]);
      else {
        this.#send(connection, frames.get(connection) ?? [], this.#now());
        closed.push(connection.wire.close('ended', out.close));
      }
    }
    const ended = this.#server && new Promise((resolve) => this.#server?.close(resolve));
    await Promise.all(closed);
    this.#server?.closeAllConnections();
    await ended;
    await this.metrics.close();
  }

  #now(): number {
    return this.#options.clock.now();
  }

  *#wires(): Iterable<ClientWire> {
    for (const { wire } of this.#connections.values()) yield wire;
  }

  #tokenRefusal(
    address: string,
    token: string | undefined,
    isRight: ((token: string) => boolean) | undefined,
  ): Refusal | undefined {
    if (!isRight) return undefined;
    if (token === undefined || token === '') return TOKEN_MISSING;
    // Whoever has the right one is not shut out by another of the same address who guesses.
    if (isRight(token)) return undefined;
    const refusal = this.#doorkeeper.blockedRefusal(address);
    this.#doorkeeper.wrongToken(address);
    return refusal ?? TOKEN_REJECTED;
  }

  #open(wire: ClientWire, address: string): WireSink {
    const { faults, manager } = this.#options;
    const link = ++this.#links;
    const visit = this.#doorkeeper.opened(address);
    const replica = () => manager.replicaOf(link);
    const connection: Connection = {
      link,
      wire,
      address,
      visit,
      down: faults.down(replica, (frame) => this.#queue(connection, frame)),
      up: faults.up(replica, (frame) => this.#deliver(connection, frame)),
      allowance: new Allowance(this.#limits.frames, this.#now()),
      isGreeted: false,
      heardAt: this.#now(),
      outgoing: NO_FRAMES,
      isDue: false,
      isHeld: false,
      heldSince: 0,
      isBacked: false,
    };
    this.#connections.set(link, connection);
    if (wire.tick) this.#timed.add(connection);
    const now = this.#now();
    manager.connect(link, now);
    this.#carry(manager.tick(now), now);
    this.#wakeInTime();
    return {
      receive: (frame) => this.#receive(connection, frame),
      refused: (code, message) => this.#refused(connection, code, message),
      closed: (reason) => this.#onClose(connection, reason),
    };
  }

  #receive(connection: Connection, frame: Uint8Array): void {
    if (!this.#connections.has(connection.link) || this.#state === 'closed') return;
    if (!connection.allowance.take(this.#now())) {
      const { perSecond } = this.#limits.frames;
      this.#end(connection, 'LINK_FLOOD', `more than ${perSecond} frames a second`);
      return;
    }
    if (frame.length > CLIENT_FRAME_MAX) {
      this.#end(connection, 'FRAME_TOO_LARGE', `a frame of more than ${CLIENT_FRAME_MAX} bytes`);
      return;
    }
    this.metrics.received(frame);
    // Nothing new is decided while draining: what is not acknowledged is sent again, to whoever takes over.
    if (this.#state === 'draining' && typeNumber(frame) === MESSAGES.COMMAND.id) return;
    if (this.#options.faults.isQuiet && connection.up.isIdle) this.#deliver(connection, frame);
    else connection.up.push(frame);
  }

  #deliver(connection: Connection, frame: Uint8Array): void {
    const { manager } = this.#options;
    const { link } = connection;
    const now = this.#now();
    connection.heardAt = now;
    this.#carry(manager.receive(link, frame, now), now);
    this.#wakeInTime();
    if (connection.isGreeted || manager.replicaOf(link) === undefined) return;
    connection.isGreeted = true;
    connection.visit.greeted();
  }

  #carry(outgoing: readonly Outgoing[], now: number): void {
    if (outgoing.length === 0) return;
    const isDirect = this.#meetsNoFault();
    this.#stepAt = now;
    this.#isCarrying = true;
    for (const out of outgoing) {
      if ('frame' in out) this.#carryFrame(out.links, out.frame, isDirect);
      else this.#carryClose(out.link, out.close, now);
    }
    this.#isCarrying = false;
    const written = this.#written;
    this.#written = [];
    for (const connection of written) this.#flush(connection, now);
  }

  #carryFrame(links: readonly LinkId[], frame: Uint8Array, isDirect: boolean): void {
    for (const link of links) {
      const connection = this.#connections.get(link);
      if (!connection) continue;
      if (isDirect) this.#queue(connection, frame);
      else this.#pushDown(connection, frame);
    }
  }

  #carryClose(link: LinkId, reason: string, now: number): void {
    const connection = this.#connections.get(link);
    if (!connection) return;
    this.#flush(connection, now);
    if (reason === 'TOKEN_REJECTED') this.#doorkeeper.wrongToken(connection.address);
    this.metrics.ended(reason);
    connection.wire.close(reason.startsWith('LINK_TOO_SLOW') ? 'slow' : 'refused', reason);
  }

  /** Whether what is sent now comes out at once, whoever it is for. */
  #meetsNoFault(): boolean {
    if (!this.#options.faults.isQuiet) return false;
    for (const connection of this.#delayed) if (connection.down.isIdle) this.#delayed.delete(connection);
    return this.#delayed.size === 0;
  }

  #pushDown(connection: Connection, frame: Uint8Array): void {
    this.#delayed.add(connection);
    connection.down.push(frame);
  }

  /** What was held back for so long goes out without what it waited for. */
  #flushHeld(wait: number, now: number): void {
    if (this.#held.length === 0) return;
    const held = this.#held;
    this.#held = [];
    for (const connection of held) {
      if (connection.outgoing.length > 0 && now - connection.heldSince < wait) {
        this.#held.push(connection);
        continue;
      }
      connection.isHeld = false;
      this.#flush(connection, now);
    }
  }

  /**
   * Frames of one step go out together; what a fault held back comes alone. An event waits for the delta with what it did to the state, which
   * follows within a round: one write for both.
   */
  #queue(connection: Connection, frame: Uint8Array): void {
    const isFirst = connection.outgoing.length === 0;
    connection.outgoing = withFrame(connection.outgoing, frame);
    if (!this.#isCarrying) this.#flush(connection, this.#now());
    else if (typeNumber(frame) !== MESSAGES.EVENT.id) {
      if (!connection.isDue) this.#written.push(connection);
      connection.isDue = true;
    } else if (isFirst) {
      connection.heldSince = this.#stepAt;
      if (!connection.isHeld) this.#held.push(connection);
      connection.isHeld = true;
    }
  }

  #flush(connection: Connection, now: number): void {
    const frames = connection.outgoing;
    connection.isDue = false;
    if (frames.length === 0) return;
    connection.outgoing = NO_FRAMES;
    this.#send(connection, frames, now);
  }

  #send(connection: Connection, frames: readonly Uint8Array[], now: number): void {
    const { wire } = connection;
    if (!wire.isOpen) return;
    this.metrics.sent(frames);
    wire.send(frames);
    this.#tellQueued(connection, now);
  }

  #end(connection: Connection, code: string, what: string): void {
    this.#refused(connection, code, what);
    this.metrics.ended(code);
    this.#onClose(connection, `${code}: ${what}`);
    connection.wire.close('refused', code);
  }

  #refused({ link }: Connection, code: string, message: string): void {
    const { tap, manager } = this.#options;
    tap.emit(manager.replica, { kind: 'refused', from: manager.replicaOf(link) ?? STRANGER, code, message });
  }

  #onClose(connection: Connection, reason: string): void {
    if (!this.#connections.delete(connection.link)) return;
    this.#timed.delete(connection);
    this.#delayed.delete(connection);
    connection.visit.gone();
    connection.down.close();
    connection.up.close();
    connection.outgoing = NO_FRAMES;
    this.#options.manager.disconnect(connection.link, reason, this.#now());
  }
}

/** A page may come only from where it was asked for; who is no browser names no origin. */
function isOwnPage({ headers }: IncomingMessage): boolean {
  return headers.origin === undefined || headers.origin === `http://${headers.host}`;
}
