import { array, literal, object, optional, string, uint } from '../schema/index.ts';
import { changeSchema, replicaIdSchema, stateHashSchema, valueSchema } from '../state/index.ts';
import { changesSchema } from './replication.ts';

/**
 * Members of a group agree on the next version of the state they all hold (Paxos: L. Lamport, "Paxos Made Simple", 2001; one
 * instance a version). A ballot is a `round` and the member whose it is; rounds rise, and the member breaks ties. A change is
 * named by its `writer` and that member's `counter`. Where a member stands is said by HEARTBEAT, what it lacks is asked for by
 * SYNC_REQUEST, and where much is lacking FULL_SYNC answers.
 */

/** What a member may say to a proposal. All but `accept` leave its state as it was. */
export const VOTE_ANSWERS = [
  'accept',
  'invalid-change',
  'state-conflict',
  'resource-constraint',
  'stale-ballot',
] as const;
export type VoteAnswer = (typeof VOTE_ANSWERS)[number];

const proposalFields = {
  /** The version that the change is to become. */
  version: uint,
  /** Hash of the state that it is based on, which is version - 1. */
  base: stateHashSchema,
  writer: replicaIdSchema,
  counter: uint,
  command: string(80),
  changes: changesSchema,
};

/** Of the command, for members that decide it themselves. Absent where they are null. */
const args = optional(valueSchema);

/** The sender asks for promises under its ballot. Without a change of its own, to finish one that was left, `counter` is 0. */
export const prepareSchema = object({ round: uint, ...proposalFields, args });

/** The sender, promised by a majority, asks to accept this change. `root`: hash after it. */
export const acceptSchema = object({ round: uint, ...proposalFields, root: stateHashSchema, args });

/** The answer to either, for the ballot (`round`, `proposer`). It is durable before it is sent. */
export const voteSchema = object({
  version: uint,
  round: uint,
  proposer: replicaIdSchema,
  phase: literal('prepare', 'accept'),
  answer: literal(...VOTE_ANSWERS),
  /** The voter's own version and hash. */
  at: uint,
  own: stateHashSchema,
  /** The highest round that it has promised. */
  promised: uint,
  reason: string(500),
  /** With a promise: the change that it has accepted for this version before, and under which ballot. */
  accepted: optional(
    object({
      round: uint,
      proposer: replicaIdSchema,
      writer: replicaIdSchema,
      counter: uint,
      command: string(80),
      changes: array(changeSchema, 65_535),
      root: stateHashSchema,
      args,
    }),
  ),
});

/** This change was accepted by a majority and is the version for ever. */
export const decidedSchema = object({ ...proposalFields, root: stateHashSchema, args });
