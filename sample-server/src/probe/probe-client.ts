import { monotonicClock, WebSocketTransport } from '@syncscope/protocol/node';
import { type ClientTransport, SseTransport, type TransportEvents } from '@syncscope/protocol/sse';
import { type ReplicaId, replicaId, type StateHash, type Version } from '@syncscope/protocol/state';
import { ClientState, type SessionDefinition } from '@syncscope/protocol/sync';
import type { FaultBoard } from '../faults/fault-board.ts';
import type { FaultyLink } from '../faults/link.ts';
import type { Mind } from '../scenarios/scenario.ts';

const TICK_MS = 20;

export interface ProbeClientOptions {
  readonly name: string;
  /** `ws://HOST:PORT/sync` or `http://HOST:PORT`. */
  readonly url: string;
  readonly token: string;
  readonly session: string;
  readonly definition: SessionDefinition;
  readonly mind: Mind;
  /** The network between the client and the server. */
  readonly network: FaultBoard;
  readonly server: ReplicaId;
}

/** When something began and how long it took, in milliseconds. */
export interface Measured {
  readonly at: number;
  readonly took: number;
}

/** A mutation of a probe's, from when it was made to the version that it became. */
export interface Committed {
  readonly madeAt: number;
  readonly version: Version;
}

/** A synthetic client: plays as a bot would, through a network that may lose frames, and keeps what it sees happen when. Milliseconds. */
export class ProbeClient {
  readonly state: ClientState;
  /** From the start of the first connection to the first state. */
  coldStart: Measured | undefined;
  /** From the start of a later connection to the welcome. */
  readonly reconnects: (Measured & { readonly isResumed: boolean })[] = [];
  readonly committed: Committed[] = [];
  /** When each version was first had, ascending, and its root. */
  readonly applied: { readonly version: Version; readonly root: StateHash; readonly at: number }[] = [];
  /** Bytes that came in, by whole seconds since the first state. */
  readonly bytes: number[] = [];
  readonly mismatches: string[] = [];
  /** Why the server ended the connection for good, where it did. */
  ended: string | undefined;
  readonly #options: ProbeClientOptions;
  readonly #made = new Map<number, number>();
  readonly #ticking: NodeJS.Timeout;
  #transport: ClientTransport | undefined;
  #links: readonly FaultyLink[] = [];
  #connectedAt = 0;
  #thinking: NodeJS.Timeout | undefined;
  #whenClosed: (() => void) | undefined;

  constructor(options: ProbeClientOptions) {
    this.#options = options;
    const { session, token, definition, name } = options;
    this.state = new ClientState({ definition, replica: replicaId(name), session, token });
    this.#listen();
    this.#ticking = setInterval(() => this.#send(this.state.tick(monotonicClock.now())), TICK_MS);
  }

  connect(): void {
    const { url, token, network, server } = this.#options;
    const replica = (): ReplicaId => this.state.replica;
    this.#connectedAt = performance.now();
    const down = network.down(replica, (frame) => {
      this.#count(frame.length);
      this.#send(this.state.receive(frame, monotonicClock.now()));
    });
    const up = network.link(
      replica,
      () => server,
      (frame) => transport.send([frame]),
    );
    this.#links = [down, up];
    const events: TransportEvents = {
      opened: () => this.#send(this.state.open(monotonicClock.now())),
      frame: (frame) => down.push(frame),
      interrupted: (reason) => this.state.closed(reason, monotonicClock.now()),
      closed: (reason) => {
        this.state.closed(reason, monotonicClock.now());
        this.#whenClosed?.();
        this.#transport = undefined;
      },
    };
    const transport = url.startsWith('ws')
      ? new WebSocketTransport(url, events)
      : new SseTransport({ url, token }, events);
    this.#transport = transport;
  }

  /** Plays as its mind likes until {@link rest}. */
  play(): void {
    this.#thinking = setTimeout(() => {
      this.#act();
      this.play();
    }, this.#options.mind.pause());
  }

  rest(): void {
    clearTimeout(this.#thinking);
  }

  /** The connection breaks without a word. Resolves once it has. */
  async cut(): Promise<void> {
    for (const link of this.#links) link.close();
    const transport = this.#transport;
    if (!transport) return;
    const closed = new Promise<void>((resolve) => {
      this.#whenClosed = resolve;
    });
    transport.close();
    await closed;
  }

  /** Leaves the session, says goodbye and ends everything. */
  async close(): Promise<void> {
    this.rest();
    clearInterval(this.#ticking);
    if (Object.hasOwn(this.#options.definition.commands, 'leave')) this.#predict('leave', null);
    this.#send(this.state.close('the probe has ended'));
    await this.cut();
  }

  #listen(): void {
    this.state.on((event) => {
      const now = performance.now();
      switch (event.type) {
        case 'welcomed':
          if (this.coldStart === undefined) return;
          this.reconnects.push({ at: now, took: now - this.#connectedAt, isResumed: event.resumed });
          return;
        case 'committed':
          this.coldStart ??= { at: now, took: now - this.#connectedAt };
          this.applied.push({ version: event.version, root: event.root, at: now });
          return;
        case 'confirmed': {
          const madeAt = this.#made.get(event.mutation.counter);
          this.#made.delete(event.mutation.counter);
          if (madeAt !== undefined) this.committed.push({ madeAt, version: event.version });
          return;
        }
        case 'rejected':
          this.#made.delete(event.mutation.counter);
          return;
        case 'mismatch':
          this.mismatches.push(event.reason);
          return;
        case 'ended':
          this.ended = `${event.code}: ${event.message}`;
          return;
        case 'error':
          this.ended ??= `${event.code}: ${event.message}`;
          return;
        default:
      }
    });
  }

  #act(): void {
    if (this.state.phase !== 'live' || this.state.version === 0) return;
    const intent = this.#options.mind.think(this.state.optimistic, performance.now());
    if (!intent) return;
    const refusal = this.#predict(intent.command, intent.args);
    if (refusal !== undefined) this.#options.mind.refused(intent, refusal, performance.now());
  }

  #predict(command: string, args: Parameters<ClientState['predict']>[1]): string | undefined {
    const result = this.state.predict(command, args, monotonicClock.now());
    if ('rejected' in result) return result.rejected;
    this.#made.set(result.mutation.counter, performance.now());
    this.#send(result.frames);
    return undefined;
  }

  /** The seconds of a cold start are not counted: a whole state is another matter than what goes on. */
  #count(length: number): void {
    if (this.coldStart === undefined) return;
    const second = Math.floor((performance.now() - this.coldStart.at) / 1_000);
    while (this.bytes.length <= second) this.bytes.push(0);
    this.bytes[second] = (this.bytes[second] ?? 0) + length;
  }

  #send(frames: readonly Uint8Array[]): void {
    const up = this.#links[1];
    if (this.#transport?.isOpen) for (const frame of frames) up?.push(frame);
  }
}
