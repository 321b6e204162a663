import { writeJson } from '../messages/index.ts';
import type { RecordKey, SyncRecord } from '../state/index.ts';
import {
  countLevels,
  type Diff,
  type DiffAction,
  type DiffCounts,
  type DiffEntry,
  entryChange,
  sumCounts,
} from './diff.ts';
import { PARENT } from './model.ts';

/** A model in the tree of a diff: one that differs, or one that stands above such a model. */
export interface DiffNode {
  readonly key: RecordKey;
  readonly action: DiffAction | 'none';
  readonly entry?: DiffEntry;
  /** Sorted by key. */
  readonly children: readonly DiffNode[];
  /** Over this node and all that is in the tree below it; `none` counts those that only stand above others. */
  readonly counts: DiffCounts;
}

type Draft = { key: RecordKey; entry: DiffEntry | undefined; children: Draft[] };

/** The models of a diff below their parents, from the top. A moved model stands below its new parent. */
export function treeOf(diff: Diff): DiffNode[] {
  const drafts = new Map<RecordKey, Draft>();
  for (const { key, entry } of shownKeys(diff)) drafts.set(key, { key, entry, children: [] });
  const tops: Draft[] = [];
  for (const draft of [...drafts.values()].sort((left, right) => (left.key < right.key ? -1 : 1))) {
    const parent = diff.parents.get(draft.key) ?? null;
    const above = parent === null ? undefined : drafts.get(parent);
    (above?.children ?? tops).push(draft);
  }
  return tops.map(finished);
}

/** Those that differ, and whatever stands above them now: not what only stood above a model that has moved away. */
function* shownKeys(diff: Diff): Generator<{ key: RecordKey; entry: DiffEntry | undefined }> {
  const entries = new Map(diff.entries.map((entry) => [entry.key, entry]));
  const shown = new Set<RecordKey>();
  for (const { key } of diff.entries) {
    for (let at: RecordKey | null = key; at !== null && !shown.has(at); at = diff.parents.get(at) ?? null) {
      shown.add(at);
      yield { key: at, entry: entries.get(at) };
    }
  }
}

function finished({ key, entry, children }: Draft): DiffNode {
  const below = children.map(finished);
  const action = entry?.action ?? 'none';
  const own: DiffCounts = { create: 0, update: 0, delete: 0, none: 0, [action]: 1 };
  const counts = sumCounts([own, ...below.map((child) => child.counts)]);
  return { key, action, children: below, counts, ...(entry === undefined ? {} : { entry }) };
}

const SIGNS: Readonly<Record<DiffNode['action'], string>> = { create: '+', update: '~', delete: '-', none: ' ' };

/**
 * A diff for people: the tree, one line a model (`+` created, `~` updated, `-` deleted, none only stands above) and one a
 * field, then the counts of each level.
 */
export function diffText(diff: Diff): string {
  const lines: string[] = [];
  for (const node of treeOf(diff)) nodeLines(node, '', lines);
  for (const [type, counts] of countLevels(diff)) lines.push(`${type}: ${countsText(counts)}`);
  return lines.join('\n');
}

export function countsText(counts: DiffCounts): string {
  return `${counts.create} to create, ${counts.update} to update, ${counts.delete} to delete, ${counts.none} unchanged`;
}

function nodeLines(node: DiffNode, indent: string, lines: string[]): void {
  lines.push(`${indent}${SIGNS[node.action]} ${node.key}`);
  if (node.entry !== undefined) for (const line of fieldLines(node.entry)) lines.push(`${indent}    ${line}`);
  for (const child of node.children) nodeLines(child, `${indent}  `, lines);
}

function fieldLines(entry: DiffEntry): string[] {
  const { before = {}, after = {} } = entry;
  if (entry.action === 'delete') return [];
  const change = entryChange(entry);
  const names =
    change.op === 'patch' ? [...Object.keys(change.fields), ...change.removed].sort() : Object.keys(after).sort();
  return names.map((name) => {
    const label = name === PARENT ? 'parent' : name;
    if (entry.action === 'create') return `${label}: ${valueText(after, name)}`;
    return `${label}: ${valueText(before, name)} → ${valueText(after, name)}`;
  });
}

function valueText(record: SyncRecord, name: string): string {
  const value = Object.hasOwn(record, name) ? record[name] : undefined;
  return value === undefined ? '(none)' : writeJson(value);
}
