import { SyncError } from '../errors/index.ts';
import type { StateRoot } from '../merkle/index.ts';
import type { RecordKey } from '../state/index.ts';
import { type ModelSet, type ModelType, parentOf, typeName } from './model.ts';

/** What asks for a record, such as a state, or one with changes laid over it. */
export type ModelLookup = Pick<StateRoot, 'get'>;

/**
 * Checks that each model stands where its type may stand, under a parent that is there, and that nobody is below itself.
 * @throws SyncError `MODEL_PARENT_UNKNOWN`, `MODEL_PARENT_WRONG` or `MODEL_CYCLE`, with the key of the model
 */
export function checkHierarchy(models: ModelSet, root: StateRoot): void {
  /** Known to stand below the top. */
  const grounded = new Set<RecordKey>();
  for (const [key, record] of root.entries()) {
    checkPlace(models.typeOf(key), key, parentOf(record), root);
    const cycle = findCycle(key, root, grounded);
    if (cycle !== undefined) {
      fault('MODEL_CYCLE', key, `it stands below itself: ${[...cycle, cycle[0]].join(' under ')}`);
    }
  }
}

/** @throws SyncError `MODEL_PARENT_UNKNOWN` or `MODEL_PARENT_WRONG` */
function checkPlace(type: ModelType, key: RecordKey, parent: RecordKey | null, root: ModelLookup): void {
  if (!type.under.includes(parent === null ? null : typeName(parent))) {
    const allowed = type.under.map((one) => one ?? 'the top').join(', ');
    fault('MODEL_PARENT_WRONG', key, `it stands under ${parent ?? 'the top'}, where only ${allowed} may be`);
  }
  if (parent !== null && root.get(parent) === undefined) {
    fault('MODEL_PARENT_UNKNOWN', key, `its parent ${parent} is not there`);
  }
}

function fault(code: string, key: RecordKey, what: string): never {
  throw new SyncError(code, `${key}: ${what}`, { origin: 'state', place: { key } });
}

/**
 * The keys of the cycle into which the way up from `key` leads; undefined where it leads to the top, or to a parent that is
 * not there. All on the way up are then added to `grounded`.
 */
export function findCycle(key: RecordKey, root: ModelLookup, grounded: Set<RecordKey>): RecordKey[] | undefined {
  const way: RecordKey[] = [];
  const seen = new Set<RecordKey>();
  let at: RecordKey | null = key;
  while (at !== null && !grounded.has(at)) {
    if (seen.has(at)) return way.slice(way.indexOf(at));
    way.push(at);
    seen.add(at);
    const record = root.get(at);
    at = record === undefined ? null : parentOf(record);
  }
  for (const one of way) grounded.add(one);
  return undefined;
}
