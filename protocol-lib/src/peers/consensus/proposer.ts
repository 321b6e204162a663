import { SyncError } from '../../errors/index.ts';
import { fitText } from '../../schema/index.ts';
import type { ReplicaId } from '../../state/index.ts';
import type { Ballot, TraceBodyOf } from '../../trace/index.ts';
import { type Acceptor, isSame, type Vote } from './acceptor.ts';
import { compareBallots } from './ballot.ts';
import type { Core } from './core.ts';
import { makeProposal } from './make-proposal.ts';
import type { ProposerStanding } from './member-standing.ts';
import { Pacing } from './pacing.ts';
import { type Binding, bindingOf } from './promises.ts';
import {
  argsOf,
  type Intent,
  type ProposalOutcome,
  type ProposalReceipt,
  type RejectReason,
  type StateProposal,
} from './proposal.ts';
import { type Job, jobOf, jobStanding, newJob, type Round, roundOf, roundStanding } from './round.ts';

/** The part of a member that brings its own changes, and those that others have left, to a decision: one at a time. */
export class Proposer {
  readonly #core: Core;
  readonly #acceptor: Acceptor;
  readonly #decide: (proposal: StateProposal, now: number) => void;
  readonly #jobs: Job[] = [];
  #round: Round | undefined;
  /** The ballot that a majority has promised to, as long as nothing higher was seen: later versions need no new promise. */
  #lead: Ballot | undefined;
  /** The highest round of which anybody has told. */
  #seenRound = 0;
  #counter: number;
  readonly #pacing: Pacing;
  /** What was left undecided here, and from when on this member finishes it. */
  #left: { readonly version: number; readonly ballot: Ballot; readonly at: number } | undefined;

  constructor(core: Core, acceptor: Acceptor, decide: (proposal: StateProposal, now: number) => void) {
    this.#core = core;
    this.#acceptor = acceptor;
    this.#decide = decide;
    this.#pacing = new Pacing(core);
    const { writers, accepted, promised } = core.standing;
    const offered = accepted?.proposal.writer === core.replica ? accepted.proposal.counter : 0;
    // Whatever was ever offered to others was accepted here before: no counter is given twice.
    this.#counter = Math.max(writers.get(core.replica) ?? 0, offered);
    this.#seenRound = promised.round;
  }

  /** Where it is, for another one to {@link resume} from. */
  get standing(): ProposerStanding {
    return {
      jobs: this.#jobs.map(jobStanding),
      round: this.#round ? roundStanding(this.#round) : null,
      lead: this.#lead ?? null,
      seenRound: this.#seenRound,
      counter: this.#counter,
      left: this.#left ?? null,
      pacing: this.#pacing.standing,
    };
  }

  /**
   * Goes on where another one was; for one that was asked for nothing yet. `intents`: those that were not settled there, in order.
   * @throws SyncError `STANDING_UNFIT` where they are not as many
   */
  resume(
    { jobs = [], round, lead, seenRound, counter, left, pacing }: ProposerStanding,
    intents: readonly Intent[],
  ): void {
    if (jobs.length !== intents.length) {
      const text = `${jobs.length} changes were on their way, and ${intents.length} are named`;
      throw new SyncError('STANDING_UNFIT', text, { origin: 'state' });
    }
    this.#jobs.push(...jobs.map((job, at) => jobOf(job, intents[at]!)));
    this.#round = round ? roundOf(round, this.#jobs[0]) : undefined;
    this.#lead = lead ?? undefined;
    this.#seenRound = seenRound;
    this.#counter = counter;
    this.#left = left ?? undefined;
    this.#pacing.resume(pacing);
  }

  /** Intents that are not settled, one whose attempts are used up included. */
  get waiting(): number {
    return this.#jobs.length;
  }

  /** Of the intents that are not settled, in order. */
  get receipts(): ProposalReceipt[] {
    return this.#jobs.map(({ receipt }) => receipt);
  }

  get isLeading(): boolean {
    return this.#lead !== undefined;
  }

  get highestRound(): number {
    return Math.max(this.#seenRound, this.#core.standing.promised.round);
  }

  /** @throws SyncError `PROPOSAL_QUEUE_FULL` */
  propose(intent: Intent): ProposalReceipt {
    const { maxQueue } = this.#core.settings;
    if (this.#jobs.length >= maxQueue) {
      throw new SyncError('PROPOSAL_QUEUE_FULL', `${maxQueue} proposals wait already: propose it again later`, {
        origin: 'state',
        retry: 'backoff',
      });
    }
    const job = newJob(intent);
    this.#jobs.push(job);
    return job.receipt;
  }

  /** Somebody has used a ballot of this round. */
  seen(ballot: Ballot): void {
    this.#seenRound = Math.max(this.#seenRound, ballot.round);
    if (this.#lead && compareBallots(ballot, this.#lead) > 0) this.#lead = undefined;
  }

  /** This member has said yes to a round of another. */
  gaveWay({ version, phase }: Vote, ballot: Ballot, now: number): void {
    this.#pacing.gaveWay(
      version,
      ballot,
      phase,
      this.#jobs.some(({ isSpent }) => !isSpent),
      now,
    );
  }

  onVote(from: ReplicaId, vote: Vote, now: number): void {
    this.#seenRound = Math.max(this.#seenRound, vote.promised);
    const round = this.#round;
    if (!round || vote.version !== round.version || vote.phase !== round.phase) return;
    if (vote.round !== round.ballot.round || vote.proposer !== round.ballot.proposer) return;
    if (round.votes.get(from)?.answer === 'accept') return;
    round.votes.set(from, vote);
    this.#count(round, now);
  }

  tick(now: number): void {
    const round = this.#round;
    if (!round) return;
    if (now >= round.deadline) this.#fail(round, 'retried', 'no majority answered in time', now);
    else if (now >= round.resendAt) {
      round.resendAt = now + this.#core.settings.resendInterval;
      this.#ask(round);
    }
  }

  /** The present version was decided; `isCounted`: by this member's count. `writer` and `counter` name what it is. */
  onDecided(decided: StateProposal, isCounted: boolean, now: number): void {
    const round = this.#round;
    this.#round = undefined;
    this.#pacing.decided();
    const { version, root } = decided;
    const job = this.#jobs[0];
    if (job?.offered && isSame(job.offered, decided)) {
      this.#settle(job, { state: 'committed', version, root, isExact: true });
    } else if (job) {
      this.#lost(job, version, round, now);
    }
    if (this.#jobs.length === 0) return;
    if (!isCounted) this.#pacing.decidedElsewhere(version, now);
    else if (round && this.#isOutbid(round.ballot)) this.#pacing.wonAgainst(round.since, now);
  }

  /** The state of a later version was taken over whole; `writers` tell whether what was offered is part of it. */
  onInstalled(now: number): void {
    this.#round = undefined;
    const { version, root, writers } = this.#core.standing;
    const job = this.#jobs[0];
    if (!job) return;
    if (job.offered && (writers.get(this.#core.replica) ?? 0) >= job.offered.counter) {
      // Which of the versions it became is not known; it is part of this one.
      this.#settle(job, { state: 'committed', version, root: root.hash, isExact: false });
    } else {
      this.#lost(job, version, undefined, now);
    }
  }

  /** Another change has taken the version that a job was after. */
  #lost(job: Job, version: number, round: Round | undefined, now: number): void {
    job.offered = undefined;
    if (job.isSpent) {
      this.#giveUp(job);
      return;
    }
    if (round?.job !== job) return;
    const reason = `version ${version} went to another change`;
    this.#traceRound(round, 'superseded', reason);
    this.#attemptFailed(job, round, reason);
    this.#pacing.superseded(round.since, now);
  }

  // — attempts —

  /** Starts what there is to be started; after every input. A loop, as in a group of one everything is decided at once. */
  advance(now: number): void {
    while (!this.#round && this.#pacing.mayBegin(now) && this.#startNext(now)) {}
  }

  /** False where there is nothing to do. */
  #startNext(now: number): boolean {
    if (this.#core.isDamaged) return false;
    const [job] = this.#jobs;
    // Whoever waits to know what became of a change finishes it before anything else can be proposed.
    if (!job || job.isSpent) return this.#finishWhatIsLeft(now);
    this.#attempt(job, now);
    return true;
  }

  #attempt(job: Job, now: number): void {
    const proposal = this.#make(job);
    if (!proposal) return;
    const { accepted, promised } = this.#core.standing;
    if (this.#lead && !accepted && compareBallots(promised, this.#lead) === 0) {
      const round = this.#begin(this.#lead, proposal, job, now);
      this.#startAccept(round, proposal, now);
    } else {
      // What was accepted comes first. Then nothing of its own is shown: whoever may not take that would not promise either.
      this.#startPrepare(this.#begin(this.#newBallot(), accepted ? undefined : proposal, job, now), now);
    }
  }

  /** The change of an intent for the next version; undefined where the intent is settled with that. */
  #make(job: Job): StateProposal | undefined {
    if (job.offered) return job.offered;
    const made = makeProposal(this.#core, job.intent, this.#nextCounter());
    if ('reason' in made) return this.#reject(job, made.reason, made.detail, [this.#core.replica]);
    return made;
  }

  /** Above all that it has offered in this life, and all that was decided of its earlier ones, by whomever. */
  #nextCounter(): number {
    const { replica, standing } = this.#core;
    return Math.max(this.#counter, standing.writers.get(replica) ?? 0) + 1;
  }

  /** Something was accepted here and nobody has brought it to a decision for a while. */
  #finishWhatIsLeft(now: number): boolean {
    const { accepted, version } = this.#core.standing;
    if (!accepted) {
      this.#left = undefined;
      return false;
    }
    if (this.#left?.version !== version || compareBallots(this.#left.ballot, accepted.ballot) !== 0) {
      const isOwn = this.#jobs[0]?.isSpent === true;
      this.#left = { version, ballot: accepted.ballot, at: now + (isOwn ? 0 : this.#pacing.courtesy()) };
    }
    if (now < this.#left.at) return false;
    this.#startPrepare(this.#begin(this.#newBallot(), undefined, undefined, now), now);
    return true;
  }

  #newBallot(): Ballot {
    this.#seenRound = this.highestRound + 1;
    return { round: this.#seenRound, proposer: this.#core.replica };
  }

  #begin(ballot: Ballot, proposal: StateProposal | undefined, job: Job | undefined, now: number): Round {
    const { standing, settings } = this.#core;
    this.#round = {
      ballot,
      version: standing.version + 1,
      base: standing.root.hash,
      phase: 'prepare',
      votes: new Map(),
      proposal,
      job,
      own: proposal,
      since: now,
      deadline: now + this.#pacing.patience(),
      resendAt: now + settings.resendInterval,
    };
    return this.#round;
  }

  #startPrepare(round: Round, now: number): void {
    this.#lead = undefined;
    this.#traceRound(round, 'prepare', round.job ? '' : 'to finish what was left');
    const vote = this.#acceptor.prepare(round.ballot, this.#prepareBody(round));
    round.votes.set(this.#core.replica, vote);
    if (vote.answer === 'accept') {
      this.#ask(round);
      this.#count(round, now);
    } else {
      this.#refusedHere(round, vote, now);
    }
  }

  #startAccept(round: Round, proposal: StateProposal, now: number): void {
    round.phase = 'accept';
    round.proposal = proposal;
    round.votes = new Map();
    round.since = now;
    round.deadline = now + this.#pacing.patience();
    round.resendAt = now + this.#core.settings.resendInterval;
    this.#traceRound(round, 'accept', '');
    const vote = this.#acceptor.accept(round.ballot, proposal);
    round.votes.set(this.#core.replica, vote);
    if (vote.answer === 'accept') {
      this.#offered(round, proposal);
      this.#ask(round);
      this.#count(round, now);
    } else {
      this.#refusedHere(round, vote, now);
    }
  }

  /** Nobody is asked for what the own member does not say yes to: what it offers, it has accepted and written down itself. */
  #refusedHere(round: Round, { answer, reason }: Vote, now: number): void {
    if (this.#isTurnedDown(round, [])) this.#turnDown(round, reason);
    else this.#fail(round, 'retried', `${answer}: ${reason}`, now);
  }

  /** From here on somebody may have accepted it. */
  #offered({ job, own }: Round, proposal: StateProposal): void {
    if (!job || proposal !== own) return;
    this.#counter = Math.max(this.#counter, proposal.counter);
    job.offered = proposal;
  }

  /** Asks all that have not said yes. */
  #ask(round: Round): void {
    const silent = this.#core.others.filter((one) => round.votes.get(one)?.answer !== 'accept');
    if (round.phase === 'prepare') this.#core.send(silent, this.#prepareBody(round));
    else this.#core.send(silent, { type: 'ACCEPT', round: round.ballot.round, ...fieldsOf(round.proposal!) });
  }

  #prepareBody({ ballot, version, base, proposal }: Round) {
    const own: Pick<StateProposal, 'writer' | 'counter' | 'command' | 'changes' | 'args'> = proposal ?? {
      writer: this.#core.replica,
      counter: 0,
      command: '',
      changes: [],
    };
    const { writer, counter, command, changes } = own;
    const change = { writer, counter, command, changes: [...changes], ...argsOf(own) };
    return { type: 'PREPARE' as const, round: ballot.round, version, base, ...change };
  }

  // — counting —

  #count(round: Round, now: number): void {
    const { quorum, members } = this.#core;
    const votes = [...round.votes.values()];
    const accepts = votes.filter(({ answer }) => answer === 'accept');
    const { promises, left } = this.#binding(round, accepts);
    if (promises.length >= quorum) {
      if (round.phase === 'prepare') this.#promised(round, left, now);
      else this.#won(round, now);
      return;
    }
    const refusals = votes.filter(({ answer }) => answer !== 'accept');
    if (this.#isTurnedDown(round, refusals)) {
      this.#turnDown(round, refusals.find(({ answer }) => answer === 'invalid-change')!.reason);
      return;
    }
    // Who lags may still catch up and say yes to the same question; the others will not change their minds.
    const lost = refusals.filter((vote) => vote.answer !== 'state-conflict' || vote.at >= round.version);
    const unusable = accepts.length - promises.length;
    if (members.length - lost.length - unusable >= quorum) return;
    const isStale = lost.some(({ answer }) => answer === 'stale-ballot');
    const reasons = lost.map(({ answer, reason }) => `${answer}: ${reason}`);
    if (unusable > 0) reasons.push('what others have accepted does not fit here');
    this.#fail(round, isStale ? 'superseded' : 'retried', [...new Set(reasons)].join('; '), now);
  }

  /** The yeses that count, and of promises, what they bind to. */
  #binding(round: Round, accepts: readonly Vote[]): Binding {
    if (round.phase === 'accept' || accepts.length < this.#core.quorum) return { promises: accepts, left: undefined };
    return bindingOf(accepts, round, (left) => this.#acceptor.whyNot(left) === undefined);
  }

  /** Whether so many call an own change invalid, which nobody was asked to accept yet, that it can never have a majority. */
  #isTurnedDown({ job, votes, proposal, own }: Round, refusals: readonly Vote[]): boolean {
    if (!job || job.offered || !own || proposal !== own) return false;
    if (votes.get(this.#core.replica)?.answer === 'invalid-change') return true;
    const invalid = refusals.filter(({ answer }) => answer === 'invalid-change').length;
    return this.#core.members.length - invalid < this.#core.quorum;
  }

  #turnDown(round: Round, reason: string): void {
    this.#round = undefined;
    this.#traceRound(round, 'abandoned', reason);
    this.#reject(round.job!, 'invalid-change', reason, votersOf(round, 'invalid-change'));
  }

  #promised(round: Round, left: StateProposal | undefined, now: number): void {
    this.#lead = round.ballot;
    const value = left ?? round.proposal;
    if (value) {
      this.#startAccept(round, value, now);
    } else {
      // What was left has been decided meanwhile, or never left its proposer.
      this.#round = undefined;
    }
  }

  #won(round: Round, now: number): void {
    const proposal = round.proposal!;
    this.#traceRound(round, 'decided', '');
    if (this.#isOutbid(round.ballot)) this.#lead = undefined;
    this.#core.send(this.#core.others, { type: 'DECIDED', ...fieldsOf(proposal) });
    this.#decide(proposal, now);
  }

  /** Whether somebody has asked under a higher ballot. */
  #isOutbid(ballot: Ballot): boolean {
    return this.#seenRound > ballot.round || compareBallots(this.#core.standing.promised, ballot) > 0;
  }

  // — coming to nothing —

  #fail(round: Round, phase: 'retried' | 'superseded', reason: string, now: number): void {
    this.#round = undefined;
    this.#lead = undefined;
    this.#traceRound(round, phase, reason);
    if (round.job) this.#attemptFailed(round.job, round, reason);
    this.#pacing.failed(now);
  }

  #attemptFailed(job: Job, round: Round, reason: string): void {
    job.attempts++;
    job.reasons.push(fitText(reason, 500));
    if (job.attempts < this.#core.settings.maxAttempts) return;
    this.#traceRound(round, 'abandoned', `after ${job.attempts} attempts`);
    if (!job.offered) {
      this.#giveUp(job);
      return;
    }
    job.isSpent = true;
    const { attempts, reasons } = job;
    const outcome = { state: 'unknown', attempts, reasons: reasons.slice() } as const;
    this.#core.emit({ kind: 'settle', receipt: job.receipt, outcome });
  }

  #giveUp(job: Job): void {
    const { attempts, reasons } = job;
    this.#settle(job, { state: 'gave-up', attempts, reasons: reasons.slice() });
  }

  #reject(job: Job, reason: RejectReason, detail: string, voters: readonly ReplicaId[]): undefined {
    this.#settle(job, { state: 'rejected', reason, detail: fitText(detail, 500), voters });
  }

  #settle(job: Job, outcome: ProposalOutcome): void {
    this.#jobs.splice(this.#jobs.indexOf(job), 1);
    this.#pacing.settled();
    this.#core.emit({ kind: 'settle', receipt: job.receipt, outcome });
  }

  #traceRound(round: Round, phase: TraceBodyOf<'proposal'>['phase'], reason: string): void {
    const { version, ballot, base, proposal } = round;
    const { command = '', changes = [] } = proposal ?? {};
    const said = { command, changes: [...changes], reason: fitText(reason, 500) };
    this.#core.trace({ kind: 'proposal', version, ballot, phase, base, ...said });
  }
}

function votersOf({ votes }: Round, answer: Vote['answer']): ReplicaId[] {
  return [...votes].filter(([, vote]) => vote.answer === answer).map(([replica]) => replica);
}

/** The fields of a proposal on the wire. */
export function fieldsOf(proposal: StateProposal) {
  const { version, base, writer, counter, command, changes, root } = proposal;
  return { version, base, writer, counter, command, changes: [...changes], root, ...argsOf(proposal) };
}
