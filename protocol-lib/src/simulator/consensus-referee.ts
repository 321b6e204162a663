import { advance, type Committed, nothingKnown } from '../capture/committed.ts';
import { StateRoot } from '../merkle/index.ts';
import { compareBallots, type ProposalOutcome, quorumOf, type StateProposal } from '../peers/index.ts';
import type { ReplicaId, SyncRecord } from '../state/index.ts';
import type { Ballot, TraceBodyOf, TraceRecord } from '../trace/index.ts';
import { type Expected, GROUP_RECORDS, groupProblem } from './consensus-domain.ts';
import type { Invariant, Violation } from './oracle.ts';
import { differenceOf, foldChange, textsOf } from './small-fold.ts';
import { TraceDigest } from './trace-digest.ts';

/** A decided version as the small fold has it. */
interface KnownDecision {
  /** What was decided: the operation's name. */
  readonly operation: string;
  readonly texts: ReadonlyMap<string, string>;
  readonly hash: string;
}

/** What the referee knows of one member, from its trace and from looking at it. */
interface Observed {
  /** The highest ballot that it has said yes to, in either phase. */
  promised: Ballot | undefined;
  version: number;
}

/** Something that somebody wanted. */
export interface Operation {
  readonly name: string;
  readonly expected: Expected;
  outcome: ProposalOutcome | undefined;
  /** Its member's process ended before it was settled. */
  isOrphan: boolean;
}

/** A member, as far as it can be looked at. */
export interface Visible {
  readonly replica: ReplicaId;
  readonly version: number;
  readonly root: StateRoot;
  readonly waiting: number;
  decidedSince(version: number): readonly StateProposal[] | undefined;
  readonly backlog: { readonly effects: number; readonly held: number };
}

/** Watches a group from outside, by its trace and by what its members show, and knows when a rule is broken. */
export class ConsensusReferee {
  readonly tally: Record<string, number> = {};
  readonly operations = new Map<string, Operation>();
  readonly #quorum: number;
  readonly #digest = new TraceDigest();
  readonly #captured = new Map<ReplicaId, Committed>();
  readonly #observed = new Map<ReplicaId, Observed>();
  readonly #decisions: KnownDecision[] = [];
  readonly #state = new Map<string, SyncRecord>(GROUP_RECORDS);
  /** The version at which each operation was decided. */
  readonly #decidedAt = new Map<string, number>();
  /** Members that have said yes to a change, by version and ballot. */
  readonly #accepts = new Map<string, Set<ReplicaId>>();
  /** Versions for which somebody has counted a majority. */
  readonly #counted = new Set<number>();
  #increments = 0;
  #violation: Violation | undefined;

  constructor(members: number) {
    this.#quorum = quorumOf(members);
    this.#decisions.push(this.#known('the first state'));
  }

  get violation(): Violation | undefined {
    return this.#violation;
  }

  get hash(): string {
    return this.#digest.hash;
  }

  /** The newest version that anybody has shown. */
  get version(): number {
    return this.#decisions.length - 1;
  }

  /** Questions that were put to the group, in either phase. */
  get rounds(): number {
    return (this.tally['proposal prepare'] ?? 0) + (this.tally['proposal accept'] ?? 0);
  }

  report(invariant: Invariant, text: string): void {
    this.#violation ??= { invariant, text };
  }

  count(what: string): void {
    this.tally[what] = (this.tally[what] ?? 0) + 1;
  }

  /** A record was traced, while its cause is still going on. */
  follow(record: TraceRecord): void {
    this.#digest.add(record);
    const { replica, body } = record;
    if (body.kind === 'vote') this.#onVote(replica, body);
    else if (body.kind === 'proposal') this.#onProposal(body);
    else if (body.kind === 'refused') this.count(`refused ${body.code}`);
    const before = this.#captured.get(replica) ?? nothingKnown;
    const after = advance(before, record, undefined);
    if (after === before) return;
    this.#captured.set(replica, after);
    const isWhole = body.kind === 'commit' || body.kind === 'apply' || body.kind === 'snapshot';
    if (!isWhole || after.unknown === undefined) return;
    this.report('capture-faithful', `after ${body.kind} of ${replica}: ${after.unknown}`);
  }

  #onVote(replica: ReplicaId, vote: TraceBodyOf<'vote'>): void {
    const { ballot, phase, version } = vote;
    this.count(`${phase} answered by ${vote.answer}`);
    if (vote.answer !== 'accept') return;
    const seen = this.#observe(replica);
    if (seen.promised && compareBallots(ballot, seen.promised) < 0) {
      const [low, high] = [textOfBallot(ballot), textOfBallot(seen.promised)];
      this.report('one-decision', `${replica} said yes to ${phase} ${low} after it had promised ${high}`);
    }
    seen.promised = ballot;
    if (phase !== 'accept') return;
    const key = `${version} ${textOfBallot(ballot)}`;
    this.#accepts.set(key, (this.#accepts.get(key) ?? new Set()).add(replica));
  }

  #onProposal({ phase, version, ballot }: TraceBodyOf<'proposal'>): void {
    this.count(`proposal ${phase}`);
    if (phase !== 'decided') return;
    const accepted = this.#accepts.get(`${version} ${textOfBallot(ballot)}`)?.size ?? 0;
    if (accepted < this.#quorum) {
      const text = `version ${version} counts as decided under ${textOfBallot(ballot)}, accepted by ${accepted} of ${this.#quorum}`;
      this.report('one-decision', text);
    }
    this.#counted.add(version);
  }

  /** A member shows a decided change, or, without one, that it took over many at once. */
  shown(member: Visible, proposal: StateProposal | undefined): void {
    if (proposal) this.#onDecided(member.replica, proposal);
    this.look(member);
  }

  #onDecided(replica: ReplicaId, proposal: StateProposal): void {
    const { version, command, root } = proposal;
    const operation = command.slice(command.indexOf(' ') + 1);
    const known = this.#decisions[version];
    if (known) {
      if (known.operation !== operation || known.hash !== root) {
        const text = `version ${version} is ${known.operation} with ${known.hash}, and at ${replica} ${operation} with ${root}`;
        this.report('one-decision', text);
      }
      return;
    }
    if (version !== this.#decisions.length) {
      this.report('gap-free', `${replica} shows version ${version} after ${this.version}`);
      return;
    }
    if (!this.#counted.has(version)) {
      this.report('one-decision', `${replica} shows version ${version}, and nobody has counted a majority for it`);
    }
    this.#carryOn(proposal, operation);
  }

  /** The first to show a version. */
  #carryOn(proposal: StateProposal, operation: string): void {
    const { version, changes, root, command } = proposal;
    if (proposal.base !== this.#decisions[version - 1]!.hash) {
      this.report('gap-free', `version ${version} is based on ${proposal.base}`);
    }
    for (const change of changes) foldChange(this.#state, change);
    const known = this.#known(operation);
    this.#decisions.push(known);
    if (known.hash !== root) {
      this.report('hash-on-wire', `version ${version} is told to be ${root}, and is ${known.hash}`);
    }
    const before = this.#decidedAt.get(operation);
    if (before !== undefined) {
      this.report('exactly-once', `${operation} is version ${before} and version ${version}`);
    }
    this.#decidedAt.set(operation, version);
    const { outcome, expected } = this.operations.get(operation) ?? {};
    if (outcome?.state === 'rejected' || outcome?.state === 'gave-up') {
      this.report('nothing-vanishes', `${operation} was told to be ${outcome.state}, and is version ${version}`);
    }
    if (expected !== 'any') this.report('domain', `${operation}, which is ${expected}, became version ${version}`);
    if (command.startsWith('increment ')) this.#increments++;
    const problem = groupProblem(this.#state, this.#increments);
    if (problem) this.report('domain', `at version ${version} ${problem}`);
    this.count('decisions');
  }

  #known(operation: string): KnownDecision {
    const entries = [...this.#state] as Parameters<typeof StateRoot.from>[0] & [string, SyncRecord][];
    return { operation, texts: textsOf(entries), hash: StateRoot.from(entries).hash };
  }

  /** A member was told what became of what it wanted. */
  settled(operation: Operation, outcome: ProposalOutcome): void {
    const { name, expected } = operation;
    const before = operation.outcome;
    this.count(`outcome ${outcome.state}`);
    if (before && before.state !== 'unknown') {
      this.report('nothing-vanishes', `${name} was ${before.state} and then ${outcome.state}`);
    }
    operation.outcome = outcome;
    const at = this.#decidedAt.get(name);
    if (outcome.state === 'committed') {
      const fits = outcome.isExact ? at === outcome.version : at !== undefined && at <= outcome.version;
      if (!fits) this.report('nothing-vanishes', `${name} was told to be version ${outcome.version}, and is ${at}`);
      if (this.#decisions[outcome.version]?.hash !== outcome.root) {
        this.report('state-at-version', `${name} was told that version ${outcome.version} is ${outcome.root}`);
      }
    } else if (outcome.state !== 'unknown' && at !== undefined) {
      this.report('nothing-vanishes', `${name} is version ${at}, and was told to be ${outcome.state}`);
    }
    if (expected === 'unknown-base' && (outcome.state !== 'rejected' || outcome.reason !== 'state-conflict')) {
      this.report('domain', `${name}, based on a state that never was, is ${outcome.state}`);
    }
    if (expected === 'never' && (outcome.state === 'committed' || outcome.state === 'unknown')) {
      this.report('domain', `${name}, which breaks the rules, is ${outcome.state}`);
    }
  }

  /** What a member shows now. */
  look({ replica, version, root }: Visible, isDeep = false): void {
    const seen = this.#observe(replica);
    if (version < seen.version) {
      this.report('monotonic', `${replica} was at version ${seen.version} and is at ${version}`);
    }
    seen.version = version;
    const known = this.#decisions[version];
    if (!known || known.hash !== root.hash) {
      this.report('state-at-version', `${replica} has ${root.hash} at version ${version}, which is ${known?.hash}`);
    } else if (isDeep) {
      const difference = differenceOf(textsOf(root.entries(), true), known.texts);
      if (difference) this.report('state-at-version', `${replica} at version ${version}: ${difference}`);
    }
  }

  /** A member came back from its log. */
  recovered(member: Visible): void {
    const { version } = this.#observe(member.replica);
    if (member.version < version) {
      const text = `${member.replica} had shown version ${version}, and comes back with ${member.version}`;
      this.report('acked-durable', text);
    }
    // What was decided and written, but shown to nobody before the crash, is decided all the same.
    for (const proposal of member.decidedSince(this.version) ?? []) {
      if (this.#isAccepted(proposal.version)) this.#counted.add(proposal.version);
      this.#onDecided(member.replica, proposal);
    }
    this.look(member, true);
  }

  /** Whether a majority has accepted one change for it. Alone, a member counts its own vote before anybody can see it. */
  #isAccepted(version: number): boolean {
    if (this.#quorum === 1) return true;
    const votes = [...this.#accepts].filter(([key]) => key.startsWith(`${version} `));
    return votes.some(([, members]) => members.size >= this.#quorum);
  }

  /** At the very end. */
  audit(members: readonly Visible[]): void {
    for (const member of members) {
      this.look(member, true);
      const { root, unknown } = this.#captured.get(member.replica) ?? nothingKnown;
      if (member.version !== this.version) {
        this.report('convergence', `${member.replica} is at version ${member.version} of ${this.version}`);
      }
      if (unknown !== undefined || root.hash !== member.root.hash) {
        const text = `the recording gives ${member.replica} ${root.hash}, it has ${member.root.hash}: ${unknown}`;
        this.report('capture-faithful', text);
      }
    }
    for (const { name, outcome, isOrphan } of this.operations.values()) {
      const at = this.#decidedAt.get(name);
      if (outcome?.state === 'committed' && at === undefined) {
        this.report('nothing-vanishes', `${name} was told to be version ${outcome.version}, and vanished`);
      }
      if (!isOrphan && (outcome === undefined || outcome.state === 'unknown')) {
        this.report('nothing-vanishes', `${name} is ${outcome?.state ?? 'pending'} at the end`);
      }
    }
  }

  #observe(replica: ReplicaId): Observed {
    let seen = this.#observed.get(replica);
    if (!seen) {
      seen = { promised: undefined, version: 0 };
      this.#observed.set(replica, seen);
    }
    return seen;
  }
}

function textOfBallot({ round, proposer }: Ballot): string {
  return `${round}/${proposer}`;
}
