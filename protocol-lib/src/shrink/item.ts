import { CaptureMaker } from '../capture/exchange/made-capture.ts';
import { memorySink, memorySource, type OpenCapture, openCapture } from '../capture/index.ts';
import type { TraceHeader, TraceRecord } from '../trace/index.ts';

/** A record of a capture that is being made smaller. What stands for everything before it has the `seq` 0. */
export type Item = TraceRecord;

/** A capture of these records, numbered anew; causes that are left out are passed over. */
export async function captureOf(header: TraceHeader, items: readonly Item[]): Promise<Uint8Array> {
  const sink = memorySink();
  const maker = new CaptureMaker(sink, header);
  const numbers = new Map<number, number>();
  for (const { seq, replica, time, body, cause, wire, source } of items) {
    const kept = cause.flatMap((one) => numbers.get(one) ?? []);
    const number = await maker.add(replica, time, body, kept, wire, source);
    if (seq > 0) numbers.set(seq, number);
  }
  await maker.end();
  return sink.bytes();
}

export async function withBytes<T>(bytes: Uint8Array, use: (capture: OpenCapture) => Promise<T>): Promise<T> {
  const capture = await openCapture(memorySource(bytes));
  try {
    return await use(capture);
  } finally {
    await capture.close();
  }
}

/** How much of a session is in a capture. */
export interface Size {
  readonly records: number;
  /** Frames that were sent. */
  readonly messages: number;
  /** Mutations that the authority took. */
  readonly commits: number;
}

export async function sizeOf(capture: OpenCapture): Promise<Size> {
  const { records, kinds } = await capture.info();
  return { records, messages: kinds.send ?? 0, commits: kinds.commit ?? 0 };
}
