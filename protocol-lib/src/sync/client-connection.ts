import { FrameDecoder, FrameEncoder, type Message, type MessageBody } from '../messages/index.ts';
import { milliseconds } from '../ports/index.ts';
import type { ReplicaId } from '../state/index.ts';
import type { ClientTrace } from './client-trace.ts';
import type { ClientStanding } from './standing.ts';

/** `greeting` until WELCOME, `live` until the connection ends. */
export type ClientPhase = 'closed' | 'greeting' | 'live';

const HELLO_TIMEOUT = milliseconds(5_000);

/** A frame that could be read. One that came again or late says nothing new. */
export interface ReceivedFrame {
  readonly message: Message;
  /** Of its `receive` record. */
  readonly seq: number;
  readonly isRepeated: boolean;
}

/** A client's end of its connections, one after the other: frames in and out, and how far the handshake is. */
export class ClientConnection {
  readonly #trace: ClientTrace;
  readonly #encoder: FrameEncoder;
  #authority: ReplicaId;
  #decoder = new FrameDecoder();
  #phase: ClientPhase = 'closed';
  #openedAt = 0;
  #lastSequence = 0;
  #frames: Uint8Array[] = [];

  constructor(replica: ReplicaId, authority: ReplicaId, trace: ClientTrace) {
    this.#trace = trace;
    this.#encoder = new FrameEncoder(replica);
    this.#authority = authority;
  }

  get phase(): ClientPhase {
    return this.#phase;
  }

  /** What the other side is called: as expected before WELCOME, as it says after. */
  get authority(): ReplicaId {
    return this.#authority;
  }

  /** The names that the authority has announced on this connection. */
  get names(): readonly string[] {
    return this.#decoder.names.slice(0);
  }

  get standing(): ClientStanding['connection'] {
    return {
      authority: this.#authority,
      phase: this.#phase,
      openedAt: this.#openedAt,
      lastSequence: this.#lastSequence,
      names: [...this.names],
      encoder: this.#encoder.standing,
    };
  }

  /** Goes on where another one was; for one that was never opened. */
  resume({ authority, phase, openedAt, lastSequence, names, encoder }: ClientStanding['connection']): void {
    this.#authority = authority;
    this.#phase = phase;
    this.#openedAt = openedAt;
    this.#lastSequence = lastSequence;
    this.#decoder.resume(names);
    this.#encoder.resume(encoder);
  }

  open(now: number): void {
    this.#phase = 'greeting';
    this.#openedAt = now;
    // The other side may be another process than before, with other names and another count.
    this.#lastSequence = 0;
    this.#decoder = new FrameDecoder();
  }

  welcome(authority: ReplicaId): void {
    this.#phase = 'live';
    this.#authority = authority;
  }

  /** Answers whether it was open. */
  end(reason: string): boolean {
    if (this.#phase === 'closed') return false;
    this.#phase = 'closed';
    this.#trace.gone(reason);
    return true;
  }

  isIgnored(now: number): boolean {
    return this.#phase === 'greeting' && now - this.#openedAt >= HELLO_TIMEOUT;
  }

  /** @throws SyncError as `FrameDecoder.decode` */
  read(frame: Uint8Array): ReceivedFrame {
    const message = this.#decoder.decode(frame);
    const seq = this.#trace.received(message, frame);
    const isRepeated = message.sequence <= this.#lastSequence;
    if (!isRepeated) this.#lastSequence = message.sequence;
    return { message, seq, isRepeated };
  }

  send(body: MessageBody, cause: readonly number[]): void {
    for (const encoded of this.#encoder.encode(body)) {
      this.#trace.sent(encoded, this.#authority, cause);
      this.#frames.push(encoded.frame);
    }
  }

  /** What waits to be sent, in order. */
  drain(): Uint8Array[] {
    const frames = this.#frames;
    this.#frames = [];
    return frames;
  }
}
