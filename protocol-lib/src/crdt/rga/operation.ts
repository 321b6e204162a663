import { packMsgpack, unpackMsgpack } from '../../bytes/index.ts';
import { SyncError } from '../../errors/index.ts';
import { array, literal, nullable, object, type Schema, uint, variant } from '../../schema/index.ts';
import { type ReplicaId, replicaId, replicaIdSchema, valueSchema } from '../../state/index.ts';
import type { Content, ElementId, Side } from './block.ts';

/** Elements of one writer in a row. */
export interface ElementRange extends ElementId {
  readonly length: number;
}

/**
 * What one replica did to an {@link RGA}, as the others are told. `counter` is the writer's own: an insertion takes one
 * for each element, a deletion takes one. An insertion's `parent` is nothing at the start of an empty document.
 */
export type RgaOperation<C extends Content = Content> =
  | {
      readonly op: 'insert';
      readonly replica: ReplicaId;
      readonly counter: number;
      readonly parent: ElementId | null;
      readonly side: Side;
      readonly content: C;
    }
  | {
      readonly op: 'delete';
      readonly replica: ReplicaId;
      readonly counter: number;
      readonly ranges: readonly ElementRange[];
    };

const MAX_RANGES = 65_535;

/** Text, or an array of values. */
export const contentSchema: Schema<Content> = {
  kind: 'text|items',
  parse(value, path) {
    const content = valueSchema.parse(value, path);
    if (typeof content === 'string' || Array.isArray(content)) return content as Content;
    throw new SyncError('SCHEMA_MISMATCH', `${path}: expected text or an array`, {
      origin: 'protocol',
      place: { path },
    });
  },
};

export const elementIdSchema = object({ replica: replicaIdSchema, counter: uint });
const writtenBy = { replica: replicaIdSchema, counter: uint };

export const rgaOperationSchema: Schema<RgaOperation> = variant('op', {
  insert: object({
    ...writtenBy,
    parent: nullable(elementIdSchema),
    side: literal('left', 'right'),
    content: contentSchema,
  }),
  delete: object({
    ...writtenBy,
    ranges: array(object({ replica: replicaIdSchema, counter: uint, length: uint }), MAX_RANGES),
  }),
});

const INSERT_LEFT = 0;
const INSERT_RIGHT = 1;
const DELETE = 2;

/**
 * The compact form: one msgpack array. Insertion: 0 (left) or 1 (right), replica, counter, parent's replica and counter
 * (nil and 0 without), content. Deletion: 2, replica, counter, then replica, counter and length of each range.
 */
export function encodeOperation(operation: RgaOperation): Uint8Array {
  const { replica, counter } = operation;
  if (operation.op === 'delete') {
    const ranges = operation.ranges.flatMap((range) => [range.replica, range.counter, range.length]);
    return packMsgpack([DELETE, replica, counter, ...ranges]);
  }
  const { parent, side, content } = operation;
  const kind = side === 'left' ? INSERT_LEFT : INSERT_RIGHT;
  return packMsgpack([kind, replica, counter, parent?.replica ?? null, parent?.counter ?? 0, content]);
}

/**
 * The operation in `bytes`, whole or not at all.
 * @throws SyncError as {@link unpackMsgpack}, and `CRDT_OPERATION_INVALID` where it is no operation
 */
export function decodeOperation(bytes: Uint8Array): RgaOperation {
  const fields = unpackMsgpack(bytes);
  if (!Array.isArray(fields)) return invalid('is no array');
  const replica = readReplica(fields[1]);
  const counter = readUint(fields[2]);
  switch (fields[0]) {
    case INSERT_LEFT:
    case INSERT_RIGHT: {
      const content: unknown = fields[5];
      if (fields.length !== 6 || !(typeof content === 'string' || Array.isArray(content)))
        return invalid('has no content');
      const parent = fields[3] === null ? null : { replica: readReplica(fields[3]), counter: readUint(fields[4]) };
      const side = fields[0] === INSERT_LEFT ? 'left' : 'right';
      return { op: 'insert', replica, counter, parent, side, content };
    }
    case DELETE: {
      if (fields.length % 3 !== 0 || fields.length > 3 * (MAX_RANGES + 1))
        return invalid(`has ${fields.length} fields`);
      const ranges: ElementRange[] = [];
      for (let at = 3; at < fields.length; at += 3) {
        ranges.push({
          replica: readReplica(fields[at]),
          counter: readUint(fields[at + 1]),
          length: readUint(fields[at + 2]),
        });
      }
      return { op: 'delete', replica, counter, ranges };
    }
    default:
      return invalid('is of no known kind');
  }
}

/** Operations come in rows of one writer: its id is looked at letter by letter only once a row. */
let lastReplica: ReplicaId | null = null;

function readReplica(value: unknown): ReplicaId {
  if (value === lastReplica && lastReplica !== null) return lastReplica;
  lastReplica = typeof value === 'string' ? replicaId(value) : invalid('names no replica');
  return lastReplica;
}

function readUint(value: unknown): number {
  return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : invalid('counts no integer');
}

function invalid(what: string): never {
  throw new SyncError('CRDT_OPERATION_INVALID', `the operation ${what}`, { origin: 'protocol' });
}
