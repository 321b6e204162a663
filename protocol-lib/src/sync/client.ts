import { ownCopy } from '../bytes/index.ts';
import type { VersionVector } from '../clock/index.ts';
import { isSyncError, SyncError } from '../errors/index.ts';
import type { StateRoot } from '../merkle/index.ts';
import {
  FEATURES,
  type Feature,
  type Message,
  type MessageBody,
  type MessageOf,
  OWN_PROTOCOLS,
  type ProtocolRange,
  type Rejection,
} from '../messages/index.ts';
import { milliseconds } from '../ports/index.ts';
import { fitText } from '../schema/index.ts';
import { type Change, type ReplicaId, replicaId, type Value, type Version } from '../state/index.ts';
import { closedTap } from '../trace/index.ts';
import { Acknowledging } from './acknowledging.ts';
import { ClientConnection, type ClientPhase, type ReceivedFrame } from './client-connection.ts';
import type { ClientEvent } from './client-events.ts';
import { healthBody } from './client-health.ts';
import { ClientListeners } from './client-listeners.ts';
import type { ClientStateOptions, KeptClient, PredictResult } from './client-options.ts';
import { ClientRepair } from './client-repair.ts';
import { ClientTrace } from './client-trace.ts';
import { type Committed, NOTHING, standing } from './committed.ts';
import { CommittedState } from './committed-state.ts';
import { decide, isSendable } from './decide.ts';
import { withWholeGroups } from './field-groups.ts';
import type { SyncHealth } from './health.ts';
import { OwnHealth, type OwnStanding } from './own-health.ts';
import { OwnMutations } from './own-mutations.ts';
import { type PendingMutation, PendingMutations } from './pending.ts';
import type { OwnReceipt } from './receipts.ts';
import type { SessionDefinition } from './session.ts';
import { MAX_PENDING } from './settings.ts';
import type { ClientStanding } from './standing.ts';
import { SyncRequest } from './sync-request.ts';

const HEARTBEAT_INTERVAL = milliseconds(1_000);

function committedOf({ root, vector, standing }: NonNullable<ClientStateOptions['resume']>): Committed {
  return { version: standing.version, progress: standing.progress, root, vector };
}

/**
 * A client's copy of the session: the state that the authority committed, as far as it is known here, and the optimistic one
 * with the client's own pending mutations on top. A state machine: every method answers the frames to send.
 *
 * What arrives is applied whole or not at all. Where it does not fit (another base, a missing record, another root
 * hash), nothing changes, a `mismatch` is traced, and one request to the authority is kept up until it is answered.
 */
export class ClientState {
  readonly replica: ReplicaId;
  readonly session: string;
  readonly #definition: SessionDefinition;
  readonly #token: () => string;
  readonly #trace: ClientTrace;
  readonly #features: readonly Feature[];
  readonly #protocols: ProtocolRange;
  readonly #role: 'client' | 'peer';
  readonly #connection: ClientConnection;
  readonly #events = new ClientListeners();
  /** The last event that this connection has told of: when its version came about. */
  #moment: { readonly version: Version; readonly time: number } | undefined;
  readonly #pending: PendingMutations;
  readonly #own: OwnMutations;
  readonly #repair: ClientRepair;
  readonly #state: CommittedState;
  /** The highest counter that this client has given to a mutation. */
  #counter = 0;
  /** Whether this connection has brought the state up to the authority's, or will: only then may commands follow. */
  #isSynced = false;
  readonly #request = new SyncRequest();
  readonly #acknowledging = new Acknowledging();
  #nextHeartbeat = 0;
  readonly #health: OwnHealth;

  constructor(options: ClientStateOptions) {
    this.replica = options.replica;
    this.session = options.session;
    this.#definition = withWholeGroups(options.definition);
    const { token, resume } = options;
    this.#token = typeof token === 'string' ? () => token : token;
    this.#trace = new ClientTrace(options.tap ?? closedTap, options.replica);
    this.#features = options.features ?? FEATURES;
    this.#protocols = options.protocols ?? OWN_PROTOCOLS;
    this.#role = options.role ?? 'client';
    this.#connection = new ClientConnection(options.replica, options.authority ?? replicaId('server'), this.#trace);
    this.#health = new OwnHealth(options.health);
    this.#counter = options.kept?.counter ?? 0;
    const committed = resume ? committedOf(resume) : (options.kept?.committed ?? NOTHING);
    this.#pending = new PendingMutations(this.#definition, options.replica, committed.root);
    const parts = {
      replica: options.replica,
      trace: this.#trace,
      committed: () => this.#committed,
      acknowledge: (cause: number, now: number) => this.#acknowledge(cause, now),
      send: (body: MessageBody, cause: readonly number[]) => this.#send(body, cause),
      tell: (event: ClientEvent) => {
        this.#events.push(event);
      },
    };
    this.#own = new OwnMutations({
      ...parts,
      pending: this.#pending,
      acknowledgeOwed: (now) => {
        if (this.#acknowledging.isOwed) this.#acknowledge(this.#acknowledging.cause, now);
      },
    });
    this.#repair = new ClientRepair({
      ...parts,
      request: this.#request,
      health: this.#health,
      authority: () => this.#connection.authority,
      commit: (next, rejected, cause, now) => this.#state.commit(next, rejected, cause, now),
      refused: (error, cause) => this.#refused(error, undefined, cause),
    });
    this.#state = new CommittedState(committed, options.kept?.incarnation ?? 0, {
      ...parts,
      request: this.#request,
      health: this.#health,
      repair: this.#repair,
      acknowledging: this.#acknowledging,
      authority: () => this.#connection.authority,
      onCommitted: (next, rejected, cause, now) => this.#onCommitted(next, rejected, cause, now),
      refused: (error, cause) => this.#refused(error, undefined, cause),
    });
    if (resume) this.#resume(resume.standing);
  }

  /**
   * All that it holds beside the committed records and vector, as data from which another one goes on; undefined where that cannot be said
   * now: while it descends, or waits for the rest of a snapshot.
   */
  get standing(): ClientStanding | undefined {
    if (this.#repair.isDescending || this.#state.isAssembling) return undefined;
    const { version, progress } = this.#committed;
    return {
      session: this.session,
      features: [...this.#features],
      protocols: this.#protocols,
      role: this.#role,
      connection: this.#connection.standing,
      ...{ version, progress, counter: this.#counter, isSynced: this.#isSynced },
      ...this.#state.standing,
      request: this.#request.standing,
      acknowledging: this.#acknowledging.standing,
      mismatch: this.#repair.mismatch ?? null,
      nextHeartbeat: this.#nextHeartbeat,
      health: this.#health.standing,
      pending: this.#pending.standing,
    };
  }

  #resume(standing: ClientStanding): void {
    this.#connection.resume(standing.connection);
    this.#counter = standing.counter;
    this.#isSynced = standing.isSynced;
    this.#state.resume(standing);
    this.#request.resume(standing.request);
    this.#acknowledging.resume(standing.acknowledging);
    this.#repair.resume(standing.mismatch ?? undefined);
    this.#nextHeartbeat = standing.nextHeartbeat;
    this.#health.resume(standing.health);
    this.#pending.resume(standing.pending);
  }

  get #committed(): Committed {
    return this.#state.value;
  }

  /** What this replica needs to go on in another process, as `kept` there. @throws RangeError while mutations are pending */
  get kept(): KeptClient {
    const pending = this.#pending.list.length;
    if (pending > 0) throw new RangeError(`${pending} mutations are pending: wait until they are settled`);
    return { committed: this.#committed, counter: this.#counter, incarnation: this.#state.incarnation };
  }

  get phase(): ClientPhase {
    return this.#connection.phase;
  }

  /** The authority's version of {@link committed}; 0 before the first full sync. */
  get version(): Version {
    return this.#committed.version;
  }

  get committed(): StateRoot {
    return this.#committed.root;
  }

  /** Committed and pending, in the order in which they were made. */
  get optimistic(): StateRoot {
    return this.#pending.root;
  }

  get pending(): readonly PendingMutation[] {
    return this.#pending.list;
  }

  /** What is known of this client's mutations: those of the last {@link OWN_RECEIPTS} that were settled, and those that wait. Oldest first. */
  get receipts(): OwnReceipt[] {
    return this.#own.receipts;
  }

  /** What is known of one of this client's mutations; undefined where it was never made, or too long ago. */
  receipt(counter: number): OwnReceipt | undefined {
    return this.#own.receipt(counter);
  }

  get vector(): VersionVector {
    return this.#committed.vector;
  }

  /** Whether the state is up to date as far as can be known here: nothing asked for, nothing under repair. */
  get isSettled(): boolean {
    return (
      this.phase === 'live' &&
      this.#isSynced &&
      !this.#request.isOpen &&
      !this.#state.isAssembling &&
      !this.#repair.isDescending &&
      this.#pending.list.length === 0
    );
  }

  /** How this client gets on at `now`, in nanoseconds on the clock of all other calls. */
  health(now: number): SyncHealth {
    return this.#health.assess(this.#standing, now);
  }

  /**
   * Calls `listener` with each event from now on. Returns the function that ends it. A listener may use the client; the frames that it is answered go
   * out at once. What it throws comes out of the call that it was told in, once all were told, and loses nothing.
   */
  on(listener: (event: ClientEvent) => void): () => void {
    return this.#events.on(listener);
  }

  /** A connection was opened: answers HELLO, with what can be resumed. */
  open(now: number): Uint8Array[] {
    this.#connection.open(now);
    this.#health.opened(now);
    this.#isSynced = false;
    this.#moment = undefined;
    this.#request.end();
    this.#state.opened();
    this.#repair.drop();
    this.#trace.replica(this.#role);
    this.#send(
      {
        type: 'HELLO',
        protocolMin: this.#protocols.min,
        protocolMax: this.#protocols.max,
        session: this.session,
        replica: this.replica,
        token: this.#token(),
        features: [...this.#features],
        next: this.#pending.list[0]?.mutation.counter ?? this.#counter + 1,
        role: this.#role,
        ...(this.version > 0 ? { resume: { ...standing(this.#committed), incarnation: this.#state.incarnation } } : {}),
      },
      [],
    );
    return this.#done();
  }

  /** A frame arrived. One that is refused changes nothing. */
  receive(frame: Uint8Array, now: number): Uint8Array[] {
    if (this.phase === 'closed') return [];
    let received: ReceivedFrame;
    try {
      received = this.#connection.read(frame);
    } catch (error) {
      if (!isSyncError(error)) throw error;
      this.#onUnreadable(error, frame, now);
      return this.#done();
    }
    const { message, seq, isRepeated } = received;
    if (isRepeated) this.#trace.log('debug', `${message.type} ${message.sequence} came again or late`, [seq]);
    else this.#onMessage(message, seq, now);
    return this.#done();
  }

  /**
   * Makes a mutation: applies it to the optimistic state at once and answers the frames that take it to the authority (none
   * while there is no connection; it is sent when there is one again). Refused here where the optimistic state does not allow
   * it; `unchecked` sends it nevertheless, for the authority to decide.
   */
  predict(command: string, given: Value, now: number, options: { readonly unchecked?: boolean } = {}): PredictResult {
    if (this.version === 0) return { rejected: 'there is no state yet' };
    if (this.#pending.list.length >= MAX_PENDING) return { rejected: `${MAX_PENDING} mutations are pending already` };
    if (!isSendable(command, given)) return { rejected: 'the command or its arguments cannot be sent' };
    // It is run and sent again later, as it was meant now.
    const args = ownCopy(given);
    if (this.#counter >= Number.MAX_SAFE_INTEGER) return { rejected: 'no counters are left under this name' };
    const decision = decide(this.#definition, this.#pending.root, command, args, this.replica);
    if (!decision.accepted && !options.unchecked) return { rejected: decision.reason };
    const changes = decision.accepted ? decision.changes : [];
    const mutation = { writer: this.replica, counter: ++this.#counter };
    const seq = this.#trace.prediction(mutation, command, this.version, changes);
    const untouched = { sentAt: undefined, sends: 0, rebases: 0, alterations: 0 };
    const pending = { mutation, command, args, changes, madeAt: now, madeOn: this.version, seq, ...untouched };
    this.#pending.add(pending, decision.accepted ? decision.root : this.#pending.root);
    if (this.#isSynced) this.#own.send(pending, now);
    return { mutation, frames: this.#done() };
  }

  /** Carries out what is due: heartbeats, and whatever had no answer. */
  tick(now: number): Uint8Array[] {
    if (this.#connection.isIgnored(now)) this.#end('HELLO_TIMEOUT', 'the authority did not answer HELLO');
    if (this.phase === 'live') {
      this.#retry(now);
      if (this.#acknowledging.isDue(now)) this.#acknowledge(this.#acknowledging.cause, now);
      if (this.version > 0 && now >= this.#nextHeartbeat) this.#heartbeat(now);
    }
    this.#followHealth(now);
    return this.#done();
  }

  /** Ends the connection politely. */
  close(reason: string): Uint8Array[] {
    if (this.phase !== 'closed') this.#send({ type: 'BYE', reason: fitText(reason, 500) }, []);
    return this.#done();
  }

  /** The connection was closed. State and pending mutations are kept for the next one. */
  closed(reason: string, _now: number): void {
    if (!this.#connection.end(reason)) return;
    this.#isSynced = false;
    this.#request.end();
    this.#state.closed();
    this.#repair.drop();
  }

  /** Emits who this is, all names, the state, the vector, the hash and what is pending, so that a capture that starts now is complete. */
  describe(): void {
    if (!this.#trace.isOpen) return;
    this.#trace.replica(this.#role);
    this.#trace.names(this.#connection.authority, 0, this.#connection.names, []);
    if (this.version === 0) return;
    this.#trace.snapshot('attach', this.#committed, []);
    this.#trace.vector(this.vector, []);
    this.#trace.hash(this.version, this.committed.hash);
    this.#trace.rebase(this.#pending.list, this.version, []);
  }

  /** For tests and the `corrupt` fault: changes the committed state behind the protocol's back. */
  corruptCommitted(changes: readonly Change[]): void {
    this.#state.corrupt(changes);
    this.#pending.rebase(this.committed);
  }

  // — frames —

  #onUnreadable(error: SyncError, frame: Uint8Array, now: number): void {
    const seq = this.#refused(error, frame);
    if (error.code === 'MESSAGE_UNKNOWN_TYPE' || this.phase !== 'live') return;
    const isNames = error.code === 'NAME_UNKNOWN' || error.code === 'NAMES_OUT_OF_ORDER';
    this.#repair.ask(isNames ? 'names' : 'frame', [seq], now);
  }

  #onMessage(message: Message, seq: number, now: number): void {
    switch (message.type) {
      case 'WELCOME':
        this.#onWelcome(message, seq, now);
        return;
      case 'UPGRADE_REQUIRED':
        this.#end('UPGRADE_REQUIRED', message.message);
        return;
      case 'ERROR':
        // The commands before it were lost on the way.
        if (message.code === 'COMMAND_GAP') this.#pending.resendSoon(now);
        this.#trace.log('warn', `${this.#connection.authority} refused a frame: ${message.code}: ${message.message}`, [
          seq,
        ]);
        this.#events.push({ type: 'error', code: message.code, message: message.message });
        return;
      case 'BYE':
        this.#end('BYE', message.reason, message.reconnect);
        return;
      case 'NAMES':
        this.#trace.names(message.sender, message.first, message.names, [seq]);
        return;
      default:
        if (this.phase === 'live') this.#onLive(message, seq, now);
        else this.#trace.log('warn', `${message.type} came before WELCOME and was passed over`, [seq]);
    }
  }

  #onLive(message: Message, seq: number, now: number): void {
    this.#health.heard(message);
    switch (message.type) {
      case 'FULL_SYNC':
        this.#state.onFullSync(message, seq, now);
        return;
      case 'DELTA_SYNC':
        this.#state.onDelta(message, seq, now);
        return;
      case 'REJECT':
        this.#own.onReject(message, seq, now);
        return;
      case 'EVENT':
        this.#moment = message;
        this.#events.push({ type: 'event', version: message.version, event: message.event, time: message.time });
        return;
      case 'MERKLE_OFFER':
        this.#repair.onOffer(message, seq, now);
        return;
      case 'MERKLE_ANSWER':
        this.#repair.onAnswer(message, seq, now);
        return;
      default:
        this.#refused(
          new SyncError('MESSAGE_UNEXPECTED', `${message.type} is not for a client`, { origin: 'protocol' }),
          undefined,
          [seq],
        );
    }
  }

  #onWelcome(welcome: MessageOf<'WELCOME'>, seq: number, now: number): void {
    if (this.phase !== 'greeting') {
      this.#trace.log('warn', 'a second WELCOME was passed over', [seq]);
      return;
    }
    const { min, max } = this.#protocols;
    if (welcome.protocol < min || welcome.protocol > max) {
      this.#end(
        'PROTOCOL_UNSUPPORTED',
        `the authority speaks protocol ${welcome.protocol}, this side ${min} to ${max}`,
      );
      return;
    }
    this.#connection.welcome(welcome.authority);
    this.#acknowledging.opened(welcome.acknowledge);
    this.#nextHeartbeat = now + HEARTBEAT_INTERVAL;
    // The state comes unasked; should it be lost, this asks for it.
    this.#request.begin('silence', now);
    const isRestart = this.#state.welcomed(welcome, seq);
    this.#events.push({ type: 'welcomed', resumed: welcome.resumed, isRestart });
  }

  /** There is a new committed state: settles what it covers and runs the rest again on top. */
  #onCommitted({ version, root, vector }: Committed, rejected: readonly Rejection[], cause: number, now: number): void {
    this.#counter = Math.max(this.#counter, vector.get(this.replica));
    this.#own.settle(rejected, cause, now);
    this.#own.rebase(cause);
    const time = this.#moment?.version === version ? { time: this.#moment.time } : {};
    this.#events.push({ type: 'committed', version, root: root.hash, ...time });
    if (this.#isSynced) return;
    this.#isSynced = true;
    this.#own.resend(now);
  }

  #acknowledge(cause: number, now: number): void {
    this.#send({ type: 'ACK', ...standing(this.#committed) }, [cause]);
    this.#told(now);
  }

  /** An acknowledgement says what a heartbeat would. */
  #told(now: number): void {
    this.#acknowledging.told(now);
    this.#nextHeartbeat = now + HEARTBEAT_INTERVAL;
  }

  #retry(now: number): void {
    this.#repair.retry(now);
    if (this.#isSynced && this.#pending.isOverdue(now)) this.#own.resend(now);
  }

  get #standing(): OwnStanding {
    const pendingSince = this.#pending.list[0]?.madeAt;
    return { isConnected: this.phase !== 'closed', version: this.version, pendingSince };
  }

  #followHealth(now: number): void {
    const health = this.#health.follow(this.#standing, now);
    if (!this.#health.hasTurned(health)) return;
    this.#trace.health(healthBody(this.replica, this.version, health));
    this.#events.push({ type: 'health', health });
  }

  #heartbeat(now: number): void {
    const cause = this.#trace.hash(this.version, this.committed.hash);
    this.#send({ type: 'HEARTBEAT', ...standing(this.#committed) }, [cause]);
    this.#told(now);
  }

  // — sending, telling, tracing —

  #send(body: MessageBody, cause: readonly number[]): void {
    this.#connection.send(body, cause);
  }

  /**
   * The frames of this step, after telling the listeners, who find the state consistent. Where one of them did something itself, it was given the frames
   * before its own as well: they go out in their order. Where one has thrown, they come with the next step.
   */
  #done(): Uint8Array[] {
    this.#events.tell();
    return this.#connection.drain();
  }

  #end(code: string, message: string, reconnect?: number): void {
    this.#connection.end(`${code}: ${message}`);
    this.#isSynced = false;
    this.#events.push({ type: 'ended', code, message, ...(reconnect === undefined ? {} : { reconnect }) });
  }

  #refused(error: SyncError, frame?: Uint8Array, cause: readonly number[] = []): number {
    const message = fitText(error.message, 2_000);
    this.#events.push({ type: 'refused', code: error.code, message });
    return this.#trace.refused(this.#connection.authority, error.code, message, cause, frame);
  }
}
