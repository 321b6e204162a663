import { Opcode } from '@mcap/core';

/** Opcode and length of the record. */
const HEAD_BYTES = 9;

let bytes = new Uint8Array(1_024);
let view = new DataView(bytes.buffer);

/**
 * An MCAP Metadata record, whole. One follows each chunk, and its texts are short and plain: written here, it costs a tenth of what
 * an encoder's calls for each text do.
 */
export function metadataRecord(name: string, fields: Readonly<Record<string, string>>): Uint8Array {
  const pairsAt = writeText(HEAD_BYTES, name);
  let at = pairsAt + 4;
  for (const field in fields) at = writeText(writeText(at, field), fields[field]!);
  reserve(at);
  bytes.fill(0, 0, HEAD_BYTES);
  view.setUint8(0, Opcode.METADATA);
  view.setUint32(1, at - HEAD_BYTES, true);
  view.setUint32(pairsAt, at - pairsAt - 4, true);
  return bytes.slice(0, at);
}

const encoder = new TextEncoder();

function reserve(length: number): void {
  if (length <= bytes.length) return;
  const grown = new Uint8Array(Math.max(length, bytes.length * 2));
  grown.set(bytes);
  bytes = grown;
  view = new DataView(grown.buffer);
}

/** Returns where the text ends, which has its length before it. */
function writeText(start: number, text: string): number {
  const at = start + 4;
  const { length } = text;
  reserve(at + length + 4);
  for (let index = 0; index < length; index++) {
    const code = text.charCodeAt(index);
    if (code > 0x7f) return writeEncoded(start, encoder.encode(text));
    bytes[at + index] = code;
  }
  view.setUint32(start, length, true);
  return at + length;
}

function writeEncoded(start: number, encoded: Uint8Array): number {
  const at = start + 4;
  reserve(at + encoded.length + 4);
  bytes.set(encoded, at);
  view.setUint32(start, encoded.length, true);
  return at + encoded.length;
}
