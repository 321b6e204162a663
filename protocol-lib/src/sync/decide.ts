import { canonicalBytes, isCanonical, isPlainMap, packMsgpack, VALUE_MAX_DEPTH } from '../bytes/index.ts';
import type { StateRoot } from '../merkle/index.ts';
import { fitText } from '../schema/index.ts';
import { type Change, isRecordKey, type ReplicaId, type SyncRecord, type Value } from '../state/index.ts';
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
      if (!isTellable(event)) return refuse(`${command} tells of an event whose type, player or detail is no text`);
      const made = definition.reduce(root, event);
      const flawed = made.find(isFlawed);
      if (flawed) return refuse(`${command} ${flawText(flawed)}`);
      root = root.apply(made);
      for (const change of made) changes.push(change);
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

function isTellable({ type, player, detail }: DomainEvent): boolean {
  return typeof type === 'string' && typeof player === 'string' && typeof detail === 'string';
}

/** Whether a frame can carry this change, as far as its record goes. The key of a record that is there is known to be one. */
export function isSendableChange(change: Change): boolean {
  if (change.op === 'remove') return true;
  return change.op === 'put'
    ? isRecordKey(change.key) && isSendableRecord(change.record)
    : isSendableRecord(change.fields);
}

type Written = Exclude<Change, { op: 'remove' }>;

/** What a reducer answers is the app's word: what every client would refuse is refused here. */
function isFlawed(change: Change): change is Written {
  return !isSendableChange(change);
}

/** Why a change cannot be sent, after the name of what makes it. */
export function flawText(change: Written): string {
  const { op, key } = change;
  const shown = JSON.stringify(String(key).slice(0, 64));
  if (op === 'put' && !isRecordKey(key)) return `puts a record under ${shown}, which is not of the form collection/id`;
  const record = op === 'put' ? change.record : change.fields;
  if (!isPlainMap(record)) return `makes of ${shown} what is no record`;
  if (isCanonical(record)) return `nests ${shown} deeper than ${RECORD_MAX_DEPTH}`;
  try {
    canonicalBytes(record);
    return `puts into ${shown} what is neither a plain value nor a list or map of such`;
  } catch (error) {
    return `puts into ${shown} what cannot be sent: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** Bytes of a command's arguments, so that its frame stays well below what an authority takes. */
const ARGUMENTS_MAX_LENGTH = 512 * 1024;

/** Whether a COMMAND can carry this. One that could not would be pending for ever. */
export function isSendable(command: string, args: Value): boolean {
  if (command.length > 80 || !command.isWellFormed()) return false;
  return isCanonical(args, VALUE_MAX_DEPTH - RECORD_MAX_DEPTH) && packMsgpack(args).length <= ARGUMENTS_MAX_LENGTH;
}

/** Whether a frame can carry this record. */
function isSendableRecord(record: SyncRecord): boolean {
  return isPlainMap(record) && isCanonical(record, VALUE_MAX_DEPTH - RECORD_MAX_DEPTH);
}
