import type { OpenCapture } from '../capture/index.ts';
import { isSyncError, SyncError } from '../errors/index.ts';
import { StateRoot } from '../merkle/index.ts';
import { seededRandom } from '../ports/index.ts';
import type { Change, StateHash, Version } from '../state/index.ts';
import type { MutationId } from '../trace/index.ts';

/** One committed mutation as an operation that could have been ordered otherwise. */
export interface Operation {
  readonly seq: number;
  readonly version: Version;
  readonly mutation: MutationId;
  readonly event: string;
  readonly changes: readonly Change[];
  /** The version that its writer had seen when it was made: it comes after all up to there. */
  readonly seen: Version;
}

/** Two operations of which neither knew of the other and whose order matters. */
export interface Conflict {
  readonly first: Operation;
  readonly second: Operation;
  /** The root where `first` comes first, and where `second` does; null where one could not be applied then. */
  readonly roots: readonly [StateHash | null, StateHash | null];
  /** Operations before the two, as `writer:counter`: the shortest order that was found in which it shows. */
  readonly before: readonly string[];
}

export interface Convergence {
  readonly status: 'converges' | 'differs';
  readonly operations: number;
  /** Orders that were run, the recorded one included. */
  readonly orders: number;
  readonly root: StateHash;
  readonly conflict?: Conflict;
}

export interface ConvergeOptions {
  readonly orders?: number;
  readonly seed?: number;
  readonly onProgress?: (done: number, total: number) => void;
}

const DEFAULT_ORDERS = 50;

/**
 * Runs the committed mutations of a capture in many orders that causes allow, drawn by a seed: a mutation comes after all that its writer
 * had made or seen. Either every order leads to one root, or two mutations are named whose order matters.
 * @throws SyncError `CONVERGE_NOTHING` where the capture has no first state or no commits
 */
export async function converge(capture: OpenCapture, options: ConvergeOptions = {}): Promise<Convergence> {
  const { initial, operations } = await operationsOf(capture);
  return convergeOperations(initial, operations, options);
}

async function operationsOf(capture: OpenCapture): Promise<{ initial: StateRoot; operations: Operation[] }> {
  const { header } = await capture.info();
  const predictedOn = new Map<string, Version>();
  const operations: Operation[] = [];
  let initial: StateRoot | undefined;
  for await (const { record } of capture.trace()) {
    const { body, replica, seq } = record;
    if (body.kind === 'prediction') predictedOn.set(idOf(body.mutation), body.version);
    if (body.kind === 'snapshot' && replica === header.authority && operations.length === 0) {
      initial = StateRoot.from(body.records.map((entry) => [entry.key, entry.record] as const));
    }
    if (body.kind !== 'commit' || initial === undefined || !body.mutation) continue;
    // What an authority does itself it does on all that there is.
    const seen = predictedOn.get(idOf(body.mutation)) ?? body.version - 1;
    const { version, mutation, changes } = body;
    operations.push({ seq, version, mutation, event: body.event.type, changes, seen });
  }
  if (initial && operations.length > 0) return { initial, operations };
  const text = 'the capture has no commits behind a first state: there is nothing to put in another order';
  throw new SyncError('CONVERGE_NOTHING', text, { origin: 'query' });
}

/** {@link converge} of operations at hand, in the order in which they were committed. */
export function convergeOperations(
  initial: StateRoot,
  operations: readonly Operation[],
  { orders = DEFAULT_ORDERS, seed = 1, onProgress }: ConvergeOptions = {},
): Convergence {
  const before = dependencies(operations);
  const recorded = operations.map((_, at) => at);
  const root = runAll(initial, operations, recorded)?.hash;
  if (root === undefined) {
    throw new SyncError('CONVERGE_NOTHING', 'the recorded changes do not follow upon each other', { origin: 'query' });
  }
  const random = seededRandom(seed);
  for (let run = 1; run < orders; run++) {
    onProgress?.(run, orders);
    const order = drawOrder(before, () => random.next());
    const hash = runAll(initial, operations, order)?.hash;
    if (hash === root) continue;
    const conflict = smallest(initial, operations, before, recorded, order);
    return {
      status: 'differs',
      operations: operations.length,
      orders: run + 1,
      root,
      ...(conflict ? { conflict } : {}),
    };
  }
  return { status: 'converges', operations: operations.length, orders, root };
}

/** For each operation, those that must come before it. */
function dependencies(operations: readonly Operation[]): ReadonlyArray<ReadonlySet<number>> {
  return operations.map((one, at) => {
    const before = new Set<number>();
    for (let earlier = 0; earlier < at; earlier++) {
      const { version, mutation } = operations[earlier]!;
      if (version <= one.seen || mutation.writer === one.mutation.writer) before.add(earlier);
    }
    return before;
  });
}

/** A linear extension, drawn by taking any that is ready. */
export function drawOrder(before: ReadonlyArray<ReadonlySet<number>>, next: () => number): number[] {
  const waiting = before.map((set) => set.size);
  const after: number[][] = before.map(() => []);
  for (const [at, set] of before.entries()) for (const one of set) after[one]!.push(at);
  const ready = waiting.flatMap((count, at) => (count === 0 ? [at] : []));
  const order: number[] = [];
  while (ready.length > 0) {
    const [one] = ready.splice(Math.floor(next() * ready.length), 1);
    if (one === undefined) break;
    order.push(one);
    for (const later of after[one]!) if (--waiting[later]! === 0) ready.push(later);
  }
  return order;
}

/** The state after some operations; undefined where one of them does not fit. */
function runAll(initial: StateRoot, operations: readonly Operation[], order: readonly number[]): StateRoot | undefined {
  let root: StateRoot | undefined = initial;
  for (const at of order) root = root && applied(root, operations[at]!);
  return root;
}

function applied(root: StateRoot, { changes }: Operation): StateRoot | undefined {
  try {
    return root.apply(changes);
  } catch (error) {
    if (isSyncError(error)) return undefined;
    throw error;
  }
}

/**
 * From the recorded order to the other by exchanging neighbours that are concurrent: some exchange changes the state, and it is the pair.
 * What stands before it is cut down to what it needs.
 */
function smallest(
  initial: StateRoot,
  operations: readonly Operation[],
  before: ReadonlyArray<ReadonlySet<number>>,
  recorded: readonly number[],
  other: readonly number[],
): Conflict | undefined {
  const rank = new Map(other.map((one, at) => [one, at]));
  const order = [...recorded];
  for (let changed = true; changed; ) {
    changed = false;
    for (let at = 0; at + 1 < order.length; at++) {
      const [left, right] = [order[at]!, order[at + 1]!];
      if (rank.get(left)! < rank.get(right)!) continue;
      const found = conflictOf(initial, operations, order.slice(0, at), left, right);
      if (found) return conflictOf(initial, operations, needed(before, [left, right]), left, right) ?? found;
      order[at] = right;
      order[at + 1] = left;
      changed = true;
    }
  }
  return undefined;
}

function conflictOf(
  initial: StateRoot,
  operations: readonly Operation[],
  prefix: readonly number[],
  left: number,
  right: number,
): Conflict | undefined {
  const base = runAll(initial, operations, prefix);
  if (!base) return undefined;
  const one = runAll(base, operations, [left, right])?.hash;
  const two = runAll(base, operations, [right, left])?.hash;
  if (one === two) return undefined;
  return {
    first: operations[left]!,
    second: operations[right]!,
    roots: [one ?? null, two ?? null],
    before: prefix.map((at) => idOf(operations[at]!.mutation)),
  };
}

/** All that must come before some operations, in the recorded order. */
function needed(before: ReadonlyArray<ReadonlySet<number>>, of: readonly number[]): number[] {
  const all = new Set<number>();
  const visit = (at: number): void => {
    for (const one of before[at]!) {
      if (all.has(one)) continue;
      all.add(one);
      visit(one);
    }
  };
  for (const one of of) visit(one);
  for (const one of of) all.delete(one);
  return [...all].sort((a, b) => a - b);
}

function idOf({ writer, counter }: MutationId): string {
  return `${writer}:${counter}`;
}
