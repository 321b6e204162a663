import { packMsgpack, unpackMsgpack } from '../bytes/index.ts';
import { isSyncError, SyncError } from '../errors/index.ts';
import {
  decodeMessage,
  FrameEncoder,
  MESSAGES,
  type Message,
  type MessageBody,
  type MessageType,
  type NameSource,
} from '../messages/index.ts';
import type { Value } from '../state/index.ts';
import type { Travelled } from './journey.ts';

/** What is done otherwise in a branch: to the message of the `send` or `receive` record with this `seq`. */
export type Edit =
  | { readonly kind: 'drop' | 'duplicate'; readonly seq: number }
  | { readonly kind: 'delay'; readonly seq: number /** Nanoseconds. */; readonly by: number }
  | { readonly kind: 'swap'; readonly seq: number; readonly other: number }
  | { readonly kind: 'edit'; readonly seq: number; readonly path: string; readonly value: Value };

/** An edit in a few words, for people. */
export function editText(edit: Edit): string {
  switch (edit.kind) {
    case 'delay':
      return `delay ${edit.seq} by ${edit.by / 1e6} ms`;
    case 'swap':
      return `swap ${edit.seq} and ${edit.other}`;
    case 'edit':
      return `edit ${edit.seq}: ${edit.path}=${JSON.stringify(edit.value)}`;
    default:
      return `${edit.kind} ${edit.seq}`;
  }
}

/**
 * Checks that edits are about messages that a recording has, and that they can be done to them.
 * @param isUnderway whether a message was still on its way when the recording ended
 * @throws SyncError `EDIT_UNKNOWN`, `EDIT_INVALID`, `EDIT_NEVER_ARRIVED`
 */
export function checkEdits(
  edits: readonly Edit[],
  messageOf: (seq: number) => Travelled | undefined,
  isUnderway: (message: Travelled) => boolean,
): void {
  for (const edit of edits) {
    const seqs = edit.kind === 'swap' ? [edit.seq, edit.other] : [edit.seq];
    for (const seq of seqs) {
      const message = messageOf(seq);
      if (!message) {
        const text = `record ${seq} is no message that was sent or received: give the seq of a send or receive record`;
        throw new SyncError('EDIT_UNKNOWN', text, { origin: 'query' });
      }
      if (message.arrivals.length > 0 || edit.kind === 'delay' || (edit.kind !== 'swap' && isUnderway(message)))
        continue;
      const text = `the message of record ${seq} never arrived, so nothing comes of that; a delay of 0 ms lets it arrive`;
      throw new SyncError('EDIT_NEVER_ARRIVED', text, { origin: 'query' });
    }
    if (edit.kind === 'swap' && messageOf(edit.seq) === messageOf(edit.other)) {
      throw new SyncError(
        'EDIT_INVALID',
        `records ${edit.seq} and ${edit.other} are of one message: two can be swapped`,
        {
          origin: 'query',
        },
      );
    }
    if (edit.kind === 'delay' && !(Number.isFinite(edit.by) && edit.by >= 0)) {
      throw new SyncError('EDIT_INVALID', 'a message can be delayed by 0 ms or more', { origin: 'query' });
    }
  }
}

/**
 * A frame with one field of its message set to another value, checked by the message's schema and encoded again. `path` is dotted, such
 * as `changes.0.fields.owner`. Names are written out in full, so no table changes.
 * @throws SyncError `EDIT_PATH_UNKNOWN` where nothing is there, `EDIT_INVALID` where the frame is no message, or would be none
 */
export function editedFrame(frame: Uint8Array, names: NameSource, path: string, value: Value): Uint8Array {
  const { sender, sequence, ...body } = readable(frame, names);
  if (path === 'type') throw invalid('a message of another type is another message: its type cannot be edited');
  const { type, ...fields } = body;
  const changed = checked(type, withValue(fields, path.split('.'), value, path), path);
  const encoder = new FrameEncoder(sender);
  encoder.names.seal();
  const encoded = encoder.encode(changed).at(-1);
  if (!encoded) throw new TypeError('a message has a frame');
  const tuple = unpackMsgpack(encoded.frame);
  if (!Array.isArray(tuple)) throw new TypeError('a frame is an array');
  const again = packMsgpack(tuple.map((part: Value, at: number) => (at === 2 ? sequence : part)));
  // Fields can fit their schemas and not each other, such as a delta that leads back.
  orInvalid(path, () => decodeMessage(again, names));
  return again;
}

function readable(frame: Uint8Array, names: NameSource): Message {
  try {
    return decodeMessage(frame, names);
  } catch (cause) {
    if (!isSyncError(cause)) throw cause;
    throw invalid(`the frame cannot be read, so nothing in it can be edited: ${cause.message}`, cause);
  }
}

/** What the schema does not allow is no message: better said here than found as a refused frame. */
function checked(type: MessageType, fields: unknown, path: string): MessageBody {
  const { schema } = MESSAGES[type];
  return { type, ...orInvalid(path, () => schema.parse(fields, type)) } as MessageBody;
}

function orInvalid<T>(path: string, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    if (!isSyncError(cause)) throw cause;
    throw invalid(`with that value at ${path} it is no message: ${cause.message}`, cause);
  }
}

function invalid(text: string, cause?: SyncError): SyncError {
  return new SyncError('EDIT_INVALID', text, { origin: 'query', ...(cause ? { cause } : {}) });
}

function withValue(whole: unknown, steps: readonly string[], value: Value, path: string): unknown {
  const [step, ...rest] = steps;
  if (step === undefined) return value;
  if (typeof whole !== 'object' || whole === null || !Object.hasOwn(whole, step)) {
    throw new SyncError('EDIT_PATH_UNKNOWN', `the message has nothing at ${path}`, {
      origin: 'query',
      place: { path },
    });
  }
  const inner = withValue((whole as Record<string, unknown>)[step], rest, value, path);
  if (Array.isArray(whole)) return whole.map((one, at) => (String(at) === step ? inner : one));
  return { ...whole, [step]: inner };
}
