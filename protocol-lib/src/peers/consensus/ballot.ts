import { SyncError } from '../../errors/index.ts';
import { replicaId } from '../../state/index.ts';
import type { Ballot } from '../../trace/index.ts';

/** Below every ballot that can be made. */
export const NO_BALLOT: Ballot = { round: 0, proposer: replicaId('nobody') };

/** No ballot of a round beyond this is taken: a number that cannot rise any more would block the group for ever. */
export const MAX_ROUND = 2 ** 52;
/** Rounds that a ballot may be ahead of all that a member has seen: more than a member that is cut off for years makes. */
export const MAX_ROUND_JUMP = 2 ** 32;

/** Negative where `left` is the lower one, 0 where they are the same. Total: rounds first, then the names' UTF-16 units. */
export function compareBallots(left: Ballot, right: Ballot): number {
  if (left.round !== right.round) return left.round < right.round ? -1 : 1;
  if (left.proposer === right.proposer) return 0;
  return left.proposer < right.proposer ? -1 : 1;
}

/** @throws SyncError `BALLOT_INVALID` where a round is no integer from 1, or higher than any that can come from a sound member */
export function checkRound(round: number, highestSeen: number): void {
  const highest = Math.min(MAX_ROUND, highestSeen + MAX_ROUND_JUMP);
  if (Number.isSafeInteger(round) && round >= 1 && round <= highest) return;
  throw new SyncError('BALLOT_INVALID', `a ballot's round is an integer from 1 to ${highest}, not ${round}`, {
    origin: 'protocol',
    place: { path: 'round' },
  });
}

/** Members that must say yes: more than half of all, so that any two such sets have one in common. */
export function quorumOf(members: number): number {
  return Math.floor(members / 2) + 1;
}
