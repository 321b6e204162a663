/** What carries the frames of one client, as whoever drives a `ClientState` sees it. */
export interface ClientTransport {
  /** Whether frames can be sent. */
  readonly isOpen: boolean;
  /** Sends in order; nothing where it is not open. */
  send(frames: readonly Uint8Array[]): void;
  /** Calls back once the server has all that was sent before; never where the connection ends sooner. */
  arrived(done: () => void): void;
  /** Ends it; {@link TransportEvents.closed} follows. */
  close(): void;
}

export interface TransportEvents {
  /** A new connection begins: the client says HELLO. */
  opened(): void;
  /** The bytes are the receiver's to keep. */
  frame(frame: Uint8Array): void;
  /** The connection has ended. Where the transport carries on by itself, {@link opened} follows. */
  interrupted(reason: string): void;
  /** It has ended and does not come back. Told once. */
  closed(reason: string): void;
}
