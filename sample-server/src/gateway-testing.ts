import type { IncomingMessage } from 'node:http';
import { get } from 'node:http';
import { monotonicClock, WebSocketTransport } from '@syncscope/protocol/node';
import { Reconciler } from '@syncscope/protocol/offline';
import { seededRandom } from '@syncscope/protocol/ports';
import { type ClientTransport, SSE_EVENTS_PATH, SseTransport } from '@syncscope/protocol/sse';
import { recordKey, replicaId } from '@syncscope/protocol/state';
import { ClientState, type SessionDefinition, SyncManager, type SyncManagerOptions } from '@syncscope/protocol/sync';
import { TraceHub, type TraceRecord } from '@syncscope/protocol/trace';
import { WebSocket } from 'ws';
import { FaultBoard } from './faults/fault-board.ts';
import { Gateway, type GatewayOptions } from './gateway.ts';
import type { TransportName } from './gateway-wire.ts';
import { SYNC_PATH } from './http-app.ts';
import { sameToken } from './token.ts';

/** For tests of the gateway: one on a port of its own, and clients of either transport that may say anything. */

export type Cleanups = (() => Promise<unknown> | unknown)[];

export const TOKEN = 'a token for this gateway';
const AUTHORITY = replicaId('server');

/** A record that is large, and another one each time. */
export const pages: SessionDefinition = {
  name: 'pages',
  initialRecords: () => [[recordKey('page/1'), { text: '' }]],
  commands: {
    write: (_state, args, writer) => ({
      accepted: true,
      events: [{ type: 'WRITTEN', player: writer, detail: '', data: args }],
    }),
  },
  reduce: (_state, event) => [
    { op: 'patch', key: recordKey('page/1'), fields: { text: event.data ?? null }, removed: [] },
  ],
};

export interface GatewayUnderTest {
  readonly hub: TraceHub;
  readonly manager: SyncManager;
  readonly gateway: Gateway;
  /** `127.0.0.1:PORT`. */
  readonly host: string;
}

export async function startGateway(
  cleanups: Cleanups,
  settings: Partial<SyncManagerOptions> = {},
  options: Partial<GatewayOptions> = {},
): Promise<GatewayUnderTest> {
  const hub = new TraceHub(monotonicClock);
  const clock = options.clock ?? monotonicClock;
  const manager = new SyncManager({
    definition: pages,
    replica: AUTHORITY,
    session: 'pages',
    random: seededRandom(1),
    now: clock.now(),
    tap: hub,
    syncInterval: 5_000_000,
    // Its clients have no clock that would remind them.
    acknowledgeEvery: 1,
    authorize: (shown) => sameToken(shown, TOKEN),
    metrics: {
      latency: (client, time) => gateway.metrics.latency(client, time),
      backlog: () => undefined,
      reconciliation: (end) => gateway.metrics.reconciliation(end),
    },
    onDurable: (time) => gateway.metrics.appended(time),
    ...settings,
  });
  const faults = new FaultBoard({
    tap: hub,
    authority: AUTHORITY,
    random: seededRandom(2),
    targets: () => [],
    corrupt: () => '',
  });
  const authorize = (shown: string): boolean => sameToken(shown, TOKEN);
  const reconciler = new Reconciler({ authority: manager.posted });
  const gateway = new Gateway({ manager, faults, tap: hub, clock, authorize, reconciler, ...options });
  cleanups.push(() => gateway.close('test over'));
  return { hub, manager, gateway, host: `127.0.0.1:${await gateway.listen('127.0.0.1', 0)}` };
}

export interface Said {
  readonly session?: string;
  readonly token?: string;
}

/** One client of a gateway over one connection, which it does not renew. */
export class TestClient {
  readonly state: ClientState;
  readonly transport: ClientTransport;
  /** Codes of the errors that it was told. */
  readonly errors: string[] = [];
  /** Whether each WELCOME said that its state was carried on from. */
  readonly welcomes: boolean[] = [];
  readonly closed: Promise<string>;
  readonly synced: Promise<void>;
  readonly interruptions: string[] = [];

  constructor(host: string, name: TransportName, state: ClientState, token = TOKEN) {
    this.state = state;
    let closed: (reason: string) => void = () => undefined;
    this.closed = new Promise((resolve) => {
      closed = resolve;
    });
    this.synced = new Promise((resolve) => {
      state.on((event) => {
        if (event.type === 'committed') resolve();
        if (event.type === 'welcomed') this.welcomes.push(event.resumed);
        if (event.type === 'error' || event.type === 'ended') this.errors.push(event.code);
      });
    });
    const now = (): number => monotonicClock.now();
    const events = {
      opened: () => this.transport.send(state.open(now())),
      frame: (frame: Uint8Array) => this.transport.send(state.receive(frame, now())),
      interrupted: (reason: string) => {
        this.interruptions.push(reason);
        state.closed(reason, now());
      },
      closed: (reason: string) => {
        state.closed(reason, now());
        closed(reason);
      },
    };
    this.transport =
      name === 'websocket'
        ? new WebSocketTransport(`ws://${host}${SYNC_PATH}`, events)
        : new SseTransport({ url: `http://${host}`, token, retry: { first: 5, most: 20, tries: 1_000 } }, events);
  }

  predict(text: string): void {
    const result = this.state.predict('write', text, monotonicClock.now());
    if ('frames' in result) this.transport.send(result.frames);
  }

  /** Resolves when its committed state has this hash. */
  async reaches(hash: () => string): Promise<void> {
    while (this.state.committed.hash !== hash()) {
      await new Promise<void>((resolve) => {
        const stop = this.state.on((event) => {
          if (event.type !== 'committed') return;
          stop();
          resolve();
        });
      });
    }
  }
}

export function pagesState(name: string, { session = 'pages', token = TOKEN }: Said = {}): ClientState {
  return new ClientState({ definition: pages, replica: replicaId(name), session, token });
}

export function connect(
  cleanups: Cleanups,
  { host }: GatewayUnderTest,
  transport: TransportName,
  name: string,
  said: Said = {},
): TestClient {
  const client = new TestClient(host, transport, pagesState(name, said));
  cleanups.push(() => client.transport.close());
  return client;
}

/** The next record of a trace that passes. */
export function found(hub: TraceHub, isIt: (record: TraceRecord) => boolean): Promise<TraceRecord> {
  return new Promise((resolve) => {
    const stop = hub.listen((record) => {
      if (!isIt(record)) return;
      stop();
      resolve(record);
    });
  });
}

/** A client that takes part until it is told to read nothing more. */
export async function deafClient(
  cleanups: Cleanups,
  gateway: GatewayUnderTest,
  transport: TransportName,
  name: string,
): Promise<() => void> {
  return transport === 'websocket' ? deafSocket(cleanups, gateway, name) : deafStream(cleanups, gateway, name);
}

async function deafSocket(cleanups: Cleanups, { host }: GatewayUnderTest, name: string): Promise<() => void> {
  const state = pagesState(name);
  const socket = new WebSocket(`ws://${host}${SYNC_PATH}`, { perMessageDeflate: false });
  cleanups.push(() => socket.terminate());
  const send = (frames: readonly Uint8Array[]): void => {
    for (const frame of frames) if (socket.readyState === WebSocket.OPEN) socket.send(frame);
  };
  socket.on('open', () => send(state.open(monotonicClock.now())));
  socket.on('message', (data: Buffer) => send(state.receive(new Uint8Array(data), monotonicClock.now())));
  await new Promise<void>((resolve) => {
    state.on((event) => event.type === 'committed' && resolve());
  });
  return () => socket.pause();
}

async function deafStream(cleanups: Cleanups, { host }: GatewayUnderTest, name: string): Promise<() => void> {
  const { response, connection } = await rawStream(cleanups, host);
  const { packFrames, SSE_MESSAGES_PATH, SSE_CONNECTION_HEADER } = await import('@syncscope/protocol/sse');
  const posted = await fetch(`http://${host}${SSE_MESSAGES_PATH}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TOKEN}`, [SSE_CONNECTION_HEADER]: connection },
    body: packFrames(pagesState(name).open(monotonicClock.now())),
  });
  if (posted.status !== 204) throw new Error(`posting was answered ${posted.status}`);
  return () => response.pause();
}

/** An event stream as it comes, and the name that it says. */
export async function rawStream(
  cleanups: Cleanups,
  host: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ readonly response: IncomingMessage; readonly connection: string; readonly opening: unknown }> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const request = get(`http://${host}${SSE_EVENTS_PATH}`, {
      headers: { authorization: `Bearer ${TOKEN}`, ...headers },
    });
    cleanups.push(() => request.destroy());
    request.once('response', resolve).once('error', reject);
  });
  response.setEncoding('utf8');
  response.on('error', () => undefined);
  const text = await new Promise<string>((resolve) => {
    let all = '';
    response.on('data', (part: string) => {
      all += part;
      if (all.includes('\n\n')) resolve(all);
    });
  });
  const opening: unknown = JSON.parse(/^event: open\ndata: (.*)\n\n/.exec(text)?.[1] ?? 'null');
  const connection = (opening as { readonly connection?: string } | null)?.connection ?? '';
  return { response, connection, opening };
}
