import { SyncError } from '@syncscope/protocol/errors';
import type { Random } from '@syncscope/protocol/ports';
import { type Change, type RecordKey, recordKey, type SyncRecord, type Value } from '@syncscope/protocol/state';
import type { StateView } from '@syncscope/protocol/sync';

/** A change of one field that nobody made, and what it was before. */
export interface Drift {
  readonly change: Change;
  readonly key: RecordKey;
  readonly field: string;
  readonly before: Value;
  readonly after: Value;
}

/** What is worth a drift: this field of the records whose keys begin so. */
export interface Shown {
  readonly prefix: string;
  readonly field: string;
}

/** The first that there are: what is written seldom comes first, since the next write would hide the drift before a hash shows it. */
const SHOWN_FIELDS: readonly Shown[] = [
  { prefix: 'item/', field: 'owner' },
  { prefix: 'player/', field: 'room' },
];

/**
 * Chooses a value to change so that one sees it: who owns an item, or else where a player is. A key or field
 * that is asked for is taken as it is; `shown` is what is worth it in another scenario. Never the value that is there already.
 * @throws SyncError `FAULT_INVALID` where there is no such record or field
 */
export function chooseDrift(
  state: StateView,
  random: Random,
  askedKey?: string,
  askedField?: string,
  shown?: Shown,
): Drift {
  const fields: readonly Shown[] = shown ? [shown] : SHOWN_FIELDS;
  const key = askedKey === undefined ? pick(shownKeys(state, fields), random) : recordKey(askedKey);
  const record = key && state.get(key);
  if (!key || !record) throw invalid(`there is no record ${askedKey ?? 'to change'}`);
  const field = askedField ?? shownField(key, record, fields);
  if (field === undefined || !Object.hasOwn(record, field)) throw invalid(`${key} has no field ${askedField ?? ''}`);
  const before = record[field] ?? null;
  const after = otherValue(state, key, field, before, random);
  return { change: { op: 'patch', key, fields: { [field]: after }, removed: [] }, key, field, before, after };
}

function shownKeys(state: StateView, shown: readonly Shown[]): RecordKey[] {
  for (const { prefix, field } of shown) {
    const keys = [...state.entries(prefix)].filter(([, record]) => Object.hasOwn(record, field)).map(([key]) => key);
    // Entries come in no promised order; the choice must depend on the seed alone.
    if (keys.length > 0) return keys.sort();
  }
  return [];
}

function shownField(key: RecordKey, record: SyncRecord, shown: readonly Shown[]): string | undefined {
  return shown.find(({ prefix }) => key.startsWith(prefix))?.field ?? Object.keys(record).sort()[0];
}

/** A value of the same kind that other records have in this field, or one made up. */
function otherValue(state: StateView, key: RecordKey, field: string, before: Value, random: Random): Value {
  const names = (prefix: string): string[] =>
    [...state.entries(prefix)].map(([one]) => one.slice(prefix.length)).sort();
  if (key.startsWith('item/') && field === 'owner') {
    const other = pick(
      names('player/').filter((one) => one !== before),
      random,
    );
    return other ?? (before === null ? 'nobody' : null);
  }
  if (field === 'room')
    return (
      pick(
        names('room/').filter((one) => one !== before),
        random,
      ) ?? 'nowhere'
    );
  switch (typeof before) {
    case 'number':
      return before + 1 + Math.floor(random.next() * 9);
    case 'boolean':
      return !before;
    case 'string':
      return `${before}~`;
    default:
      return before === null ? 'drifted' : null;
  }
}

function pick<T>(choices: readonly T[], random: Random): T | undefined {
  return choices[Math.floor(random.next() * choices.length)];
}

function invalid(what: string): SyncError {
  return new SyncError('FAULT_INVALID', `cannot corrupt: ${what}`, { origin: 'setting' });
}
