import { VersionVector } from '../clock/index.ts';
import { SyncError } from '../errors/index.ts';
import type { ReplicaId, SyncRecord } from '../state/index.ts';
import type { RosterStanding } from './standing.ts';
import { PRESENCE_DEFAULTS, type PresenceTimeouts } from './timeouts.ts';

/**
 * `active` and `idle` as it says itself. `problem`: it is heard, but its media stopped. `disconnected`: nothing was heard for too long.
 * `left`: it said goodbye, or was disconnected for too long.
 */
export type PresenceState = 'active' | 'idle' | 'problem' | 'disconnected' | 'left';

/** What a heartbeat says of its sender. */
export interface Beat {
  /** Rises with each life of the replica. */
  readonly incarnation: number;
  readonly user: string;
  readonly device: string;
  readonly activity: 'active' | 'idle' | 'left';
  readonly hasMedia: boolean;
  readonly metadata: SyncRecord;
  readonly vector: VersionVector;
}

/** One session: a user's device in one of its lives. */
export interface Presence {
  readonly replica: ReplicaId;
  readonly incarnation: number;
  readonly user: string;
  readonly device: string;
  readonly metadata: SyncRecord;
  /** What it had seen when it was last heard. */
  readonly vector: VersionVector;
  readonly state: PresenceState;
  /** Nanoseconds of our clock. */
  readonly since: number;
  readonly lastHeard: number;
}

/** Somebody's state changed; `joined` where there was none before, or a new life began. */
export interface Transition {
  readonly presence: Presence;
  readonly change: 'joined' | PresenceState;
  readonly reason: string;
}

interface Entry extends Presence {
  /** When media last came in, or was first promised; undefined where the sender says that it sends none. */
  readonly lastMedia: number | undefined;
  readonly activity: 'active' | 'idle';
}

export interface RosterOptions {
  readonly timeouts?: Partial<PresenceTimeouts>;
  /** What counts as media, for the reasons; `media` by default. */
  readonly media?: string;
  /** Replicas that are kept, those that left included; 10,000 by default. */
  readonly maxMembers?: number;
}

/**
 * Who is there, as one side sees it: sessions with their devices, metadata and version vectors. Time comes in with every call, in nanoseconds.
 *
 * Nobody stays for ever because a goodbye was lost: silence alone makes a replica `disconnected` and then `left`. And nobody comes back
 * because something arrived late: what an incarnation says after it has left is passed over, and only a later one joins again.
 */
export class PresenceRoster {
  readonly #timeouts: PresenceTimeouts;
  readonly #media: string;
  readonly #maxMembers: number;
  readonly #entries = new Map<ReplicaId, Entry>();

  constructor(options: RosterOptions = {}) {
    this.#timeouts = { ...PRESENCE_DEFAULTS, ...options.timeouts };
    this.#media = options.media ?? 'media';
    this.#maxMembers = options.maxMembers ?? 10_000;
  }

  /** All that it knows, in the order in which it got to know them. */
  get standing(): RosterStanding[] {
    return Array.from(this.#entries.values(), ({ lastMedia, vector, ...entry }) => ({
      ...entry,
      vector: vector.entries(),
      ...(lastMedia === undefined ? {} : { lastMedia }),
    }));
  }

  /** Goes on where another one was; for one that knows nobody. */
  resume(standing: readonly RosterStanding[]): void {
    for (const { vector, lastMedia, ...entry } of standing) {
      this.#entries.set(entry.replica, { ...entry, lastMedia, vector: VersionVector.from(vector) });
    }
  }

  /** Everybody known, those that left included, ascending by replica. */
  all(): Presence[] {
    return [...this.#entries.values()].sort((a, b) => (a.replica < b.replica ? -1 : 1));
  }

  /** Everybody who has not left. */
  present(): Presence[] {
    return this.all().filter(({ state }) => state !== 'left');
  }

  get(replica: ReplicaId): Presence | undefined {
    return this.#entries.get(replica);
  }

  /** The sessions of one user that have not left, over all devices. */
  ofUser(user: string): Presence[] {
    return this.present().filter((one) => one.user === user);
  }

  /**
   * A heartbeat came in. Answers what it changed.
   * @throws SyncError `PRESENCE_FULL` where no more members are kept; nothing changed
   */
  heard(replica: ReplicaId, beat: Beat, now: number): Transition[] {
    const before = this.#entries.get(replica);
    if (before && beat.incarnation < before.incarnation) return [];
    const isNew = before === undefined || beat.incarnation > before.incarnation;
    if (!isNew && before.state === 'left') return [];
    if (before === undefined) this.#makeRoom(replica);
    if (beat.activity === 'left') return this.#goodbye(replica, beat, isNew, now);
    const activity = beat.activity;
    // Media is missed only while its sender says that it sends some, and counted from when it first said so.
    const lastMedia = beat.hasMedia ? ((isNew ? undefined : before?.lastMedia) ?? now) : undefined;
    const state = this.#stateOf(activity, lastMedia, now);
    const { incarnation, user, device, metadata, vector } = beat;
    const since = !isNew && before?.state === state ? before.since : now;
    const entry: Entry = {
      replica,
      incarnation,
      user,
      device,
      metadata,
      vector: isNew || !before ? vector : before.vector.merge(vector),
      state,
      since,
      lastHeard: now,
      lastMedia,
      activity,
    };
    this.#entries.set(replica, entry);
    if (isNew) return [{ presence: entry, change: 'joined', reason: before ? 'it came back' : '' }];
    if (before.state === state) return [];
    const isBack = before.state === 'disconnected';
    const reason = state === 'problem' ? this.#withoutMedia(now - lastMedia!) : isBack ? 'it is heard again' : '';
    return [{ presence: entry, change: state, reason }];
  }

  /** Media of a replica came in, beside its heartbeats. What is told late, or again, changes nothing. */
  media(replica: ReplicaId, now: number): Transition[] {
    const before = this.#entries.get(replica);
    if (before?.lastMedia === undefined || now <= before.lastMedia) return [];
    const state = before.state === 'problem' ? before.activity : before.state;
    const entry: Entry = { ...before, state, lastMedia: now, ...(state === before.state ? {} : { since: now }) };
    this.#entries.set(replica, entry);
    return state === before.state ? [] : [{ presence: entry, change: state, reason: `${this.#media} again` }];
  }

  /** Carries out what is due. */
  tick(now: number): Transition[] {
    const transitions: Transition[] = [];
    for (const entry of this.#entries.values()) {
      const due = this.#due(entry, now);
      if (!due) continue;
      const after: Entry = { ...entry, state: due.state, since: now };
      this.#entries.set(entry.replica, after);
      transitions.push({ presence: after, change: due.state, reason: due.reason });
    }
    return transitions;
  }

  #due(entry: Entry, now: number): { readonly state: PresenceState; readonly reason: string } | undefined {
    const { disconnectAfter, leaveAfter, mediaTimeout } = this.#timeouts;
    const silent = now - entry.lastHeard;
    switch (entry.state) {
      case 'left':
        return undefined;
      case 'disconnected':
        return silent >= disconnectAfter + leaveAfter
          ? { state: 'left', reason: `silent for ${seconds(silent)}` }
          : undefined;
      default:
        if (silent >= disconnectAfter)
          return { state: 'disconnected', reason: `nothing was heard for ${seconds(silent)}` };
        return entry.state !== 'problem' && entry.lastMedia !== undefined && now - entry.lastMedia >= mediaTimeout
          ? { state: 'problem', reason: this.#withoutMedia(now - entry.lastMedia) }
          : undefined;
    }
  }

  #stateOf(activity: 'active' | 'idle', lastMedia: number | undefined, now: number): PresenceState {
    return lastMedia !== undefined && now - lastMedia >= this.#timeouts.mediaTimeout ? 'problem' : activity;
  }

  #withoutMedia(time: number): string {
    return `no ${this.#media} for ${seconds(time)}`;
  }

  #goodbye(replica: ReplicaId, beat: Beat, isNew: boolean, now: number): Transition[] {
    const before = this.#entries.get(replica);
    const { incarnation, user, device, metadata, vector } = beat;
    const entry: Entry = {
      replica,
      incarnation,
      user,
      device,
      metadata,
      vector,
      state: 'left',
      since: now,
      lastHeard: now,
      lastMedia: undefined,
      activity: before?.activity ?? 'active',
    };
    this.#entries.set(replica, entry);
    // Who comes and goes between two heartbeats was never here.
    return isNew && (before === undefined || before.state === 'left')
      ? []
      : [{ presence: entry, change: 'left', reason: 'it said goodbye' }];
  }

  /** Those that left longest ago make room; who is here never does. */
  #makeRoom(replica: ReplicaId): void {
    if (this.#entries.size < this.#maxMembers) return;
    let oldest: Entry | undefined;
    for (const entry of this.#entries.values()) {
      if (entry.state === 'left' && (oldest === undefined || entry.since < oldest.since)) oldest = entry;
    }
    if (oldest === undefined) {
      throw new SyncError(
        'PRESENCE_FULL',
        `${replica} is not taken in: ${this.#maxMembers} replicas are here already; raise maxMembers`,
        { origin: 'protocol', retry: 'backoff' },
      );
    }
    this.#entries.delete(oldest.replica);
  }
}

function seconds(nanoseconds: number): string {
  return `${Math.round(nanoseconds / 100_000_000) / 10} s`;
}
