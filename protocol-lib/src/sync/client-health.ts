import type { ReplicaId, Version } from '../state/index.ts';
import type { Tap, TraceBodyOf } from '../trace/index.ts';
import { type HealthFacts, type HealthLimits, HealthWatch, type SyncHealth } from './health.ts';
import { MAX_PENDING } from './settings.ts';
import type { ServedStanding } from './standing.ts';

/** As the authority sees it: the health of one client, for as long as its connection lasts. */
export class ClientHealth {
  readonly #watch: HealthWatch;
  readonly #since: number;
  /** Its mutations that were settled, oldest first, until it acknowledges that it was told: when they came, and the progress that tells. */
  readonly #untold: { readonly progress: number; readonly time: number }[] = [];

  constructor(limits: HealthLimits, now: number) {
    this.#watch = new HealthWatch(limits);
    this.#since = now;
  }

  get standing(): ServedStanding['health'] {
    return { since: this.#since, untold: [...this.#untold], watch: this.#watch.standing };
  }

  /** Goes on where another one was, which has told its `since` as `now`. */
  resume({ untold, watch }: ServedStanding['health']): void {
    this.#untold.push(...untold);
    this.#watch.resume(watch);
  }

  /** A mutation of the client's came and was settled. */
  settled(progress: number, now: number): void {
    // It may not have more pending; should it claim more, the oldest are those that count.
    if (this.#untold.length < MAX_PENDING) this.#untold.push({ progress, time: now });
  }

  /** The hash that it said was found equal. */
  verified(version: Version, progress: number, now: number): void {
    this.#watch.verify(version, now);
    let told = 0;
    while (told < this.#untold.length && this.#untold[told]!.progress <= progress) told++;
    if (told > 0) this.#untold.splice(0, told);
  }

  assess(version: Version, newest: Version, now: number): SyncHealth {
    return this.#watch.assess(this.#facts(version, newest), now);
  }

  #facts(version: Version, newest: Version): HealthFacts {
    return {
      isConnected: true,
      version,
      newest,
      pendingSince: this.#untold[0]?.time,
      unverifiedSince: this.#watch.verified?.time ?? this.#since,
    };
  }

  /** As {@link assess}, and takes it in; traces where it has begun or ceased to be stalled. */
  follow(target: ReplicaId, version: Version, newest: Version, now: number, tap: Tap, writer: ReplicaId): SyncHealth {
    const health = this.#watch.follow(this.#facts(version, newest), now);
    if (this.#watch.hasTurned(health) && tap.isOpen) tap.emit(writer, healthBody(target, version, health));
    return health;
  }
}

/** A replica's health as a trace record says it. */
export function healthBody(target: ReplicaId, version: Version, health: SyncHealth): TraceBodyOf<'health'> {
  return {
    kind: 'health',
    target,
    state: health.progress === 'stalled' ? 'stalled' : 'recovered',
    stalls: [...health.reasons],
    version,
    lag: health.lag,
    oldestPending: health.oldestPending,
    verified: health.verified?.version ?? 0,
  };
}
