import { isSyncError, SyncError } from '../errors/index.ts';
import {
  type Durability,
  type EventLog,
  findNondeterminism,
  type LogEntry,
  type LogState,
  nondeterminismText,
  reduceEvents,
  rehydrate,
  snapshotOf,
} from '../events/index.ts';
import { changesBetween, type StateRoot } from '../merkle/index.ts';
import type { BodyOf } from '../messages/index.ts';
import type { Random } from '../ports/index.ts';
import { fitText } from '../schema/index.ts';
import type { Change, ReplicaId, Value, Version } from '../state/index.ts';
import type { MutationId, Tap } from '../trace/index.ts';
import { CommitLog, type Decided } from './commit-log.ts';
import { CommitTrace } from './commit-trace.ts';
import { type Decision, decide, refuse } from './decide.ts';
import { DeltaCache } from './delta-cache.ts';
import { wholeChange, withWholeGroups } from './field-groups.ts';
import { firstState } from './first-state.ts';
import { MutationLedger } from './ledger.ts';
import type { SessionDefinition, SessionView } from './session.ts';
import { MAX_PENDING, type SyncSettings } from './settings.ts';
import { foreseen, type Moment, type Settled, type Settlement, type SyncPoint } from './settlement.ts';
import { SnapshotRing, type StateSnapshot } from './snapshots.ts';
import type { AuthorityStanding } from './standing.ts';
import { Views, viewName } from './views.ts';

export interface AuthorityOptions {
  /** Where every settlement goes before anybody hears of it. What it has already is carried on from. */
  readonly log?: EventLog | undefined;
  /** Runs every event twice, and refuses a mutation whose two runs differ. */
  readonly verifyReducer?: boolean | undefined;
  /** Which life of the session begins here, where the log does not carry one on. */
  readonly incarnation?: number | undefined;
  /** Goes on from here, with the state of another authority. */
  readonly resume?: { readonly root: StateRoot; readonly standing: AuthorityStanding['state'] } | undefined;
}

/** So often a mutation is decided again where others come before it; then it is its writer's to send it again. */
const MAX_OVERTAKEN = 100;

/**
 * The authoritative state of a session: one version for each mutation that changed it, and the versions kept for deltas.
 * With a log, this is the state that is durable; mutations are decided on the one that will be.
 */
export class AuthorityState {
  readonly #definition: SessionDefinition;
  readonly #replica: ReplicaId;
  readonly #tap: Tap;
  readonly #ring: SnapshotRing;
  readonly #deltas: DeltaCache;
  readonly #trace: CommitTrace;
  readonly #views: Views | undefined;
  readonly #log: CommitLog | undefined;
  readonly #verifiesReducer: boolean;
  readonly ledger: MutationLedger;
  /** Nanoseconds since the session began, when this authority took it over. */
  readonly startTime: number;
  /** Which life of the session this is. */
  readonly incarnation: number;
  #root: StateRoot;
  #version: Version;
  #settled: Settled[] = [];
  #givenUp: MutationId[] = [];
  #returned: MutationId[] = [];

  /** @throws SyncError as `rehydrate`, and `LOG_NOT_DURABLE`, where the log does not come to a state */
  constructor(
    definition: SessionDefinition,
    replica: ReplicaId,
    random: Random,
    tap: Tap,
    settings: SyncSettings,
    { log, verifyReducer = false, incarnation, resume }: AuthorityOptions = {},
  ) {
    this.#definition = withWholeGroups(definition);
    this.#views = definition.view && new Views(definition.view);
    this.#replica = replica;
    this.#tap = tap;
    this.#trace = new CommitTrace(replica, tap, log !== undefined);
    this.#verifiesReducer = verifyReducer;
    this.#ring = new SnapshotRing(settings.ring, settings.periodicSnapshots);
    this.#deltas = new DeltaCache(settings.ring);
    const begin = (): LogState =>
      log && log.base >= 0 ? this.#recover(log, settings.ring) : firstState(definition, random, incarnation);
    const state = resume ? stateOf(resume) : begin();
    if (log && log.base < 0) log.putSnapshot(snapshotOf(state));
    this.#root = state.root;
    this.#version = state.version;
    this.startTime = state.time;
    this.incarnation = state.incarnation ?? 0;
    this.ledger = new MutationLedger(MAX_PENDING, state);
    this.#log = log && new CommitLog(log, state.time);
    if (resume) this.#resume(resume.standing);
  }

  /** What it holds beside the state; nothing waits to be told between two inputs. */
  get standing(): AuthorityStanding['state'] {
    return {
      version: this.#version,
      startTime: this.startTime,
      incarnation: this.incarnation,
      ledger: this.ledger.standing,
      ring: this.#ring.standing(this.#root),
      ...this.#trace.standing,
      log: this.#log?.standing ?? null,
    };
  }

  #resume(standing: AuthorityStanding['state']): void {
    this.ledger.resume(standing.ledger);
    this.#ring.resume(standing.ring, this.#root);
    this.#trace.resume(standing);
    if (standing.log) this.#log?.resume(standing.log, this.#root);
  }

  /** What the log comes to. Its last versions are kept, so that whoever has one of them gets a delta. */
  #recover(log: EventLog, margin: number): LogState {
    if (log.durable < log.last) {
      const text = `the log is durable to ${log.durable} of ${log.last}: open it anew, or wait`;
      throw new SyncError('LOG_NOT_DURABLE', text, { origin: 'state', retry: 'backoff' });
    }
    const keep = (version: Version, root: StateRoot): void => this.#ring.keep({ version, root });
    return rehydrate(log, this.#definition.reduce, keep, margin);
  }

  /** What a settled mutation survives. */
  get durability(): Durability {
    return this.#log?.durability ?? 'memory';
  }

  /** Whether other authorities settle mutations of this session too. */
  get isShared(): boolean {
    return this.#log?.isShared ?? false;
  }

  /** Whether it can say where it stands. What is on its way into a log that others append to as well may yet be decided anew. */
  get canStand(): boolean {
    return !this.#log?.isShared || this.#log.isStill;
  }

  /** Why nothing can be settled any more. */
  get failure(): SyncError | undefined {
    return this.#log?.failure;
  }

  /** Whether so much waits for the log that nothing more should be decided. */
  get isBehind(): boolean {
    return this.#log?.isFull ?? false;
  }

  /** Whether all that was decided is durable. */
  get isSettled(): boolean {
    return this.#log?.head === undefined;
  }

  get root(): StateRoot {
    return this.#root;
  }

  get version(): Version {
    return this.#version;
  }

  get point(): SyncPoint {
    return { version: this.#version, progress: this.ledger.progress };
  }

  /** The last counter of a writer that is decided, durable or not. */
  decided(writer: ReplicaId): number {
    return Math.max(this.ledger.settled(writer), this.#log?.settled(writer) ?? 0);
  }

  /**
   * Settles the next mutation of a writer. The caller has checked that `counter` is its next.
   * @throws SyncError {@link failure}; nothing is settled then
   */
  commit(
    command: string,
    args: Value,
    writer: ReplicaId,
    counter: number,
    cause: readonly number[],
    moment: Moment = BEGINNING,
  ): Settlement {
    return this.#carryOut(command, args, writer, counter, cause, moment);
  }

  #carryOut(
    command: string,
    args: Value,
    writer: ReplicaId,
    counter: number,
    cause: readonly number[],
    moment: Moment,
    overtaken = 0,
  ): Settlement {
    const { root, version } = this.head;
    const decision = this.#verified(decide(this.#definition, root, command, args, writer), cause);
    const isChanged = decision.accepted && decision.root !== root;
    const after = isChanged ? { root: decision.root, version: version + 1 } : { root, version };
    const decided = { mutation: { writer, counter }, command, args, decision, ...after, ...moment, cause, overtaken };
    return this.#settle(decided) ?? foreseen(this.#log?.head ?? decided);
  }

  /** Takes a writer's mutations up to `counter` for settled, where it says so itself. @throws SyncError as {@link commit} */
  adopt(writer: ReplicaId, counter: number, moment: Moment): void {
    if (counter <= this.decided(writer)) return;
    const { root, version } = this.head;
    this.#settle({ mutation: { writer, counter }, decision: 'adopted', root, version, ...moment, cause: [] });
  }

  /** Settles the next mutation of a writer as refused, without running it. @throws SyncError as {@link commit} */
  refuse(
    command: string,
    reason: string,
    writer: ReplicaId,
    counter: number,
    cause: readonly number[],
    moment: Moment,
  ): void {
    const { root, version } = this.head;
    this.#settle({
      mutation: { writer, counter },
      command,
      decision: refuse(reason),
      root,
      version,
      ...moment,
      cause,
    });
  }

  /** What is to be decided on: ahead of what may be told where the log is slower. */
  get head(): { readonly root: StateRoot; readonly version: Version } {
    const { root, version } = this.#log?.head ?? { root: this.#root, version: this.#version };
    return { root, version };
  }

  /** The settlement, where it may be told already. */
  #settle(decided: Decided): Settlement | undefined {
    if (!this.#log) return this.#publish(decided);
    this.#log.write(decided, this.head);
    const last = this.publishDurable();
    return this.#log.head ? undefined : last;
  }

  /** Settles what has become durable meanwhile, by whomever, and decides again what others came before. Answers the last settlement. */
  publishDurable(): Settlement | undefined {
    if (!this.#log) return undefined;
    let last: Settlement | undefined;
    const { durable, overtaken } = this.#log.takeDurable();
    try {
      for (const one of durable) last = this.#publish('outcome' in one ? this.#decidedElsewhere(one) : one);
      for (const one of overtaken) this.#decideAgain(one);
    } catch (error) {
      if (!isSyncError(error)) throw error;
      this.#log.end(error);
    }
    return last;
  }

  /** Another authority's entry, carried out here. @throws SyncError `LOG_ROOT_MISMATCH` where it comes to another state here */
  #decidedElsewhere(entry: LogEntry): Decided {
    const { mutation, version, time, seen, outcome } = entry;
    const settled = { mutation, version, time, seen, root: this.#root, cause: [] };
    if (outcome === 'adopted') return { ...settled, decision: 'adopted' };
    const named = { ...settled, command: entry.command ?? '' };
    if (outcome === 'refused') return { ...named, decision: refuse(entry.reason) };
    const { root, changes } = reduceEvents(this.#definition.reduce, this.#root, entry.events);
    if (root.hash !== entry.root) {
      const text = `version ${version} of another authority has the root ${entry.root}, here its events lead to ${root.hash}: the authorities of a session must run the same build`;
      throw new SyncError('LOG_ROOT_MISMATCH', text, { origin: 'state', place: { version } });
    }
    return { ...named, root, decision: { accepted: true, events: entry.events, changes, root } };
  }

  /** On the state that there is now. What was settled elsewhere meanwhile stays so. @throws SyncError {@link failure} */
  #decideAgain(before: Decided): void {
    const { mutation, command = '', args, decision, time, seen, cause, overtaken = 0, isPosted = false } = before;
    const { writer } = mutation;
    // Whoever posted it weighed it against a state that is none: the command alone says too little.
    if (isPosted) {
      this.#returned.push(mutation);
      return;
    }
    const next = this.decided(writer) + 1;
    const moment = { time, seen };
    if (decision === 'adopted') {
      this.adopt(writer, mutation.counter, moment);
      return;
    }
    // The authority's own have no number that anybody knows; they take the next.
    const counter = writer === this.#replica ? next : mutation.counter;
    if (counter < next) return;
    if (counter > next || overtaken >= MAX_OVERTAKEN) {
      this.#givenUp.push(mutation);
      return;
    }
    if (args === undefined && !decision.accepted) this.refuse(command, decision.reason, writer, counter, cause, moment);
    else this.#carryOut(command, args ?? null, writer, counter, cause, moment, overtaken + 1);
  }

  /** Mutations that others came before too often. They are not settled. */
  takeGivenUp(): readonly MutationId[] {
    if (this.#givenUp.length === 0) return NONE_GIVEN_UP;
    const givenUp = this.#givenUp;
    this.#givenUp = [];
    return givenUp;
  }

  /** Posted mutations that others came before, for whoever posted them. They are not settled by it. */
  takeReturned(): MutationId[] {
    return this.#returned.splice(0);
  }

  /** What may be told now, in order, and was not taken before. */
  takeSettled(): readonly Settled[] {
    if (this.#settled.length === 0) return NOTHING_SETTLED;
    const settled = this.#settled;
    this.#settled = [];
    return settled;
  }

  #publish({ mutation, command = '', decision, root, version, cause, time }: Decided): Settlement | undefined {
    const { writer, counter } = mutation;
    const isRefused = decision !== 'adopted' && !decision.accepted;
    this.ledger.settle(writer, counter, isRefused ? decision.reason : undefined);
    this.#root = root;
    this.#version = version;
    // Another authority may have sent any of them.
    if (this.isShared) this.keep();
    if (decision === 'adopted') return undefined;
    const settlement: Settlement = decision.accepted
      ? { accepted: true, version, events: decision.events, seq: this.#trace.commit(decision, mutation, this, cause) }
      : {
          accepted: false,
          reason: decision.reason,
          seq: this.#trace.rejection(mutation, decision.reason, version, cause),
        };
    this.#settled.push({ mutation, command, settlement, progress: this.ledger.progress, time, cause });
    return settlement;
  }

  /** A decision that would not come out the same when the log is replayed is none. */
  #verified(decision: Decision, cause: readonly number[]): Decision {
    if (!this.#verifiesReducer || !decision.accepted) return decision;
    const { root, version } = this.head;
    const unsteady = findNondeterminism(this.#definition.reduce, root, decision.events, decision);
    if (!unsteady) return decision;
    const text = nondeterminismText(unsteady, version + 1);
    if (this.#tap.isOpen)
      this.#tap.emit(this.#replica, { kind: 'log', level: 'error', text: fitText(text, 10_000) }, cause);
    return refuse(text);
  }

  /** A round ends: the root of the newest version is told, where its commit did not tell it. */
  endRound(): void {
    this.#trace.endRound(this);
  }

  /** The same for one who asks within a round. */
  tellRoot(): void {
    this.#trace.tellRoot(this);
  }

  /** Its whole state was told to somebody who begins to listen. */
  rootTold(): void {
    this.#trace.rootTold();
  }

  /** Keeps the present version, so that a receiver of it can later be given a delta. */
  keep(): void {
    this.#ring.keep({ version: this.#version, root: this.#root });
  }

  /** As {@link keep}, for longer. */
  keepPeriodic(): void {
    this.#ring.keepPeriodic({ version: this.#version, root: this.#root });
  }

  /** The kept state of a version, or undefined where it was never sent or is too long ago. */
  snapshot(version: Version): StateSnapshot | undefined {
    return this.#ring.get(version);
  }

  /** What a replica may see of a kept state, or of the present one. */
  rootFor(replica: ReplicaId, { root }: { readonly root: StateRoot } = this): StateRoot {
    return this.#views && replica !== this.#replica ? this.#views.rootOf(root, replica) : root;
  }

  /** Whether not everybody sees everything. */
  get hasViews(): boolean {
    return this.#views !== undefined;
  }

  /** The view that a replica has of a kept state, or of the present one; undefined where all see everything. */
  viewFor(replica: ReplicaId, { root }: { readonly root: StateRoot } = this): SessionView | undefined {
    return this.#views?.viewOf(root, replica);
  }

  /**
   * Replicas with one name here can be given one delta from a point: they saw the same then, see the same now, and have nothing to be
   * told that is meant for one of them alone.
   */
  audience(replica: ReplicaId, point: SyncPoint): string {
    const base = this.#ring.get(point.version);
    const at = `${point.version}/${point.progress}`;
    const isMeant = this.isMeant(replica, point);
    if (!this.#views || !base) return isMeant ? `${at}/${replica}` : at;
    const then = viewName(this.#views.viewOf(base.root, replica));
    const now = viewName(this.#views.viewOf(this.#root, replica));
    return JSON.stringify([at, then, now, isMeant ? replica : null]);
  }

  /** Whether a delta since a point has something to say that is meant for one replica alone: why its mutations were refused. */
  isMeant(replica: ReplicaId, { progress }: SyncPoint): boolean {
    return this.ledger.hasRejectionSince(replica, progress);
  }

  /** The delta from a point to now for a replica and its {@link audience}, or undefined where the point's version is not kept. */
  deltaFrom(point: SyncPoint, replica: ReplicaId = this.#replica): BodyOf<'DELTA_SYNC'> | undefined {
    const base = this.#ring.get(point.version);
    if (base === undefined) return undefined;
    const isWhole = this.#views !== undefined && replica === this.#replica;
    const audience = isWhole ? `${point.version}/${point.progress}` : this.audience(replica, point);
    return this.#deltas.get(audience, this.point, () => this.#makeDelta(point, base, replica));
  }

  #makeDelta(point: SyncPoint, base: StateSnapshot, replica: ReplicaId): BodyOf<'DELTA_SYNC'> {
    const root = this.rootFor(replica);
    return {
      type: 'DELTA_SYNC',
      from: point.version,
      to: this.#version,
      since: point.progress,
      progress: this.ledger.progress,
      changes: this.#wholeChanges(changesBetween(this.rootFor(replica, base), root)),
      vector: this.ledger.entriesSince(point.progress),
      // Of no use to anybody else, of whom there are many, and it may speak of what they do not see.
      rejected: this.ledger.rejectionsOf(replica, point.progress),
      root: root.hash,
    };
  }

  /** As replicas get them: with every field group that they touch. */
  #wholeChanges(changes: Change[]): Change[] {
    const { groups } = this.#definition;
    return groups ? changes.map((change) => wholeChange(groups, change, this.#root.get(change.key))) : changes;
  }

  /** The whole state now, with what a receiver must know of its own mutations. */
  fullSync(receiver: ReplicaId): BodyOf<'FULL_SYNC'> {
    const root = this.rootFor(receiver);
    return {
      type: 'FULL_SYNC',
      version: this.#version,
      progress: this.ledger.progress,
      records: Array.from(root.entries(), ([key, record]) => ({ key, record })),
      vector: this.ledger.entriesSince(0),
      rejected: this.ledger.rejectionsOf(receiver),
      root: root.hash,
    };
  }

  /** `seq` of the commits that made the versions after `version`. */
  commitsSince(version: Version): number[] {
    return this.#trace.since(version);
  }
}

const NOTHING_SETTLED: readonly Settled[] = [];
const NONE_GIVEN_UP: readonly MutationId[] = [];
const BEGINNING: Moment = { time: 0, seen: 0 };

function stateOf({ root, standing }: NonNullable<AuthorityOptions['resume']>): LogState {
  const { version, startTime, incarnation, log } = standing;
  return { position: log?.position ?? 0, version, root, time: startTime, writers: new Map(), incarnation };
}
