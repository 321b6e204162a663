import { type Infer, object, optional, string } from '../schema/index.ts';
import { type Change, type RecordKey, type SyncRecord, valueSchema } from '../state/index.ts';

/** What commands and reducers may read: records by key, in no promised order. */
export interface StateView {
  get(key: RecordKey): SyncRecord | undefined;
  /** All records whose key starts with `prefix`, such as `item/`. */
  entries(prefix: string): Iterable<readonly [RecordKey, SyncRecord]>;
}

export const domainEventSchema = object({
  type: string(),
  player: string(),
  detail: string(),
  data: optional(valueSchema),
});

/** Something that happened, as the event log keeps it. `player` is who caused it, `detail` is for people. */
export type DomainEvent = Infer<typeof domainEventSchema>;

/**
 * Turns an event into changes. Pure and deterministic: it runs at the authority, in predictions and in replay. What it has answered it does not change any
 * more: it may be recorded a moment later.
 */
export type Reducer = (state: StateView, event: DomainEvent) => readonly Change[];
