import type { OpenCapture } from '../capture/index.ts';
import { isSyncError, SyncError } from '../errors/index.ts';
import type { TraceBodyOf, TraceHeader, TraceRecord } from '../trace/index.ts';
import { BatchReader, isInputs, mayBeCut } from './batches.ts';
import { groupSteps, isAttachedGroup } from './group-steps.ts';
import type { Input } from './inputs.ts';
import { alone, compactSteps, isLive, liveSteps } from './live-steps.ts';

/** A record and where it stands in its capture. */
export interface Placed {
  readonly position: number;
  readonly record: TraceRecord;
}

/** One step of a recorded session: an input with the records that it made, or a record that no input made, such as a fault. */
export interface Step {
  readonly input: Input | undefined;
  readonly records: readonly Placed[];
  /** Trace time at which it was taken, in nanoseconds. */
  readonly time: number;
  /** Of an endpoint that stands somewhere: what it holds. */
  readonly snapshot?: TraceBodyOf<'snapshot'> | undefined;
}

/** Records that a re-execution holds at once. */
const MAX_RECORDS = 5_000_000;

/** A session's recording as steps, in order. */
export interface RecordedSteps {
  readonly header: TraceHeader;
  readonly steps: readonly Step[];
  readonly records: number;
}

/**
 * Reads a capture as steps.
 * @throws SyncError `REPLAY_INPUTS_MISSING` where the capture does not hold the inputs of its session from the beginning on,
 * `REPLAY_INPUTS_DAMAGED`, `REPLAY_TOO_LARGE`, and what reading the capture throws
 */
export async function readSteps(capture: OpenCapture): Promise<RecordedSteps> {
  const info = await capture.info();
  if (info.lost > 0 || info.kinds.gap) throw missing('records are missing from it');
  if (info.records > MAX_RECORDS) {
    const text = `${info.records} records are more than the ${MAX_RECORDS} that are run again at once`;
    throw new SyncError('REPLAY_TOO_LARGE', text, { origin: 'capture' });
  }
  const placed: Placed[] = [];
  for await (const one of capture.trace()) placed.push(one);
  return { header: info.header, steps: stepsOf(placed), records: placed.length };
}

/** The steps of a whole trace. @throws SyncError as {@link readSteps} */
export function stepsOf(trace: readonly Placed[]): Step[] {
  const reader = new BatchReader();
  const steps: Step[] = [];
  let open: Placed[] = [];
  let hasInputs = false;
  for (const placed of trace) {
    const batch = taken(reader, placed, steps.length === 0);
    if (batch === 'part') continue;
    if (batch === undefined) {
      open.push(placed);
      continue;
    }
    hasInputs = true;
    if ('entries' in batch) {
      steps.push(...compactSteps(batch, open, placed.record, steps.length === 0));
      open = [];
      continue;
    }
    // The first of a capture that began between the records of an input is of what was before it.
    if (batch.count > open.length && steps.length === 0) {
      steps.push(...open.map(alone));
      open = [];
      continue;
    }
    if (batch.count > open.length) {
      const text = `the inputs in record ${placed.record.seq} speak of ${batch.count} records, of which ${open.length} are there`;
      throw new SyncError('REPLAY_INPUTS_DAMAGED', text, { origin: 'capture' });
    }
    const made = open.splice(open.length - batch.count);
    const [first] = made;
    const time = first?.record.time ?? placed.record.time;
    for (const free of open) steps.push({ input: undefined, records: [free], time: free.record.time });
    open = [];
    for (const [at, input] of batch.inputs.entries()) {
      const isLast = at === batch.inputs.length - 1;
      steps.push({ input, records: isLast ? made : [], time: isLast ? time : Number.NaN });
    }
  }
  if (!hasInputs) throw missing('nothing that was done to its endpoints is in it');
  for (const free of open) steps.push({ input: undefined, records: [free], time: free.record.time });
  if (isLive(steps)) {
    const known = liveSteps(steps);
    if (!known.some(({ input }) => input)) throw missing('it does not say where any of its endpoints stood');
    return withTimes(known);
  }
  if (isAttachedGroup(steps)) return withTimes(groupSteps(steps));
  const beginning = steps.find(({ input }) => input !== undefined);
  const op = beginning?.input?.op;
  // A node may draw while it begins.
  if (op !== 'authority' && op !== 'node' && op !== 'drawn') throw missing('it does not begin where its session began');
  return withTimes(steps);
}

/** A capture may begin between the records of a batch, as one that has let go of its beginning: that batch is of what was before it. */
function taken(reader: BatchReader, { record }: Placed, isFirst: boolean): ReturnType<BatchReader['take']> {
  try {
    return reader.take(record);
  } catch (error) {
    if (isFirst && isSyncError(error) && mayBeCut(error, record)) return 'part';
    throw error;
  }
}

/** Whether the steps are those of a session without an authority. */
export function isGroup(steps: readonly Step[]): boolean {
  const beginning = steps.find(({ input }) => input !== undefined && input.op !== 'drawn');
  return beginning?.input?.op === 'node' || beginning?.input?.op === 'nodeStands';
}

/** Whether a trace holds inputs; those of a running session that was attached to later do not. */
export function holdsInputs(trace: readonly Placed[]): boolean {
  return trace.some(({ record }) => isInputs(record));
}

function missing(why: string): SyncError {
  const text = `this capture cannot be run again through the state machines: ${why}. Record the session with its inputs, from its beginning`;
  return new SyncError('REPLAY_INPUTS_MISSING', text, { origin: 'capture' });
}

/**
 * Silent inputs have no record that tells their time. It follows from their endpoint's clock: as much later than the endpoint's last
 * record as its own clock says, between the steps around it.
 */
function withTimes(steps: readonly Step[]): Step[] {
  const clocks = new Map<string, { time: number; now: number }>();
  const next: number[] = new Array<number>(steps.length);
  let later = steps.at(-1)?.time ?? 0;
  if (Number.isNaN(later)) later = steps.findLast(({ time }) => !Number.isNaN(time))?.time ?? 0;
  for (let at = steps.length - 1; at >= 0; at--) {
    const { time } = steps[at]!;
    if (!Number.isNaN(time)) later = time;
    next[at] = later;
  }
  let before = 0;
  return steps.map((step, at) => {
    const { input } = step;
    const clock = input && clocks.get(input.replica);
    const guess = input && clock ? clock.time + (input.now - clock.now) : next[at]!;
    const time = Number.isNaN(step.time) ? Math.min(Math.max(before, guess), next[at]!) : step.time;
    before = time;
    if (input) clocks.set(input.replica, { time, now: input.now });
    return { ...step, time };
  });
}
