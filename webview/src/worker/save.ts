import { type LiveCapture, memorySink, memorySource } from '@syncscope/protocol/capture';
import { hmacPseudonyms, type RedactionRules, redactWritten, unredactedHeader } from '@syncscope/protocol/exchange';

/** What was captured so far, as a file, as it is. Whatever was told of the session, nobody has looked for its secrets. */
export function unredactedSave(capture: LiveCapture): Uint8Array {
  return capture.save(unredactedHeader(capture.header));
}

/**
 * The same without its secrets: as a recording would be. `pause` is awaited between its chunks.
 * @throws SyncError `REDACT_RULE`
 */
export async function redactedSave(
  capture: LiveCapture,
  pause: () => Promise<void>,
  rules: RedactionRules = {},
): Promise<Uint8Array> {
  const sink = memorySink();
  const pseudonym = hmacPseudonyms(crypto.getRandomValues(new Uint8Array(32)));
  const header = unredactedHeader(capture.header);
  await redactWritten(memorySource(capture.save()), sink, header, { ...rules, pseudonym }, { pause, hasIndex: false });
  return sink.bytes();
}
