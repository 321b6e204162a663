import { vectorEntriesSchema } from '../clock/index.ts';
import { mutationsSchema } from '../conflict/index.ts';
import { object, string } from '../schema/index.ts';
import { stateHashSchema } from '../state/index.ts';

/**
 * What peers say to each other. None of them is the authority: a state is named by a version vector, and two replicas of one vector must
 * have one root.
 */

/** Where the sender stands, each second whether or not anything happened; its silence is how a partition is noticed. */
export const peerStatusSchema = object({
  session: string(100),
  vector: vectorEntriesSchema,
  root: stateHashSchema,
  /** The checkpoint before which the sender has no history, and the state there. */
  base: vectorEntriesSchema,
  baseRoot: stateHashSchema,
});

/** The sender is behind, at `vector`, and asks for what it lacks. */
export const peerRequestSchema = object({ vector: vectorEntriesSchema });

/**
 * Mutations that lead from what the receiver is known to have to `to`, in the order of the merge. A receiver that has not all of `from` holds
 * them and asks. `root`: the state of the mutations that `to` covers, which the receiver must come to as well.
 */
export const peerChangesSchema = object({
  from: vectorEntriesSchema,
  to: vectorEntriesSchema,
  root: stateHashSchema,
  mutations: mutationsSchema,
});

/** What the receiver lacks is no longer kept one by one: it takes over the state at `vector` by MERKLE_QUERY against `root`. */
export const peerBaseSchema = object({ vector: vectorEntriesSchema, root: stateHashSchema });
