import { encodeTraceRecord } from '../capture/index.ts';
import { fitText } from '../schema/index.ts';
import type { TraceRecord } from '../trace/index.ts';

/** A record that cannot be encoded must not fail the session that told it: a gap stands in its place. */
export function encodeOrGap(record: TraceRecord): Uint8Array {
  try {
    return encodeTraceRecord(record);
  } catch (error) {
    return encodeTraceRecord(gapFor(record, error));
  }
}

/** What stands in the place of a record that could not be encoded, and why. */
export function gapFor({ seq, time, replica, body }: TraceRecord, error: unknown): TraceRecord {
  const reason = `a ${body.kind} could not be encoded: ${error instanceof Error ? error.message : String(error)}`;
  return { seq, time, replica, cause: [], body: { kind: 'gap', count: 1, reason: fitText(reason, 200) } };
}
