import { type VersionVector, vectorFromOutside } from '../clock/index.ts';
import { SyncError } from '../errors/index.ts';
import type { BodyOf, MessageOf } from '../messages/index.ts';
import type { SyncMetrics } from '../ports/index.ts';
import { fitText } from '../schema/index.ts';
import type { ReplicaId, SyncRecord } from '../state/index.ts';
import { closedTap, type Tap } from '../trace/index.ts';
import { type Reconciliation, type Standing, standingNow, standingOf, type ToPeer } from './exchange.ts';
import { Reconciler } from './reconciler.ts';
import { PresenceRoster, type Transition } from './roster.ts';
import type { SharedState } from './shared-state.ts';
import type { HeartbeatsStanding } from './standing.ts';
import { PRESENCE_DEFAULTS, type PresenceTimeouts } from './timeouts.ts';

export interface HeartbeatsOptions {
  readonly replica: ReplicaId;
  readonly state: SharedState;
  /** Rises with each life of the replica, such as its start in milliseconds since 1970. */
  readonly incarnation: number;
  readonly user?: string;
  readonly device?: string;
  readonly metadata?: SyncRecord;
  readonly timeouts?: Partial<PresenceTimeouts>;
  readonly tap?: Tap;
  readonly maxMembers?: number;
  /** Reconciliations that are kept to be asked about; 100 by default. */
  readonly reports?: number;
  /** Told how exchanges ended. */
  readonly metrics?: SyncMetrics;
}

/** Messages of the exchange between two replicas; all others are somebody else's. */
export type HeartbeatMessage = MessageOf<'PRESENCE' | 'RECONCILE' | 'MERKLE_QUERY' | 'MERKLE_ANSWER'>;

/**
 * Heartbeats with a checksum among replicas without an authority. Each says at intervals who it is, what it has seen and the hash
 * of what it holds. Where hashes differ although both have seen the same, or for longer than anything is on its way, the two
 * come to terms: each states its version, vector and hash, one of them finds the difference by a Merkle descent, both join it, and
 * both keep a {@link Reconciliation} that says afterwards what differed and who had written it. Of two that claim at once, the one whose
 * id sorts first goes on.
 *
 * Times in nanoseconds come in with each call; what is to be sent goes out.
 */
export class Heartbeats {
  readonly replica: ReplicaId;
  readonly roster: PresenceRoster;
  activity: 'active' | 'idle' = 'active';
  hasMedia = false;
  metadata: SyncRecord;
  readonly #options: HeartbeatsOptions;
  readonly #state: SharedState;
  readonly #timeouts: PresenceTimeouts;
  readonly #tap: Tap;
  readonly #peers = new Set<ReplicaId>();
  readonly #reconciler: Reconciler;
  /** Since when a peer's hash has been another. */
  readonly #differingSince = new Map<ReplicaId, number>();
  #nextBeat = 0;
  #hasLeft = false;

  constructor(options: HeartbeatsOptions) {
    this.replica = options.replica;
    this.metadata = options.metadata ?? {};
    this.#options = options;
    this.#state = options.state;
    this.#timeouts = { ...PRESENCE_DEFAULTS, ...options.timeouts };
    this.#tap = options.tap ?? closedTap;
    this.#reconciler = new Reconciler({
      replica: options.replica,
      state: options.state,
      tap: this.#tap,
      exchangeTimeout: this.#timeouts.exchangeTimeout,
      reports: options.reports ?? 100,
      onAgreed: (peer) => this.#differingSince.delete(peer),
      ...(options.metrics ? { metrics: options.metrics } : {}),
    });
    this.roster = new PresenceRoster({
      timeouts: this.#timeouts,
      ...(options.maxMembers === undefined ? {} : { maxMembers: options.maxMembers }),
    });
  }

  /** How differences with others were settled, oldest first; the last {@link HeartbeatsOptions.reports}. */
  get reports(): readonly Reconciliation[] {
    return this.#reconciler.reports;
  }

  /** Where it is, for others to {@link resume} from; undefined in the middle of an exchange, and once it has left. */
  get standing(): HeartbeatsStanding | undefined {
    const lastExchange = this.#reconciler.standing;
    if (lastExchange === undefined || this.#hasLeft) return undefined;
    const { activity, hasMedia, metadata } = this;
    return {
      activity,
      hasMedia,
      metadata,
      peers: [...this.#peers],
      differing: Array.from(this.#differingSince, ([replica, since]) => ({ replica, since })),
      nextBeat: this.#nextBeat,
      lastExchange,
      roster: this.roster.standing,
    };
  }

  /** Goes on where others were; for heartbeats that have not begun. */
  resume({ activity, hasMedia, metadata, peers, differing, nextBeat, lastExchange, roster }: HeartbeatsStanding): void {
    Object.assign(this, { activity, hasMedia, metadata });
    for (const peer of peers) this.#peers.add(peer);
    for (const { replica, since } of differing) this.#differingSince.set(replica, since);
    this.#nextBeat = nextBeat;
    this.#reconciler.resume(lastExchange);
    this.roster.resume(roster);
  }

  /** A way to a peer is open: it gets a heartbeat at once. */
  connect(peer: ReplicaId, now: number): ToPeer[] {
    this.#peers.add(peer);
    this.#nextBeat = Math.max(this.#nextBeat, now);
    return [this.#beat(peer, this.activity)];
  }

  /** A way to a peer is closed. It counts as there until it was silent for too long: it may come another way. */
  disconnect(peer: ReplicaId, now: number): void {
    this.#peers.delete(peer);
    this.#reconciler.giveUp(peer, 'timed out', now);
  }

  /** Says goodbye to everybody. What comes in later changes nothing. */
  leave(now: number): ToPeer[] {
    this.#hasLeft = true;
    this.#reconciler.end(now);
    return [...this.#peers].map((peer) => this.#beat(peer, 'left'));
  }

  /** Media of a peer came in. */
  media(peer: ReplicaId, now: number): Transition[] {
    return this.#told(this.roster.media(peer, now));
  }

  /**
   * A message of a peer came in; `cause` is the `seq` of its receipt.
   * @throws SyncError `PRESENCE_FOREIGN` where it speaks for somebody else's link, `PRESENCE_FULL`, `VECTOR_INVALID`, `EXCHANGE_UNKNOWN`,
   *   `MERKLE_UNVERIFIED`, or what the state's join throws; nothing was taken in then
   */
  receive(peer: ReplicaId, message: HeartbeatMessage, now: number, cause = 0): ToPeer[] {
    if (message.sender !== peer) {
      throw new SyncError('PRESENCE_FOREIGN', `a ${message.type} of ${message.sender} came from ${peer}`, {
        origin: 'protocol',
      });
    }
    if (this.#hasLeft) return [];
    switch (message.type) {
      case 'PRESENCE':
        return this.#onPresence(peer, message, now, cause);
      case 'RECONCILE':
        return this.#reconciler.onReconcile(peer, message, now, cause);
      case 'MERKLE_QUERY':
        return this.#reconciler.onQuery(peer, message, now, cause);
      case 'MERKLE_ANSWER':
        return this.#reconciler.onAnswer(peer, message, now, cause);
    }
  }

  /** Carries out what is due: heartbeats, timeouts of peers, exchanges that got no answer. */
  tick(now: number): { readonly outgoing: ToPeer[]; readonly transitions: Transition[] } {
    if (this.#hasLeft) return { outgoing: [], transitions: [] };
    const transitions = this.#told(this.roster.tick(now));
    for (const { presence, change } of transitions) {
      if (change === 'disconnected' || change === 'left') this.#reconciler.giveUp(presence.replica, 'timed out', now);
    }
    this.#reconciler.tick(now);
    if (now < this.#nextBeat) return { outgoing: [], transitions };
    this.#nextBeat = now + this.#timeouts.heartbeatInterval;
    return { outgoing: [...this.#peers].map((peer) => this.#beat(peer, this.activity)), transitions };
  }

  // — heartbeats —

  #beat(to: ReplicaId, activity: 'active' | 'idle' | 'left'): ToPeer {
    const { incarnation, user = '', device = '' } = this.#options;
    const standing = standingNow(this.#state);
    const cause = this.#tap.isOpen
      ? this.#tap.emit(this.replica, { kind: 'hash', version: standing.version, own: standing.root })
      : 0;
    const body: BodyOf<'PRESENCE'> = {
      type: 'PRESENCE',
      incarnation,
      user,
      device,
      activity,
      hasMedia: this.hasMedia,
      metadata: this.metadata,
      ...standing,
      vector: [...standing.vector],
    };
    return { to, body, cause: [cause] };
  }

  #onPresence(peer: ReplicaId, message: MessageOf<'PRESENCE'>, now: number, cause: number): ToPeer[] {
    const { incarnation, user, device, activity, hasMedia, metadata } = message;
    const vector = vectorFromOutside(message.vector);
    const before = this.roster.get(peer);
    const beat = { incarnation, user, device, activity, hasMedia, metadata, vector };
    const transitions = this.#told(this.roster.heard(peer, beat, now), cause);
    const after = this.roster.get(peer);
    const isCurrent = after !== undefined && after.incarnation === incarnation && after.state !== 'left';
    if (!isCurrent) {
      if (transitions.length > 0) this.#reconciler.giveUp(peer, 'timed out', now);
      return [];
    }
    // What an earlier life had begun, its successor knows nothing of.
    if (before && before.incarnation < incarnation) this.#reconciler.giveUp(peer, 'timed out', now);
    return this.#compare(peer, standingOf(message), vector, now, cause);
  }

  #compare(peer: ReplicaId, theirs: Standing, vector: VersionVector, now: number, receipt: number): ToPeer[] {
    const own = standingNow(this.#state);
    const agrees = own.root === theirs.root;
    const order = this.#state.vector.compare(vector);
    const cause = this.#tap.isOpen
      ? this.#tap.emit(
          this.replica,
          {
            kind: 'hash',
            version: own.version,
            own: own.root,
            // Hashes of states that have seen different things say nothing about each other.
            ...(agrees || order === 'equal' ? { reference: theirs.root, agrees } : {}),
          },
          [receipt],
        )
      : 0;
    if (agrees) {
      this.#differingSince.delete(peer);
      // Whoever has the same state lacks nothing of what went into it, though an operation that a later one covers never came.
      if (order === 'before' || order === 'concurrent') this.#state.join([], vector, [cause]);
      return [];
    }
    const since = this.#differingSince.get(peer) ?? now;
    this.#differingSince.set(peer, since);
    const isOverdue = order === 'equal' || now - since >= this.#timeouts.differenceGrace;
    if (!isOverdue || this.#reconciler.has(peer)) return [];
    return this.#reconciler.claim(peer, own, theirs, now, cause);
  }

  #told(transitions: Transition[], cause = 0): Transition[] {
    if (!this.#tap.isOpen) return transitions;
    for (const { presence, change, reason } of transitions) {
      this.#tap.emit(
        this.replica,
        {
          kind: 'presence',
          target: presence.replica,
          device: fitText(presence.device, 200),
          state: change,
          detail: fitText(reason, 500),
        },
        [cause],
      );
    }
    return transitions;
  }
}
