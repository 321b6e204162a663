import type { StateRoot } from '../merkle/index.ts';
import { type Divergence, divergencesOf } from './divergence.ts';
import { DivergenceMerge, type DivergenceResult } from './divergence-merge.ts';
import { compareMutations, type Mutation } from './mutation.ts';
import { type Amendment, type ConflictExplanation, type MutationOutcome, withAmendments } from './outcome.ts';
import { PolicyTable } from './policy.ts';
import { type DomainRule, RuleRegistry } from './rules.ts';

export interface ConflictResolverOptions {
  /** As `policyTableSchema` has it: plain data. */
  readonly policies?: unknown;
  readonly rules?: readonly DomainRule[];
}

export interface MergeResult {
  readonly root: StateRoot;
  /** One for each mutation, in the order of the merge. */
  readonly outcomes: readonly MutationOutcome[];
  readonly conflicts: readonly ConflictExplanation[];
  /** What became of changes before `base` that waited. */
  readonly amendments: readonly Amendment[];
}

/**
 * Makes one state of a base and of what any number of writers did since. A pure function of the set of mutations: the order in
 * which they came, how often, and who had merged before do not count.
 */
export class ConflictResolver {
  readonly policies: PolicyTable;
  readonly rules: RuleRegistry;

  /** @throws SyncError `SCHEMA_MISMATCH`, `POLICY_INVALID`, `RULE_INVALID`, or `RULE_UNKNOWN` for a policy whose rule is not registered */
  constructor(options: ConflictResolverOptions = {}) {
    this.policies = new PolicyTable(options.policies ?? []);
    this.rules = new RuleRegistry(options.rules);
    for (const { policy } of this.policies.entries) {
      if (policy.kind === 'domain') this.rules.get(policy.rule, policy.version);
    }
  }

  /** `base` is the state that every one of `mutations` was made on, or on which one was that it was made on. */
  merge(base: StateRoot, mutations: Iterable<Mutation>): MergeResult {
    const ordered = [...new Set(mutations)].sort(compareMutations);
    const outcomes: MutationOutcome[] = [];
    const conflicts: ConflictExplanation[] = [];
    const amendments: Amendment[] = [];
    let root = base;
    for (const divergence of divergencesOf(ordered)) {
      const result = this.mergeDivergence(root, ordered, divergence);
      root = result.root;
      outcomes.push(...result.outcomes);
      conflicts.push(...result.conflicts);
      amendments.push(...result.amendments);
    }
    return { root, outcomes: withAmendments(outcomes, amendments), conflicts, amendments };
  }

  /** One divergence of an ordered history; `base` is the state at its agreed point. */
  mergeDivergence(base: StateRoot, ordered: readonly Mutation[], { start, end }: Divergence): DivergenceResult {
    return new DivergenceMerge(base, ordered.slice(start, end), this.policies, this.rules).run();
  }
}
