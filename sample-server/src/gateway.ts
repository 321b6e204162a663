import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { SyncError } from '@syncscope/protocol/errors';
import { closeSocket } from '@syncscope/protocol/node';
import type { Clock } from '@syncscope/protocol/ports';
import type { ReplicaId } from '@syncscope/protocol/state';
import { replicaId } from '@syncscope/protocol/state';
import type { LinkId, Outgoing, SyncManager } from '@syncscope/protocol/sync';
import type { Tap } from '@syncscope/protocol/trace';
import { type RawData, WebSocket, WebSocketServer } from 'ws';
import type { FaultBoard } from './faults/fault-board.ts';
import type { FaultyLink } from './faults/link.ts';

export const SYNC_PATH = '/sync';
/** The largest frame that a client may send. */
export const CLIENT_FRAME_MAX = 64 * 1024;
/** Frames that a client may send at once, and a second after that. */
export const CLIENT_FRAMES = { burst: 500, perSecond: 250 } as const;

const TICK_MS = 20;
const CLOSE_ENDED = 1001;
const CLOSE_REFUSED = 1008;
const CLOSE_TOO_SLOW = 1013;
const STRANGER = replicaId('unknown');

export interface GatewayOptions {
  readonly manager: SyncManager;
  readonly faults: FaultBoard;
  readonly tap: Tap;
  readonly clock: Clock;
}

interface Connection {
  readonly link: LinkId;
  readonly socket: WebSocket;
  readonly down: FaultyLink;
  readonly up: FaultyLink;
  /** Frames that it may still send now. */
  allowance: number;
  allowedAt: number;
}

/**
 * Carries frames between WebSockets and the authority. It gives each client so much and no more: what is too large,
 * too much or too slowly read ends that connection with a reason, and no other notices.
 */
export class Gateway {
  readonly #options: GatewayOptions;
  readonly #sockets = new WebSocketServer({ noServer: true, maxPayload: CLIENT_FRAME_MAX, perMessageDeflate: false });
  readonly #connections = new Map<LinkId, Connection>();
  readonly #ticking: NodeJS.Timeout;
  #links = 0;
  #isClosed = false;
  #server: Server | undefined;

  constructor(options: GatewayOptions) {
    this.#options = options;
    this.#ticking = setInterval(() => this.tick(), TICK_MS);
  }

  /** Takes over a WebSocket request that has been found to be no stranger's. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (this.#isClosed) socket.destroy();
    else this.#sockets.handleUpgrade(request, socket, head, (opened) => this.#open(opened));
  }

  /**
   * Opens a port of its own, for other machines. Clients show their token in their HELLO; a page of another origin
   * is refused before.
   * @throws SyncError `SERVER_PORT_TAKEN`
   */
  async listen(host: string, port: number): Promise<number> {
    const server = createServer((_request, response) => {
      response.writeHead(426, { 'Content-Type': 'text/plain', Upgrade: 'websocket' });
      response.end(`Synchronise over a WebSocket at ${SYNC_PATH}.\n`);
    });
    this.#server = server;
    server.on('upgrade', (request, socket, head) => {
      socket.on('error', () => socket.destroy());
      const { origin, host: asked } = request.headers;
      const isOwnPage = origin === undefined || origin === `http://${asked}`;
      if (request.url === SYNC_PATH && isOwnPage) this.upgrade(request, socket, head);
      else socket.end(`HTTP/1.1 ${isOwnPage ? 404 : 403} Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
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
    for (const { link, socket } of this.#connections.values()) manager.queued(link, socket.bufferedAmount, now);
    this.#carry(manager.tick(now));
  }

  /** Says goodbye to every client, and closes. */
  async close(reason: string): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#ticking);
    const sockets = [...this.#connections.values()].map(({ socket }) => socket);
    const closed = sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve)));
    // A goodbye is not subject to faults, nor to what they still hold back.
    for (const { up, down } of this.#connections.values()) {
      up.close();
      down.close();
    }
    for (const out of this.#options.manager.stop(reason)) {
      const connection = this.#connections.get(out.link);
      if (!connection) continue;
      if ('frame' in out) this.#send(connection, out.frame);
      else closeSocket(connection.socket, CLOSE_ENDED, out.close);
    }
    const ended = this.#server && new Promise((resolve) => this.#server?.close(resolve));
    this.#server?.closeAllConnections();
    await Promise.all(closed);
    await ended;
  }

  #now(): number {
    return this.#options.clock.now();
  }

  #open(socket: WebSocket): void {
    const { faults, manager } = this.#options;
    const link = ++this.#links;
    let known: ReplicaId | undefined;
    // Asked with every frame, and all clients are looked through: once its HELLO has named it, a link keeps its replica.
    const replica = (): ReplicaId | undefined => {
      known ??= manager.clients.find((client) => client.link === link)?.replica;
      return known;
    };
    const connection: Connection = {
      link,
      socket,
      down: faults.down(replica, (frame) => this.#send(connection, frame)),
      up: faults.up(replica, (frame) => this.#carry(manager.receive(link, frame, this.#now()))),
      allowance: CLIENT_FRAMES.burst,
      allowedAt: performance.now(),
    };
    this.#connections.set(link, connection);
    socket.on('message', (data) => this.#receive(connection, data));
    socket.on('error', (error) => this.#onError(connection, error));
    socket.on('close', (code, reason) => this.#onClose(connection, reason.toString() || `connection closed (${code})`));
    manager.connect(link, this.#now());
    this.#carry(manager.tick(this.#now()));
  }

  #receive(connection: Connection, data: RawData): void {
    // What still comes from one that is being sent away is not read.
    if (connection.socket.readyState !== WebSocket.OPEN || !this.#connections.has(connection.link)) return;
    if (!this.#isAllowed(connection)) {
      this.#end(connection, CLOSE_REFUSED, 'LINK_FLOOD', `more than ${CLIENT_FRAMES.perSecond} frames a second`);
      return;
    }
    // A copy: the socket uses its buffer again, and traces keep the frame.
    connection.up.push(new Uint8Array(data as Buffer));
  }

  #isAllowed(connection: Connection): boolean {
    const now = performance.now();
    const earned = ((now - connection.allowedAt) / 1_000) * CLIENT_FRAMES.perSecond;
    connection.allowedAt = now;
    connection.allowance = Math.min(CLIENT_FRAMES.burst, connection.allowance + earned) - 1;
    return connection.allowance >= 0;
  }

  #carry(outgoing: readonly Outgoing[]): void {
    for (const out of outgoing) {
      const connection = this.#connections.get(out.link);
      if (!connection) continue;
      if ('frame' in out) connection.down.push(out.frame);
      else
        closeSocket(
          connection.socket,
          out.close.startsWith('LINK_TOO_SLOW') ? CLOSE_TOO_SLOW : CLOSE_REFUSED,
          out.close,
        );
    }
  }

  #send({ socket }: Connection, frame: Uint8Array): void {
    if (socket.readyState === WebSocket.OPEN) socket.send(frame);
  }

  /** Too large a frame is refused by the socket itself, which closes. */
  #onError(connection: Connection, error: Error): void {
    const isTooLarge = 'code' in error && error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH';
    if (isTooLarge) this.#refused(connection, 'FRAME_TOO_LARGE', `a frame of more than ${CLIENT_FRAME_MAX} bytes`);
  }

  #end(connection: Connection, code: number, name: string, what: string): void {
    this.#refused(connection, name, what);
    closeSocket(connection.socket, code, name);
    this.#onClose(connection, `${name}: ${what}`);
  }

  #refused({ link }: Connection, code: string, message: string): void {
    const { tap, manager } = this.#options;
    const from = manager.clients.find((client) => client.link === link)?.replica ?? STRANGER;
    tap.emit(manager.replica, { kind: 'refused', from, code, message });
  }

  #onClose(connection: Connection, reason: string): void {
    if (!this.#connections.delete(connection.link)) return;
    connection.down.close();
    connection.up.close();
    this.#options.manager.disconnect(connection.link, reason, this.#now());
  }
}
