import { vectorEntriesSchema } from '../../clock/index.ts';
import { StateRoot } from '../../merkle/index.ts';
import { object } from '../../schema/index.ts';
import { type RecordKey, recordKey, type SyncRecord, type Value } from '../../state/index.ts';
import type { ElementId } from './block.ts';
import { invalid, type RgaRun, type RgaState, rgaRunSchema } from './state.ts';

const vectorSchema = object({ entries: vectorEntriesSchema });

/**
 * A whole state as records, for hashes, deltas, diffs and the inspector: `name/@vector`, and a record a run,
 * `name/writer.counter`. Equal states have equal records.
 * @throws RangeError where the state is not a whole one
 */
export function recordsOfState(state: RgaState, name: string): StateRoot {
  if (state.since.length > 0) throw new RangeError('only a whole state has records');
  const records: [RecordKey, SyncRecord][] = [
    [recordKey(`${name}/@vector`), { entries: state.vector as unknown as Value }],
  ];
  for (const run of state.runs) records.push([keyOf(run, name), { ...run } as unknown as SyncRecord]);
  return StateRoot.from(records);
}

/** The state again. @throws SyncError where the records are no such state; the rest is checked where it is merged */
export function stateOfRecords(root: StateRoot, name: string): RgaState {
  const vectorKey = recordKey(`${name}/@vector`);
  const vector = vectorSchema.parse(root.get(vectorKey), vectorKey).entries;
  const runs: RgaRun[] = [];
  for (const [key, record] of root.entries(`${name}/`)) {
    if (key === vectorKey) continue;
    const run = rgaRunSchema.parse(record, key);
    if (keyOf(run, name) !== key) throw invalid(`has a run under ${key} that is not named so`, run);
    runs.push(run);
  }
  return { since: [], vector, runs: parentsFirst(runs), deletions: [] };
}

function keyOf(id: ElementId, name: string): RecordKey {
  return recordKey(`${name}/${id.replica}.${id.counter}`);
}

/** @throws SyncError `CRDT_STATE_INVALID` where runs hang on each other in a circle, or on nothing */
function parentsFirst(runs: readonly RgaRun[]): RgaRun[] {
  const children = new Map<string, RgaRun[]>();
  const nameOf = (side: string, { replica, counter }: ElementId) => `${side} ${replica} ${counter}`;
  for (const run of runs) {
    const name = run.parent === null ? '' : nameOf(run.side, run.parent);
    const list = children.get(name);
    if (list === undefined) children.set(name, [run]);
    else list.push(run);
  }
  const sorted: RgaRun[] = [];
  const pending = [...(children.get('') ?? [])];
  for (let run = pending.pop(); run !== undefined; run = pending.pop()) {
    sorted.push(run);
    const last = { replica: run.replica, counter: run.counter + run.length - 1 };
    pending.push(...(children.get(nameOf('left', run)) ?? []), ...(children.get(nameOf('right', last)) ?? []));
  }
  if (sorted.length < runs.length) throw invalid(`has ${runs.length - sorted.length} runs that hang on nothing`);
  return sorted;
}
