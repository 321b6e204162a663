import { isSyncError, SyncError } from '@syncscope/protocol/errors';
import {
  FrameDecoder,
  FrameEncoder,
  formatMessage,
  type Message,
  type MessageBody,
  OWN_PROTOCOLS,
  parseBody,
  parseMessage,
} from '@syncscope/protocol/messages';
import { type ReplicaId, replicaId } from '@syncscope/protocol/state';
import { WebSocket } from 'ws';
import type { ClientWire, EndingKind, WireSink } from './gateway-wire.ts';

/** The WebSocket subprotocol that a client names who wants the session as lines of text, one message of the protocol in each WebSocket message. */
export const TEXT_PROTOCOL = 'syncscope.text.v1';

/** The socket lets nothing longer through. */
const OPTIONS = { limits: { frame: 64 * 1024, line: 64 * 1024, lines: 1_000 } };
/** Who speaks before HELLO: the authority refuses it. */
const NOBODY = replicaId('unknown');

/**
 * Translates between a client that speaks lines and an authority that speaks frames. Snapshots carry HASH31. What the client says may
 * go without its `FROM` line: then it is said by who said HELLO, next in the sequence.
 */
export class TextTranslator {
  readonly #decoder = new FrameDecoder();
  #encoder = new FrameEncoder(NOBODY);
  /** The highest sequence that the client has stated. */
  #stated = 0;

  /** What the authority says, as lines; undefined for names, which are written out in text. */
  toText(frame: Uint8Array): string | undefined {
    const message = this.#decoder.decode(frame);
    return message.type === 'NAMES' ? undefined : formatMessage(message, { documentHash: true });
  }

  /**
   * What the client says, as frames; none where it came again or late.
   * @throws SyncError as `parseMessage` does
   */
  toFrames(text: string): Uint8Array[] {
    if (!text.startsWith('FROM:')) return this.#encode(parseBody(text, OPTIONS));
    const { sender, sequence, ...body }: Message = parseMessage(text, OPTIONS);
    if (sequence <= this.#stated) return [];
    this.#stated = sequence;
    return this.#encode(body, sender);
  }

  #encode(body: MessageBody, stated?: ReplicaId): Uint8Array[] {
    const sender = stated ?? (body.type === 'HELLO' ? body.replica : this.#encoder.sender);
    if (sender !== this.#encoder.sender) this.#encoder = new FrameEncoder(sender);
    return this.#encoder.encode(body).map(({ frame }) => frame);
  }
}

/** A client's connection in text, over the wire of its frames. */
export class TextWire implements ClientWire {
  readonly transport = 'websocket';
  readonly #socket: WebSocket;
  readonly #wire: ClientWire;
  readonly #translator = new TextTranslator();

  /** `wire` closes the socket and tells how much waits. */
  constructor(socket: WebSocket, wire: ClientWire) {
    this.#socket = socket;
    this.#wire = wire;
  }

  get isOpen(): boolean {
    return this.#wire.isOpen;
  }

  get queued(): number {
    return this.#wire.queued;
  }

  send(frames: readonly Uint8Array[]): void {
    try {
      for (const frame of frames) {
        const text = this.#translator.toText(frame);
        if (text !== undefined && this.isOpen) this.#socket.send(text);
      }
    } catch (error) {
      // Names were lost on a faulty way, and nothing after them can be read.
      if (!isSyncError(error)) throw error;
      this.#wire.close('ended', `${error.code}: connect again`);
    }
  }

  close(kind: EndingKind, reason: string): Promise<void> {
    return this.#wire.close(kind, reason);
  }

  /** The client has said something. As with frames, what cannot be read ends the connection, save a message of a later version's. */
  receive(sink: WireSink, data: Buffer, isBinary: boolean): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    try {
      if (isBinary) throw new SyncError('TEXT_NOT_UTF8', 'a binary message; this connection speaks text', NOT_TEXT);
      for (const frame of this.#translator.toFrames(data.toString())) sink.receive(frame);
    } catch (error) {
      if (!isSyncError(error)) throw error;
      sink.refused(error.code, error.message);
      if (error.code === 'MESSAGE_UNKNOWN_TYPE') return;
      this.#socket.send(formatMessage({ ...refusalOf(error), ...SAID_BY_GATEWAY }));
      this.#wire.close('refused', error.code);
    }
  }
}

function refusalOf({ code, message, place: { line, column } }: SyncError): MessageBody {
  if (code === 'PROTOCOL_UNSUPPORTED') {
    return { type: 'UPGRADE_REQUIRED', protocolMin: OWN_PROTOCOLS.min, protocolMax: OWN_PROTOCOLS.max, message };
  }
  const place = line === undefined ? '' : ` (line ${line}${column === undefined ? '' : `, column ${column}`})`;
  return { type: 'ERROR', code, message: `${message}${place}` };
}

const NOT_TEXT = { origin: 'protocol' } as const;
/** The authority never saw what is refused here. */
const SAID_BY_GATEWAY = { sender: replicaId('gateway'), sequence: 1 } as const;
