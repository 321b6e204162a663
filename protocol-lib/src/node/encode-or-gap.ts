import { encodeTraceRecord } from '../capture/index.ts';
import { fitText } from '../schema/index.ts';
import type { FrameSends, TraceRecord } from '../trace/index.ts';

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

/** What stands in the place of `count` sends of a frame from this `seq` on, which could not be encoded, and why. */
export function gapForSends(
  seq: number,
  count: number,
  { time, sends }: { readonly time: number; readonly sends: FrameSends },
  error: unknown,
): TraceRecord {
  return gapForMany('sends', seq, count, { time, replica: sends.sender }, error);
}

/** The same of `count` logs. */
export function gapForLogs(
  seq: number,
  count: number,
  at: Pick<TraceRecord, 'time' | 'replica'>,
  error: unknown,
): TraceRecord {
  return gapForMany('logs', seq, count, at, error);
}

function gapForMany(
  what: string,
  seq: number,
  count: number,
  { time, replica }: Pick<TraceRecord, 'time' | 'replica'>,
  error: unknown,
): TraceRecord {
  const reason = `${what} could not be encoded: ${error instanceof Error ? error.message : String(error)}`;
  const body = { kind: 'gap' as const, count, reason: fitText(reason, 200) };
  return { seq: seq + count - 1, time, replica, cause: [], body };
}
