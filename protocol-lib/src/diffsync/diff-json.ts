import { SyncError } from '../errors/index.ts';
import { parseJson, writeJson } from '../messages/index.ts';
import { array, literal, nullable, object, optional, string, uint } from '../schema/index.ts';
import { recordKeySchema, recordSchema, stateHashSchema } from '../state/index.ts';
import { type Diff, type DiffEntry, diffEntry } from './diff.ts';

/** Of the JSON form. Raised where it changes; a newer one than this is refused. */
export const DIFF_FORMAT = 1;

const diffSchema = object({
  format: literal(DIFF_FORMAT),
  from: stateHashSchema,
  to: stateHashSchema,
  entries: array(object({ key: recordKeySchema, before: optional(recordSchema), after: optional(recordSchema) })),
  parents: array(object({ key: recordKeySchema, parent: nullable(recordKeySchema) })),
  totals: array(object({ type: string(64), count: uint })),
});

/** A diff as one line of JSON. Values that JSON has not (NaN, -0, bytes) are written as objects, as everywhere in this library. */
export function diffToJson(diff: Diff): string {
  return writeJson({
    format: DIFF_FORMAT,
    from: diff.from,
    to: diff.to,
    entries: diff.entries.map(({ key, before, after }) => ({
      key,
      ...(before === undefined ? {} : { before }),
      ...(after === undefined ? {} : { after }),
    })),
    parents: [...diff.parents].map(([key, parent]) => ({ key, parent })),
    totals: [...diff.totals].map(([type, count]) => ({ type, count })),
  });
}

/**
 * The diff in JSON that {@link diffToJson} has written.
 * @throws SyncError `TEXT_SYNTAX` with its column, `SCHEMA_MISMATCH` with its path, `DIFF_INVALID` where it contradicts itself
 */
export function diffFromJson(json: string): Diff {
  const { from, to, entries, parents, totals } = diffSchema.parse(parseJson(json, 'a diff'), 'diff');
  const diff: Diff = {
    from,
    to,
    entries: entries.map(({ key, before, after }): DiffEntry => {
      if (before === undefined && after === undefined) invalid(`${key} is neither before nor after`, key);
      return diffEntry(key, before, after);
    }),
    parents: new Map(parents.map(({ key, parent }) => [key, parent])),
    totals: new Map(totals.map(({ type, count }) => [type, count])),
  };
  checkDiff(diff);
  return diff;
}

/** Keys in order and once, parents known, and nobody above itself: whoever walks the tree of a diff comes to an end. */
function checkDiff({ entries, parents }: Diff): void {
  const grounded = new Set<string>();
  for (const [index, { key }] of entries.entries()) {
    if (index > 0 && entries[index - 1]!.key >= key) invalid(`${key} is out of order or given twice`, key);
    if (!parents.has(key)) invalid(`the parent of ${key} is not said`, key);
  }
  for (const start of parents.keys()) {
    const way = new Set<string>();
    for (let at = parents.has(start) ? start : null; at !== null && !grounded.has(at); at = parents.get(at) ?? null) {
      if (way.has(at)) invalid(`${at} stands below itself`, at);
      way.add(at);
    }
    for (const key of way) grounded.add(key);
  }
}

function invalid(what: string, key: string): never {
  throw new SyncError('DIFF_INVALID', `the diff contradicts itself: ${what}`, { origin: 'state', place: { key } });
}
