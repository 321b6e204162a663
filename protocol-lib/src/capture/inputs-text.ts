import { toBase64 } from './exchange/base64.ts';

/** Text of a `log` record that carries packed inputs, or a part of some that is continued in the next such record. */
export const COMPACT_INPUTS = 'inputs= ';
export const CONTINUED_INPUTS = 'inputs+ ';
/** A log's text may have 10,000 units. */
const PART_LENGTH = 9_900;
/** Of packed inputs, in one such part. */
const PART_BYTES = (PART_LENGTH / 4) * 3;

/** The texts of the `log` records that carry packed inputs: base64, a part in each. */
export function inputTexts(packed: Uint8Array): string[] {
  const texts: string[] = [];
  for (let at = 0; at < packed.length; at += PART_BYTES) {
    const part = toBase64(packed.subarray(at, at + PART_BYTES));
    texts.push(`${at + PART_BYTES >= packed.length ? COMPACT_INPUTS : CONTINUED_INPUTS}${part}`);
  }
  return texts;
}

/** How many texts that are. */
export function inputTextCount(packed: Uint8Array): number {
  return Math.ceil(packed.length / PART_BYTES);
}

/** Packed inputs in a log record, and what stands in the place of those that were left out, see `replay/batches.ts`: nothing to read. */
const INPUTS = /^inputs[+=]? [\w+/=]{40}|^left out: inputs,/;
/** So many bytes say whether it is that. */
const LOOKED_AT = 48;

/** Whether the text of a log record says nothing of the session, and only carries what running it again needs. */
export function isInputsText(text: string): boolean {
  return INPUTS.test(text);
}

/** As {@link isInputsText}, of the text's bytes. */
export function areInputsBytes(bytes: Uint8Array, offset: number, length: number): boolean {
  return isInputsText(String.fromCharCode(...bytes.subarray(offset, offset + Math.min(length, LOOKED_AT))));
}
