import { Backoff, type BackoffLimits } from '../offline/index.ts';
import type { Clock, Random, Transport } from '../ports/index.ts';
import type { ReplicaId } from '../state/index.ts';

/**
 * Opens a connection to the authority or to a member. Where none can be had it throws, rejects, or answers one that closes. What a promise
 * is late with is waited for: a limit of time is the port's.
 */
export type Connect = (to: ReplicaId) => Transport | Promise<Transport>;

export interface LinePorts {
  readonly connect: Connect;
  readonly clock: Clock;
  /** For the jitter of the waits. */
  readonly random: Random;
  /** Milliseconds between two tries; `BACKOFF_DEFAULTS` where absent. */
  readonly backoff?: BackoffLimits;
}

export interface LineListeners {
  onOpen(): void;
  onFrame(frame: Uint8Array): void;
  onClose(reason: string): void;
}

const NANOSECONDS = 1_000_000;

/** The connections to one other side, one after the other: a lost one is opened again after a {@link Backoff}. */
export class SessionLine {
  readonly #to: ReplicaId;
  readonly #ports: LinePorts;
  readonly #listeners: LineListeners;
  readonly #backoff: Backoff;
  #transport: Transport | undefined;
  #isOpening = false;
  #hasEnded = false;
  /** Nanoseconds: the other side wants nobody before. */
  #notBefore = 0;

  constructor(to: ReplicaId, ports: LinePorts, listeners: LineListeners) {
    this.#to = to;
    this.#ports = ports;
    this.#listeners = listeners;
    this.#backoff = new Backoff(ports.random, ports.backoff);
  }

  /** Opens a connection where there is none and one is due. */
  tick(): void {
    if (this.#hasEnded || this.#transport || this.#isOpening) return;
    const now = this.#ports.clock.now();
    if (now < this.#notBefore || this.#backoff.remaining(now / NANOSECONDS) > 0) return;
    this.#isOpening = true;
    try {
      const opened = this.#ports.connect(this.#to);
      if (!(opened instanceof Promise)) this.#use(opened);
      else
        opened.then(
          (transport) => this.#use(transport),
          (error: unknown) => this.#failed(error),
        );
    } catch (error) {
      this.#failed(error);
    }
  }

  /** What is sent while there is no connection is lost. */
  send(frame: Uint8Array): void {
    this.#transport?.send(frame);
  }

  /** The other side has answered as it should: the next loss is the first again. */
  worked(): void {
    this.#backoff.reset();
  }

  /** The connection is of no more use. The next one is opened no sooner than `wait` nanoseconds from now. */
  drop(reason: string, wait = 0): void {
    this.#notBefore = this.#ports.clock.now() + wait;
    const transport = this.#transport;
    if (!transport) return;
    this.#lost(reason);
    transport.close(reason);
  }

  /** No connection is opened any more. */
  end(reason: string): void {
    this.#hasEnded = true;
    this.drop(reason);
  }

  #use(transport: Transport): void {
    this.#isOpening = false;
    if (this.#hasEnded) {
      transport.close('the session was closed');
      return;
    }
    this.#transport = transport;
    const isCurrent = () => this.#transport === transport;
    transport.onFrame((frame) => {
      if (isCurrent()) this.#listeners.onFrame(frame);
    });
    transport.onClose((reason) => {
      if (isCurrent()) this.#lost(reason);
    });
    if (isCurrent()) this.#listeners.onOpen();
  }

  #failed(error: unknown): void {
    this.#isOpening = false;
    this.#lost(error instanceof Error ? error.message : String(error));
  }

  #lost(reason: string): void {
    this.#transport = undefined;
    this.#backoff.failed(this.#ports.clock.now() / NANOSECONDS);
    this.#listeners.onClose(reason);
  }
}
