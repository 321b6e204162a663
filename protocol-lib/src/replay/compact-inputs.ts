import { packMsgpack, unpackMsgpack } from '../bytes/index.ts';
import { fromBase64, toBase64 } from '../capture/exchange/base64.ts';
import { SyncError } from '../errors/index.ts';
import type { Schema } from '../schema/index.ts';
import type { ReplicaId, Value } from '../state/index.ts';
import { type Input, type InputOp, inputSchema, inputVariants } from './inputs.ts';

/** One input, with how many records there were before it that no input made, and how many it made. */
export interface PlacedInput {
  readonly free: number;
  readonly count: number;
  readonly input: Input;
}

/** Inputs in order; behind the last, `rest` records were made by none. */
export interface CompactBatch {
  readonly entries: readonly PlacedInput[];
  readonly rest: number;
}

/** Of the layout of a batch. */
const FORMAT = 1;

/**
 * A batch as text: base64 of one msgpack array `[format, ops, replicas, now, rest, inputs]`. An input is `[op, replica, now, free, count, …fields]`: op and
 * replica by their number in those lists, `now` as the difference to the input before it, fields as `live-inputs.ts` and `inputs.ts` have them in
 * order, an absent one as nil.
 */
export function packBatch({ entries, rest }: CompactBatch): string {
  const ops = new Map<InputOp, number>();
  const replicas = new Map<ReplicaId, number>();
  const begun = entries[0]?.input.now ?? 0;
  let before = begun;
  const inputs = entries.map(({ input, free, count }): Value => {
    const { op, replica, now } = input;
    const later = now - before;
    before = now;
    const values: Value[] = [numberIn(ops, op), numberIn(replicas, replica), later, free, count];
    for (const [name] of fieldsOf(op)) {
      values.push(((input as unknown as Readonly<Record<string, Value>>)[name] ?? null) as Value);
    }
    return values;
  });
  return toBase64(packMsgpack([FORMAT, [...ops.keys()], [...replicas.keys()], begun, rest, inputs]));
}

/** @throws SyncError `SCHEMA_MISMATCH`, or as `unpackMsgpack` */
export function unpackBatch(text: string): CompactBatch {
  const bytes = fromBase64(text);
  const batch = bytes && unpackMsgpack(bytes);
  if (!Array.isArray(batch) || batch[0] !== FORMAT) throw mismatch('a batch of inputs');
  const [, ops, replicas, begun, rest, inputs] = batch as readonly unknown[];
  if (![ops, replicas, inputs].every(Array.isArray)) throw mismatch('lists of ops, replicas and inputs');
  let now = count(begun);
  const entries = (inputs as readonly unknown[]).map((one): PlacedInput => {
    if (!Array.isArray(one)) throw mismatch('an input');
    const [op, replica, later, free, made, ...values] = one as readonly unknown[];
    const name = (ops as readonly unknown[])[count(op)];
    if (typeof name !== 'string' || !Object.hasOwn(inputVariants, name)) throw mismatch('an op that is known here');
    now += typeof later === 'number' ? later : Number.NaN;
    const input: Record<string, unknown> = { op: name, replica: (replicas as readonly unknown[])[count(replica)], now };
    for (const [at, [field, schema]] of fieldsOf(name as InputOp).entries()) {
      if (values[at] !== null || !schema.isOptional) input[field] = values[at];
    }
    return { free: count(free), count: count(made), input: inputSchema.parse(input, name) };
  });
  return { entries, rest: count(rest) };
}

/** All but whose it is and when. */
function fieldsOf(op: InputOp): readonly (readonly [name: string, schema: Schema<unknown>])[] {
  const known = layouts.get(op);
  if (known) return known;
  const layout = inputVariants[op].fields.filter(([name]) => name !== 'replica' && name !== 'now');
  layouts.set(op, layout);
  return layout;
}
const layouts = new Map<InputOp, readonly (readonly [name: string, schema: Schema<unknown>])[]>();

function numberIn<T>(numbers: Map<T, number>, value: T): number {
  const known = numbers.get(value);
  if (known !== undefined) return known;
  numbers.set(value, numbers.size);
  return numbers.size - 1;
}

function count(value: unknown): number {
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw mismatch('a count');
}

function mismatch(expected: string): SyncError {
  return new SyncError('SCHEMA_MISMATCH', `inputs: expected ${expected}`, { origin: 'capture' });
}
