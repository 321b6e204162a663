import type { Clock } from '@syncscope/protocol/ports';
import type { Value } from '@syncscope/protocol/state';
import type { ClientState, PredictResult } from '@syncscope/protocol/sync';
import { WebSocket } from 'ws';

const TICK_MS = 50;
const RECONNECT_MS = { first: 250, most: 5_000 };
const PATIENCE_MS = 2_000;
const FRAME_MAX = 16 * 1024 * 1024;

export interface SyncClientOptions {
  /** `ws://127.0.0.1:PORT/sync`. */
  readonly url: string;
  readonly state: ClientState;
  readonly clock: Clock;
}

/**
 * Carries the frames of one {@link ClientState} over a WebSocket, and connects again with patience where the connection
 * breaks. What was pending is kept and sent again.
 */
export class SyncClient {
  readonly #options: SyncClientOptions;
  readonly #ticking: NodeJS.Timeout;
  #socket: WebSocket | undefined;
  #reconnecting: NodeJS.Timeout | undefined;
  #wait = RECONNECT_MS.first;
  #isClosed = false;

  constructor(options: SyncClientOptions) {
    this.#options = options;
    this.#ticking = setInterval(() => this.#send(options.state.tick(options.clock.now())), TICK_MS);
    options.state.on((event) => {
      if (event.type === 'committed') this.#wait = RECONNECT_MS.first;
      // The socket may still have to carry what the state has to say about it.
      if (event.type === 'ended') setImmediate(() => this.#socket?.close(1000));
    });
    this.#connect();
  }

  get state(): ClientState {
    return this.#options.state;
  }

  predict(command: string, args: Value): PredictResult {
    const result = this.state.predict(command, args, this.#options.clock.now());
    if ('frames' in result) this.#send(result.frames);
    return result;
  }

  /** Does not connect again, and waits for the server to end the connection, which it does within a second or two. */
  async ended(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#ticking);
    clearTimeout(this.#reconnecting);
    const socket = this.#socket;
    if (!socket) return;
    const closed = new Promise((resolve) => socket.once('close', resolve));
    if (socket.readyState === WebSocket.CONNECTING) socket.terminate();
    const cut = setTimeout(() => socket.terminate(), PATIENCE_MS);
    await closed;
    clearTimeout(cut);
  }

  /** Says goodbye and stays away. Resolves when the connection is closed. */
  async close(reason: string): Promise<void> {
    this.#send(this.state.close(reason));
    const ended = this.ended();
    this.#socket?.close(1000);
    await ended;
  }

  #connect(): void {
    const { url, state, clock } = this.#options;
    const socket = new WebSocket(url, { perMessageDeflate: false, maxPayload: FRAME_MAX });
    this.#socket = socket;
    socket.on('open', () => this.#send(state.open(clock.now())));
    // A copy: what arrives lies in a buffer that the socket uses again, and traces keep it.
    socket.on('message', (data: Buffer) => this.#send(state.receive(new Uint8Array(data), clock.now())));
    socket.on('error', () => undefined); // A close event follows each error.
    socket.on('close', (code, reason) => {
      this.#socket = undefined;
      state.closed(reason.toString() || `connection closed (${code})`, clock.now());
      if (!this.#isClosed) this.#reconnect();
    });
  }

  #reconnect(): void {
    this.#reconnecting = setTimeout(() => this.#connect(), this.#wait);
    this.#wait = Math.min(this.#wait * 2, RECONNECT_MS.most);
  }

  #send(frames: readonly Uint8Array[]): void {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    for (const frame of frames) this.#socket.send(frame);
  }
}
