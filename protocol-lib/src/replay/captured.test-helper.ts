import { memorySource, type OpenCapture, openCapture } from '../capture/index.ts';
import { PROTOCOL_VERSION } from '../messages/index.ts';
import { TRACE_VERSION, type TraceHeader, type TraceRecord } from '../trace/index.ts';
import { branchCapture, type Placed, type Step, stepsOf } from './index.ts';

/** For tests: the header of a trace that was made by hand. Without an authority where none is named. */
export function headerOf(name: string, rest: Partial<TraceHeader> = {}): TraceHeader {
  return {
    ...{ sessionId: name, title: name, scenario: name, startedAt: 0, authority: null, build: 'test' },
    ...{ traceVersion: TRACE_VERSION, protocolVersion: PROTOCOL_VERSION },
    ...rest,
  };
}

/** Records as a capture that is open. */
export async function captureOf(header: TraceHeader, records: readonly TraceRecord[]): Promise<OpenCapture> {
  return openCapture(memorySource(await branchCapture({ header, records })));
}

/** Records in the places that they have in a capture of all of them. */
export function placed(records: readonly TraceRecord[]): Placed[] {
  return records.map((record, position) => ({ position, record }));
}

export function stepsIn(records: readonly TraceRecord[]): Step[] {
  return stepsOf(placed(records));
}
