import { isSyncError, SyncError } from '../errors/index.ts';
import { changesBetween } from '../merkle/index.ts';
import type { OfflineMutation, ReconcileAnswer, ReconcileRequest } from '../messages/index.ts';
import { afterDelta, type Committed, fromFullSync } from '../sync/index.ts';
import type { QueueLimits } from './add.ts';
import {
  type DeviceChange,
  type DeviceState,
  idMap,
  keysOf,
  stateWrites,
  unsettled,
  writesBetween,
} from './device-state.ts';
import { isSameChanges, type Predicted } from './predict.ts';
import { type References, renameChange, renameInArgs, renameTouched } from './references.ts';
import type { IdRow, OfflineEntry } from './rows.ts';
import type { IdMap } from './temp-ids.ts';

export interface SettleContext {
  readonly references: References;
  readonly limits: QueueLimits;
  readonly now: number;
  /** Runs what still waits on a new committed state. */
  predict(after: DeviceState): Predicted;
}

/** These go out now; `sent` from here on, whatever becomes of the connection. */
export function markSent(state: DeviceState, batch: readonly OfflineEntry[], now: number): DeviceChange {
  const entries = new Map(state.entries);
  for (const { mutation } of batch) {
    const entry = entries.get(mutation.counter);
    if (entry && mutation.counter > state.meta.settled)
      entries.set(mutation.counter, { ...entry, state: 'sent', sends: entry.sends + 1, sentAt: Math.max(0, now) });
  }
  const after = { ...state, entries };
  return { after, writes: writesBetween(state, after) };
}

/**
 * What an answer makes of a device: mutations settled, temporary ids mapped and rewritten in whatever still waits, and the
 * committed state moved on; all in one write. Undefined where another process or tab has done it already.
 * @throws SyncError `RECONCILE_INVALID` for an answer that does not answer the request; `RECONCILE_MISFIT` where the state in it does not
 *   fit to what is here: ask again, for a snapshot
 */
export function settle(
  state: DeviceState,
  request: ReconcileRequest,
  answer: ReconcileAnswer,
  context: SettleContext,
): DeviceChange | undefined {
  const last = request.mutations.at(-1)?.counter ?? request.settled;
  checkAnswer(request, answer);
  if (last < state.meta.settled || (last === state.meta.settled && request.mutations.length > 0)) return undefined;
  const committed = committedAfter(state.committed, answer);
  const { entries, ids } = settledEntries(state, answer, context.now);
  const meta = last === state.meta.settled ? state.meta : { ...state.meta, settled: last };
  const mapped = { ...state, meta, ids, committed };
  const map = idMap(mapped);
  const renamed = isSameIds(state, mapped) ? entries : renamedEntries(entries, map, context.references);
  const kept = pruned({ ...mapped, entries: renamed }, context.limits);
  const after = committed.root === state.committed.root ? kept : rebased(state, kept, context);
  const writes = writesBetween(state, after);
  if (committed !== state.committed) {
    const changes = changesBetween(state.committed.root, committed.root);
    writes.push(...stateWrites(committed, keysOf(changes)));
  }
  return { after, writes };
}

function invalid(message: string): SyncError {
  return new SyncError('RECONCILE_INVALID', message, { origin: 'protocol', retry: 'backoff' });
}

/** Every mutation of the request ended in one way, and every record that it made has a name. */
function checkAnswer(request: ReconcileRequest, answer: ReconcileAnswer): void {
  if (answer.device !== request.device) throw invalid(`the answer is for ${answer.device}`);
  const applied = new Map(answer.applied.map((one) => [one.counter, one]));
  const rejected = new Set(answer.rejected.map(({ counter }) => counter));
  if (applied.size + rejected.size !== request.mutations.length) throw invalid('not each mutation is answered once');
  for (const { counter, creates } of request.mutations) {
    const ids = applied.get(counter)?.ids;
    if ((ids !== undefined) === rejected.has(counter)) throw invalid(`mutation ${counter} is not answered once`);
    if (!ids) continue;
    const names = new Set(ids.map(({ temporary }) => temporary));
    if (names.size !== creates.length || ids.length !== creates.length || !creates.every((key) => names.has(key)))
      throw invalid(`mutation ${counter} made other records than it is told of`);
  }
}

function committedAfter(before: Committed, { delta, snapshot, checkpoint }: ReconcileAnswer): Committed {
  let after = before;
  if (snapshot) {
    try {
      after = fromFullSync(snapshot);
    } catch (error) {
      if (!isSyncError(error)) throw error;
      throw invalid(error.message);
    }
  } else if (delta) {
    const outcome = afterDelta(before, delta);
    if (outcome.fit !== 'whole') throw misfit(`the delta from ${delta.from} does not fit (${outcome.fit})`);
    after = outcome.committed;
  }
  if (after.version !== checkpoint.version || after.root.hash !== checkpoint.root) {
    throw misfit(`after the answer the state is ${after.version} ${after.root.hash}, not ${checkpoint.version}`);
  }
  return after;
}

function misfit(message: string): SyncError {
  return new SyncError('RECONCILE_MISFIT', message, { origin: 'protocol', retry: 'now' });
}

function settledEntries(
  state: DeviceState,
  answer: ReconcileAnswer,
  now: number,
): { readonly entries: Map<number, OfflineEntry>; readonly ids: DeviceState['ids'] } {
  const entries = new Map(state.entries);
  const ids = new Map(state.ids);
  const settledAt = Math.max(0, now);
  const conflicts = Map.groupBy(answer.conflicts, ({ counter }) => counter);
  const settleOne = (counter: number, rest: Partial<OfflineEntry>): void => {
    const entry = entries.get(counter);
    if (!entry || counter <= state.meta.settled) return;
    entries.set(counter, { ...entry, ...rest, settledAt, conflicts: conflicts.get(counter) ?? [] });
  };
  for (const { counter, version, ids: mappings } of answer.applied) {
    settleOne(counter, { state: 'reconciled', version });
    const keys = new Map(mappings.map(({ temporary, key }) => [temporary, key]));
    closeIds(ids, counter, ({ temporary }) => keys.get(temporary));
  }
  for (const { counter, version, code, reason } of answer.rejected) {
    const isConflict = code === 'conflict' || code === 'waiting';
    settleOne(counter, { state: isConflict ? 'conflicted' : 'rejected', version, code, reason });
    closeIds(ids, counter, () => undefined);
  }
  return { entries, ids };
}

/** What became of the temporary ids of a mutation. */
function closeIds(ids: Map<number, IdRow>, counter: number, keyOf: (row: IdRow) => IdRow['key']): void {
  for (const row of ids.values()) {
    if (row.counter !== counter || row.state !== 'waiting') continue;
    const key = keyOf(row);
    ids.set(row.number, key === undefined ? { ...row, state: 'unmapped' } : { ...row, state: 'mapped', key });
  }
}

function isSameIds(before: DeviceState, after: DeviceState): boolean {
  return [...after.ids].every(([number, row]) => before.ids.get(number) === row);
}

/** All but those that went well: these are history. */
function renamedEntries(
  entries: ReadonlyMap<number, OfflineEntry>,
  map: IdMap,
  references: References,
): Map<number, OfflineEntry> {
  const rename = (text: string): string => map.rename(text);
  const after = new Map(entries);
  for (const [counter, entry] of entries) {
    if (entry.state === 'reconciled') continue;
    const renamed = renamedMutation(entry.mutation, rename, references);
    if (renamed) after.set(counter, { ...entry, mutation: renamed });
  }
  return after;
}

/** Undefined where two names in it would become one: the authority refuses it then for its temporary id. */
function renamedMutation(
  mutation: OfflineMutation,
  rename: (text: string) => string,
  references: References,
): OfflineMutation | undefined {
  try {
    const args = renameInArgs(references, mutation.command, mutation.args, rename);
    const base = renameTouched(references, mutation.base, rename);
    return { ...mutation, args, base, mine: renameTouched(references, mutation.mine, rename) };
  } catch (error) {
    if (isSyncError(error, 'TEMP_ID_INVALID')) return undefined;
    throw error;
  }
}

/** Counts, of what still waits, that it was run again, and whether it came to do something else. */
function rebased(before: DeviceState, after: DeviceState, { predict, references }: SettleContext): DeviceState {
  const waiting = unsettled(after);
  if (waiting.length === 0) return after;
  const map = idMap(after);
  const rename = (text: string): string => map.rename(text);
  const then = predict(before).changes;
  const now = predict(after).changes;
  const entries = new Map(after.entries);
  for (const entry of waiting) {
    const { counter } = entry.mutation;
    const same = (then.get(counter) ?? []).map((change) => renameChange(references, change, rename));
    const isSame = isSameChanges(same, now.get(counter) ?? []);
    const alterations = entry.alterations + (isSame ? 0 : 1);
    entries.set(counter, { ...entry, rebases: entry.rebases + 1, alterations });
  }
  return { ...after, entries };
}

/** Without the oldest of what is only kept for showing. */
function pruned(state: DeviceState, limits: QueueLimits): DeviceState {
  const settled = [...state.entries.values()].filter(({ mutation }) => mutation.counter <= state.meta.settled);
  const reconciled = settled.filter((entry) => entry.state === 'reconciled');
  const refused = settled.filter((entry) => entry.state !== 'reconciled');
  const entries = new Map(state.entries);
  const old = [...oldest(reconciled, limits.keepReconciled), ...oldest(refused, limits.keepRefused)];
  for (const { mutation } of old) entries.delete(mutation.counter);
  const ids = new Map(state.ids);
  const closed = [...state.ids.values()].filter((row) => row.state !== 'waiting');
  for (const { number } of oldest(closed, limits.keepIds)) ids.delete(number);
  return { ...state, entries, ids };
}

/** All but the last `keep`. */
function oldest<T>(list: readonly T[], keep: number): readonly T[] {
  return list.slice(0, Math.max(0, list.length - keep));
}
