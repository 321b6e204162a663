import type { HybridStamp, VectorEntry } from '../clock/index.ts';
import { changesBetween, type StateRoot } from '../merkle/index.ts';
import type { Change, SyncRecord, Value } from '../state/index.ts';
import { checkMutation, type Mutation } from './mutation.ts';
import type { PolicyTable } from './policy.ts';
import { fieldsOf } from './unit-history.ts';

/** What somebody wants to do to `state`. */
export interface Draft {
  readonly state: StateRoot;
  readonly stamp: HybridStamp;
  readonly counter: number;
  /** What was seen of all writers. */
  readonly seen: readonly VectorEntry[];
  readonly role: string;
  readonly command: string;
  readonly args: Value;
  readonly changes: readonly Change[];
}

/**
 * The mutation of a draft: its changes brought to one a record, each with its base.
 * @throws SyncError `RECORD_MISSING` where they do not fit the state, `MUTATION_INVALID`, and as `StateMerkleTree.put`
 */
export function draftMutation(policies: PolicyTable, draft: Draft): Mutation {
  const { state, stamp, counter, seen, role, command, args } = draft;
  const changes = draft.changes.length === 0 ? [] : changesBetween(state, state.apply(draft.changes));
  const mutation: Mutation = {
    writer: stamp.replica,
    counter,
    time: stamp.time,
    count: stamp.count,
    seen: seen.filter(({ replica }) => replica !== stamp.replica),
    role,
    command,
    args,
    changes,
    before: changes.map((change) => baseOf(policies, change, state.get(change.key))),
  };
  checkMutation(mutation);
  return mutation;
}

/** Of the record before a change what the change decides upon: with a field its whole group. */
function baseOf(policies: PolicyTable, change: Change, record: SyncRecord | undefined): SyncRecord | null {
  if (record === undefined) return null;
  if (change.op !== 'patch') return record;
  const units = policies.unitsOf(change.key, [...Object.keys(change.fields), ...change.removed]);
  return Object.assign({}, ...units.map((unit) => fieldsOf(unit, record))) as SyncRecord;
}
