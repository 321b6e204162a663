import { VersionVector } from '../clock/index.ts';
import { isSyncError, SyncError } from '../errors/index.ts';
import { diffRoots, MerkleDescent, StateRoot } from '../merkle/index.ts';
import {
  FEATURES,
  type Feature,
  FrameDecoder,
  FrameEncoder,
  type Message,
  type MessageBody,
  type MessageOf,
  MIN_PROTOCOL,
  PROTOCOL_VERSION,
  type Rejection,
  type SyncReason,
} from '../messages/index.ts';
import { milliseconds } from '../ports/index.ts';
import { type Change, type ReplicaId, replicaId, type StateHash, type Value, type Version } from '../state/index.ts';
import { closedTap, type MutationId, type Tap, type TraceBodyOf } from '../trace/index.ts';
import type { ClientEvent } from './client-events.ts';
import { decide } from './decide.ts';
import { type PendingMutation, PendingMutations } from './pending.ts';
import type { SessionDefinition } from './session.ts';
import { MAX_BACKOFF, MAX_PENDING } from './settings.ts';

export interface ClientStateOptions {
  readonly definition: SessionDefinition;
  readonly replica: ReplicaId;
  readonly session: string;
  readonly token: string;
  readonly tap?: Tap;
  /** What the authority is called before it has said so; `server` where absent. */
  readonly authority?: ReplicaId;
  /** What this side offers; all of {@link FEATURES} where absent. */
  readonly features?: readonly Feature[];
  readonly role?: 'client' | 'peer';
}

/** `greeting` until WELCOME, `live` until the connection ends. */
export type ClientPhase = 'closed' | 'greeting' | 'live';

export type PredictResult =
  | { readonly mutation: MutationId; readonly frames: Uint8Array[] }
  | { readonly rejected: string };

const HEARTBEAT_INTERVAL = milliseconds(1_000);
const HELLO_TIMEOUT = milliseconds(5_000);
const DESCENT_TIMEOUT = milliseconds(3_000);
/** Before a request, or commands that nobody settled, are sent again; doubled each time. */
const RETRY_INTERVAL = milliseconds(1_000);

/** How much an answer to each reason brings: the names only, what changed, or everything. */
const WEIGHT: Readonly<Record<SyncReason, number>> = {
  silence: 0,
  base: 1,
  record: 1,
  root: 1,
  heartbeat: 1,
  frame: 1,
  names: 2,
  merkle: 3,
};

/** A Merkle descent under way. */
interface Repair {
  readonly descent: MerkleDescent;
  readonly base: StateRoot;
  readonly version: Version;
  readonly root: StateHash;
  until: number;
}

/** A SYNC_REQUEST that has no answer yet. */
interface Request {
  readonly reason: SyncReason;
  retryAt: number;
  wait: number;
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
  readonly #token: string;
  readonly #tap: Tap;
  readonly #features: readonly Feature[];
  readonly #role: 'client' | 'peer';
  readonly #encoder: FrameEncoder;
  readonly #listeners = new Set<(event: ClientEvent) => void>();
  readonly #pending: PendingMutations;
  #authority: ReplicaId;
  #decoder = new FrameDecoder();
  #phase: ClientPhase = 'closed';
  #openedAt = 0;
  #lastSequence = 0;
  #committed = StateRoot.empty;
  #version: Version = 0;
  #progress = 0;
  #vector = VersionVector.empty;
  /** The highest counter that this client has given to a mutation. */
  #counter = 0;
  /** Whether this connection has brought the state up to the authority's, or will: only then may commands follow. */
  #isSynced = false;
  /** Whether the authority has said that it starts anew, so that an older version may replace ours. */
  #mayReset = false;
  #request: Request | undefined;
  #repair: Repair | undefined;
  /** `seq` of the `mismatch` that is not yet put right; 0 where that was not traced. */
  #mismatch: number | undefined;
  #nextHeartbeat = 0;
  #resendAt = 0;
  #resendWait = RETRY_INTERVAL;
  #frames: Uint8Array[] = [];
  #events: ClientEvent[] = [];

  constructor(options: ClientStateOptions) {
    this.replica = options.replica;
    this.session = options.session;
    this.#definition = options.definition;
    this.#token = options.token;
    this.#tap = options.tap ?? closedTap;
    this.#features = options.features ?? FEATURES;
    this.#role = options.role ?? 'client';
    this.#authority = options.authority ?? replicaId('server');
    this.#encoder = new FrameEncoder(options.replica);
    this.#pending = new PendingMutations(options.definition, options.replica, this.#committed);
  }

  get phase(): ClientPhase {
    return this.#phase;
  }

  /** The authority's version of {@link committed}; 0 before the first full sync. */
  get version(): Version {
    return this.#version;
  }

  get committed(): StateRoot {
    return this.#committed;
  }

  /** Committed and pending, in the order in which they were made. */
  get optimistic(): StateRoot {
    return this.#pending.root;
  }

  get pending(): readonly PendingMutation[] {
    return this.#pending.list;
  }

  get vector(): VersionVector {
    return this.#vector;
  }

  /** Whether the state is up to date as far as can be known here: nothing asked for, nothing under repair. */
  get isSettled(): boolean {
    return (
      this.#phase === 'live' && this.#isSynced && !this.#request && !this.#repair && this.#pending.list.length === 0
    );
  }

  /** Calls `listener` with each event from now on. Returns the function that ends it. */
  on(listener: (event: ClientEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** A connection was opened: answers HELLO, with what can be resumed. */
  open(now: number): Uint8Array[] {
    this.#phase = 'greeting';
    this.#openedAt = now;
    this.#lastSequence = 0;
    this.#decoder = new FrameDecoder();
    this.#isSynced = false;
    this.#mayReset = this.#version === 0;
    this.#request = undefined;
    this.#repair = undefined;
    if (this.#tap.isOpen) this.#tap.emit(this.replica, { kind: 'replica', role: this.#role });
    this.#send(
      {
        type: 'HELLO',
        protocolMin: MIN_PROTOCOL,
        protocolMax: PROTOCOL_VERSION,
        session: this.session,
        replica: this.replica,
        token: this.#token,
        features: [...this.#features],
        next: this.#pending.list[0]?.mutation.counter ?? this.#counter + 1,
        role: this.#role,
        ...(this.#version > 0 ? { resume: this.#standing() } : {}),
      },
      [],
    );
    return this.#done();
  }

  /** A frame arrived. One that is refused changes nothing. */
  receive(frame: Uint8Array, now: number): Uint8Array[] {
    if (this.#phase === 'closed') return [];
    let message: Message;
    try {
      message = this.#decoder.decode(frame);
    } catch (error) {
      if (!isSyncError(error)) throw error;
      this.#onUnreadable(error, frame, now);
      return this.#done();
    }
    const { type, sender, sequence } = message;
    const seq = this.#tap.isOpen
      ? this.#tap.emit(this.replica, { kind: 'receive', from: sender, type, sender, sequence }, [], frame)
      : 0;
    if (sequence <= this.#lastSequence) {
      this.#log('debug', `${type} ${sequence} came again or late and was passed over`, [seq]);
    } else {
      this.#lastSequence = sequence;
      this.#onMessage(message, seq, now);
    }
    return this.#done();
  }

  /**
   * Makes a mutation: applies it to the optimistic state at once and answers the frames that take it to the authority (none
   * while there is no connection; it is sent when there is one again). Refused here where the optimistic state does not allow
   * it; `unchecked` sends it nevertheless, for the authority to decide.
   */
  predict(command: string, args: Value, now: number, options: { readonly unchecked?: boolean } = {}): PredictResult {
    if (this.#version === 0) return { rejected: 'there is no state yet' };
    if (this.#pending.list.length >= MAX_PENDING) return { rejected: `${MAX_PENDING} mutations are pending already` };
    const decision = decide(this.#definition, this.#pending.root, command, args, this.replica);
    if (!decision.accepted && !options.unchecked) return { rejected: decision.reason };
    const changes = decision.accepted ? decision.changes : [];
    const mutation = { writer: this.replica, counter: ++this.#counter };
    const seq = this.#tap.isOpen
      ? this.#tap.emit(this.replica, {
          kind: 'prediction',
          mutation,
          command: command.slice(0, 80),
          version: this.#version,
          changes: [...changes],
        })
      : 0;
    if (this.#pending.list.length === 0) this.#resendAt = now + this.#resendWait;
    const pending = { mutation, command, args, changes, madeAt: now, seq };
    this.#pending.add(pending, decision.accepted ? decision.root : this.#pending.root);
    if (this.#isSynced) this.#sendCommand(pending);
    return { mutation, frames: this.#done() };
  }

  /** Carries out what is due: heartbeats, and whatever had no answer. */
  tick(now: number): Uint8Array[] {
    if (this.#phase === 'greeting' && now - this.#openedAt >= HELLO_TIMEOUT) {
      this.#end('HELLO_TIMEOUT', 'the authority did not answer HELLO');
    }
    if (this.#phase === 'live') {
      this.#retry(now);
      if (this.#version > 0 && now >= this.#nextHeartbeat) this.#heartbeat(now);
    }
    return this.#done();
  }

  /** Ends the connection politely. */
  close(reason: string): Uint8Array[] {
    if (this.#phase !== 'closed') this.#send({ type: 'BYE', reason: reason.slice(0, 500) }, []);
    return this.#done();
  }

  /** The connection was closed. State and pending mutations are kept for the next one. */
  closed(reason: string, _now: number): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'closed';
    this.#isSynced = false;
    this.#request = undefined;
    this.#repair = undefined;
    if (this.#tap.isOpen) this.#tap.emit(this.replica, { kind: 'gone', reason: reason.slice(0, 500) });
  }

  /** Emits who this is, all names, the state, the vector, the hash and what is pending, so that a capture that starts now is complete. */
  describe(): void {
    if (!this.#tap.isOpen) return;
    const emit = this.#tap.emit.bind(this.#tap, this.replica);
    emit({ kind: 'replica', role: this.#role });
    const { names } = this.#decoder;
    if (names.length > 0) emit({ kind: 'names', sender: this.#authority, first: 0, names: names.slice(0) });
    if (this.#version === 0) return;
    this.#traceSnapshot('attach', []);
    emit({ kind: 'vector', vector: this.#vector.entries() });
    emit({ kind: 'hash', version: this.#version, own: this.#committed.hash });
    if (this.#pending.list.length > 0) this.#traceRebase([]);
  }

  /** For tests and the `corrupt` fault: changes the committed state behind the protocol's back. */
  corruptCommitted(changes: readonly Change[]): void {
    this.#committed = this.#committed.apply(changes);
    this.#pending.rebase(this.#committed);
  }

  // — frames —

  #onUnreadable(error: SyncError, frame: Uint8Array, now: number): void {
    const seq = this.#refused(error, frame);
    if (error.code === 'MESSAGE_UNKNOWN_TYPE' || this.#phase !== 'live') return;
    const isNames = error.code === 'NAME_UNKNOWN' || error.code === 'NAMES_OUT_OF_ORDER';
    this.#ask(isNames ? 'names' : 'frame', [seq], now);
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
        if (message.code === 'COMMAND_GAP') this.#resendAt = Math.min(this.#resendAt, now);
        this.#log('warn', `${this.#authority} refused a frame: ${message.code}: ${message.message}`, [seq]);
        this.#events.push({ type: 'error', code: message.code, message: message.message });
        return;
      case 'BYE':
        this.#end('BYE', message.reason);
        return;
      case 'NAMES':
        this.#traceNames(message, seq);
        return;
      default:
        if (this.#phase === 'live') this.#onLive(message, seq, now);
        else this.#log('warn', `${message.type} came before WELCOME and was passed over`, [seq]);
    }
  }

  #onLive(message: Message, seq: number, now: number): void {
    switch (message.type) {
      case 'FULL_SYNC':
        this.#onFullSync(message, seq, now);
        return;
      case 'DELTA_SYNC':
        this.#onDelta(message, seq, now);
        return;
      case 'REJECT':
        this.#onReject(message, seq, now);
        return;
      case 'EVENT':
        this.#events.push({ type: 'event', version: message.version, event: message.event, time: message.time });
        return;
      case 'MERKLE_OFFER':
        this.#onOffer(message, seq, now);
        return;
      case 'MERKLE_ANSWER':
        this.#onAnswer(message, seq, now);
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
    if (this.#phase !== 'greeting') {
      this.#log('warn', 'a second WELCOME was passed over', [seq]);
      return;
    }
    this.#phase = 'live';
    this.#authority = welcome.authority;
    this.#mayReset = !welcome.resumed;
    this.#nextHeartbeat = now + HEARTBEAT_INTERVAL;
    // The state comes unasked; should it be lost, this asks for it.
    this.#request = { reason: 'silence', retryAt: now + RETRY_INTERVAL, wait: RETRY_INTERVAL };
    this.#events.push({ type: 'welcomed', resumed: welcome.resumed });
  }

  // — committed state —

  #onFullSync(full: MessageOf<'FULL_SYNC'>, seq: number, now: number): void {
    if (!this.#mayReset && !this.#request && full.version < this.#version) {
      this.#log('debug', `full sync of ${full.version} passed over: already at ${this.#version}`, [seq]);
      return;
    }
    const root = StateRoot.from(full.records.map(({ key, record }) => [key, record] as const));
    if (root.hash !== full.root) {
      const text = `the records of version ${full.version} have the root ${root.hash}, not ${full.root} as stated`;
      this.#refused(new SyncError('SNAPSHOT_ROOT_MISMATCH', text, { origin: 'protocol', retry: 'now' }), undefined, [
        seq,
      ]);
      this.#ask('merkle', [seq], now);
      return;
    }
    const isSameVersion = this.#version === full.version;
    let cause = seq;
    if (this.#tap.isOpen) {
      if (this.#mismatch !== undefined && isSameVersion) this.#traceDifferences(root, full, seq);
      const { version, records, vector } = full;
      const body = { reason: 'full-sync' as const, version, records, root: root.hash, vector };
      cause = this.#tap.emit(this.replica, { kind: 'snapshot', ...body }, [seq]);
    }
    this.#repair = undefined;
    this.#mayReset = false;
    this.#vector = VersionVector.from(full.vector);
    this.#counter = Math.max(this.#counter, this.#vector.get(this.replica));
    this.#commit(root, full, full.rejected, cause, now);
    this.#repaired('snapshot', cause, 0);
    this.#acknowledge(cause);
  }

  #onDelta(delta: MessageOf<'DELTA_SYNC'>, seq: number, now: number): void {
    const { from, to } = delta;
    if (this.#repair) {
      this.#log('debug', `delta ${from}→${to} passed over during a repair`, [seq]);
      return;
    }
    if (from !== this.#version) {
      this.#onOtherBase(delta, seq, now);
      return;
    }
    if (delta.since > this.#progress) {
      // How mutations of ours ended went with a frame that was lost; the state lacks nothing.
      this.#log(
        'warn',
        `delta ${from}→${to} tells of what was settled since ${delta.since}, but ${this.#progress} is known`,
        [seq],
      );
      this.#ask('base', [seq], now);
      return;
    }
    let root: StateRoot;
    try {
      root = this.#committed.apply(delta.changes);
    } catch (error) {
      if (!isSyncError(error)) throw error;
      this.#onMismatch('record', delta, undefined, seq, now);
      return;
    }
    if (root.hash !== delta.root) {
      this.#onMismatch('root', delta, root.hash, seq, now);
      return;
    }
    let cause = seq;
    if (this.#tap.isOpen) {
      const body = { from, to, changes: delta.changes, root: root.hash };
      cause = this.#tap.emit(this.replica, { kind: 'apply', ...body }, [seq]);
    }
    const before = this.#vector;
    this.#vector = before.mergeEntries(delta.vector);
    if (this.#tap.isOpen && this.#vector !== before) {
      this.#tap.emit(this.replica, { kind: 'vector', vector: this.#vector.entries() }, [cause]);
    }
    this.#commit(root, { version: to, progress: delta.progress }, delta.rejected, cause, now);
    this.#repaired('delta', cause, 0);
    this.#acknowledge(cause);
  }

  #onOtherBase(delta: MessageOf<'DELTA_SYNC'>, seq: number, now: number): void {
    const { from, to } = delta;
    if (to <= this.#version) {
      this.#log('debug', `delta ${from}→${to} passed over: already at ${this.#version}`, [seq]);
      // The authority seems not to know.
      this.#acknowledge(seq);
    } else if (this.#request) {
      this.#log('debug', `delta ${from}→${to} does not fit ${this.#version}; asked already`, [seq]);
    } else {
      this.#onMismatch('base', delta, undefined, seq, now);
    }
  }

  /** Nothing was applied. Asks the authority, which finds out whether the delta was wrong or what we have. */
  #onMismatch(
    reason: 'base' | 'record' | 'root',
    delta: MessageOf<'DELTA_SYNC'>,
    got: StateHash | undefined,
    seq: number,
    now: number,
  ): void {
    const { from, to } = delta;
    const body = { reason, from, to, expected: delta.root, ...(got === undefined ? {} : { got }) };
    this.#ask(reason, [this.#traceMismatch(body, seq)], now);
  }

  /** Swaps in a new committed state, settles what it covers and runs the rest again on top. */
  #commit(
    root: StateRoot,
    at: { readonly version: Version; readonly progress: number },
    rejected: readonly Rejection[],
    cause: number,
    now: number,
  ): void {
    this.#committed = root;
    this.#version = at.version;
    this.#progress = at.progress;
    this.#request = undefined;
    this.#settle(rejected, cause, now);
    this.#rebase(cause);
    this.#events.push({ type: 'committed', version: this.#version, root: root.hash });
    if (this.#isSynced) return;
    this.#isSynced = true;
    this.#resendCommands(now);
  }

  #acknowledge(cause: number): void {
    this.#send({ type: 'ACK', ...this.#standing() }, [cause]);
  }

  #standing(): { readonly version: Version; readonly progress: number; readonly root: StateHash } {
    return { version: this.#version, progress: this.#progress, root: this.#committed.hash };
  }

  // — pending mutations —

  /** Takes out what the vector covers: refused where the authority says so, confirmed otherwise. */
  #settle(rejected: readonly Rejection[], cause: number, now: number): void {
    const settled = this.#vector.get(this.replica);
    const reasons = new Map<number, string>();
    for (const { replica, counter, reason } of rejected) if (replica === this.replica) reasons.set(counter, reason);
    for (const { mutation } of this.#pending.remove((pending) => pending.mutation.counter <= settled)) {
      const reason = reasons.get(mutation.counter);
      if (reason === undefined) this.#confirmed(mutation, cause);
      else this.#rolledBack(mutation, reason, cause);
      this.#resendWait = RETRY_INTERVAL;
      this.#resendAt = now + RETRY_INTERVAL;
    }
  }

  #onReject(reject: MessageOf<'REJECT'>, seq: number, now: number): void {
    const [pending] = this.#pending.remove(({ mutation }) => mutation.counter === reject.counter);
    if (!pending) return;
    this.#rolledBack(pending.mutation, reject.reason, seq);
    this.#resendWait = RETRY_INTERVAL;
    this.#resendAt = now + RETRY_INTERVAL;
    this.#rebase(seq);
  }

  #confirmed(mutation: MutationId, cause: number): void {
    if (this.#tap.isOpen) {
      this.#tap.emit(this.replica, { kind: 'confirmation', mutation, version: this.#version }, [cause]);
    }
    this.#events.push({ type: 'confirmed', mutation, version: this.#version });
  }

  #rolledBack(mutation: MutationId, reason: string, cause: number): void {
    if (this.#tap.isOpen) {
      this.#tap.emit(this.replica, { kind: 'rollback', mutation, reason, version: this.#version }, [cause]);
    }
    this.#events.push({ type: 'rejected', mutation, reason });
  }

  #rebase(cause: number): void {
    this.#pending.rebase(this.#committed);
    if (this.#tap.isOpen && this.#pending.list.length > 0) this.#traceRebase([cause]);
  }

  #sendCommand({ mutation, command, args, seq }: PendingMutation): void {
    this.#send({ type: 'COMMAND', counter: mutation.counter, command, args }, [seq]);
  }

  #resendCommands(now: number): void {
    for (const pending of this.#pending.list) this.#sendCommand(pending);
    this.#resendAt = now + this.#resendWait;
  }

  // — repair —

  #onOffer(offer: MessageOf<'MERKLE_OFFER'>, seq: number, now: number): void {
    if (offer.version !== this.#version) {
      this.#ask('base', [seq], now);
      return;
    }
    if (offer.root === this.#committed.hash) {
      this.#request = undefined;
      this.#acknowledge(seq);
      return;
    }
    const running = this.#repair;
    if (running?.version === offer.version && running.root === offer.root && running.base === this.#committed) {
      // A heartbeat and a request may cross and bring two offers. Starting anew would take the answer under way for a wrong one.
      this.#request = undefined;
      return;
    }
    let cause = seq;
    if (this.#mismatch === undefined) {
      const version = this.#version;
      const body = { from: version, to: version, expected: offer.root, got: this.#committed.hash };
      cause = this.#traceMismatch({ reason: 'heartbeat', ...body }, seq);
    }
    this.#request = undefined;
    const descent = new MerkleDescent(this.#committed, offer.root);
    this.#repair = { descent, base: this.#committed, version: offer.version, root: offer.root, until: 0 };
    this.#continueRepair(this.#repair, cause, now);
  }

  #onAnswer(answer: MessageOf<'MERKLE_ANSWER'>, seq: number, now: number): void {
    const repair = this.#repair;
    if (!repair) {
      this.#log('debug', 'a Merkle answer that nobody waits for was passed over', [seq]);
      return;
    }
    try {
      repair.descent.receive(answer);
    } catch (error) {
      if (!isSyncError(error)) throw error;
      this.#refused(error, undefined, [seq]);
      this.#ask('merkle', [seq], now);
      return;
    }
    this.#continueRepair(repair, seq, now);
  }

  #continueRepair(repair: Repair, cause: number, now: number): void {
    const query = repair.descent.next();
    if (query) {
      repair.until = now + DESCENT_TIMEOUT;
      this.#send({ type: 'MERKLE_QUERY', ...query }, [cause]);
      return;
    }
    this.#repair = undefined;
    const changes = repair.descent.result();
    const root = repair.base.apply(changes);
    // The descent verified every part; this also catches a state that was changed behind its back.
    if (root.hash !== repair.root || this.#committed !== repair.base) {
      this.#ask('merkle', [cause], now);
      return;
    }
    const { version } = repair;
    const { differences, rounds, hashes, bytes } = repair.descent;
    let applied = cause;
    if (this.#tap.isOpen) {
      const body = { against: this.#authority, version, differences, rounds, hashes, bytes };
      const found = this.#tap.emit(this.replica, { kind: 'divergence', ...body }, [cause, this.#mismatch ?? 0]);
      applied = this.#tap.emit(this.replica, { kind: 'apply', from: version, to: version, changes, root: root.hash }, [
        found,
      ]);
    }
    this.#commit(root, { version, progress: this.#progress }, [], applied, now);
    this.#repaired('merkle', applied, bytes);
    this.#acknowledge(applied);
  }

  /** Own root equals the authority's again. */
  #repaired(method: 'delta' | 'merkle' | 'snapshot', cause: number, bytes: number): void {
    if (this.#mismatch === undefined) return;
    if (this.#tap.isOpen) {
      const body = { version: this.#version, method, root: this.#committed.hash, bytes };
      this.#tap.emit(this.replica, { kind: 'repair', ...body }, [cause, this.#mismatch]);
    }
    this.#mismatch = undefined;
    this.#events.push({ type: 'repaired', method });
  }

  /** Asks the authority to put us right. One request is out at a time, repeated on {@link tick}; only a weightier reason overtakes it. */
  #ask(reason: SyncReason, cause: readonly number[], now: number): void {
    this.#repair = undefined;
    const before = this.#request;
    if (before && now < before.retryAt && WEIGHT[reason] <= WEIGHT[before.reason]) return;
    const wait = before?.reason === reason ? Math.min(before.wait * 2, MAX_BACKOFF) : RETRY_INTERVAL;
    this.#request = { reason, retryAt: now + wait, wait };
    this.#send({ type: 'SYNC_REQUEST', ...this.#standing(), reason }, cause);
  }

  #retry(now: number): void {
    if (this.#repair && now >= this.#repair.until) this.#ask('merkle', [], now);
    if (this.#request && now >= this.#request.retryAt) this.#ask(this.#request.reason, [], now);
    if (this.#isSynced && this.#pending.list.length > 0 && now >= this.#resendAt) {
      this.#resendWait = Math.min(this.#resendWait * 2, MAX_BACKOFF);
      this.#resendCommands(now);
    }
  }

  #heartbeat(now: number): void {
    this.#nextHeartbeat = now + HEARTBEAT_INTERVAL;
    const cause = this.#tap.isOpen
      ? this.#tap.emit(this.replica, { kind: 'hash', version: this.#version, own: this.#committed.hash })
      : 0;
    this.#send({ type: 'HEARTBEAT', ...this.#standing() }, [cause]);
  }

  // — sending, telling, tracing —

  #send(body: MessageBody, cause: readonly number[]): void {
    for (const { frame, type, sender, sequence, names } of this.#encoder.encode(body)) {
      if (this.#tap.isOpen) {
        if (names) this.#tap.emit(sender, { kind: 'names', sender, first: names.first, names: [...names.names] });
        this.#tap.emit(sender, { kind: 'send', to: this.#authority, type, sender, sequence }, cause, frame);
      }
      this.#frames.push(frame);
    }
  }

  /** The frames of this step, after telling the listeners, who may find the state consistent. */
  #done(): Uint8Array[] {
    const frames = this.#frames;
    this.#frames = [];
    const events = this.#events;
    this.#events = [];
    for (const event of events) for (const listener of this.#listeners) listener(event);
    return frames;
  }

  #end(code: string, message: string): void {
    this.#phase = 'closed';
    this.#isSynced = false;
    this.#events.push({ type: 'ended', code, message });
    if (this.#tap.isOpen) this.#tap.emit(this.replica, { kind: 'gone', reason: `${code}: ${message}`.slice(0, 500) });
  }

  #refused(error: SyncError, frame?: Uint8Array, cause: readonly number[] = []): number {
    const message = error.message.slice(0, 2_000);
    this.#events.push({ type: 'refused', code: error.code, message });
    if (!this.#tap.isOpen) return 0;
    return this.#tap.emit(
      this.replica,
      { kind: 'refused', from: this.#authority, code: error.code, message },
      cause,
      frame,
    );
  }

  #traceMismatch(body: Omit<TraceBodyOf<'mismatch'>, 'kind' | 'version' | 'own'>, cause: number): number {
    const { version } = this;
    this.#events.push({ type: 'mismatch', reason: body.reason });
    const isFirst = this.#mismatch === undefined;
    const seq = this.#tap.isOpen
      ? this.#tap.emit(this.replica, { kind: 'mismatch', version, own: this.#committed.hash, ...body }, [cause])
      : 0;
    this.#mismatch ??= seq;
    // What is there now explains the difference, and nobody wrote it through the protocol.
    if (this.#tap.isOpen && isFirst && body.reason !== 'base') this.#traceSnapshot('mismatch', [seq]);
    return seq;
  }

  #traceDifferences(root: StateRoot, full: MessageOf<'FULL_SYNC'>, seq: number): void {
    const differences = diffRoots(this.#committed, root).map(({ key, left, right }) => ({
      key,
      own: left ?? null,
      theirs: right ?? null,
    }));
    if (differences.length === 0) return;
    const body = { against: this.#authority, version: full.version, differences, rounds: 0, hashes: 0, bytes: 0 };
    this.#tap.emit(this.replica, { kind: 'divergence', ...body }, [seq, this.#mismatch ?? 0]);
  }

  #traceSnapshot(reason: 'attach' | 'mismatch', cause: readonly number[]): void {
    const records = Array.from(this.#committed.entries(), ([key, record]) => ({ key, record }));
    const body = { version: this.#version, records, root: this.#committed.hash, vector: this.#vector.entries() };
    this.#tap.emit(this.replica, { kind: 'snapshot', reason, ...body }, cause);
  }

  #traceRebase(cause: readonly number[]): void {
    const pending = this.#pending.list.map(({ mutation, changes }) => ({ mutation, changes: [...changes] }));
    this.#tap.emit(this.replica, { kind: 'rebase', version: this.#version, pending }, cause);
  }

  #traceNames({ sender, first, names }: MessageOf<'NAMES'>, seq: number): void {
    if (this.#tap.isOpen) this.#tap.emit(this.replica, { kind: 'names', sender, first, names }, [seq]);
  }

  #log(level: 'debug' | 'warn', text: string, cause: readonly number[]): void {
    if (this.#tap.isOpen) this.#tap.emit(this.replica, { kind: 'log', level, text: text.slice(0, 10_000) }, cause);
  }
}
