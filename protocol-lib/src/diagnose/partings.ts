import { areConcurrent, idOf, type Mutation } from '../conflict/index.ts';
import { sameValue } from '../merkle/index.ts';
import type { MessageOf } from '../messages/index.ts';
import type { ReplicaId, Version } from '../state/index.ts';
import type { TraceBodyOf, TraceRecord } from '../trace/index.ts';
import { differenceIn, wrongValue } from './differences.ts';
import type { Dispute } from './disputes.ts';
import { type Finding, type Forgotten, MAX_DIFFERENCES, type RecordRef } from './finding.ts';
import type { Frames } from './frames.ts';
import type { Intakes } from './intakes.ts';
import type { Stamps, ToldMutation } from './stamps.ts';
import type { Step, Trail } from './trail.ts';
import type { Trails } from './trails.ts';

const MAX_FINDINGS = 1_000;
/** Mutations of late that are looked at for those that two writers made without knowledge of each other. */
const MAX_COMPARED = 512;
/** Of these each is held against each, where those of the frame have no rival: a merge decides on what was before them too. */
const MAX_PAIRED = 64;

/** Changes as a replica got them, and where. */
interface ReceivedChanges {
  readonly ref: RecordRef;
  readonly message: MessageOf<'PEER_CHANGES'>;
}

/** Peers that refused each other's changes, since the same mutations gave them another state. */
export class Partings {
  readonly #frames: Frames;
  readonly #trails: Trails;
  readonly #stamps: Stamps;
  readonly #intakes: Intakes;
  readonly #disputes: Dispute[] = [];
  /** Pairs that parted and have not been found equal since. */
  readonly #apart = new Set<string>();
  #lost = 0;

  constructor(frames: Frames, stamps: Stamps, trails: Trails, intakes: Intakes) {
    this.#intakes = intakes;
    this.#trails = trails;
    this.#frames = frames;
    this.#stamps = stamps;
  }

  agreed(replica: ReplicaId): void {
    for (const pair of [...this.#apart]) if (pair.split(' ').includes(replica)) this.#apart.delete(pair);
  }

  /** Two were found to differ: by a refusal of changes, by a hash, or by the records in which they do. */
  take(record: TraceRecord, body: TraceBodyOf<'mismatch' | 'hash' | 'divergence'>, ref: RecordRef, trail: Trail): void {
    const came = this.#frames.received(record.cause[0]);
    const carried = came && this.#frames.message(came.wire, came.sent?.from ?? record.replica);
    const told = carried?.type === 'PEER_CHANGES' && came ? { ref: came.ref, message: carried } : undefined;
    const changes = (body.kind === 'mismatch' && told && this.#held(record, body, told.message)) || told;
    const sender =
      body.kind === 'divergence' ? body.against : (changes?.message.sender ?? came?.from ?? record.replica);
    const pair = [record.replica, sender].sort().join(' ');
    if (this.#apart.has(pair)) return;
    this.#apart.add(pair);
    if (this.#disputes.length >= MAX_FINDINGS) {
      this.#lost++;
      return;
    }
    // What it holds is not what its records say, or is not known: then it says nothing of the changes.
    const isKnown = body.kind === 'mismatch' && body.reason === 'root' && trail.root?.hash === body.own;
    const receipt = changes?.ref ?? came?.ref;
    if (isKnown && changes) this.#refused(record, body, ref, changes, causeOf(came!.ref, trail));
    else this.#disputes.push({ ...plainly(record, body, ref, trail, sender), receipt });
  }

  /** Changes that had come before and waited for those of the frame, where it is them that were refused. */
  #held(
    { replica }: TraceRecord,
    { expected }: TraceBodyOf<'mismatch'>,
    { root }: MessageOf<'PEER_CHANGES'>,
  ): ReceivedChanges | undefined {
    if (expected === undefined || root === expected) return undefined;
    let message: MessageOf<'PEER_CHANGES'> | undefined;
    const held = this.#frames.lastTo(replica, ({ from, type, receipts, wire }) => {
      if (type !== 'PEER_CHANGES' || receipts.length === 0) return false;
      const read = this.#frames.message(wire, from);
      if (read?.type === 'PEER_CHANGES' && read.root === expected) message = read;
      return message !== undefined;
    });
    const ref = held?.receipts.at(-1);
    return ref && message && { ref, message };
  }

  #refused(
    record: TraceRecord,
    body: TraceBodyOf<'mismatch'>,
    ref: RecordRef,
    { ref: received, message }: ReceivedChanges,
    cause: RecordRef,
  ): void {
    const rivals = this.#rivalsIn(message.mutations);
    const ids = rivals?.map(({ mutation }) => idOf(mutation)).join(' and ');
    const refusal: Finding = {
      class: rivals ? 'conflict-resolved-differently' : 'unknown',
      ...{ replica: record.replica, against: message.sender, version: body.version, time: record.time },
      ...{ cause, detected: ref, confidence: rivals ? 'medium' : 'low', differences: [] },
      reason: rivals
        ? `the same mutations gave two states, and ${ids} were made without knowledge of each other`
        : 'the same mutations gave two states, and the capture does not show which of them',
      evidence: [
        { text: `${message.sender} sent changes that lead to the root ${message.root}.`, record: received },
        { text: `${record.replica} came to another root with them, and refused them.`, record: ref },
        ...(rivals ?? []).map(({ mutation, made }) => ({
          text: `${idOf(mutation)} was made here, on ${mutation.changes.map(({ key }) => key).join(', ')}.`,
          record: made,
        })),
      ],
      confirm: 'merge these mutations on each build, and compare their policies',
    };
    const reached = this.#reached(message, body.to, rivals);
    this.#disputes.push({
      isOfAnswers: false,
      receipt: received,
      position: ref.position,
      pairs: [[record.replica, message.sender]],
      finding: (wrong) => (wrong === message.sender ? ofSender(refusal, reached) : refusal),
    });
  }

  /** Where the sender had both that were made without knowledge of each other; else where it came to the root that it said. */
  #reached(
    { sender, root }: MessageOf<'PEER_CHANGES'>,
    version: Version,
    rivals: readonly ToldMutation[] | undefined,
  ): RecordRef | undefined {
    const states = this.#trails.of(sender).steps.filter((step) => step.root.hash === root);
    // What should have changed something and did not leaves the root as it was.
    const came = (states.find((step) => step.version === version) ?? states.at(-1))?.at;
    const had = rivals?.map(({ mutation }) => this.#intakes.of(sender, idOf(mutation)));
    const both = had?.reduce((last, one) => (last && one && (one.position > last.position ? one : last)) || undefined);
    if (!rivals || !both || !came || both.position >= came.position) return came;
    return this.#settled(sender, rivals, both, came);
  }

  /** The last record from `both` to `came` with which what the sender held of the records that both rivals changed became what it was at `came`. */
  #settled(sender: ReplicaId, rivals: readonly ToldMutation[], both: RecordRef, came: RecordRef): RecordRef {
    const steps = this.#trails.of(sender).steps.filter(({ at }) => at.position <= came.position);
    const [one, other] = rivals.map(({ mutation }) => mutation.changes.map(({ key }) => key));
    const keys = one!.filter((key) => other!.includes(key));
    const last = steps.at(-1)?.root;
    const isSame = ({ root }: Step) => keys.every((key) => sameValue(root.get(key) ?? null, last?.get(key) ?? null));
    const before = steps.findLast((step) => !isSame(step));
    const after = before ? steps[steps.indexOf(before) + 1]?.at : undefined;
    return after && after.position > both.position ? after : both;
  }

  disputes(): readonly Dispute[] {
    return this.#disputes;
  }

  get forgotten(): Forgotten {
    return { memory: 'findings', kept: MAX_FINDINGS, forgotten: this.#lost };
  }

  /** Two mutations on one record whose writers knew nothing of each other, one of them in the frame if there is such a pair. */
  #rivalsIn(mutations: readonly Mutation[]): readonly [ToldMutation, ToldMutation] | undefined {
    const latest = this.#stamps.latest().slice(0, MAX_COMPARED);
    const named = new Set(mutations.map(idOf));
    const told = latest.filter(({ mutation }) => named.has(idOf(mutation)));
    return pairOf(told, latest) ?? pairOf(latest.slice(0, MAX_PAIRED), latest.slice(0, MAX_PAIRED));
  }
}

/** The record with which a replica came to the state on which it refused: what the frame gave it first, if anything; else the frame. */
function causeOf(receipt: RecordRef, { verified }: Trail): RecordRef {
  return verified && verified.position > receipt.position ? verified : receipt;
}

/** All that is known is that they differ. */
function plainly(
  { replica, time }: TraceRecord,
  body: TraceBodyOf<'mismatch' | 'hash' | 'divergence'>,
  ref: RecordRef,
  trail: Trail,
  other: ReplicaId,
): Dispute {
  const told = body.kind === 'divergence' ? body.differences.slice(0, MAX_DIFFERENCES) : [];
  // What it has come to since says nothing of this.
  const cause = trail.verified ?? ref;
  const finding = (wrong: ReplicaId | undefined): Finding => {
    const isOther = wrong === other && other !== replica;
    const differences = told.map(({ key, own, theirs }) =>
      isOther ? differenceIn(key, theirs, own) : differenceIn(key, own, theirs),
    );
    const [blamed, against] = isOther ? [other, replica] : [replica, other];
    return {
      ...{ class: 'unknown', replica: blamed, against, version: body.version, time, cause },
      ...{ detected: ref, confidence: 'low', differences, ...wrongValue(differences) },
      reason: 'two were found to differ, and the capture does not show by what they came apart',
      evidence: [
        { text: `${replica} found that it differs${other === replica ? '' : ` from ${other}`}.`, record: ref },
      ],
      confirm: 'record from the start of the session, with everybody in the same capture',
    };
  };
  return { ...{ isOfAnswers: false, isPlain: true }, position: ref.position, pairs: [[replica, other]], finding };
}

/** The refusal, where it is the sender of what was refused that is wrong: from the record with which it came to what it said. */
function ofSender(refusal: Finding, reached: RecordRef | undefined): Finding {
  const { replica, against, cause, evidence } = refusal;
  const came = reached ? [{ text: `${against} came to what it says here.`, record: reached }] : [];
  return {
    ...refusal,
    ...{ replica: against, against: replica, cause: reached ?? cause },
    evidence: [...came, ...evidence],
  };
}

function pairOf(
  some: readonly ToldMutation[],
  all: readonly ToldMutation[],
): readonly [ToldMutation, ToldMutation] | undefined {
  for (const one of some) {
    const other = all.find(({ mutation }) => areRivals(mutation, one.mutation));
    if (other) return [one, other];
  }
  return undefined;
}

/** Whether two mutations changed a record without knowledge of each other. */
export function areRivals(left: Mutation, right: Mutation): boolean {
  if (!areConcurrent(left, right)) return false;
  return left.changes.some(({ key }) => right.changes.some((other) => other.key === key));
}
