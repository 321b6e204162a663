import { isCanonical, packMsgpack, VALUE_MAX_DEPTH } from '../bytes/index.ts';
import type { StateRoot } from '../merkle/index.ts';
import { fitText } from '../schema/index.ts';
import type { Change, ReplicaId, SyncRecord, Value } from '../state/index.ts';
import type { DomainEvent, SessionDefinition } from './session.ts';

/** What a mutation does to a state: the events, their changes in order and the state after. */
export type Decision =
  | {
      readonly accepted: true;
      readonly events: readonly DomainEvent[];
      readonly changes: readonly Change[];
      /** The same root as before where nothing changed. */
      readonly root: StateRoot;
    }
  | { readonly accepted: false; readonly reason: string };

/** Records nested deeper could not be sent: a frame wraps them, and both count towards the limit of 64. */
export const RECORD_MAX_DEPTH = 48;
const REASON_MAX_LENGTH = 500;

/**
 * Runs one command against a state: validation, events, reducer, changes. Changes nothing; what the app's
 * own code throws becomes a refusal, so that one bad command ends neither the authority nor a client.
 */
export function decide(
  definition: SessionDefinition,
  state: StateRoot,
  command: string,
  args: Value,
  writer: ReplicaId,
): Decision {
  const handler = Object.hasOwn(definition.commands, command) ? definition.commands[command] : undefined;
  if (handler === undefined) return refuse(`unknown command ${JSON.stringify(command)}`);
  try {
    const outcome = handler(state, args, writer);
    if (!outcome.accepted) return refuse(outcome.reason);
    const changes: Change[] = [];
    let root = state;
    for (const event of outcome.events) {
      const made = definition.reduce(root, event);
      if (!made.every(isSendableChange)) return refuse(`${command} nests a record deeper than ${RECORD_MAX_DEPTH}`);
      root = root.apply(made);
      changes.push(...made);
    }
    return { accepted: true, events: outcome.events, changes, root };
  } catch (error) {
    return refuse(`${command} failed: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** A refusal with a reason that is not too long. */
export function refuse(reason: string): Extract<Decision, { accepted: false }> {
  return { accepted: false, reason: fitText(reason, REASON_MAX_LENGTH) };
}

function isSendableChange(change: Change): boolean {
  return change.op === 'remove' || isSendableRecord(change.op === 'put' ? change.record : change.fields);
}

/** Bytes of a command's arguments, so that its frame stays well below what an authority takes. */
const ARGUMENTS_MAX_LENGTH = 512 * 1024;

/** Whether a COMMAND can carry this. One that could not would be pending for ever. */
export function isSendable(command: string, args: Value): boolean {
  if (command.length > 80 || !command.isWellFormed()) return false;
  return isCanonical(args, VALUE_MAX_DEPTH - RECORD_MAX_DEPTH) && packMsgpack(args).length <= ARGUMENTS_MAX_LENGTH;
}

/** Whether a frame can carry this record. */
export function isSendableRecord(record: SyncRecord): boolean {
  return isCanonical(record, VALUE_MAX_DEPTH - RECORD_MAX_DEPTH);
}
