import type { VersionVector } from '../clock/index.ts';
import type { StateRoot } from '../merkle/index.ts';
import type { Feature, ProtocolRange } from '../messages/index.ts';
import type { ReplicaId } from '../state/index.ts';
import type { MutationId, Tap } from '../trace/index.ts';
import type { Committed } from './committed.ts';
import type { HealthLimits } from './health.ts';
import type { SessionDefinition } from './session.ts';
import type { ClientStanding } from './standing.ts';

export interface ClientStateOptions {
  readonly definition: SessionDefinition;
  readonly replica: ReplicaId;
  readonly session: string;
  /** What HELLO shows. */
  readonly token: string | (() => string);
  readonly tap?: Tap;
  /** What the authority is called before it has said so; `server` where absent. */
  readonly authority?: ReplicaId;
  /** What this side offers; all of {@link FEATURES} where absent. */
  readonly features?: readonly Feature[];
  /** The protocol versions that this side speaks; {@link OWN_PROTOCOLS} where absent. */
  readonly protocols?: ProtocolRange;
  readonly role?: 'client' | 'peer';
  /** When the client counts as connected but not progressing. */
  readonly health?: Partial<HealthLimits>;
  /** What was kept of this replica before: it goes on from there, as after a cut. Nothing may be pending then. */
  readonly kept?: KeptClient;
  /** Goes on where another client was, with its committed records and vector: {@link ClientState.standing}. */
  readonly resume?: {
    readonly root: StateRoot;
    readonly vector: VersionVector;
    readonly standing: ClientStanding;
  };
}

/** What a replica needs to go on in another process: {@link ClientState.kept}. */
export interface KeptClient {
  readonly committed: Committed;
  /** The highest counter that it has given to a mutation. */
  readonly counter: number;
  /** Of which life of the session the state is; where that was not kept, everything is sent anew. */
  readonly incarnation?: number;
}

export type PredictResult =
  | { readonly mutation: MutationId; readonly frames: Uint8Array[] }
  | { readonly rejected: string };
