import { patched } from '../merkle/index.ts';
import type { Change, SyncRecord, Value } from '../state/index.ts';
import type { FieldGroup, Reducer, SessionDefinition } from './session.ts';

/**
 * The definition with a reducer whose patches carry field groups whole; the very same where it declares none.
 * @throws RangeError for a group that is none: fewer than two fields, or a field that stands in two groups of one record
 */
export function withWholeGroups(definition: SessionDefinition): SessionDefinition {
  const { groups } = definition;
  if (!groups || groups.length === 0) return definition;
  checkGroups(groups);
  return { ...definition, reduce: wholeReducer(groups, (state, event) => definition.reduce(state, event)) };
}

function checkGroups(groups: readonly FieldGroup[]): void {
  for (const [index, { collection, fields }] of groups.entries()) {
    if (fields.length < 2) throw new RangeError(`the group of ${collection} has fewer than two fields`);
    if (new Set(fields).size < fields.length) throw new RangeError(`the group of ${collection} has a field twice`);
    for (const other of groups.slice(0, index)) {
      const isShared = collection.startsWith(other.collection) || other.collection.startsWith(collection);
      const field = isShared ? fields.find((one) => other.fields.includes(one)) : undefined;
      if (field !== undefined) throw new RangeError(`field ${field} of ${collection} stands in two groups`);
    }
  }
}

function wholeReducer(groups: readonly FieldGroup[], reduce: Reducer): Reducer {
  return (state, event) => {
    // A later change of the same event builds upon what an earlier one made of the record.
    const made = new Map<string, SyncRecord | undefined>();
    return reduce(state, event).map((change) => {
      const before = made.has(change.key) ? made.get(change.key) : state.get(change.key);
      const whole = wholeChange(groups, change, before);
      made.set(change.key, afterChange(before, whole));
      return whole;
    });
  };
}

function afterChange(before: SyncRecord | undefined, change: Change): SyncRecord | undefined {
  if (change.op === 'put') return change.record;
  return change.op === 'patch' && before ? patched(before, change.fields, change.removed) : undefined;
}

/**
 * The change with every group that it touches carried whole: what it says nothing of is as in `record`, the one that it changes. A put
 * and a remove are whole already. Applied to `record`, it does what it did before.
 */
export function wholeChange(groups: readonly FieldGroup[], change: Change, record: SyncRecord | undefined): Change {
  if (change.op !== 'patch' || record === undefined) return change;
  const isSaid = (field: string) => Object.hasOwn(change.fields, field) || change.removed.includes(field);
  const touched = groups.filter(({ collection, fields }) => change.key.startsWith(collection) && fields.some(isSaid));
  const unsaid = touched.flatMap(({ fields }) => fields.filter((field) => !isSaid(field)));
  if (unsaid.length === 0) return change;
  const fields: Record<string, Value> = { ...change.fields };
  const removed = [...change.removed];
  for (const field of unsaid) {
    const value = Object.hasOwn(record, field) ? record[field] : undefined;
    if (value === undefined) removed.push(field);
    else fields[field] = value;
  }
  return { ...change, fields, removed };
}
