import { recordHash } from '../merkle/index.ts';
import { array, type Infer, literal, nullable, object, string, uint } from '../schema/index.ts';
import {
  type RecordKey,
  recordKey,
  recordKeySchema,
  recordSchema,
  replicaIdSchema,
  type SyncRecord,
} from '../state/index.ts';
import { REOPEN, type Write } from './unit-history.ts';

/** Records of conflicts that wait for a human are part of the state, under keys that begin so: every replica has the same queue. */
export const CONFLICT_COLLECTION = 'conflict/';

/** What such a record holds. */
export const waitingSchema = object({
  key: recordKeySchema,
  unit: string(),
  /** The fields that are in question; null for the whole record. */
  fields: nullable(array(string(256), 1_000)),
  state: literal('waiting', 'decided'),
  base: recordSchema,
  sides: array(object({ writer: replicaIdSchema, counter: uint, role: string(80), value: recordSchema }), 10_000),
  /** Who decided, once somebody has. */
  by: nullable(replicaIdSchema),
  chosen: nullable(recordSchema),
});
export type WaitingConflict = Infer<typeof waitingSchema>;

/** Where the conflict about a unit of a record stands. There is at most one at a time. */
export function conflictKey(key: RecordKey, unit: string): RecordKey {
  return recordKey(`${CONFLICT_COLLECTION}${recordHash(key, { unit })}`);
}

export function waitingRecord(
  key: RecordKey,
  unit: { readonly name: string; readonly fields: readonly string[] | undefined },
  base: SyncRecord,
  heads: readonly Write[],
): SyncRecord {
  return {
    key,
    unit: unit.name,
    fields: unit.fields ? [...unit.fields] : null,
    state: 'waiting',
    base,
    sides: heads.map(({ mutation, after }) => ({
      writer: mutation.writer,
      counter: mutation.counter,
      role: mutation.role,
      value: after,
    })),
    by: null,
    chosen: null,
  };
}

/** The record after somebody decided, or opened it again. */
export function afterDecision(known: SyncRecord, { mutation }: Write, value: SyncRecord): SyncRecord {
  if (mutation.command === REOPEN) return { ...known, state: 'waiting', by: null, chosen: null };
  return { ...known, state: 'decided', by: mutation.writer, chosen: value };
}
