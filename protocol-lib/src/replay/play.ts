import type { VersionVector } from '../clock/index.ts';
import { SyncError } from '../errors/index.ts';
import { StateRoot } from '../merkle/index.ts';
import type { ReplicaId, Version } from '../state/index.ts';
import type { ClientEvent } from '../sync/index.ts';
import { answerDifference, extraDifference, missedDifference, stateDifference } from './play-difference.ts';
import { Flights } from './play-flights.ts';
import { WhereHere } from './play-here.ts';
import { type Effect, InventedIds } from './play-ids.ts';
import { type Counted, summed } from './play-result.ts';
import type { PlayedAction, PlayedIntent, PlayedOther, PlayedVisit, PlayScript, RecordedRoot } from './play-script.ts';
import { firstRecordDifference, firstRecordNotIn, RecordedStates, type RecordFound } from './play-states.ts';
import type { PlayClient, PlayDifference, PlayOptions, PlayOrder, PlayResult } from './play-types.ts';

interface Played extends Counted {
  readonly client: PlayClient;
  /** Answers that came before `send` had returned: why refused, or undefined. */
  readonly early: Map<number, string | undefined>;
  /** Its copy when it was looked at last. */
  root: StateRoot | undefined;
  vector: VersionVector | undefined;
  accepted: number;
  refused: number;
  hashes: number;
  wasLive: boolean;
  hasLeft: boolean;
  /** Whether its connection is broken, until it is welcomed again. */
  isAway: 'broken' | 'returning' | undefined;
  difference: PlayDifference | undefined;
}

/**
 * Plays recorded clients against a live authority, in the order in which their commands were decided. Each sends once it has seen what it had seen, and has the answers
 * that it had – several are on their way at once where they were –; never by wall time. A state machine: the driver calls {@link step} again and again.
 */
export class Playing {
  readonly #script: PlayScript;
  readonly #options: PlayOptions;
  readonly #order: PlayOrder;
  readonly #played = new Map<ReplicaId, Played>();
  readonly #flights = new Flights();
  readonly #ids = new InventedIds();
  readonly #states: RecordedStates;
  readonly #where: WhereHere;
  readonly #startTime: number;
  #next = 0;
  #progressAt: number;
  /** The authority's version here before anything was played; undefined until somebody has a state. */
  #liveStart: Version | undefined;
  /** Whether a version here is the state that it was in the recording, as far as anybody knows. */
  #isAligned: boolean;
  /** Whether it is waited for what was to be seen. */
  #isPaced = true;
  #others = { recorded: 0, came: 0 };
  #reordered = 0;
  #breaks = 0;
  #failure: SyncError | undefined;
  #now: number;

  constructor(script: PlayScript, options: PlayOptions) {
    this.#script = script;
    this.#options = options;
    this.#order = options.order ?? 'seen';
    this.#states = new RecordedStates(script, this.#ids);
    this.#where = new WhereHere(script);
    for (const name of [...script.clients, script.authority]) this.#ids.said(name);
    this.#startTime = script.actions[0]?.time ?? 0;
    this.#progressAt = options.now;
    this.#now = options.now;
    this.#isAligned = !script.isPartial;
  }

  /** How far it is, in actions. */
  get progress(): { readonly done: number; readonly of: number } {
    return { done: this.#next, of: this.#script.actions.length };
  }

  /**
   * Does what is due, and answers whether all is done.
   * @throws SyncError `PLAY_REFUSED` where the authority turns a client away, `PLAY_LOST` where a connection ended or could not be opened, `PLAY_UNANSWERED` where an
   * intent, or the state, did not come in time
   */
  step(now: number): boolean {
    this.#now = now;
    if (this.#failure) throw this.#failure;
    const { actions } = this.#script;
    while (this.#next < actions.length) {
      const action = actions[this.#next]!;
      if (!this.#isDue(action, now)) {
        this.#checkPatience(action, now);
        return false;
      }
      this.#carryOut(action);
      this.#next++;
      this.#progressAt = now;
      if (this.#failure) throw this.#failure;
    }
    return this.#isOver(now);
  }

  result(): PlayResult {
    return summed([...this.#played.values()], (replica) => this.#where.countOf(replica), {
      order: this.#order,
      mostAtOnce: this.#flights.most,
      breaks: this.#breaks,
      reordered: this.#reordered,
      undecided: this.#script.undecided,
      others: { ...this.#others },
      ids: { mapped: this.#ids.mapped, unmapped: this.#ids.unmapped },
    });
  }

  /** Everybody leaves. */
  end(): void {
    for (const { client } of this.#played.values()) client.leave();
  }

  // — when —

  #isDue(action: PlayedAction, now: number): boolean {
    const { speed } = this.#options;
    if (speed !== undefined && now - this.#options.now < (action.time - this.#startTime) / speed) {
      this.#progressAt = now;
      return false;
    }
    switch (action.kind) {
      case 'join':
        return this.#isQuiet() && this.#areReady();
      case 'break':
        return this.#isQuiet() && this.#areReady() && this.#flights.countOf(action.replica) === 0;
      case 'return':
        return this.#isQuiet();
      case 'leave':
        return this.#isQuiet() && this.#flights.countOf(action.replica) === 0;
      case 'intent':
        return this.#isIntentDue(action);
      case 'other':
        return this.#isQuiet() && (this.#hasCome(action) || action.writer !== this.#script.authority);
    }
  }

  #isIntentDue(intent: PlayedIntent): boolean {
    const { replica, pending } = intent;
    if (!this.#areReady() || !this.#hasSeen(intent)) return false;
    // Frames of one client come in their order; those of several need not.
    if (!this.#flights.isOnlyOf(replica) && (this.#order === 'recorded' || !this.#haveArrived(replica))) return false;
    for (const { counter } of this.#flights.of(replica)) if (!pending.includes(counter)) return false;
    return true;
  }

  /** Whether the server has what all others have sent. */
  #haveArrived(but: ReplicaId): boolean {
    for (const [replica, { client }] of this.#played) {
      if (replica !== but && client.hasArrived === false && this.#flights.countOf(replica) > 0) return false;
    }
    return true;
  }

  /** Whether everything before was decided here, and is known, where that is asked for. */
  #isQuiet(): boolean {
    return this.#order === 'seen' || this.#flights.count === 0;
  }

  /** Whether everybody who has come has a state, but for those whose connection was broken. */
  #areReady(): boolean {
    for (const { client, hasLeft, isAway } of this.#played.values()) {
      if (isAway === 'returning') return false;
      if (!hasLeft && !isAway && (client.state.phase !== 'live' || client.state.version === 0)) return false;
    }
    return true;
  }

  /** Whether a client's copy has all mutations that it had when it was recorded, of those that are played. */
  #hasSeen({ replica, seen }: PlayedIntent): boolean {
    if (!this.#isPaced) return true;
    return this.#where.covers(this.#played.get(replica)!.client.state.vector, seen, this.#isAligned);
  }

  #hasCome({ writer, counter }: PlayedOther): boolean {
    if (writer !== this.#script.authority) return false;
    for (const { client } of this.#played.values()) {
      if (this.#where.hasOwn(client.state.vector, counter)) return true;
    }
    return false;
  }

  /** @throws SyncError */
  #checkPatience(action: PlayedAction, now: number): void {
    if (now - this.#progressAt < this.#options.patience) return;
    this.#checkConnections();
    const seconds = this.#options.patience / 1e9;
    const { oldest } = this.#flights;
    if (oldest) {
      const { intent, counter } = oldest;
      const name = `${intent.command} of ${intent.replica} (record ${intent.seq}, mutation ${counter} here)`;
      throw playError('PLAY_UNANSWERED', `${name} had no answer within ${seconds} s`);
    }
    if (action.kind === 'other') {
      this.#others.recorded++;
      this.#tellMissed(action);
      this.#next++;
      this.#progressAt = now;
      return;
    }
    if (action.kind === 'intent' && this.#areReady() && this.#isPaced) {
      // Something that was to be seen does not come: from here on the answers alone are compared.
      if (!this.#isAligned) this.#isPaced = false;
      this.#isAligned = false;
      this.#progressAt = now;
      return;
    }
    throw playError('PLAY_UNANSWERED', `a client had no state within ${seconds} s`);
  }

  /** @throws SyncError `PLAY_LOST` */
  #checkConnections(): void {
    for (const [replica, { client, wasLive, hasLeft, isAway }] of this.#played) {
      if (hasLeft || isAway === 'broken' || (client.state.phase === 'live' && !isAway)) continue;
      const what = wasLive ? 'the connection ended and did not come back' : 'no connection could be opened';
      throw playError('PLAY_LOST', `${replica}: ${what}${client.lost === undefined ? '' : `: ${client.lost}`}`);
    }
  }

  // — what —

  #carryOut(action: PlayedAction): void {
    switch (action.kind) {
      case 'join':
        this.#join(action);
        return;
      case 'break':
      case 'return':
        this.#interrupt(action);
        return;
      case 'leave':
        this.#leave(action);
        return;
      case 'intent':
        this.#send(action);
        return;
      case 'other':
        this.#others.recorded++;
        if (this.#hasCome(action)) this.#others.came++;
        else this.#tellMissed(action);
        return;
    }
  }

  #join({ replica }: PlayedVisit): void {
    if (this.#played.has(replica)) return;
    const client = this.#options.join(replica);
    const counts = { accepted: 0, refused: 0, hashes: 0 };
    const state = { wasLive: false, hasLeft: false, isAway: undefined };
    const found = { difference: undefined, root: undefined, vector: undefined };
    const played: Played = { replica, client, early: new Map(), ...counts, ...state, ...found };
    this.#played.set(replica, played);
    this.#where.join(replica);
    client.state.on((event) => this.#follow(played, event));
    // Where frames take no time, this has happened already.
    played.wasLive = client.state.phase === 'live';
    if (client.state.version > 0) this.#onCommitted(played);
  }

  #interrupt({ kind, replica }: PlayedVisit): void {
    const played = this.#played.get(replica);
    if (!played) return;
    played.isAway = kind === 'break' ? 'broken' : 'returning';
    if (kind === 'return') return played.client.comeBack();
    this.#breaks++;
    played.client.breakOff();
  }

  #leave({ replica }: PlayedVisit): void {
    const played = this.#played.get(replica);
    if (!played) return;
    played.hasLeft = true;
    played.client.leave();
  }

  #send(intent: PlayedIntent): void {
    const played = this.#played.get(intent.replica);
    if (!played) return;
    const args = this.#ids.argumentsHere(intent.args);
    this.#ids.said(intent.args);
    const sent = played.client.send(intent.command, args);
    if ('rejected' in sent) {
      throw playError('PLAY_UNANSWERED', `${intent.command} of ${intent.replica} cannot be sent: ${sent.rejected}`);
    }
    const { counter } = sent.mutation;
    this.#where.sent(counter, intent);
    this.#flights.start(intent, counter);
    if (played.early.has(counter)) this.#onAnswer(played, counter, intent, played.early.get(counter));
    played.early.clear();
  }

  /** What comes after is of another state. */
  #tellMissed(action: PlayedOther): void {
    this.#isAligned = false;
    this.#differ(undefined, missedDifference(action, action.writer === this.#script.authority));
  }

  // — answers —

  #follow(played: Played, event: ClientEvent): void {
    switch (event.type) {
      case 'welcomed':
        played.wasLive = true;
        played.isAway = undefined;
        this.#progressAt = this.#now;
        return;
      case 'committed':
        this.#progressAt = this.#now;
        this.#onCommitted(played);
        return;
      case 'confirmed':
      case 'rejected': {
        this.#progressAt = this.#now;
        const { counter } = event.mutation;
        const intent = this.#flights.intentOf(played.replica, counter);
        const refusal = event.type === 'rejected' ? event.reason : undefined;
        if (intent) this.#onAnswer(played, counter, intent, refusal);
        else played.early.set(counter, refusal);
        return;
      }
      case 'ended':
        if (event.reconnect === undefined) this.#refused(played.replica, event.code, event.message);
        return;
      case 'error':
        // These two it puts right by itself.
        if (event.code !== 'COMMAND_GAP' && event.code !== 'LOG_BEHIND')
          this.#refused(played.replica, event.code, event.message);
        return;
      default:
    }
  }

  #refused(replica: ReplicaId, code: string, message: string): void {
    this.#failure ??= playError('PLAY_REFUSED', `${replica} was turned away: ${code}: ${message}`);
  }

  #onAnswer(played: Played, here: number, intent: PlayedIntent, refusal: string | undefined): void {
    const { answer, replica } = intent;
    this.#flights.end(replica, here);
    if (refusal === undefined) played.accepted++;
    else played.refused++;
    const recorded = answer.accepted ? undefined : answer.reason;
    if (recorded === refusal) return;
    if (recorded !== undefined && refusal !== undefined && this.#ids.isSentenceHere(recorded, refusal)) return;
    // What was to be seen from here on is of another state.
    if (answer.accepted === (refusal !== undefined)) this.#isAligned = false;
    const found = answerDifference(intent, refusal);
    this.#differ(played, this.#withDoubt(found, played.client.state.vector, { replica, counter: here }));
  }

  // — states —

  #onCommitted(played: Played): void {
    const { version, committed, vector } = played.client.state;
    if (this.#liveStart === undefined) this.#onFirstState(played);
    else if (this.#isAligned && !played.difference) this.#compare(played, this.#thenOf(version));
    else this.#learn(played, committed, vector);
    played.root = committed;
    played.vector = vector;
  }

  #thenOf(version: Version): Version {
    return version - (this.#liveStart ?? 0) + this.#script.start.version;
  }

  #onFirstState(played: Played): void {
    const { version, committed, vector } = played.client.state;
    const { start, hasViews } = this.#script;
    this.#liveStart = version;
    this.#where.begin(vector);
    const isSame = (): boolean => (this.#states.at(start.version)?.hash ?? start.root) === committed.hash;
    const isEqual = committed.hash === start.root || (this.#learnFirst(committed) && isSame()) || hasViews;
    for (const { key, record } of start.records) {
      this.#ids.saidKey(key);
      this.#ids.said(record);
    }
    if (!this.#isAligned) return;
    const expected = this.#expected(played.replica, start.version);
    if (isEqual) {
      if (hasViews) this.#compare(played, start.version);
      else if (expected) played.hashes++;
      return;
    }
    this.#isAligned = false;
    const found = firstRecordDifference(this.#states.at(start.version) ?? this.#states.first, committed);
    const where = { replica: played.replica, version: start.version };
    this.#differ(played, stateDifference(where, 'beginning', start, found, committed.hash));
  }

  #learnFirst(after: StateRoot): boolean {
    const { seq, records } = this.#script.start;
    const changes = records.map(({ key, record }) => ({ op: 'put', key, record }) as const);
    const effect = {
      recorded: [{ seq, changes }],
      before: StateRoot.empty,
      after,
      isPart: this.#script.hasViews,
      isFirst: true,
    };
    const isNew = this.#ids.learn(effect);
    if (isNew) this.#states.forget(-1);
    return isNew;
  }

  #compare(played: Played, then: Version): void {
    const { committed, vector } = played.client.state;
    const expected = this.#expected(played.replica, then);
    if (!expected) {
      // Nobody was at this version then, or it was not told: what is made up is learned all the same.
      this.#learn(played, committed, vector);
      return;
    }
    const isEqual = this.#isEqual(played, then, expected);
    if (!isEqual && this.#order === 'seen' && this.#where.isReordered(vector, then)) {
      this.#reordered++;
      return;
    }
    played.hashes++;
    if (isEqual) {
      this.#share(played, committed, vector);
      if (!this.#script.hasViews) this.#flights.settle(vector);
      return;
    }
    const where = { replica: played.replica, version: then };
    if (this.#where.hasExtra(vector, then)) {
      this.#isAligned = false;
      this.#differ(undefined, extraDifference(where, expected, committed.hash));
      return;
    }
    const found = this.#recordFound(then, committed);
    this.#differ(played, this.#withDoubt(stateDifference(where, 'state', expected, found, committed.hash), vector));
  }

  /** Whether a copy is as it was, but for what the server made up. */
  #isEqual(played: Played, then: Version, { root }: RecordedRoot): boolean {
    const { committed, vector } = played.client.state;
    if (root === committed.hash) return true;
    if (this.#ids.size > 0 && this.#isEqualHere(then, committed)) return true;
    return this.#learn(played, committed, vector) && this.#isEqualHere(then, committed);
  }

  #isEqualHere(then: Version, committed: StateRoot): boolean {
    const whole = this.#states.at(then);
    if (!whole) return false;
    return this.#script.hasViews ? firstRecordNotIn(whole, committed) === undefined : whole.hash === committed.hash;
  }

  #recordFound(then: Version, committed: StateRoot): RecordFound | undefined {
    const whole = this.#states.at(then);
    if (!whole) return undefined;
    return this.#script.hasViews ? firstRecordNotIn(whole, committed) : firstRecordDifference(whole, committed);
  }

  /** Takes in which names the server made up in what came since a copy was looked at last. Answers whether there were any. */
  #learn(played: Played, after: StateRoot, vector: VersionVector): boolean {
    const { root: before } = played;
    if (!before || before.hash === after.hash) return false;
    const recorded = this.#where.commitsBetween(played.vector, vector);
    if (recorded.length === 0) return false;
    const isOrderOpen = this.#flights.doubtful(vector).length > 0;
    const effect: Effect = { recorded, before, after, isPart: this.#script.hasViews, isFirst: false, isOrderOpen };
    if (!this.#ids.learn(effect)) return false;
    this.#states.forget(Math.min(...recorded.map(({ version }) => version)) - 1);
    return true;
  }

  /** Takes in which names both sides have. */
  #share(played: Played, after: StateRoot, vector: VersionVector): void {
    const recorded = this.#where.commitsBetween(played.vector, vector);
    this.#ids.shared({ recorded, after, isPart: this.#script.hasViews });
  }

  /** What a client was to have at a version of the recording. */
  #expected(replica: ReplicaId, version: Version): RecordedRoot | undefined {
    if (this.#script.hasViews) return this.#script.ownRoots.get(replica)?.get(version);
    return this.#script.roots.get(version);
  }

  // — differences —

  #withDoubt(
    difference: PlayDifference,
    vector: VersionVector,
    also?: { readonly replica: ReplicaId; readonly counter: number },
  ): PlayDifference {
    const atOnce = this.#flights.doubtful(vector, also);
    return atOnce.length > 0 ? { ...difference, atOnce } : difference;
  }

  /** Of each client the first is kept; one that is nobody's is everybody's first. */
  #differ(played: Played | undefined, difference: PlayDifference): void {
    const all = played ? [played] : [...this.#played.values()];
    for (const one of all) one.difference ??= difference;
  }

  /** Everything was sent: it is over once everything was answered, and everybody has the newest state. */
  #isOver(now: number): boolean {
    const staying = [...this.#played.values()].filter(({ hasLeft }) => !hasLeft);
    const newest = Math.max(0, ...staying.map(({ client }) => client.state.version));
    const isSettled = this.#areReady() && staying.every(({ client }) => client.state.version === newest);
    if (this.#flights.count === 0 && isSettled) return true;
    if (now - this.#progressAt < this.#options.patience) return false;
    this.#checkPatience({ kind: 'join', replica: this.#script.authority, seq: 0, time: 0 }, now);
    return true;
  }
}

function playError(code: string, message: string): SyncError {
  return new SyncError(code, message, { origin: 'protocol' });
}
