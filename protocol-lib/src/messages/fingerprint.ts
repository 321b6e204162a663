import { fastHasher, wordsToHex } from '../bytes/index.ts';
import { schemaKind } from '../schema/index.ts';
import { MESSAGES, type MessageType } from './message.ts';

/** Every message in one line each: number, name, and its fields in wire order with what they accept. */
export function schemaText(): string {
  const types = Object.keys(MESSAGES) as MessageType[];
  return types.map((type) => `${MESSAGES[type].id} ${type} ${schemaKind(MESSAGES[type].schema)}\n`).join('');
}

/** The hash of {@link schemaText}, 16 hex digits: what `PROTOCOL_HISTORY` says of each version. */
export function schemaFingerprint(): string {
  const bytes = new TextEncoder().encode(schemaText());
  const words = new Int32Array(2);
  fastHasher.hash(new DataView(bytes.buffer), bytes.length, words);
  return wordsToHex(words[0]!, words[1]!);
}
