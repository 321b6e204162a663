import type { StateRoot } from '../../merkle/index.ts';
import type { MessageBody } from '../../messages/index.ts';
import type { ReplicaId } from '../../state/index.ts';
import type { TraceBody } from '../../trace/index.ts';
import type { ProposalOutcome, ProposalReceipt, StateProposal } from './proposal.ts';
import type { ConsensusRecord } from './records.ts';
import type { Standing } from './standing.ts';

/**
 * What the engine asks for, in order. Whoever carries it out makes every `write` before an effect durable before that effect
 * leaves the process: then nothing is ever said that a crash could take back.
 */
export type Effect =
  | { readonly kind: 'write'; readonly record: ConsensusRecord }
  /** The whole standing has changed at once: write the file anew, as this. */
  | { readonly kind: 'rewrite'; readonly standing: Standing }
  | { readonly kind: 'send'; readonly to: readonly ReplicaId[]; readonly body: MessageBody }
  /** This is a version now. `isCounted`: this member counted the votes itself. */
  | {
      readonly kind: 'decided';
      readonly proposal: StateProposal;
      readonly root: StateRoot;
      readonly isCounted: boolean;
    }
  /** The state of a later version was taken over whole. */
  | { readonly kind: 'installed'; readonly version: number; readonly root: StateRoot }
  | { readonly kind: 'settle'; readonly receipt: ProposalReceipt; readonly outcome: ProposalOutcome }
  | { readonly kind: 'trace'; readonly body: TraceBody };
