import type { StateMerkleTree, StateRoot } from '../merkle/index.ts';
import type { RecordKey, SyncRecord, Value } from '../state/index.ts';
import { findCycle } from './hierarchy.ts';
import { type ModelSet, PARENT, parentOf } from './model.ts';

export interface MergeRules {
  readonly models: ModelSet;
  /** Whose hierarchy counts where the moves of both sides together make a cycle. The source's unless given. */
  readonly prefer?: 'source' | 'destination';
}

interface MergeSides {
  readonly base: StateRoot;
  readonly source: StateRoot;
  readonly destination: StateRoot;
}

/**
 * Makes a merged state a hierarchy again. A parent that one side deleted while the other put something below it is brought back; where the
 * moves of both sides make a cycle, those of the side that is not preferred are taken back. Both steps only ever add: nothing that
 * was brought back goes away again, and no move is taken back twice, so it comes to an end. Answers the keys that it touched, sorted.
 */
export function mendHierarchy(
  merged: StateMerkleTree,
  changed: readonly RecordKey[],
  sides: MergeSides,
  rules: MergeRules,
): RecordKey[] {
  const mended = new Set<RecordKey>();
  const preferred = rules.prefer === 'destination' ? sides.destination : sides.source;
  let grounded = new Set<RecordKey>();
  const queue = [...changed];
  for (let index = 0; index < queue.length; index++) {
    const key = queue[index]!;
    const record = merged.get(key);
    if (record === undefined) continue;
    const parent = parentOf(record);
    const lost = parent === null || merged.has(parent) ? undefined : formerOf(parent, sides);
    if (lost !== undefined) {
      merged.put(parent!, lost);
      mended.add(parent!);
      queue.push(parent!);
      grounded = new Set();
    }
    const cycle = findCycle(key, merged, grounded);
    if (cycle === undefined) continue;
    grounded = new Set();
    for (const one of cycle) {
      if (!takeBackMove(merged, one, preferred)) continue;
      mended.add(one);
      queue.push(one);
    }
  }
  return [...mended].sort();
}

/** The record that a deleted model had, on the side that still has it. */
function formerOf(key: RecordKey, { base, source, destination }: MergeSides): SyncRecord | undefined {
  return source.get(key) ?? destination.get(key) ?? base.get(key);
}

/** Puts a model back where the preferred side has it. False where it is there already, or unknown to that side. */
function takeBackMove(merged: StateMerkleTree, key: RecordKey, preferred: StateRoot): boolean {
  const record = merged.get(key)!;
  const other = preferred.get(key);
  if (other === undefined || other[PARENT] === record[PARENT]) return false;
  const { [PARENT]: _, ...rest } = record;
  const parent = other[PARENT];
  merged.put(key, parent === undefined ? rest : ({ ...rest, [PARENT]: parent } as Record<string, Value>));
  return true;
}
