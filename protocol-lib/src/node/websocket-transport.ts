import { WebSocket } from 'ws';
import type { ClientTransport, TransportEvents } from './client-transport.ts';

const FRAME_MAX = 16 * 1024 * 1024;
const PATIENCE_MS = 2_000;

/** Frames over one WebSocket of Node's. */
export class WebSocketTransport implements ClientTransport {
  readonly #socket: WebSocket;
  /** Of pings without an answer yet, oldest first. */
  #pings: { readonly id: number; readonly done: () => void }[] = [];
  #pinged = 0;

  /**
   * `url` such as `ws://127.0.0.1:PORT/sync`. With a token, which HELLO says as well, it is let in even where others of its address have shown
   * too many wrong ones.
   */
  constructor(url: string, events: TransportEvents, token?: string) {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const socket = new WebSocket(url, { perMessageDeflate: false, maxPayload: FRAME_MAX, headers });
    this.#socket = socket;
    socket.on('open', () => events.opened());
    // A copy: what arrives lies in a buffer that the socket uses again, and traces keep it.
    socket.on('message', (data: Buffer) => events.frame(new Uint8Array(data)));
    socket.on('pong', (data: Buffer) => this.#onPong(data));
    // A close event follows each error.
    let failure = '';
    socket.on('error', (error) => {
      failure = error.message;
    });
    socket.on('close', (code, reason) => {
      events.closed(reason.toString() || failure || `connection closed (${code})`);
    });
  }

  get isOpen(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  send(frames: readonly Uint8Array[]): void {
    if (this.isOpen) for (const frame of frames) this.#socket.send(frame);
  }

  /** Frames of a socket come in their order, pings among them, and each is answered (RFC 6455, 5.5.2), some by the answer to a later one. */
  arrived(done: () => void): void {
    if (!this.isOpen) return;
    const id = this.#pinged++;
    this.#pings.push({ id, done });
    this.#socket.ping(String(id));
  }

  #onPong(data: Buffer): void {
    const answered = Number(data.toString());
    const told = this.#pings.filter(({ id }) => id <= answered);
    this.#pings = this.#pings.filter(({ id }) => !(id <= answered));
    for (const { done } of told) done();
  }

  /** The server is given a moment to end it as well. */
  close(): void {
    const socket = this.#socket;
    if (socket.readyState === WebSocket.CONNECTING) socket.terminate();
    else socket.close(1000);
    const cut = setTimeout(() => socket.terminate(), PATIENCE_MS);
    socket.once('close', () => clearTimeout(cut));
    if (socket.readyState === WebSocket.CLOSED) clearTimeout(cut);
  }
}
