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
