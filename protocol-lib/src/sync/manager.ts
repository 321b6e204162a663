import { isSyncError, SyncError } from '../errors/index.ts';
import type { StateRoot } from '../merkle/index.ts';
import {
  FEATURES,
  type Feature,
  FrameDecoder,
  type Message,
  type MessageOf,
  negotiateFeatures,
  negotiateProtocol,
  OWN_PROTOCOLS,
  type ProtocolRange,
} from '../messages/index.ts';
import { fitText } from '../schema/index.ts';
import type { ReplicaId, Value, Version } from '../state/index.ts';
import { closedTap, type MutationId, type Tap } from '../trace/index.ts';
import {
  AuthorityState,
  type Moment,
  type Settled,
  type Settlement,
  type SyncPoint,
  shortEvent,
} from './authority-state.ts';
import { healthBody } from './client-health.ts';
import { type ClientSyncState, clientSyncState } from './client-sync-state.ts';
import { type Client, DeltaSynchronizer } from './delta-synchronizer.ts';
import { LinkQueue } from './link-queue.ts';
import { type SyncManagerOptions, type SyncStats, settingsOf } from './manager-options.ts';
import { type LinkId, Outbox, type Outgoing, STRANGER } from './outbox.ts';
import { PostedMutations } from './posted.ts';
import { type AuthorityReceipt, ReceiptBook } from './receipts.ts';
import type { DomainEvent } from './session.ts';
import { acknowledgeRule, type SyncSettings } from './settings.ts';
import type { AuthorityStanding } from './standing.ts';
import { hears } from './views.ts';

interface Link {
  readonly id: LinkId;
  readonly since: number;
  readonly decoder: FrameDecoder;
  lastSequence: number;
  client: Client | undefined;
  /** A HELLO of somebody who knows more than is known here, until the log has told it. */
  ahead?: { readonly hello: MessageOf<'HELLO'>; readonly seq: number } | undefined;
}

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
  readonly #authorize: (token: string, replica: ReplicaId) => boolean;
  readonly #state: AuthorityState;
  readonly #outbox: Outbox;
  readonly #links = new Map<LinkId, Link>();
  /** Links of which a HELLO waits. */
  readonly #ahead = new Set<Link>();
  readonly #clients = new Map<ReplicaId, Client>();
  readonly #synchronizer: DeltaSynchronizer;
  readonly #receipts: ReceiptBook;
  readonly #totals = { commits: 0, rejections: 0, refused: 0, passedOver: 0, tooSlow: 0 };
  readonly #onDurable: ((time: number) => void) | undefined;
  readonly #onGoodbye: SyncManagerOptions['onGoodbye'];
  readonly #start: number;
  /** The last time that the driver has told. */
  #now: number;
  #nextSync: number;
  #nextSnapshot: number;
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
    this.#authorize = options.authorize ?? (() => true);
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
      () => this.#clients.values(),
      options.definition.view !== undefined,
    );
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
    this.posted = new PostedMutations({
      state: this.#state,
      session: options.session,
      authority: options.replica,
      maxWriters: this.#settings.maxWriters,
      moment: (seen, now) => this.#moment(seen, now),
      follow: (now) => {
        this.#followLog(now);
        this.#tellDue();
      },
    });
    this.#onDurable = options.onDurable;
    this.#onGoodbye = options.onGoodbye;
    this.#start = resume?.standing.start ?? options.now;
    this.#now = options.now;
    this.#nextSync = options.now;
    this.#nextSnapshot = options.now;
    if (resume) this.#resume(resume.standing);
    else if (this.#tap.isOpen) this.describe();
  }

  /**
   * All that it holds beside the state, as data from which another one goes on; undefined where that cannot be said now: after a failure, or while a
   * client descends against a state that is no longer kept. Never where other authorities share its log.
   */
  get standing(): AuthorityStanding | undefined {
    if (this.#hasFailed || this.#state.isShared) return undefined;
    const links: AuthorityStanding['links'] = [];
    for (const { id, since, lastSequence, decoder, client } of this.#links.values()) {
      const served = client && this.#synchronizer.standingOf(client);
      if (client && !served) return undefined;
      links.push({ id, since, lastSequence, names: decoder.names.slice(0), client: served ?? null });
    }
    const { definition, verifyReducer = false } = this.#options;
    const { start, nextSync, nextSnapshot } = {
      start: this.#start,
      nextSync: this.#nextSync,
      nextSnapshot: this.#nextSnapshot,
    };
    return {
      session: this.session,
      settings: { ...this.#settings },
      features: [...this.#features],
      protocols: this.#protocols,
      verifiesReducer: verifyReducer,
      groups: (definition.groups ?? []).map(({ collection, fields }) => ({ collection, fields: [...fields] })),
      hasViews: definition.view !== undefined,
      ...{ start, now: this.#now, nextSync, nextSnapshot, snapshotVersion: this.#snapshotVersion },
      encoder: this.#outbox.standing,
      state: this.#state.standing,
      durability: this.#options.log?.durability ?? null,
      links,
      clients: Array.from(this.#clients.values(), ({ link }) => link),
    };
  }

  #resume(standing: AuthorityStanding): void {
    this.#now = standing.now;
    this.#nextSync = standing.nextSync;
    this.#nextSnapshot = standing.nextSnapshot;
    this.#snapshotVersion = standing.snapshotVersion;
    this.#outbox.resume(standing.encoder);
    for (const { id, since, lastSequence, names, client } of standing.links) {
      const decoder = new FrameDecoder(this.#protocols);
      decoder.resume(names);
      const served = client ? this.#synchronizer.resumed(id, client) : undefined;
      this.#links.set(id, { id, since, decoder, lastSequence, client: served });
    }
    for (const id of standing.clients) {
      const client = this.#links.get(id)?.client;
      if (client) this.#clients.set(client.replica, client);
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
    return { ...this.#synchronizer.totals, ...this.#totals, bytes: this.#outbox.bytes };
  }

  get clients(): ClientSyncState[] {
    return Array.from(this.#clients.values(), (client) => clientSyncState(client, this.version, this.#now));
  }

  /**
   * When {@link tick} has news to send, in nanoseconds: at the next round, which may be over already, or never as it stands. Whatever else a tick
   * does has time, and is well looked after a few times a second.
   */
  get due(): number {
    if (this.#clients.size === 0) return Number.POSITIVE_INFINITY;
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
    return this.#links.get(link)?.client?.replica;
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
    for (const client of this.#clients.values()) {
      this.#tap.emit(client.replica, { kind: 'replica', role: 'client' });
      this.#synchronizer.describeView(client);
    }
    this.#outbox.describe();
    for (const { client, decoder } of this.#links.values()) {
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
    if (this.#links.has(link)) throw new RangeError(`link ${link} is connected already`);
    const decoder = new FrameDecoder(this.#protocols);
    this.#links.set(link, { id: link, since: now, decoder, lastSequence: 0, client: undefined });
    const { failure } = this.#state;
    if (failure) this.#refuse(link, failure, []);
    // As many again may be on their way in.
    else if (this.#links.size > this.#settings.maxClients * 2) {
      this.#refuse(
        link,
        new SyncError('SERVER_FULL', 'too many connections', { origin: 'protocol', retry: 'backoff' }),
        [],
      );
    }
  }

  /** A connection was closed by the other side, or for a reason of the driver's. */
  disconnect(link: LinkId, reason: string, _now: number): void {
    const client = this.#links.get(link)?.client;
    this.#links.delete(link);
    if (!client || this.#clients.get(client.replica) !== client) return;
    this.#clients.delete(client.replica);
    if (this.#tap.isOpen) this.#tap.emit(client.replica, { kind: 'gone', reason: fitText(reason, 500) });
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
    this.#outbox.send(this.#clients.values(), { type: 'BYE', reason: fitText(reason, 500), ...hint }, []);
    for (const { id } of [...this.#links.values()]) this.#close(id, reason);
    return this.#outbox.drain();
  }

  /** A frame arrived. A frame that is refused changes nothing. */
  receive(link: LinkId, frame: Uint8Array, now: number): Outgoing[] {
    this.#now = now;
    this.#followLog(now);
    const from = this.#links.get(link);
    try {
      if (from) this.#receive(from, frame, now);
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
    this.#links.get(link)?.client?.queue.told(bytes, now);
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
      args,
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
    for (const { id, client, since } of this.#links.values()) {
      if (!client && now - since >= this.#settings.helloTimeout) {
        this.#refuse(id, protocolError('HELLO_TIMEOUT', 'no HELLO came in time'), []);
      }
    }
    for (const client of this.#clients.values()) this.#followQueue(client, now);
    if (now >= this.#nextSync) {
      this.#nextSync = nextTime(this.#nextSync, this.#settings.syncInterval, now);
      this.#synchronizer.sync(this.#clients.values(), now);
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

  // — frames —

  #receive(link: Link, frame: Uint8Array, now: number): void {
    let message: Message;
    try {
      if (frame.length > this.#settings.maxFrame) {
        throw protocolError('FRAME_TOO_LARGE', `${frame.length} bytes, at most ${this.#settings.maxFrame}`);
      }
      message = link.decoder.decode(frame);
    } catch (error) {
      this.#onUnreadable(link, frame, error);
      return;
    }
    const { type, sender, sequence } = message;
    const from = link.client?.replica ?? (type === 'HELLO' ? message.replica : STRANGER);
    const seq = this.#tap.isOpen
      ? this.#tap.emit(this.replica, { kind: 'receive', from, type, sender, sequence }, [], frame)
      : 0;
    if (link.client ? sender !== link.client.replica : type === 'HELLO' && sender !== message.replica) {
      this.#refuse(link.id, protocolError('SENDER_MISMATCH', `a frame of ${sender} came from ${from}`), [seq]);
      return;
    }
    if (sequence <= link.lastSequence) {
      this.#log('debug', `frame ${sequence} of ${from} came again or late and was passed over`, [seq]);
      return;
    }
    link.lastSequence = sequence;
    if (message.type === 'HELLO') this.#onHello(link, message, seq, now);
    else if (link.client) this.#onMessage(link, link.client, message, seq, now);
    else this.#refuse(link.id, protocolError('HELLO_MISSING', `${type} came before HELLO`), [seq]);
  }

  #onUnreadable(link: Link, frame: Uint8Array, error: unknown): void {
    if (!isSyncError(error)) throw error;
    const seq = this.#traceRefused(link.client?.replica ?? STRANGER, error, frame);
    // A kind of a later version's is passed over; all else that cannot be read ends the link.
    if (error.code === 'MESSAGE_UNKNOWN_TYPE' && link.client) {
      this.#totals.passedOver++;
      return;
    }
    if (error.code === 'PROTOCOL_UNSUPPORTED') {
      const { min, max } = this.#protocols;
      const body = { protocolMin: min, protocolMax: max, message: error.message };
      this.#outbox.sendToStranger(link.id, { type: 'UPGRADE_REQUIRED', ...body }, [seq]);
      this.#close(link.id, 'UPGRADE_REQUIRED');
      return;
    }
    this.#refuse(link.id, error, [seq]);
  }

  #onMessage(link: Link, client: Client, message: Message, seq: number, now: number): void {
    switch (message.type) {
      case 'ACK':
      case 'HEARTBEAT':
        this.#synchronizer.onStanding(client, message, seq, now);
        return;
      case 'COMMAND':
        this.#onCommand(client, message, seq, now);
        return;
      case 'SYNC_REQUEST':
        this.#synchronizer.onSyncRequest(client, message, seq, now);
        return;
      case 'MERKLE_QUERY':
        this.#synchronizer.onMerkleQuery(client, message, seq, now);
        return;
      case 'NAMES':
        if (!this.#tap.isOpen) return;
        this.#tap.emit(
          this.replica,
          { kind: 'names', sender: message.sender, first: message.first, names: message.names },
          [seq],
        );
        return;
      case 'BYE':
        this.disconnect(link.id, message.reason, now);
        this.#outbox.close(link.id, 'bye');
        this.#onGoodbye?.(client.replica, now);
        return;
      case 'ERROR':
        this.#log('warn', `${client.replica} reports ${message.code}: ${message.message}`, [seq]);
        return;
      default:
        this.#refuse(link.id, protocolError('MESSAGE_UNEXPECTED', `${message.type} is not for an authority`), [seq]);
    }
  }

  // — handshake —

  #onHello(link: Link, hello: MessageOf<'HELLO'>, seq: number, now: number): void {
    const refusal = this.#refusal(link, hello);
    if (refusal) {
      this.#refuse(link.id, refusal, [seq]);
      return;
    }
    if (this.#isAhead(link, hello, now)) {
      link.ahead = { hello, seq };
      this.#ahead.add(link);
      return;
    }
    link.ahead = undefined;
    this.#ahead.delete(link);
    const protocol = negotiateProtocol(hello.protocolMin, hello.protocolMax, this.#protocols);
    if (protocol === undefined) throw new TypeError('a HELLO whose versions do not meet ours was decoded');
    this.#replace(hello.replica);
    const { resume } = hello;
    // A version of another life is another state, even where the two have one hash: the ledgers differ.
    const isOurs = resume?.incarnation === this.#state.incarnation;
    const base = resume && isOurs ? this.#state.snapshot(resume.version) : undefined;
    const features = negotiateFeatures(this.#features, hello.features);
    const queue = new LinkQueue(this.#settings);
    const receiver = { link: link.id, replica: hello.replica, bytes: 0, queue };
    const client = this.#synchronizer.admit(receiver, features, seq, now);
    link.client = client;
    // An authority that has lost what it knew of this writer takes up where the writer is.
    if (hello.next > 1) this.#state.adopt(hello.replica, hello.next - 1, this.#moment(hello.resume?.version ?? 0, now));
    if (this.#tap.isOpen) this.#tap.emit(client.replica, { kind: 'replica', role: hello.role ?? 'client' }, [seq]);
    const welcome = {
      protocol,
      features: [...client.features],
      session: this.session,
      replica: hello.replica,
      authority: this.replica,
      durability: this.#state.durability,
      syncInterval: this.#settings.syncInterval,
      resumed: base !== undefined,
      incarnation: this.#state.incarnation,
      acknowledge: acknowledgeRule(this.#settings),
    };
    this.#outbox.send([client], { type: 'WELCOME', ...welcome }, [seq]);
    this.#outbox.sendNames(client, [seq]);
    this.#clients.set(client.replica, client);
    if (base && resume) this.#synchronizer.resume(client, resume, base, now);
    this.#synchronizer.sync([client], now);
  }

  /**
   * Whether a client was told of more than has come here from a log that is shared. It waits for that, so that nothing goes back for
   * it; not for ever, since the session may have lost it.
   */
  #isAhead(link: Link, { replica, resume, next }: MessageOf<'HELLO'>, now: number): boolean {
    if (!this.#state.isShared || now - link.since >= this.#settings.helloTimeout / 2) return false;
    return (resume?.version ?? 0) > this.version || next - 1 > this.#state.ledger.settled(replica);
  }

  #refusal(link: Link, hello: MessageOf<'HELLO'>): SyncError | undefined {
    const { ledger } = this.#state;
    if (link.client) return protocolError('HELLO_DUPLICATE', 'this connection has said HELLO before');
    if (hello.session !== this.session) {
      return protocolError('SESSION_UNKNOWN', `this is session ${JSON.stringify(this.session)}`);
    }
    if (!this.#authorize(hello.token, hello.replica))
      return protocolError('TOKEN_REJECTED', 'the token does not let you in');
    if (hello.replica === this.replica)
      return protocolError('REPLICA_TAKEN', `${this.replica} is the authority's name`);
    const isKnown = this.#clients.has(hello.replica);
    const isFull =
      (!isKnown && this.#clients.size >= this.#settings.maxClients) ||
      (!ledger.has(hello.replica) && ledger.size >= this.#settings.maxWriters);
    if (!isFull) return undefined;
    return new SyncError('SERVER_FULL', 'the session has as many clients as it takes', {
      origin: 'protocol',
      retry: 'backoff',
    });
  }

  /** The newer link of a replica wins: the older one may be dead without knowing. */
  #replace(replica: ReplicaId): void {
    const older = this.#clients.get(replica);
    if (!older) return;
    this.#outbox.send([older], { type: 'BYE', reason: 'replaced by a newer connection' }, []);
    this.#clients.delete(replica);
    this.#close(older.link, 'replaced by a newer connection');
  }

  // — mutations —

  #onCommand(client: Client, message: MessageOf<'COMMAND'>, seq: number, now: number): void {
    const { counter } = message;
    const decided = this.#state.decided(client.replica);
    if (counter <= decided) {
      // One that is not durable yet is answered when it is.
      if (counter <= this.#state.ledger.settled(client.replica)) this.#answerAgain(client, counter, seq);
      return;
    }
    if (counter > decided + 1) {
      const text = `mutation ${counter} of ${client.replica} came before ${decided + 1}: send them again in order`;
      this.#outbox.send([client], { type: 'ERROR', code: 'COMMAND_GAP', message: text }, [seq]);
      return;
    }
    if (this.#state.isBehind) {
      this.#outbox.send([client], { type: 'ERROR', code: 'LOG_BEHIND', message: LOG_BEHIND }, [seq]);
      return;
    }
    const moment = this.#moment(client.acknowledged.version, now);
    this.#state.commit(message.command, message.args, client.replica, counter, [seq], moment);
    this.#followLog(now);
  }

  /** A mutation that was settled before is not carried out again, but its writer is told once more how it ended. */
  #answerAgain(client: Client, counter: number, seq: number): void {
    const reason = this.#state.ledger.rejection(client.replica, counter);
    if (reason !== undefined) {
      this.#outbox.send([client], { type: 'REJECT', counter, reason, version: this.version }, [seq]);
    }
    this.#synchronizer.tellAgain(client, seq);
  }

  #moment(seen: Version, now: number): Moment {
    return { time: this.#state.startTime + Math.max(0, now - this.#start), seen };
  }

  /** Tells what has become durable. Where the log takes nothing any more, everybody is sent away: nothing more can be promised. */
  #followLog(now: number): void {
    this.#state.publishDurable();
    for (const settled of this.#state.takeSettled()) this.#tell(settled, now);
    for (const mutation of this.#state.takeGivenUp()) this.#tellGivenUp(mutation);
    if (this.#ahead.size > 0) this.#greetAgain(now);
    const { failure } = this.#state;
    if (!failure || this.#hasFailed) return;
    this.#hasFailed = true;
    this.#log('error', failure.message, []);
    for (const { id } of [...this.#links.values()]) this.#refuse(id, failure, []);
  }

  /** Those whose HELLO had to wait for the log. */
  #greetAgain(now: number): void {
    for (const link of [...this.#ahead]) {
      if (this.#links.get(link.id) !== link) this.#ahead.delete(link);
      else if (link.ahead) this.#onHello(link, link.ahead.hello, link.ahead.seq, now);
    }
  }

  #tellGivenUp({ writer, counter }: MutationId): void {
    const client = this.#clients.get(writer);
    const text = `others came before mutation ${counter} of ${writer} too often: send it again later`;
    if (client) this.#outbox.send([client], { type: 'ERROR', code: 'LOG_CONTENDED', message: text }, []);
    this.#log('warn', text, []);
  }

  #tell(settled: Settled, now: number): void {
    const { mutation, settlement, progress, time, cause } = settled;
    this.#receipts.settle(settled, this.version);
    this.#onDurable?.(Math.max(0, this.#moment(0, now).time - time));
    const client = this.#clients.get(mutation.writer);
    client?.health.settled(progress, now);
    if (!settlement.accepted) {
      this.#totals.rejections++;
      const { reason, seq } = settlement;
      const body = { counter: mutation.counter, reason, version: this.version };
      if (client) this.#outbox.send([client], { type: 'REJECT', ...body }, seq > 0 ? [seq] : cause);
      return;
    }
    this.#totals.commits++;
    for (const event of settlement.events) {
      const told: Client[] = [];
      for (const one of this.#clients.values()) {
        if (one.features.includes('events') && this.#mayHear(one.replica, event)) told.push(one);
      }
      if (told.length === 0) continue;
      const body = { version: settlement.version, event: shortEvent(event), time };
      this.#outbox.send(told, { type: 'EVENT', ...body }, [settlement.seq]);
    }
  }

  #mayHear(replica: ReplicaId, event: DomainEvent): boolean {
    const view = this.#state.viewFor(replica);
    return view === undefined || hears(view, event, replica);
  }

  /** Drops a reader of which nothing more can be hoped: it holds memory for nothing. */
  #followQueue(client: Client, now: number): void {
    if (client.queue.hasTurned()) {
      this.#tracePressure(client, client.queue.isSlow ? 'slow' : 'relieved', '');
      this.#isDue = true;
    }
    const verdict = client.queue.verdict(now);
    if (verdict === undefined) return;
    this.#totals.tooSlow++;
    this.#tracePressure(client, 'dropped', verdict);
    this.#close(client.link, `LINK_TOO_SLOW: ${verdict}`);
  }

  // — refusals and traces —

  /** Says why, and closes the link. Nothing else changes. */
  #refuse(link: LinkId, error: SyncError, cause: readonly number[]): void {
    const client = this.#links.get(link)?.client;
    if (error.origin === 'protocol' && this.#tap.isOpen && cause.length > 0) {
      this.#log('warn', `${client?.replica ?? STRANGER} was refused: ${error.code}`, cause);
    }
    this.#totals.refused++;
    const body = { type: 'ERROR' as const, code: error.code, message: fitText(error.message, 2_000) };
    if (client) this.#outbox.send([client], body, cause);
    else this.#outbox.sendToStranger(link, body, cause);
    this.#close(link, error.code);
  }

  #close(link: LinkId, reason: string): void {
    this.#outbox.close(link, reason);
    const client = this.#links.get(link)?.client;
    this.#links.delete(link);
    if (!client || this.#clients.get(client.replica) !== client) return;
    this.#clients.delete(client.replica);
    if (this.#tap.isOpen) this.#tap.emit(client.replica, { kind: 'gone', reason });
  }

  #traceRefused(from: ReplicaId, error: SyncError, frame: Uint8Array): number {
    if (!this.#tap.isOpen) return 0;
    const body = { from, code: error.code, message: fitText(error.message, 2_000) };
    return this.#tap.emit(this.replica, { kind: 'refused', ...body }, [], frame);
  }

  #tracePressure({ replica, queue }: Client, state: 'slow' | 'relieved' | 'dropped', text: string): void {
    if (!this.#tap.isOpen) return;
    const { queued, droppedEvents, droppedAnswers, heldRounds } = queue.state;
    const counts = { queued, droppedEvents, droppedAnswers, heldRounds };
    this.#tap.emit(this.replica, { kind: 'pressure', target: replica, state, ...counts, text });
  }

  #traceSnapshot(reason: 'attach' | 'periodic'): void {
    this.#snapshotVersion = this.version;
    const { version, records, root, vector } = this.#state.fullSync(this.replica);
    this.#tap.emit(this.replica, { kind: 'snapshot', reason, version, records, root, vector });
  }

  #log(level: 'debug' | 'warn' | 'error', text: string, cause: readonly number[]): void {
    if (this.#tap.isOpen) this.#tap.emit(this.replica, { kind: 'log', level, text }, cause);
  }
}

const LOG_BEHIND = 'too much waits for the log: send it again later';

function protocolError(code: string, message: string): SyncError {
  return new SyncError(code, message, { origin: 'protocol' });
}

/** The next multiple of `interval` after `last`; from `now` on where some were missed. */
function nextTime(last: number, interval: number, now: number): number {
  return last + interval > now ? last + interval : now + interval;
}
