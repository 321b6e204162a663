import { SyncError } from '../../errors/index.ts';
import { StateRoot } from '../../merkle/index.ts';
import type { BodyOf, MessageBody } from '../../messages/index.ts';
import type { Random } from '../../ports/index.ts';
import type { ReplicaId, Version } from '../../state/index.ts';
import type { Ballot } from '../../trace/index.ts';
import { Acceptor, type Vote } from './acceptor.ts';
import { checkRound } from './ballot.ts';
import { CatchUp, type StatedVersion } from './catch-up.ts';
import { type ConsensusRules, Core } from './core.ts';
import type { Effect } from './effects.ts';
import { type EngineStanding, saidOf } from './member-standing.ts';
import { argsOf, type Intent, type ProposalReceipt, type StateProposal } from './proposal.ts';
import { Proposer } from './proposer.ts';
import { type ConsensusSettings, consensusSettings } from './settings.ts';
import type { Standing } from './standing.ts';

/** Versions that a member may be said to be ahead: more than a group makes in centuries. */
const MAX_AHEAD = 2 ** 40;

export interface ConsensusOptions extends ConsensusRules {
  readonly replica: ReplicaId;
  /** All members, this one included. Fixed for the life of the group, and the same at each of them. */
  readonly members: readonly ReplicaId[];
  readonly random: Random;
  readonly settings?: Partial<ConsensusSettings>;
}

/**
 * One member of a group that agrees, by majority, on each version of the state that all of them hold. A state machine: inputs are
 * {@link propose}, {@link receive} and {@link tick}, each with the time at this member in nanoseconds; what is to be done then
 * is in {@link takeEffects}, in order, and every `write` must be durable before an effect behind it leaves the process.
 *
 * Members are trusted to follow the protocol; they may stop, lose what was not durable, be slow, and hear late, twice or not at all.
 */
export class ConsensusEngine {
  readonly #core: Core;
  readonly #acceptor: Acceptor;
  readonly #proposer: Proposer;
  readonly #catchUp: CatchUp;
  /** Time that has passed, and what the clock said then. */
  #time = 0;
  #seen = Number.POSITIVE_INFINITY;

  /**
   * @throws SyncError `MEMBER_UNKNOWN` where `replica` is not among the members, `MEMBERS_INVALID` where one is named twice
   * @throws RangeError where a setting is not a positive integer
   */
  constructor(options: ConsensusOptions, standing: Standing) {
    const { replica, members, random, settings = {}, ...rules } = options;
    if (new Set(members).size !== members.length) {
      throw new SyncError('MEMBERS_INVALID', 'a member is named twice', { origin: 'setting' });
    }
    if (!members.includes(replica)) throw strangerError(replica);
    this.#core = new Core(replica, members, { rules, settings: consensusSettings(settings), random }, standing);
    this.#acceptor = new Acceptor(this.#core);
    this.#proposer = new Proposer(this.#core, this.#acceptor, (proposal, now) => this.#learn(proposal, true, now));
    this.#catchUp = new CatchUp(this.#core);
  }

  get replica(): ReplicaId {
    return this.#core.replica;
  }

  get members(): readonly ReplicaId[] {
    return this.#core.members;
  }

  /** Members that must say yes. */
  get quorum(): number {
    return this.#core.quorum;
  }

  get settings(): ConsensusSettings {
    return this.#core.settings;
  }

  /** What it knows to be decided and has voted, durable or not. */
  get standing(): Standing {
    return this.#core.standing;
  }

  /** What it holds beside {@link standing}, for another one to {@link resume} from; undefined where that cannot be said just now. */
  get doing(): EngineStanding | undefined {
    const proposer = this.#proposer.standing;
    const catchUp = this.#catchUp.standing;
    if (!catchUp) return undefined;
    return { time: this.#time, seen: saidOf(this.#seen), proposer, catchUp };
  }

  /**
   * Goes on where another one was; for an engine that was told nothing yet. `intents`: those that were not settled there, in order.
   * @throws SyncError `STANDING_UNFIT` where they are not as many
   */
  resume({ time, seen, proposer, catchUp }: EngineStanding, intents: readonly Intent[] = []): void {
    this.#time = time;
    this.#seen = seen ?? Number.POSITIVE_INFINITY;
    this.#proposer.resume(proposer, intents);
    this.#catchUp.resume(catchUp);
  }

  /** Whether a majority has promised to it, so that its next change takes one round trip. */
  get isLeading(): boolean {
    return this.#proposer.isLeading;
  }

  /** Own intents that are not settled. */
  get waiting(): number {
    return this.#proposer.waiting;
  }

  /** Of the intents that are not settled, in order. */
  get receipts(): ProposalReceipt[] {
    return this.#proposer.receipts;
  }

  /** Decided changes that came before those that they follow upon. */
  get held(): number {
    return this.#catchUp.held;
  }

  /** What each other member has said in its last heartbeat. */
  get stated(): ReadonlyMap<ReplicaId, StatedVersion> {
    return this.#catchUp.stated;
  }

  takeEffects(): Effect[] {
    return this.#core.takeEffects();
  }

  /** Wants something changed. @throws SyncError `PROPOSAL_QUEUE_FULL` */
  propose(intent: Intent, now: number): ProposalReceipt {
    const receipt = this.#proposer.propose(intent);
    this.#advance(this.#passed(now));
    return receipt;
  }

  /** Time passes; a few times within a `resendInterval`. */
  tick(now: number): void {
    const time = this.#passed(now);
    this.#catchUp.tick(time);
    this.#proposer.tick(time);
    this.#advance(time);
  }

  /**
   * A message from a member. What is refused changes nothing.
   * @throws SyncError `MEMBER_UNKNOWN` from a stranger, `BALLOT_INVALID`, `VERSION_INVALID`, `SNAPSHOT_ROOT_MISMATCH`,
   *   `MESSAGE_UNEXPECTED` for a message that is no part of this
   */
  receive(from: ReplicaId, body: MessageBody, now: number): void {
    if (!this.#core.others.includes(from)) throw strangerError(from);
    const time = this.#passed(now);
    this.#handle(from, body, time);
    this.#advance(time);
  }

  /**
   * Puts another state in place of that of the present version, as a fault does. What was accepted stays, as it may have been decided; until
   * the state is what it was, this member votes for nothing and proposes nothing.
   */
  damage(root: StateRoot): void {
    this.#core.damage(root);
  }

  /** Puts the group's state of the present version in place of this member's, which was found to be another. */
  mend(root: StateRoot): void {
    this.#core.mend(root);
  }

  /** The time that has passed as this member saw it: a clock that is put back holds nothing up. */
  #passed(now: number): number {
    this.#time += Math.max(0, now - this.#seen);
    this.#seen = now;
    return this.#time;
  }

  #advance(now: number): void {
    if (!this.#catchUp.isCatchingUp(now)) this.#proposer.advance(now);
  }

  #handle(from: ReplicaId, body: MessageBody, now: number): void {
    switch (body.type) {
      case 'PREPARE': {
        const ballot = this.#ballot(from, body.round);
        this.#heard(from, body.version - 1, now);
        this.#proposer.seen(ballot);
        this.#answer(from, ballot, this.#acceptor.prepare(ballot, body), now);
        return;
      }
      case 'ACCEPT': {
        const ballot = this.#ballot(from, body.round);
        this.#heard(from, body.version - 1, now);
        this.#proposer.seen(ballot);
        this.#answer(from, ballot, this.#acceptor.accept(ballot, proposalOf(body)), now);
        return;
      }
      case 'VOTE':
        checkRound(body.round, this.#proposer.highestRound);
        if (body.promised > 0) checkRound(body.promised, this.#proposer.highestRound);
        this.#heard(from, body.at, now);
        this.#proposer.onVote(from, body, now);
        return;
      case 'DECIDED':
        this.#heard(from, body.version, now);
        this.#decided(from, proposalOf(body), now);
        return;
      case 'HEARTBEAT':
        this.#heard(from, body.version, now);
        this.#catchUp.stated.set(from, { version: body.version, root: body.root });
        return;
      case 'SYNC_REQUEST':
        this.#catchUp.answer(from, body);
        return;
      case 'FULL_SYNC':
        this.#heard(from, body.version, now);
        this.#install(from, body, now);
        return;
      default:
        throw new SyncError('MESSAGE_UNEXPECTED', `${body.type} is no message between members`, { origin: 'protocol' });
    }
  }

  #answer(from: ReplicaId, ballot: Ballot, vote: Vote, now: number): void {
    if (vote.answer === 'accept') this.#proposer.gaveWay(vote, ballot, now);
    this.#core.send([from], vote);
  }

  #ballot(proposer: ReplicaId, round: number): Ballot {
    checkRound(round, this.#proposer.highestRound);
    return { round, proposer };
  }

  /** A member says that it is, or has been, at a version. */
  #heard(from: ReplicaId, version: Version, now: number): void {
    const { standing } = this.#core;
    if (!Number.isSafeInteger(version) || version < 0 || version > standing.version + MAX_AHEAD) {
      const text = `${from} speaks of version ${version}, and this member is at ${standing.version}`;
      throw new SyncError('VERSION_INVALID', text, { origin: 'protocol', place: { version } });
    }
    this.#catchUp.heard(from, version, now);
  }

  #decided(from: ReplicaId, proposal: StateProposal, now: number): void {
    const learned = this.#learn(proposal, false, now);
    if (learned === 'applied') this.#catchUp.learned(from, now);
    if (learned === 'gap') this.#catchUp.hold(proposal);
    else if (learned === 'misfit') this.#catchUp.askAll(from, now);
    this.#takeHeld(from, now);
  }

  /** What was held and is next now. */
  #takeHeld(from: ReplicaId, now: number): void {
    for (;;) {
      const next = this.#catchUp.takeHeld();
      if (!next || this.#learn(next, false, now) !== 'applied') return;
      this.#catchUp.learned(from, now);
    }
  }

  #learn(proposal: StateProposal, isCounted: boolean, now: number) {
    const learned = this.#acceptor.learn(proposal, isCounted);
    if (learned === 'applied') this.#proposer.onDecided(proposal, isCounted, now);
    return learned;
  }

  /** The whole state of a later version. */
  #install(from: ReplicaId, body: BodyOf<'FULL_SYNC'>, now: number): void {
    const { standing } = this.#core;
    const { version, records, vector } = body;
    if (version <= standing.version) return;
    const root = StateRoot.from(records.map(({ key, record }) => [key, record] as const));
    if (root.hash !== body.root) {
      const text = `the records of version ${version} have the hash ${root.hash}, not ${body.root}`;
      throw new SyncError('SNAPSHOT_ROOT_MISMATCH', text, { origin: 'state', retry: 'now', place: { version } });
    }
    const writers = new Map(vector.map(({ replica, counter }) => [replica, counter]));
    // What was promised stays promised. What was accepted was for a version that others have decided since.
    this.#core.standing = { ...standing, version, root, writers, accepted: undefined, recent: [] };
    this.#core.emit({ kind: 'rewrite', standing: this.#core.standing });
    this.#core.emit({ kind: 'installed', version, root });
    this.#proposer.onInstalled(now);
    this.#catchUp.learned(from, now);
    this.#takeHeld(from, now);
  }
}

function proposalOf(body: BodyOf<'ACCEPT' | 'DECIDED'>): StateProposal {
  const { version, base, writer, counter, command, changes, root } = body;
  return { version, base, writer, counter, command, changes, root, ...argsOf(body) };
}

export function strangerError(replica: string): SyncError {
  return new SyncError('MEMBER_UNKNOWN', `${replica} is not another member of this group`, { origin: 'protocol' });
}
