import { CaptureWriter, encodeTraceRecord, memorySink, memorySource, openCapture } from '@syncscope/protocol/capture';
import { type Diagnosis, diagnoseCapture } from '@syncscope/protocol/diagnose';
import { seededRandom } from '@syncscope/protocol/ports';
import { recordSimulation, SCENARIOS } from '@syncscope/protocol/simulator';
import type { TraceHeader, TraceRecord } from '@syncscope/protocol/trace';
import { loadWithBug } from '../simulation/plant.ts';
import type { PlantedBug } from '../simulation/planted-bugs.ts';
import type { CorpusFault } from './fault.ts';
import { corpusFaults } from './faults.ts';
import { PlantedHook } from './hook.ts';
import type { Lookalike } from './lookalikes.ts';
import { market, nextIntent } from './market.ts';
import { ofClients, type Part, partsOf, withoutOthers, withoutStart } from './parts.ts';
import type { Deliver, Marks } from './schedule.ts';
import type { CorpusRecording } from './session.ts';
import { symptomsIn } from './symptoms.ts';

export const LATENCIES = [0, 60] as const;

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

/** The sessions in which faults are planted, each in a module of its own so that a bug can be loaded below it. */
const SESSIONS = {
  authority: { file: './session.ts', target: 'bot-2', length: 7_000 },
  peers: { file: './peer-session.ts', target: 'peer-2', length: 7_000 },
  group: { file: './group-session.ts', target: 'peer-2', length: 12_000 },
  crdt: { file: './crdt-session.ts', target: 'peer-2', length: 12_000 },
} as const;

type SessionModule = { record(options: object): CorpusRecording };

/** @throws Error where a finding was noticed before it happened */
export async function diagnose(header: TraceHeader, records: readonly TraceRecord[]): Promise<Diagnosis> {
  const sink = memorySink();
  const writer = new CaptureWriter(sink, header);
  for (const one of records) writer.append(encodeTraceRecord(one));
  await writer.end();
  const capture = await openCapture(memorySource(sink.bytes()));
  try {
    const diagnosis = await diagnoseCapture(capture);
    const backwards = diagnosis.findings.find(({ cause, detected }) => cause.position > detected.position);
    if (backwards) throw new Error(`noticed before it happened: ${JSON.stringify(backwards)}`);
    return diagnosis;
  } finally {
    await capture.close();
  }
}

/** Sessions that are made until one has the fault. */
const MAX_TRIES = 24;

/** Records one session with a fault, by its seed, and answers the trace. */
export async function recordFault(name: string, seed: number, latency: number) {
  for (let tries = 0; ; tries++) {
    const random = seededRandom(seed * 7_919 + latency + 1 + tries * 1_000_003);
    const draw = () => random.next();
    const fault = corpusFaults(draw).find((one) => one.name === name);
    if (!fault) throw new Error(`there is no fault ${name}`);
    const planted = await recordPlanted(fault, draw, seed + tries * 10_007, latency);
    if (tries + 1 < MAX_TRIES && fault.mayMiss?.(planted.recording, planted.struck)) continue;
    return { fault, ...planted };
  }
}

/** Two faults of one sort of session, drawn by a seed, in one session; at most one of them a bug in the code. Answers their names and the trace. */
async function recordTogether(seed: number) {
  const random = seededRandom(seed * 7_919 + 4);
  const draw = () => random.next();
  const faults = corpusFaults(draw);
  const one = faults[Math.floor(draw() * faults.length)]!;
  const others = faults.filter((other) => other !== one && other.of === one.of && !(one.bug && other.bug));
  const other = others[Math.floor(draw() * others.length)] ?? one;
  const latency = LATENCIES[Math.floor(draw() * LATENCIES.length)]!;
  const { recording } = await recordPlanted(together(one, other), draw, seed, latency);
  return { names: `${one.name} and ${other.name}`, recording };
}

/** Frames fare as the one fault has it, and what then arrives as the other has it. */
function together(one: Planted, other: Planted): Planted {
  const { bug, chances, goesOn } = one.bug ? one : other;
  return {
    ...(one.of ? { of: one.of } : {}),
    ...(bug ? { bug } : {}),
    ...(chances === undefined ? {} : { chances }),
    ...(goesOn ? { goesOn } : {}),
    session: (draw) => {
      const [left, right] = [one.session?.(draw) ?? {}, other.session?.(draw) ?? {}];
      const deliver: Deliver = (frame, from, to, marks) =>
        (left.deliver?.(frame, from, to, marks) ?? [{ frame, later: 0 }]).flatMap((sent) =>
          (right.deliver?.(sent.frame, from, to, marks) ?? [{ frame: sent.frame, later: 0 }]).map((then) => ({
            ...then,
            later: sent.later + then.later,
          })),
        );
      return { ...left, ...right, deliver };
    },
  };
}

/** A bug strikes after between a fifth of so many chances and all of them. */
const MANY_CHANCES = 50;

interface Planted {
  readonly of?: keyof typeof SESSIONS;
  readonly bug?: PlantedBug;
  readonly goesOn?: boolean;
  readonly chances?: number;
  session?(draw: () => number): { readonly deliver?: Deliver };
}

async function recordPlanted(planted: Planted, draw: () => number, seed: number, latency: number) {
  const { bug, chances = MANY_CHANCES } = planted;
  const { file, target, length } = SESSIONS[planted.of ?? 'authority'];
  const url = new URL(file, import.meta.url).href;
  const module = (bug ? await loadWithBug(bug, url) : await import(url)) as SessionModule;
  let struck = -1;
  let marks: Marks = { records: [], notes: new Map() };
  const wait = Math.floor(chances * (0.2 + draw() * 0.8));
  const onStrike = () => {
    struck = marks.records.length;
  };
  const onNamed = (name: string) => {
    const { notes, records } = marks;
    if (!notes.has(`strike ${name}`)) notes.set(`strike ${name}`, records.length);
  };
  hook.arm(target, bug ? wait : Number.POSITIVE_INFINITY, !planted.goesOn, onStrike, onNamed);
  const extra = planted.session?.(draw) ?? {};
  const deliver: Deliver = (frame, from, to, now) => {
    marks = now;
    return extra.deliver?.(frame, from, to, now) ?? [{ frame, later: 0 }];
  };
  const plain = { seed, definition: market(), latency, length, intent: nextIntent };
  const recording = module.record({ ...plain, ...extra, deliver });
  return { recording, struck };
}

export interface LookalikeOutcome {
  readonly name: string;
  readonly expected: string | undefined;
  /** Verdicts that were given, each once. */
  readonly said: readonly string[];
  readonly findings: Diagnosis['findings'];
  readonly seed: number;
  readonly latency: number;
}

/** Records one session in which something looks like a divergence, by its seed: the whole of it. */
export async function recordLookalike(one: Lookalike, seed: number, latency: number): Promise<CorpusRecording> {
  const random = seededRandom(seed * 7_919 + latency + 2);
  return (await recordPlanted({ ...one, goesOn: true, chances: 3 }, () => random.next(), seed, latency)).recording;
}

/** A session in which something looks like a divergence and is none. */
export async function diagnoseLookalike(one: Lookalike, seed: number, latency: number): Promise<LookalikeOutcome> {
  const recording = await recordLookalike(one, seed, latency);
  const records = one.captured?.(recording.records) ?? recording.records;
  const { findings, verdicts } = await diagnose(recording.header, records);
  const said = [...new Set(verdicts.map(({ verdict }) => verdict))];
  return { name: one.name, expected: one.verdict, said, findings, seed, latency };
}

/** A part of a session of which the diagnosis said what is not so. */
export interface PartOutcome {
  readonly session: string;
  readonly seed: number;
  readonly part: string;
  /** Signs that something is wrong, where nothing was found; what was found, where nothing is wrong. */
  readonly said: readonly string[];
}

/** Parts of a session with a fault in which a record says that two differ, and nothing is found. Draws so many of all. */
export async function silentParts(one: CorpusFault, seed: number, count: number): Promise<PartOutcome[]> {
  const { recording } = await recordFault(one.name, seed, LATENCIES[1]);
  const { header, records } = recording;
  const [first] = (await diagnose(header, records)).findings;
  if (!first) return [];
  const parts = drawn([...partsOf(records, first), ...clientsOf(header, records)], seed, count);
  return silentIn(one.name, seed, header, parts);
}

/** A session with two faults at once, and so many parts of it, in which a record says that two differ, and nothing is found. */
export async function silentTogether(seed: number, count: number): Promise<PartOutcome[]> {
  const { names, recording } = await recordTogether(seed);
  const { header, records } = recording;
  const whole = { name: 'whole', records };
  const [first] = (await diagnose(header, records)).findings;
  const parts = first ? [...partsOf(records, first), ...clientsOf(header, records)] : withoutStart(records);
  return silentIn(names, seed, header, [whole, ...drawn(parts, seed, count)]);
}

async function silentIn(session: string, seed: number, header: TraceHeader, parts: readonly Part[]) {
  const silent: PartOutcome[] = [];
  for (const { name, records: part } of parts) {
    const said = part.length === 0 ? [] : symptomsIn(header, part);
    if (said.length === 0 || (await diagnose(header, part)).findings.length > 0) continue;
    silent.push({ session, seed, part: name, said });
  }
  return silent;
}

/** Parts of a session in which nothing is wrong and something is found. Draws so many of all. */
export async function alarmingParts(seed: number, count: number): Promise<PartOutcome[]> {
  const { scenario, header, records } = await recordClean(seed);
  const alarming: PartOutcome[] = [];
  const parts = [...withoutStart(records), ...withoutOthers(records), ...clientsOf(header, records)];
  for (const { name, records: part } of drawn(parts, seed, count)) {
    const { findings } = await diagnose(header, part);
    const said = findings.map((one) => `${one.class} of ${one.replica} at ${one.detected.position}: ${one.reason}`);
    if (said.length > 0) alarming.push({ session: scenario, seed, part: name, said });
  }
  return alarming;
}

/** As clients would have recorded it, and two of those recordings in one. */
function clientsOf({ authority }: TraceHeader, records: readonly TraceRecord[]): Part[] {
  if (authority === null) return [];
  const clients = ofClients(records, authority);
  const [first] = new Set(clients.records.map(({ replica }) => replica));
  const others = clients.records.filter(({ replica }) => replica !== first);
  return [clients, ...withoutStart(clients.records), { name: 'of all clients but one', records: others }];
}

function drawn<T>(all: readonly T[], seed: number, count: number): T[] {
  const random = seededRandom(seed * 7_919 + 3);
  const left = [...all];
  const some: T[] = [];
  while (some.length < count && left.length > 0) some.push(...left.splice(Math.floor(random.next() * left.length), 1));
  return some;
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

/** Records a simulated session with everything that may legally happen to it: nothing is wrong with any replica. */
export async function recordClean(seed: number) {
  const scenario = SCENARIOS[seed % 4 === 0 ? 1 : seed % 4 === 1 ? 2 : 0]!;
  const { records } = await recordSimulation({ seed, scenario, without: ['corrupt'] });
  const header: TraceHeader = { ...HEADER, authority: scenario === 'bazaar' ? records[0]!.replica : null };
  return { scenario, header, records };
}

export async function diagnoseClean(seed: number): Promise<CleanOutcome> {
  const { scenario, header, records } = await recordClean(seed);
  return { scenario, seed, findings: (await diagnose(header, records)).findings };
}

const HEADER: Omit<TraceHeader, 'authority'> = {
  ...{ sessionId: 'corpus-clean', title: 'Clean', scenario: 'simulation', traceVersion: 1, protocolVersion: 1 },
  ...{ startedAt: 1_767_225_600_000, build: 'simulator' },
};
