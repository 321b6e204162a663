import type { OpenCapture } from '../capture/index.ts';
import { VersionVector } from '../clock/index.ts';
import { compareMutations, hasSeen } from '../conflict/index.ts';
import { isSyncError, SyncError } from '../errors/index.ts';
import { diffRoots, StateRoot } from '../merkle/index.ts';
import { PeerHistory } from '../peers/index.ts';
import type { RecordKey, ReplicaId, StateHash, SyncRecord } from '../state/index.ts';
import type { MutationId } from '../trace/index.ts';
import { type CrdtOperation, idOf, type Operation, operationsOf, type PeerMutation } from './captured-operations.ts';
import { type CrdtModel, libraryModel } from './crdt-models.ts';
import type { GroupMerge } from './group-machines.ts';
import { distinctOrders, everyOrder, type Order, type Reorderable, smallestConflict } from './orders.ts';

/** What an operation is called where it is told of. */
export interface NamedOperation {
  /** `seq` of the record that tells of it. */
  readonly seq: number;
  readonly mutation: MutationId;
  readonly event: string;
}

/** Two operations of which neither knew of the other and whose order matters. */
export interface Conflict {
  readonly first: NamedOperation;
  readonly second: NamedOperation;
  /** The root where `first` comes first, and where `second` does; null where one could not be applied then. */
  readonly roots: readonly [StateHash | null, StateHash | null];
  /** Operations before the two, as `writer:counter`: no fewer show it. */
  readonly before: readonly string[];
  /** Both orders whole, as `writer:counter`. */
  readonly orders: readonly [readonly string[], readonly string[]];
  /** Records in which the two results differ, ten at most: as they are where `first` comes first, and where `second` does; null where there is none. */
  readonly differences: readonly {
    readonly key: RecordKey;
    readonly values: readonly [SyncRecord | null, SyncRecord | null];
  }[];
}

/**
 * What is put in order: changes of an authority's commits, operations of replicated data types, or mutations of peers, merged
 * as their policies say.
 */
export type ConvergenceKind = 'changes' | 'operations' | 'mutations';

export interface Convergence {
  readonly status: 'converges' | 'differs';
  readonly kind: ConvergenceKind;
  readonly operations: number;
  /** Different orders that were run, the recorded one included. */
  readonly orders: number;
  /** Causes allow no other order than these. */
  readonly isEvery?: true;
  readonly root: StateHash;
  readonly conflict?: Conflict;
}

export interface ConvergeOptions {
  /** Of a capture that has more than one kind; operations before mutations before changes where absent. */
  readonly kind?: ConvergenceKind | undefined;
  readonly orders?: number;
  readonly seed?: number;
  /** What merges the operations of replicated data types that are not of this library, by the name that they have in the capture. */
  readonly models?: Readonly<Record<string, CrdtModel>> | undefined;
  /** What merges the mutations of peers. */
  readonly merge?: GroupMerge | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

const DEFAULT_ORDERS = 50;
const MAX_DIFFERENCES = 10;

/**
 * Runs the operations of a capture in many orders that causes allow, drawn by a seed: one comes after all that its writer had made or seen.
 * Either every order leads to one root, or two operations are named whose order matters.
 * @throws SyncError `CONVERGE_NOTHING` where the capture has nothing that could be put in another order, `CONVERGE_UNKNOWN` where nothing is known
 *   that merges its operations, `REPLAY_NEEDS_DEFINITION` where nothing is known that merges its mutations
 */
export async function converge(capture: OpenCapture, options: ConvergeOptions = {}): Promise<Convergence> {
  const { initial, commits, crdt, begun, peers, members } = await operationsOf(capture);
  const isAsked = (kind: ConvergenceKind) => options.kind === undefined || options.kind === kind;
  if (crdt.length > 0 && isAsked('operations')) return convergeCrdts(crdt, begun.flat(), options);
  if (peers.length > 0 && isAsked('mutations')) return convergeMutations(peers, members, options);
  if (initial && commits.length > 0 && isAsked('changes')) return convergeOperations(initial, commits, options);
  const text =
    'the capture has no operations that could have come in another order: no commits behind a first state, and none without an authority';
  throw new SyncError('CONVERGE_NOTHING', text, { origin: 'query' });
}

/** {@link converge} of committed mutations at hand, in the order in which they were committed. */
export function convergeOperations(
  initial: StateRoot,
  operations: readonly Operation[],
  options: ConvergeOptions = {},
): Promise<Convergence> {
  const before = operations.map((one, at) =>
    earlier(at, (other) => {
      const { version, mutation } = operations[other]!;
      return version <= one.seen || mutation.writer === one.mutation.writer;
    }),
  );
  const run = (order: Order): StateRoot | undefined =>
    fitting(() => order.reduce((root, at) => root.apply(operations[at]!.changes), initial));
  return search('changes', operations, { before, run }, options);
}

/** {@link converge} of operations of replicated data types, in the order in which they were made; `begun` is what there was before. */
export async function convergeCrdts(
  operations: readonly CrdtOperation[],
  begun: readonly (readonly [RecordKey, SyncRecord])[],
  options: ConvergeOptions = {},
): Promise<Convergence> {
  const found: Convergence[] = [];
  const states: StateRoot[] = [];
  for (const crdt of new Set(operations.map((one) => one.crdt))) {
    const own = operations.filter((one) => one.crdt === crdt);
    const before = own.map((one, at) =>
      earlier(at, (other) => {
        const { writer, counter } = own[other]!;
        return one.writer === writer || one.vector.get(writer) >= counter;
      }),
    );
    const model = (options.models && Object.hasOwn(options.models, crdt) && options.models[crdt]) || libraryModel;
    const run = (order: Order): StateRoot | undefined =>
      fitting(() => {
        const replica = model(begun);
        for (const at of order) replica.apply(own[at]!);
        return replica.root();
      });
    const named = own.map(({ seq, writer, counter, detail }) => ({
      seq,
      mutation: { writer, counter },
      event: `${crdt} ${detail}`,
    }));
    const one = await search('operations', named, { before, run }, options);
    if (one.conflict) return { ...one, operations: operations.length };
    found.push(one);
    const state = run(own.map((_, at) => at));
    if (state) states.push(state);
  }
  return ofAllTypes(found, states, operations.length);
}

/** Types have nothing to do with each other: what holds of each holds of all, in as many orders as of the one with the fewest that were not all there are. */
function ofAllTypes(found: readonly Convergence[], states: readonly StateRoot[], operations: number): Convergence {
  const [first] = found;
  if (!first || found.length === 1) return { ...first!, operations };
  const { isEvery: _, ...rest } = first;
  const partly = found.filter(({ isEvery }) => !isEvery).map(({ orders }) => orders);
  const isEvery = partly.length === 0;
  const orders = isEvery ? Math.max(...found.map((one) => one.orders)) : Math.min(...partly);
  const { hash: root } = StateRoot.from(states.flatMap((one) => [...one.entries()]));
  return { ...rest, operations, orders, root, ...(isEvery ? { isEvery } : {}) };
}

/** {@link converge} of mutations that peers have sent. @throws SyncError `REPLAY_NEEDS_DEFINITION` */
export async function convergeMutations(
  sent: readonly PeerMutation[],
  members: readonly ReplicaId[],
  options: ConvergeOptions = {},
): Promise<Convergence> {
  const { merge } = options;
  if (!merge) {
    const text = 'peers merge by the policies of their app: give the definition of the group, which has them';
    throw new SyncError('REPLAY_NEEDS_DEFINITION', text, { origin: 'setting' });
  }
  const operations = withCauses(sent);
  const before = operations.map((one, at) =>
    earlier(at, (other) => hasSeen(one.mutation, operations[other]!.mutation)),
  );
  const base = { vector: VersionVector.empty, root: StateRoot.from(merge.records(members)) };
  const run = (order: Order): StateRoot | undefined =>
    fitting(() => {
      let history = PeerHistory.from(merge.resolver, base);
      for (const at of order) history = history.added([operations[at]!.mutation]);
      return history.root;
    });
  const named = operations.map(({ seq, mutation: { writer, counter, command } }) => {
    return { seq, mutation: { writer, counter }, event: command };
  });
  return search('mutations', named, { before, run }, options);
}

/** Those of which all is there that their writers had seen, in the order of the merge: a capture that began later lacks some. */
function withCauses(sent: readonly PeerMutation[]): PeerMutation[] {
  const known = new Map<ReplicaId, number>();
  const kept: PeerMutation[] = [];
  for (const one of sent.toSorted((left, right) => compareMutations(left.mutation, right.mutation))) {
    const { writer, counter, seen } = one.mutation;
    const isThere = seen.every(({ replica, counter: last }) => replica === writer || (known.get(replica) ?? 0) >= last);
    if (counter !== (known.get(writer) ?? 0) + 1 || !isThere) continue;
    known.set(writer, counter);
    kept.push(one);
  }
  return kept;
}

function earlier(at: number, isBefore: (other: number) => boolean): ReadonlySet<number> {
  const before = new Set<number>();
  for (let other = 0; other < at; other++) if (isBefore(other)) before.add(other);
  return before;
}

/** What an order leads to; undefined where one of its operations does not fit where it stands. */
function fitting(run: () => StateRoot): StateRoot | undefined {
  try {
    return run();
  } catch (error) {
    if (isSyncError(error) && error.code !== 'CONVERGE_UNKNOWN') return undefined;
    throw error;
  }
}

async function search(
  kind: ConvergenceKind,
  operations: readonly NamedOperation[],
  { before, run }: Pick<Reorderable, 'before' | 'run'>,
  { orders = DEFAULT_ORDERS, seed = 1, onProgress }: ConvergeOptions,
): Promise<Convergence> {
  const problem: Reorderable = { before, writers: operations.map(({ mutation }) => mutation.writer), run };
  const recorded = operations.map((_, at) => at);
  const root = operations.length > 0 ? run(recorded)?.hash : undefined;
  if (root === undefined) {
    throw new SyncError('CONVERGE_NOTHING', 'what was recorded does not follow upon each other', { origin: 'query' });
  }
  const every = everyOrder(before, orders);
  const others = every
    ? every.filter((order) => order.some((one, at) => one !== at))
    : distinctOrders(problem, seed, recorded, orders - 1);
  const total = every?.length ?? orders;
  let done = 1;
  for (const order of others) {
    onProgress?.(done, total);
    done++;
    if (run(order)?.hash === root) continue;
    const conflict = await conflictBetween(problem, operations, recorded, order);
    return { status: 'differs', kind, operations: operations.length, orders: done, root, conflict };
  }
  const isEvery = every ? ({ isEvery: true } as const) : {};
  return { status: 'converges', kind, operations: operations.length, orders: done, ...isEvery, root };
}

async function conflictBetween(
  problem: Reorderable,
  operations: readonly NamedOperation[],
  recorded: Order,
  other: Order,
): Promise<Conflict> {
  const { first, second, orders, states } = await smallestConflict(problem, recorded, other);
  const names = orders.map((order) => order.map((at) => idOf(operations[at]!.mutation)));
  const [one, two] = states;
  return {
    first: named(operations[first]!),
    second: named(operations[second]!),
    roots: [one?.hash ?? null, two?.hash ?? null],
    before: names[0]!.slice(0, orders[0].indexOf(first)),
    orders: [names[0]!, names[1]!],
    differences: one && two ? differencesOf(one, two) : [],
  };
}

function named({ seq, mutation, event }: NamedOperation): NamedOperation {
  return { seq, mutation, event };
}

function differencesOf(left: StateRoot, right: StateRoot): Conflict['differences'] {
  return diffRoots(left, right)
    .slice(0, MAX_DIFFERENCES)
    .map(({ key, left: one, right: two }) => ({ key, values: [one ?? null, two ?? null] as const }));
}
