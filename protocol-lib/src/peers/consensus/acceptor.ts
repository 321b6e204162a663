import { isSyncError } from '../../errors/index.ts';
import type { StateRoot } from '../../merkle/index.ts';
import type { BodyOf, VoteAnswer } from '../../messages/index.ts';
import { fitText } from '../../schema/index.ts';
import type { Ballot } from '../../trace/index.ts';
import { compareBallots } from './ballot.ts';
import type { Core } from './core.ts';
import { type Accepted, argsOf, type StateProposal } from './proposal.ts';
import { acceptRecord, written } from './records.ts';
import { decidedStanding } from './standing.ts';

export type Vote = BodyOf<'VOTE'>;
type Phase = Vote['phase'];

/** What was made of a decided change. */
export type Learned =
  | 'applied'
  /** Known before. */
  | 'known'
  /** Versions before it are missing. */
  | 'gap'
  /** It does not fit the state here, though the version does: this state is not the group's. */
  | 'misfit';

interface Verdict {
  readonly answer: VoteAnswer;
  readonly reason: string;
}

const yes: Verdict = { answer: 'accept', reason: '' };

/** The part of a member that votes on what others, and itself, propose, and that takes in what was decided. */
export class Acceptor {
  readonly #core: Core;
  /** The change that was checked last, and the state that it makes: it is likely to be accepted and decided next. */
  #checked: { readonly proposal: StateProposal; readonly before: StateRoot; readonly after: StateRoot } | undefined;

  constructor(core: Core) {
    this.#core = core;
  }

  /** Answers a PREPARE. A yes is a promise, written down with the effects before it. */
  prepare(ballot: Ballot, body: BodyOf<'PREPARE'>): Vote {
    const { standing } = this.#core;
    const verdict = this.#judgePrepare(ballot, body);
    if (verdict.answer === 'accept' && compareBallots(ballot, standing.promised) > 0) {
      this.#core.emit({ kind: 'write', record: { kind: 'promise', ballot } });
      this.#core.standing = { ...standing, promised: ballot };
    }
    return this.#vote('prepare', ballot, body.version, verdict, standing.accepted);
  }

  /** Answers an ACCEPT. A yes is written down with the effects before it. */
  accept(ballot: Ballot, proposal: StateProposal): Vote {
    const { standing } = this.#core;
    const verdict = this.#judgeAccept(ballot, proposal);
    const isNew = standing.accepted === undefined || compareBallots(standing.accepted.ballot, ballot) !== 0;
    if (verdict.answer === 'accept' && isNew) {
      const accepted = { ballot, proposal };
      this.#core.emit({ kind: 'write', record: acceptRecord(accepted) });
      this.#core.standing = { ...standing, promised: ballot, accepted };
    }
    return this.#vote('accept', ballot, proposal.version, verdict, undefined);
  }

  /** Takes in what was decided: the same delta at every member. `isCounted`: this member counted the votes. */
  learn(decided: StateProposal, isCounted: boolean): Learned {
    const { standing, settings } = this.#core;
    if (decided.version <= standing.version) return 'known';
    if (decided.version > standing.version + 1) return 'gap';
    const isAccepted = standing.accepted !== undefined && isSame(standing.accepted.proposal, decided);
    const proposal = isAccepted ? standing.accepted.proposal : decided;
    const root = proposal.base === standing.root.hash ? this.#after(proposal) : undefined;
    if (typeof root !== 'object' || root.hash !== proposal.root) {
      this.#mismatch(proposal, typeof root === 'object' ? root : undefined);
      return 'misfit';
    }
    const { version } = proposal;
    this.#core.emit({
      kind: 'write',
      record: isAccepted ? { kind: 'decide', version } : { kind: 'decide', version, proposal: written(proposal) },
    });
    this.#core.standing = decidedStanding(standing, proposal, root, settings.kept);
    this.#core.emit({ kind: 'decided', proposal, root, isCounted });
    return 'applied';
  }

  /** Why this member may not accept a change of the next version, whoever has accepted it before; undefined where it may. */
  whyNot(proposal: StateProposal): string | undefined {
    return this.#invalid(proposal)?.reason;
  }

  #judgePrepare(ballot: Ballot, body: BodyOf<'PREPARE'>): Verdict {
    const { standing } = this.#core;
    return (
      this.#stale(ballot) ??
      this.#conflict(body.version, body.base) ??
      // To finish what was left there is nothing of its own to judge, nor is there where something was accepted before.
      (body.counter === 0 || standing.accepted ? undefined : this.#noRoom(body)) ??
      (body.counter === 0 || standing.accepted ? undefined : this.#invalid({ ...body, root: undefined })) ??
      yes
    );
  }

  #judgeAccept(ballot: Ballot, proposal: StateProposal): Verdict {
    const { accepted } = this.#core.standing;
    if (accepted && compareBallots(accepted.ballot, ballot) === 0 && !isSame(accepted.proposal, proposal)) {
      return { answer: 'invalid-change', reason: 'another change came under the same ballot' };
    }
    const isKnown = accepted !== undefined && isSame(accepted.proposal, proposal);
    return (
      this.#stale(ballot) ??
      this.#conflict(proposal.version, proposal.base) ??
      (isKnown ? undefined : this.#noRoom(proposal)) ??
      this.#invalid(proposal) ??
      yes
    );
  }

  #stale(ballot: Ballot): Verdict | undefined {
    const { promised } = this.#core.standing;
    if (compareBallots(ballot, promised) >= 0) return undefined;
    return { answer: 'stale-ballot', reason: `promised to ${promised.round}/${promised.proposer}` };
  }

  #conflict(version: number, base: string): Verdict | undefined {
    const { standing } = this.#core;
    if (version !== standing.version + 1) {
      return { answer: 'state-conflict', reason: `at version ${standing.version}, asked for ${version}` };
    }
    if (this.#core.isDamaged) {
      return { answer: 'state-conflict', reason: `the state of version ${standing.version} is damaged here` };
    }
    if (base === standing.root.hash) return undefined;
    return { answer: 'state-conflict', reason: `version ${standing.version} is ${standing.root.hash}, not ${base}` };
  }

  #noRoom(proposal: Pick<StateProposal, 'command' | 'changes' | 'writer'>): Verdict | undefined {
    const { admit } = this.#core.rules;
    const why = admit && saidBy('admit', () => admit(proposal));
    return why === undefined ? undefined : { answer: 'resource-constraint', reason: why };
  }

  #invalid(proposal: Omit<StateProposal, 'root'> & { readonly root: string | undefined }): Verdict | undefined {
    const no = (reason: string): Verdict => ({ answer: 'invalid-change', reason });
    const { standing, settings, members, rules } = this.#core;
    if (!members.includes(proposal.writer)) return no(`${proposal.writer} is not a member`);
    const settled = standing.writers.get(proposal.writer) ?? 0;
    if (proposal.counter <= settled) return no(`${proposal.writer} ${proposal.counter} was decided before`);
    if (proposal.changes.length > settings.maxChanges) {
      return no(`${proposal.changes.length} changes, at most ${settings.maxChanges}`);
    }
    const after = this.#after(proposal);
    if (typeof after === 'string') return no(after);
    const whole = { ...proposal, root: after.hash };
    if (proposal.root !== undefined && proposal.root !== after.hash) {
      return no(`the changes give ${after.hash}, not ${proposal.root}`);
    }
    const { validate } = rules;
    const why = validate && saidBy('validate', () => validate(standing.root, after, whole));
    if (why !== undefined) return no(why);
    this.#checked = { proposal: whole, before: standing.root, after };
    return undefined;
  }

  /** The state that a change makes of the present one, or why it makes none. */
  #after(proposal: Omit<StateProposal, 'root'>): StateRoot | string {
    const { root } = this.#core.standing;
    const checked = this.#checked;
    if (checked && checked.before === root && checked.proposal.changes === proposal.changes) return checked.after;
    try {
      return root.apply(proposal.changes);
    } catch (error) {
      if (!isSyncError(error)) throw error;
      return error.message;
    }
  }

  #mismatch(proposal: StateProposal, got: StateRoot | undefined): void {
    const { version, root } = this.#core.standing;
    this.#core.trace({
      kind: 'mismatch',
      reason: proposal.base === root.hash ? 'root' : 'base',
      version,
      from: proposal.version - 1,
      to: proposal.version,
      own: root.hash,
      expected: proposal.root,
      ...(got ? { got: got.hash } : {}),
    });
  }

  #vote(phase: Phase, { round, proposer }: Ballot, version: number, verdict: Verdict, accepted?: Accepted): Vote {
    const { standing } = this.#core;
    const { answer } = verdict;
    const reason = fitText(verdict.reason, 500);
    const own = standing.root.hash;
    this.#core.trace({ kind: 'vote', version, ballot: { round, proposer }, phase, answer, own, reason });
    const at = standing.version;
    const promised = standing.promised.round;
    const vote: Vote = { type: 'VOTE', version, round, proposer, phase, answer, at, own, promised, reason };
    return answer === 'accept' && accepted ? { ...vote, accepted: acceptedFields(accepted) } : vote;
  }
}

/** What the application's code says; where it throws, what it threw: one bad change must not end the member. */
function saidBy(rule: string, ask: () => string | undefined): string | undefined {
  try {
    return ask();
  } catch (error) {
    return `${rule} failed: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** Whether two proposals for one version are the same change. */
export function isSame(left: StateProposal, right: StateProposal): boolean {
  return (
    left.version === right.version &&
    left.writer === right.writer &&
    left.counter === right.counter &&
    left.root === right.root
  );
}

function acceptedFields({ ballot, proposal }: Accepted): NonNullable<Vote['accepted']> {
  const { writer, counter, command, changes, root } = proposal;
  return { ...ballot, writer, counter, command, changes: [...changes], root, ...argsOf(proposal) };
}
