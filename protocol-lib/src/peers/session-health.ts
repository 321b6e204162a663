import type { ReplicaId } from '../state/index.ts';
import { HealthWatch } from '../sync/health.ts';
import { HEALTH_DEFAULTS, type HealthLimits, type SyncHealth } from '../sync/index.ts';
import { PARTITION_DEFAULTS } from './partition.ts';

/** Where a member stands among the others. Versions are decided ones, or, among peers that merge, mutations. */
export interface GroupFacts {
  readonly isConnected: boolean;
  readonly version: number;
  /** The newest that any member has spoken of. */
  readonly newest: number;
  /** Other members of our version who state our root there. */
  readonly agreeing: number;
  /** Other members of our version who state another one. */
  readonly differing: number;
  /** When the oldest own mutation was made that is not settled. */
  readonly pendingSince: number | undefined;
}

/**
 * The health of a session that has no authority. It has joined once a majority was heard; a version counts as verified once a majority,
 * ourselves included, states one root for it, and as in doubt while somebody states another and no majority ours.
 */
export class GroupHealth {
  readonly #watch: HealthWatch;
  readonly #quorum: number;
  readonly #others: readonly ReplicaId[];
  readonly #heardAt = new Map<ReplicaId, number>();
  readonly #startedAt: number;
  #doubtedSince: number | undefined;

  constructor(others: readonly ReplicaId[], now: number, limits: Partial<HealthLimits> = {}) {
    this.#others = others;
    this.#quorum = Math.floor((others.length + 1) / 2) + 1;
    this.#startedAt = now;
    this.#watch = new HealthWatch({ ...HEALTH_DEFAULTS, ...limits });
  }

  /** Whether a majority is reached. A member is from the start, and as long as its silence is no longer than among peers that merge. */
  hasMajority(now: number): boolean {
    const isReached = (one: ReplicaId) =>
      now - (this.#heardAt.get(one) ?? this.#startedAt) < PARTITION_DEFAULTS.silence;
    return this.#others.filter(isReached).length + 1 >= this.#quorum;
  }

  /** A member has said something, and with it things stand so. */
  heard(member: ReplicaId, facts: GroupFacts, now: number): void {
    this.#heardAt.set(member, now);
    if (facts.agreeing + 1 >= this.#quorum) {
      this.#watch.verify(facts.version, now);
      this.#doubtedSince = undefined;
    } else if (facts.differing > 0) this.#doubtedSince ??= now;
  }

  /** Takes in how things stand. To be called with each tick. */
  follow(facts: GroupFacts, now: number): void {
    this.#watch.follow(this.#known(facts), now);
  }

  assess(facts: GroupFacts, now: number): SyncHealth {
    return this.#watch.assess(this.#known(facts), now);
  }

  /** The watch takes version 0 for none at all; here it is what all begin with. */
  #known({ isConnected, version, newest, pendingSince }: GroupFacts) {
    const hasJoined = this.#heardAt.size + 1 >= this.#quorum;
    const own = hasJoined ? version + 1 : 0;
    const most = hasJoined ? Math.max(version, newest) + 1 : 0;
    return { isConnected, version: own, newest: most, pendingSince, unverifiedSince: this.#doubtedSince };
  }
}
