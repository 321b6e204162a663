import { SyncError } from '../errors/index.ts';
import {
  array,
  boolean,
  finite,
  type Infer,
  literal,
  nullable,
  object,
  optional,
  type Schema,
  string,
  uint,
  variant,
} from '../schema/index.ts';
import { changeSchema, replicaIdSchema, valueSchema } from '../state/index.ts';
import { deviceInputs } from './device-inputs.ts';
import { groupInputs } from './group-inputs.ts';
import { liveInputs } from './live-inputs.ts';

/**
 * The inputs of a session: everything that was handed to its state machines, with the time that they were told. With the frames
 * and changes that the trace has anyway, they are all that is needed to run the session again to the same bytes.
 */

const numbersSchema: Schema<Readonly<Record<string, number>>> = {
  kind: 'numbers',
  parse(value, path) {
    const record = valueSchema.parse(value, path);
    if (typeof record !== 'object' || record === null || Array.isArray(record) || record instanceof Uint8Array) {
      throw new SyncError('SCHEMA_MISMATCH', `${path}: expected numbers by name`, { origin: 'capture' });
    }
    for (const [name, number] of Object.entries(record)) finite.parse(number, `${path}/${name}`);
    return record as Readonly<Record<string, number>>;
  },
};

/** Whose input it is, and the time in nanoseconds on the clock that this endpoint reads. */
const head = { replica: replicaIdSchema, now: uint };
const link = { ...head, link: uint };
const protocols = object({ min: uint, max: uint });
const features = array(literal('merkle', 'events'), 10);

/** One thing that was done to an endpoint; `args` as `argumentText` writes them. Links are numbered as the authority's driver numbers them. */
export const inputVariants = {
  /** An authority began, with a log from what this has, or with the first state of its definition. */
  authority: object({
    ...head,
    session: string(200),
    settings: numbersSchema,
    incarnation: uint,
    /** Fields that every delta carries together, as the definition names them. */
    groups: array(object({ collection: string(256), fields: array(string(256), 1_000) }), 10_000),
    hasViews: boolean,
    /** Whether it has a log, and how far that went when it was opened; `last` -1 for one that has not begun. */
    log: nullable(object({ durability: literal('memory', 'broker', 'process', 'log'), last: finite })),
  }),
  connect: object(link),
  disconnect: object({ ...link, reason: string(500) }),
  /** A frame came from a link. Its bytes are those of the `receive` or `refused` record that it made. */
  arrival: object(link),
  queued: object({ ...link, bytes: uint }),
  mutate: object({ ...head, command: string(), args: string(100_000_000) }),
  /** So much of the authority's log has become durable; or it takes nothing more. */
  durable: object({ ...head, durable: finite, failure: optional(string(2_000)) }),
  /** A client began, with nothing. */
  client: object({ ...head, session: string(200), features, protocols, role: literal('client', 'peer') }),
  /** A client's connection was opened; `link` is the authority's number of it. */
  open: object(link),
  /** A frame came to a client from a link. */
  delivery: object(link),
  predict: object({ ...head, command: string(), args: string(100_000_000), unchecked: boolean }),
  closed: object({ ...head, reason: string(500) }),
  corrupt: object({ ...head, changes: array(changeSchema, 10_000) }),
  tick: object(head),
  ...groupInputs,
  ...liveInputs,
  ...deviceInputs,
} as const;
export const inputSchema = variant('op', inputVariants);
export type Input = Infer<typeof inputSchema>;
export type InputOp = Input['op'];
export type InputOf<Op extends InputOp> = Extract<Input, { op: Op }>;
