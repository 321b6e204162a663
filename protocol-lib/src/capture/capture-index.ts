import type { ReplicaId } from '../state/index.ts';
import { TRACE_KINDS, type TraceKind, type VectorEntries } from '../trace/index.ts';
import { ByteNames } from './byte-names.ts';
import { Columns, IntegerList } from './columns.ts';
import { ABSENT, Envelope, KIND, LEVELS, REASONS } from './envelope.ts';
import { FLAG, REASON_SHIFT } from './flags.ts';
import { AGREEMENT, type Agreement, type MarkerKind } from './query.ts';
import { AuthorityRoots, agreementOf, freshStanding, type Standing, stepStanding } from './standing.ts';

/** Kinds that change what a replica's committed state is known to be. */
const STATE_KINDS = new Set([
  KIND.commit,
  KIND.apply,
  KIND.snapshot,
  KIND.hash,
  KIND.mismatch,
  KIND.divergence,
  KIND.repair,
]);
const STANDINGS_EVERY = 4_096;
const LINK_OPEN_MAX = 65_536;

/** A time in which a replica held other values than its records give: found out at `start`, over at `end`. */
export interface Drift {
  readonly start: number;
  readonly version: number;
  /** Position of the divergence record that tells its own values; -1 where none does. */
  divergence: number;
  /** Position of a snapshot of its own whole state; -1 where there is none. */
  snapshot: number;
  end: number;
}

/** What the index keeps of one replica. */
export class ReplicaIndex {
  readonly id: ReplicaId;
  /** As far as it is known without its `replica` record. */
  role: 'server' | 'client' | 'peer' = 'client';
  /** Position of its first `replica` record, -1 for none, and what that said once it was read. */
  introducedAt = -1;
  introduction: { readonly role: ReplicaIndex['role']; readonly title: string | undefined } | undefined;
  first = 0;
  last = 0;
  records = 0;
  /** Positions of the kinds in STATE_KINDS. */
  readonly states = new IntegerList();
  readonly rebases = new IntegerList();
  readonly vectors = new IntegerList();
  /** Positions at which the agreement changed, and to what. */
  readonly turns = new IntegerList();
  readonly turnsTo = new IntegerList();
  readonly drifts: Drift[] = [];
  readonly standing: Standing = freshStanding();
  /** What it had seen before the first record kept, where older ones were dropped. */
  vectorAtStart: VectorEntries | undefined;

  constructor(id: ReplicaId) {
    this.id = id;
  }
}

interface Link {
  /** Sequence to position of sends without a receipt yet; the oldest forgotten beyond a limit. */
  readonly open: Map<number, number>;
  /** Sequence to position of the first receipt of the latest ones, for finding duplicates. */
  readonly received: Map<number, number>;
  highestReceived: number;
  /** Position of the receipt of that sequence. */
  highestPosition: number;
}

export interface MarkerEntry {
  readonly position: number;
  readonly kind: MarkerKind;
}

/**
 * Everything about a capture that can be known without decoding bodies, grown record by record. A file
 * and a live capture have the same one.
 */
export class CaptureIndex {
  readonly columns = new Columns();
  readonly replicaNames = new ByteNames();
  readonly typeNames = new ByteNames();
  /** By number; holes where a name was only ever spoken of. */
  readonly replicas: (ReplicaIndex | undefined)[] = [];
  readonly roots = new AuthorityRoots();
  readonly kindCounts = new Uint32Array(32);
  readonly markers: MarkerEntry[] = [];
  /** Positions of `names` and of `gap` records. */
  readonly names = new IntegerList();
  readonly gaps = new IntegerList();
  /** (position, seq) wherever `seq` is not one more than before. */
  readonly breaks: { readonly position: number; readonly seq: number }[] = [];
  /** Causes beyond the first, by position. */
  readonly moreCauses = new Map<number, readonly number[]>();
  /** First position of each chunk. */
  readonly chunks = new IntegerList();
  /** Hash of each changed key, and the position of the record that changes it. */
  readonly changedKeys = new IntegerList();
  readonly changedAt = new IntegerList();
  /** Mutations that the authority has decided on, taken or refused, in order of position. */
  readonly decided = { positions: new IntegerList(), writers: new IntegerList(), counters: new IntegerList() };
  /** Records that gap records and missing sequence numbers say were lost. */
  lost = 0;
  firstVersion = -1;
  lastVersion = 0;
  authority = -1;
  maxLatency = 0;
  readonly #envelope = new Envelope(this.replicaNames, this.typeNames);
  readonly #links = new Map<number, Link>();
  /** How all stood after each {@link STANDINGS_EVERY} records, and before the first record kept. */
  readonly #standings: (Standing | undefined)[][] = [];
  #standingsAtStart: (Standing | undefined)[] = [];
  #nextSeq = -1;
  #lastTime = 0;

  constructor(authority: ReplicaId | null) {
    if (authority !== null) this.authority = this.replicaNames.internText(authority);
  }

  get start(): number {
    return this.columns.start;
  }

  get end(): number {
    return this.columns.end;
  }

  beginChunk(): void {
    this.chunks.push(this.end);
  }

  /** @throws SyncError `RECORD_MALFORMED` where {@link append} would */
  check(record: Uint8Array): void {
    this.#envelope.read(record, 0, record.length);
  }

  /**
   * Takes the record in `length` bytes from `offset` of the current chunk's payload.
   * @throws SyncError `RECORD_MALFORMED`, and then nothing was taken
   */
  append(payload: Uint8Array, offset: number, length: number): void {
    const envelope = this.#envelope;
    envelope.read(payload, offset, length);
    const columns = this.columns;
    const index = columns.grow();
    const position = columns.end - 1;
    // Binary search wants times in order; a record of another clock that is behind counts as of now.
    this.#lastTime = Math.max(this.#lastTime, envelope.time);
    columns.time[index] = this.#lastTime;
    columns.replica[index] = envelope.replica;
    columns.kind[index] = envelope.kind;
    columns.frame[index] = envelope.frame;
    columns.offset[index] = offset;
    columns.partner[index] = -1;
    columns.flags[index] =
      (envelope.hasWire ? FLAG.wire : 0) |
      (envelope.hasHash ? FLAG.hash : 0) |
      (envelope.agrees >= 0 ? FLAG.agreesKnown : 0) |
      (envelope.agrees === 1 ? FLAG.agrees : 0) |
      ((envelope.reason + 1) << REASON_SHIFT);
    this.#takeSeq(index, position);
    this.#takeCauses(index, position);
    this.#takeFigures(index);
    this.kindCounts[envelope.kind]!++;
    const replica = this.#replica(envelope.replica, position);
    this.#takeKind(replica, index, position);
    for (const key of envelope.keys) {
      this.changedKeys.push(key | 0);
      this.changedAt.push(position);
    }
    this.#takeStanding(replica, position);
    columns.flags[index]! |= this.#severity(index, replica);
  }

  /** Every replica that wrote a record, in order of appearance. */
  knownReplicas(): ReplicaIndex[] {
    return this.replicas.filter((one) => one !== undefined).sort((a, b) => a.first - b.first);
  }

  replicaOf(id: string): ReplicaIndex | undefined {
    return this.replicas[this.replicaNames.findText(id)];
  }

  nameOf(replica: number): ReplicaId {
    return this.replicaNames.texts[replica] as ReplicaId;
  }

  kindAt(position: number): TraceKind {
    return TRACE_KINDS[this.columns.kind[position - this.start]!]!;
  }

  seqAt(position: number): number {
    const at = this.#breakBefore((one) => one.position <= position);
    return at ? at.seq + (position - at.position) : position + 1;
  }

  /** Position of the record with this `seq`; -1 where it is not in the capture. */
  positionOfSeq(seq: number): number {
    const at = this.#breakBefore((one) => one.seq <= seq);
    if (!at) return -1;
    const position = at.position + (seq - at.seq);
    const next = this.breaks[this.breaks.indexOf(at) + 1];
    const end = next ? next.position : this.end;
    return position < end && position >= this.start ? position : -1;
  }

  /** Number of the chunk that holds a position. */
  chunkOf(position: number): number {
    return this.chunks.countBelow(position + 1) - 1;
  }

  /** The last position at or before `time`, -1 or the one before the first kept where there is none. */
  positionAt(time: number): number {
    return this.firstAfter(time) - 1;
  }

  /** The first position whose time is above `time`. */
  firstAfter(time: number): number {
    const times = this.columns.time;
    let low = 0;
    let high = this.end - this.start;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (times[middle]! <= time) low = middle + 1;
      else high = middle;
    }
    return this.start + low;
  }

  /** The first position whose time is at or above `time`. */
  firstFrom(time: number): number {
    const times = this.columns.time;
    let low = 0;
    let high = this.end - this.start;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (times[middle]! < time) low = middle + 1;
      else high = middle;
    }
    return this.start + low;
  }

  timeAt(position: number): number {
    return this.columns.time[position - this.start]!;
  }

  /** How each replica stood after the record at `position`, by number; absent where it was not seen yet. */
  standingsAt(position: number): (Standing | undefined)[] {
    if (position >= this.end - 1) return this.#copyStandings();
    const columns = this.columns;
    const block = Math.floor((position + 1) / STANDINGS_EVERY);
    const isBlockKept = block * STANDINGS_EVERY > this.start;
    const kept = isBlockKept ? this.#standings[block - 1] : this.#standingsAtStart;
    const standings = (kept ?? []).map((one) => one && { ...one });
    const from = isBlockKept ? block * STANDINGS_EVERY : this.start;
    for (let at = from; at <= position; at++) {
      const replica = columns.replica[at - columns.start]!;
      const standing = standings[replica] ?? freshStanding();
      standings[replica] = standing;
      stepStanding(standing, columns, at, this.authority, this.roots);
    }
    return standings;
  }

  /** The drift that `position` of a replica lies in. */
  driftAt(replica: ReplicaIndex, position: number): Drift | undefined {
    return replica.drifts.findLast((one) => one.start <= position && (one.end < 0 || position < one.end));
  }

  /** Whether a send was lost: a later frame of the same link arrived, and it never did. */
  isLost(position: number): boolean {
    const columns = this.columns;
    const index = position - columns.start;
    if (columns.kind[index] !== KIND.send || columns.partner[index] !== -1) return false;
    const link = this.#links.get(linkKey(columns.high[index]! & 0xffff, columns.high[index]! >>> 16));
    return link !== undefined && link.highestReceived > columns.number[index]!;
  }

  /** Forgets everything about the records before `position`, which begins a chunk. */
  dropBelow(position: number): void {
    this.#standingsAtStart = this.standingsAt(position - 1);
    this.columns.dropBelow(position);
    for (const list of [this.names, this.gaps]) list.dropBelow(position);
    const dropped = this.changedAt.countBelow(position);
    this.changedKeys.dropFirst(dropped);
    this.changedAt.dropFirst(dropped);
    const decided = this.decided.positions.countBelow(position);
    for (const list of Object.values(this.decided)) list.dropFirst(decided);
    for (const replica of this.replicas) {
      if (!replica) continue;
      replica.states.dropBelow(position);
      replica.rebases.dropBelow(position);
      replica.vectors.dropBelow(position);
      // The last turn before the cut says how things stand at it.
      const turns = Math.max(0, replica.turns.countBelow(position + 1) - 1);
      replica.turns.dropFirst(turns);
      replica.turnsTo.dropFirst(turns);
    }
    for (const key of this.moreCauses.keys()) if (key < position) this.moreCauses.delete(key);
    const firstMarker = this.markers.findIndex((one) => one.position >= position);
    this.markers.splice(0, firstMarker < 0 ? this.markers.length : firstMarker);
  }

  #breakBefore(passes: (one: { position: number; seq: number }) => boolean) {
    let low = 0;
    let high = this.breaks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (passes(this.breaks[middle]!)) low = middle + 1;
      else high = middle;
    }
    return this.breaks[low - 1];
  }

  #takeSeq(index: number, position: number): void {
    const { seq } = this.#envelope;
    if (seq !== this.#nextSeq) {
      if (this.#nextSeq >= 0) {
        this.columns.flags[index]! |= FLAG.gapBefore;
        if (seq > this.#nextSeq) this.lost += seq - this.#nextSeq;
        this.markers.push({ position, kind: 'gap' });
      }
      this.breaks.push({ position, seq });
    }
    this.#nextSeq = seq + 1;
  }

  #takeCauses(index: number, position: number): void {
    const { causes } = this.#envelope;
    this.columns.cause[index] = causes.length === 0 ? -1 : this.positionOfSeq(causes[0]!);
    if (causes.length < 2) return;
    this.moreCauses.set(
      position,
      causes
        .slice(1)
        .map((seq) => this.positionOfSeq(seq))
        .filter((one) => one >= 0),
    );
  }

  #takeFigures(index: number): void {
    const envelope = this.#envelope;
    const columns = this.columns;
    switch (envelope.kind) {
      case KIND.send:
      case KIND.receive:
        columns.number[index] = envelope.sequence;
        columns.high[index] = (envelope.peer << 16) | envelope.sender;
        columns.low[index] = envelope.type;
        return;
      case KIND.prediction:
      case KIND.confirmation:
      case KIND.rollback:
      case KIND.rejection:
        columns.number[index] = envelope.version;
        columns.high[index] = envelope.counter;
        columns.low[index] = envelope.writer;
        return;
      case KIND.divergence:
      case KIND.rebase:
        columns.number[index] = envelope.version;
        columns.high[index] = envelope.peer << 16;
        columns.low[index] = envelope.pending;
        return;
      case KIND.refused:
      case KIND.names:
      case KIND.fault:
      case KIND.gap:
      case KIND.log:
        columns.number[index] = envelope.kind === KIND.gap ? envelope.count : envelope.first;
        columns.high[index] = envelope.peer << 16;
        columns.low[index] = Math.max(0, envelope.level);
        return;
      case KIND.delta:
        columns.number[index] = envelope.version;
        columns.high[index] = envelope.from;
        columns.low[index] = envelope.count;
        return;
      default:
        columns.number[index] = envelope.version;
        columns.high[index] = envelope.high;
        columns.low[index] = envelope.low;
    }
  }

  #replica(number: number, position: number): ReplicaIndex {
    let replica = this.replicas[number];
    if (!replica) {
      replica = new ReplicaIndex(this.nameOf(number));
      replica.first = position;
      if (number === this.authority) replica.role = 'server';
      // Numbers are given to every name that a record speaks of, so there may be holes before this one.
      this.replicas[number] = replica;
    }
    replica.last = position;
    replica.records++;
    return replica;
  }

  #takeKind(replica: ReplicaIndex, index: number, position: number): void {
    const envelope = this.#envelope;
    if (STATE_KINDS.has(envelope.kind)) this.#takeState(replica, index, position);
    switch (envelope.kind) {
      case KIND.replica:
        if (replica.introducedAt < 0) replica.introducedAt = position;
        return;
      case KIND.send:
        this.#takeSend(position);
        return;
      case KIND.receive:
        this.#takeReceipt(index, position);
        return;
      case KIND.rebase:
        replica.rebases.push(position);
        return;
      case KIND.vector:
        replica.vectors.push(position);
        return;
      case KIND.rejection:
        this.#takeDecision(position);
        return;
      case KIND.names:
        this.names.push(position);
        return;
      case KIND.gap:
        this.gaps.push(position);
        this.lost += envelope.count;
        this.markers.push({ position, kind: 'gap' });
        return;
      case KIND.rollback:
        this.markers.push({ position, kind: 'rollback' });
        return;
      case KIND.refused:
        this.markers.push({ position, kind: 'refused' });
        return;
      case KIND.fault:
        this.markers.push({ position, kind: 'fault' });
        return;
      default:
        return;
    }
  }

  #takeState(replica: ReplicaIndex, index: number, position: number): void {
    const envelope = this.#envelope;
    const { kind, version, high, low } = envelope;
    replica.states.push(position);
    if (envelope.replica === this.authority && envelope.hasHash) {
      this.roots.add(version, high, low, position);
      this.firstVersion = this.firstVersion < 0 ? version : Math.min(this.firstVersion, version);
      this.lastVersion = Math.max(this.lastVersion, version);
    }
    if (kind === KIND.snapshot) replica.vectors.push(position);
    if (kind === KIND.commit) this.#takeDecision(position);
    const before = replica.standing;
    const isSameVersion = before.hasRoot && before.version === version;
    const isOther = isSameVersion && (before.high !== high || before.low !== low);
    const isMismatchSnapshot = kind === KIND.snapshot && REASONS[envelope.reason] === 'mismatch';
    if (isOther && (kind === KIND.hash || kind === KIND.mismatch || isMismatchSnapshot)) {
      if (!this.#openDrift(replica)) {
        replica.drifts.push({ start: position, version, divergence: -1, snapshot: -1, end: -1 });
      }
    }
    if (kind === KIND.snapshot && (!before.hasRoot || !isSameVersion || isOther)) {
      this.columns.flags[index]! |= FLAG.reset;
    }
    if (isMismatchSnapshot) {
      const drift = this.#openDrift(replica);
      if (drift && drift.snapshot < 0) drift.snapshot = position;
    }
    if (kind === KIND.divergence) {
      const drift = this.#openDrift(replica);
      if (drift) drift.divergence = position;
    }
    const isRight = kind === KIND.hash && (envelope.agrees === 1 || this.roots.agrees(version, high, low) === true);
    if (isRight || kind === KIND.repair || kind === KIND.apply || (kind === KIND.snapshot && !isMismatchSnapshot)) {
      const drift = this.#openDrift(replica);
      if (drift) drift.end = position;
    }
    if (kind === KIND.repair) this.markers.push({ position, kind: 'repair' });
  }

  #takeDecision(position: number): void {
    const { replica, writer, counter } = this.#envelope;
    if (replica !== this.authority || writer === ABSENT) return;
    this.decided.positions.push(position);
    this.decided.writers.push(writer);
    this.decided.counters.push(counter);
  }

  #openDrift(replica: ReplicaIndex): Drift | undefined {
    const last = replica.drifts.at(-1);
    return last && last.end < 0 ? last : undefined;
  }

  #takeSend(position: number): void {
    const { sender, peer, sequence } = this.#envelope;
    const link = this.#link(sender, peer);
    link.open.set(sequence, position);
    if (link.open.size > LINK_OPEN_MAX) link.open.delete(firstKey(link.open));
  }

  #takeReceipt(index: number, position: number): void {
    const { sender, replica, sequence } = this.#envelope;
    const columns = this.columns;
    const link = this.#link(sender, replica);
    const sent = link.open.get(sequence);
    if (sent !== undefined) {
      link.open.delete(sequence);
      if (sent >= columns.start) {
        columns.partner[index] = sent;
        columns.partner[sent - columns.start] = position;
        this.maxLatency = Math.max(this.maxLatency, this.#lastTime - columns.time[sent - columns.start]!);
      }
    }
    const earlier = link.received.get(sequence);
    if (earlier !== undefined) {
      columns.flags[index]! |= FLAG.duplicate;
      if (earlier >= columns.start) columns.partner[index] = columns.partner[earlier - columns.start]!;
    } else {
      link.received.set(sequence, position);
      if (link.received.size > LINK_RECEIVED_MAX) link.received.delete(firstKey(link.received));
    }
    if (sequence > link.highestReceived) {
      link.highestReceived = sequence;
      link.highestPosition = position;
    } else if (earlier === undefined) columns.flags[index]! |= FLAG.late;
  }

  /** Position of the receipt after which a send of this link with a lower sequence counts as lost; -1 for none. */
  overtakenBy(position: number): number {
    const index = position - this.start;
    const high = this.columns.high[index]!;
    return this.#links.get(linkKey(high & 0xffff, high >>> 16))?.highestPosition ?? -1;
  }

  #link(sender: number, receiver: number): Link {
    const key = linkKey(sender, receiver);
    let link = this.#links.get(key);
    if (!link) {
      link = { open: new Map(), received: new Map(), highestReceived: -1, highestPosition: -1 };
      this.#links.set(key, link);
    }
    return link;
  }

  #severity(index: number, replica: ReplicaIndex): number {
    const { kind, level } = this.#envelope;
    switch (kind) {
      case KIND.mismatch:
      case KIND.divergence:
        return 3;
      case KIND.hash:
        return replica.standing.base === AGREEMENT.differs ? 3 : 0;
      case KIND.refused:
      case KIND.rollback:
      case KIND.rejection:
      case KIND.gap:
      case KIND.fault:
        return 2;
      case KIND.gone:
      case KIND.repair:
        return 1;
      case KIND.log:
        return LEVELS[level] === 'error' ? 3 : LEVELS[level] === 'warn' ? 2 : 0;
      default:
        return this.columns.flags[index]! & FLAG.duplicate ? 1 : 0;
    }
  }

  #takeStanding(replica: ReplicaIndex, position: number): void {
    const before: Agreement = agreementOf(replica.standing);
    const wasDiffering = replica.standing.differsPosition;
    stepStanding(replica.standing, this.columns, position, this.authority, this.roots);
    const after = agreementOf(replica.standing);
    if (before !== after || replica.turns.length === 0) {
      replica.turns.push(position);
      replica.turnsTo.push(after);
    }
    if (wasDiffering < 0 && replica.standing.differsPosition === position) {
      this.markers.push({ position, kind: 'desync' });
    }
    if ((position + 1) % STANDINGS_EVERY === 0) this.#standings.push(this.#copyStandings());
  }

  #copyStandings(): (Standing | undefined)[] {
    return Array.from(this.replicas, (one) => one && { ...one.standing });
  }
}

const LINK_RECEIVED_MAX = 1_024;

function linkKey(sender: number, receiver: number): number {
  return sender * 65_536 + receiver;
}

function firstKey(map: Map<number, number>): number {
  return map.keys().next().value ?? ABSENT;
}
