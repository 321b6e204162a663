import { SyncError } from '../errors/index.ts';
import { diffRoots, StateRoot } from '../merkle/index.ts';
import type { RecordKey, ReplicaId, Value, Version } from '../state/index.ts';
import type { ClientEvent, ClientState, PredictResult } from '../sync/index.ts';
import type { PlayedAction, PlayedIntent, PlayedOther, PlayedVisit, PlayScript, RecordedRoot } from './play-script.ts';

/** A recorded client as it is played: its state, and its connection. */
export interface PlayClient {
  readonly state: ClientState;
  /** Why its connection ended or could not be opened last; undefined where it has not. */
  readonly lost: string | undefined;
  send(command: string, args: Value): PredictResult;
  leave(): void;
}

export interface PlayOptions {
  /** Nanoseconds on the clock of {@link Playing.step}. */
  readonly now: number;
  /** Nanoseconds without anything new after which it is given up. */
  readonly patience: number;
  /** Nothing is done sooner than when it was recorded, at so many times its speed; as soon as everything was seen where absent. */
  readonly speed?: number | undefined;
  /** Connects a client under its recorded name. */
  readonly join: (replica: ReplicaId) => PlayClient;
}

/** The first thing that a client found otherwise. */
export interface PlayDifference {
  readonly replica: ReplicaId;
  /** `beginning`: the state before anything was played; `answer`: how a mutation ended; `state`: values; `other`: a mutation that cannot be played did not come. */
  readonly what: 'beginning' | 'answer' | 'state' | 'other';
  /** `seq` of the record that says how it was. */
  readonly seq: number;
  readonly counter?: number;
  readonly command?: string;
  readonly version?: Version;
  readonly key?: RecordKey;
  readonly field?: string;
  readonly recorded: unknown;
  readonly live: unknown;
  readonly sentence: string;
}

export interface PlayedClient {
  readonly replica: ReplicaId;
  readonly intents: number;
  readonly accepted: number;
  readonly refused: number;
  /** Root hashes that were compared. */
  readonly hashes: number;
  readonly difference?: PlayDifference;
}

export interface PlayResult {
  readonly status: 'equal' | 'differs';
  readonly intents: number;
  readonly hashes: number;
  /** Commands in the recording of which it is not known how they ended; they were not played. */
  readonly undecided: number;
  /** Mutations that no client sent over a link, and those of them that came by themselves. */
  readonly others: { readonly recorded: number; readonly came: number };
  readonly clients: readonly PlayedClient[];
  /** The first difference in the order of the recording. */
  readonly first?: PlayDifference;
}

interface Played {
  readonly client: PlayClient;
  /** Intents without an answer, by the counter that they have here. */
  readonly waiting: Map<number, PlayedIntent>;
  /** Answers that came before `send` had returned: why refused, or undefined. */
  readonly early: Map<number, string | undefined>;
  intents: number;
  accepted: number;
  refused: number;
  hashes: number;
  wasLive: boolean;
  hasLeft: boolean;
  difference: PlayDifference | undefined;
}

/**
 * Plays recorded clients against a live authority. Each does what it did once it has seen what it had seen, and once all that was decided before was decided
 * here, so that the authority decides in the recorded order; never by wall time. A state machine: the driver calls {@link step} again and again.
 */
export class Playing {
  readonly #script: PlayScript;
  readonly #options: PlayOptions;
  readonly #played = new Map<ReplicaId, Played>();
  readonly #startTime: number;
  #next = 0;
  #progressAt: number;
  /** The authority's version here before anything was played; undefined until somebody has a state. */
  #liveStart: Version | undefined;
  /** Whether a version here is the state that it was in the recording, as far as anybody knows. */
  #isAligned: boolean;
  #others = { recorded: 0, came: 0 };
  /** Where the authority's own mutations were before anything was played. */
  #ownAtStart = 0;
  #failure: SyncError | undefined;
  #now: number;

  constructor(script: PlayScript, options: PlayOptions) {
    this.#script = script;
    this.#options = options;
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
    }
    return this.#isOver(now);
  }

  result(): PlayResult {
    const clients = [...this.#played].map(([replica, { intents, accepted, refused, hashes, difference }]) => {
      return { replica, intents, accepted, refused, hashes, ...(difference ? { difference } : {}) };
    });
    clients.sort((left, right) => (left.replica < right.replica ? -1 : 1));
    const differences = clients.flatMap(({ difference }) => (difference ? [difference] : []));
    const [first] = differences.sort((left, right) => left.seq - right.seq);
    return {
      status: first ? 'differs' : 'equal',
      intents: clients.reduce((sum, one) => sum + one.intents, 0),
      hashes: clients.reduce((sum, one) => sum + one.hashes, 0),
      undecided: this.#script.undecided,
      others: { ...this.#others },
      clients,
      ...(first ? { first } : {}),
    };
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
        return this.#isDecided() && this.#areReady();
      case 'leave':
        return this.#isDecided();
      case 'intent':
        return this.#isDecided() && this.#areReady() && this.#hasSeen(action);
      case 'other':
        return this.#isDecided() && (this.#hasCome(action) || action.writer !== this.#script.authority);
    }
  }

  /** Whether everything before was decided here, and is known: so each delta has one of the recorded mutations, and what differs is found at the first that does. */
  #isDecided(): boolean {
    for (const { waiting } of this.#played.values()) if (waiting.size > 0) return false;
    return true;
  }

  /** Whether everybody who has come has a state. */
  #areReady(): boolean {
    for (const { client, hasLeft } of this.#played.values()) {
      if (!hasLeft && (client.state.phase !== 'live' || client.state.version === 0)) return false;
    }
    return true;
  }

  /** Whether a client's copy is as far as it was when it was recorded. */
  #hasSeen({ replica, seen }: PlayedIntent): boolean {
    const { state } = this.#played.get(replica)!.client;
    if (!this.#isAligned || this.#liveStart === undefined) return true;
    return state.version - this.#liveStart >= seen - this.#script.start.version;
  }

  #hasCome({ writer, counter }: PlayedOther): boolean {
    if (writer !== this.#script.authority) return false;
    const before = this.#script.start.vector.find(({ replica }) => replica === writer)?.counter ?? 0;
    for (const { client } of this.#played.values()) {
      if (client.state.vector.get(writer) - this.#ownAtStart >= counter - before) return true;
    }
    return false;
  }

  /** @throws SyncError */
  #checkPatience(action: PlayedAction, now: number): void {
    if (now - this.#progressAt < this.#options.patience) return;
    this.#checkConnections();
    const seconds = this.#options.patience / 1e9;
    for (const [replica, { waiting }] of this.#played) {
      const [[counter, intent] = []] = waiting;
      if (!intent) continue;
      const text = `${intent.command} of ${replica} (record ${intent.seq}, mutation ${counter} here) had no answer within ${seconds} s`;
      throw playError('PLAY_UNANSWERED', text);
    }
    if (action.kind === 'other') {
      this.#miss(action);
      this.#next++;
      this.#progressAt = now;
      return;
    }
    if (action.kind === 'intent' && this.#areReady() && this.#isAligned) {
      // Something that was to be seen does not come: from here on the answers alone are compared.
      this.#isAligned = false;
      this.#progressAt = now;
      return;
    }
    throw playError('PLAY_UNANSWERED', `a client had no state within ${seconds} s`);
  }

  /** @throws SyncError `PLAY_LOST` */
  #checkConnections(): void {
    for (const [replica, { client, wasLive, hasLeft }] of this.#played) {
      if (hasLeft || client.state.phase === 'live') continue;
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
    const before = this.#played.get(replica);
    if (before) return;
    const client = this.#options.join(replica);
    const counts = { intents: 0, accepted: 0, refused: 0, hashes: 0 };
    const state = { wasLive: false, hasLeft: false, difference: undefined };
    const played: Played = { client, waiting: new Map(), early: new Map(), ...counts, ...state };
    this.#played.set(replica, played);
    client.state.on((event) => this.#follow(replica, played, event));
    // Where frames take no time, this has happened already.
    played.wasLive = client.state.phase === 'live';
    if (client.state.version > 0) this.#onCommitted(replica, played);
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
    const sent = played.client.send(intent.command, intent.args);
    if ('rejected' in sent) {
      throw playError('PLAY_UNANSWERED', `${intent.command} of ${intent.replica} cannot be sent: ${sent.rejected}`);
    }
    played.intents++;
    const { counter } = sent.mutation;
    if (played.early.has(counter)) this.#onAnswer(played, intent, played.early.get(counter));
    else played.waiting.set(counter, intent);
    played.early.clear();
  }

  #miss(action: PlayedOther): void {
    this.#others.recorded++;
    this.#tellMissed(action);
  }

  /** What comes after is of another state. */
  #tellMissed({ writer, counter, answer }: PlayedOther): void {
    this.#isAligned = false;
    const own = writer === this.#script.authority ? 'the authority’s own' : `${writer}’s`;
    const sentence = `record ${answer.seq}: mutation ${counter}, ${own}, which no recorded client sent, did not come here`;
    const difference = { replica: writer, what: 'other', seq: answer.seq, counter } as const;
    this.#differ(undefined, { ...difference, recorded: answer.accepted, live: null, sentence });
  }

  // — answers —

  #follow(replica: ReplicaId, played: Played, event: ClientEvent): void {
    switch (event.type) {
      case 'welcomed':
        played.wasLive = true;
        this.#progressAt = this.#now;
        return;
      case 'committed':
        this.#progressAt = this.#now;
        this.#onCommitted(replica, played);
        return;
      case 'confirmed':
      case 'rejected': {
        this.#progressAt = this.#now;
        const { counter } = event.mutation;
        const intent = played.waiting.get(counter);
        const refusal = event.type === 'rejected' ? event.reason : undefined;
        played.waiting.delete(counter);
        if (intent) this.#onAnswer(played, intent, refusal);
        else played.early.set(counter, refusal);
        return;
      }
      case 'ended':
        if (event.reconnect === undefined) this.#refused(replica, event.code, event.message);
        return;
      case 'error':
        // These two it puts right by itself.
        if (event.code !== 'COMMAND_GAP' && event.code !== 'LOG_BEHIND')
          this.#refused(replica, event.code, event.message);
        return;
      default:
    }
  }

  #refused(replica: ReplicaId, code: string, message: string): void {
    this.#failure ??= playError('PLAY_REFUSED', `${replica} was turned away: ${code}: ${message}`);
  }

  #onAnswer(played: Played, intent: PlayedIntent, refusal: string | undefined): void {
    if (refusal === undefined) played.accepted++;
    else played.refused++;
    const { answer, replica, counter, command } = intent;
    const recorded = answer.accepted ? undefined : answer.reason;
    if (recorded === refusal) return;
    // What was to be seen from here on is of another state.
    if (answer.accepted === (refusal !== undefined)) this.#isAligned = false;
    const said = (reason: string | undefined): string => (reason === undefined ? 'accepted' : `refused: ${reason}`);
    const sentence = `record ${answer.seq}: ${command}, mutation ${counter} of ${replica}, was ${said(recorded)}; here it is ${said(refusal)}`;
    const what = { replica, what: 'answer', seq: answer.seq, counter, command } as const;
    this.#differ(played, { ...what, recorded: said(recorded), live: said(refusal), sentence });
  }

  #onCommitted(replica: ReplicaId, played: Played): void {
    const { version, committed, vector } = played.client.state;
    const { start, authority } = this.#script;
    if (this.#liveStart === undefined) {
      this.#liveStart = version;
      this.#ownAtStart = vector.get(authority);
      if (!this.#script.hasViews && this.#isAligned && committed.hash !== start.root) {
        this.#isAligned = false;
        const { seq } = start;
        const recorded = StateRoot.from(start.records.map(({ key, record }) => [key, record] as const));
        this.#differ(played, this.#stateDifference(replica, 'beginning', start.version, seq, recorded, committed));
        return;
      }
    }
    if (!this.#isAligned || played.difference) return;
    const then = version - this.#liveStart + start.version;
    const expected = this.#expected(replica, then);
    if (!expected) return;
    played.hashes++;
    if (expected.root === committed.hash) return;
    if (this.#hasExtra(vector.get(authority), expected.seq)) {
      this.#isAligned = false;
      const sentence = `record ${expected.seq}: before it, the authority here made a mutation of its own that it did not make then`;
      const difference = { replica, what: 'other', seq: expected.seq, version: then } as const;
      this.#differ(undefined, { ...difference, recorded: expected.root, live: committed.hash, sentence });
      return;
    }
    const recorded = this.#script.hasViews ? undefined : this.#stateAt(then);
    this.#differ(played, this.#stateDifference(replica, 'state', then, expected.seq, recorded, committed));
  }

  /** Whether the authority here has made more mutations of its own than it had up to a record. */
  #hasExtra(own: number, seq: number): boolean {
    const { actions, authority } = this.#script;
    const recorded = actions.filter(
      (one) => one.kind === 'other' && one.writer === authority && one.answer.seq <= seq,
    ).length;
    return own - this.#ownAtStart > recorded;
  }

  /** What this client was to have at a version of the recording. */
  #expected(replica: ReplicaId, version: Version): RecordedRoot | undefined {
    if (this.#script.hasViews) return this.#script.ownRoots.get(replica)?.get(version);
    return this.#script.roots.get(version);
  }

  #stateAt(version: Version): StateRoot {
    const { start, commits } = this.#script;
    let root = StateRoot.from(start.records.map(({ key, record }) => [key, record] as const));
    for (const commit of commits) {
      if (commit.version > start.version && commit.version <= version) root = root.apply(commit.changes);
    }
    return root;
  }

  #stateDifference(
    replica: ReplicaId,
    what: 'beginning' | 'state',
    version: Version,
    seq: number,
    recorded: StateRoot | undefined,
    live: StateRoot,
  ): PlayDifference {
    const when = what === 'beginning' ? 'before anything was played' : `at version ${version} of the recording`;
    const head = { replica, what, seq, version };
    const found = recorded && firstRecordDifference(recorded, live);
    if (!found) {
      const sentence = `record ${seq}: ${replica} has another state here ${when}`;
      return { ...head, recorded: this.#expected(replica, version)?.root ?? null, live: live.hash, sentence };
    }
    const { key, field, left, right } = found;
    const name = field === undefined ? key : `${key}.${field}`;
    const sentence = `record ${seq}: ${name} was ${textOf(left)} ${when}; ${replica} has ${textOf(right)} here`;
    return { ...head, key, ...(field === undefined ? {} : { field }), recorded: left, live: right, sentence };
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
    if (this.#isDecided() && isSettled) return true;
    if (now - this.#progressAt < this.#options.patience) return false;
    this.#checkPatience({ kind: 'join', replica: this.#script.authority, seq: 0, time: 0 }, now);
    return true;
  }
}

function firstRecordDifference(left: StateRoot, right: StateRoot) {
  const [first] = diffRoots(left, right).sort((one, other) => (one.key < other.key ? -1 : 1));
  if (!first) return undefined;
  const [one, other] = [first.left ?? null, first.right ?? null];
  if (!one || !other) return { key: first.key, field: undefined, left: one, right: other };
  const fields = [...new Set([...Object.keys(one), ...Object.keys(other)])].sort();
  const field = fields.find((name) => textOf(one[name]) !== textOf(other[name]));
  if (field === undefined) return { key: first.key, field, left: one, right: other };
  return { key: first.key, field, left: one[field] ?? null, right: other[field] ?? null };
}

function textOf(value: unknown): string {
  const text = JSON.stringify(value) ?? 'absent';
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}

function playError(code: string, message: string): SyncError {
  return new SyncError(code, message, { origin: 'protocol' });
}
