import { type Clock, type Random, randomOf } from '../ports/index.ts';
import type { Value } from '../state/index.ts';
import type { ClientState, PredictResult } from '../sync/index.ts';
import type { ClientTransport, TransportEvents } from './client-transport.ts';
import { SseTransport } from './sse-client.ts';
import { WebSocketTransport } from './websocket-transport.ts';

const TICK_MS = 50;
const RECONNECT_MS = { first: 250, most: 5_000 };
const PATIENCE_MS = 2_000;

export interface SyncClientOptions {
  /** `ws://127.0.0.1:PORT/sync` for a WebSocket, `http://127.0.0.1:PORT` for an event stream with POST. */
  readonly url: string;
  readonly state: ClientState;
  readonly clock: Clock;
  /** Spreads those who are sent away together over the time in which they come back. By the replica's name where absent. */
  readonly random?: Random;
  /** For an event stream, which wants it before anything is said; a WebSocket is let in by it where wrong ones came from its address. */
  readonly token?: string;
  /** Told why a connection has ended, or could not be opened. */
  readonly onClosed?: (reason: string) => void;
}

/**
 * Carries the frames of one {@link ClientState}, and connects again with patience where the connection breaks. What was pending is
 * kept and sent again.
 */
export class SyncClient {
  readonly #options: SyncClientOptions;
  readonly #ticking: NodeJS.Timeout;
  #transport: ClientTransport | undefined;
  #whenClosed: (() => void) | undefined;
  #reconnecting: NodeJS.Timeout | undefined;
  #wait = RECONNECT_MS.first;
  #isClosed = false;
  #isInterrupted = false;

  constructor(options: SyncClientOptions) {
    this.#options = options;
    const random = options.random ?? randomOf(0, options.state.replica);
    this.#ticking = setInterval(() => this.#send(options.state.tick(options.clock.now())), TICK_MS);
    options.state.on((event) => {
      if (event.type === 'committed') this.#wait = RECONNECT_MS.first;
      if (event.type !== 'ended') return;
      // Where a server sends everybody away, they do not all come back at once.
      if (event.reconnect !== undefined) this.#wait = (event.reconnect / 1e6) * (1 + random.next());
      // The connection may still have to carry what the state has to say about it.
      setImmediate(() => this.#transport?.close());
    });
    try {
      this.#connect();
    } catch (error) {
      clearInterval(this.#ticking);
      throw error;
    }
  }

  get state(): ClientState {
    return this.#options.state;
  }

  predict(command: string, args: Value, options?: { readonly unchecked?: boolean }): PredictResult {
    const result = this.state.predict(command, args, this.#options.clock.now(), options);
    if ('frames' in result) this.#send(result.frames);
    return result;
  }

  /** Calls back once the server has all that was sent before; never where the connection ends sooner. */
  arrived(done: () => void): void {
    this.#transport?.arrived(done);
  }

  /** Does not connect again, and waits for the server to end the connection, which it does within a second or two. */
  async ended(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#ticking);
    clearTimeout(this.#reconnecting);
    const transport = this.#transport;
    if (!transport) return;
    const closed = new Promise<void>((resolve) => {
      this.#whenClosed = resolve;
    });
    if (!transport.isOpen) transport.close();
    const cut = setTimeout(() => transport.close(), PATIENCE_MS);
    await closed;
    clearTimeout(cut);
  }

  /** Ends without a word, as a process that is killed, and stays away. */
  cut(): void {
    this.#isClosed = true;
    clearInterval(this.#ticking);
    clearTimeout(this.#reconnecting);
    this.#transport?.close();
    this.#transport = undefined;
  }

  /** Ends the connection without a word, and makes no other before {@link resume}. */
  interrupt(): void {
    this.#isInterrupted = true;
    clearTimeout(this.#reconnecting);
    this.#transport?.close();
  }

  /** Connects again, once the connection before has ended. */
  resume(): void {
    if (!this.#isInterrupted || this.#isClosed) return;
    this.#isInterrupted = false;
    if (!this.#transport) this.#connect();
  }

  /** Says goodbye and stays away. Resolves when the connection is closed. */
  async close(reason: string): Promise<void> {
    this.#send(this.state.close(reason));
    const ended = this.ended();
    this.#transport?.close();
    await ended;
  }

  #connect(): void {
    const { url, state, clock, token } = this.#options;
    const events: TransportEvents = {
      opened: () => this.#send(state.open(clock.now())),
      frame: (frame) => this.#send(state.receive(frame, clock.now())),
      interrupted: (reason) => state.closed(reason, clock.now()),
      closed: (reason) => this.#onClosed(reason),
    };
    this.#transport = url.startsWith('ws')
      ? new WebSocketTransport(url, events, token)
      : new SseTransport({ url, token: token ?? '' }, events);
  }

  #onClosed(reason: string): void {
    const { state, clock } = this.#options;
    this.#transport = undefined;
    state.closed(reason, clock.now());
    this.#options.onClosed?.(reason);
    this.#whenClosed?.();
    if (!this.#isClosed && !this.#isInterrupted) this.#reconnect();
  }

  #reconnect(): void {
    this.#reconnecting = setTimeout(() => this.#connect(), this.#wait);
    this.#wait = Math.min(this.#wait * 2, RECONNECT_MS.most);
  }

  #send(frames: readonly Uint8Array[]): void {
    this.#transport?.send(frames);
  }
}
