import { recordHash, StateRoot } from '../merkle/index.ts';
import { recordKey, type SyncRecord, type Value } from '../state/index.ts';
import { bazaar } from './bazaar.ts';
import { Stream } from './choices.ts';
import { drawValue } from './operations.ts';
import { isSendable, textOf } from './small-fold.ts';

const OTHER_VALUES: readonly Value[] = [0, -0, 1, Number.NaN, null, false, '', 'x', [], {}, new Uint8Array()];

/**
 * A property that no simulation can see, since all its replicas hash alike: changing, adding or taking away any field
 * of any record, or its key, changes the root hash. Answers the first change that does not, for people; undefined where there is none.
 */
export function findUnhashedChange(seed: number): string | undefined {
  const stream = Stream.of(seed, 'hash');
  const records = new Map(bazaar({ people: ['alice', 'bob'], things: 3, notes: 2 }).initialRecords(stream));
  records.set(recordKey('note/1'), noteOf(stream));
  const before = StateRoot.from(records).hash;
  for (const [key, record] of records) {
    for (const [what, changed] of variantsOf(record, stream)) {
      if (StateRoot.from(new Map(records).set(key, changed)).hash === before) return `${key}: ${what}`;
    }
    const moved = recordKey(`${key}x`);
    if (recordHash(moved, record) === recordHash(key, record)) return `${key} and ${moved} have the same hash`;
  }
  return undefined;
}

function noteOf(stream: Stream): SyncRecord {
  const values = Array.from({ length: 4 }, (_, index) => [`field ${index}`, drawValue(stream)] as const);
  return Object.fromEntries(values.filter(([, value]) => isSendable(value)));
}

/** Each record that differs from this one in one field. */
function* variantsOf(record: SyncRecord, stream: Stream): Generator<readonly [what: string, changed: SyncRecord]> {
  for (const [name, value] of Object.entries(record)) {
    for (const other of [...OTHER_VALUES, drawValue(stream)]) {
      if (!isSendable(other) || textOf(other) === textOf(value)) continue;
      yield [`${name} from ${textOf(value)} to ${textOf(other)}`, { ...record, [name]: other }];
    }
    const { [name]: _, ...rest } = record;
    yield [`${name} taken away`, rest];
    yield [`${name} called otherwise`, { ...rest, [`${name}'`]: value }];
  }
  yield ['a field more', { ...record, more: null }];
}
