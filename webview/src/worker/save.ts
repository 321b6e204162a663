import { type LiveCapture, memorySink, memorySource } from '@syncscope/protocol/capture';
import { hmacPseudonyms, redactWritten, unredactedHeader } from '@syncscope/protocol/exchange';

/** What was captured so far, as a file, without its secrets: as a recording would be. `pause` is awaited between its chunks. */
export async function redactedSave(capture: LiveCapture, pause: () => Promise<void>): Promise<Uint8Array> {
  const sink = memorySink();
  const pseudonym = hmacPseudonyms(crypto.getRandomValues(new Uint8Array(32)));
  const header = unredactedHeader(capture.header);
  await redactWritten(memorySource(capture.save()), sink, header, { pseudonym }, { pause, hasIndex: false });
  return sink.bytes();
}
