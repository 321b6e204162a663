import type { StateRoot } from '../merkle/index.ts';
import { type ReplicaId, replicaId, type Value } from '../state/index.ts';
import { type ClientEvent, ClientState, type ClientStateOptions, type SyncHealth } from '../sync/index.ts';
import type { MutationId } from '../trace/index.ts';
import { Driven, type Made, type Session, type SessionOutcome } from './session.ts';
import { type LinePorts, SessionLine } from './session-line.ts';

export type AuthoritySessionOptions = { readonly truth: 'authority' } & LinePorts & ClientStateOptions;

/** Why the authority will never take this build, however often it comes. */
const FINAL = new Set(['UPGRADE_REQUIRED', 'PROTOCOL_UNSUPPORTED']);

/** A session whose truth is with an authority. */
export class AuthoritySession extends Driven implements Session {
  readonly truth = 'authority';
  readonly #client: ClientState;
  readonly #line: SessionLine;
  readonly #now: () => number;
  #ended: Extract<ClientEvent, { type: 'ended' }> | undefined;

  constructor(options: AuthoritySessionOptions) {
    super();
    this.#client = new ClientState(options);
    this.#now = () => options.clock.now();
    this.#client.on((event) => {
      if (event.type === 'ended') this.#ended = event;
    });
    this.#line = new SessionLine(options.authority ?? replicaId('server'), options, {
      onOpen: () => this.#send(this.#client.open(this.#now())),
      onFrame: (frame) => {
        this.#send(this.#client.receive(frame, this.#now()));
        if (this.isConnected) this.#line.worked();
      },
      onClose: (reason) => {
        this.#client.closed(reason, this.#now());
        this.tell();
      },
    });
    this.#line.tick();
  }

  get replica(): ReplicaId {
    return this.#client.replica;
  }

  get committed(): StateRoot {
    return this.#client.committed;
  }

  get optimistic(): StateRoot {
    return this.#client.optimistic;
  }

  get isConnected(): boolean {
    return this.#client.phase === 'live';
  }

  get health(): SyncHealth {
    return this.#client.health(this.#now());
  }

  mutate(command: string, args: Value): Made {
    const made = this.#client.predict(command, args, this.#now());
    if ('rejected' in made) return made;
    this.#send(made.frames);
    return { mutation: made.mutation };
  }

  outcome({ writer, counter }: MutationId): SessionOutcome | undefined {
    const outcome = writer === this.replica ? this.#client.receipt(counter)?.outcome : undefined;
    if (outcome === undefined || outcome.state === 'pending') return outcome;
    return outcome.state === 'accepted' ? { state: 'settled' } : { state: 'rejected', reason: outcome.reason };
  }

  tick(): void {
    this.#line.tick();
    this.#send(this.#client.tick(this.#now()));
  }

  close(reason: string): void {
    this.#send(this.#client.close(reason));
    this.#line.end(reason);
  }

  #send(frames: readonly Uint8Array[]): void {
    for (const frame of frames) this.#line.send(frame);
    const ended = this.#ended;
    this.#ended = undefined;
    if (ended && FINAL.has(ended.code)) this.#line.end(ended.code);
    else if (ended) this.#line.drop(ended.code, ended.reconnect);
    this.tell();
  }
}
