import type { ReplicaId } from '../state/index.ts';
import type { TraceBodyOf, TraceHeader, TraceRecord, VectorEntries } from '../trace/index.ts';
import { alike, isIdentical } from './alike.ts';
import { Claims } from './claims.ts';
import { Decisions } from './decisions.ts';
import type { Dispute } from './disputes.ts';
import type { Finding, Forgotten, RecordRef } from './finding.ts';
import type { Frames } from './frames.ts';
import { Intakes } from './intakes.ts';
import { Operations } from './operations.ts';
import { Partings } from './partings.ts';
import { Recent } from './recent.ts';
import { Stamps } from './stamps.ts';
import type { Trail } from './trail.ts';
import type { Trails } from './trails.ts';

const KEPT_CAUSES = 65_536;

/** A session without an authority: peers that merge, groups that decide, replicated data types. */
export class GroupAudit {
  readonly #frames: Frames;
  readonly #stamps: Stamps;
  readonly #operations: Operations;
  readonly #claims: Claims;
  readonly #partings: Partings;
  readonly #intakes = new Intakes();
  readonly #decisions: Decisions;
  /** The last operation that each replica took in, and what it had seen then. */
  readonly #lastOperation = new Map<ReplicaId, { readonly seq: number; readonly body: TraceBodyOf<'operation'> }>();
  /** Records, by number, that made somebody change something. */
  readonly #takenIn = new Recent<number, true>('records', KEPT_CAUSES);
  /** Whether versions are decided on: each is one state then. */
  #isDecided = false;

  constructor(header: Pick<TraceHeader, 'startedAt'>, trails: Trails, frames: Frames) {
    this.#stamps = new Stamps(header, trails, frames);
    this.#operations = new Operations(frames);
    this.#frames = frames;
    this.#decisions = new Decisions(frames);
    this.#claims = new Claims(this.#stamps);
    this.#partings = new Partings(frames, this.#stamps, trails, this.#intakes);
  }

  /** After the replica's own trail has taken in the record. */
  take(record: TraceRecord, ref: RecordRef, trail: Trail): void {
    const { body, replica } = record;
    this.#decisions.take(record, ref);
    switch (body.kind) {
      case 'replica':
        this.#operations.reset(replica, true);
        this.#lastOperation.delete(replica);
        return;
      case 'proposal':
      case 'vote':
        this.#isDecided = true;
        return;
      case 'commit':
      case 'apply':
        this.#changed(record, body, ref, trail);
        return;
      case 'snapshot':
        if (body.reason !== 'mismatch') this.#intakes.begun(replica, body.vector);
        return;
      case 'vector':
        this.#counted(replica, body.vector, trail);
        this.#claims.ofVector(body.vector, record, ref, trail);
        return;
      case 'receive':
        if (body.type === 'PRESENCE') this.#heard(record, body);
        return;
      case 'operation':
        for (const seq of record.cause) this.#takenIn.set(seq, true);
        this.#operations.take(record, body, ref, trail);
        this.#lastOperation.set(replica, { seq: record.seq, body });
        return;
      case 'mismatch':
        if (body.reason !== 'base') this.#partings.take(record, body, ref, trail);
        return;
      case 'divergence':
        if (body.differences.some(({ own, theirs }) => !isIdentical(own, theirs) && !alike(own, theirs)))
          this.#partings.take(record, body, ref, trail);
        return;
      case 'hash':
        if (body.agrees) this.#partings.agreed(replica);
        else if (body.agrees === false) this.#partings.take(record, body, ref, trail);
        return;
      case 'refused':
        this.#stamps.refused(record, body, ref);
        return;
      default:
        return;
    }
  }

  /** Records are missing. */
  lapse(trails: Iterable<Trail>): void {
    this.#decisions.lapse();
    this.#intakes.lapse();
    for (const { id } of trails) {
      this.#operations.reset(id, false);
      this.#lastOperation.delete(id);
    }
  }

  sent(record: TraceRecord, body: TraceBodyOf<'send'>, ref: RecordRef, made: RecordRef | undefined): void {
    this.#stamps.sent(record, body, ref, made);
  }

  findings(): Finding[] {
    return [...this.#stamps.findings(), ...this.#operations.findings()];
  }

  /**
   * Who came to another state than others, by what they hold and by what they refused of each other; and who broke the rules by which a group decides,
   * which then is what they differ by.
   * @param known what other findings say: why a replica differs, from their causes on
   */
  disputes(known: readonly Finding[]): { readonly broken: readonly Finding[]; readonly open: Dispute[] } {
    const isExplained = (replica: ReplicaId, position: number, receipt?: RecordRef) =>
      known.some((one) => one.replica === replica && one.cause.position <= position && this.#isFelt(one, receipt));
    const isOpen = ({ pairs, position, receipt }: Dispute) =>
      !pairs.every((pair) => pair.some((one) => isExplained(one, position, receipt)));
    const open = [...this.#claims.disputes(), ...this.#partings.disputes()].filter(isOpen);
    const split = open.find(({ isOfVersion }) => isOfVersion)?.finding(undefined);
    const broken = this.#decisions.findings(split).filter((one) => !isExplained(one.replica, one.cause.position));
    // Of a broken rule by which nothing was decided twice nothing comes.
    const first = split ? Math.min(...broken.map(({ cause }) => cause.position)) : Number.POSITIVE_INFINITY;
    return { broken, open: open.filter(({ position }) => position < first) };
  }

  /** Whether something may come of a finding: a frame that was changed on its way does no harm where nobody took it in. */
  #isFelt({ class: found, cause }: Finding, receipt: RecordRef | undefined): boolean {
    if (found !== 'corrupted-in-transit') return true;
    return cause.position === receipt?.position || this.#takenIn.get(cause.seq) !== undefined;
  }

  get forgotten(): Forgotten[] {
    return [
      this.#takenIn.forgotten,
      this.#stamps.forgotten,
      ...this.#operations.forgotten,
      ...this.#claims.forgotten,
      this.#partings.forgotten,
      this.#intakes.forgotten,
    ];
  }

  #heard({ replica, wire }: TraceRecord, { sender }: TraceBodyOf<'receive'>): void {
    const message = this.#frames.message(wire, sender);
    if (message?.type === 'PRESENCE') this.#operations.heard(replica, message.vector);
  }

  /** A mutation that was taken in has to do with what it changes, though nothing may have come of it. */
  #counted(replica: ReplicaId, vector: VectorEntries, trail: Trail): void {
    const { verified } = trail;
    if (!verified) return;
    for (const id of this.#intakes.take(replica, vector, verified)) {
      const told = this.#stamps.get(id);
      if (told) this.#claims.tookIn(told.mutation, verified, trail);
    }
  }

  #changed(record: TraceRecord, body: TraceBodyOf<'commit' | 'apply'>, ref: RecordRef, trail: Trail): void {
    for (const seq of record.cause) this.#takenIn.set(seq, true);
    const operation = this.#lastOperation.get(record.replica);
    const isOf = operation && operation.seq === record.cause[0];
    const by = isOf ? `${operation.body.writer}:${operation.body.counter}` : undefined;
    this.#claims.touched(record, ref, trail, by);
    if (isOf && this.#operations.isCountedWhole(record.replica, operation.body)) {
      this.#claims.ofVector(operation.body.vector, record, ref, trail, operation.body.crdt);
    } else if (operation && !isOf) this.#operations.reset(record.replica, false);
    if (this.#isDecided) this.#claims.ofVersion(body.kind === 'apply' ? body.to : body.version, record, ref, trail);
  }
}
