import { voteSchema } from '../../messages/index.ts';
import { array, boolean, finite, type Infer, literal, nullable, object, string, uint } from '../../schema/index.ts';
import { type ReplicaId, replicaIdSchema, type StateHash, stateHashSchema } from '../../state/index.ts';
import { type Ballot, ballotSchema } from '../../trace/index.ts';
import type { Vote } from './acceptor.ts';
import { type Intent, ProposalReceipt, type StateProposal } from './proposal.ts';
import { proposalSchema, written } from './records.ts';

/** An intent on its way. */
export interface Job {
  readonly intent: Intent;
  readonly receipt: ProposalReceipt;
  attempts: number;
  readonly reasons: string[];
  /** What was made of it for the present version, and may have been accepted by somebody. */
  offered: StateProposal | undefined;
  /** Its attempts are used up; it waits only to know what became of it. */
  isSpent: boolean;
}

/** One try under one ballot. */
export interface Round {
  readonly ballot: Ballot;
  readonly version: number;
  readonly base: StateHash;
  phase: 'prepare' | 'accept';
  /** The newest answer of each member; a yes stays. */
  votes: Map<ReplicaId, Vote>;
  /** What is asked for: the own change, and from the accept phase on whatever must be decided. */
  proposal: StateProposal | undefined;
  readonly job: Job | undefined;
  /** What was made for the job. What an earlier life of this member offered for another is none of it. */
  readonly own: StateProposal | undefined;
  /** When its present phase began. */
  since: number;
  deadline: number;
  resendAt: number;
}

export const jobStandingSchema = object({
  attempts: uint,
  reasons: array(string(500)),
  offered: nullable(proposalSchema),
  isSpent: boolean,
});
export type JobStanding = Infer<typeof jobStandingSchema>;

export const roundStandingSchema = object({
  ballot: ballotSchema,
  version: uint,
  base: stateHashSchema,
  phase: literal('prepare', 'accept'),
  votes: array(object({ replica: replicaIdSchema, vote: voteSchema })),
  proposal: nullable(proposalSchema),
  /** Whether it is for the first intent, and not to finish what was left. */
  isForJob: boolean,
  /** Null where it is `proposal`, or there is none. */
  own: nullable(proposalSchema),
  isOwn: boolean,
  since: finite,
  deadline: finite,
  resendAt: finite,
});
export type RoundStanding = Infer<typeof roundStandingSchema>;

export function newJob(intent: Intent): Job {
  const receipt = new ProposalReceipt();
  return { intent, receipt, attempts: 0, reasons: [], offered: undefined, isSpent: false };
}

export function jobStanding({ attempts, reasons, offered, isSpent }: Job): JobStanding {
  return { attempts, reasons: [...reasons], offered: saidProposal(offered), isSpent };
}

/** What was on its way elsewhere, of an intent that is the same. */
export function jobOf({ attempts, reasons, offered, isSpent }: JobStanding, intent: Intent): Job {
  return { ...newJob(intent), attempts, reasons: [...reasons], offered: offered ?? undefined, isSpent };
}

export function roundStanding({ job, own, proposal, votes, ...rest }: Round): RoundStanding {
  const isOwn = own !== undefined && own === proposal;
  return {
    ...rest,
    ballot: { ...rest.ballot },
    votes: Array.from(votes, ([replica, { type: _, ...vote }]) => ({ replica, vote })),
    proposal: saidProposal(proposal),
    isForJob: job !== undefined,
    own: isOwn ? null : saidProposal(own),
    isOwn,
  };
}

/** `job`: the first one. */
export function roundOf(standing: RoundStanding, job: Job | undefined): Round {
  const { isForJob, isOwn, own, proposal: said, votes, ...rest } = standing;
  const proposal = said ?? undefined;
  return {
    ...rest,
    votes: new Map(votes.map(({ replica, vote }) => [replica, { type: 'VOTE', ...vote }])),
    proposal,
    job: isForJob ? job : undefined,
    own: isOwn ? proposal : (own ?? undefined),
  };
}

function saidProposal(proposal: StateProposal | undefined) {
  return proposal ? written(proposal) : null;
}
