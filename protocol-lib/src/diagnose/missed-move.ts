import type { StateRoot } from '../merkle/index.ts';
import type { ReplicaId } from '../state/index.ts';
import type { TraceBodyOf } from '../trace/index.ts';
import { differenceIn } from './differences.ts';

/** What a replica still has, or has not yet, though its view moved; `state` is the whole, where it is known. */
export function missedMove(
  { differences }: TraceBodyOf<'divergence'>,
  replica: ReplicaId,
  state: StateRoot | undefined,
) {
  const kept = differences.find(({ key, own, theirs }) => (own === null) !== (theirs === null) && state?.has(key));
  if (!kept) return undefined;
  const isExit = kept.theirs === null;
  return {
    class: 'missed-change' as const,
    confidence: 'high' as const,
    reason: isExit
      ? `${kept.key} is still in the session but no longer in the view of ${replica}, which was not told so`
      : `${kept.key} came into the view of ${replica}, which was not told so`,
    confirm: 'compare the view before and after the delta: what left it must be removed by it',
    differences: [differenceIn(kept.key, kept.own, kept.theirs)],
  };
}
