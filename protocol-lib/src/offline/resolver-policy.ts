import { type ConflictResolver, type ResolvedSides, resolveSides, type SideWriter } from '../conflict/index.ts';
import type { RecordKey } from '../state/index.ts';
import { type ConflictDecision, type ConflictPolicy, isSame, type WriteConflict } from './conflicts.ts';

export interface ResolverPolicyOptions {
  readonly resolver: ConflictResolver;
  /** Who wrote the two sides; they must be two. */
  readonly writersOf: (conflict: WriteConflict) => { readonly theirs: SideWriter; readonly mine: SideWriter };
}

/**
 * The policies of a {@link ConflictResolver} for a `Reconciler`. What waits for a human is part of the merge, as records of the queue, so that
 * the rest of a mutation is not held up by it: `writeMerged`, which is needed, writes both. Where the policies have atomic groups, give the
 * `Reconciler` the same ones as `groups`.
 */
export function resolverPolicies({ resolver, writersOf }: ResolverPolicyOptions): (key: RecordKey) => ConflictPolicy {
  const policy: ConflictPolicy = {
    name: 'policies',
    decide: (conflict) => decisionOf(conflict, resolveSides(resolver, conflict, writersOf(conflict))),
  };
  return (key) => {
    const domain = resolver.policies.domainOf(key);
    return domain ? commandDecides(`${domain.rule}@${domain.version}`) : policy;
  };
}

function commandDecides(name: string): ConflictPolicy {
  return { name, decide: () => ({ winner: 'mine', reason: 'the rule of the command decides on the present state' }) };
}

/** Never `mine`: run again on the present state, a command could leave a group with fields of both writers. */
function decisionOf({ theirs }: WriteConflict, { record, waiting, explanations }: ResolvedSides): ConflictDecision {
  const policy = [...new Set(explanations.map((one) => one.policy))].join(', ') || 'policies';
  const reason = explanations.map(({ part, reason: why }) => `${part}: ${why}`).join('; ') || 'nobody disagrees';
  if (waiting.length === 0 && isSame(record, theirs)) return { winner: 'theirs', reason, policy };
  return { winner: 'merged', record, reason, policy, waiting };
}
