import type { StateRoot } from '../../merkle/index.ts';
import type { MessageBody } from '../../messages/index.ts';
import type { Random } from '../../ports/index.ts';
import type { ReplicaId, StateHash, Version } from '../../state/index.ts';
import type { TraceBody } from '../../trace/index.ts';
import { quorumOf } from './ballot.ts';
import type { Effect } from './effects.ts';
import type { StateProposal } from './proposal.ts';
import type { ConsensusSettings } from './settings.ts';
import type { Standing } from './standing.ts';

/** What the application says of a change, beyond that it fits the state. */
export interface ConsensusRules {
  /**
   * Why `after` may not follow upon `before`, or undefined where it may. A pure function of these three that is the same at every
   * member: members that judge differently cannot agree.
   */
  readonly validate?: (before: StateRoot, after: StateRoot, proposal: StateProposal) => string | undefined;
  /** Why this member has no room for the change just now, or undefined. Asked before each vote; it may differ between members. */
  readonly admit?: (proposal: Pick<StateProposal, 'command' | 'changes' | 'writer'>) => string | undefined;
}

/** What the parts of one member's engine share. */
export class Core {
  readonly replica: ReplicaId;
  /** All members, in the order of their names. */
  readonly members: readonly ReplicaId[];
  readonly others: readonly ReplicaId[];
  readonly quorum: number;
  readonly rules: ConsensusRules;
  readonly settings: ConsensusSettings;
  readonly random: Random;
  standing: Standing;
  #effects: Effect[] = [];
  /** What the state of the present version was before it was damaged. */
  #sound: { readonly version: Version; readonly root: StateHash } | undefined;

  constructor(
    replica: ReplicaId,
    members: readonly ReplicaId[],
    options: { readonly rules: ConsensusRules; readonly settings: ConsensusSettings; readonly random: Random },
    standing: Standing,
  ) {
    this.replica = replica;
    this.members = [...members].sort();
    this.others = this.members.filter((one) => one !== replica);
    this.quorum = quorumOf(members.length);
    this.rules = options.rules;
    this.settings = options.settings;
    this.random = options.random;
    this.standing = standing;
  }

  /**
   * Whether the state is not the one that was decided, or begun with, as a fault has put another in its place. What this member votes, and
   * has voted, is about that one.
   */
  get isDamaged(): boolean {
    const { version, root } = this.standing;
    return this.#sound?.version === version && this.#sound.root !== root.hash;
  }

  /** Puts another state in the place of that of the present version. */
  damage(root: StateRoot): void {
    const { version, root: before } = this.standing;
    if (this.#sound?.version !== version) this.#sound = { version, root: before.hash };
    this.standing = { ...this.standing, root };
  }

  /** Puts the state that the group has of the present version in place. What was accepted on another one could never be decided. */
  mend(root: StateRoot): void {
    const { accepted } = this.standing;
    this.#sound = undefined;
    this.standing = { ...this.standing, root, accepted: accepted?.proposal.base === root.hash ? accepted : undefined };
  }

  emit(effect: Effect): void {
    this.#effects.push(effect);
  }

  send(to: readonly ReplicaId[], body: MessageBody): void {
    if (to.length > 0) this.emit({ kind: 'send', to, body });
  }

  trace(body: TraceBody): void {
    this.emit({ kind: 'trace', body });
  }

  takeEffects(): Effect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }
}
