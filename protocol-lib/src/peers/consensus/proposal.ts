import type { StateRoot } from '../../merkle/index.ts';
import type { VoteAnswer } from '../../messages/index.ts';
import type { Change, ReplicaId, StateHash, Value, Version } from '../../state/index.ts';
import type { Ballot } from '../../trace/index.ts';

/** A change that is proposed to become a version, or has become it. `writer` and `counter` name it for ever. */
export interface StateProposal {
  readonly version: Version;
  /** Hash of the state that it is based on. */
  readonly base: StateHash;
  readonly writer: ReplicaId;
  readonly counter: number;
  readonly command: string;
  readonly changes: readonly Change[];
  /** Hash of the state after it. */
  readonly root: StateHash;
  /** The command's arguments, where members decide it themselves; absent where they are null. */
  readonly args?: Value;
}

/** Arguments as a part of something else; absent where they are null, as they are on the wire. */
export function argsOf({ args = null }: { readonly args?: Value | undefined }): { readonly args?: Value } {
  return args === null ? {} : { args };
}

/** What a member has accepted and does not know to be decided. */
export interface Accepted {
  readonly ballot: Ballot;
  readonly proposal: StateProposal;
}

/** Why a proposal was turned down. */
export type RejectReason = Extract<VoteAnswer, 'invalid-change' | 'state-conflict' | 'resource-constraint'>;

/** What somebody wants to have changed. */
export interface Intent {
  /** For people: what it is called in the trace. At most 80 characters. */
  readonly command: string;
  /** Of the command, for the other members' `validate`. */
  readonly args?: Value;
  /**
   * The changes, or how to make them from the state that they are to be based on; that is called again with a newer state where
   * another change came first. What it throws refuses the intent.
   */
  readonly changes: readonly Change[] | ((root: StateRoot) => readonly Change[]);
  /** The state that it must be based on; where that is not the group's any more it is rejected, not tried again. */
  readonly base?: StateHash;
}

/** What became of an intent. `unknown` turns into `committed` or `gave-up` later; the others stay. */
export type ProposalOutcome =
  /** It is this version, at a majority of the members, durably. */
  | {
      readonly state: 'committed';
      readonly version: Version;
      readonly root: StateHash;
      /** False where this member missed it and took over the state of `version` whole: it is that version or one before it. */
      readonly isExact: boolean;
    }
  /** It was turned down and never takes effect. `voters` said so. */
  | {
      readonly state: 'rejected';
      readonly reason: RejectReason;
      readonly detail: string;
      readonly voters: readonly ReplicaId[];
    }
  /** After so many attempts it was not agreed on, and never takes effect. */
  | { readonly state: 'gave-up'; readonly attempts: number; readonly reasons: readonly string[] }
  /** After so many attempts some member may have accepted it: it can still become the version, by whoever finishes it. */
  | { readonly state: 'unknown'; readonly attempts: number; readonly reasons: readonly string[] };

/** What {@link ConsensusEngine.propose} hands out: tells what became of the intent, never more than is certain and durable. */
export class ProposalReceipt {
  #outcome: ProposalOutcome | undefined;
  readonly #listeners: ((outcome: ProposalOutcome) => void)[] = [];

  /** What is known so far; undefined while it is being tried. */
  get outcome(): ProposalOutcome | undefined {
    return this.#outcome;
  }

  /** Whether the outcome will stay as it is. */
  get isFinal(): boolean {
    return this.#outcome !== undefined && this.#outcome.state !== 'unknown';
  }

  /** Calls `listener` with each outcome from now on, and with the present one where there is one. At most two come. */
  listen(listener: (outcome: ProposalOutcome) => void): void {
    this.#listeners.push(listener);
    if (this.#outcome) listener(this.#outcome);
  }

  /** Resolves with the outcome that stays. */
  ended(): Promise<ProposalOutcome> {
    return new Promise((resolve) => {
      this.listen((outcome) => {
        if (outcome.state !== 'unknown') resolve(outcome);
      });
    });
  }

  /** For who carries out the effects of an engine. */
  tell(outcome: ProposalOutcome): void {
    if (this.isFinal) return;
    this.#outcome = outcome;
    for (const listener of this.#listeners) listener(outcome);
  }
}
