import type { Change, ReplicaId } from '@syncscope/protocol/state';
import type { ClientState } from '@syncscope/protocol/sync';
import type { Intent, Mind } from './scenarios/scenario.ts';
import type { SyncClient } from './sync-client.ts';

/** A player that plays by itself, over a connection of its own, seeing nothing but its own replica. */
export class Bot {
  readonly #client: SyncClient;
  readonly #mind: Mind;
  /** What was asked for and is not settled, by the mutation's counter. */
  readonly #asked = new Map<number, Intent>();
  readonly #stopListening: () => void;
  #thinking: NodeJS.Timeout | undefined;

  constructor(client: SyncClient, mind: Mind) {
    this.#client = client;
    this.#mind = mind;
    this.#stopListening = client.state.on((event) => {
      switch (event.type) {
        case 'committed':
          this.#onCommitted();
          return;
        case 'confirmed':
          this.#asked.delete(event.mutation.counter);
          return;
        case 'rejected': {
          const intent = this.#asked.get(event.mutation.counter);
          this.#asked.delete(event.mutation.counter);
          if (intent) this.#mind.refused(intent, event.reason, now());
          return;
        }
        default:
          return;
      }
    });
    this.#thinkIn(this.#mind.pause());
  }

  get replica(): ReplicaId {
    return this.#client.state.replica;
  }

  get state(): ClientState {
    return this.#client.state;
  }

  corrupt(change: Change): void {
    this.#client.state.corruptCommitted([change]);
  }

  /** Stops playing and does not come back once the connection ends; resolves when it has ended. */
  async rest(): Promise<void> {
    clearTimeout(this.#thinking);
    this.#stopListening();
    await this.#client.ended();
  }

  #onCommitted(): void {
    const delay = this.#mind.startle(this.#client.state.optimistic, now());
    if (delay !== undefined) this.#thinkIn(delay);
  }

  #thinkIn(delay: number): void {
    clearTimeout(this.#thinking);
    this.#thinking = setTimeout(() => {
      this.#act();
      this.#thinkIn(this.#mind.pause());
    }, delay);
  }

  #act(): void {
    const { state } = this.#client;
    if (state.phase !== 'live' || state.version === 0) return;
    const intent = this.#mind.think(state.optimistic, now());
    if (!intent) return;
    const result = this.#client.predict(intent.command, intent.args);
    if ('rejected' in result) this.#mind.refused(intent, result.rejected, now());
    else this.#asked.set(result.mutation.counter, intent);
  }
}

function now(): number {
  return performance.now();
}
