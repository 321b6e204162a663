import { unpackMsgpack } from '../bytes/index.ts';
import { isSyncError } from '../errors/index.ts';
import { isSecretSchema } from '../schema/index.ts';
import { HEAD_LENGTH } from './codec.ts';
import { MESSAGES, type MessageType, messageType } from './message.ts';
import { type MsgpackNode, nodeEnd, walkMsgpack } from './walk.ts';

const ASTERISK = 0x2a;

/** Where the secret fields of each message are among its fields; only of those that have some. */
const SECRET_FIELDS: ReadonlyMap<MessageType, readonly number[]> = new Map(
  (Object.keys(MESSAGES) as MessageType[]).flatMap((type) => {
    const secret = [...MESSAGES[type].schema.fields.entries()].filter(([, [, schema]]) => isSecretSchema(schema));
    return secret.length === 0 ? [] : [[type, secret.map(([at]) => at)] as const];
  }),
);

/** Messages with fields that are marked as secret: the token of a HELLO. */
export const SECRET_MESSAGES: readonly MessageType[] = [...SECRET_FIELDS.keys()];

/** A frame whose secret fields are filled with asterisks, and what they held. It still decodes, and is as long as it was. */
export interface MaskedFrame {
  readonly frame: Uint8Array;
  readonly secrets: readonly (string | Uint8Array)[];
}

/** The frame as it may be shown: the very same where it has no secret field; undefined for one that may have one and cannot be read. */
export function maskedFrame(frame: Uint8Array): MaskedFrame | undefined {
  const value = unpacked(frame);
  if (!Array.isArray(value)) return mayBeSecret(frame) ? undefined : { frame, secrets: [] };
  const type = typeof value[0] === 'number' ? messageType(value[0]) : undefined;
  const fields = (type !== undefined && SECRET_FIELDS.get(type)) || [];
  const node = walkMsgpack(frame);
  const copy = frame.slice();
  const secrets: (string | Uint8Array)[] = [];
  for (const at of fields) {
    const secret: unknown = value[HEAD_LENGTH + at];
    if (secret === undefined || secret === null) continue;
    if (node.kind !== 'array' || !(typeof secret === 'string' || secret instanceof Uint8Array)) return undefined;
    mask(copy, node.items[HEAD_LENGTH + at]!, secret);
    secrets.push(secret);
  }
  const isMasked = copy.some((byte, at) => byte !== frame[at]);
  return isMasked ? { frame: copy, secrets } : { frame, secrets: [] };
}

/** The text or the bytes stand at the end of what holds them. */
function mask(frame: Uint8Array, node: MsgpackNode, secret: string | Uint8Array): void {
  const length = typeof secret === 'string' ? new TextEncoder().encode(secret).length : secret.length;
  frame.fill(ASTERISK, nodeEnd(node) - length, nodeEnd(node));
}

/** Whether bytes that cannot be read begin as such a message does: with a list, and its number. */
function mayBeSecret(frame: Uint8Array): boolean {
  const tag = frame[0] ?? 0;
  const at = tag === 0xdc ? 3 : tag === 0xdd ? 5 : 1;
  const isList = at > 1 || (tag >= 0x90 && tag < 0xa0);
  return isList && SECRET_MESSAGES.some((type) => MESSAGES[type].id === frame[at]);
}

function unpacked(frame: Uint8Array): unknown {
  try {
    return unpackMsgpack(frame);
  } catch (error) {
    if (!isSyncError(error)) throw error;
    return undefined;
  }
}
