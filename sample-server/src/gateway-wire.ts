import type { Refusal } from '@syncscope/protocol/node';

export const TRANSPORTS = ['websocket', 'sse'] as const;
export type TransportName = (typeof TRANSPORTS)[number];

/** Why a connection is ended: the session is over or goes elsewhere, the client was refused, or it does not read. */
export type EndingKind = 'ended' | 'refused' | 'slow';

/** One client's connection, whatever carries it. Frames are shared between clients and not to be changed. */
export interface ClientWire {
  readonly transport: TransportName;
  readonly isOpen: boolean;
  /** Bytes that were sent and are not yet with the operating system. */
  readonly queued: number;
  /** Sends the frames of one step, in order. */
  send(frames: readonly Uint8Array[]): void;
  /** Says why and closes. Resolves when the connection is gone, soon whatever the other side does. */
  close(kind: EndingKind, reason: string): Promise<void>;
  /** Called many times a second, with nanoseconds, where a wire has something to do from time to time. */
  tick?(now: number): void;
}

/** What a wire tells the gateway. */
export interface WireSink {
  /** A frame of the client's, the receiver's to keep. */
  receive(frame: Uint8Array): void;
  /** The wire itself would not take something. */
  refused(code: string, message: string): void;
  closed(reason: string): void;
}

export const NO_FRAMES: readonly Uint8Array[] = [];

let lastFrames = NO_FRAMES;
let lastFrame: Uint8Array = new Uint8Array();
let lastTogether = NO_FRAMES;

/**
 * Frames with another behind them. In a round the same frames go to one client after the other: they share one list, and by it what is made of it.
 */
export function withFrame(frames: readonly Uint8Array[], frame: Uint8Array): readonly Uint8Array[] {
  if (frames !== lastFrames || frame !== lastFrame) {
    lastTogether = [...frames, frame];
    lastFrames = frames;
    lastFrame = frame;
  }
  return lastTogether;
}

/** Lets a wire in, or says why not. */
export interface Entrance {
  /** Asked before an upgrade or a stream is answered. */
  refusal(address: string): Refusal | undefined;
  /** Why a token does not let in: a client, or who is right by `isRight`. A wrong one counts against its address. */
  tokenRefusal(address: string, token: string | undefined, isRight?: (token: string) => boolean): Refusal | undefined;
  /** Why a WebSocket is not let in that shows this token with its upgrade, or none: then its HELLO has to. */
  upgradeRefusal(address: string, token: string | undefined): Refusal | undefined;
  open(wire: ClientWire, address: string): WireSink;
  /** Why an address may not reconcile now, whatever its token. */
  reconcileRefusal(address: string): Refusal | undefined;
}
