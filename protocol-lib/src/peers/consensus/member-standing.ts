import { array, finite, type Infer, literal, nullable, object, optional, uint } from '../../schema/index.ts';
import { replicaIdSchema, stateHashSchema } from '../../state/index.ts';
import { ballotSchema } from '../../trace/index.ts';
import { consensusRecordSchema } from './records.ts';
import { jobStandingSchema, roundStandingSchema } from './round.ts';

/**
 * All that a member holds between two inputs, for another one to go on from. It can be said while nothing waits for its disk. Of intents that are not settled it has all but what they are: those are the app's. Times are nanoseconds that have passed at this member, null where there was none yet.
 */

const time = nullable(finite);

export const pacingStandingSchema = object({
  notBefore: time,
  fruitless: uint,
  given: nullable(
    object({
      version: uint,
      ballot: ballotSchema,
      phase: literal('prepare', 'accept'),
      since: finite,
      until: finite,
    }),
  ),
  passed: uint,
  limit: uint,
});
export type PacingStanding = Infer<typeof pacingStandingSchema>;

const proposerStandingSchema = object({
  /** Absent in earlier recordings: none. */
  jobs: optional(array(jobStandingSchema)),
  round: optional(nullable(roundStandingSchema)),
  lead: nullable(ballotSchema),
  seenRound: uint,
  counter: uint,
  left: nullable(object({ version: uint, ballot: ballotSchema, at: finite })),
  pacing: pacingStandingSchema,
});
export type ProposerStanding = Infer<typeof proposerStandingSchema>;

const catchUpStandingSchema = object({
  versions: array(object({ replica: replicaIdSchema, version: uint })),
  stated: array(object({ replica: replicaIdSchema, version: uint, root: stateHashSchema })),
  askedFrom: uint,
  asked: array(object({ replica: replicaIdSchema, times: uint, again: finite })),
  askAgain: time,
  progressAt: time,
  beatAt: time,
});
export type CatchUpStanding = Infer<typeof catchUpStandingSchema>;

const engineStandingSchema = object({
  time: finite,
  /** What the clock said when the member looked last. */
  seen: time,
  proposer: proposerStandingSchema,
  catchUp: catchUpStandingSchema,
});
export type EngineStanding = Infer<typeof engineStandingSchema>;

export const memberStandingSchema = object({
  /** What it must know again after a crash, with the fields of all records in the order in which this member has them. */
  checkpoint: consensusRecordSchema,
  /** The number of the last frame that it made. */
  sequence: uint,
  engine: engineStandingSchema,
});
export type MemberStanding = Infer<typeof memberStandingSchema>;

/** A moment long ago, of which no recording can speak. */
export function momentOf(said: number | null): number {
  return said ?? Number.NEGATIVE_INFINITY;
}

export function saidOf(moment: number): number | null {
  return Number.isFinite(moment) ? moment : null;
}
