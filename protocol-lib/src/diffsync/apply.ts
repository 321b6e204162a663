import type { StateRoot } from '../merkle/index.ts';
import type { Change, RecordKey, SyncRecord } from '../state/index.ts';
import { reasonOf, refusalOf, type Side, writeModel } from './adapter.ts';
import { type Diff, type DiffEntry, diffChanges, entryChange, isMove } from './diff.ts';
import { findCycle } from './hierarchy.ts';
import { isSameModel, parentOf, typeName } from './model.ts';
import {
  type ApplyOptions,
  countStatuses,
  outcomeOf,
  type SyncFlags,
  type SyncReport,
  type SyncStatus,
  type SyncStatusCode,
} from './report.ts';

/** The state after a diff. @throws SyncError `RECORD_MISSING` where it does not fit */
export function applyToState(diff: Diff, state: StateRoot): StateRoot {
  return state.apply(diffChanges(diff));
}

/**
 * Carries a diff out on a side, model by model: parents before their children, deletions last and from below. Each model gets
 * its status. A model whose parent failed is skipped, and so is the deletion of one that still has children, so no orphan
 * ever arises. The side's store is written in batches, after its system; without an adapter at once.
 */
export async function applyDiff(diff: Diff, side: Side, options: ApplyOptions = {}): Promise<SyncReport> {
  const run = new ApplyRun(diff, side, options);
  const steps = orderSteps(diff);
  for (const [index, entry] of steps.entries()) {
    await run.step(entry);
    options.onProgress?.({ done: index + 1, total: steps.length, key: entry.key });
  }
  run.flush();
  const statuses = options.logUnchanged ? [...run.statuses, ...unchanged(diff, side.store.root())] : run.statuses;
  return {
    outcome: outcomeOf(statuses),
    diff,
    statuses,
    counts: countStatuses(statuses),
    root: side.store.root().hash,
  };
}

/** What the flags leave alone in a diff whose `to` is the source. */
export function isLeftAlone({ key, action }: DiffEntry, flags: SyncFlags): boolean {
  if (flags.ignore?.includes(typeName(key))) return true;
  if (action === 'create') return flags.skipUnmatchedSource === true;
  return action === 'delete' && flags.skipUnmatchedDestination === true;
}

function* unchanged(diff: Diff, root: StateRoot): Generator<SyncStatus> {
  const touched = new Set(diff.entries.map(({ key }) => key));
  for (const [key] of root.entries()) {
    if (!touched.has(key)) yield { key, action: 'none', status: 'unchanged', reason: '' };
  }
}

/** Creations and updates from the top down, as the models stand after; then deletions from below, as they stood before. */
export function orderSteps(diff: Diff): DiffEntry[] {
  const depths = new Map<RecordKey, number>();
  const depthOf = (key: RecordKey): number => {
    const way: RecordKey[] = [];
    let at: RecordKey | null = key;
    for (; at !== null && !depths.has(at); at = diff.parents.get(at) ?? null) way.push(at);
    let depth = at === null ? -1 : depths.get(at)!;
    for (const one of way.reverse()) depths.set(one, ++depth);
    return depths.get(key)!;
  };
  const byDepth = (direction: 1 | -1) => (left: DiffEntry, right: DiffEntry) =>
    direction * (depthOf(left.key) - depthOf(right.key));
  const deletions = diff.entries.filter(({ action }) => action === 'delete').sort(byDepth(-1));
  const others = diff.entries.filter(({ action }) => action !== 'delete').sort(byDepth(1));
  return [...others, ...deletions];
}

/** Writes to a store go out after so many, so that a long run does not pay for each, nor lose them all. */
const BATCH = 256;

interface Obstacle {
  readonly status: 'failure' | 'skipped';
  readonly code: SyncStatusCode;
  readonly reason: string;
}

/** One diff being carried out. */
class ApplyRun {
  readonly statuses: SyncStatus[] = [];
  readonly #side: Side;
  readonly #options: ApplyOptions;
  /** Done in the system and not yet in the store. */
  readonly #pending = new Map<RecordKey, DiffEntry>();
  /** Models that are not as the diff wants them. */
  readonly #failed = new Set<RecordKey>();
  /** Of each model that is to be deleted, what is still below it. */
  readonly #below: Map<RecordKey, Set<RecordKey>>;
  /** Deletions that wait for that of a parent which takes its children along. */
  readonly #waiting = new Map<RecordKey, DiffEntry[]>();
  #isStopped = false;

  constructor(diff: Diff, side: Side, options: ApplyOptions) {
    this.#side = side;
    this.#options = options;
    this.#below = childrenOfDeleted(diff, side.store.root());
  }

  get(key: RecordKey): SyncRecord | undefined {
    const pending = this.#pending.get(key);
    return pending === undefined ? this.#side.store.root().get(key) : pending.after;
  }

  async step(entry: DiffEntry): Promise<void> {
    const obstacle = this.#obstacle(entry);
    if (obstacle !== undefined) {
      this.#settle(entry, obstacle.status, obstacle.code, obstacle.reason);
      return;
    }
    const taker = this.#takenAlongBy(entry);
    if (taker !== undefined) {
      const waiting = this.#waiting.get(taker) ?? [];
      // What waits for this one waits for the same.
      this.#waiting.set(taker, [...waiting, ...(this.#waiting.get(entry.key) ?? []), entry]);
      this.#waiting.delete(entry.key);
      this.#below.get(taker)?.delete(entry.key);
      return;
    }
    await this.#carryOut(entry);
  }

  /** Writes what is pending into the store. What somebody else wrote there meanwhile gives way to what the system has now. */
  flush(): void {
    const root = this.#side.store.root();
    const changes = [...this.#pending.values()].flatMap((entry): Change[] => {
      const now = root.get(entry.key);
      if (isSameModel(now, entry.before)) return [entryChange(entry)];
      if (entry.after !== undefined) return [{ op: 'put', key: entry.key, record: entry.after }];
      return now === undefined ? [] : [{ op: 'remove', key: entry.key }];
    });
    this.#pending.clear();
    if (changes.length > 0) this.#side.store.apply(changes);
  }

  async #carryOut(entry: DiffEntry): Promise<void> {
    const { key, before, after } = entry;
    const { adapter, models } = this.#side;
    try {
      const from = before && models.read(key, before);
      const to = after && models.read(key, after);
      try {
        if (adapter !== undefined) await writeModel(adapter, from, to);
        this.#succeed(entry);
      } catch (thrown) {
        const refusal = refusalOf(thrown);
        if (refusal !== undefined) this.#settle(entry, 'failure', 'REFUSED', refusal);
        else this.#settle(entry, 'error', 'ADAPTER_FAILED', reasonOf(thrown));
      }
    } catch (invalid) {
      this.#settle(entry, 'failure', 'MODEL_INVALID', reasonOf(invalid));
    }
    if (adapter !== undefined && this.#pending.size >= BATCH) this.flush();
  }

  #succeed(entry: DiffEntry): void {
    const taken = this.#waiting.get(entry.key) ?? [];
    this.#waiting.delete(entry.key);
    for (const one of taken) this.#done(one, `with ${entry.key}`);
    this.#done(entry, '');
  }

  #done(entry: DiffEntry, reason: string): void {
    const { key, action, before } = entry;
    this.#pending.set(key, entry);
    const parent = before === undefined ? null : parentOf(before);
    if (parent !== null && (action === 'delete' || isMove(entry))) this.#below.get(parent)?.delete(key);
    this.statuses.push({ key, action, status: 'success', reason });
  }

  #settle(entry: DiffEntry, status: 'failure' | 'error' | 'skipped', code: SyncStatusCode, reason: string): void {
    const { key, action } = entry;
    // To be left alone on purpose is no reason against a child.
    if (code !== 'FLAG') this.#failed.add(key);
    this.statuses.push({ key, action, status, code, reason });
    if (status !== 'skipped' && !this.#options.continueOnFailure) this.#isStopped = true;
    const waiting = this.#waiting.get(key) ?? [];
    this.#waiting.delete(key);
    for (const one of waiting) this.#settle(one, 'skipped', 'PARENT_FAILED', `${key} was not deleted`);
  }

  #obstacle(entry: DiffEntry): Obstacle | undefined {
    const { key, before, after } = entry;
    if (isLeftAlone(entry, this.#options)) return skip('FLAG', 'left alone by a flag');
    if (this.#options.signal?.aborted) return skip('CANCELLED', 'cancelled before it was tried');
    if (this.#isStopped) return skip('STOPPED', 'an earlier one failed');
    const now = this.get(key);
    if (!isSameModel(now, before)) {
      if (now === undefined) return fail('MODEL_VANISHED', 'it is not there any more');
      if (before === undefined) return fail('MODEL_EXISTS', 'another one is there by now');
      return fail('MODEL_CHANGED', 'it was changed after the diff was made');
    }
    if (after === undefined) return this.#deletionObstacle(key);
    const parent = parentOf(after);
    if (parent === null) return undefined;
    return this.#parentObstacle(entry, parent);
  }

  #parentObstacle(entry: DiffEntry, parent: RecordKey): Obstacle | undefined {
    if (this.get(parent) === undefined) {
      return this.#failed.has(parent)
        ? skip('PARENT_FAILED', `its parent ${parent} could not be created`)
        : skip('PARENT_MISSING', `its parent ${parent} is not there`);
    }
    if (this.#failed.has(parent)) {
      return skip('PARENT_FAILED', `its parent ${parent} was not brought up to date`);
    }
    if (!isMove(entry)) return undefined;
    // An earlier move may not have happened, so that this one would lead below itself.
    const above = { get: (key: RecordKey) => (key === entry.key ? entry.after : this.get(key)) };
    return findCycle(entry.key, above, new Set()) === undefined
      ? undefined
      : skip('MODEL_CYCLE', `it would stand below itself, under ${parent}`);
  }

  #deletionObstacle(key: RecordKey): Obstacle | undefined {
    const below = this.#below.get(key);
    if (below === undefined || below.size === 0) return undefined;
    const [first] = below;
    return skip('CHILDREN_REMAIN', `${below.size} models still stand below it, such as ${first}`);
  }

  /** The parent whose deletion takes this model along, where its type does so and it is to be deleted. */
  #takenAlongBy({ action, before }: DiffEntry): RecordKey | undefined {
    if (action !== 'delete' || this.#side.adapter === undefined) return undefined;
    const parent = parentOf(before!);
    if (parent === null || !this.#below.has(parent)) return undefined;
    return this.#side.models.typeOf(parent).deletesChildren ? parent : undefined;
  }
}

function skip(code: SyncStatusCode, reason: string): Obstacle {
  return { status: 'skipped', code, reason };
}

function fail(code: SyncStatusCode, reason: string): Obstacle {
  return { status: 'failure', code, reason };
}

/**
 * What stands below each model that is to be deleted. The diff names them all where it was made of this very state; otherwise
 * the state is looked through.
 */
function childrenOfDeleted(diff: Diff, root: StateRoot): Map<RecordKey, Set<RecordKey>> {
  const below = new Map<RecordKey, Set<RecordKey>>();
  for (const { key, action } of diff.entries) if (action === 'delete') below.set(key, new Set());
  if (below.size === 0) return below;
  const note = (key: RecordKey, record: SyncRecord | undefined): void => {
    const parent = record === undefined ? null : parentOf(record);
    if (parent !== null) below.get(parent)?.add(key);
  };
  if (root.hash === diff.from) for (const { key, before } of diff.entries) note(key, before);
  else for (const [key, record] of root.entries()) note(key, record);
  return below;
}
