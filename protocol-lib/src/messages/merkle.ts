import { object, uint } from '../schema/index.ts';
import { stateHashSchema } from '../state/index.ts';

export { merkleAnswerSchema, merkleQuerySchema } from '../merkle/index.ts';

/**
 * The authority tells a client that its state at `version` differs, and keeps its own, of hash `root`, for the client to
 * descend against with MERKLE_QUERY.
 */
export const merkleOfferSchema = object({ version: uint, root: stateHashSchema });
