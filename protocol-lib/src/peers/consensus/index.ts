export { compareBallots, MAX_ROUND, quorumOf } from './ballot.ts';
export type { ConsensusRules } from './core.ts';
export type { Effect as ConsensusEffect } from './effects.ts';
export { ConsensusEngine, type ConsensusOptions } from './engine.ts';
export { CONSENSUS_LOG_VERSION, ConsensusLog, readConsensusLog } from './log.ts';
export { type MemberStanding, memberStandingSchema } from './member-standing.ts';
export { ConsensusPeer, type ConsensusPeerOptions, type ConsensusStorage } from './peer.ts';
export {
  type Accepted,
  type Intent,
  type ProposalOutcome,
  ProposalReceipt,
  type RejectReason,
  type StateProposal,
} from './proposal.ts';
export { CONSENSUS_DEFAULTS, type ConsensusSettings } from './settings.ts';
export { initialStanding, type Standing } from './standing.ts';
export { SynchronizedCounter } from './synchronized-counter.ts';
