import { array, boolean, bytes, finite, nullable, object, optional, string, uint } from '../schema/index.ts';
import { replicaIdSchema } from '../state/index.ts';

/** Whose input it is, and the time in nanoseconds on the clock that this node reads. */
const head = { replica: replicaIdSchema, now: uint };

/** What is done to the nodes of a session without an authority; ticks and changes behind a node's back are those of any session. */
export const groupInputs = {
  /**
   * A node began, for the first time or again under the same name. `made` is what it was made of, as `argumentText` writes it, for its
   * definition to read; `contents` are the bytes that its disk had, where it has one.
   */
  node: object({
    ...head,
    session: string(200),
    members: array(replicaIdSchema, 10_000),
    made: string(100_000_000),
    contents: optional(bytes(1024 * 1024 * 1024)),
    /** Whether it goes on with what the node before it of this name has kept, and is not told here. */
    leansOnBefore: optional(boolean),
  }),
  /**
   * A node that runs already, as it is between two inputs: a recording that began in the middle of its session goes on from here. `standing` is what its
   * definition makes it again from, in bytes of its own.
   */
  nodeStands: object({
    ...head,
    session: string(200),
    members: array(replicaIdSchema, 10_000),
    made: string(100_000_000),
    standing: bytes(1024 * 1024 * 1024),
  }),
  /** A frame came over the link of `from`, or over a bus that many speak on. `frame` where no record of the trace has it. */
  take: object({ ...head, from: nullable(replicaIdSchema), frame: optional(bytes()) }),
  /** Something was done to the node that its definition knows by this name: somebody wants something, a fault strikes. */
  act: object({ ...head, action: string(80), args: string(100_000_000) }),
  /** The oldest operation of the node's disk that was not done is done, or has failed. */
  flushed: object({ ...head, failure: optional(string(2_000)) }),
  /** The node's process ended. */
  end: object({ ...head, reason: string(500) }),
  /** A number that the node drew during the next input that is none of these. */
  drawn: object({ ...head, value: finite }),
} as const;
