import type { StateRoot } from '../merkle/index.ts';
import type { ReplicaId, Value } from '../state/index.ts';
import type { SyncHealth } from '../sync/index.ts';
import type { MutationId } from '../trace/index.ts';

/** How a mutation stands: `settled` where the authority took it, or a majority of the peers is known to have it. */
export type SessionOutcome =
  | { readonly state: 'pending' }
  | { readonly state: 'settled' }
  | { readonly state: 'rejected'; readonly reason: string };

export type Made = { readonly mutation: MutationId } | { readonly rejected: string };

/** A session as an app sees it, whoever holds its truth. Connections that are lost are opened again by itself. */
export interface Session {
  readonly truth: 'authority' | 'peers';
  readonly replica: ReplicaId;
  /** What the authority committed, or a majority of the peers has. */
  readonly committed: StateRoot;
  /** With what was done here and is not settled. */
  readonly optimistic: StateRoot;
  /** Whether the authority, or a majority of the peers, is reached. */
  readonly isConnected: boolean;
  /** How it gets on just now. Versions are the authority's, those that the peers decided, or, where peers merge, mutations. */
  readonly health: SyncHealth;
  /** Carries out a command on the optimistic state at once, and tells the others. */
  mutate(command: string, args: Value): Made;
  /** Undefined where nothing is known of it. */
  outcome(mutation: MutationId): SessionOutcome | undefined;
  /** Calls `listener` when either state may have changed. Answers the function that ends it. */
  subscribe(listener: () => void): () => void;
  /** To be called a few times a second. */
  tick(): void;
  close(reason: string): void;
}

/** What the sessions have in common: whoever listens. */
export abstract class Driven {
  readonly #listeners = new Set<() => void>();

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  protected tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
