import type { OpenCapture } from '../capture/index.ts';
import { isSyncError, SyncError } from '../errors/index.ts';
import type { TraceBodyOf, TraceHeader, TraceRecord } from '../trace/index.ts';
import { BatchReader, type InputBatch, isInputs, mayBeCut } from './batches.ts';
import type { CompactBatch } from './compact-inputs.ts';
import { groupSteps, isAttachedGroup } from './group-steps.ts';
import type { Input } from './inputs.ts';
import type { NotRun } from './left-out.ts';
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
  /** Why what was done here is not run again, and of whom. */
  readonly notRun?: NotRun | undefined;
  /** Records are missing here: of no endpoint it is known any more where it is. */
  readonly isCut?: true;
  /** Its record stands for others that are missing. */
  readonly isPreface?: true;
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
 * Reads a capture as steps. Behind records that are missing, endpoints are run from where they say again that they stand.
 * @throws SyncError `REPLAY_INPUTS_MISSING` where the capture does not say of any endpoint where it begins or stands, and what was done to it then,
 * `REPLAY_INPUTS_DAMAGED`, `REPLAY_TOO_LARGE`, and what reading the capture throws
 */
export async function readSteps(capture: OpenCapture): Promise<RecordedSteps> {
  const info = await capture.info();
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
  const steps = new StepReader().read(trace);
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
  if (steps.some(({ isCut }) => isCut)) throw missing('records are missing from it');
  return withTimes(steps);
}

/** Puts the records of a trace and the inputs that are written among them together. */
class StepReader {
  readonly #reader = new BatchReader();
  readonly #steps: Step[] = [];
  /** Records of which it is not known yet what made them. */
  #open: Placed[] = [];
  /** Whether the next batch may be about more than is there: at the beginning, and behind records that are missing. */
  #isCut = true;
  /** Whether records still stand for others that are missing: who was there, the names, and the states. */
  #isPreface = false;
  #hasInputs = false;
  #seq = 0;

  /** @throws SyncError `REPLAY_INPUTS_MISSING`, `REPLAY_INPUTS_DAMAGED` */
  read(trace: readonly Placed[]): Step[] {
    for (const placed of trace) this.#take(placed);
    if (!this.#hasInputs) throw missing('nothing that was done to its endpoints is in it');
    this.#flush();
    return this.#steps;
  }

  #take(placed: Placed): void {
    const { record } = placed;
    const isGap = record.body.kind === 'gap';
    if (isGap || (this.#seq > 0 && record.seq > this.#seq + 1)) this.#cut(record);
    this.#seq = record.seq;
    if (isGap || (this.#isPreface && isPreface(record))) {
      this.#isPreface = true;
      this.#steps.push({ ...alone(placed), isPreface: true });
      return;
    }
    this.#isPreface = false;
    const batch = this.#batch(placed);
    if (batch === 'part') return;
    if (batch === undefined) this.#open.push(placed);
    else this.#takeBatch(batch, placed);
  }

  /** What waits here for its inputs is not told of any more. */
  #cut({ time }: TraceRecord): void {
    this.#flush();
    this.#reader.forget();
    if (!this.#isCut || this.#steps.length > 0) this.#steps.push({ input: undefined, records: [], time, isCut: true });
    this.#isCut = true;
  }

  #flush(): void {
    this.#steps.push(...this.#open.map(alone));
    this.#open = [];
  }

  /** A capture may begin between the records of a batch, as one that has let go of its beginning: that batch is of what was before it. */
  #batch({ record }: Placed): ReturnType<BatchReader['take']> {
    try {
      return this.#reader.take(record);
    } catch (error) {
      if (this.#isCut && isSyncError(error) && mayBeCut(error, record)) return 'part';
      throw error;
    }
  }

  #takeBatch(batch: InputBatch | CompactBatch, placed: Placed): void {
    const isCut = this.#isCut;
    this.#isCut = false;
    this.#hasInputs = true;
    if ('entries' in batch) {
      this.#steps.push(...compactSteps(batch, this.#open, placed.record, isCut));
      this.#open = [];
      return;
    }
    const { count, inputs } = batch;
    if (count > this.#open.length) {
      // The first of a capture that began between the records of an input is of what was before it.
      if (isCut) return this.#flush();
      const text = `the inputs in record ${placed.record.seq} speak of ${count} records, of which ${this.#open.length} are there`;
      throw new SyncError('REPLAY_INPUTS_DAMAGED', text, { origin: 'capture' });
    }
    const made = this.#open.splice(this.#open.length - count);
    const time = (made[0] ?? placed).record.time;
    this.#flush();
    for (const [at, input] of inputs.entries()) {
      const isLast = at === inputs.length - 1;
      this.#steps.push({ input, records: isLast ? made : [], time: isLast ? time : Number.NaN });
    }
  }
}

/** What stands behind a gap for the records that are missing: see `LiveCapture.save`. */
function isPreface({ body }: TraceRecord): boolean {
  if (body.kind === 'snapshot') return body.reason === 'checkpoint';
  return body.kind === 'replica' || (body.kind === 'names' && body.first === 0);
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
