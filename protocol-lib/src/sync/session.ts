import type { Random } from '../ports/index.ts';
import type { Change, RecordKey, ReplicaId, SyncRecord, Value } from '../state/index.ts';

/** What commands and reducers may read: records by key, in no promised order. */
export interface StateView {
  get(key: RecordKey): SyncRecord | undefined;
  /** All records whose key starts with `prefix`, such as `item/`. */
  entries(prefix: string): Iterable<readonly [RecordKey, SyncRecord]>;
}

/** Something that happened, as the event log keeps it. `player` is who caused it, `detail` is for people. */
export interface DomainEvent {
  readonly type: string;
  readonly player: string;
  readonly detail: string;
  readonly data?: Value;
}

/** What an authority says to an intent: events that follow, or the reason for which it is refused. */
export type CommandOutcome =
  | { readonly accepted: true; readonly events: readonly DomainEvent[] }
  | { readonly accepted: false; readonly reason: string };

/** Decides on an intent. Pure: the same state, arguments and writer give the same outcome. */
export type CommandHandler = (state: StateView, args: Value, writer: ReplicaId) => CommandOutcome;

/** Turns an event into changes. Pure and deterministic: it runs at the authority, in predictions and in replay. */
export type Reducer = (state: StateView, event: DomainEvent) => readonly Change[];

/** An app as the protocol sees it: its first state, its commands, and what its events do. */
export interface SessionDefinition {
  readonly name: string;
  initialRecords(random: Random): Iterable<readonly [RecordKey, SyncRecord]>;
  readonly commands: Readonly<Record<string, CommandHandler>>;
  readonly reduce: Reducer;
}
