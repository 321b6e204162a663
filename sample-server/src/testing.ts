import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeTraceRecord, LiveCapture } from '@syncscope/protocol/capture';
import { type AttachConnection, attach, monotonicClock } from '@syncscope/protocol/node';
import { replicaId } from '@syncscope/protocol/state';
import { ClientState } from '@syncscope/protocol/sync';
import type { TraceRecord } from '@syncscope/protocol/trace';
import { WebSocket } from 'ws';
import { adventureAsPlayed } from './scenarios/adventure.ts';
import { type RunningServer, type ServerOptions, startServer } from './server.ts';

/** For tests of the server: a running one, somebody who watches it, and clients that may say anything. */

export type Cleanups = Array<() => Promise<unknown>>;

export async function temporaryFolder(cleanups: Cleanups): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'syncscope-server-'));
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export async function running(cleanups: Cleanups, options: ServerOptions = {}): Promise<RunningServer> {
  const sessionsFolder = await temporaryFolder(cleanups);
  const server = await startServer({ seed: 7, sessionsFolder, ...options });
  cleanups.unshift(() => server.close());
  return server;
}

/** Everything that an observer has been told, and what it waits for. */
export class Watcher {
  readonly records: TraceRecord[] = [];
  /** The capture of what has been told. */
  readonly capture: LiveCapture;
  readonly #waiting = new Set<() => void>();
  readonly connection: AttachConnection;

  constructor(connection: AttachConnection) {
    this.connection = connection;
    this.capture = new LiveCapture(connection.header);
    connection.onRecords((records) => {
      for (const bytes of records) {
        this.records.push(decodeTraceRecord(bytes));
        this.capture.append(bytes);
      }
      for (const look of this.#waiting) look();
    });
  }

  static async of(server: Pick<RunningServer, 'inspect'>): Promise<Watcher> {
    return new Watcher(await attach({ url: server.inspect.url, token: server.inspect.injectToken }));
  }

  /** The first record that passes, from `from` on; waits for it. */
  async find(test: (record: TraceRecord) => boolean, from = 0): Promise<TraceRecord> {
    return new Promise((resolve) => {
      let at = from;
      const look = (): void => {
        for (; at < this.records.length; at++) {
          const record = this.records[at]!;
          if (!test(record)) continue;
          this.#waiting.delete(look);
          resolve(record);
          return;
        }
      };
      this.#waiting.add(look);
      look();
    });
  }
}

/** A client's state for a running server, with some of what it says replaced. */
export function clientState(
  server: RunningServer,
  name: string,
  wrong: { session?: string; token?: string } = {},
): ClientState {
  return new ClientState({
    definition: adventureAsPlayed,
    replica: replicaId(name),
    session: wrong.session ?? server.session,
    token: wrong.token ?? server.token,
  });
}

export interface Ending {
  readonly code: number;
  readonly reason: string;
  /** Codes of the errors that the server told. */
  readonly errors: readonly string[];
}

/** Connects, lets `act` do what it likes once connected, and waits for the server to end it. */
export function untilEnded(
  server: RunningServer,
  state: ClientState,
  act: (socket: WebSocket) => void = () => undefined,
): Promise<Ending> {
  return new Promise((resolve, reject) => {
    const errors: string[] = [];
    const stop = state.on((event) => {
      if (event.type === 'error' || event.type === 'ended') errors.push(event.code);
    });
    const socket = new WebSocket(server.url);
    const send = (frames: readonly Uint8Array[]): void => {
      for (const frame of frames) if (socket.readyState === WebSocket.OPEN) socket.send(frame);
    };
    socket.on('open', () => {
      send(state.open(monotonicClock.now()));
      act(socket);
    });
    socket.on('message', (data: Buffer) => send(state.receive(new Uint8Array(data), monotonicClock.now())));
    socket.on('error', reject);
    socket.on('close', (code, reason) => {
      stop();
      resolve({ code, reason: reason.toString(), errors });
    });
  });
}
