import { isCanonical, ownCopy } from '../bytes/index.ts';
import { SyncError } from '../errors/index.ts';
import type { StateRoot } from '../merkle/index.ts';
import { FEATURES, type Feature, OWN_PROTOCOLS, type ProtocolRange } from '../messages/index.ts';
import { fitText } from '../schema/index.ts';
import type { ReplicaId, Value, Version } from '../state/index.ts';
import { closedTap, type MutationId, type Tap } from '../trace/index.ts';
import { AuthorityState } from './authority-state.ts';
import { healthBody } from './client-health.ts';
import { type ClientPresent, type ClientSyncState, clientPresent, clientSyncState } from './client-sync-state.ts';
import { Connections, linkDecoder } from './connections.ts';
import { DeltaSynchronizer } from './delta-synchronizer.ts';
import { Handshake } from './handshake.ts';
import { Incoming, LOG_BEHIND } from './incoming.ts';
import { type SyncManagerOptions, type SyncStats, settingsOf } from './manager-options.ts';
import { type LinkId, Outbox, type Outgoing } from './outbox.ts';
import { PostedMutations } from './posted.ts';
import { type AuthorityReceipt, ReceiptBook } from './receipts.ts';
import { healthInterval, type SyncSettings } from './settings.ts';
import type { Moment, Settlement, SyncPoint } from './settlement.ts';
import { SettlementNews } from './settlement-news.ts';
import type { AuthorityStanding } from './standing.ts';

/**
 * The authority of a session: owns the state, decides on mutations, and keeps every client in step with deltas,
 * full syncs and Merkle repairs. A state machine: the driver carries frames in and `Outgoing` out and calls
 * {@link tick}, at best several times a sync interval.
 */
export class SyncManager {
  readonly replica: ReplicaId;
  readonly session: string;
  /** For mutations that come by another way than a link, such as those of a device that was offline. */
  readonly posted: PostedMutations;
  readonly #tap: Tap;
  readonly #options: SyncManagerOptions;
  readonly #settings: SyncSettings;
  readonly #features: readonly Feature[];
  readonly #protocols: ProtocolRange;
  readonly #state: AuthorityState;
  readonly #outbox: Outbox;
  readonly #connections: Connections;
  readonly #handshake: Handshake;
  readonly #incoming: Incoming;
  readonly #news: SettlementNews;
  readonly #synchronizer: DeltaSynchronizer;
  readonly #receipts: ReceiptBook;
  readonly #onDurable: ((time: number) => void) | undefined;
  readonly #start: number;
  /** The last time that the driver has told. */
  #now: number;
  #nextSync: number;
  #nextSnapshot: number;
  #nextHealth: number;
  #snapshotVersion: Version = 0;
  #hasFailed = false;
  /** What the last round has told, and whether it has left somebody out who is to be told more. */
  #told: SyncPoint = { version: 0, progress: 0 };
  #isDue = false;
  #onDue: (() => void) | undefined;

  /** @throws SyncError where the log does not come to a state, as `rehydrate` says it; RangeError for a setting that is none */
  constructor(options: SyncManagerOptions) {
    this.replica = options.replica;
    this.session = options.session;
    this.#tap = options.tap ?? closedTap;
    this.#settings = settingsOf(options);
    this.#features = options.features ?? FEATURES;
    this.#protocols = options.protocols ?? OWN_PROTOCOLS;
    const { definition, random, log, verifyReducer, incarnation, resume } = options;
    this.#options = options;
    this.#state = new AuthorityState(definition, this.replica, random, this.#tap, this.#settings, {
      log,
      verifyReducer,
      incarnation,
      resume: resume && { root: resume.root, standing: resume.standing.state },
    });
    this.#outbox = new Outbox(
      options.replica,
      this.#tap,
      () => this.#connections.list,
      options.definition.view !== undefined,
    );
    this.#connections = new Connections(this.replica, this.#outbox, this.#tap);
    this.#receipts = new ReceiptBook(this.replica, this.#settings.receipts, this.#settings.maxWriters);
    this.#synchronizer = new DeltaSynchronizer(
      this.#state,
      this.#outbox,
      this.#receipts,
      this.replica,
      this.#tap,
      this.#settings,
      options.metrics,
    );
    this.#news = new SettlementNews(this.#state, this.#connections, this.#outbox, this.#receipts);
    const moment = (seen: Version, now: number): Moment => this.#moment(seen, now);
    const parts = {
      session: options.session,
      replica: options.replica,
      features: this.#features,
      protocols: this.#protocols,
      settings: this.#settings,
      state: this.#state,
      connections: this.#connections,
      synchronizer: this.#synchronizer,
      outbox: this.#outbox,
      tap: this.#tap,
      moment,
    };
    this.#handshake = new Handshake({ ...parts, authorize: options.authorize ?? (() => true) });
    this.#incoming = new Incoming({
      ...parts,
      handshake: this.#handshake,
      followLog: (now) => this.#followLog(now),
      goodbye: (replica, now) => options.onGoodbye?.(replica, now),
    });
    this.posted = new PostedMutations({
      state: this.#state,
      session: options.session,
      authority: options.replica,
      maxWriters: this.#settings.maxWriters,
      moment,
      follow: (now) => {
        this.#followLog(now);
        this.#tellDue();
      },
    });
    this.#onDurable = options.onDurable;
    this.#start = resume?.standing.start ?? options.now;
    this.#now = options.now;
    this.#nextSync = options.now;
    this.#nextSnapshot = options.now;
    this.#nextHealth = options.now;
    if (resume) this.#resume(resume.standing);
    else if (this.#tap.isOpen) this.describe();
  }

  /**
   * All that it holds beside the state, as data from which another one goes on; undefined where that cannot be said now: after a failure, or while a
   * client descends against a state that is no longer kept; and where other authorities share its log, while anything is on its way into it or out of it, or
   * somebody who came from another waits for it.
   */
  get standing(): AuthorityStanding | undefined {
    if (this.#hasFailed || !this.#state.canStand) return undefined;
    const links: AuthorityStanding['links'] = [];
    for (const { id, since, lastSequence, decoder, client, ahead } of this.#connections.links.values()) {
      if (ahead) return undefined;
      const served = client && this.#synchronizer.standingOf(client);
      if (client && !served) return undefined;
      links.push({ id, since, lastSequence, names: decoder.names.slice(0), client: served ?? null });
    }
    const { definition, verifyReducer = false } = this.#options;
    const { start, nextSync, nextSnapshot, nextHealth } = {
      start: this.#start,
      nextSync: this.#nextSync,
      nextSnapshot: this.#nextSnapshot,
      nextHealth: this.#nextHealth,
    };
    return {
      session: this.session,
      settings: { ...this.#settings },
      features: [...this.#features],
      protocols: this.#protocols,
      verifiesReducer: verifyReducer,
      groups: (definition.groups ?? []).map(({ collection, fields }) => ({ collection, fields: [...fields] })),
      hasViews: definition.view !== undefined,
      ...{ start, now: this.#now, nextSync, nextSnapshot, nextHealth, snapshotVersion: this.#snapshotVersion },
      encoder: this.#outbox.standing,
      state: this.#state.standing,
      durability: this.#options.log?.durability ?? null,
      ...(this.#state.isShared ? { isShared: true } : {}),
      links,
      clients: this.#connections.list.map(({ link }) => link),
    };
  }

  #resume(standing: AuthorityStanding): void {
    this.#now = standing.now;
    this.#nextSync = standing.nextSync;
    this.#nextSnapshot = standing.nextSnapshot;
    this.#nextHealth = standing.nextHealth ?? standing.now;
    this.#snapshotVersion = standing.snapshotVersion;
    this.#outbox.resume(standing.encoder);
    for (const { id, since, lastSequence, names, client } of standing.links) {
      const decoder = linkDecoder(this.#protocols);
      decoder.resume(names);
      const served = client ? this.#synchronizer.resumed(id, client) : undefined;
      this.#connections.links.set(id, { id, since, decoder, lastSequence, client: served });
    }
    for (const id of standing.clients) {
      const client = this.#connections.links.get(id)?.client;
      if (client) this.#connections.admit(client);
    }
  }

  get version(): Version {
    return this.#state.version;
  }

  get root(): StateRoot {
    return this.#state.root;
  }

  get vector(): ReturnType<AuthorityState['ledger']['entriesSince']> {
    return this.#state.ledger.entriesSince(0);
  }

  /** Why nothing can be settled any more; undefined while the session lives. */
  get failure(): SyncError | undefined {
    return this.#state.failure;
  }

  /** Whether all that was decided is durable and may be told. */
  get isSettled(): boolean {
    return this.#state.isSettled;
  }

  get stats(): SyncStats {
    return {
      ...this.#synchronizer.totals,
      ...this.#news.totals,
      ...this.#connections.totals,
      passedOver: this.#incoming.passedOver,
      bytes: this.#outbox.bytes,
    };
  }

  /** Who is connected. */
  get connected(): ReplicaId[] {
    return [...this.#connections.clients.keys()];
  }

  /** Of each who is connected, what is known without looking closer. */
  get present(): ClientPresent[] {
    return this.#connections.list.map(clientPresent);
  }

  get clients(): ClientSyncState[] {
    return this.#connections.list.map((client) => clientSyncState(client, this.version, this.#now));
  }

  /**
   * When {@link tick} has news to send, in nanoseconds: at the next round, which may be over already, or never as it stands. Whatever else a tick
   * does has time, and is well looked after a few times a second.
   */
  get due(): number {
    if (this.#connections.clients.size === 0) return Number.POSITIVE_INFINITY;
    const { version, ledger } = this.#state;
    const { version: toldVersion, progress } = this.#told;
    const isNew = this.#isDue || version !== toldVersion || ledger.progress !== progress;
    return isNew ? this.#nextSync : Number.POSITIVE_INFINITY;
  }

  /** Calls `listener` when {@link due} may have come closer by something else than a frame or a tick. There is one. */
  onDue(listener: () => void): void {
    this.#onDue = listener;
  }

  /** Who a link is, once its HELLO was accepted. */
  replicaOf(link: LinkId): ReplicaId | undefined {
    return this.#connections.links.get(link)?.client?.replica;
  }

  /** What is known of the last mutations, as many as the setting `receipts` says. Oldest first. */
  get receipts(): AuthorityReceipt[] {
    return this.#receipts.list();
  }

  /** What is known of one mutation; undefined where it never came, or too long ago. */
  receipt(mutation: MutationId): AuthorityReceipt | undefined {
    return this.#receipts.get(mutation);
  }

  /** Emits who is here, all names, the state, the vector and the hash, so that a capture that starts now is complete. */
  describe(): void {
    if (!this.#tap.isOpen) return;
    const emit = this.#tap.emit.bind(this.#tap, this.replica);
    emit({ kind: 'replica', role: 'server' });
    for (const client of this.#connections.list) {
      this.#tap.emit(client.replica, { kind: 'replica', role: 'client' });
      this.#synchronizer.describeView(client);
    }
    this.#outbox.describe();
    for (const { client, decoder } of this.#connections.links.values()) {
      if (!client || decoder.names.length === 0) continue;
      emit({ kind: 'names', sender: client.replica, first: 0, names: decoder.names.slice(0) });
    }
    this.#traceSnapshot('attach');
    emit({ kind: 'vector', vector: this.vector });
    for (const { health, replica, version } of this.clients) {
      if (health.progress === 'stalled') emit(healthBody(replica, version, health));
    }
    emit({ kind: 'hash', version: this.version, own: this.root.hash });
  }

  /** A connection was opened. It is nobody's until its HELLO. */
  connect(link: LinkId, now: number): void {
    this.#connections.open(link, this.#protocols, now);
    const { failure } = this.#state;
    if (failure) this.#connections.refuse(link, failure, []);
    // As many again may be on their way in.
    else if (this.#connections.links.size > this.#settings.maxClients * 2) {
      this.#connections.refuse(
        link,
        new SyncError('SERVER_FULL', 'too many connections', { origin: 'protocol', retry: 'backoff' }),
        [],
      );
    }
  }

  /** A connection was closed by the other side, or for a reason of the driver's. */
  disconnect(link: LinkId, reason: string, _now: number): void {
    this.#connections.gone(link, reason);
  }

  /** As {@link tick}, and sends what is new without waiting for the next round. */
  flush(now: number): Outgoing[] {
    this.#nextSync = now;
    return this.tick(now);
  }

  /**
   * Ends the session here: says why to every client and closes every link. `reconnect`: nanoseconds after which they may come back, here or to
   * another server of the session; where absent, it is over.
   */
  stop(reason: string, reconnect?: number): Outgoing[] {
    const hint = reconnect === undefined ? {} : { reconnect };
    this.#outbox.send(this.#connections.list, { type: 'BYE', reason: fitText(reason, 500), ...hint }, []);
    for (const { id } of [...this.#connections.links.values()]) this.#connections.close(id, reason);
    return this.#outbox.drain();
  }

  /** A frame arrived. A frame that is refused changes nothing. */
  receive(link: LinkId, frame: Uint8Array, now: number): Outgoing[] {
    this.#now = now;
    this.#followLog(now);
    const from = this.#connections.links.get(link);
    try {
      if (from) this.#incoming.receive(from, frame, now);
      else this.#outbox.close(link, 'this connection is closed');
    } catch (error) {
      if (error !== this.#state.failure) throw error;
      this.#followLog(now);
    }
    const client = from?.client;
    if (client && this.#synchronizer.isNeeded(client)) this.#isDue = true;
    return this.#outbox.drain();
  }

  /**
   * The driver says how many bytes wait in a link, at best before each {@link tick}. A slow link gets no more state until it has room,
   * and no events meanwhile. A driver that never says this has no slow links.
   */
  queued(link: LinkId, bytes: number, now: number): void {
    if (!Number.isSafeInteger(bytes) || bytes < 0)
      throw new RangeError(`bytes are a non-negative integer, not ${bytes}`);
    this.#connections.links.get(link)?.client?.queue.told(bytes, now);
  }

  /**
   * A mutation of the authority's own. Its events and delta go out with the next {@link tick}, where it is durable by then.
   * @throws SyncError `LOG_BEHIND` where too much waits for the log; why the log takes nothing any more
   */
  mutate(command: string, args: Value, now: number): Settlement {
    this.#followLog(now);
    const { failure, isBehind } = this.#state;
    if (failure) throw failure;
    if (isBehind) throw new SyncError('LOG_BEHIND', LOG_BEHIND, { origin: 'state', retry: 'backoff' });
    const moment = this.#moment(this.version, now);
    const settlement = this.#state.commit(
      command,
      isCanonical(args) ? ownCopy(args) : args,
      this.replica,
      this.#state.decided(this.replica) + 1,
      [],
      moment,
    );
    this.#followLog(now);
    this.#tellDue();
    return settlement;
  }

  /** Carries out what is due and answers what to send. */
  tick(now: number): Outgoing[] {
    this.#now = now;
    this.#followLog(now);
    this.#connections.refuseSilent(this.#settings.helloTimeout, now);
    if (this.#connections.followQueues(now)) this.#isDue = true;
    if (now >= this.#nextHealth) {
      this.#nextHealth = nextTime(this.#nextHealth, healthInterval(this.#settings), now);
      this.#synchronizer.followHealth(this.#connections.list, now);
    }
    if (now >= this.#nextSync) {
      this.#nextSync = nextTime(this.#nextSync, this.#settings.syncInterval, now);
      if (this.#connections.clients.size > 0) this.#state.endRound();
      this.#synchronizer.sync(this.#connections.list, now);
      this.#told = this.#state.point;
      this.#isDue = false;
    }
    if (now >= this.#nextSnapshot) {
      this.#nextSnapshot = nextTime(this.#nextSnapshot, this.#settings.snapshotInterval, now);
      this.#state.keepPeriodic();
      if (this.#tap.isOpen && this.#snapshotVersion !== this.version) this.#traceSnapshot('periodic');
    }
    return this.#outbox.drain();
  }

  #tellDue(): void {
    if (this.#onDue && this.due < Number.POSITIVE_INFINITY) this.#onDue();
  }

  #moment(seen: Version, now: number): Moment {
    return { time: this.#state.startTime + Math.max(0, now - this.#start), seen };
  }

  /** Tells what has become durable. Where the log takes nothing any more, everybody is sent away: nothing more can be promised. */
  #followLog(now: number): void {
    this.#state.publishDurable();
    for (const settled of this.#state.takeSettled()) {
      this.#onDurable?.(Math.max(0, this.#moment(0, now).time - settled.time));
      this.#news.tell(settled, now);
    }
    for (const mutation of this.#state.takeGivenUp()) this.#news.tellGivenUp(mutation);
    this.#handshake.greetAgain(now);
    const { failure } = this.#state;
    if (!failure || this.#hasFailed) return;
    this.#hasFailed = true;
    this.#connections.log('error', failure.message, []);
    for (const { id } of [...this.#connections.links.values()]) this.#connections.refuse(id, failure, []);
  }

  // — traces —

  #traceSnapshot(reason: 'attach' | 'periodic'): void {
    if (reason === 'periodic') this.#state.tellRoot();
    else this.#state.rootTold();
    this.#snapshotVersion = this.version;
    const { version, records, root, vector } = this.#state.fullSync(this.replica);
    this.#tap.emit(this.replica, { kind: 'snapshot', reason, version, records, root, vector });
  }
}

/** The next multiple of `interval` after `last`; from `now` on where some were missed. */
function nextTime(last: number, interval: number, now: number): number {
  return last + interval > now ? last + interval : now + interval;
}
