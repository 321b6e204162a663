import { diffRoots, fieldsBetween, type StateRoot, sameValue } from '../merkle/index.ts';
import type { Change, Value } from '../state/index.ts';
import type { DomainEvent, Reducer } from './domain.ts';

/** What events make of a state. */
export interface Reduced {
  readonly root: StateRoot;
  readonly changes: readonly Change[];
}

/** Runs events one after the other. @throws whatever the reducer throws, and SyncError `RECORD_MISSING` as `StateRoot.apply` */
export function reduceEvents(reduce: Reducer, state: StateRoot, events: readonly DomainEvent[]): Reduced {
  let root = state;
  const changes: Change[] = [];
  for (const event of events) {
    const made = reduce(root, event);
    root = root.apply(made);
    for (const change of made) changes.push(change);
  }
  return { root, changes };
}

/** The first place, by key and then by field, in which two states differ. `field` is absent where only one has the record. */
export interface FirstDifference {
  readonly key: string;
  readonly field?: string;
}

/** Where two states differ first, or undefined where they are equal. */
export function firstDifference(left: StateRoot, right: StateRoot): FirstDifference | undefined {
  const [first] = diffRoots(left, right);
  if (!first) return undefined;
  const { key } = first;
  if (!first.left || !first.right) return { key };
  const { fields, removed } = fieldsBetween(first.left, first.right);
  const [field] = [...Object.keys(fields), ...removed].sort();
  return field === undefined ? { key } : { key, field };
}

export function differenceText({ key, field }: FirstDifference): string {
  return field === undefined ? key : `field ${JSON.stringify(field)} of ${key}`;
}

/** An event whose reducer does not always do the same. */
export interface Nondeterminism {
  readonly event: DomainEvent;
  /** Where two runs went apart; undefined where they came to the same state by other changes, or one of them threw. */
  readonly difference: FirstDifference | undefined;
}

/**
 * Runs events again on the state that they were run on, and compares with what they made of it: the changes, one by one,
 * and the state. Finds a reducer that depends on a clock, on randomness, on something it counts, or that changes what it was given.
 */
export function findNondeterminism(
  reduce: Reducer,
  state: StateRoot,
  events: readonly DomainEvent[],
  expected: Reduced,
): Nondeterminism | undefined {
  let root = state;
  let done = 0;
  for (const [index, event] of events.entries()) {
    let made: readonly Change[];
    try {
      made = reduce(root, event);
    } catch {
      return { event, difference: undefined };
    }
    const before = expected.changes.slice(done, done + made.length);
    if (!isSameChanges(before, made)) return { event, difference: differenceBetween(root, before, made) };
    done += made.length;
    // The same changes on the same state: where that led to is known, and only the next event would have to know it.
    if (index + 1 < events.length) root = root.apply(made);
  }
  const last = events.at(-1);
  if (done === expected.changes.length || !last) return undefined;
  return { event: last, difference: firstDifference(expected.root, state.apply(expected.changes.slice(0, done))) };
}

/** Where two lists of changes to a state lead apart; undefined where they do not, or where one cannot be applied. */
function differenceBetween(
  root: StateRoot,
  before: readonly Change[],
  made: readonly Change[],
): FirstDifference | undefined {
  const wanted = applied(root, before);
  const again = applied(root, made);
  return wanted && again && firstDifference(wanted, again);
}

function applied(root: StateRoot, changes: readonly Change[]): StateRoot | undefined {
  try {
    return root.apply(changes);
  } catch {
    return undefined;
  }
}

function isSameChanges(left: readonly Change[], right: readonly Change[]): boolean {
  return sameValue(left as unknown as Value, right as unknown as Value);
}

/** For people: which event, and where. */
export function nondeterminismText({ event, difference }: Nondeterminism, version: number): string {
  const place = difference ? `, first in ${differenceText(difference)}` : '';
  return `the reducer is not deterministic: ${event.type} at version ${version}, run twice on one state, does two things${place}`;
}
