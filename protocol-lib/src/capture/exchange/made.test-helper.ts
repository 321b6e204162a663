import type { TraceRecord } from '../../trace/index.ts';
import type { OpenCapture } from '../engine.ts';
import { memorySink, memorySource } from '../memory-bytes.ts';
import type { StatePage } from '../query.ts';
import { openCapture } from '../reader.ts';
import { coinRecording } from '../testing.test-helper.ts';
import { CaptureMaker } from './index.ts';

export const recording = coinRecording('corrupt', { length: 4_000 });

/** What `make` writes, opened. */
export async function made(
  make: (maker: CaptureMaker) => Promise<unknown>,
  header = recording.header,
): Promise<OpenCapture> {
  const sink = memorySink();
  const maker = new CaptureMaker(sink, header);
  await make(maker);
  await maker.end();
  return openCapture(memorySource(sink.bytes()));
}

export async function recordsOf(one: OpenCapture): Promise<TraceRecord[]> {
  const records: TraceRecord[] = [];
  for await (const { record } of one.trace()) records.push(record);
  return records;
}

/** Positions are other ones in another capture. */
export function valuesOf({ entries }: StatePage): unknown {
  return entries.map(({ key, record }) => [key, record]);
}
