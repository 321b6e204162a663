import { VersionVector } from '@syncscope/protocol/clock';
import { compressed, type Presence, PresenceRoster, type Transition } from '@syncscope/protocol/presence';
import { fitText } from '@syncscope/protocol/schema';
import type { ReplicaId, SyncRecord } from '@syncscope/protocol/state';
import type { Tap } from '@syncscope/protocol/trace';

/** A connection of a device, or what a device asked for without one, as the gateway saw it last. */
export interface Sighting {
  readonly replica: ReplicaId;
  /** Tells one visit from the next: a link's number, or by which other way it was seen. */
  readonly visit: number | string;
  /** The authority's version that it has acknowledged. */
  readonly version: number;
  readonly metadata: SyncRecord;
  /** When it was heard last; just now where absent. */
  readonly heard?: number;
  /** When it was last found to have the authority's state; absent where nobody waits for that. */
  readonly agreed?: number;
  /** Another gateway's word, which may be some seconds old. */
  readonly isHearsay?: boolean;
}

export interface PresenceServiceOptions {
  readonly tap: Tap;
  readonly authority: ReplicaId;
  /** Mutations of each writer that are settled. */
  readonly settled: (writer: ReplicaId) => number;
}

/** One member, as whoever asks is told. */
export interface Member {
  readonly replica: ReplicaId;
  readonly user: string;
  readonly device: string;
  readonly state: Presence['state'];
  /** Milliseconds that it has been so, and since it was last heard. */
  readonly since: number;
  readonly heard: number;
  readonly metadata: SyncRecord;
  /** The version that it has of the authority, and how many mutations of its own are settled. */
  readonly vector: readonly { readonly replica: ReplicaId; readonly counter: number }[];
}

/**
 * Silence of 5 s is a disconnection here, of 20 s more a departure: a sixth of what is usual, since people look on. A client says each second
 * what it has: that it was not found to have the right state for 3 s is no accident.
 */
const TIMEOUTS = { ...compressed(6), mediaTimeout: 3_000_000_000 };
/** For so long after a goodbye others may still take the one who said it for connected. */
const HEARSAY_NS = 10_000_000_000;
const IDLE_AFTER_NS = 10_000_000_000;
const MEMBERS = 10_000;

/**
 * Who is there: sessions, devices and what each has seen, from what the gateway sees of them. It is not part of the state, which a log keeps and a
 * restart brings back: who is there is known anew within seconds. Times in nanoseconds.
 */
export class PresenceService {
  readonly #options: PresenceServiceOptions;
  readonly #roster = new PresenceRoster({ timeouts: TIMEOUTS, media: 'acknowledgement', maxMembers: MEMBERS });
  /** Lives: one more with each visit. */
  readonly #lives = new Map<ReplicaId, { readonly visit: number | string; readonly incarnation: number }>();
  readonly #activity = new Map<ReplicaId, { readonly counter: number; readonly at: number }>();
  #posted = new Map<ReplicaId, Sighting>();

  constructor(options: PresenceServiceOptions) {
    this.#options = options;
  }

  /** A device that has no connection has asked for something. */
  posted(sighting: Sighting): void {
    this.#posted.set(sighting.replica, sighting);
  }

  /** Somebody has said that it leaves: no silence has to be waited for. */
  goodbye(replica: ReplicaId, now: number): void {
    this.#posted.delete(replica);
    const before = this.#roster.get(replica);
    if (!before) return;
    const beat = { ...before, activity: 'left', hasMedia: false } as const;
    for (const transition of this.#roster.heard(replica, beat, now)) this.#tell(transition);
  }

  /** What is seen now: those that are connected here, then those elsewhere. Called about once a second. */
  tick(seen: readonly Sighting[], now: number): void {
    const posted = this.#posted;
    this.#posted = new Map();
    // Of one that is seen in several ways the first counts: a connection that is still remembered elsewhere is no other visit.
    const all = new Map<ReplicaId, Sighting>();
    for (const one of [...seen, ...posted.values()]) if (!all.has(one.replica)) all.set(one.replica, one);
    for (const sighting of all.values()) {
      const before = this.#roster.get(sighting.replica);
      // As many as are kept: who comes beyond that is served, and not listed.
      if (before === undefined && this.#roster.present().length >= MEMBERS) continue;
      if (before?.state === 'left' && sighting.isHearsay && now - before.since < HEARSAY_NS) continue;
      this.#acknowledged(sighting);
      // A connection from which nothing more comes is silence too.
      const isNew = sighting.heard === undefined || before === undefined || sighting.heard > before.lastHeard;
      if (isNew) this.#heard(sighting, this.#options.settled(sighting.replica), sighting.heard ?? now);
    }
    this.#forget();
    for (const transition of this.#roster.tick(now)) this.#tell(transition);
  }

  /** Tells the tap who is there: whoever listens from now on has not heard it. */
  describe(): void {
    for (const presence of this.#roster.present()) this.#emit(presence, presence.state, 'as it is now');
  }

  members(now: number): Member[] {
    return this.#roster.all().map(({ replica, user, device, state, since, lastHeard, metadata, vector }) => {
      const ago = (time: number) => Math.max(0, Math.round((now - time) / 1e6));
      const entries = vector.entries().map((entry) => ({ replica: entry.replica, counter: entry.counter }));
      return { replica, user, device, state, since: ago(since), heard: ago(lastHeard), metadata, vector: entries };
    });
  }

  #acknowledged({ replica, agreed }: Sighting): void {
    if (agreed === undefined) return;
    for (const transition of this.#roster.media(replica, agreed)) this.#tell(transition);
  }

  #heard({ replica, visit, version, metadata, agreed }: Sighting, counter: number, now: number): void {
    const before = this.#activity.get(replica);
    const isBusy = before === undefined || counter !== before.counter;
    if (isBusy) this.#activity.set(replica, { counter, at: now });
    const isActive = isBusy || now - before.at < IDLE_AFTER_NS;
    const incarnation = this.#incarnation(replica, visit);
    const known = this.#roster.get(replica);
    const base = known?.incarnation === incarnation ? known.vector : VersionVector.empty;
    const vector = base.advance(this.#options.authority, version).advance(replica, counter);
    const transitions = this.#roster.heard(
      replica,
      {
        incarnation,
        // Nobody signs in here: a user is who a device says that it is.
        user: replica,
        device: replica,
        activity: isActive ? 'active' : 'idle',
        hasMedia: agreed !== undefined,
        metadata,
        vector,
      },
      now,
    );
    for (const transition of transitions) this.#tell(transition);
  }

  /** The lives of those that the roster has let go. */
  #forget(): void {
    if (this.#lives.size <= 2 * MEMBERS) return;
    for (const replica of this.#lives.keys()) if (!this.#roster.get(replica)) this.#lives.delete(replica);
  }

  #incarnation(replica: ReplicaId, visit: number | string): number {
    const life = this.#lives.get(replica);
    if (life?.visit === visit && this.#roster.get(replica)?.state !== 'left') return life.incarnation;
    const incarnation = (life?.incarnation ?? 0) + 1;
    this.#lives.set(replica, { visit, incarnation });
    return incarnation;
  }

  #tell({ presence, change, reason }: Transition): void {
    if (change === 'left') this.#activity.delete(presence.replica);
    this.#emit(presence, change, reason);
  }

  #emit({ replica, device }: Presence, state: Transition['change'], reason: string): void {
    const { tap, authority } = this.#options;
    if (!tap.isOpen) return;
    tap.emit(authority, { kind: 'presence', target: replica, device, state, detail: fitText(reason, 500) });
  }
}
