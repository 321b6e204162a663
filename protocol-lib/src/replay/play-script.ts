import type { OpenCapture } from '../capture/index.ts';
import { SyncError } from '../errors/index.ts';
import { decodeMessage, type MessageOf, NameTable, negotiateProtocol, OWN_PROTOCOLS } from '../messages/index.ts';
import type { Change, ReplicaId, StateHash, Value, Version } from '../state/index.ts';
import type { MutationId, TraceBodyOf, TraceHeader, TraceRecord } from '../trace/index.ts';
import { Visits } from './play-visits.ts';

/** How a mutation ended when it was recorded; `seq` of the record that says so. */
export type RecordedAnswer =
  | { readonly accepted: true; readonly seq: number; readonly version: Version }
  | { readonly accepted: false; readonly seq: number; readonly reason: string };

/** What a client wanted. */
export interface PlayedIntent {
  readonly kind: 'intent';
  readonly replica: ReplicaId;
  readonly counter: number;
  readonly command: string;
  readonly args: Value;
  /** Of the record that has its COMMAND. */
  readonly seq: number;
  /** Trace time at which it was sent, or came. */
  readonly time: number;
  /** The authority's version that its writer had seen. */
  readonly seen: Version;
  /** Counters of its writer's mutations before it that had no answer yet, as far as the writer knew. */
  readonly pending: readonly number[];
  readonly answer: RecordedAnswer;
}

/** A mutation that no client sent over a link: the authority's own, or a device's. It can only be waited for. */
export interface PlayedOther {
  readonly kind: 'other';
  readonly writer: ReplicaId;
  readonly counter: number;
  readonly answer: RecordedAnswer;
  readonly time: number;
}

/** Somebody comes, or leaves and does not come back; or a connection breaks, and there is another one. */
export interface PlayedVisit {
  readonly kind: 'join' | 'leave' | 'break' | 'return';
  readonly replica: ReplicaId;
  readonly seq: number;
  readonly time: number;
}

export type PlayedAction = PlayedIntent | PlayedOther | PlayedVisit;

/** A state that a recorded replica had, by its version. */
export interface RecordedRoot {
  readonly root: StateHash;
  readonly seq: number;
}

/** A mutation that made a version, or one that changed nothing. */
export interface RecordedCommit {
  readonly version: Version;
  readonly seq: number;
  readonly changes: readonly Change[];
  readonly mutation: MutationId | undefined;
}

/** What recorded clients did, in the order in which the authority decided it, and what they were to see. */
export interface PlayScript {
  readonly header: TraceHeader;
  readonly authority: ReplicaId;
  readonly clients: readonly ReplicaId[];
  readonly start: TraceBodyOf<'snapshot'> & { readonly seq: number };
  readonly actions: readonly PlayedAction[];
  /** The authority's states, unless each client saw a part of them. */
  readonly roots: ReadonlyMap<Version, RecordedRoot>;
  /** Each client's own states. */
  readonly ownRoots: ReadonlyMap<ReplicaId, ReadonlyMap<Version, RecordedRoot>>;
  /** What made each version, in order. */
  readonly commits: readonly RecordedCommit[];
  /** Where each writer's mutations were settled, refused ones included: the `seq`s, ascending. */
  readonly settled: ReadonlyMap<ReplicaId, readonly number[]>;
  readonly hasViews: boolean;
  /** Whether only some of the clients are to be played: then their states are not to be as they were. */
  readonly isPartial: boolean;
  /** Commands that were never decided in the recording: they are not played. */
  readonly undecided: number;
}

/**
 * Reads what the clients of a capture did.
 * @throws SyncError `PLAY_NOTHING` where the capture has no authority, no state to begin with or no client's command that was decided, `PLAY_PROTOCOL` where its frames
 *   are of a version that this build does not speak, and what reading throws
 */
export async function readPlay(capture: OpenCapture, only?: ReadonlySet<string>): Promise<PlayScript> {
  const { header } = await capture.info();
  if (header.authority === null) throw nothing('its session has no authority that clients could be played against');
  const { protocolVersion } = header;
  if (negotiateProtocol(protocolVersion, protocolVersion) === undefined) {
    const { min, max } = OWN_PROTOCOLS;
    const text = `the recording is of protocol ${protocolVersion}, and this build speaks ${min} to ${max}: play it with a build that speaks it`;
    throw new SyncError('PLAY_PROTOCOL', text, { origin: 'capture' });
  }
  const reader = new ScriptReader(header, header.authority, only);
  for await (const { record } of capture.trace()) reader.take(record);
  return reader.end();
}

type Sent = Omit<PlayedIntent, 'answer' | 'kind'>;

/** Where a mutation ended: at a version, unless it was refused, as the n-th that was settled. */
type Settled = 'open' | { readonly version: number; readonly progress: number };

class ScriptReader {
  readonly #header: TraceHeader;
  readonly #authority: ReplicaId;
  readonly #only: ReadonlySet<string> | undefined;
  readonly #names = new Map<ReplicaId, NameTable>();
  readonly #sent = new Map<string, Sent>();
  /** What each client had seen when it predicted a mutation; only of those whose own records are in the capture. */
  readonly #predicted = new Map<string, Pick<PlayedIntent, 'seen' | 'pending'>>();
  readonly #unanswered = new Map<ReplicaId, Set<number>>();
  /** How far each client said that it was. */
  readonly #acknowledged = new Map<ReplicaId, { version: Version; progress: number }>();
  /** Of each writer, how its mutations ended that a client may not know of yet. */
  readonly #untold = new Map<ReplicaId, Map<number, Settled>>();
  readonly #settled = new Map<ReplicaId, number[]>();
  /** How many mutations were settled, as the authority counts them. */
  #progress = 0;
  readonly #clients = new Set<ReplicaId>();
  readonly #visits = new Visits();
  readonly #roots = new Map<Version, RecordedRoot>();
  readonly #ownRoots = new Map<ReplicaId, Map<Version, RecordedRoot>>();
  readonly #commits: RecordedCommit[] = [];
  readonly #actions: PlayedAction[] = [];
  #start: PlayScript['start'] | undefined;
  #hasViews = false;
  #decided = 0;

  constructor(header: TraceHeader, authority: ReplicaId, only: ReadonlySet<string> | undefined) {
    this.#header = header;
    this.#authority = authority;
    this.#only = only;
  }

  take(record: TraceRecord): void {
    const { body, replica, seq } = record;
    switch (body.kind) {
      case 'names':
        this.#learn(body);
        return;
      case 'replica':
        if (body.role === 'client') this.#come(record);
        return;
      case 'gone':
        if (this.#clients.has(replica)) this.#visits.gone(replica, seq, record.time);
        return;
      case 'view':
        this.#hasViews = true;
        return;
      case 'send':
      case 'receive':
        this.#onFrame(record, body);
        return;
      case 'prediction':
        this.#onPrediction(body);
        return;
      case 'confirmation':
      case 'rollback':
        this.#unanswered.get(body.mutation.writer)?.delete(body.mutation.counter);
        return;
      case 'hash':
        if (replica !== this.#authority) this.#onHash(record, body);
        else this.#onRoot(body.version, body.own, seq);
        return;
      case 'snapshot':
        this.#onSnapshot(record, body);
        return;
      case 'apply':
        this.#own(replica, body.to, { root: body.root, seq });
        return;
      case 'commit':
        this.#onCommit(record, body);
        return;
      case 'rejection':
        this.#settle(body.mutation, { accepted: false, seq, reason: body.reason }, record.time);
        return;
      default:
    }
  }

  /** @throws SyncError `PLAY_NOTHING` */
  end(): PlayScript {
    const start = this.#start;
    if (!start) throw nothing('it does not say from which state its authority went on');
    const actions = this.#visits.among(this.#actions);
    if (!actions.some(({ kind }) => kind === 'intent')) {
      const redacted = this.#header.redaction === undefined ? '' : ', or redaction left out its frame';
      throw nothing(`no client that is asked for sent a command of which it is known how it ended${redacted}`);
    }
    return {
      header: this.#header,
      authority: this.#authority,
      clients: [...this.#clients].filter((one) => this.#isPlayed(one)).sort(),
      start,
      actions,
      roots: this.#roots,
      ownRoots: this.#ownRoots,
      commits: this.#commits,
      settled: this.#settled,
      hasViews: this.#hasViews,
      isPartial: this.#only !== undefined,
      undecided: this.#sent.size - this.#decided,
    };
  }

  #isPlayed(replica: ReplicaId): boolean {
    return this.#only?.has(replica) ?? true;
  }

  #learn({ sender, first, names }: TraceBodyOf<'names'>): void {
    const known = this.#names.get(sender);
    const table = first === 0 || !known ? new NameTable() : known;
    if (table.length === first) table.append(first, names);
    this.#names.set(sender, table);
  }

  #come({ replica, seq, time }: TraceRecord): void {
    this.#visits.here(replica, seq, time);
    if (this.#clients.has(replica)) return;
    this.#clients.add(replica);
    if (this.#isPlayed(replica)) this.#actions.push({ kind: 'join', replica, seq, time });
  }

  #onFrame(record: TraceRecord, { sender, type }: TraceBodyOf<'send' | 'receive'>): void {
    if (!record.wire || sender === this.#authority) return;
    if (type !== 'COMMAND' && type !== 'ACK' && type !== 'HEARTBEAT') return;
    const message = decodeMessage(record.wire, this.#names.get(sender) ?? new NameTable());
    if (message.type === 'COMMAND') this.#onCommand(record, message);
    // What a client has said but not the authority heard may never have come.
    else if (message.type !== 'ACK' && message.type !== 'HEARTBEAT') return;
    else if (record.replica === this.#authority) {
      const { version, progress } = message;
      this.#acknowledged.set(sender, { version, progress });
    }
  }

  #onCommand({ seq, time }: TraceRecord, { sender, counter, command, args }: MessageOf<'COMMAND'>): void {
    const name = nameOf({ writer: sender, counter });
    if (this.#sent.has(name)) return;
    const known = this.#predicted.get(name) ?? this.#knownTo(sender, counter);
    this.#sent.set(name, { replica: sender, counter, command, args, seq, time, ...known });
    const untold = this.#untold.get(sender) ?? new Map<number, Settled>();
    this.#untold.set(sender, untold.set(counter, 'open'));
  }

  #onPrediction({ mutation, version }: TraceBodyOf<'prediction'>): void {
    const { writer, counter } = mutation;
    const unanswered = this.#unanswered.get(writer) ?? new Set<number>();
    this.#predicted.set(nameOf(mutation), { seen: version, pending: [...unanswered] });
    this.#unanswered.set(writer, unanswered.add(counter));
  }

  /** What a client knew whose own records are not here: as much as it has acknowledged. */
  #knownTo(client: ReplicaId, before: number): Pick<PlayedIntent, 'seen' | 'pending'> {
    const { version, progress } = this.#acknowledged.get(client) ?? { version: 0, progress: 0 };
    const untold = this.#untold.get(client);
    const pending: number[] = [];
    for (const [counter, settled] of untold ?? []) {
      const isTold = settled !== 'open' && (settled.version <= version || settled.progress <= progress);
      if (isTold) untold?.delete(counter);
      else if (counter < before) pending.push(counter);
    }
    return { seen: version, pending };
  }

  #onHash({ replica, seq }: TraceRecord, { version, own, reference }: TraceBodyOf<'hash'>): void {
    const before = this.#acknowledged.get(replica);
    this.#acknowledged.set(replica, { version, progress: before?.progress ?? 0 });
    this.#own(replica, version, { root: reference ?? own, seq });
  }

  #onSnapshot({ replica, seq }: TraceRecord, body: TraceBodyOf<'snapshot'>): void {
    if (replica !== this.#authority) {
      this.#own(replica, body.version, { root: body.root, seq });
      return;
    }
    if (!this.#start) {
      this.#start = { ...body, seq };
      this.#progress = body.vector.reduce((sum, { counter }) => sum + counter, 0);
    }
    this.#onRoot(body.version, body.root, seq);
  }

  #onRoot(version: Version, root: StateHash, seq: number): void {
    if (!this.#roots.has(version)) this.#roots.set(version, { root, seq });
  }

  #onCommit({ replica, seq, time }: TraceRecord, body: TraceBodyOf<'commit'>): void {
    if (replica !== this.#authority) return;
    const { version, root, changes, mutation } = body;
    if (root !== undefined) this.#roots.set(version, { root, seq });
    if (changes.length > 0) this.#commits.push({ version, seq, changes, mutation });
    if (mutation) this.#settle(mutation, { accepted: true, seq, version }, time);
  }

  #settle({ writer, counter }: MutationId, answer: RecordedAnswer, time: number): void {
    const progress = ++this.#progress;
    const seqs = this.#settled.get(writer) ?? [];
    seqs.push(answer.seq);
    this.#settled.set(writer, seqs);
    const sent = this.#sent.get(nameOf({ writer, counter }));
    if (sent) {
      this.#decided++;
      const version = answer.accepted ? answer.version : Number.POSITIVE_INFINITY;
      this.#untold.get(writer)?.set(counter, { version, progress });
    }
    if (sent && this.#isPlayed(writer)) this.#actions.push({ kind: 'intent', ...sent, answer });
    else if (!this.#only) this.#actions.push({ kind: 'other', writer, counter, answer, time });
  }

  #own(replica: ReplicaId, version: Version, root: RecordedRoot): void {
    if (replica === this.#authority) return;
    const known = this.#ownRoots.get(replica);
    if (known?.has(version)) return;
    if (known) known.set(version, root);
    else this.#ownRoots.set(replica, new Map([[version, root]]));
  }
}

function nameOf({ writer, counter }: MutationId): string {
  return `${writer} ${counter}`;
}

function nothing(why: string): SyncError {
  return new SyncError('PLAY_NOTHING', `there is nothing to play: ${why}`, { origin: 'capture' });
}
