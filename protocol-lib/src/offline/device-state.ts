import { VersionVector } from '../clock/index.ts';
import { StateRoot } from '../merkle/index.ts';
import { type Change, type RecordKey, type ReplicaId, recordKey, type SyncRecord } from '../state/index.ts';
import { type Committed, NOTHING } from '../sync/index.ts';
import {
  decodeMeta,
  decodeRow,
  encodeRow,
  entrySchema,
  ID_ROWS,
  type IdRow,
  idRowSchema,
  LEASE_ROW,
  type Lease,
  leaseSchema,
  META_ROW,
  type Meta,
  MUTATION_ROWS,
  numberedKey,
  type OfflineEntry,
  RECORD_ROWS,
  recordRowSchema,
  STATE_ROW,
  stateRowSchema,
} from './rows.ts';
import { STORAGE_FORMAT, type StorageContents, type StorageWrite, storageError } from './storage.ts';
import { IdMap, temporaryError } from './temp-ids.ts';

/** Everything that a device keeps, as one value. */
export interface DeviceState {
  readonly meta: Meta;
  /** By counter, ascending. Those that are settled stay until they are dismissed, or many newer ones are. */
  readonly entries: ReadonlyMap<number, OfflineEntry>;
  /** By number, ascending. */
  readonly ids: ReadonlyMap<number, IdRow>;
  readonly committed: Committed;
  readonly lease: Lease | undefined;
}

export function emptyDevice(session: string, device: ReplicaId): DeviceState {
  const meta = { format: STORAGE_FORMAT, session, device, counter: 0, temporaries: 0, settled: 0 };
  return { meta, entries: new Map(), ids: new Map(), committed: NOTHING, lease: undefined };
}

/**
 * What was stored. A committed state that does not give its root is not believed, and `isStateLost`: it is fetched again.
 * @throws SyncError `STORAGE_FOREIGN` where it is another session's or device's; `STORAGE_NEWER`; `STORAGE_DAMAGED`
 */
export function readDevice(
  { rows }: StorageContents,
  session: string,
  device: ReplicaId,
): { readonly state: DeviceState; readonly isStateLost: boolean } {
  const first = rows.get(META_ROW);
  if (!first) {
    if (rows.size > 0) throw storageError('STORAGE_FOREIGN', 'the storage holds rows, but not those of a device');
    return { state: emptyDevice(session, device), isStateLost: false };
  }
  const meta = decodeMeta(first);
  if (meta.session !== session || meta.device !== device) {
    const text = `the storage is of device ${meta.device} in session ${JSON.stringify(meta.session)}`;
    throw storageError('STORAGE_FOREIGN', text);
  }
  const entries = new Map<number, OfflineEntry>();
  const ids = new Map<number, IdRow>();
  for (const [key, row] of rows) {
    if (key.startsWith(MUTATION_ROWS)) {
      const entry = decodeRow(entrySchema, key, row);
      entries.set(entry.mutation.counter, entry);
    } else if (key.startsWith(ID_ROWS)) {
      const id = decodeRow(idRowSchema, key, row);
      ids.set(id.number, id);
    }
  }
  checkCounters(meta, entries);
  const lease = rows.get(LEASE_ROW);
  const committed = readCommitted(rows);
  const state = {
    meta,
    entries,
    ids,
    committed: committed ?? NOTHING,
    lease: lease && decodeRow(leaseSchema, LEASE_ROW, lease),
  };
  return { state, isStateLost: committed === undefined };
}

/** Undefined where it is not whole. */
function readCommitted(rows: StorageContents['rows']): Committed | undefined {
  const row = rows.get(STATE_ROW);
  if (!row) return NOTHING;
  try {
    const { version, progress, root, vector } = decodeRow(stateRowSchema, STATE_ROW, row);
    const records: (readonly [RecordKey, SyncRecord])[] = [];
    for (const [key, bytes] of rows) {
      if (!key.startsWith(RECORD_ROWS)) continue;
      const one = decodeRow(recordRowSchema, key, bytes);
      records.push([recordKey(one.key), one.record]);
    }
    const state = StateRoot.from(records);
    return state.hash === root ? { version, progress, root: state, vector: VersionVector.from(vector) } : undefined;
  } catch {
    // It can be fetched again; what cannot, the mutations, was read before.
    return undefined;
  }
}

/** Every mutation that is not settled is there. @throws SyncError `STORAGE_DAMAGED` */
function checkCounters(meta: Meta, entries: DeviceState['entries']): void {
  for (let counter = meta.settled + 1; counter <= meta.counter; counter++) {
    if (!entries.has(counter)) throw storageError('STORAGE_DAMAGED', `mutation ${counter} is not there`);
  }
}

/** Those of which it is not known how they ended, oldest first. */
export function unsettled({ meta, entries }: DeviceState): OfflineEntry[] {
  const list: OfflineEntry[] = [];
  for (let counter = meta.settled + 1; counter <= meta.counter; counter++) {
    const entry = entries.get(counter);
    if (entry) list.push(entry);
  }
  return list;
}

/** What the temporary ids of this device have become so far. */
export function idMap({ ids }: DeviceState): IdMap {
  const map = new IdMap();
  for (const { temporary, key } of ids.values()) if (key !== undefined) map.set({ temporary, key });
  return map;
}

/**
 * A key or bare id as the authority calls it now: itself where it is none of this device's temporary ones, or one whose record waits.
 * @throws SyncError `TEMP_ID_UNKNOWN` where this device never made it, or too long ago; `TEMP_ID_UNMAPPED` where its mutation was refused
 */
export function presentName(state: DeviceState, map: IdMap, text: string, number: number | undefined): string {
  if (number === undefined) return text;
  const row = state.ids.get(number);
  if (!row) throw temporaryError('TEMP_ID_UNKNOWN', `this device knows of no record ${JSON.stringify(text)}`, text);
  if (row.state !== 'unmapped') return map.rename(text);
  const message = `mutation ${row.counter}, which was to make ${JSON.stringify(text)}, was refused`;
  throw temporaryError('TEMP_ID_UNMAPPED', message, text);
}

/** A step from one state to the next, with the rows that it writes. */
export interface DeviceChange {
  readonly after: DeviceState;
  readonly writes: readonly StorageWrite[];
}

/** The rows in which two states differ. @throws SyncError as `encodeRow` */
export function writesBetween(before: DeviceState, after: DeviceState): StorageWrite[] {
  const writes: StorageWrite[] = [];
  if (after.meta !== before.meta) writes.push(encodeRow(META_ROW, after.meta));
  addTable(writes, MUTATION_ROWS, before.entries, after.entries);
  addTable(writes, ID_ROWS, before.ids, after.ids);
  if (after.lease !== before.lease) {
    writes.push(after.lease ? encodeRow(LEASE_ROW, after.lease) : { key: LEASE_ROW, value: null });
  }
  return writes;
}

function addTable<T>(
  writes: StorageWrite[],
  prefix: string,
  before: ReadonlyMap<number, T>,
  after: ReadonlyMap<number, T>,
): void {
  if (before === after) return;
  for (const [number, row] of after) {
    if (before.get(number) !== row) writes.push(encodeRow(numberedKey(prefix, number), row));
  }
  for (const number of before.keys()) {
    if (!after.has(number)) writes.push({ key: numberedKey(prefix, number), value: null });
  }
}

/** The rows of a committed state that changed: of the records with these keys. */
export function stateWrites(after: Committed, keys: Iterable<RecordKey>): StorageWrite[] {
  const { version, progress, root, vector } = after;
  const writes = [encodeRow(STATE_ROW, { version, progress, root: root.hash, vector: vector.entries() })];
  for (const key of new Set(keys)) {
    const record = root.get(key);
    const row = RECORD_ROWS + key;
    writes.push(record ? encodeRow(row, { key, record }) : { key: row, value: null });
  }
  return writes;
}

export function keysOf(changes: readonly Change[]): RecordKey[] {
  return changes.map(({ key }) => key);
}
