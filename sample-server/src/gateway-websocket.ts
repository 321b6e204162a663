import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { closeSocket, refuseUpgrade, tokenOf } from '@syncscope/protocol/node';
import { type RawData, WebSocket, WebSocketServer } from 'ws';
import { addressOf } from './gateway-address.ts';
import type { ClientWire, EndingKind, Entrance, WireSink } from './gateway-wire.ts';
import { preparedFrames } from './websocket-frames.ts';
import { TEXT_PROTOCOL, TextWire } from './websocket-text.ts';

/** The largest frame that a client may send. */
export const CLIENT_FRAME_MAX = 64 * 1024;

const CLOSE_CODES: Readonly<Record<EndingKind, number>> = { ended: 1001, refused: 1008, slow: 1013 };

/** Takes WebSockets over from an HTTP server. */
export class WebSocketEntrance {
  readonly #entrance: Entrance;
  readonly #sockets = new WebSocketServer({
    noServer: true,
    maxPayload: CLIENT_FRAME_MAX,
    perMessageDeflate: false,
    handleProtocols: (offered) => (offered.has(TEXT_PROTOCOL) ? TEXT_PROTOCOL : false),
  });

  constructor(entrance: Entrance) {
    this.#entrance = entrance;
  }

  /** Takes over a request whose `Host` and `Origin` were found to be no stranger's, or refuses it before the upgrade. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const address = addressOf(request);
    const refusal = this.#entrance.refusal(address) ?? this.#entrance.upgradeRefusal(address, tokenOf(request));
    if (refusal) {
      refuseUpgrade(socket, refusal);
      return;
    }
    this.#sockets.handleUpgrade(request, socket, head, (opened) => this.#open(opened, socket, address));
  }

  #open(socket: WebSocket, stream: Duplex, address: string): void {
    const sink = this.#accept(socket, new WebSocketWire(socket, stream), address);
    socket.on('error', (error) => onError(sink, error));
    socket.on('close', (code, reason) => sink.closed(reason.toString() || `connection closed (${code})`));
  }

  /** In frames, or in text where that was asked for. */
  #accept(socket: WebSocket, wire: WebSocketWire, address: string): WireSink {
    if (socket.protocol !== TEXT_PROTOCOL) {
      const sink = this.#entrance.open(wire, address);
      socket.on('message', (data) => onMessage(sink, socket, data));
      return sink;
    }
    const text = new TextWire(socket, wire);
    const sink = this.#entrance.open(text, address);
    socket.on('message', (data, isBinary) => text.receive(sink, data as Buffer, isBinary));
    return sink;
  }
}

function onMessage(sink: WireSink, socket: WebSocket, data: RawData): void {
  // What still comes from one that is being sent away is not read. Each read of Node's has memory of its own, so that the frame may be kept.
  const { buffer, byteOffset, length } = data as Buffer;
  if (socket.readyState === WebSocket.OPEN) sink.receive(new Uint8Array(buffer, byteOffset, length));
}

/** Too large a frame is refused by the socket itself, which closes. */
function onError(sink: WireSink, error: Error): void {
  const isTooLarge = 'code' in error && error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH';
  if (isTooLarge) sink.refused('FRAME_TOO_LARGE', `a frame of more than ${CLIENT_FRAME_MAX} bytes`);
}

class WebSocketWire implements ClientWire {
  readonly transport = 'websocket';
  readonly #socket: WebSocket;
  /** What the socket writes to. */
  readonly #stream: Duplex;

  constructor(socket: WebSocket, stream: Duplex) {
    this.#socket = socket;
    this.#stream = stream;
  }

  get isOpen(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  get queued(): number {
    return this.#stream.writableLength;
  }

  /** One write for all of them. The socket has no extension and sends nothing in pieces, so that nothing can come between. */
  send(frames: readonly Uint8Array[]): void {
    if (this.isOpen) this.#stream.write(preparedFrames(frames));
  }

  async close(kind: EndingKind, reason: string): Promise<void> {
    if (this.#socket.readyState === WebSocket.CLOSED) return;
    const closed = new Promise<void>((resolve) => this.#socket.once('close', () => resolve()));
    closeSocket(this.#socket, CLOSE_CODES[kind], reason);
    await closed;
  }
}
