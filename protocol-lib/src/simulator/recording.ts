import { CaptureWriter, encodeTraceRecord, memorySink, memorySource, openCapture } from '../capture/index.ts';
import { StateRoot } from '../merkle/index.ts';
import { PROTOCOL_VERSION } from '../messages/index.ts';
import { consensusGroup, type GroupDefinition, peerGroup } from '../replay/index.ts';
import { replicaId } from '../state/index.ts';
import type { SessionDefinition } from '../sync/index.ts';
import { TRACE_VERSION, type TraceHeader, type TraceRecord } from '../trace/index.ts';
import { SESSION } from './authority-process.ts';
import { AUTHORITY, bazaar } from './bazaar.ts';
import { GROUP_RECORDS, groupChanges, groupRules } from './consensus-domain.ts';
import type { Violation } from './oracle.ts';
import { makeTable, recordsOf } from './partition-table.ts';
import { simulate } from './scenarios.ts';
import { drawShape, type SimulationOptions } from './shape.ts';
import type { SimulationResult } from './simulation.ts';

/** States looked up in one capture. */
const SAMPLES = 40;
const MAX_RECORDS = 100_000;
const BUILD = 'simulator';

/** Runs a seed once more and answers its recording, a capture that the inspector opens, with the inputs to run it again from. */
export async function recordSimulation(options: SimulationOptions): Promise<{
  readonly result: SimulationResult;
  readonly capture: Uint8Array;
  readonly records: readonly TraceRecord[];
}> {
  const sink = memorySink();
  const writer = new CaptureWriter(sink, headerOf(options));
  const records: TraceRecord[] = [];
  const result = simulate({ inputs: true, ...options }, (record) => {
    records.push(record);
    writer.append(encodeTraceRecord(record));
  });
  await writer.end();
  return { result, capture: sink.bytes(), records };
}

/**
 * Records a seed, opens the capture and looks up the state of replicas at versions throughout it. Answers what differs
 * from what the replicas themselves told when it happened; undefined where nothing does.
 */
export async function checkRecording(options: SimulationOptions): Promise<Violation | undefined> {
  const { capture, records } = await recordSimulation(options);
  const opened = await openCapture(memorySource(capture));
  try {
    const info = await opened.info();
    if (info.records !== records.length || info.lost > 0) {
      return unfaithful(`${info.records} of ${records.length} records, ${info.lost} said to be lost`);
    }
    const telling = records.flatMap(({ body }, position) =>
      body.kind === 'commit' || body.kind === 'apply' || body.kind === 'snapshot' ? [position] : [],
    );
    const step = Math.max(1, Math.floor(telling.length / SAMPLES));
    for (let at = telling.length - 1; at >= 0; at -= step) {
      const position = telling[at]!;
      const { replica, body } = records[position]!;
      if (!('root' in body)) continue;
      const { entries, pending, root } = await opened.state(replica, position, '', MAX_RECORDS);
      // With something pending, entries also hold records that are only predicted.
      const isPlain = pending.length === 0;
      const hash = isPlain ? StateRoot.from(entries.map(({ key, record }) => [key, record] as const)).hash : root;
      if (hash === body.root) continue;
      return unfaithful(`at position ${position}, ${replica} has the hash ${hash}, and told ${body.root}`);
    }
    return undefined;
  } finally {
    await opened.close();
  }
}

/** What the session of a simulator's recording runs; undefined for a capture of anything else. */
export function simulatedDefinition({
  sessionId,
  build,
}: Pick<TraceHeader, 'sessionId' | 'build'>): SessionDefinition | undefined {
  const seed = /^simulation-(\d{1,15})$/.exec(sessionId)?.[1];
  if (seed === undefined || build !== BUILD) return undefined;
  const { size, hasViews } = drawShape({ seed: Number(seed) });
  return bazaar(size, hasViews);
}

/** The same of a simulator's recording of a group without an authority. */
export function simulatedGroup({
  sessionId,
  build,
}: Pick<TraceHeader, 'sessionId' | 'build'>): GroupDefinition | undefined {
  const scenario = /^simulation-(consensus|partition)-\d{1,15}$/.exec(sessionId)?.[1];
  if (scenario === undefined || build !== BUILD) return undefined;
  if (scenario === 'partition') return peerGroup({ resolver: makeTable(), records: recordsOf });
  return consensusGroup({ ...groupRules, records: () => GROUP_RECORDS, changes: groupChanges });
}

function unfaithful(text: string): Violation {
  return { invariant: 'capture-faithful', text };
}

function headerOf({ seed, scenario = 'bazaar' }: SimulationOptions): TraceHeader {
  const isGroup = scenario !== 'bazaar';
  return {
    sessionId: isGroup ? `simulation-${scenario}-${seed}` : `simulation-${seed}`,
    title: `Simulated ${isGroup ? 'group' : 'session'}, seed ${seed}`,
    scenario: SESSION,
    traceVersion: TRACE_VERSION,
    protocolVersion: PROTOCOL_VERSION,
    // Virtual time has no date; a fixed one keeps the bytes of a seed's capture the same for ever.
    startedAt: 1_767_225_600_000,
    authority: isGroup ? null : replicaId(AUTHORITY),
    build: BUILD,
  };
}
