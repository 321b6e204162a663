import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocket, WebSocketServer } from 'ws';
import { isSyncError, SyncError } from '../errors/index.ts';
import type { ReplicaId } from '../state/index.ts';
import {
  ATTACH_FEATURES,
  ATTACH_SUBPROTOCOL,
  type AttachClientMessage,
  decodeObserverFrame,
  encodeAttachFrame,
  type FaultSpec,
  OBSERVER_FRAME_MAX,
  type TraceHeader,
  type TraceHub,
} from '../trace/index.ts';
import { type AccessRole, isRefusal, type Refusal, TokenGate, tokenOf } from './access.ts';
import { closeSocket } from './close-socket.ts';
import { announceSession } from './discovery.ts';
import { FlightRecorder, type FlightRecorderSettings } from './flight-recorder.ts';
import { answerJson, type LoopbackApp, LoopbackServer, refuse, refuseUpgrade } from './loopback.ts';
import { ATTACH_CLOSE, OBSERVER_QUEUE_MAX, OBSERVERS_MAX, Observers } from './observers.ts';

export interface InspectableOptions {
  /** Where the replicas of this process report. */
  readonly hub: TraceHub;
  /** `sessionId` also names the discovery file. */
  readonly header: TraceHeader;
  /** Makes every replica of the process report itself and its state to the hub; called at each attach. */
  readonly describe: () => void;
  /** Tells the hub what is kept back to be told together, such as by the `flush` of a journal; called where a recording ends. */
  readonly flush?: () => void;
  /** Replicas that faults can be asked for. */
  readonly targets?: () => readonly ReplicaId[];
  /** Does what an observer with the inject role asks; throws a {@link SyncError} where it cannot. */
  readonly injectFault?: (spec: FaultSpec) => void;
  /** The folder of the built inspector page. */
  readonly assets?: string;
  /** 0, the default, takes a free one. */
  readonly port?: number;
  /** Other WebSockets of the same server by path, such as the app's own; asked after `Host` and `Origin` have passed. */
  readonly upgrades?: Readonly<Record<string, UpgradeHandler>>;
  /** HTTP requests of the same server that the app answers itself; asked after `Host` and `Origin` have passed. */
  readonly app?: LoopbackApp;
  /** Where discovery files are; the user's own folder by default. */
  readonly sessionsFolder?: string;
  /** Keeps the last seconds in memory, and saves them when a replica is found to differ. Default: none. */
  readonly flightRecorder?: FlightRecorderSettings;
}

export type UpgradeHandler = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

export interface Inspectable {
  readonly id: string;
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** 64 hex digits that let observe. */
  readonly token: string;
  /** 64 hex digits that also let inject faults. */
  readonly injectToken: string;
  /** The inspector's page with the observe token in its fragment, which no server is ever sent. */
  readonly pageUrl: string;
  /** The same with the inject token. */
  readonly injectPageUrl: string;
  readonly observers: number;
  /** Where one was asked for. */
  readonly flightRecorder: FlightRecorder | undefined;
  /** Tells observers why, closes the endpoint and removes the discovery file. */
  close(reason?: string): Promise<void>;
}

const LOOPBACK = '127.0.0.1';

/**
 * Makes this process inspectable: serves the attach endpoint `/inspect` and the inspector's page on
 * loopback, and announces both in a discovery file.
 * @throws SyncError `ATTACH_PORT_TAKEN`, or what announcing throws
 */
export async function inspectable(options: InspectableOptions): Promise<Inspectable> {
  const token = randomBytes(32).toString('hex');
  const injectToken = randomBytes(32).toString('hex');
  const endpoint = new AttachEndpoint(
    options,
    new TokenGate({ observe: token, inject: injectToken }, () => performance.now()),
  );
  const port = await endpoint.listen(options.port ?? 0);
  const url = `http://${LOOPBACK}:${port}`;
  const { hub, header, describe, flush, flightRecorder: settings } = options;
  const { sessionId: id, title, scenario, startedAt } = header;
  let recorder: FlightRecorder | undefined;
  try {
    const told = { hub, header, describe, ...(flush === undefined ? {} : { flush }) };
    recorder = settings && new FlightRecorder({ ...settings, ...told });
    const flightRecorder = recorder;
    const announcement = await announceSession(
      { version: 1, id, title, scenario, url, token, injectToken, pid: process.pid, startedAt },
      options.sessionsFolder,
    );
    return {
      id,
      url,
      token,
      flightRecorder,
      injectToken,
      pageUrl: inspectorUrl(url, token),
      injectPageUrl: inspectorUrl(url, injectToken),
      get observers() {
        return endpoint.observers;
      },
      async close(reason = 'the session ended') {
        announcement.withdraw();
        await flightRecorder?.close();
        await endpoint.close(reason);
      },
    };
  } catch (error) {
    await recorder?.close();
    await endpoint.close('the session could not be announced');
    throw error;
  }
}

/** The inspector's page on a session, with a token in its fragment. */
export function inspectorUrl(url: string, token: string): string {
  return `${url}/#token=${token}`;
}

class AttachEndpoint {
  readonly #options: InspectableOptions;
  readonly #gate: TokenGate;
  readonly #observers: Observers;
  readonly #http: LoopbackServer;
  readonly #sockets = new WebSocketServer({
    noServer: true,
    maxPayload: OBSERVER_FRAME_MAX,
    perMessageDeflate: false,
    clientTracking: true,
    handleProtocols: (offered) => (offered.has(ATTACH_SUBPROTOCOL) ? ATTACH_SUBPROTOCOL : false),
  });

  constructor(options: InspectableOptions, gate: TokenGate) {
    this.#options = options;
    this.#gate = gate;
    this.#observers = new Observers(options);
    this.#http = new LoopbackServer({
      app: options.app,
      assets: options.assets,
      answer: (_request, response, path) => this.#answer(response, path),
      upgrade: (request, socket, head, path) => this.#upgrade(request, socket, head, path),
    });
  }

  get observers(): number {
    return this.#observers.count;
  }

  listen(port: number): Promise<number> {
    return this.#http.listen(port);
  }

  async close(reason: string): Promise<void> {
    this.#observers.closeAll(reason);
    for (const socket of this.#sockets.clients) closeSocket(socket, ATTACH_CLOSE.ended, reason);
    await this.#http.close();
  }

  #answer(response: ServerResponse, path: string): boolean {
    if (path === '/session') {
      // The id alone: enough to tell a live discovery file from a stale one, and no secret.
      answerJson(response, 200, `${JSON.stringify({ id: this.#options.header.sessionId })}\n`);
      return true;
    }
    if (path !== '/inspect') return false;
    response.setHeader('Upgrade', 'websocket');
    refuse(response, UPGRADE_WANTED);
    return true;
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, path: string): void {
    const { upgrades = {} } = this.#options;
    const other = Object.hasOwn(upgrades, path) ? upgrades[path] : undefined;
    if (other) {
      other(request, socket, head);
      return;
    }
    const role = path === '/inspect' ? this.#gate.check(tokenOf(request)) : NOT_FOUND;
    if (isRefusal(role)) {
      refuseUpgrade(socket, role);
      return;
    }
    if (this.#observers.count >= OBSERVERS_MAX) {
      refuseUpgrade(socket, TOO_MANY);
      return;
    }
    this.#sockets.handleUpgrade(request, socket, head, (opened) => this.#attach(opened, socket, role));
  }

  #attach(socket: WebSocket, stream: Duplex, role: AccessRole): void {
    const { header, targets, injectFault } = this.#options;
    socket.on('error', () => undefined); // A close event follows each error.
    socket.on('message', (data: Buffer, isBinary) => this.#receive(socket, role, data, isBinary));
    const greeting = encodeAttachFrame({
      type: 'header',
      header,
      mayInject: role === 'inject' && injectFault !== undefined,
      targets: [...(targets?.() ?? [])],
      features: [...ATTACH_FEATURES],
    });
    this.#observers.add({ socket, stream, role }, greeting);
  }

  #receive(socket: WebSocket, role: AccessRole, data: Uint8Array, isBinary: boolean): void {
    // What still comes from one that is being sent away is not read.
    if (socket.readyState !== WebSocket.OPEN) return;
    if (socket.bufferedAmount > OBSERVER_QUEUE_MAX) {
      closeSocket(socket, ATTACH_CLOSE.tooSlow, 'too slow: it asks and does not read the answers');
      return;
    }
    let message: AttachClientMessage;
    try {
      if (!isBinary)
        throw new SyncError('ATTACH_FRAME_INVALID', 'a text frame; frames are msgpack', { origin: 'attach' });
      message = decodeObserverFrame(data);
    } catch (error) {
      const text = isSyncError(error) ? `${error.code}: ${error.message}` : 'ATTACH_FRAME_INVALID';
      closeSocket(socket, ATTACH_CLOSE.invalid, text);
      return;
    }
    if (message.type === 'pace') {
      this.#observers.setPace(socket, message.every);
      return;
    }
    const { request } = message;
    if (message.type === 'end') {
      this.#observers.release(socket, encodeAttachFrame({ type: 'answer', request }));
      return;
    }
    if (message.type === 'flush') {
      this.#observers.flush();
      socket.send(encodeAttachFrame({ type: 'answer', request }));
      return;
    }
    const error = this.#inject(role, message.spec);
    socket.send(encodeAttachFrame({ type: 'answer', request, ...(error ? { error } : {}) }));
  }

  #inject(role: AccessRole, spec: FaultSpec): { readonly code: string; readonly message: string } | undefined {
    if (role !== 'inject') {
      return {
        code: 'ATTACH_FORBIDDEN',
        message: "this token may observe only; attach with the session's inject token to ask for faults",
      };
    }
    try {
      if (!this.#options.injectFault) {
        return { code: 'FAULT_UNSUPPORTED', message: 'this session offers no faults' };
      }
      this.#options.injectFault(spec);
      return undefined;
    } catch (error) {
      if (isSyncError(error)) return { code: error.code, message: error.message };
      return { code: 'FAULT_FAILED', message: error instanceof Error ? error.message : String(error) };
    }
  }
}

const UPGRADE_WANTED: Refusal = {
  status: 426,
  code: 'ATTACH_UPGRADE_WANTED',
  message: 'this is a WebSocket endpoint',
  fix: 'Attach with the inspector, VS Code or the command line.',
};
const NOT_FOUND: Refusal = {
  status: 404,
  code: 'ATTACH_PATH_UNKNOWN',
  message: 'there is no WebSocket at this path',
  fix: 'Attach at /inspect.',
};
const TOO_MANY: Refusal = {
  status: 503,
  code: 'ATTACH_TOO_MANY',
  message: `${OBSERVERS_MAX} observers are attached already`,
  fix: 'Close one of them and attach again.',
};
