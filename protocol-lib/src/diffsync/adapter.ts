import { isSyncError, SyncError } from '../errors/index.ts';
import { changesBetween, StateMerkleTree, type StateRoot } from '../merkle/index.ts';
import type { RecordKey } from '../state/index.ts';
import { diffEntry, entryChange } from './diff.ts';
import { checkHierarchy } from './hierarchy.ts';
import type { DiffModel, ModelSet } from './model.ts';
import type { Store } from './store.ts';

const REFUSED = 'MODEL_REFUSED';

/** For an adapter whose system does not take a change: counts as a failure of this model. Whatever else is thrown is an error. */
export function refuseModel(reason: string): never {
  throw new SyncError(REFUSED, reason, { origin: 'state' });
}

/** Why the system refused, where this was thrown by {@link refuseModel}. */
export function refusalOf(thrown: unknown): string | undefined {
  return isSyncError(thrown, REFUSED) ? reasonOf(thrown) : undefined;
}

/** What an update is about, beside the model as it shall be. */
export interface ModelUpdate {
  readonly before: DiffModel;
  /** Attributes that differ, by name; those that went away are not in the model's. */
  readonly attributes: readonly string[];
  /** The model goes below another parent, or to the top. */
  readonly isMoved: boolean;
}

/** Translates between a system and models: reads all of them, and writes single changes back. */
export interface Adapter {
  readonly models: ModelSet;
  /** Every model of the system, in any order. */
  load(): Iterable<DiffModel> | AsyncIterable<DiffModel> | Promise<Iterable<DiffModel>>;
  /** Its parent is there. */
  create(model: DiffModel): void | Promise<void>;
  update(model: DiffModel, update: ModelUpdate): void | Promise<void>;
  /** Nothing is below it any more, unless its type says that it takes its children along. */
  delete(model: DiffModel): void | Promise<void>;
}

/** One side of a sync: a state of models, and the system that it mirrors, where there is one. */
export interface Side {
  readonly store: Store;
  readonly models: ModelSet;
  readonly adapter?: Adapter;
}

/** Whether to stop; an `AbortSignal` is one. */
export interface CancelSignal {
  readonly aborted: boolean;
}

export interface LoadOptions {
  readonly signal?: CancelSignal;
  /** Told of how many models were read so far, now and then and at the end. */
  readonly onLoaded?: (models: number) => void;
}

const MODELS_A_REPORT = 1_000;

/**
 * Reads the side's system into its store, of which only what differs is written. All or nothing: a model left out because it could
 * not be read would look like one that was deleted.
 * @throws SyncError `ADAPTER_FAILED` where the adapter throws, `MODEL_DUPLICATE`, `CANCELLED`, and as {@link ModelSet.record} and
 * {@link checkHierarchy}; the store is then as before
 */
export async function loadSide(side: Side, options: LoadOptions = {}): Promise<StateRoot> {
  if (side.adapter === undefined) return side.store.root();
  const loaded = await loadModels(side.adapter, side.store.root(), options);
  return side.store.apply(changesBetween(side.store.root(), loaded));
}

/** The state of an adapter's system. What equals `known` is not hashed again. @throws SyncError as {@link loadSide} */
export async function loadModels(adapter: Adapter, known: StateRoot, options: LoadOptions = {}): Promise<StateRoot> {
  const tree = new StateMerkleTree(known);
  const seen = new Set<RecordKey>();
  const take = (model: DiffModel): void => {
    const record = adapter.models.record(model);
    if (seen.has(model.key)) throw duplicate(model.key);
    seen.add(model.key);
    tree.put(model.key, record);
    if (options.signal?.aborted) throw cancelled(seen.size);
    if (seen.size % MODELS_A_REPORT === 0) options.onLoaded?.(seen.size);
  };
  try {
    const models = await adapter.load();
    if (Symbol.asyncIterator in models) for await (const model of models) take(model);
    else for (const model of models) take(model);
  } catch (cause) {
    throw isSyncError(cause) ? cause : adapterFailed(cause, seen.size);
  }
  if (seen.size < tree.size) for (const [key] of [...tree.entries()]) if (!seen.has(key)) tree.remove(key);
  const root = tree.root();
  if (root !== known) checkHierarchy(adapter.models, root);
  options.onLoaded?.(seen.size);
  return root;
}

function duplicate(key: RecordKey): SyncError {
  return new SyncError('MODEL_DUPLICATE', `${key}: the adapter gave two models with these identifiers`, {
    origin: 'state',
    place: { key },
  });
}

export function cancelled(done: number): SyncError {
  return new SyncError('CANCELLED', `cancelled after ${done} models; nothing was taken`, {
    origin: 'state',
    retry: 'now',
  });
}

function adapterFailed(cause: unknown, read: number): SyncError {
  return new SyncError(
    'ADAPTER_FAILED',
    `the adapter failed after ${read} models: ${reasonOf(cause)}; nothing was taken`,
    {
      origin: 'state',
      retry: 'backoff',
      cause,
    },
  );
}

const REASON_MAX = 300;

/** What was thrown, for people. */
export function reasonOf(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  return text.slice(0, REASON_MAX).toWellFormed();
}

/** Does to an adapter's system what leads from one model to another under the same key. */
export async function writeModel(
  adapter: Adapter,
  before: DiffModel | undefined,
  after: DiffModel | undefined,
): Promise<void> {
  if (after === undefined) await adapter.delete(before!);
  else if (before === undefined) await adapter.create(after);
  else await adapter.update(after, updateOf(before, after));
}

function updateOf(before: DiffModel, after: DiffModel): ModelUpdate {
  const from = before.attributes as Parameters<typeof diffEntry>[1];
  const to = after.attributes as Parameters<typeof diffEntry>[2];
  const change = entryChange(diffEntry(before.key, from, to));
  const attributes = change.op === 'patch' ? [...Object.keys(change.fields), ...change.removed] : [];
  return { before, attributes, isMoved: before.parent !== after.parent };
}
