import { memorySink, memorySource, type OpenCapture, openCapture } from '../capture/index.ts';
import { inputTexts } from '../capture/inputs-text.ts';
import { StateRoot } from '../merkle/index.ts';
import { BatchBuilder } from '../replay/compact-inputs.ts';
import { recordKey, replicaId, type SyncRecord } from '../state/index.ts';
import type { TraceBody, TraceRecord } from '../trace/index.ts';
import { attach } from './attach-client.ts';
import { type RecordingOptions, type RecordingResult, recordSession } from './record-session.ts';
import { header, server, startSession, type TestSession } from './testing.ts';

export const bot = replicaId('bot');
export const alice = recordKey('player/alice');
export const utf8 = new TextEncoder();

export interface Recorded {
  readonly result: RecordingResult;
  readonly bytes: Uint8Array;
  readonly capture: OpenCapture;
  readonly records: readonly TraceRecord[];
}

/** What comes of a session that tells something and ends, recorded. */
export async function recorded(
  cleanups: Array<() => Promise<unknown>>,
  tell: (session: TestSession) => void,
  options?: RecordingOptions,
  marks?: readonly string[],
): Promise<Recorded> {
  const session = await startSession(cleanups, marks ? { header: { ...header(), secrets: [...marks] } } : {});
  const sink = memorySink();
  const recording = recordSession(await attach(session), sink, options);
  tell(session);
  await session.close('enough');
  const result = await recording.done;
  return { result, bytes: sink.bytes(), ...(await opened(sink.bytes())) };
}

export async function opened(bytes: Uint8Array): Promise<Pick<Recorded, 'capture' | 'records'>> {
  const capture = await openCapture(memorySource(bytes));
  const records: TraceRecord[] = [];
  for await (const { record } of capture.trace()) records.push(record);
  return { capture, records };
}

export const canary = (number: number): string => `canary${number}x${'abcdefghijkl'[number % 12]}zzz`;
export const root = (record: SyncRecord) => StateRoot.from([[alice, record]]).hash;

export function snapshotOf(record: SyncRecord): TraceBody {
  return {
    kind: 'snapshot',
    reason: 'attach',
    version: 1,
    records: [{ key: alice, record }],
    root: root(record),
    vector: [],
  };
}

export function inputsWith(secret: string): TraceBody[] {
  const inputs = new BatchBuilder();
  // More than one record of the trace has room for.
  for (let at = 0; at < 400; at++) {
    inputs.add(
      { op: 'mutate', replica: server, now: at, command: 'move', args: `{"n":${at},"word":"${secret}${at * 7919}"}` },
      0,
      1,
    );
  }
  return inputTexts(inputs.take(0)).map((text) => ({ kind: 'log', level: 'debug', text }));
}
