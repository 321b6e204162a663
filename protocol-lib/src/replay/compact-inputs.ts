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
 * A batch in the making, as text: base64 of one msgpack array `[format, ops, replicas, now, rest, inputs]`. `inputs` is one flat list: for each the op and the
 * replica, by their number in those lists, `now` as the difference to the input before it, `free`, `count`, and its fields as `inputs.ts` and
 * `live-inputs.ts` have them in order, an absent one as nil. Little is made for an input: a server that is recorded takes thousands a second.
 */
export class BatchBuilder {
  readonly #ops = new Map<InputOp, number>();
  readonly #replicas = new Map<ReplicaId, number>();
  #values: Value[] = [];
  #begun = 0;
  #before = 0;
  #length = 0;

  /** Inputs in it. */
  get length(): number {
    return this.#length;
  }

  add(input: Input, free: number, count: number): void {
    const { op, replica, now } = input;
    if (this.#length === 0) {
      this.#begun = now;
      this.#before = now;
    }
    const values = this.#values;
    values.push(numberIn(this.#ops, op), numberIn(this.#replicas, replica), now - this.#before, free, count);
    this.#before = now;
    this.#length++;
    const fields = fieldsOf(op);
    for (let at = 0; at < fields.length; at++) {
      values.push((input as unknown as Readonly<Record<string, Value>>)[fields[at]![0]] ?? null);
    }
  }

  /** All of it, and begins anew. `rest` records came behind the last input. */
  take(rest: number): string {
    const batch = [FORMAT, [...this.#ops.keys()], [...this.#replicas.keys()], this.#begun, rest, this.#values];
    this.clear();
    return toBase64(packMsgpack(batch as Value));
  }

  clear(): void {
    this.#ops.clear();
    this.#replicas.clear();
    this.#values = [];
    this.#length = 0;
  }
}

/** @throws SyncError `BATCH_MALFORMED` for what is none, `SCHEMA_MISMATCH` for one of other inputs, or as `unpackMsgpack` */
export function unpackBatch(text: string): CompactBatch {
  const bytes = fromBase64(text);
  const batch = bytes && unpackMsgpack(bytes);
  if (!Array.isArray(batch) || batch[0] !== FORMAT) {
    throw new SyncError('BATCH_MALFORMED', 'inputs: expected a batch of inputs', { origin: 'capture' });
  }
  const [, ops, replicas, begun, rest, values] = batch as readonly unknown[];
  if (!Array.isArray(ops) || !Array.isArray(replicas) || !Array.isArray(values)) {
    throw mismatch('lists of ops, replicas and inputs');
  }
  let now = count(begun);
  const entries: PlacedInput[] = [];
  for (let at = 0; at < values.length; ) {
    const [op, replica, later, free, made] = values.slice(at, at + HEAD) as readonly unknown[];
    const name: unknown = ops[count(op)];
    if (typeof name !== 'string' || !Object.hasOwn(inputVariants, name)) throw mismatch('an op that is known here');
    const fields = fieldsOf(name as InputOp);
    now += typeof later === 'number' ? later : Number.NaN;
    const input: Record<string, unknown> = { op: name, replica: replicas[count(replica)], now };
    for (const [index, [field, schema]] of fields.entries()) {
      const value: unknown = values[at + HEAD + index];
      if (value !== null || !schema.isOptional) input[field] = value;
    }
    entries.push({ free: count(free), count: count(made), input: inputSchema.parse(input, name) });
    at += HEAD + fields.length;
  }
  return { entries, rest: count(rest) };
}

/** Values of an input before its fields. */
const HEAD = 5;

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
