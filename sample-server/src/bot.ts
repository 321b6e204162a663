import type { SyncClient } from '@syncscope/protocol/node';
import type { Change, ReplicaId } from '@syncscope/protocol/state';
import type { ClientState } from '@syncscope/protocol/sync';
import type { Intent, Mind } from './scenarios/scenario.ts';

/** A player that plays by itself, over a connection of its own, seeing nothing but its own replica. */
export class Bot {
  readonly replica: ReplicaId;
  /** Begins a life of the player: a replica that knows nothing, and its connection. */
  readonly #begin: () => SyncClient;
  readonly #mind: Mind;
  /** What was asked for and is not settled, by the mutation's counter. */
  readonly #asked = new Map<number, Intent>();
  #client: SyncClient;
  #stopListening: () => void;
  #thinking: NodeJS.Timeout | undefined;
  #waking: NodeJS.Timeout | undefined;
  #hasCrashed = false;

  constructor(replica: ReplicaId, begin: () => SyncClient, mind: Mind) {
    this.replica = replica;
    this.#begin = begin;
    this.#mind = mind;
    this.#client = begin();
    this.#stopListening = this.#listen();
    this.#thinkIn(this.#mind.pause());
  }

  get state(): ClientState {
    return this.#client.state;
  }

  corrupt(change: Change): void {
    this.#client.state.corruptCommitted([change]);
  }

  /**
   * Ends the connection without a goodbye, and forgets everything. After `downtime` milliseconds a new life begins under the same name, and
   * learns from the session how far the one before had counted. Answers how many mutations are lost that had no answer.
   */
  crash(downtime: number): number {
    const lost = this.#asked.size;
    clearTimeout(this.#thinking);
    clearTimeout(this.#waking);
    this.#stopListening();
    this.#asked.clear();
    if (!this.#hasCrashed) this.#client.cut();
    this.#hasCrashed = true;
    this.#waking = setTimeout(() => {
      this.#hasCrashed = false;
      this.#client = this.#begin();
      this.#stopListening = this.#listen();
      this.#thinkIn(this.#mind.pause());
    }, downtime);
    return lost;
  }

  /** Stops playing and does not come back once the connection ends; resolves when it has ended. */
  async rest(): Promise<void> {
    clearTimeout(this.#thinking);
    clearTimeout(this.#waking);
    this.#stopListening();
    if (!this.#hasCrashed) await this.#client.ended();
  }

  #listen(): () => void {
    return this.#client.state.on((event) => {
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
