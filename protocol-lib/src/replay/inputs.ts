import { fromHex, packMsgpack, toHex, unpackMsgpack } from '../bytes/index.ts';
import { isSyncError, SyncError } from '../errors/index.ts';
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
import { changeSchema, replicaIdSchema, type Value, valueSchema } from '../state/index.ts';
import type { TraceRecord } from '../trace/index.ts';
import { type CompactBatch, unpackBatch } from './compact-inputs.ts';
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
} as const;
export const inputSchema = variant('op', inputVariants);
export type Input = Infer<typeof inputSchema>;
export type InputOp = Input['op'];
export type InputOf<Op extends InputOp> = Extract<Input, { op: Op }>;

/** Inputs in order, of which the last made the `count` records before this one; the others made none. */
const batchSchema = object({ count: uint, inputs: array(inputSchema, 10_000) });
export type InputBatch = Infer<typeof batchSchema>;

/** Text of a `log` record that carries a batch, or a part of one that is continued in the next such record. */
const PREFIX = 'inputs ';
const CONTINUED = 'inputs+ ';
/** The same of a compact batch. */
const COMPACT = 'inputs= ';
const PREFIXES = [PREFIX, CONTINUED, COMPACT];
/** A log's text may have 10,000 units. */
const PART_LENGTH = 9_900;

/** The texts of the `log` records that carry a batch. */
export function batchTexts(batch: InputBatch): string[] {
  return partsOf(PREFIX, toHex(packMsgpack(batch as unknown as Value)));
}

/** The texts of the `log` records that carry a compact batch, as `packBatch` writes it. */
export function compactTexts(packed: string): string[] {
  return partsOf(COMPACT, packed);
}

function partsOf(prefix: string, text: string): string[] {
  const parts: string[] = [];
  for (let at = 0; at < text.length; at += PART_LENGTH) parts.push(text.slice(at, at + PART_LENGTH));
  return parts.map((part, at) => `${at === parts.length - 1 ? prefix : CONTINUED}${part}`);
}

/** Puts batches together from the records of a trace. */
export class BatchReader {
  #parts = '';

  /**
   * Answers the batch that ends with this record, `part` where it carries one that goes on, undefined where it carries none.
   * @throws SyncError `REPLAY_INPUTS_DAMAGED`
   */
  take({ seq, body }: TraceRecord): InputBatch | CompactBatch | 'part' | undefined {
    if (body.kind !== 'log') return undefined;
    if (body.text.startsWith(CONTINUED)) {
      this.#parts += body.text.slice(CONTINUED.length);
      return 'part';
    }
    const isCompact = body.text.startsWith(COMPACT);
    if (!isCompact && !body.text.startsWith(PREFIX)) return undefined;
    const text = this.#parts + body.text.slice(PREFIX.length);
    this.#parts = '';
    try {
      return isCompact ? unpackBatch(text) : batchSchema.parse(unpackMsgpack(fromHex(text)), 'inputs');
    } catch (error) {
      if (!isSyncError(error)) throw error;
      const text = `the inputs in record ${seq} cannot be read: ${error.message}`;
      throw new SyncError('REPLAY_INPUTS_DAMAGED', text, { origin: 'capture', cause: error });
    }
  }
}

/** Whether a record only carries inputs, and says nothing of the session. */
export function isInputs({ body }: TraceRecord): boolean {
  return body.kind === 'log' && PREFIXES.some((prefix) => body.text.startsWith(prefix));
}
