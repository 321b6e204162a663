import { canonicalBytes, isCanonical } from '../bytes/index.ts';
import { compareHybrid, type HybridStamp, vectorEntriesSchema } from '../clock/index.ts';
import { SyncError } from '../errors/index.ts';
import { array, type Infer, nullable, object, type Schema, string, uint } from '../schema/index.ts';
import { changeSchema, recordSchema, replicaIdSchema, type Value, valueSchema } from '../state/index.ts';
import type { MutationId } from '../trace/index.ts';

/**
 * What a writer without an authority did, with all that is needed to merge it three ways anywhere and at any time: what it changed,
 * what was there before as its writer saw it (the base), and whose mutations its writer had seen. Immutable.
 */
export const mutationSchema = object({
  writer: replicaIdSchema,
  /** From 1, without gaps. */
  counter: uint,
  /** The writer's hybrid stamp: later than the stamps of all that it had seen. */
  time: uint,
  count: uint,
  /** How many mutations of each other writer its writer had seen. */
  seen: vectorEntriesSchema,
  /** The role that the writer acts in; empty where it has none. */
  role: string(80),
  command: string(80),
  /** For commands that a domain rule decides on. */
  args: valueSchema,
  changes: array(changeSchema, 10_000),
  /** For each change the fields that it decides upon, as they were before; null where there was no record. */
  before: array(nullable(recordSchema), 10_000),
});
export type Mutation = Infer<typeof mutationSchema>;

export const mutationsSchema: Schema<Mutation[]> = array(mutationSchema, 10_000);

/** What a frame wraps around a value counts towards the limit of nesting too. */
const WRAPPED = 16;

export function idOf({ writer, counter }: MutationId): string {
  return `${writer}:${counter}`;
}

export function mutationId({ writer, counter }: Mutation): MutationId {
  return { writer, counter };
}

export function stampOf({ time, count, writer }: Mutation): HybridStamp {
  return { time, count, replica: writer };
}

/** The total order in which mutations are merged: by hybrid stamp, then writer. It never contradicts who had seen what. */
export function compareMutations(left: Mutation, right: Mutation): number {
  return compareHybrid(stampOf(left), stampOf(right)) || left.counter - right.counter;
}

/** Whether the writer of `later` had seen `earlier`, or is it. */
export function hasSeen(later: Mutation, earlier: MutationId): boolean {
  if (later.writer === earlier.writer) return later.counter >= earlier.counter;
  const entry = later.seen.find(({ replica }) => replica === earlier.writer);
  return entry !== undefined && entry.counter >= earlier.counter;
}

/** Whether neither writer had seen the other's mutation. */
export function areConcurrent(left: Mutation, right: Mutation): boolean {
  return !hasSeen(left, right) && !hasSeen(right, left);
}

/** Whether two mutations of one id are the same one. */
export function sameMutation(left: Mutation, right: Mutation): boolean {
  const [a, b] = [canonicalBytes(left as unknown as Value), canonicalBytes(right as unknown as Value)];
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

/**
 * What the schema cannot say about a mutation on its own.
 * @throws SyncError `MUTATION_INVALID`
 */
export function checkMutation(mutation: Mutation): void {
  const { writer, counter, seen, changes, before, args } = mutation;
  const isWrong = (what: string): never => {
    throw new SyncError('MUTATION_INVALID', `mutation ${writer}:${counter} ${what}; it is refused whole`, {
      origin: 'protocol',
    });
  };
  if (counter < 1) isWrong('counts from 0, not from 1');
  if (changes.length !== before.length) isWrong(`has ${changes.length} changes and ${before.length} bases`);
  if (seen.some(({ replica }) => replica === writer)) isWrong('says twice what it had seen of its own writer');
  if (new Set(seen.map(({ replica }) => replica)).size < seen.length) isWrong('names a writer twice');
  if (new Set(changes.map(({ key }) => key)).size < changes.length) isWrong('changes a record twice');
  if (!isCanonical(args, WRAPPED)) isWrong('has arguments that cannot be sent');
  changes.forEach((change, index) => {
    if (change.op === 'patch' && before[index] === null) isWrong(`patches ${change.key}, of which it saw nothing`);
    const record = change.op === 'put' ? change.record : change.op === 'patch' ? change.fields : {};
    if (!isCanonical(record, WRAPPED)) isWrong(`gives ${change.key} what cannot be sent`);
  });
}
