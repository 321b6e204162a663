import { array, boolean, type Infer, literal, object, optional, string, uint } from '../schema/index.ts';
import { recordSchema, replicaIdSchema } from '../state/index.ts';
import { vectorSchema } from '../trace/index.ts';

/** What a roster knows of somebody. */
export const rosterEntrySchema = object({
  replica: replicaIdSchema,
  incarnation: uint,
  user: string(),
  device: string(),
  metadata: recordSchema,
  vector: vectorSchema,
  state: literal('active', 'idle', 'problem', 'disconnected', 'left'),
  since: uint,
  lastHeard: uint,
  lastMedia: optional(uint),
  activity: literal('active', 'idle'),
});
export type RosterStanding = Infer<typeof rosterEntrySchema>;

/** All that `Heartbeats` hold between two exchanges, for others to go on from, beside the state that they compare. Reports are not in it: nothing follows from them. */
export const heartbeatsStandingSchema = object({
  activity: literal('active', 'idle'),
  hasMedia: boolean,
  metadata: recordSchema,
  peers: array(replicaIdSchema),
  differing: array(object({ replica: replicaIdSchema, since: uint })),
  nextBeat: uint,
  /** The number of the last exchange that was begun here. */
  lastExchange: uint,
  roster: array(rosterEntrySchema),
});
export type HeartbeatsStanding = Infer<typeof heartbeatsStandingSchema>;
