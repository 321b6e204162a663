import { type StateRoot, sameValue } from '../merkle/index.ts';
import type { Change, ReplicaId, Value } from '../state/index.ts';
import { decide, type SessionDefinition } from '../sync/index.ts';
import type { OfflineEntry } from './rows.ts';

/** The committed state with mutations on top, in the order in which they were made, and what each does there: nothing where that is not allowed. */
export interface Predicted {
  readonly root: StateRoot;
  readonly changes: ReadonlyMap<number, readonly Change[]>;
}

export function predict(
  definition: SessionDefinition,
  committed: StateRoot,
  entries: readonly OfflineEntry[],
  device: ReplicaId,
): Predicted {
  let root = committed;
  const changes = new Map<number, readonly Change[]>();
  for (const { mutation } of entries) {
    const decision = decide(definition, root, mutation.command, mutation.args, device);
    changes.set(mutation.counter, decision.accepted ? decision.changes : []);
    if (decision.accepted) root = decision.root;
  }
  return { root, changes };
}

export function isSameChanges(left: readonly Change[], right: readonly Change[]): boolean {
  return sameValue(left as unknown as Value, right as unknown as Value);
}
