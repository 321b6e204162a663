import { milliseconds } from '../ports/index.ts';
import type { ReplicaId } from '../state/index.ts';
import { TraceHub, type TraceRecord } from '../trace/index.ts';
import type { Branch, BranchOptions } from './branch.ts';
import { branchHeader, branchTold } from './branch-told.ts';
import type { Edit } from './edits.ts';
import { InputJournal } from './journal.ts';
import { isBeside } from './left-out.ts';
import type { Placed, RecordedSteps } from './steps.ts';
import { Timeline } from './timeline.ts';

/** Events of one moment that were not recorded come after those that were. */
const UNRECORDED = 1e12;
const DEFAULT_LATENCY = milliseconds(10);
const TICK = milliseconds(50);
const DEFAULT_RUN_ON = milliseconds(10_000);

/** What a branch of any session is run on: its time, what happens when, what the clocks of its endpoints say, and its trace with its inputs. */
export class BranchStage {
  readonly clock = { time: 0, now: () => this.clock.time };
  readonly hub = new TraceHub(this.clock);
  readonly journal: InputJournal;
  readonly edits: readonly Edit[];
  /** Steps that are left out, by their place. */
  readonly without: ReadonlySet<number>;
  /** Whether anything has gone otherwise than recorded. */
  isOther: boolean;
  /** Whether the session goes on behind the last recorded input. */
  readonly goesOn: boolean;
  /** The time of that input. */
  readonly lastInput: number;
  /** The place of the step that has it. */
  readonly #lastStep: number;
  readonly #recorded: RecordedSteps;
  readonly #witness: ReplicaId;
  readonly #runOn: number;
  readonly #timeline = new Timeline();
  readonly #records: TraceRecord[] = [];
  /** What each endpoint's own clock said last, and when. */
  readonly #clocks = new Map<ReplicaId, { readonly time: number; readonly now: number }>();
  /** When the last frame of a line arrived that the recording does not have: they keep their order. */
  readonly #lastArrival = new Map<string, number>();
  #order = UNRECORDED;

  /** `witness` is the replica under which the branch tells of itself. */
  constructor(
    recorded: RecordedSteps,
    edits: readonly Edit[],
    { runOn, without = new Set() }: BranchOptions,
    witness: ReplicaId,
  ) {
    this.#recorded = recorded;
    this.#witness = witness;
    this.#runOn = edits.length > 0 ? (runOn ?? DEFAULT_RUN_ON) : 0;
    this.goesOn = this.#runOn > 0;
    this.#lastStep = recorded.steps.findLastIndex(({ input }) => input !== undefined);
    this.lastInput = recorded.steps[this.#lastStep]?.time ?? 0;
    this.edits = edits;
    this.without = without;
    this.isOther = without.size > 0;
    this.hub.listen((record) => this.#records.push(record));
    this.journal = new InputJournal(this.hub, witness);
  }

  /** Runs what `begin` adds, and after the recording's end everybody's time by `tick`. */
  run(begin: () => void, tick: () => void): Branch {
    const { header, steps } = this.#recorded;
    this.hub.emit(this.#witness, branchTold(header, this.edits));
    begin();
    const end = steps.at(-1)?.time ?? 0;
    for (let time = end + TICK; time <= end + this.#runOn; time += TICK) this.at(time, tick);
    this.#timeline.runUntil(end + this.#runOn, this.clock);
    this.journal.flush();
    return { header: branchHeader(header), records: this.#records };
  }

  /**
   * Records that no input has made, at their time. Where things have gone otherwise, what those who are run here did by inputs that the recording does not
   * have is left out: they do something else now. So is, where the session goes on, what they did behind the last input: they do that again.
   */
  tell(records: readonly Placed[], order: number, isRun: (replica: ReplicaId) => boolean): void {
    const isDoneHere = this.isOther || (this.goesOn && order > this.#lastStep);
    for (const { record } of records) {
      if (isDoneHere && isRun(record.replica) && !isBeside(record)) continue;
      this.hub.emit(record.replica, record.body, [], record.wire);
    }
  }

  /** A place behind all that was recorded of a moment. */
  nextOrder(): number {
    return this.#order++;
  }

  add(time: number, order: number, run: () => void): void {
    this.#timeline.add({ time, order, run });
  }

  /** Something that was not recorded. */
  at(time: number, run: (order: number) => void): void {
    const order = this.nextOrder();
    this.add(time, order, () => run(order));
  }

  after(by: number, run: () => void): void {
    this.at(this.clock.time + by, run);
  }

  /** An endpoint was told the time. */
  heard(replica: ReplicaId, now: number): void {
    this.#clocks.set(replica, { time: this.clock.time, now });
  }

  /** What an endpoint's clock says now: as much later than it said last as the trace is. */
  nowOf(replica: ReplicaId): number {
    const known = this.#clocks.get(replica);
    return Math.max(0, Math.round(known ? known.now + (this.clock.time - known.time) : this.clock.time));
  }

  /** When a frame arrives that the recording does not have. */
  arrivalOn(line: string, latency: number): number {
    const time = Math.max(this.clock.time + latency, this.#lastArrival.get(line) ?? 0);
    this.#lastArrival.set(line, time);
    return time;
  }
}

/** The middle of what frames took. */
export function usualLatency(times: number[]): number {
  return times.sort((a, b) => a - b)[times.length >> 1] ?? DEFAULT_LATENCY;
}
