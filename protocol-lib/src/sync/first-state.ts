import { isCanonical } from '../bytes/index.ts';
import { SyncError } from '../errors/index.ts';
import { type LogSnapshot, type LogState, snapshotOf } from '../events/index.ts';
import { StateRoot } from '../merkle/index.ts';
import type { Random } from '../ports/index.ts';
import { recordKey } from '../state/index.ts';
import { flawText, isSendableChange } from './decide.ts';
import type { SessionDefinition } from './session.ts';

/**
 * The snapshot that a log of this session begins with.
 * @throws SyncError `KEY_INVALID`, `LIMIT_DEPTH`, `VALUE_INVALID`, or as `StateRoot.from`, where a record cannot be sent
 */
export function firstSnapshot(definition: SessionDefinition, random: Random, incarnation?: number): LogSnapshot {
  return snapshotOf(firstState(definition, random, incarnation));
}

/** The state with which a session begins. @throws SyncError as {@link firstSnapshot} */
export function firstState(definition: SessionDefinition, random: Random, incarnation?: number): LogState {
  const root = StateRoot.from(definition.initialRecords(random));
  for (const [key, record] of root.entries()) {
    recordKey(key);
    const put = { op: 'put', key, record } as const;
    if (isSendableChange(put)) continue;
    const code = isCanonical(record) ? 'LIMIT_DEPTH' : 'VALUE_INVALID';
    throw new SyncError(code, `the first state ${flawText(put)}`, { origin: 'state', place: { key } });
  }
  // Version 0 is the empty state, so that no client can hold the first one by accident.
  const drawn = incarnation ?? Math.floor(random.next() * 2 ** 48);
  return { position: 0, version: 1, root, time: 0, writers: new Map(), incarnation: drawn };
}
