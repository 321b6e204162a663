import type { StateRoot } from '../../merkle/index.ts';
import type { ReplicaId, Version } from '../../state/index.ts';
import type { Ballot } from '../../trace/index.ts';
import { NO_BALLOT } from './ballot.ts';
import type { Accepted, StateProposal } from './proposal.ts';

/** Everything that a member must know again after a crash. Immutable: each step makes a new one. */
export interface Standing {
  /** The newest version that it knows to be decided, and the state. */
  readonly version: Version;
  readonly root: StateRoot;
  /** Of each writer, the counter of its newest decided change. */
  readonly writers: ReadonlyMap<ReplicaId, number>;
  /** It accepts nothing under a lower ballot. Counts for every version. */
  readonly promised: Ballot;
  /** What it has accepted for version + 1. */
  readonly accepted: Accepted | undefined;
  /** The newest decided changes, oldest first, up to `version`. */
  readonly recent: readonly StateProposal[];
}

/** A member's standing before it has voted on anything. All members of a group begin with equal records. */
export function initialStanding(root: StateRoot): Standing {
  return { version: 0, root, writers: new Map(), promised: NO_BALLOT, accepted: undefined, recent: [] };
}

/** Decided changes are cut from the front only now and then, so that a step does not copy them all. */
const SLACK = 2;

/** The standing once `proposal`, which makes `root`, is decided. */
export function decidedStanding(standing: Standing, proposal: StateProposal, root: StateRoot, kept: number): Standing {
  const writers = new Map(standing.writers).set(proposal.writer, proposal.counter);
  const recent = [...standing.recent.slice(standing.recent.length >= kept * SLACK ? -kept : 0), proposal];
  return { ...standing, version: proposal.version, root, writers, accepted: undefined, recent };
}
