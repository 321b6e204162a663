import type { Change, SyncRecord, Value } from '../state/index.ts';

/**
 * What a state is, as simply as it can be said: a map of records, and a fold of changes over it. The oracle of the simulator,
 * so it shares no code with the trie, the delta or the canonical bytes.
 */
export type SmallState = ReadonlyMap<string, SyncRecord>;

/** Carries out one change. @throws Error where the record that it needs is missing */
export function foldChange(state: Map<string, SyncRecord>, change: Change): void {
  switch (change.op) {
    case 'put':
      state.set(change.key, change.record);
      return;
    case 'remove':
      if (!state.delete(change.key)) throw new Error(`remove of ${change.key}, which is not there`);
      return;
    case 'patch': {
      const before = state.get(change.key);
      if (before === undefined) throw new Error(`patch of ${change.key}, which is not there`);
      const after = new Map(Object.entries(before));
      for (const name of change.removed) after.delete(name);
      for (const [name, value] of Object.entries(change.fields)) after.set(name, value);
      state.set(change.key, Object.fromEntries(after));
      return;
    }
  }
}

/** A value as text that is equal exactly where the values are, numbers by `Object.is`. */
export function textOf(value: Value): string {
  switch (typeof value) {
    case 'number':
      return Object.is(value, -0) ? '-0' : String(value);
    case 'string':
      return JSON.stringify(value);
    case 'boolean':
      return value ? 'true' : 'false';
    default:
      if (value === null) return 'null';
      if (value instanceof Uint8Array) return `<${value.join(' ')}>`;
      if (Array.isArray(value)) return `[${value.map(textOf).join(',')}]`;
      return recordText(value as SyncRecord);
  }
}

function recordText(record: SyncRecord): string {
  const names = Object.keys(record).sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${textOf(record[name]!)}`).join(',')}}`;
}

const texts = new WeakMap<SyncRecord, string>();

/** As {@link textOf}. A record is immutable, so its text is kept; `isFresh` looks again, to find one that was changed after all. */
export function textOfRecord(record: SyncRecord, isFresh = false): string {
  const kept = isFresh ? undefined : texts.get(record);
  if (kept !== undefined) return kept;
  const text = recordText(record);
  texts.set(record, text);
  return text;
}

/** Texts of all records by key. */
export function textsOf(entries: Iterable<readonly [string, SyncRecord]>, isFresh = false): Map<string, string> {
  const result = new Map<string, string>();
  for (const [key, record] of entries) result.set(key, textOfRecord(record, isFresh));
  return result;
}

/** The first difference between two states, for people; undefined where they are equal. */
export function differenceOf(
  own: ReadonlyMap<string, string>,
  theirs: ReadonlyMap<string, string>,
): string | undefined {
  for (const [key, text] of own) {
    const other = theirs.get(key);
    if (other !== text) return `${key} is ${text}, should be ${other ?? 'absent'}`;
  }
  if (own.size === theirs.size) return undefined;
  for (const [key, text] of theirs) if (!own.has(key)) return `${key} is absent, should be ${text}`;
  return undefined;
}

/** Whether a value can be sent at all: no lone surrogate and no `__proto__` in it. */
export function isSendable(value: Value): boolean {
  if (typeof value === 'string') return value.isWellFormed();
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return true;
  if (Array.isArray(value)) return value.every(isSendable);
  return Object.entries(value).every(([name, one]) => name !== '__proto__' && name.isWellFormed() && isSendable(one));
}
