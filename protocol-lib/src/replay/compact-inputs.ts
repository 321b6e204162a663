import {
  beginWriting,
  unpackMsgpack,
  writeArrayHeader,
  writeNumber,
  writeValue,
  writtenBytes,
} from '../bytes/index.ts';
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
 * `live-inputs.ts` have them in order, an absent one as nil. Little is done for an input that is added: a server that is recorded takes thousands a second,
 * each in the middle of other work, and to write all of them one after the other takes less.
 */
export class BatchBuilder {
  #inputs: Input[] = [];
  /** `free` and `count` of each. */
  #places: number[] = [];

  /** Inputs in it. */
  get length(): number {
    return this.#inputs.length;
  }

  /** What is in it must stay as it is until {@link take}. */
  add(input: Input, free: number, count: number): void {
    this.#inputs.push(input);
    this.#places.push(free, count);
  }

  /** All of it, and begins anew. `rest` records came behind the last input. */
  take(rest: number): string {
    const [inputs, places] = [this.#inputs, this.#places];
    this.clear();
    const [ops, replicas] = [new Map<InputOp, number>(), new Map<ReplicaId, number>()];
    let values = 0;
    for (const { op, replica } of inputs) {
      if (!ops.has(op)) ops.set(op, ops.size);
      if (!replicas.has(replica)) replicas.set(replica, replicas.size);
      values += HEAD + fieldsOf(op).length;
    }
    let before = inputs[0]?.now ?? 0;
    beginWriting();
    writeArrayHeader(6);
    writeNumber(FORMAT);
    writeValue([...ops.keys()], 'own', 1);
    writeValue([...replicas.keys()], 'own', 1);
    writeNumber(before);
    writeNumber(rest);
    writeArrayHeader(values);
    for (let at = 0; at < inputs.length; at++) {
      const input = inputs[at]!;
      writeNumber(ops.get(input.op)!);
      writeNumber(replicas.get(input.replica)!);
      writeNumber(input.now - before);
      writeNumber(places[at * 2]!);
      writeNumber(places[at * 2 + 1]!);
      writeFields(input);
      before = input.now;
    }
    return toBase64(writtenBytes());
  }

  clear(): void {
    this.#inputs = [];
    this.#places = [];
  }
}

function writeFields(input: Input): void {
  const fields = fieldsOf(input.op);
  for (let at = 0; at < fields.length; at++) {
    writeValue((input as unknown as Readonly<Record<string, Value>>)[fields[at]![0]] ?? null, 'own', 2);
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

function count(value: unknown): number {
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw mismatch('a count');
}

function mismatch(expected: string): SyncError {
  return new SyncError('SCHEMA_MISMATCH', `inputs: expected ${expected}`, { origin: 'capture' });
}
