import { array, boolean, bytes, object, optional, string, uint } from '../schema/index.ts';
import { replicaIdSchema } from '../state/index.ts';
import { authorityStandingSchema, clientStandingSchema } from '../sync/index.ts';

/** Whose input it is, and the time in nanoseconds on the clock that this endpoint reads. */
const head = { replica: replicaIdSchema, now: uint };
const mutation = { writer: replicaIdSchema, counter: uint, seen: uint };

/** What is done to endpoints that run outside a simulation, and where they stand when a recording of them begins. */
export const liveInputs = {
  /** The authority goes on from here; its records are those of its last `snapshot` record. */
  authorityStands: object({ ...head, standing: authorityStandingSchema }),
  /** A client goes on from here; its records and its vector are those of its last `snapshot` record. `isNew`: it has just begun, with nothing. */
  clientStands: object({ ...head, standing: clientStandingSchema, isNew: boolean }),
  /** It told all that is known of it, since somebody began to listen. */
  describe: object(head),
  /** These entries of a log that several authorities append to have been agreed upon since the last, as the log has them; or it takes nothing more. */
  agreed: object({ ...head, entries: array(bytes(64 * 1024 * 1024), 1_000_000), failure: optional(string(2_000)) }),
  flush: object(head),
  stop: object({ ...head, reason: string(2_000), reconnect: optional(uint) }),
  /** So many bytes wait in each of these links, one after the other. */
  queues: object({ ...head, links: array(uint, 1_000_000), bytes: array(uint, 1_000_000) }),
  /** Nothing waits in the first so many links of the last `queues`. */
  queuesAgain: object({ ...head, of: uint }),
  /** A client says goodbye. */
  close: object({ ...head, reason: string(2_000) }),
  /** What came by another way than a link, as `PostedMutations` has it. */
  adopt: object({ ...head, ...mutation }),
  settle: object({ ...head, ...mutation, command: string(), args: string(100_000_000) }),
  refuse: object({ ...head, ...mutation, command: string(), reason: string(2_000) }),
  follow: object(head),
  keep: object(head),
} as const;
