import { encodeTraceRecord } from '../capture/index.ts';
import { fitText } from '../schema/index.ts';
import type { TraceRecord } from '../trace/index.ts';

/** A record that cannot be encoded must not fail the session that told it: a gap stands in its place. */
export function encodeOrGap(record: TraceRecord): Uint8Array {
  try {
    return encodeTraceRecord(record);
  } catch (error) {
    const { seq, time, replica } = record;
    const reason = `a ${record.body.kind} could not be encoded: ${error instanceof Error ? error.message : String(error)}`;
    return encodeTraceRecord({
      seq,
      time,
      replica,
      cause: [],
      body: { kind: 'gap', count: 1, reason: fitText(reason, 200) },
    });
  }
}
