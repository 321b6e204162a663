import type { ReplicaId, Version } from '../state/index.ts';
import type { MutationId } from '../trace/index.ts';
import type { PendingMutation } from './pending.ts';
import type { Settled } from './settlement.ts';

/** How a mutation ended, and at which version of the authority's. */
export type ReceiptOutcome =
  | { readonly state: 'pending' }
  | { readonly state: 'accepted'; readonly version: Version }
  | { readonly state: 'rejected'; readonly version: Version; readonly reason: string };

/** What its writer knows of a mutation. Times in nanoseconds on the writer's clock. */
export interface OwnReceipt {
  readonly mutation: MutationId;
  readonly command: string;
  readonly madeAt: number;
  /** The committed version on which it was predicted. */
  readonly madeOn: Version;
  /** When it was sent last; undefined before the first time. */
  readonly sentAt: number | undefined;
  readonly sends: number;
  /** How often it was run again on a newer committed state. */
  readonly rebases: number;
  /** In how many of them it came to do something else than before. */
  readonly alterations: number;
  /** The version of an accepted one is the first of which the writer knows that it holds the mutation. */
  readonly outcome: ReceiptOutcome;
  readonly settledAt: number | undefined;
}

/** What the authority knows of a mutation. */
export interface AuthorityReceipt {
  readonly mutation: MutationId;
  readonly command: string;
  /** When it came, in nanoseconds since the session began. */
  readonly receivedAt: number;
  /** Never `pending`: the authority settles at once. */
  readonly outcome: Exclude<ReceiptOutcome, { state: 'pending' }>;
  /** Who is known to hold it: the authority, and each replica that has acknowledged a state with it, sorted. Nobody, where it was rejected. */
  readonly appliedBy: readonly ReplicaId[];
}

/** The last of something, by key. */
class Recent<K, V> {
  readonly #capacity: number;
  readonly #entries = new Map<K, V>();

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get(key: K): V | undefined {
    return this.#entries.get(key);
  }

  put(key: K, value: V): void {
    this.#entries.delete(key);
    this.#entries.set(key, value);
    if (this.#entries.size <= this.#capacity) return;
    const [oldest] = this.#entries.keys();
    if (oldest !== undefined) this.#entries.delete(oldest);
  }

  entries(): Iterable<[K, V]> {
    return this.#entries;
  }

  values(): Iterable<V> {
    return this.#entries.values();
  }
}

/** Receipts that a client keeps of its own settled mutations. */
export const OWN_RECEIPTS = 1_000;

/** A client's receipts of its settled mutations. */
export class OwnReceipts {
  readonly #settled = new Recent<number, OwnReceipt>(OWN_RECEIPTS);

  settle(pending: PendingMutation, outcome: ReceiptOutcome, now: number): void {
    this.#settled.put(pending.mutation.counter, ownReceipt(pending, outcome, now));
  }

  get(counter: number): OwnReceipt | undefined {
    return this.#settled.get(counter);
  }

  /** Oldest first. */
  list(): OwnReceipt[] {
    return [...this.#settled.values()];
  }
}

/** The receipt of a mutation that waits, or of one that has just been settled. */
export function ownReceipt(
  pending: PendingMutation,
  outcome: ReceiptOutcome,
  settledAt: number | undefined,
): OwnReceipt {
  const { mutation, command, madeAt, madeOn, sentAt, sends, rebases, alterations } = pending;
  return { mutation, command, madeAt, madeOn, sentAt, sends, rebases, alterations, outcome, settledAt };
}

/** What is kept of a mutation: all but who has applied it, which its version and progress tell. */
interface Kept extends Omit<AuthorityReceipt, 'appliedBy'> {
  readonly progress: number;
}

/** The authority's receipts of the last mutations, and how far each replica is known to hold them. */
export class ReceiptBook {
  readonly #authority: ReplicaId;
  readonly #settled: Recent<string, Kept>;
  readonly #holders: Recent<ReplicaId, { readonly version: Version; readonly progress: number }>;

  /** Keeps `receipts` mutations, and where the last `replicas` replicas stood. */
  constructor(authority: ReplicaId, receipts: number, replicas: number) {
    this.#authority = authority;
    this.#settled = new Recent(receipts);
    this.#holders = new Recent(replicas);
  }

  /** `version` is the authority's after it. */
  settle({ mutation, command, settlement, progress, time }: Settled, version: Version): void {
    const outcome = settlement.accepted
      ? { state: 'accepted' as const, version: settlement.version }
      : { state: 'rejected' as const, version, reason: settlement.reason };
    this.#settled.put(nameOf(mutation), {
      mutation,
      command: command.slice(0, 80),
      receivedAt: time,
      outcome,
      progress,
    });
  }

  /** A replica has acknowledged a state. */
  acknowledged(replica: ReplicaId, version: Version, progress: number): void {
    const before = this.#holders.get(replica);
    this.#holders.put(replica, {
      version: Math.max(version, before?.version ?? 0),
      progress: Math.max(progress, before?.progress ?? 0),
    });
  }

  get(mutation: MutationId): AuthorityReceipt | undefined {
    const settled = this.#settled.get(nameOf(mutation));
    return settled && this.#receipt(settled);
  }

  /** Oldest first. */
  list(): AuthorityReceipt[] {
    return Array.from(this.#settled.values(), (settled) => this.#receipt(settled));
  }

  #receipt({ mutation, command, receivedAt, outcome, progress }: Kept): AuthorityReceipt {
    return { mutation, command, receivedAt, outcome, appliedBy: this.#appliedBy(outcome, progress) };
  }

  #appliedBy(outcome: AuthorityReceipt['outcome'], progress: number): ReplicaId[] {
    if (outcome.state === 'rejected') return [];
    const applied = [this.#authority];
    for (const [replica, holds] of this.#holders.entries()) {
      if (holds.version >= outcome.version && holds.progress >= progress) applied.push(replica);
    }
    return applied.sort();
  }
}

function nameOf({ writer, counter }: MutationId): string {
  return `${counter} ${writer}`;
}
