import type { DomainEvent, Reducer, StateView } from '../events/index.ts';
import type { Random } from '../ports/index.ts';
import { type Schema, secretPaths } from '../schema/index.ts';
import type { RecordKey, ReplicaId, SyncRecord, Value } from '../state/index.ts';

export type { DomainEvent, Reducer, StateView } from '../events/index.ts';

/** What an authority says to an intent: events that follow, or the reason for which it is refused. */
export type CommandOutcome =
  | { readonly accepted: true; readonly events: readonly DomainEvent[] }
  | { readonly accepted: false; readonly reason: string };

/** Decides on an intent. Pure: the same state, arguments and writer give the same outcome. */
export type CommandHandler = (state: StateView, args: Value, writer: ReplicaId) => CommandOutcome;

/**
 * What a client may see. Everything that is kept from it never leaves the authority; that others take part, how many mutations they
 * made, and the session's version, are no secrets. A command is refused or not by the whole state, and its reason is told to its writer.
 */
export interface SessionView {
  /** Names the view: two with one id see the same of every state. Clients whose views have one id share one encoding. */
  readonly id: string;
  /** Whether it holds a record. Pure: by the key and the record alone. */
  sees(key: RecordKey, record: SyncRecord): boolean;
  /** Whether an event may be told. Where absent, only who caused it is told. */
  hears?(event: DomainEvent): boolean;
}

/** A client's view of a state, such as the room that its own record says it is in. Pure. One that throws sees nothing. */
export type ViewFunction = (state: StateView, replica: ReplicaId) => SessionView;

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
  /**
   * What records hold, by their collection, such as `player`. It says which fields are secret (`secret` of the schemas), so that no recording tells them
   * ({@link secretFields}); the reducer is not held to it.
   */
  readonly recordSchemas?: Readonly<Record<string, Schema<unknown>>>;
  /** Where absent, every client sees everything. With it, names are written out in frames, since a shared table would tell them to all. */
  readonly view?: ViewFunction;
  /** The rules by which clients predict, where they know less: for a session that is run again. Who makes a client gives it its rules. */
  readonly asPlayed?: SessionDefinition;
}

/** The fields that a session marks as secret, for the header of its trace; nothing where there are none. */
export function secretFields({
  recordSchemas = {},
}: {
  readonly recordSchemas?: SessionDefinition['recordSchemas'] | undefined;
}): { readonly secrets?: string[] } {
  const secrets = secretPaths(recordSchemas);
  return secrets.length > 0 ? { secrets } : {};
}
