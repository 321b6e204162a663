import type { DomainEvent, Reducer, StateView } from '../events/index.ts';
import type { Random } from '../ports/index.ts';
import type { RecordKey, ReplicaId, SyncRecord, Value } from '../state/index.ts';

export type { DomainEvent, Reducer, StateView } from '../events/index.ts';

/** What an authority says to an intent: events that follow, or the reason for which it is refused. */
export type CommandOutcome =
  | { readonly accepted: true; readonly events: readonly DomainEvent[] }
  | { readonly accepted: false; readonly reason: string };

/** Decides on an intent. Pure: the same state, arguments and writer give the same outcome. */
export type CommandHandler = (state: StateView, args: Value, writer: ReplicaId) => CommandOutcome;

/**
 * Fields that make sense only together, such as the two of a position: no record may have some from one writer and some from another. Every
 * patch that touches one carries all of them, as its writer saw them or meant them.
 */
export interface FieldGroup {
  /** What the keys of the records begin with, such as `player/`. */
  readonly collection: string;
  /** Two or more. */
  readonly fields: readonly string[];
}

/** An app as the protocol sees it: its first state, its commands, and what its events do. */
export interface SessionDefinition {
  readonly name: string;
  initialRecords(random: Random): Iterable<readonly [RecordKey, SyncRecord]>;
  readonly commands: Readonly<Record<string, CommandHandler>>;
  readonly reduce: Reducer;
  /** A field stands in one group of its collection at most. */
  readonly groups?: readonly FieldGroup[];
}
