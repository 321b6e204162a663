import type { Message } from '../messages/index.ts';
import type { Version } from '../state/index.ts';
import { HEALTH_DEFAULTS, type HealthFacts, type HealthLimits, HealthWatch, type SyncHealth } from './health.ts';
import type { ClientStanding } from './standing.ts';

/** Where a client stands, as far as it matters to its health. */
export interface OwnStanding {
  readonly isConnected: boolean;
  readonly version: Version;
  /** When its oldest pending mutation was made. */
  readonly pendingSince: number | undefined;
}

/** A client's own health: what it has heard of and does not have, and since when its state is in doubt. */
export class OwnHealth {
  readonly #watch: HealthWatch;
  /** The newest version that the authority has spoken of on this connection. */
  #newest: Version = 0;
  #doubtedSince: number | undefined;

  constructor(limits: Partial<HealthLimits> = {}) {
    this.#watch = new HealthWatch({ ...HEALTH_DEFAULTS, ...limits });
  }

  get standing(): ClientStanding['health'] {
    return { newest: this.#newest, doubtedSince: this.#doubtedSince ?? null, watch: this.#watch.standing };
  }

  resume({ newest, doubtedSince, watch }: ClientStanding['health']): void {
    this.#newest = newest;
    this.#doubtedSince = doubtedSince ?? undefined;
    this.#watch.resume(watch);
  }

  /** A connection was opened, perhaps to another authority: all that is known is in doubt until it has confirmed it. */
  opened(now: number): void {
    this.#newest = 0;
    this.#doubtedSince = now;
  }

  heard(message: Message): void {
    this.#newest = Math.max(this.#newest, versionIn(message));
  }

  /** The state has the root hash that the authority states for its version. */
  verified(version: Version, now: number): void {
    this.#watch.verify(version, now);
    this.#doubtedSince = undefined;
  }

  /** Something did not fit. */
  doubted(now: number): void {
    this.#doubtedSince ??= now;
  }

  assess(own: OwnStanding, now: number): SyncHealth {
    return this.#watch.assess(this.#facts(own), now);
  }

  /** As {@link assess}, and takes it in. */
  follow(own: OwnStanding, now: number): SyncHealth {
    return this.#watch.follow(this.#facts(own), now);
  }

  #facts(own: OwnStanding): HealthFacts {
    return { ...own, newest: Math.max(this.#newest, own.version), unverifiedSince: this.#doubtedSince };
  }

  hasTurned(health: SyncHealth): boolean {
    return this.#watch.hasTurned(health);
  }
}

/** The authority's version that a message speaks of; 0 where it speaks of none. */
function versionIn(message: Message): Version {
  switch (message.type) {
    case 'FULL_SYNC':
    case 'EVENT':
    case 'REJECT':
    case 'MERKLE_OFFER':
      return message.version;
    case 'DELTA_SYNC':
      return message.to;
    default:
      return 0;
  }
}
