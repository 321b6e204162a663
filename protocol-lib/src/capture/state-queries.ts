import { diffRoots, diffTree, recordDifference, type StateRoot, sameRecord, sameValue } from '../merkle/index.ts';
import type { RecordKey, StateHash, SyncRecord, Value, Version } from '../state/index.ts';
import { hashText } from './byte-names.ts';
import type { CaptureIndex, ReplicaIndex } from './capture-index.ts';
import { pageOf, slotOf } from './columns.ts';
import type { Committed } from './committed.ts';
import { KIND } from './envelope.ts';
import type { HistoryEntry, MerkleDiff, StateDiff, StateEntry, StatePage } from './query.ts';
import { missingBefore, missingBetween, type ReplicaState, type StateFolds } from './state-folds.ts';
import type { RecordReader } from './store.ts';
import { summarize } from './summary.ts';

/** Answers about values: state, history, differences. */

export async function statePage(
  index: CaptureIndex,
  folds: StateFolds,
  replica: ReplicaIndex,
  position: number,
  prefix: string,
  limit: number,
): Promise<StatePage> {
  const state = await folds.stateAt(replica, position);
  const { committed, optimistic } = state;
  const isAll = prefix === '' && optimistic === committed.root;
  const keys = isAll ? folds.keysOf(committed.root) : keysUnder(committed.root, optimistic, prefix);
  const shown = keys.slice(0, Math.max(0, limit));
  const changes = await lastChanges(index, folds, replica, position, shown);
  const entries = shown.map((key): StateEntry => {
    const record = committed.root.get(key);
    const predicted = optimistic.get(key);
    const isPredicted = record === undefined || predicted === undefined || !sameRecord(record, predicted);
    return {
      key,
      // A record that only a prediction has made has no committed fields.
      record: record ?? {},
      ...(isPredicted ? { optimistic: predicted ?? null } : {}),
      changedAt: changes.get(key) ?? -1,
    };
  });
  const unknown = unknownAt(index, replica, position, committed);
  return {
    replica: replica.id,
    version: committed.version,
    root: rootOf(state.committed),
    total: keys.length,
    entries,
    pending: state.pending.map((one) => one.mutation),
    ...(unknown === undefined ? {} : { unknown }),
  };
}

/** Why the state at a position may not be what the replica had; undefined where its hash vouches for it. */
export function unknownAt(
  index: CaptureIndex,
  replica: ReplicaIndex,
  position: number,
  committed: Committed,
): string | undefined {
  if (committed.unknown !== undefined) return committed.unknown;
  const gap = missingBetween(index, replica.states.lastAtOrBelow(position), position);
  return gap < 0 ? undefined : missingBefore(gap);
}

export function rootOf(committed: Committed): StateHash | null {
  return committed.root.size === 0 && committed.unknown !== undefined ? null : committed.root.hash;
}

function keysUnder(committed: StateRoot, optimistic: StateRoot, prefix: string): RecordKey[] {
  const keys = new Set<RecordKey>();
  for (const [key] of committed.entries(prefix)) keys.add(key);
  if (optimistic !== committed) for (const [key] of optimistic.entries(prefix)) keys.add(key);
  return [...keys].sort();
}

/** Kinds whose changed keys count as changes of the committed state. */
const CHANGING = new Set([KIND.commit, KIND.apply, KIND.divergence]);

/** Position of the record of `replica` that last changed each key, at or before `position`. */
async function lastChanges(
  index: CaptureIndex,
  folds: StateFolds,
  replica: ReplicaIndex,
  position: number,
  keys: readonly RecordKey[],
): Promise<Map<RecordKey, number>> {
  const found = new Map<RecordKey, number>();
  const wanted = new Map(keys.map((key) => [hashText(key) | 0, key]));
  const resets = resetsBefore(replica, position);
  const { columns, changedAt, changedKeys } = index;
  const own = index.replicaNames.findText(replica.id);
  let from = changedAt.countBelow(position + 1) - 1;
  for (const reset of [...resets, -1]) {
    const first = changedAt.countBelow(reset + 1);
    let page = -1;
    let replicas: Uint16Array = new Uint16Array(0);
    let kinds: Uint8Array = new Uint8Array(0);
    for (const at of index.changes.before(from, first, wanted)) {
      const row = changedAt.at(at);
      if (pageOf(row) !== page) {
        page = pageOf(row);
        ({ replica: replicas, kind: kinds } = columns.page(row));
      }
      const slot = slotOf(row);
      if (replicas[slot] !== own || !CHANGING.has(kinds[slot]!)) continue;
      const hash = changedKeys.at(at);
      found.set(wanted.get(hash)!, row);
      wanted.delete(hash);
      if (wanted.size === 0) return found;
    }
    from = first - 1;
    if (reset < 0) break;
    const before = await folds.committed(replica, reset - 1);
    const after = await folds.committed(replica, reset);
    for (const { key } of diffRoots(before.root, after.root)) {
      const hash = hashText(key) | 0;
      if (wanted.get(hash) !== key) continue;
      found.set(key, reset);
      wanted.delete(hash);
    }
  }
  return found;
}

/** Records that set many keys at once: snapshots that said something new, found drifts, repairs. Newest first. */
function resetsBefore(replica: ReplicaIndex, position: number): number[] {
  const resets = replica.resets.slice(0, replica.resets.countBelow(position + 1));
  const drifts = replica.drifts.map((one) => one.start).filter((start) => start <= position);
  return [...new Set([...resets, ...drifts])].sort((a, b) => b - a);
}

export async function historyOf(
  index: CaptureIndex,
  folds: StateFolds,
  records: RecordReader,
  replica: ReplicaIndex,
  key: RecordKey,
  field: string | undefined,
  position: number,
  limit: number,
): Promise<HistoryEntry[]> {
  const entries: HistoryEntry[] = [];
  for (const at of candidates(index, replica, key, position)) {
    if (entries.length >= limit) break;
    const before = pick((await folds.committed(replica, at - 1)).root.get(key), field);
    const state = await folds.committed(replica, at);
    const after = pick(state.root.get(key), field);
    if (isSame(before, after)) continue;
    const record = await records.read(at);
    const writer = await writerOf(index, records, key, at);
    entries.push({
      position: at,
      time: index.timeAt(at),
      version: state.version,
      before,
      after,
      ...(writer === undefined ? {} : { writer }),
      summary:
        record.body.kind === 'hash' || record.body.kind === 'mismatch'
          ? `found to hold another value than its records give (${summarize(record, index, at)})`
          : summarize(record, index, at),
    });
  }
  return entries;
}

/** How the record under a key changed on a replica, oldest first, up to before `end`. */
export async function stepsOf(
  index: CaptureIndex,
  folds: StateFolds,
  replica: ReplicaIndex,
  key: RecordKey,
  from: number,
  end: number,
): Promise<{ readonly positions: number[]; readonly values: (SyncRecord | undefined)[] }> {
  const isFirst = from <= index.start;
  const positions: number[] = isFirst ? [index.start - 1] : [];
  const values: (SyncRecord | undefined)[] = isFirst ? [folds.baseOf(replica).root.get(key)] : [];
  for (const at of candidates(index, replica, key, end - 1, from).reverse()) {
    const record = (await folds.committed(replica, at)).root.get(key);
    if (values.length > 0 && isSame(values.at(-1), record)) continue;
    positions.push(at);
    values.push(record);
  }
  return { positions, values };
}

/** Records at which the key may have changed on the replica, newest first. */
function candidates(index: CaptureIndex, replica: ReplicaIndex, key: RecordKey, position: number, from = 0): number[] {
  const { columns, changedAt } = index;
  const own = index.replicaNames.findText(replica.id);
  const wanted = new Set([hashText(key) | 0]);
  const found = new Set(resetsBefore(replica, position).filter((reset) => reset >= from));
  for (const at of index.changes.before(changedAt.countBelow(position + 1) - 1, changedAt.countBelow(from), wanted)) {
    const row = changedAt.at(at);
    if (columns.replica(row) === own && CHANGING.has(columns.kind(row))) found.add(row);
  }
  return [...found].sort((a, b) => b - a);
}

function pick(record: SyncRecord | undefined, field: string | undefined): Value | SyncRecord | undefined {
  if (field === undefined || record === undefined) return record;
  return Object.hasOwn(record, field) ? record[field] : undefined;
}

function isSame(left: Value | SyncRecord | undefined, right: Value | SyncRecord | undefined): boolean {
  if (left === undefined || right === undefined) return left === right;
  return sameValue(left, right);
}

/** Who made the change that a record carries: for an applied delta, the writer of the commit in it that touches the key. */
async function writerOf(
  index: CaptureIndex,
  records: RecordReader,
  key: RecordKey,
  position: number,
): Promise<string | undefined> {
  const columns = index.columns;
  if (columns.kind(position) === KIND.commit) return commitWriter(records, position);
  if (columns.kind(position) !== KIND.apply) return undefined;
  const { body } = await records.readKind(position, 'apply');
  const wanted = new Set([hashText(key) | 0]);
  for (const at of index.changes.before(index.changedAt.countBelow(position) - 1, 0, wanted)) {
    const other = index.changedAt.at(at);
    if (columns.kind(other) !== KIND.commit || columns.number(other) > body.to) continue;
    return columns.number(other) > body.from ? commitWriter(records, other) : undefined;
  }
  return undefined;
}

async function commitWriter(records: RecordReader, position: number): Promise<string | undefined> {
  const { body } = await records.readKind(position, 'commit');
  return body.mutation?.writer ?? (body.event.player || undefined);
}

export function diffStates(
  left: ReplicaState,
  right: ReplicaState,
  limit: number,
  unknown: string | undefined,
): StateDiff {
  const changes = diffRoots(left.committed.root, right.committed.root);
  const differences = changes
    .slice(0, Math.max(0, limit))
    .map((change) => recordDifference(change.key, change.left, change.right));
  const onlyLeft = changes.filter((change) => change.right === undefined).length;
  const inBoth = changes.filter((change) => change.left !== undefined && change.right !== undefined).length;
  return {
    left: sideOf(left.committed),
    right: sideOf(right.committed),
    differences,
    total: changes.length,
    equal: left.committed.root.size - onlyLeft - inBoth,
    ...(unknown === undefined ? {} : { unknown }),
  };
}

function sideOf(committed: Committed): { version: Version; root: StateHash | null; records: number } {
  return { version: committed.version, root: rootOf(committed), records: committed.root.size };
}

export async function merkleDiffOf(
  index: CaptureIndex,
  records: RecordReader,
  left: ReplicaState,
  right: ReplicaState,
  pair: { readonly replicas: readonly ReplicaIndex[]; readonly position: number },
  limit: number,
  unknown: string | undefined,
): Promise<MerkleDiff> {
  const { root, comparedNodes, totalNodes } = diffTree(left.committed.root, right.committed.root, limit);
  const repair = await repairNear(index, records, pair.replicas, pair.position);
  return {
    root,
    comparedNodes,
    totalNodes,
    ...(repair ? { repair } : {}),
    ...(unknown === undefined ? {} : { unknown }),
  };
}

/** What the first repair after the drift or divergence at a position cost; else the last one before it. */
async function repairNear(
  index: CaptureIndex,
  records: RecordReader,
  replicas: readonly ReplicaIndex[],
  position: number,
): Promise<MerkleDiff['repair']> {
  for (const replica of replicas) {
    const repairs = positionsOfKind(index, replica, KIND.repair);
    const at = repairs.find((one) => one >= position) ?? repairs.at(-1);
    if (at === undefined) continue;
    const { body } = await records.readKind(at, 'repair');
    const divergences = positionsOfKind(index, replica, KIND.divergence).filter((one) => one < at);
    const last = divergences.at(-1);
    const cost = last === undefined ? undefined : (await records.readKind(last, 'divergence')).body;
    return {
      position: at,
      method: body.method,
      rounds: cost?.rounds ?? 0,
      hashes: cost?.hashes ?? 0,
      bytes: body.bytes || (cost?.bytes ?? 0),
    };
  }
  return undefined;
}

export function positionsOfKind(index: CaptureIndex, replica: ReplicaIndex, kind: number): number[] {
  const columns = index.columns;
  const positions: number[] = [];
  for (let at = 0; at < replica.states.length; at++) {
    const position = replica.states.at(at);
    if (columns.kind(position) === kind) positions.push(position);
  }
  return positions;
}
