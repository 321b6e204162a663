import { isSyncError, SyncError } from '../../errors/index.ts';
import type { LogDisk } from '../../events/index.ts';
import type { StateRoot } from '../../merkle/index.ts';
import { decodeMessage, FrameEncoder, type MessageBody, noNames } from '../../messages/index.ts';
import type { Clock, Transport } from '../../ports/index.ts';
import { fitText } from '../../schema/index.ts';
import { type Change, type ReplicaId, replicaId, type Version } from '../../state/index.ts';
import { closedTap, type Tap } from '../../trace/index.ts';
import type { StatedVersion } from './catch-up.ts';
import type { Effect } from './effects.ts';
import { ConsensusEngine, type ConsensusOptions, strangerError } from './engine.ts';
import { ConsensusLog, readConsensusLog } from './log.ts';
import type { MemberStanding } from './member-standing.ts';
import type { Intent, ProposalReceipt, StateProposal } from './proposal.ts';
import { checkpointOf } from './records.ts';
import { recovered } from './recovery.ts';
import { consensusSettings } from './settings.ts';
import { initialStanding, type Standing } from './standing.ts';

export interface ConsensusPeerOptions extends ConsensusOptions {
  readonly clock: Clock;
  readonly tap?: Tap;
}

/** Where a member keeps its votes. */
export interface ConsensusStorage {
  readonly disk: LogDisk;
  /** The bytes that the disk's file has, empty at the first start. */
  readonly contents: Uint8Array;
}

/** The largest frame that is looked at: a whole state. */
const FRAME_MAX = 64 * 1024 * 1024;
const STRANGER = replicaId('stranger');

interface Waiting {
  readonly effect: Effect;
  /** Of the last record that must be durable before it. */
  readonly position: number;
  readonly cause: readonly number[];
}

/**
 * A member with its log, its links and its tap: carries out what the {@link ConsensusEngine} asks for, each effect once everything
 * written before it is durable. Call {@link tick} a few times within a `resendInterval`.
 */
export class ConsensusPeer {
  readonly #engine: ConsensusEngine;
  readonly #clock: Clock;
  readonly #tap: Tap;
  readonly #encoder: FrameEncoder;
  readonly #links = new Map<ReplicaId, Transport>();
  readonly #listeners = new Set<(proposal: StateProposal | undefined) => void>();
  readonly #frameMax: number;
  #log: ConsensusLog | undefined;
  #waiting: Waiting[] = [];
  #isReleasing = false;
  /** Bytes of the file when it was last written anew: a state larger than the limit is not to be rewritten at every step. */
  #rewritten = 0;
  #isClosed = false;
  /** Whether its state was put in place since the last decision, which its log knows nothing of. */
  #isMended = false;
  #version: Version;
  #root: StateRoot;

  private constructor(options: ConsensusPeerOptions, standing: Standing) {
    const { clock, tap = closedTap, admit, ...rest } = options;
    const room = { admit: (proposal: Parameters<NonNullable<typeof admit>>[0]) => this.#noRoom() ?? admit?.(proposal) };
    this.#engine = new ConsensusEngine({ ...rest, ...room }, standing);
    this.#clock = clock;
    this.#tap = tap;
    this.#encoder = new FrameEncoder(options.replica);
    // Every frame can be read by itself: any of them may be lost.
    this.#encoder.names.seal();
    this.#frameMax = this.#engine.settings.maxBytes * 2 + 65_536;
    this.#version = standing.version;
    this.#root = standing.root;
  }

  /**
   * A member whose votes do not survive its process, for tests and for groups whose members never come back under the same name.
   * @throws SyncError as {@link ConsensusEngine}
   */
  static inMemory(options: ConsensusPeerOptions, initial: StateRoot): ConsensusPeer {
    const peer = new ConsensusPeer(options, initialStanding(initial));
    peer.announce();
    return peer;
  }

  /**
   * A member that keeps its votes. It goes on from what `contents` says, or begins with `initial`, which is the same at all members.
   * `done` is called once that is durable, or with the error `LOG_FAILED`. With `goesOn`, it
   * is where another one was, whatever `contents` are, and says nothing; `intents` are those that were not settled there, in order, and
   * {@link receipts} has what becomes of them.
   * @throws SyncError as {@link ConsensusEngine} and {@link readConsensusLog}; `STANDING_UNFIT` where `intents` are not as many
   */
  static open(
    options: ConsensusPeerOptions,
    { disk, contents }: ConsensusStorage,
    initial: StateRoot,
    done: (peer: ConsensusPeer | SyncError) => void,
    goesOn?: MemberStanding,
    intents: readonly Intent[] = [],
  ): void {
    const { kept } = consensusSettings(options.settings ?? {});
    const { replica, members } = options;
    const owner = { replica, members };
    const found = goesOn
      ? recovered(undefined, goesOn.checkpoint, kept)
      : readConsensusLog(contents, kept, owner).standing;
    const standing = found ?? initialStanding(initial);
    const peer = new ConsensusPeer(options, standing);
    const onDurable = () => peer.#release();
    ConsensusLog.open(disk, standing, { owner, kept, onDurable }, (log) => {
      if (log instanceof SyncError) {
        done(log);
        return;
      }
      peer.#log = log;
      if (goesOn) peer.#resume(goesOn, intents);
      else peer.announce();
      done(peer);
    });
  }

  /** Where it is, for another one to open from; undefined where that cannot be said just now. */
  get standing(): MemberStanding | undefined {
    const engine = this.#engine.doing;
    const isSettled = this.#waiting.length === 0 && this.#log !== undefined && this.#log.last === this.#log.durable;
    if (!engine || !isSettled || this.#isMended || this.#isClosed || this.failure) return undefined;
    const { standing, settings, replica, members } = this.#engine;
    const checkpoint = checkpointOf(standing, settings.kept, { replica, members });
    return { checkpoint, sequence: this.#encoder.standing.sequence, engine };
  }

  #resume({ sequence, engine }: MemberStanding, intents: readonly Intent[]): void {
    this.#encoder.resume({ names: [], announced: 0, sequence });
    this.#engine.resume(engine, intents);
  }

  get replica(): ReplicaId {
    return this.#engine.replica;
  }

  get members(): readonly ReplicaId[] {
    return this.#engine.members;
  }

  /** The newest decided version that this member knows, durably. */
  get version(): Version {
    return this.#version;
  }

  get root(): StateRoot {
    return this.#root;
  }

  get isLeading(): boolean {
    return this.#engine.isLeading;
  }

  /** Own intents that are not settled. */
  get waiting(): number {
    return this.#engine.waiting;
  }

  /** Of the own intents that are not settled, in order. */
  get receipts(): readonly ProposalReceipt[] {
    return this.#engine.receipts;
  }

  /** What each other member has said in its last heartbeat: its version, and the hash of its state there. */
  get stated(): ReadonlyMap<ReplicaId, StatedVersion> {
    return this.#engine.stated;
  }

  /** The decided changes after `version`, oldest first; undefined where they are not kept any more. */
  decidedSince(version: Version): readonly StateProposal[] | undefined {
    const recent = this.#engine.standing.recent.filter((one) => one.version > version && one.version <= this.#version);
    return recent.length === Math.max(0, this.#version - version) ? recent : undefined;
  }

  /** Whether something was accepted here of which it is not known whether it will be decided. */
  get hasUndecided(): boolean {
    return this.#engine.standing.accepted !== undefined;
  }

  /** Effects that wait for the disk, and decided changes that wait for their predecessors: for watching bounds. */
  get backlog(): { readonly effects: number; readonly held: number } {
    return { effects: this.#waiting.length, held: this.#engine.held };
  }

  /** `LOG_FAILED` once the disk takes nothing any more: the member says nothing from then on. Start it again from its log. */
  get failure(): SyncError | undefined {
    return this.#log?.failure;
  }

  /** Uses `transport` to and from a member, instead of the one before. @throws SyncError `MEMBER_UNKNOWN` */
  attach(member: ReplicaId, transport: Transport): void {
    if (member === this.replica || !this.members.includes(member)) throw strangerError(member);
    this.#links.set(member, transport);
    transport.onFrame((frame) => {
      if (this.#links.get(member) === transport) this.receiveFrame(frame, member);
    });
    transport.onClose(() => {
      if (this.#links.get(member) === transport) this.#links.delete(member);
    });
  }

  /**
   * A frame came in, over the link of `from` or, where that is left out, over a bus that many speak on. What is wrong with it is
   * answered and traced, and changes nothing.
   */
  receiveFrame(frame: Uint8Array, from?: ReplicaId): SyncError | undefined {
    if (this.#isClosed || this.failure) return undefined;
    let sender = from ?? STRANGER;
    try {
      if (frame.length > FRAME_MAX) throw tooLarge(frame, FRAME_MAX);
      if (this.#isOverloaded) throw overloaded();
      const message = decodeMessage(frame, noNames);
      if (from !== undefined && message.sender !== from) {
        const text = `a frame of ${message.sender} came over the link of ${from}`;
        throw new SyncError('SENDER_MISMATCH', text, { origin: 'protocol' });
      }
      sender = message.sender;
      if (frame.length > this.#frameMax && message.type !== 'FULL_SYNC') throw tooLarge(frame, this.#frameMax);
      const { type, sequence } = message;
      const body = { kind: 'receive', from: sender, type, sender, sequence } as const;
      const seq = this.#tap.isOpen ? this.#tap.emit(this.replica, body, [], frame) : 0;
      this.#engine.receive(sender, message, this.#clock.now());
      this.#carryOut([seq]);
      return undefined;
    } catch (error) {
      if (!isSyncError(error)) throw error;
      this.#carryOut([]);
      const body = { from: sender, code: error.code, message: fitText(error.message, 2_000) };
      if (this.#tap.isOpen) this.#tap.emit(this.replica, { kind: 'refused', ...body }, [], frame.slice(0, 65_536));
      return error;
    }
  }

  /** Wants something changed. @throws SyncError `PROPOSAL_QUEUE_FULL`, `LOG_FAILED`, `PEER_CLOSED` */
  propose(intent: Intent): ProposalReceipt {
    if (this.failure) throw this.failure;
    if (this.#isClosed) throw new SyncError('PEER_CLOSED', 'this member has left', { origin: 'state' });
    const receipt = this.#engine.propose(intent, this.#clock.now());
    this.#carryOut([]);
    return receipt;
  }

  tick(): void {
    if (this.#isClosed || this.failure || this.#isOverloaded) return;
    this.#engine.tick(this.#clock.now());
    this.#carryOut([]);
  }

  /** Calls `listener` with each change that is decided, once it is in {@link root}, or with undefined for many at once. */
  listen(listener: (proposal: StateProposal | undefined) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Changes the state of this member behind the protocol's back; its log still has what was decided. For faults. */
  corrupt(changes: readonly Change[]): void {
    this.#root = this.#root.apply(changes);
    this.#engine.damage(this.#engine.standing.root.apply(changes));
    this.#isMended = true;
  }

  /**
   * Puts the group's state of the present version in place of this member's, which was found to be another. Nothing is logged: the log has
   * it. Where a later version is about to be durable there is nothing to mend.
   */
  mend(root: StateRoot): void {
    if (this.#engine.standing.version !== this.#version) return;
    this.#engine.mend(root);
    this.#root = root;
    this.#isMended = true;
  }

  /** Says something else than votes over the link to a member, numbered with all that this member says. */
  say(to: ReplicaId, body: MessageBody, cause: readonly number[] = []): void {
    if (!this.#isClosed) this.#send([to], body, cause);
  }

  /** Says nothing from now on. Its links stay open. */
  close(reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#waiting = [];
    this.#links.clear();
    if (this.#tap.isOpen) this.#tap.emit(this.replica, { kind: 'gone', reason });
  }

  /** Tells the tap who this is and what it has: for whoever begins to watch. */
  announce(): void {
    if (!this.#tap.isOpen) return;
    this.#tap.emit(this.replica, { kind: 'replica', role: 'peer' });
    this.#traceSnapshot('attach', []);
  }

  /** Whether so much waits for the disk that nothing more is taken in. A frame that is lost is asked for again. */
  get #isOverloaded(): boolean {
    return this.#waiting.length >= this.#engine.settings.maxWaiting;
  }

  #noRoom(): string | undefined {
    const behind = this.#log ? this.#log.last - this.#log.durable : 0;
    const { maxUndurable } = this.#engine.settings;
    return behind > maxUndurable ? `${behind} votes wait for the disk` : undefined;
  }

  #carryOut(cause: readonly number[]): void {
    for (const effect of this.#engine.takeEffects()) {
      if (effect.kind === 'write') this.#log?.append(effect.record);
      else if (effect.kind === 'rewrite') this.#log?.rewrite(effect.standing);
      else this.#waiting.push({ effect, position: this.#log?.last ?? 0, cause });
    }
    this.#compact();
    this.#release();
  }

  /** Not while the state was put in place of another: the log has the one that was decided. */
  #compact(): void {
    if (!this.#log || this.#isMended) return;
    if (this.#log.size <= this.#engine.settings.compactBytes + 2 * this.#rewritten) return;
    this.#log.rewrite(this.#engine.standing);
    this.#rewritten = this.#log.size;
  }

  #release(): void {
    // An effect may come back with a frame or a proposal at once.
    if (this.#isReleasing || this.failure) return;
    this.#isReleasing = true;
    let first = 0;
    try {
      for (;;) {
        const one = this.#waiting[first];
        if (!one || one.position > (this.#log?.durable ?? 0)) break;
        first++;
        this.#do(one);
      }
    } finally {
      this.#waiting.splice(0, first);
      this.#isReleasing = false;
    }
  }

  #do({ effect, cause }: Waiting): void {
    switch (effect.kind) {
      case 'send':
        this.#send(effect.to, effect.body, cause);
        return;
      case 'trace':
        if (this.#tap.isOpen) this.#tap.emit(this.replica, effect.body, cause);
        return;
      case 'decided':
        this.#version = effect.proposal.version;
        this.#show(effect.root);
        this.#traceDecided(effect.proposal, effect.isCounted, cause);
        for (const listener of this.#listeners) listener(effect.proposal);
        return;
      case 'installed':
        this.#version = effect.version;
        this.#show(effect.root);
        this.#traceSnapshot('full-sync', cause);
        for (const listener of this.#listeners) listener(undefined);
        return;
      case 'settle':
        effect.receipt.tell(effect.outcome);
        return;
    }
  }

  /** The state of {@link version}, which may have been damaged while its decision was being written. */
  #show(decided: StateRoot): void {
    const { version, root } = this.#engine.standing;
    this.#root = version === this.#version ? root : decided;
    this.#isMended = this.#isMended && root !== decided;
  }

  #send(to: readonly ReplicaId[], body: MessageBody, cause: readonly number[]): void {
    const { type, sender, sequence, frame } = this.#encoder.encode(body).at(-1)!;
    for (const member of to) {
      const link = this.#links.get(member);
      if (!link) continue;
      if (this.#tap.isOpen) {
        this.#tap.emit(this.replica, { kind: 'send', to: member, type, sender, sequence }, cause, frame);
      }
      link.send(frame);
    }
  }

  #traceDecided(proposal: StateProposal, isCounted: boolean, cause: readonly number[]): void {
    if (!this.#tap.isOpen) return;
    const { version, writer, counter, command, root } = proposal;
    const changes = [...proposal.changes];
    if (isCounted) {
      const event = { type: command, player: writer, detail: '' };
      const mutation = { writer, counter };
      this.#tap.emit(this.replica, { kind: 'commit', version, event, mutation, changes, root }, cause);
    } else {
      this.#tap.emit(this.replica, { kind: 'apply', from: version - 1, to: version, changes, root }, cause);
    }
  }

  #traceSnapshot(reason: 'attach' | 'full-sync', cause: readonly number[]): void {
    if (!this.#tap.isOpen) return;
    const records = Array.from(this.#root.entries(), ([key, record]) => ({ key, record }));
    const snapshot = { reason, version: this.#version, records, root: this.#root.hash, vector: [] };
    this.#tap.emit(this.replica, { kind: 'snapshot', ...snapshot }, cause);
  }
}

function overloaded(): SyncError {
  const text = 'the disk of this member has not kept up: nothing is taken in before it has';
  return new SyncError('PEER_OVERLOADED', text, { origin: 'state', retry: 'backoff' });
}

function tooLarge(frame: Uint8Array, most: number): SyncError {
  return new SyncError('FRAME_TOO_LARGE', `a frame of ${frame.length} bytes, at most ${most}`, { origin: 'protocol' });
}
