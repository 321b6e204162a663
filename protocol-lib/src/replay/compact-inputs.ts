import {
  beginWriting,
  unpackMsgpack,
  writeArrayHeader,
  writeEncoded,
  writeNumber,
  writeValue,
  writtenBytes,
} from '../bytes/index.ts';
import { BatchArea } from '../capture/batch-area.ts';
import { fromBase64 } from '../capture/exchange/base64.ts';
import { isSyncError, SyncError } from '../errors/index.ts';
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

/** An op of a batch: its number there, and the names of what an input of it has. */
interface KnownOp {
  readonly op: InputOp;
  readonly number: number;
  readonly fields: readonly string[];
}

/**
 * A batch in the making: one msgpack array `[format, ops, replicas, now, rest, inputs]`. `inputs` is one flat list: for each the op and the
 * replica, by their number in those lists, `now` as the difference to the input before it, `free`, `count`, and its fields as `inputs.ts` and
 * `live-inputs.ts` have them in order, an absent one as nil. What is added is written at once, and nothing of it is kept: a server that is recorded takes
 * thousands a second.
 */
export class BatchBuilder {
  readonly #area = new BatchArea();
  #ops: KnownOp[] = [];
  #replicas: ReplicaId[] = [];
  #length = 0;
  /** Values in the flat list. */
  #values = 0;
  #begun = 0;
  #now = 0;
  /** Why something that was added cannot be written. */
  #broken: SyncError | undefined;

  /** Inputs in it. */
  get length(): number {
    return this.#length;
  }

  add(input: Input, free: number, count: number): void {
    const { now } = input;
    if (this.#length === 0) {
      this.#begun = now;
      this.#now = now;
    }
    this.#length++;
    const { number, fields } = this.#opOf(input.op);
    this.#values += HEAD + fields.length;
    const area = this.#area;
    try {
      area.value(number, 1);
      area.value(this.#replicaOf(input.replica), 1);
      area.value(now - this.#now, 1);
      area.value(free, 1);
      area.value(count, 1);
      for (let at = 0; at < fields.length; at++) {
        area.value((input as unknown as Readonly<Record<string, Value>>)[fields[at]!] ?? null, 2);
      }
    } catch (error) {
      if (!isSyncError(error)) throw error;
      this.#broken ??= error;
    }
    this.#now = now;
  }

  /** All of it, and begins anew. `rest` records came behind the last input. @throws SyncError where something that was added cannot be written */
  take(rest: number): Uint8Array {
    const broken = this.#broken;
    if (broken) {
      this.clear();
      throw broken;
    }
    beginWriting();
    writeArrayHeader(6);
    writeNumber(FORMAT);
    writeValue(
      this.#ops.map(({ op }) => op),
      'own',
      1,
    );
    writeValue(this.#replicas, 'own', 1);
    writeNumber(this.#begun);
    writeNumber(rest);
    writeArrayHeader(this.#values);
    writeEncoded(this.#area.written);
    this.clear();
    return writtenBytes();
  }

  clear(): void {
    this.#area.clear();
    this.#ops = [];
    this.#replicas = [];
    this.#length = 0;
    this.#values = 0;
    this.#begun = 0;
    this.#broken = undefined;
  }

  #opOf(op: InputOp): KnownOp {
    for (let at = 0; at < this.#ops.length; at++) if (this.#ops[at]!.op === op) return this.#ops[at]!;
    const known = { op, number: this.#ops.length, fields: fieldsOf(op).map(([name]) => name) };
    this.#ops.push(known);
    return known;
  }

  /** There are a few endpoints in a process, most of which say much. */
  #replicaOf(replica: ReplicaId): number {
    const known = this.#replicas.indexOf(replica);
    return known < 0 ? this.#replicas.push(replica) - 1 : known;
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
