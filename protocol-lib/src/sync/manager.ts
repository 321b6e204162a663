import { isSyncError, SyncError, unreachable } from '../errors/index.ts';
import { answerMerkleQuery, type StateRoot } from '../merkle/index.ts';
import {
  type BodyOf,
  FEATURES,
  type Feature,
  FrameDecoder,
  type Message,
  type MessageOf,
  MIN_PROTOCOL,
  negotiateFeatures,
  negotiateProtocol,
  PROTOCOL_VERSION,
} from '../messages/index.ts';
import type { Random } from '../ports/index.ts';
import type { ReplicaId, StateHash, Value, Version } from '../state/index.ts';
import { closedTap, type Tap } from '../trace/index.ts';
import { AuthorityState, type Settlement, type SyncPoint, shortEvent } from './authority-state.ts';
import { type LinkId, Outbox, type Outgoing, type Receiver, STRANGER } from './outbox.ts';
import type { SessionDefinition } from './session.ts';
import { MAX_BACKOFF, SYNC_DEFAULTS, type SyncSettings } from './settings.ts';
import type { StateSnapshot } from './snapshots.ts';

export interface SyncManagerOptions extends Partial<SyncSettings> {
  readonly definition: SessionDefinition;
  /** The authority's own name. */
  readonly replica: ReplicaId;
  /** The session's name; a HELLO for another is refused. */
  readonly session: string;
  readonly random: Random;
  /** Nanoseconds on the clock that every later `now` is read from. */
  readonly now: number;
  readonly tap?: Tap;
  /** Whether a token lets this replica in. Absent, everybody is let in: only for sessions within one process. */
  readonly authorize?: (token: string, replica: ReplicaId) => boolean;
  /** What this side offers; all of {@link FEATURES} where absent. */
  readonly features?: readonly Feature[];
}

/** What the authority knows of one client. */
export interface ClientSyncState {
  readonly replica: ReplicaId;
  readonly link: LinkId;
  /** The version that the client has acknowledged; 0 before the first. */
  readonly version: Version;
  /** The version that was last sent to it. */
  readonly sent: Version;
  /** Time of its last acknowledgement, in nanoseconds. */
  readonly lastSyncTime: number;
  /** Deltas sent that it has not acknowledged. */
  readonly pendingDeltas: number;
  readonly needsFullSync: boolean;
  /** Whether a Merkle exchange with it is under way. */
  readonly isRepairing: boolean;
  readonly features: readonly Feature[];
  /** Bytes sent to it. */
  readonly bytes: number;
}

/** Totals since the manager was made. */
export interface SyncStats {
  /** Rounds in which anything was sent. */
  readonly syncs: number;
  readonly deltas: number;
  readonly fullSyncs: number;
  readonly bytes: number;
  readonly commits: number;
  readonly rejections: number;
  /** Frames that were refused. */
  readonly refused: number;
  /** Acknowledgements and heartbeats whose hash was not ours. */
  readonly mismatches: number;
  /** Merkle exchanges that ended with equal roots. */
  readonly repairs: number;
}

interface Link {
  readonly id: LinkId;
  readonly since: number;
  readonly decoder: FrameDecoder;
  lastSequence: number;
  client: Client | undefined;
}

interface Client extends Receiver {
  readonly features: readonly Feature[];
  acknowledged: SyncPoint;
  lastSyncTime: number;
  sent: SyncPoint;
  /** What was sent and not acknowledged, oldest first. */
  unacknowledged: SyncPoint[];
  /** When what it has not acknowledged is sent again, and how long to wait after that. */
  resendAt: number;
  resendWait: number;
  needsFullSync: boolean;
  /** It asked for an answer, which goes out with the next round even where there is no news. */
  isDue: boolean;
  /** It left a whole chain unacknowledged: after its full sync, nothing new is sent before it answers. */
  isStalled: boolean;
  /** The state against which it descends. */
  repair: { readonly version: Version; readonly root: StateRoot; readonly until: number; queries: number } | undefined;
  /** `seq` of the record that makes the next frame necessary. */
  cause: number;
}

/**
 * The authority of a session: owns the state, decides on mutations, and keeps every client in step with deltas,
 * full syncs and Merkle repairs. A state machine: the driver carries frames in and `Outgoing` out and calls
 * {@link tick}, at best several times a sync interval.
 *
 * A client's version is what it acknowledged. Deltas follow upon each other from what was last *sent*, and the chain
 * may run ahead of the acknowledgements by `maxDeltaChain`; a lost one is found by the client's base check.
 */
export class SyncManager {
  readonly replica: ReplicaId;
  readonly session: string;
  readonly #tap: Tap;
  readonly #settings: SyncSettings;
  readonly #features: readonly Feature[];
  readonly #authorize: (token: string, replica: ReplicaId) => boolean;
  readonly #state: AuthorityState;
  readonly #outbox: Outbox;
  readonly #links = new Map<LinkId, Link>();
  readonly #clients = new Map<ReplicaId, Client>();
  readonly #totals = {
    syncs: 0,
    deltas: 0,
    fullSyncs: 0,
    commits: 0,
    rejections: 0,
    refused: 0,
    mismatches: 0,
    repairs: 0,
  };
  readonly #start: number;
  #nextSync: number;
  #nextSnapshot: number;
  #snapshotVersion: Version = 0;

  constructor(options: SyncManagerOptions) {
    this.replica = options.replica;
    this.session = options.session;
    this.#tap = options.tap ?? closedTap;
    this.#settings = settingsOf(options);
    this.#features = options.features ?? FEATURES;
    this.#authorize = options.authorize ?? (() => true);
    this.#state = new AuthorityState(options.definition, options.replica, options.random, this.#tap, this.#settings);
    this.#outbox = new Outbox(options.replica, this.#tap, () => this.#clients.values());
    this.#start = options.now;
    this.#nextSync = options.now;
    this.#nextSnapshot = options.now;
    if (this.#tap.isOpen) this.describe();
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

  get stats(): SyncStats {
    return { ...this.#totals, bytes: this.#outbox.bytes };
  }

  get clients(): ClientSyncState[] {
    return Array.from(this.#clients.values(), (client) => ({
      replica: client.replica,
      link: client.link,
      version: client.acknowledged.version,
      sent: client.sent.version,
      lastSyncTime: client.lastSyncTime,
      pendingDeltas: client.unacknowledged.length,
      needsFullSync: client.needsFullSync,
      isRepairing: client.repair !== undefined,
      features: client.features,
      bytes: client.bytes,
    }));
  }

  /** Emits who is here, all names, the state, the vector and the hash, so that a capture that starts now is complete. */
  describe(): void {
    if (!this.#tap.isOpen) return;
    const emit = this.#tap.emit.bind(this.#tap, this.replica);
    emit({ kind: 'replica', role: 'server' });
    for (const client of this.#clients.values()) this.#tap.emit(client.replica, { kind: 'replica', role: 'client' });
    this.#outbox.describe();
    for (const { client, decoder } of this.#links.values()) {
      if (!client || decoder.names.length === 0) continue;
      emit({ kind: 'names', sender: client.replica, first: 0, names: decoder.names.slice(0) });
    }
    this.#traceSnapshot('attach');
    emit({ kind: 'vector', vector: this.vector });
    emit({ kind: 'hash', version: this.version, own: this.root.hash });
  }

  /** A connection was opened. It is nobody's until its HELLO. */
  connect(link: LinkId, now: number): void {
    if (this.#links.has(link)) throw new RangeError(`link ${link} is connected already`);
    this.#links.set(link, { id: link, since: now, decoder: new FrameDecoder(), lastSequence: 0, client: undefined });
    // As many again may be on their way in.
    if (this.#links.size > this.#settings.maxClients * 2) {
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
    if (this.#tap.isOpen) this.#tap.emit(client.replica, { kind: 'gone', reason: reason.slice(0, 500) });
  }

  /** Ends the session: says why to every client and closes every link. */
  stop(reason: string): Outgoing[] {
    this.#outbox.send(this.#clients.values(), { type: 'BYE', reason: reason.slice(0, 500) }, []);
    for (const { id } of [...this.#links.values()]) this.#close(id, reason);
    return this.#outbox.drain();
  }

  /** A frame arrived. A frame that is refused changes nothing. */
  receive(link: LinkId, frame: Uint8Array, now: number): Outgoing[] {
    const from = this.#links.get(link);
    if (from) this.#receive(from, frame, now);
    else this.#outbox.close(link, 'this connection is closed');
    return this.#outbox.drain();
  }

  /** A mutation of the authority's own. Its events and delta go out with the next {@link tick}. */
  mutate(command: string, args: Value, now: number): Settlement {
    return this.#settle(command, args, this.replica, this.#state.ledger.settled(this.replica) + 1, [], now);
  }

  /** Carries out what is due and answers what to send. */
  tick(now: number): Outgoing[] {
    for (const { id, client, since } of [...this.#links.values()]) {
      if (!client && now - since >= this.#settings.helloTimeout) {
        this.#refuse(id, protocolError('HELLO_TIMEOUT', 'no HELLO came in time'), []);
      }
    }
    if (now >= this.#nextSync) {
      this.#nextSync = nextTime(this.#nextSync, this.#settings.syncInterval, now);
      this.#sync(this.#clients.values(), now);
    }
    if (now >= this.#nextSnapshot) {
      this.#nextSnapshot = nextTime(this.#nextSnapshot, this.#settings.snapshotInterval, now);
      this.#state.keepPeriodic();
      if (this.#tap.isOpen && this.#snapshotVersion !== this.version) this.#traceSnapshot('periodic');
    }
    return this.#outbox.drain();
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
    if (error.code === 'MESSAGE_UNKNOWN_TYPE' && link.client) return;
    if (error.code === 'PROTOCOL_UNSUPPORTED') {
      const body = { protocolMin: MIN_PROTOCOL, protocolMax: PROTOCOL_VERSION, message: error.message };
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
        this.#onStanding(client, message, seq, now);
        return;
      case 'COMMAND':
        this.#onCommand(client, message, seq, now);
        return;
      case 'SYNC_REQUEST':
        this.#onSyncRequest(client, message, seq, now);
        return;
      case 'MERKLE_QUERY':
        this.#onMerkleQuery(client, message, seq);
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
        return;
      case 'ERROR':
        this.#log('warn', `${client.replica} reports ${message.code}: ${message.message}`, [seq]);
        return;
      case 'HELLO':
      case 'WELCOME':
      case 'UPGRADE_REQUIRED':
      case 'FULL_SYNC':
      case 'DELTA_SYNC':
      case 'EVENT':
      case 'REJECT':
      case 'MERKLE_OFFER':
      case 'MERKLE_ANSWER':
        this.#refuse(link.id, protocolError('MESSAGE_UNEXPECTED', `${message.type} is not for an authority`), [seq]);
        return;
      default:
        unreachable(message);
    }
  }

  // — handshake —

  #onHello(link: Link, hello: MessageOf<'HELLO'>, seq: number, now: number): void {
    const refusal = this.#refusal(link, hello);
    if (refusal) {
      this.#refuse(link.id, refusal, [seq]);
      return;
    }
    const protocol = negotiateProtocol(hello.protocolMin, hello.protocolMax);
    if (protocol === undefined) throw new TypeError('a HELLO whose versions do not meet ours was decoded');
    this.#replace(hello.replica);
    const base = hello.resume && this.#state.snapshot(hello.resume.version);
    const client: Client = {
      link: link.id,
      replica: hello.replica,
      bytes: 0,
      features: negotiateFeatures(this.#features, hello.features),
      acknowledged: NOWHERE,
      lastSyncTime: now,
      sent: NOWHERE,
      unacknowledged: [],
      resendAt: 0,
      resendWait: this.#settings.resendTimeout,
      needsFullSync: base === undefined,
      isDue: true,
      isStalled: false,
      repair: undefined,
      cause: seq,
    };
    link.client = client;
    // An authority that has lost what it knew of this writer takes up where the writer is.
    if (hello.next > 1) this.#state.ledger.settle(hello.replica, hello.next - 1);
    if (this.#tap.isOpen) this.#tap.emit(client.replica, { kind: 'replica', role: hello.role ?? 'client' }, [seq]);
    const welcome = {
      protocol,
      features: [...client.features],
      session: this.session,
      replica: hello.replica,
      authority: this.replica,
      durability: 'memory' as const,
      syncInterval: this.#settings.syncInterval,
      resumed: base !== undefined,
    };
    this.#outbox.send([client], { type: 'WELCOME', ...welcome }, [seq]);
    this.#outbox.sendNames(client, [seq]);
    this.#clients.set(client.replica, client);
    if (base && hello.resume) this.#resume(client, hello.resume, base, now);
    this.#sync([client], now);
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

  // — where clients stand —

  /** A client says at which version it is, and with which hash. */
  #onStanding(client: Client, message: MessageOf<'ACK' | 'HEARTBEAT'>, seq: number, now: number): void {
    const { version, progress, root } = message;
    const snapshot = this.#state.snapshot(version);
    // A version that was never kept, or is too long ago, cannot be compared: the chain limit deals with it.
    if (!snapshot) return;
    const reference = snapshot.root.hash;
    const agrees = reference === root;
    if (this.#tap.isOpen) {
      this.#tap.emit(client.replica, { kind: 'hash', version, own: root, reference, agrees }, [seq]);
    }
    if (!agrees) {
      this.#onMismatch(client, version, root, seq, now);
      return;
    }
    client.lastSyncTime = now;
    const point = { version, progress };
    if (client.repair?.version === version) {
      client.repair = undefined;
      this.#totals.repairs++;
      this.#restart(client, point, seq);
      return;
    }
    // An answer that was overtaken by a newer one says nothing more.
    if (isBefore(point, client.acknowledged) || isBefore(client.sent, point)) return;
    if (isBefore(client.acknowledged, point)) {
      client.resendWait = this.#settings.resendTimeout;
      client.resendAt = now + client.resendWait;
    }
    client.acknowledged = point;
    client.unacknowledged = client.unacknowledged.filter((sent) => isBefore(point, sent));
    if (client.unacknowledged.length === 0) client.isStalled = false;
  }

  #onMismatch(client: Client, version: Version, root: StateHash, seq: number, now: number): void {
    // While it is being repaired, or waits for a full sync, we know already.
    if (client.repair || client.needsFullSync || client.isStalled) return;
    this.#totals.mismatches++;
    this.#log('warn', `${client.replica} has ${root} at version ${version}, which differs`, [seq]);
    this.#offerRepair(client, version, seq, now);
  }

  #onSyncRequest(client: Client, request: MessageOf<'SYNC_REQUEST'>, seq: number, now: number): void {
    if (request.reason === 'names') this.#outbox.sendNames(client, [seq]);
    client.repair = undefined;
    client.isStalled = false;
    client.cause = seq;
    const snapshot = this.#state.snapshot(request.version);
    if (!snapshot || request.reason === 'merkle' || request.reason === 'silence') {
      client.needsFullSync = true;
    } else {
      this.#resume(client, request, snapshot, now);
    }
  }

  /** Carries on from the state that a client says it has, where that is ours; has it repaired where it is not. */
  #resume(client: Client, at: SyncPoint & { readonly root: StateHash }, snapshot: StateSnapshot, now: number): void {
    if (snapshot.root.hash === at.root) {
      this.#restart(client, at, client.cause);
      // Even a delta of nothing, so that whoever asked has an answer.
      client.isDue = true;
      return;
    }
    this.#totals.mismatches++;
    this.#offerRepair(client, at.version, client.cause, now);
  }

  /** The next round sends what is new since this point. */
  #restart(client: Client, { version, progress }: SyncPoint, cause: number): void {
    // More than ever was settled here was settled by an authority before this one.
    const point = { version, progress: progress > this.#state.ledger.progress ? 0 : progress };
    client.acknowledged = point;
    client.sent = point;
    client.unacknowledged = [];
    client.needsFullSync = false;
    client.cause = cause;
  }

  #offerRepair(client: Client, version: Version, cause: number, now: number): void {
    const snapshot = this.#state.snapshot(version);
    if (!snapshot || !client.features.includes('merkle')) {
      client.needsFullSync = true;
      client.cause = cause;
      return;
    }
    const { root } = snapshot;
    client.repair = { version, root, until: now + this.#settings.repairTimeout, queries: 0 };
    this.#outbox.send([client], { type: 'MERKLE_OFFER', version, root: root.hash }, [cause]);
  }

  #onMerkleQuery(client: Client, message: MessageOf<'MERKLE_QUERY'>, seq: number): void {
    const { repair } = client;
    if (!repair || repair.queries >= this.#settings.maxRepairQueries) {
      client.repair = undefined;
      client.needsFullSync = true;
      client.cause = seq;
      return;
    }
    repair.queries++;
    const { nodes } = answerMerkleQuery(repair.root, message);
    this.#outbox.send([client], { type: 'MERKLE_ANSWER', nodes }, [seq]);
  }

  // — mutations —

  #onCommand(client: Client, message: MessageOf<'COMMAND'>, seq: number, now: number): void {
    const { counter } = message;
    const { ledger } = this.#state;
    const settled = ledger.settled(client.replica);
    if (counter <= settled) {
      this.#answerAgain(client, counter, seq);
      return;
    }
    if (counter > settled + 1) {
      const text = `mutation ${counter} of ${client.replica} came before ${settled + 1}: send them again in order`;
      this.#outbox.send([client], { type: 'ERROR', code: 'COMMAND_GAP', message: text }, [seq]);
      return;
    }
    const outcome = this.#settle(message.command, message.args, client.replica, counter, [seq], now);
    if (outcome.accepted) return;
    const { reason } = outcome;
    this.#outbox.send([client], { type: 'REJECT', counter, reason, version: this.version }, [outcome.seq || seq]);
  }

  /** A mutation that was settled before is not carried out again, but its writer is told once more how it ended. */
  #answerAgain(client: Client, counter: number, seq: number): void {
    const reason = this.#state.ledger.rejection(client.replica, counter);
    if (reason !== undefined) {
      this.#outbox.send([client], { type: 'REJECT', counter, reason, version: this.version }, [seq]);
    }
    const progress = Math.min(client.sent.progress, this.#state.ledger.progressBefore(client.replica));
    client.sent = { version: client.sent.version, progress };
    client.cause = seq;
  }

  #settle(
    command: string,
    args: Value,
    writer: ReplicaId,
    counter: number,
    cause: readonly number[],
    now: number,
  ): Settlement {
    const outcome = this.#state.commit(command, args, writer, counter, cause);
    if (!outcome.accepted) {
      this.#totals.rejections++;
      return outcome;
    }
    this.#totals.commits++;
    const listeners = [...this.#clients.values()].filter((client) => client.features.includes('events'));
    if (listeners.length === 0) return outcome;
    for (const event of outcome.events) {
      const body = { version: outcome.version, event: shortEvent(event), time: Math.max(0, now - this.#start) };
      this.#outbox.send(listeners, { type: 'EVENT', ...body }, [outcome.seq]);
    }
    return outcome;
  }

  // — rounds —

  /** Brings clients up to date: one delta for all that stand at the same point, and full syncs where they are needed. */
  #sync(clients: Iterable<Client>, now: number): void {
    this.#state.keep();
    const before = this.#totals.deltas + this.#totals.fullSyncs;
    const groups = new Map<string, Client[]>();
    for (const client of clients) {
      if (this.#isWaiting(client, now)) continue;
      const isBehind = isBefore(client.sent, this.#state.point);
      if (isBehind && client.unacknowledged.length >= this.#settings.maxDeltaChain) {
        client.needsFullSync = true;
        client.isStalled = true;
      }
      if (client.needsFullSync) {
        this.#fullSync(client, now);
      } else if (isBehind || client.isDue) {
        const point = `${client.sent.version}/${client.sent.progress}`;
        const together = groups.get(point);
        if (together) together.push(client);
        else groups.set(point, [client]);
      }
    }
    for (const [first, ...others] of groups.values()) if (first) this.#syncGroup(first, others, now);
    if (this.#totals.deltas + this.#totals.fullSyncs > before) this.#totals.syncs++;
  }

  #syncGroup(first: Client, others: readonly Client[], now: number): void {
    const clients = [first, ...others];
    const delta = this.#state.deltaFrom(first.sent);
    if (delta) this.#sendDelta(clients, delta, now);
    else for (const client of clients) this.#fullSync(client, now);
  }

  /** Whether nothing can be sent now. Gives up a repair, and goes back to what was acknowledged, when their time is over. */
  #isWaiting(client: Client, now: number): boolean {
    if (client.repair) {
      if (now < client.repair.until) return true;
      client.repair = undefined;
      client.needsFullSync = true;
    }
    if (client.needsFullSync || client.unacknowledged.length === 0) return false;
    if (now < client.resendAt) return client.isStalled;
    client.resendWait = Math.min(client.resendWait * 2, MAX_BACKOFF);
    if (client.isStalled || !this.#state.snapshot(client.acknowledged.version)) client.needsFullSync = true;
    else this.#restart(client, client.acknowledged, client.cause);
    return false;
  }

  #sendDelta(takers: readonly Client[], delta: BodyOf<'DELTA_SYNC'>, now: number): void {
    const causes = takers.map((client) => client.cause);
    let seq = 0;
    if (this.#tap.isOpen) {
      const { from, to, changes, root } = delta;
      const because = [...this.#state.commitsSince(from), ...causes].slice(-1_000);
      seq = this.#tap.emit(this.replica, { kind: 'delta', from, to, count: changes.length, root }, because);
    }
    this.#outbox.send(takers, delta, [seq]);
    for (const client of takers) this.#markSent(client, now);
    this.#totals.deltas += takers.length;
  }

  #fullSync(client: Client, now: number): void {
    this.#outbox.send([client], this.#state.fullSync(client.replica), [client.cause]);
    client.unacknowledged = [];
    client.needsFullSync = false;
    this.#markSent(client, now);
    this.#totals.fullSyncs++;
  }

  #markSent(client: Client, now: number): void {
    if (client.unacknowledged.length === 0) client.resendAt = now + client.resendWait;
    client.sent = this.#state.point;
    client.unacknowledged.push(client.sent);
    client.isDue = false;
    client.cause = 0;
  }

  // — refusals and traces —

  /** Says why, and closes the link. Nothing else changes. */
  #refuse(link: LinkId, error: SyncError, cause: readonly number[]): void {
    const client = this.#links.get(link)?.client;
    if (error.origin === 'protocol' && this.#tap.isOpen && cause.length > 0) {
      this.#log('warn', `${client?.replica ?? STRANGER} was refused: ${error.code}`, cause);
    }
    this.#totals.refused++;
    const body = { type: 'ERROR' as const, code: error.code, message: error.message.slice(0, 2_000) };
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
    const body = { from, code: error.code, message: error.message.slice(0, 2_000) };
    return this.#tap.emit(this.replica, { kind: 'refused', ...body }, [], frame);
  }

  #traceSnapshot(reason: 'attach' | 'periodic'): void {
    this.#snapshotVersion = this.version;
    const { version, records, root, vector } = this.#state.fullSync(this.replica);
    this.#tap.emit(this.replica, { kind: 'snapshot', reason, version, records, root, vector });
  }

  #log(level: 'debug' | 'warn', text: string, cause: readonly number[]): void {
    if (this.#tap.isOpen) this.#tap.emit(this.replica, { kind: 'log', level, text }, cause);
  }
}

/** Before anything was sent. */
const NOWHERE: SyncPoint = { version: 0, progress: 0 };

/** Whether `left` lacks something that `right` has. */
function isBefore(left: SyncPoint, right: SyncPoint): boolean {
  return left.version < right.version || left.progress < right.progress;
}

function protocolError(code: string, message: string): SyncError {
  return new SyncError(code, message, { origin: 'protocol' });
}

/** The next multiple of `interval` after `last`; from `now` on where some were missed. */
function nextTime(last: number, interval: number, now: number): number {
  return last + interval > now ? last + interval : now + interval;
}

function settingsOf(options: Partial<SyncSettings>): SyncSettings {
  const settings: Record<string, number> = { ...SYNC_DEFAULTS };
  for (const name of Object.keys(SYNC_DEFAULTS) as (keyof SyncSettings)[]) {
    const value = options[name];
    if (value === undefined) continue;
    if (!Number.isSafeInteger(value) || value < 1) throw new RangeError(`${name} is a positive integer, not ${value}`);
    settings[name] = value;
  }
  return settings as unknown as SyncSettings;
}
