import { TRACE_KINDS } from '../trace/index.ts';
import type { CaptureIndex } from './capture-index.ts';
import type { CheckpointBuilder } from './checkpoint-builder.ts';
import { type GrowingPage, slotOf } from './columns.ts';
import { ABSENT, Envelope, KIND, LEVELS, REASONS } from './envelope.ts';
import { FLAG, REASON_SHIFT } from './flags.ts';
import { GROUP_OF_KIND } from './kind-groups.ts';
import { AGREEMENT } from './query.ts';
import { ReplicaIndex } from './replica-index.ts';
import { agreementOf, stepStanding } from './standing.ts';

/** Kinds that change what a replica's committed state is known to be. */
const IS_STATE = new Uint8Array(TRACE_KINDS.length);
for (const kind of [KIND.commit, KIND.apply, KIND.snapshot, KIND.hash, KIND.mismatch, KIND.divergence, KIND.repair])
  IS_STATE[kind] = 1;

/** Kinds that change nothing of how a replica stands that is there already. */
const IS_PASSING = new Uint8Array(TRACE_KINDS.length);
for (const kind of [KIND.send, KIND.receive, KIND.delta, KIND.vector, KIND.names, KIND.log]) IS_PASSING[kind] = 1;

/** Puts records into an index, one after the other, from their bytes alone. */
export class IndexBuilder {
  readonly index: CaptureIndex;
  /** Told where a message's other end became known only after its page had been let go of. */
  readonly #onLatePartner: (position: number, partner: number) => void;
  readonly #checkpoints: CheckpointBuilder | undefined;
  readonly #envelope: Envelope;
  #nextSeq = -1;
  /** The last place where `seq` is not one more than before. */
  #breakAt = -1;
  #breakSeq = Number.POSITIVE_INFINITY;
  #highestBreak = -1;
  #lastTime = 0;
  /** Whether a group decides each version by votes, so that one version is one state though there is no authority. */
  #isDecidedByVotes = false;

  constructor(
    index: CaptureIndex,
    checkpoints?: CheckpointBuilder,
    onLatePartner: (position: number, partner: number) => void = () => {},
  ) {
    this.index = index;
    this.#checkpoints = checkpoints;
    this.#onLatePartner = onLatePartner;
    this.#envelope = new Envelope(index.replicaNames, index.typeNames);
  }

  /** @throws SyncError `RECORD_MALFORMED` where {@link append} would */
  check(record: Uint8Array): void {
    this.#envelope.read(record, 0, record.length);
  }

  /**
   * Takes the record in `length` bytes from `offset` of `bytes`, which will lie at `place` of the chunk's payload. Returns what its head
   * says, good until the next one.
   * @throws SyncError `RECORD_MALFORMED`, and then nothing was taken
   */
  append(
    bytes: Uint8Array,
    offset: number,
    length: number,
    place = offset,
  ): { readonly seq: number; readonly time: number } {
    const { index } = this;
    const envelope = this.#envelope;
    envelope.read(bytes, offset, length);
    const position = index.end;
    const page = index.columns.grow();
    const slot = slotOf(position);
    if (slot === 0) page.standings = Array.from(index.replicas, (one) => one && { ...one.standing });
    // Binary search wants times in order; a record of another clock that is behind counts as of now.
    this.#lastTime = Math.max(this.#lastTime, envelope.time);
    page.time[slot] = this.#lastTime;
    page.replica[slot] = envelope.replica;
    page.kind[slot] = envelope.kind;
    page.frame[slot] = envelope.frame;
    page.offset[slot] = place;
    page.partner[slot] = -1;
    page.flags[slot] =
      (envelope.hasWire ? FLAG.wire : 0) |
      (envelope.hasHash ? FLAG.hash : 0) |
      (envelope.agrees >= 0 ? FLAG.agreesKnown : 0) |
      (envelope.agrees === 1 ? FLAG.agrees : 0) |
      ((envelope.reason + 1) << REASON_SHIFT);
    this.#takeSeq(page, slot, position);
    this.#takeCauses(page, slot, position);
    takeFigures(envelope, page, slot);
    index.kindCounts[envelope.kind]!++;
    const replica = this.#replica(envelope.replica, position);
    this.#takeKind(replica, page, slot, position);
    if (IS_STATE[envelope.kind] === 1) this.#takeCheckpoint(position, bytes, offset, length);
    for (const key of envelope.keys) {
      index.changedKeys.push(key | 0);
      index.changedAt.push(position);
    }
    this.#takeStanding(replica, position);
    page.flags[slot]! |= this.#severity(page.flags[slot]!, replica);
    return envelope;
  }

  #takeSeq(page: GrowingPage, slot: number, position: number): void {
    const { seq, kind, count } = this.#envelope;
    const { index } = this;
    const skipped = this.#nextSeq < 0 ? 0 : Math.max(0, seq - this.#nextSeq);
    // A gap record stands in the place of the last one that is missing, so its count has the skipped ones in it.
    index.lost += kind === KIND.gap ? Math.max(skipped, count) : skipped;
    if (seq !== this.#nextSeq) {
      if (this.#nextSeq >= 0) {
        page.flags[slot]! |= FLAG.gapBefore;
        if (kind !== KIND.gap) index.mark(position, 'gap');
      }
      index.breakAt.push(position);
      index.breakSeq.push(seq);
      // Where numbers go back, a search finds what it finds.
      this.#breakSeq = seq > this.#highestBreak ? seq : Number.POSITIVE_INFINITY;
      this.#highestBreak = Math.max(this.#highestBreak, seq);
      this.#breakAt = position;
    }
    this.#nextSeq = seq + 1;
  }

  #takeCauses(page: GrowingPage, slot: number, position: number): void {
    const { causes } = this.#envelope;
    const { index } = this;
    page.cause[slot] = causes.length === 0 ? -1 : this.#positionOf(causes[0]!);
    for (let at = 1; at < causes.length; at++) {
      const cause = this.#positionOf(causes[at]!);
      if (cause < 0) continue;
      index.extraAt.push(position);
      index.extraCause.push(cause);
    }
  }

  /** Most causes are behind the last place where numbers are missing, so that nothing has to be searched. */
  #positionOf(seq: number): number {
    const { index } = this;
    if (seq < this.#breakSeq) return index.positionOfSeq(seq);
    const position = this.#breakAt + (seq - this.#breakSeq);
    return position < index.end && position >= index.start ? position : -1;
  }

  #replica(number: number, position: number): ReplicaIndex {
    const { index } = this;
    let replica = index.replicas[number];
    if (!replica) {
      replica = new ReplicaIndex(index.nameOf(number));
      replica.first = position;
      if (number === index.authority) replica.role = 'server';
      // Numbers are given to every name that a record speaks of, so there may be holes before this one.
      index.replicas[number] = replica;
    }
    replica.last = position;
    replica.records++;
    return replica;
  }

  #takeKind(replica: ReplicaIndex, page: GrowingPage, slot: number, position: number): void {
    const envelope = this.#envelope;
    const { index } = this;
    if (IS_STATE[envelope.kind] === 1) this.#takeState(replica, page, slot, position);
    switch (envelope.kind) {
      case KIND.replica:
        if (replica.introducedAt < 0) replica.introducedAt = position;
        return;
      case KIND.send:
        index.links.takeSend(envelope.sender, envelope.peer, envelope.sequence, position);
        return;
      case KIND.receive:
        this.#takeReceipt(page, slot, position);
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
      case KIND.proposal:
        this.#isDecidedByVotes = true;
        return;
      case KIND.partition:
        index.mark(position, 'partition');
        return;
      case KIND.names:
        index.names.push(position);
        return;
      case KIND.gap:
        index.gaps.push(position);
        index.mark(position, 'gap');
        return;
      case KIND.rollback:
        index.mark(position, 'rollback');
        return;
      case KIND.refused:
        index.mark(position, 'refused');
        return;
      case KIND.fault:
        index.mark(position, 'fault');
        return;
      default:
        return;
    }
  }

  #takeState(replica: ReplicaIndex, page: GrowingPage, slot: number, position: number): void {
    const { index } = this;
    const envelope = this.#envelope;
    const { kind, version, high, low } = envelope;
    replica.states.push(position);
    // Where a group decides, whoever counted the votes tells what a version is.
    const isDecided = index.authority < 0 && this.#isDecidedByVotes && kind === KIND.commit;
    if ((envelope.replica === index.authority || isDecided) && (envelope.hasHash || kind === KIND.commit)) {
      if (envelope.hasHash) index.roots.add(version, high, low, position);
      index.firstVersion = index.firstVersion < 0 ? version : Math.min(index.firstVersion, version);
      index.lastVersion = Math.max(index.lastVersion, version);
    }
    if (kind === KIND.snapshot) replica.vectors.push(position);
    if (kind === KIND.commit) this.#takeDecision(position);
    const before = replica.standing;
    const isSameVersion = before.hasRoot && before.version === version;
    const isOther = isSameVersion && (before.high !== high || before.low !== low);
    const isReset = kind === KIND.snapshot && (!before.hasRoot || !isSameVersion || isOther);
    if (isReset) page.flags[slot]! |= FLAG.reset;
    if (isReset || kind === KIND.repair) replica.resets.push(position);
    this.#takeDrift(replica, position, isOther);
    if (kind === KIND.repair) index.mark(position, 'repair');
  }

  /** Notes where a replica was found to hold other values than its records give, and where that ended. */
  #takeDrift(replica: ReplicaIndex, position: number, isOther: boolean): void {
    const { kind, version, high, low, agrees, reason } = this.#envelope;
    const isMismatchSnapshot = kind === KIND.snapshot && REASONS[reason] === 'mismatch';
    const isFound = isOther && (kind === KIND.hash || kind === KIND.mismatch || isMismatchSnapshot);
    if (isFound && !replica.openDrift) {
      replica.drifts.push({ start: position, version, divergence: -1, snapshot: -1, end: -1 });
    }
    const drift = replica.openDrift;
    if (!drift) return;
    if (isMismatchSnapshot && drift.snapshot < 0) drift.snapshot = position;
    if (kind === KIND.divergence) drift.divergence = position;
    const isRight = kind === KIND.hash && (agrees === 1 || this.index.roots.agrees(version, high, low) === true);
    const isReplaced = kind === KIND.repair || kind === KIND.apply || (kind === KIND.snapshot && !isMismatchSnapshot);
    if (isRight || isReplaced) drift.end = position;
  }

  #takeCheckpoint(position: number, bytes: Uint8Array, offset: number, length: number): void {
    const { replica, kind, version, high, low, hasHash } = this.#envelope;
    const { authority, roots } = this.index;
    if (!this.#checkpoints) return;
    const isAuthoritys = replica !== authority && hasHash && roots.agrees(version, high, low) === true;
    if (isAuthoritys) this.#checkpoints.pass(replica);
    else this.#checkpoints.next(replica, position, bytes, offset, length, kind === KIND.snapshot, hasHash);
  }

  #takeDecision(position: number): void {
    const { replica, writer, counter, version } = this.#envelope;
    const { index } = this;
    if (replica !== index.authority || writer === ABSENT) return;
    index.decided.positions.push(position);
    index.decided.versions.push(version);
    index.decided.writers.push(writer);
    index.decided.counters.push(counter);
  }

  #takeReceipt(page: GrowingPage, slot: number, position: number): void {
    const { sender, replica, sequence } = this.#envelope;
    const { columns, links } = this.index;
    const { sent, earlier, isLate } = links.takeReceipt(sender, replica, sequence, position);
    if (sent >= columns.start) {
      page.partner[slot] = sent;
      if (columns.has(sent)) {
        columns.page(sent).partner[slotOf(sent)] = position;
        this.index.maxLatency = Math.max(this.index.maxLatency, this.#lastTime - columns.time(sent));
      } else {
        this.#onLatePartner(sent, position);
        // A bound is enough: that of the block in which it was sent.
        this.index.maxLatency = Math.max(this.index.maxLatency, this.#lastTime - this.index.blockTime(sent));
      }
    }
    if (earlier >= 0) {
      page.flags[slot]! |= FLAG.duplicate;
      if (earlier >= columns.start && columns.has(earlier)) page.partner[slot] = columns.partner(earlier);
    } else if (isLate) page.flags[slot]! |= FLAG.late;
  }

  #severity(flags: number, replica: ReplicaIndex): number {
    const { kind, level } = this.#envelope;
    switch (kind) {
      case KIND.mismatch:
        return replica.standing.base === AGREEMENT.differs ? 3 : 2;
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
        return flags & FLAG.duplicate ? 1 : 0;
    }
  }

  #takeStanding(replica: ReplicaIndex, position: number): void {
    const { index } = this;
    const { kind, replica: number } = this.#envelope;
    if (IS_PASSING[kind] === 1 && replica.standing.isConnected && replica.turns.length > 0) {
      const { agreement } = replica;
      index.blocks.take(this.#lastTime, number, kind, GROUP_OF_KIND[kind]!, agreement, agreement);
      return;
    }
    const before = agreementOf(replica.standing);
    const wasDiffering = replica.standing.differsPosition;
    stepStanding(replica.standing, index.columns, position, index.authority, index.roots);
    const after = agreementOf(replica.standing);
    replica.agreement = after;
    if (before !== after || replica.turns.length === 0) {
      replica.turns.push(position);
      replica.turnsTo.push(after);
    }
    if (wasDiffering < 0 && replica.standing.differsPosition === position) index.mark(position, 'desync');
    if (replica.standing.refusedPosition === position) {
      replica.refusals.push(position);
      index.mark(position, 'refused-delta');
    }
    index.blocks.take(this.#lastTime, number, kind, GROUP_OF_KIND[kind]!, before, after);
  }
}

function takeFigures(envelope: Envelope, page: GrowingPage, slot: number): void {
  switch (envelope.kind) {
    case KIND.send:
    case KIND.receive:
      page.number[slot] = envelope.sequence;
      page.high[slot] = (envelope.peer << 16) | envelope.sender;
      page.low[slot] = envelope.type;
      return;
    case KIND.prediction:
    case KIND.confirmation:
    case KIND.rollback:
    case KIND.rejection:
      page.number[slot] = envelope.version;
      page.high[slot] = envelope.counter;
      page.low[slot] = envelope.writer;
      return;
    case KIND.divergence:
    case KIND.rebase:
      page.number[slot] = envelope.version;
      page.high[slot] = envelope.peer << 16;
      page.low[slot] = envelope.pending;
      return;
    case KIND.refused:
    case KIND.names:
    case KIND.fault:
    case KIND.gap:
    case KIND.log:
      page.number[slot] = figureOf(envelope);
      page.high[slot] = envelope.peer << 16;
      page.low[slot] = Math.max(0, envelope.level);
      return;
    case KIND.delta:
      page.number[slot] = envelope.version;
      page.high[slot] = envelope.from;
      page.low[slot] = envelope.count;
      return;
    default:
      page.number[slot] = envelope.version;
      page.high[slot] = envelope.high;
      page.low[slot] = envelope.low;
  }
}

function figureOf({ kind, count, first, hasInputs }: Envelope): number {
  if (kind === KIND.log) return hasInputs ? 1 : 0;
  return kind === KIND.gap ? count : first;
}
