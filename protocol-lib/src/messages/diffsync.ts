import { array, object, string } from '../schema/index.ts';
import { recordKeySchema, stateHashSchema } from '../state/index.ts';
import { changesSchema } from './replication.ts';

/**
 * A client's models as changes of a state that the server keeps. `base` is what both had in common last, the empty state where
 * they have nothing; `from` is what the changes lead away from, and `root` the client's state, which they lead to.
 */
export const modelPushSchema = object({
  base: stateHashSchema,
  from: stateHashSchema,
  root: stateHashSchema,
  changes: changesSchema,
});

/**
 * What makes the client's state `pushed` the merged one, of hash `root`. `common` leads on from there to what both have in common; it
 * is empty unless something is open or failed. `open` are conflicts that wait for a human.
 */
export const modelResultSchema = object({
  pushed: stateHashSchema,
  root: stateHashSchema,
  changes: changesSchema,
  common: changesSchema,
  open: array(object({ key: recordKeySchema, fields: array(string(), 65_535) })),
});

/** The server does not keep the state that a push leads away from. The client descends against `root` with MERKLE_QUERY and pushes from that. */
export const modelUnknownSchema = object({ root: stateHashSchema });
