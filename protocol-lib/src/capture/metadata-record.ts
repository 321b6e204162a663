import { Opcode } from '@mcap/core';

/**
 * An MCAP Metadata record, whole. One follows each chunk, and its texts are short and plain: written here, it costs a tenth of what
 * an encoder's calls for each text do.
 */
export function metadataRecord(name: string, fields: Readonly<Record<string, string>>): Uint8Array {
  const texts = Object.entries(fields).flat();
  const pairsLength = texts.reduce((sum, text) => sum + 4 + utf8Length(text), 0);
  const length = 4 + utf8Length(name) + 4 + pairsLength;
  const bytes = new Uint8Array(9 + length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, Opcode.METADATA);
  view.setUint32(1, length, true);
  let at = writeText(bytes, view, 9, name);
  view.setUint32(at, pairsLength, true);
  at += 4;
  for (const text of texts) at = writeText(bytes, view, at, text);
  return bytes;
}

const encoder = new TextEncoder();

function isPlain(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 0x7f) return false;
  return true;
}

function utf8Length(text: string): number {
  return isPlain(text) ? text.length : encoder.encode(text).length;
}

/** Returns where the text ends, which has its length before it. */
function writeText(bytes: Uint8Array, view: DataView, start: number, text: string): number {
  const at = start + 4;
  let { length } = text;
  if (isPlain(text)) for (let index = 0; index < length; index++) bytes[at + index] = text.charCodeAt(index);
  else {
    const encoded = encoder.encode(text);
    bytes.set(encoded, at);
    length = encoded.length;
  }
  view.setUint32(start, length, true);
  return at + length;
}
