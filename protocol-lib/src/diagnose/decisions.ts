import { canonicalBytes } from '../bytes/index.ts';
import type { MessageOf } from '../messages/index.ts';
import { compareBallots, quorumOf } from '../peers/index.ts';
import type { Change, ReplicaId, Value, Version } from '../state/index.ts';
import type { Ballot, TraceBodyOf, TraceRecord } from '../trace/index.ts';
import type { Finding, Forgotten, Proof, RecordRef } from './finding.ts';
import type { Frames } from './frames.ts';
import { Recent } from './recent.ts';

const KEPT_ROUNDS = 4_096;
const KEPT_VOTES = 16_384;

interface Said {
  readonly ballot: Ballot;
  readonly ref: RecordRef;
}

/** A change that somebody accepted or offers, by what it does. */
type Offer = string;

interface Promised {
  /** What it had accepted, and under which ballot; undefined where that was nothing. */
  readonly accepted: { readonly offer: Offer; readonly ballot: Ballot } | undefined;
  readonly ref: RecordRef;
}

/** One round of a proposer, from what it heard itself. */
interface Round {
  readonly asked: RecordRef;
  /** Whether its own change was shown with the question: who has accepted another shows none. */
  readonly showsOwn: boolean;
  /** Who promised, each with what it had accepted before; undefined where that was nothing. */
  readonly promised: Map<ReplicaId, Promised>;
  /** Who said yes to the change; undefined where it was not seen to be offered. */
  accepted: Map<ReplicaId, RecordRef> | undefined;
}

/** A rule that a member broke. */
interface Breach {
  readonly replica: ReplicaId;
  readonly against: ReplicaId;
  readonly version: Version;
  readonly time: number;
  readonly ref: RecordRef;
  readonly reason: string;
  readonly evidence: readonly Proof[];
}

/**
 * Groups that decide by majority (Paxos: L. Lamport, "Paxos Made Simple", 2001): whether every member kept what it had promised, told what it had
 * accepted, offered what it was bound to, and counted right. Where one did not, a version can be decided twice.
 */
export class Decisions {
  readonly #frames: Frames;
  readonly #members = new Set<ReplicaId>();
  /** The highest ballot that each member has said yes to, in all of its lives: its log outlives its process. */
  readonly #promised = new Map<ReplicaId, Said>();
  /** By member and version, under which ballot it last accepted something. */
  readonly #accepted = new Recent<string, Said>('operations', KEPT_VOTES);
  /** By member, version, phase and ballot. */
  readonly #votes = new Recent<string, RecordRef>('operations', KEPT_VOTES);
  readonly #rounds = new Recent<string, Round>('operations', KEPT_ROUNDS);
  /** Who was told votes that cannot be read, as in a redacted capture: what it counts is not known. */
  readonly #unread = new Set<ReplicaId>();
  /** The first of each member: what follows is no finding of its own. */
  readonly #breaches = new Map<ReplicaId, Breach>();

  constructor(frames: Frames) {
    this.#frames = frames;
  }

  take(record: TraceRecord, ref: RecordRef): void {
    const { body, replica } = record;
    switch (body.kind) {
      case 'replica':
        if (body.role === 'peer') this.#members.add(replica);
        return;
      case 'vote':
        if (body.answer === 'accept') this.#vote(record, body, ref);
        return;
      case 'proposal':
        this.#proposal(record, body, ref);
        return;
      case 'send':
        this.#members.add(body.to);
        if (body.type === 'VOTE') this.#told(record, ref);
        return;
      case 'receive':
        if (body.type === 'VOTE') this.#heard(record, ref);
        return;
      case 'commit':
        this.#committed(record, body, ref);
        return;
      default:
    }
  }

  /** Records are missing: who voted in the rounds that are under way is not known. */
  lapse(): void {
    this.#rounds.clear();
  }

  /** @param split what tells that a version was decided twice, where something does */
  findings(split: Finding | undefined): Finding[] {
    return [...this.#breaches.values()].map((one) => findingOf(one, split));
  }

  get forgotten(): Forgotten[] {
    return [this.#accepted.forgotten, this.#votes.forgotten, this.#rounds.forgotten];
  }

  /** A yes must not be to a lower ballot than one before. */
  #vote({ replica, time }: TraceRecord, { version, ballot, phase }: TraceBodyOf<'vote'>, ref: RecordRef): void {
    this.#votes.set(voteKey(replica, version, phase, ballot), ref);
    const round = this.#rounds.get(roundKey(version, ballot));
    if (ballot.proposer === replica && round) this.#ownVote(replica, version, phase, ref, round, time);
    const before = this.#promised.get(replica);
    if (before && compareBallots(ballot, before.ballot) < 0) {
      this.#broke({
        ...{ replica, against: ballot.proposer, version, time, ref },
        reason: `it said yes to the ballot ${textOf(ballot)} after it had promised to refuse all below ${textOf(before.ballot)}`,
        evidence: [
          { text: `${replica} said yes to ${textOf(before.ballot)}.`, record: before.ref },
          { text: `It said yes to ${textOf(ballot)} for v${version} afterwards.`, record: ref },
        ],
      });
    } else this.#promised.set(replica, { ballot, ref });
    if (phase === 'accept') this.#accepted.set(`${replica} ${version}`, { ballot, ref });
  }

  #ownVote(
    replica: ReplicaId,
    version: Version,
    phase: 'prepare' | 'accept',
    ref: RecordRef,
    round: Round,
    time: number,
  ): void {
    if (phase === 'accept') {
      round.accepted?.set(replica, ref);
      return;
    }
    // What it has accepted itself is not in the capture where it goes out to nobody; that it offers its own says that it knows of none.
    if (!round.showsOwn) return;
    round.promised.set(replica, { accepted: undefined, ref });
    const known = this.#accepted.get(`${replica} ${version}`);
    if (known) this.#hid(replica, replica, version, known, ref, time);
  }

  /** A member told another its vote: with a promise goes what it has accepted for the version. */
  #told(record: TraceRecord, ref: RecordRef): void {
    const { replica, time } = record;
    const vote = this.#voteIn(record);
    if (vote?.phase !== 'prepare' || vote.answer !== 'accept') return;
    const { version, round, proposer, accepted } = vote;
    const known = this.#accepted.get(`${replica} ${version}`);
    if (!known || (accepted && compareBallots(accepted, known.ballot) >= 0)) return;
    // What it accepted after it had voted is not hidden by that vote.
    if (compareBallots(known.ballot, { round, proposer }) >= 0) return;
    const at = this.#votes.get(voteKey(replica, version, 'prepare', { round, proposer })) ?? ref;
    this.#hid(replica, proposer, version, known, at, time);
  }

  #hid(replica: ReplicaId, against: ReplicaId, version: Version, known: Said, ref: RecordRef, time: number): void {
    this.#broke({
      ...{ replica, against, version, time, ref },
      reason: `it promised and did not say that it had accepted a change for v${version} before`,
      evidence: [
        { text: `${replica} accepted a change for v${version} under ${textOf(known.ballot)}.`, record: known.ref },
        { text: 'It promised as if it had accepted none.', record: ref },
      ],
    });
  }

  /** A proposer asks, or offers a change: its own only where no majority is bound to another. */
  #proposal(record: TraceRecord, body: TraceBodyOf<'proposal'>, ref: RecordRef): void {
    const { replica, time } = record;
    const { version, ballot, phase } = body;
    if (phase !== 'prepare' && phase !== 'accept') return;
    const key = roundKey(version, ballot);
    const round = this.#rounds.get(key);
    if (phase === 'prepare') {
      this.#rounds.set(key, {
        ...{ asked: ref, showsOwn: body.command !== '' || body.changes.length > 0 },
        ...{ promised: new Map(), accepted: undefined },
      });
      return;
    }
    // Who leads offers without asking first: the promises of an earlier version hold.
    if (!round) {
      this.#rounds.set(key, { asked: ref, showsOwn: false, promised: new Map(), accepted: new Map() });
      return;
    }
    round.accepted = new Map();
    const offer = offerOf(body.command, body.changes);
    const others = [...round.promised].filter(([, told]) => binds(told, offer, [...round.promised.values()]));
    const first = others[0];
    if (!first || this.#unread.has(replica) || !round.showsOwn || round.promised.size - others.length >= this.#quorum)
      return;
    this.#broke({
      ...{ replica, against: first[0], version, time, ref },
      reason: `it offered its own change for v${version}, though a member of every majority that it had asked had told it of another`,
      evidence: [
        ...others.map(([member, told]) => ({ text: `${member} told it what it had accepted.`, record: told.ref })),
        { text: `${replica} offered something else.`, record: ref },
      ],
    });
  }

  #heard(record: TraceRecord, ref: RecordRef): void {
    const vote = this.#voteIn(record);
    if (!vote) this.#unread.add(record.replica);
    if (vote?.answer !== 'accept' || vote.proposer !== record.replica) return;
    const { version, round, proposer, phase, accepted, sender } = vote;
    const known = this.#rounds.get(roundKey(version, { round, proposer }));
    if (phase === 'accept') known?.accepted?.set(sender, ref);
    else if (!known?.accepted) {
      const offer = accepted && { offer: offerOf(accepted.command, accepted.changes), ballot: accepted };
      known?.promised.set(sender, { accepted: offer, ref });
    }
  }

  /** Who counts the votes itself must have a majority of them. */
  #committed({ replica, time }: TraceRecord, { version }: TraceBodyOf<'commit'>, ref: RecordRef): void {
    const own = this.#accepted.get(`${replica} ${version}`);
    const round = own && this.#rounds.get(roundKey(version, own.ballot));
    if (this.#unread.has(replica) || !own || own.ballot.proposer !== replica || !round?.accepted) return;
    const { accepted } = round;
    if (accepted.size >= this.#quorum) return;
    this.#broke({
      ...{ replica, against: [...this.#members].find((one) => !accepted.has(one)) ?? replica, version, time, ref },
      reason: `it took v${version} for decided with the votes of ${accepted.size} of ${this.#members.size} members`,
      evidence: [
        ...Array.from(accepted, ([member, at]) => ({ text: `${member} said yes.`, record: at })),
        { text: `${replica} took it for decided.`, record: ref },
      ],
    });
  }

  get #quorum(): number {
    return quorumOf(this.#members.size);
  }

  #voteIn({ wire, body }: TraceRecord): MessageOf<'VOTE'> | undefined {
    if (body.kind !== 'send' && body.kind !== 'receive') return undefined;
    const message = this.#frames.message(wire, body.sender);
    return message?.type === 'VOTE' ? message : undefined;
  }

  #broke(breach: Breach): void {
    if (!this.#breaches.has(breach.replica)) this.#breaches.set(breach.replica, breach);
  }
}

function findingOf({ ref, reason, evidence, ...known }: Breach, split: Finding | undefined): Finding {
  const isBefore = split !== undefined && split.detected.position > ref.position;
  return {
    ...known,
    ...{ class: 'split-decision', cause: ref, detected: isBefore ? split.detected : ref, confidence: 'high' },
    ...(isBefore ? { time: split.time, ...(split.value ? { value: split.value } : {}) } : {}),
    differences: isBefore ? split.differences : [],
    reason: isBefore ? `${reason}; a version was decided twice` : `${reason}; the capture shows no harm of it`,
    evidence: [...evidence, ...(isBefore ? split.evidence : [])],
    confirm: 'look at how the member keeps its votes, and at what it has on disk when it says them',
  };
}

/** Whether a promise is to something else than what is offered, and nobody told of that under as high a ballot. */
function binds({ accepted }: Promised, offered: Offer, all: readonly Promised[]): boolean {
  if (!accepted || accepted.offer === offered) return false;
  return !all.some(
    (one) => one.accepted?.offer === offered && compareBallots(one.accepted.ballot, accepted.ballot) > 0,
  );
}

function offerOf(command: string, changes: readonly Change[]): Offer {
  return String(canonicalBytes([command, ...(changes as unknown as Value[])]));
}

function roundKey(version: Version, ballot: Ballot): string {
  return `${version} ${textOf(ballot)}`;
}

function voteKey(replica: ReplicaId, version: Version, phase: string, ballot: Ballot): string {
  return `${replica} ${phase} ${roundKey(version, ballot)}`;
}

function textOf({ round, proposer }: Ballot): string {
  return `${round}/${proposer}`;
}
