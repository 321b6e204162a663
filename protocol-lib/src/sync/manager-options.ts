import type { EventLog } from '../events/index.ts';
import type { StateRoot } from '../merkle/index.ts';
import type { Feature, ProtocolRange } from '../messages/index.ts';
import type { Random, SyncMetrics } from '../ports/index.ts';
import type { ReplicaId } from '../state/index.ts';
import type { Tap } from '../trace/index.ts';
import type { SyncTotals } from './delta-synchronizer.ts';
import type { SessionDefinition } from './session.ts';
import { SYNC_DEFAULTS, type SyncSettings } from './settings.ts';
import type { AuthorityStanding } from './standing.ts';

export interface SyncManagerOptions extends Partial<SyncSettings> {
  readonly definition: SessionDefinition;
  /** The authority's own name. */
  readonly replica: ReplicaId;
  /** The session's name; a HELLO for another is refused. */
  readonly session: string;
  readonly random: Random;
  /** Nanoseconds on the clock that every later `now` is read from. */
  readonly now: number;
  readonly tap?: Tap;
  /** Whether a token lets this replica in. Absent, everybody is let in: only for sessions within one process. */
  readonly authorize?: (token: string, replica: ReplicaId) => boolean;
  /**
   * Where every settlement goes before anybody hears of it. What it has already is carried on from; its durability is said in WELCOME.
   * A slower log is looked at with each frame and {@link SyncManager.tick}.
   */
  readonly log?: EventLog;
  /** Runs every event twice, and refuses a mutation whose two runs differ. */
  readonly verifyReducer?: boolean;
  /**
   * Which life of the session begins here, a number that no other has, where no log carries one on; drawn from `random` where absent, which
   * must then differ from start to start.
   */
  readonly incarnation?: number;
  /** Told of latencies, of what clients lack, and how repairs ended. */
  readonly metrics?: SyncMetrics;
  /** A mutation is settled and durable, so many nanoseconds after it was decided: what the log took. */
  readonly onDurable?: (time: number) => void;
  /** A client has said that it leaves, at `now` in nanoseconds; one of which nothing more is heard has not. */
  readonly onGoodbye?: (replica: ReplicaId, now: number) => void;
  /** What this side offers; all of {@link FEATURES} where absent. */
  readonly features?: readonly Feature[];
  /** The protocol versions that this side speaks; {@link OWN_PROTOCOLS} where absent. */
  readonly protocols?: ProtocolRange;
  /** Goes on where another authority was, with its state: {@link SyncManager.standing}. A log must be as long as that one's was. */
  readonly resume?: { readonly root: StateRoot; readonly standing: AuthorityStanding };
}

/** Totals since the manager was made. */
export interface SyncStats extends SyncTotals {
  readonly bytes: number;
  readonly commits: number;
  readonly rejections: number;
  /** Frames that were refused. */
  readonly refused: number;
  /** Connections that were ended because their reader was hopeless. */
  readonly tooSlow: number;
  /** Frames of a kind that is not known here: a later version's, which its senders can do without. */
  readonly passedOver: number;
}

/** The settings among some options, with the defaults of the others. @throws RangeError for one that is no positive integer */
export function settingsOf(options: Partial<SyncSettings>): SyncSettings {
  const settings: Record<string, number> = { ...SYNC_DEFAULTS };
  for (const name of Object.keys(SYNC_DEFAULTS) as (keyof SyncSettings)[]) {
    const value = options[name];
    if (value === undefined) continue;
    if (!Number.isSafeInteger(value) || value < 1) throw new RangeError(`${name} is a positive integer, not ${value}`);
    settings[name] = value;
  }
  return settings as unknown as SyncSettings;
}
