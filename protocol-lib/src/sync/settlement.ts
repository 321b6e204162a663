import { fitText } from '../schema/index.ts';
import type { Version } from '../state/index.ts';
import type { MutationId } from '../trace/index.ts';
import type { Decided } from './commit-log.ts';
import type { DomainEvent } from './session.ts';

/** Where a receiver stands: the version it has, and how far it has been told of settled mutations. */
export interface SyncPoint {
  readonly version: Version;
  readonly progress: number;
}

/**
 * What became of a mutation at the authority. Where its log is slower, this is what will be once it is durable; until then no
 * replica is told, `AuthorityState.version` is before it, and a crash can take it away.
 */
export type Settlement =
  | {
      readonly accepted: true;
      readonly version: Version;
      readonly events: readonly DomainEvent[];
      /** `seq` of the `commit` record, 0 where there is none, or none yet. */
      readonly seq: number;
    }
  | { readonly accepted: false; readonly reason: string; readonly seq: number };

/** A settlement that may be told now. */
export interface Settled {
  readonly mutation: MutationId;
  readonly command: string;
  readonly settlement: Settlement;
  /** `MutationLedger.progress` with it. */
  readonly progress: number;
  /** Nanoseconds since the session began. */
  readonly time: number;
  readonly cause: readonly number[];
}

/** When a mutation came, in nanoseconds since the session began, and the newest version that its writer was known to have. */
export interface Moment {
  readonly time: number;
  readonly seen: Version;
  /** Whether it is its poster's to decide it anew where another authority's entry comes before it. */
  readonly isPosted?: boolean;
}

/** What will be told once it is durable. */
export function foreseen({ decision, version }: Decided): Settlement {
  if (decision === 'adopted') throw new TypeError('what was settled elsewhere is not told here');
  if (!decision.accepted) return { ...decision, seq: 0 };
  return { accepted: true, version, events: decision.events, seq: 0 };
}

/** An event as messages and trace records carry it. */
export function shortEvent(event: { readonly type: string; readonly player: string; readonly detail: string }): {
  readonly type: string;
  readonly player: string;
  readonly detail: string;
} {
  return { type: fitText(event.type, 80), player: fitText(event.player, 80), detail: fitText(event.detail, 500) };
}
