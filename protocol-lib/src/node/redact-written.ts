import { type RedactionRules, redactWritten } from '../capture/exchange/index.ts';
import { type Compression, memorySink, memorySource } from '../capture/index.ts';
import type { TraceHeader } from '../trace/index.ts';
import { zstdDecompression } from './compression.ts';

/** A capture file in memory as it may be written, by rules, with the pseudonyms of `pseudonym`. The event loop gets its turns. @throws SyncError `REDACT_RULE` */
export async function redactedFile(
  file: Uint8Array,
  header: TraceHeader,
  rules: RedactionRules & { readonly pseudonym: (secret: string) => string },
  compression: Compression,
): Promise<Uint8Array> {
  const sink = memorySink();
  await redactWritten(memorySource(file), sink, header, rules, {
    compression,
    decompressZstd: zstdDecompression,
    pause: () => new Promise((resolve) => setImmediate(resolve)),
    // It is read whole when it is opened.
    hasIndex: false,
  });
  return sink.bytes();
}
