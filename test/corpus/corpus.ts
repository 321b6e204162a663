import { CaptureWriter, encodeTraceRecord, memorySink, memorySource, openCapture } from '@syncscope/protocol/capture';
import { type Diagnosis, diagnoseCapture } from '@syncscope/protocol/diagnose';
import { seededRandom } from '@syncscope/protocol/ports';
import { recordSimulation, SCENARIOS } from '@syncscope/protocol/simulator';
import type { TraceHeader, TraceRecord } from '@syncscope/protocol/trace';
import { loadWithBug } from '../simulation/plant.ts';
import { type CorpusFault, corpusFaults } from './faults.ts';
import { PlantedHook } from './hook.ts';
import { market, nextIntent } from './market.ts';
import type { CorpusSession, record } from './session.ts';

export const LATENCIES = [0, 60] as const;
const LENGTH = 7_000;

/** How one session with a fault was diagnosed. */
export interface Outcome {
  readonly fault: string;
  readonly expected: string;
  /** The class of the first finding; `nothing` where there was none. */
  readonly said: string;
  readonly isExact: boolean;
  /** Classes of findings that nothing in the session asked for. */
  readonly extra: readonly string[];
  readonly seed: number;
  readonly latency: number;
}

const hook = new PlantedHook();
Object.assign(globalThis, { corpus: hook });

type SessionModule = { readonly record: typeof record };
const here = new URL('./session.ts', import.meta.url).href;

export async function diagnose(header: TraceHeader, records: readonly TraceRecord[]): Promise<Diagnosis> {
  const sink = memorySink();
  const writer = new CaptureWriter(sink, header);
  for (const one of records) writer.append(encodeTraceRecord(one));
  await writer.end();
  const capture = await openCapture(memorySource(sink.bytes()));
  try {
    return await diagnoseCapture(capture);
  } finally {
    await capture.close();
  }
}

/** Records one session with a fault, by its seed, and answers the trace. */
export async function recordFault(name: string, seed: number, latency: number) {
  const random = seededRandom(seed * 7_919 + latency + 1);
  const draw = () => random.next();
  const fault = corpusFaults(draw).find((one) => one.name === name);
  if (!fault) throw new Error(`there is no fault ${name}`);
  const module = (fault.bug ? await loadWithBug(fault.bug, here) : await import(here)) as SessionModule;
  let struck = -1;
  let seen: readonly TraceRecord[] = [];
  hook.arm(fault.bug ? 10 + Math.floor(draw() * 40) : Number.POSITIVE_INFINITY, !fault.goesOn, () => {
    struck = seen.length;
  });
  const extra = fault.session?.(draw) ?? {};
  const options: CorpusSession = {
    ...{ seed, definition: market(), latency, length: LENGTH, intent: nextIntent },
    ...extra,
    deliver: (frame, to, now, marks) => {
      seen = marks.records;
      return extra.deliver?.(frame, to, now, marks) ?? [{ frame, later: 0 }];
    },
  };
  const recording = module.record(options);
  return { fault, recording, struck };
}

export async function diagnoseFault(one: CorpusFault, seed: number, latency: number): Promise<Outcome> {
  const { fault, recording, struck } = await recordFault(one.name, seed, latency);
  const { findings } = await diagnose(recording.header, recording.records);
  const first = findings[0];
  return {
    ...{ fault: fault.name, expected: fault.class, said: first?.class ?? 'nothing', seed, latency },
    isExact: first !== undefined && fault.isCause(recording, first.cause.position, struck),
    extra: findings.slice(1).flatMap((other) => (other.class === fault.class ? [] : [other.class])),
  };
}

export interface CleanOutcome {
  readonly scenario: string;
  readonly seed: number;
  readonly findings: Diagnosis['findings'];
}

/** A simulated session with everything that may legally happen to it: nothing is wrong with any replica. */
export async function diagnoseClean(seed: number): Promise<CleanOutcome> {
  const scenario = SCENARIOS[seed % 4 === 0 ? 1 : seed % 4 === 1 ? 2 : 0]!;
  const { records } = await recordSimulation({ seed, scenario, without: ['corrupt'] });
  const header = { ...HEADER, authority: scenario === 'bazaar' ? records[0]!.replica : null };
  return { scenario, seed, findings: (await diagnose(header, records)).findings };
}

const HEADER: Omit<TraceHeader, 'authority'> = {
  ...{ sessionId: 'corpus-clean', title: 'Clean', scenario: 'simulation', traceVersion: 1, protocolVersion: 1 },
  ...{ startedAt: 1_767_225_600_000, build: 'simulator' },
};
