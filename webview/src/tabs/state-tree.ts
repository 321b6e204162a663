import type { RecordDifference, StateEntry } from '@syncscope/protocol/capture';
import type { RecordKey, SyncRecord, Value } from '@syncscope/protocol/state';
import { formatValue } from '../text/format.ts';
import type { ToldEntry } from './value-history.ts';

/** The state of a replica as the rows of a tree: collections, records, fields, and the history of one value. */
export type TreeRow =
  | {
      readonly type: 'collection';
      readonly id: string;
      readonly name: string;
      readonly count: number;
      readonly isOpen: boolean;
      readonly isChanged: boolean;
    }
  | {
      readonly type: 'record';
      readonly id: string;
      readonly entry: StateEntry;
      readonly label: string;
      readonly isOpen: boolean;
      readonly isChanged: boolean;
    }
  | {
      readonly type: 'field';
      readonly id: string;
      readonly key: RecordKey;
      readonly field: string;
      readonly value: Value | undefined;
      /** Set where a prediction says otherwise. */
      readonly predicted?: { readonly value: Value | undefined };
      readonly isChanged: boolean;
      readonly hasHistory: boolean;
    }
  | { readonly type: 'history'; readonly id: string; readonly entry: ToldEntry }
  | { readonly type: 'note'; readonly id: string; readonly text: string };

/** The value whose history is open. */
export interface HistoryPlace {
  readonly key: RecordKey;
  readonly field: string;
}

export interface TreeView {
  /** Ids of collections that were closed and of records that were opened by hand. */
  readonly toggled: ReadonlySet<string>;
  readonly search: string;
  readonly changed: ReadonlyMap<string, RecordDifference>;
  readonly history?: { readonly place: HistoryPlace; readonly entries: readonly ToldEntry[] | undefined };
}

/** Collections with more records than this start folded. */
const OPEN_AT_MOST = 200;

/** Rows in the order of their keys. With a search, only records whose key, field or value contains it, opened. */
export function treeRows(entries: readonly StateEntry[], view: TreeView): TreeRow[] {
  const search = view.search.trim().toLowerCase();
  const found = search === '' ? entries : entries.filter((entry) => matches(entry, search));
  const rows: TreeRow[] = [];
  for (const [name, members] of collectionsOf(found)) {
    const id = `${name}/`;
    const isOpen = search !== '' || members.length <= OPEN_AT_MOST !== view.toggled.has(id);
    const isChanged = members.some((entry) => view.changed.has(entry.key));
    rows.push({ type: 'collection', id, name, count: members.length, isOpen, isChanged });
    if (!isOpen) continue;
    for (const entry of members) addRecord(rows, entry, view, search !== '' && found.length <= 20);
  }
  return rows;
}

function collectionsOf(entries: readonly StateEntry[]): Map<string, StateEntry[]> {
  const collections = new Map<string, StateEntry[]>();
  for (const entry of [...entries].sort((a, b) => (a.key < b.key ? -1 : 1))) {
    const name = entry.key.slice(0, entry.key.indexOf('/'));
    const members = collections.get(name);
    if (members) members.push(entry);
    else collections.set(name, [entry]);
  }
  return collections;
}

function addRecord(rows: TreeRow[], entry: StateEntry, view: TreeView, opensByItself: boolean): void {
  const isOpen = opensByItself !== view.toggled.has(entry.key);
  const label = entry.key.slice(entry.key.indexOf('/') + 1);
  const change = view.changed.get(entry.key);
  rows.push({ type: 'record', id: entry.key, entry, label, isOpen, isChanged: change !== undefined });
  if (!isOpen) return;
  const names = new Set([...Object.keys(entry.record), ...Object.keys(entry.optimistic ?? {})]);
  for (const field of names) addField(rows, entry, field, view, change);
}

function addField(
  rows: TreeRow[],
  entry: StateEntry,
  field: string,
  view: TreeView,
  change: RecordDifference | undefined,
): void {
  const value = own(entry.record, field);
  const predicted =
    entry.optimistic === undefined ? value : entry.optimistic === null ? undefined : own(entry.optimistic, field);
  const { history } = view;
  const hasHistory = history?.place.key === entry.key && history.place.field === field;
  const id = `${entry.key}\n${field}`;
  rows.push({
    type: 'field',
    id,
    key: entry.key,
    field,
    value,
    ...(formatValue(predicted, 500) === formatValue(value, 500) ? {} : { predicted: { value: predicted } }),
    isChanged: change !== undefined && (change.side !== 'both' || change.fields.some((one) => one.field === field)),
    hasHistory,
  });
  if (!hasHistory || !history.entries) return;
  if (history.entries.length === 0) {
    rows.push({ type: 'note', id: `${id}\nnone`, text: 'Nothing in the capture changed it up to here.' });
  }
  for (const one of history.entries) rows.push({ type: 'history', id: `${id}\n${one.position}`, entry: one });
}

function own(record: SyncRecord, field: string): Value | undefined {
  return Object.hasOwn(record, field) ? record[field] : undefined;
}

function matches(entry: StateEntry, search: string): boolean {
  if (entry.key.toLowerCase().includes(search)) return true;
  return Object.entries(entry.record).some(
    ([field, value]) => field.toLowerCase().includes(search) || formatValue(value, 500).toLowerCase().includes(search),
  );
}

/** A record's fields on one line. */
export function recordLine(record: SyncRecord, maxLength = 160): string {
  const text = formatValue(record, maxLength);
  return text.startsWith('{') ? text.slice(1, text.endsWith('}') ? -1 : undefined) : text;
}
