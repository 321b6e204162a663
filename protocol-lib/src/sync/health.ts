import { milliseconds } from '../ports/index.ts';
import type { Version } from '../state/index.ts';
import type { HealthWatchStanding } from './standing.ts';

/**
 * Why a connected replica counts as stalled: its version stays behind; its oldest mutation has no answer; no hash of its state
 * was found equal for too long.
 */
export const STALL_REASONS = ['behind', 'pending', 'unverified'] as const;
export type StallReason = (typeof STALL_REASONS)[number];

/**
 * How a replica gets on. `joining`: connected, but it has no state yet. `current`: nothing is outstanding. `progressing`: something is,
 * and moves. `stalled`: connected, but not progressing.
 */
export type Progress = 'disconnected' | 'joining' | 'current' | 'progressing' | 'stalled';

/** Nanoseconds after which what does not move is a stall. */
export interface HealthLimits {
  /** A version that is behind and stays the same. */
  readonly behindLimit: number;
  /** The oldest mutation without an answer. */
  readonly pendingLimit: number;
  /** Since a hash was found equal, where one was to be: a client says its hash each second. */
  readonly unverifiedLimit: number;
}

export const HEALTH_DEFAULTS: HealthLimits = {
  behindLimit: milliseconds(5_000),
  pendingLimit: milliseconds(5_000),
  unverifiedLimit: milliseconds(5_000),
};

/** The last version whose root hash was found to be the authority's, and when, in nanoseconds. */
export interface Verified {
  readonly version: Version;
  readonly time: number;
}

/** How one replica gets on, as one side sees it. */
export interface SyncHealth {
  readonly progress: Progress;
  /** Why it is stalled; empty where it is not. */
  readonly reasons: readonly StallReason[];
  /** Versions that it is known to lack. */
  readonly lag: number;
  /** Age of the oldest mutation that it waits for, in nanoseconds; 0 where there is none. */
  readonly oldestPending: number;
  readonly verified: Verified | undefined;
}

/** What is known of a replica at one moment. */
export interface HealthFacts {
  readonly isConnected: boolean;
  /** The version that it has; 0 before the first. */
  readonly version: Version;
  /** The newest version that is known to exist. */
  readonly newest: Version;
  /** When the oldest mutation was made that has no answer yet. */
  readonly pendingSince: number | undefined;
  /** Since when its hash should have been found equal; undefined where nobody waits for that. */
  readonly unverifiedSince: number | undefined;
}

/** Follows one replica: which version it has verified, since when it is behind, and what follows from that. */
export class HealthWatch {
  readonly #limits: HealthLimits;
  #verified: Verified | undefined;
  #version: Version = 0;
  /** When its version last moved while it was behind, or when it fell behind. */
  #behindSince: number | undefined;
  #isStalled = false;

  constructor(limits: HealthLimits) {
    this.#limits = limits;
  }

  get verified(): Verified | undefined {
    return this.#verified;
  }

  get standing(): HealthWatchStanding {
    const [verified, version, behindSince] = [this.#verified ?? null, this.#version, this.#behindSince ?? null];
    return { verified, version, behindSince, isStalled: this.#isStalled };
  }

  resume({ verified, version, behindSince, isStalled }: HealthWatchStanding): void {
    this.#verified = verified ?? undefined;
    this.#version = version;
    this.#behindSince = behindSince ?? undefined;
    this.#isStalled = isStalled;
  }

  /** The root hash at a version was found equal. */
  verify(version: Version, now: number): void {
    this.#verified = { version, time: now };
  }

  /** Its health as it stands now. Only looks: whoever asks changes nothing. */
  assess(facts: HealthFacts, now: number): SyncHealth {
    const lag = Math.max(0, facts.newest - facts.version);
    const oldestPending = facts.pendingSince === undefined ? 0 : Math.max(0, now - facts.pendingSince);
    const reasons = facts.isConnected ? this.#stalls(facts, now) : NO_REASONS;
    return { progress: progressOf(facts, lag, reasons), reasons, lag, oldestPending, verified: this.#verified };
  }

  /** Takes in how it stands now, and answers its health. */
  follow(facts: HealthFacts, now: number): SyncHealth {
    const health = this.assess(facts, now);
    this.#behindSince = this.#behindAt(facts, now);
    this.#version = facts.version;
    return health;
  }

  /** Whether a replica has begun or ceased to be stalled since this was asked last. */
  hasTurned({ progress }: SyncHealth): boolean {
    const isStalled = progress === 'stalled';
    const hasTurned = isStalled !== this.#isStalled;
    this.#isStalled = isStalled;
    return hasTurned;
  }

  /** Since when it is behind, if it is. */
  #behindAt({ isConnected, version, newest }: HealthFacts, now: number): number | undefined {
    if (!isConnected || version >= newest) return undefined;
    return this.#behindSince === undefined || version !== this.#version ? now : this.#behindSince;
  }

  /** In the order of {@link STALL_REASONS}. Asked of every client in every round, and nearly always of one that is well. */
  #stalls(facts: HealthFacts, now: number): readonly StallReason[] {
    const { behindLimit, pendingLimit, unverifiedLimit } = this.#limits;
    const isBehind = isOver(this.#behindAt(facts, now), behindLimit, now);
    const isPending = isOver(facts.pendingSince, pendingLimit, now);
    const isUnverified = isOver(facts.unverifiedSince, unverifiedLimit, now);
    if (!isBehind && !isPending && !isUnverified) return NO_REASONS;
    const found: Readonly<Record<StallReason, boolean>> = {
      behind: isBehind,
      pending: isPending,
      unverified: isUnverified,
    };
    return STALL_REASONS.filter((reason) => found[reason]);
  }
}

const NO_REASONS: readonly StallReason[] = [];

function isOver(since: number | undefined, limit: number, now: number): boolean {
  return since !== undefined && now - since >= limit;
}

function progressOf(facts: HealthFacts, lag: number, reasons: readonly StallReason[]): Progress {
  if (!facts.isConnected) return 'disconnected';
  if (reasons.length > 0) return 'stalled';
  if (facts.version === 0) return 'joining';
  return lag === 0 && facts.pendingSince === undefined ? 'current' : 'progressing';
}
