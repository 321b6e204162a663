import { ownCopy, packMsgpack } from '../bytes/index.ts';
import { SyncError } from '../errors/index.ts';
import type { StateRoot } from '../merkle/index.ts';
import type { OfflineMutation, Touched } from '../messages/index.ts';
import { type Change, type RecordKey, recordKey, type Value } from '../state/index.ts';
import { type Decision, decide, isSendable, type SessionDefinition } from '../sync/index.ts';
import { type DeviceChange, type DeviceState, idMap, presentName, unsettled, writesBetween } from './device-state.ts';
import { type References, renameInArgs } from './references.ts';
import type { IdRow, OfflineEntry } from './rows.ts';
import { parseTemporary, temporaryError, temporaryId } from './temp-ids.ts';

/** What a user wants done. */
export interface Intent {
  readonly command: string;
  readonly args: Value;
}

/** Makes the keys of records that an intent will create. */
export interface NewKeys {
  /** A key of its own in a collection, such as `note/~phone-7` in `note`. @throws SyncError `KEY_INVALID` */
  create(collection: string): RecordKey;
}

/** An intent, or, where it creates records, how it is made of their keys. May be called more than once. */
export type IntentMaker = Intent | ((keys: NewKeys) => Intent);

export interface QueueLimits {
  /** Mutations of which it is not known how they ended. */
  readonly maxUnsettled: number;
  /** Bytes of one mutation with the records that it touches. */
  readonly maxMutation: number;
  /** Settled mutations that are kept for showing: of those that went well, and of those that did not. */
  readonly keepReconciled: number;
  readonly keepRefused: number;
  /** What became of this many temporary ids is kept. */
  readonly keepIds: number;
}

export const QUEUE_LIMITS: QueueLimits = {
  maxUnsettled: 10_000,
  maxMutation: 512 * 1024,
  keepReconciled: 100,
  keepRefused: 1_000,
  keepIds: 10_000,
};

/** What adding a mutation depends on. */
export interface AddContext {
  readonly definition: SessionDefinition;
  readonly references: References;
  readonly limits: QueueLimits;
  /** The state with everything that waits on top. */
  readonly root: StateRoot;
  readonly now: number;
}

export type Added =
  | {
      readonly entry: OfflineEntry;
      readonly change: DeviceChange;
      readonly decision: Extract<Decision, { accepted: true }>;
    }
  | { readonly rejected: string };

/**
 * The next mutation of a device, as it is to be stored. Refused where the state here does not allow it.
 * @throws SyncError `OFFLINE_QUEUE_FULL`; `OFFLINE_TOO_LARGE`; `VALUE_INVALID` and the like for arguments that are none;
 *   `TEMP_ID_UNKNOWN`, `TEMP_ID_UNMAPPED`
 */
export function addMutation(state: DeviceState, make: IntentMaker, context: AddContext): Added {
  const { meta } = state;
  const { limits, root, now } = context;
  if (meta.counter - meta.settled >= limits.maxUnsettled) {
    const text = `${limits.maxUnsettled} mutations wait already: reconnect before making more`;
    throw new SyncError('OFFLINE_QUEUE_FULL', text, { origin: 'state', retry: 'backoff' });
  }
  const created: RecordKey[] = [];
  const keys: NewKeys = {
    create(collection) {
      const number = meta.temporaries + created.length + 1;
      const key = recordKey(`${collection}/${temporaryId({ device: meta.device, number })}`);
      created.push(key);
      return key;
    },
  };
  const { command, args: given } = typeof make === 'function' ? make(keys) : make;
  const named = presentArgs(state, context.references, command, given, created);
  if (!isSendable(command, named)) return { rejected: 'the command or its arguments cannot be sent' };
  // It is run and sent again later, as it was meant now.
  const args = ownCopy(named);
  const decision = decide(context.definition, root, command, args, meta.device);
  if (!decision.accepted) return { rejected: decision.reason };
  const counter = meta.counter + 1;
  const mutation: OfflineMutation = {
    counter,
    command,
    args,
    creates: created,
    madeAt: Math.max(0, Math.floor(now)),
    madeOn: state.committed.version,
    base: touched(decision.changes, root),
    mine: touched(decision.changes, decision.root),
  };
  const size = packMsgpack(mutation).length;
  if (size > limits.maxMutation) {
    const text = `${command} with the records that it touches has ${size} bytes, at most ${limits.maxMutation}`;
    throw new SyncError('OFFLINE_TOO_LARGE', text, { origin: 'state' });
  }
  const entry: OfflineEntry = { mutation, state: 'pending', sends: 0, rebases: 0, alterations: 0, conflicts: [] };
  const after = {
    ...state,
    meta: { ...meta, counter, temporaries: meta.temporaries + created.length },
    entries: new Map(state.entries).set(counter, entry),
    ids: withNewIds(state.ids, created, counter, meta.temporaries),
  };
  return { entry, decision, change: { after, writes: writesBetween(state, after) } };
}

/** The arguments with every temporary id as it is called now. */
function presentArgs(
  state: DeviceState,
  references: References,
  command: string,
  args: Value,
  created: readonly RecordKey[],
): Value {
  const own = new Set(created.map((key) => parseTemporary(key)?.number));
  const map = idMap(state);
  return renameInArgs(references, command, args, (text) => {
    const id = parseTemporary(text);
    if (!id || (id.device === state.meta.device && own.has(id.number))) return text;
    if (id.device !== state.meta.device) {
      const message = `${JSON.stringify(text.slice(0, 80))} is a temporary id of another device`;
      throw temporaryError('TEMP_ID_UNKNOWN', message, text);
    }
    return presentName(state, map, text, id.number);
  });
}

function withNewIds(
  ids: DeviceState['ids'],
  created: readonly RecordKey[],
  counter: number,
  before: number,
): DeviceState['ids'] {
  if (created.length === 0) return ids;
  const after = new Map(ids);
  created.forEach((temporary, index) => {
    const row: IdRow = { number: before + index + 1, counter, state: 'waiting', temporary };
    after.set(row.number, row);
  });
  return after;
}

/** The records that changes touch, each once, as a state has them. */
function touched(changes: readonly Change[], root: StateRoot): Touched[] {
  return [...new Set(changes.map(({ key }) => key))].map((key) => ({ key, record: root.get(key) ?? null }));
}

/** The oldest mutations that wait, as many as one request may carry; at least one where there is any. */
export function nextBatch(state: DeviceState, maxMutations: number, maxBytes: number): OfflineEntry[] {
  const batch: OfflineEntry[] = [];
  let bytes = 0;
  for (const entry of unsettled(state)) {
    bytes += packMsgpack(entry.mutation).length;
    if (batch.length > 0 && (batch.length >= maxMutations || bytes > maxBytes)) break;
    batch.push(entry);
  }
  return batch;
}
