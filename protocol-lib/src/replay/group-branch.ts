import { NameTable } from '../messages/index.ts';
import { milliseconds } from '../ports/index.ts';
import { type ReplicaId, replicaId } from '../state/index.ts';
import { TraceHub, type TraceRecord } from '../trace/index.ts';
import type { Branch, BranchOptions } from './branch.ts';
import { branchHeader, branchTold } from './branch-told.ts';
import { checkEdits, type Edit } from './edits.ts';
import { type GroupBaseline, type GroupJourney, groupBaseline, isBeginning, Ways } from './group-baseline.ts';
import { type GroupFrame, GroupMachines, needsGroup } from './group-machines.ts';
import type { Input, InputOf } from './inputs.ts';
import { InputJournal } from './journal.ts';
import { editedJourney, type PlannedArrival } from './journey.ts';
import { frameOf } from './machines.ts';
import type { RecordedSteps, Step } from './steps.ts';
import { Timeline } from './timeline.ts';

/** Events of one moment that were not recorded come after those that were. */
const UNRECORDED = 1e12;
const DEFAULT_LATENCY = milliseconds(10);
const FLUSH_TIME = milliseconds(5);
const TICK = milliseconds(50);
const DEFAULT_RUN_ON = milliseconds(10_000);

/**
 * {@link runBranch} of a session without an authority: nodes are real; people and faults do what they did, when they did it; the network does
 * to the n-th frame from each node to each other what it did to it, and to frames beyond those what it did to most. A node
 * that crashes finds what its disk had made durable in the branch.
 * @throws SyncError `REPLAY_NEEDS_DEFINITION`, `EDIT_UNKNOWN`, `EDIT_INVALID`, as `editedFrame`
 */
export function runGroupBranch(recorded: RecordedSteps, edits: readonly Edit[], options: BranchOptions): Branch {
  return new GroupBranchRun(recorded, edits, options).run();
}

class GroupBranchRun {
  readonly #recorded: RecordedSteps;
  readonly #edits: readonly Edit[];
  readonly #without: ReadonlySet<number>;
  readonly #runOn: number;
  readonly #baseline: GroupBaseline;
  readonly #latency: number;
  readonly #timeline = new Timeline();
  readonly #clock = { time: 0, now: () => this.#clock.time };
  readonly #hub = new TraceHub(this.#clock);
  readonly #records: TraceRecord[] = [];
  readonly #journal: InputJournal;
  readonly #machines: GroupMachines;
  readonly #ways = new Ways();
  readonly #witness: ReplicaId;
  /** What each node's own clock said last, and when. */
  readonly #clocks = new Map<ReplicaId, { readonly time: number; readonly now: number }>();
  /** When the last frame of a way arrived that the recording does not have: they keep their order. */
  readonly #lastArrival = new Map<string, number>();
  #order = UNRECORDED;
  /** Whether anything has gone otherwise than recorded. */
  #isOther: boolean;
  /** Whether a record tells of the frame that a node is being handed. */
  #isFrameTold = false;

  constructor(recorded: RecordedSteps, edits: readonly Edit[], { group, runOn, without }: BranchOptions) {
    const definition = needsGroup(group);
    this.#recorded = recorded;
    this.#edits = edits;
    this.#without = without ?? new Set();
    this.#isOther = this.#without.size > 0;
    this.#runOn = edits.length > 0 ? (runOn ?? DEFAULT_RUN_ON) : 0;
    this.#baseline = groupBaseline(recorded.steps, definition);
    checkEdits(edits, (seq) => this.#baseline.bySeq.has(seq));
    this.#latency = usualLatency(this.#baseline);
    const first = recorded.steps.find(({ input }) => input !== undefined)?.input;
    this.#witness = first?.replica ?? replicaId('peer');
    this.#hub.listen((record) => this.#take(record));
    this.#journal = new InputJournal(this.#hub, this.#witness);
    this.#machines = new GroupMachines(this.#hub, definition, {
      onFlush: (replica) => this.#flushLater(replica),
      random: (random, replica, clock) => this.#journal.random(random, replica, clock),
    });
  }

  run(): Branch {
    const { header, steps } = this.#recorded;
    this.#hub.emit(this.#witness, branchTold(header, this.#edits));
    for (const [order, step] of steps.entries()) {
      const journey = this.#baseline.byStep.get(order);
      if (this.#without.has(order) || (journey && !this.#baseline.foreign.has(order))) continue;
      this.#timeline.add({ time: step.time, order, run: () => this.#carryOut(step, journey) });
    }
    const end = steps.at(-1)?.time ?? 0;
    for (let time = end + TICK; time <= end + this.#runOn; time += TICK) this.#at(time, () => this.#tickAll());
    this.#timeline.runUntil(end + this.#runOn, this.#clock);
    this.#journal.flush();
    return { header: branchHeader(header), records: this.#records };
  }

  #take(record: TraceRecord): void {
    this.#records.push(record);
    const { kind } = record.body;
    if (kind === 'receive' || kind === 'refused') this.#isFrameTold = true;
  }

  /** `journey` of a frame that comes from outside the group. */
  #carryOut({ input, records }: Step, journey: GroupJourney | undefined): void {
    const frame = journey && frameOf(records);
    if (input?.op === 'take' && journey && frame && this.#intrude(input, journey, frame)) return;
    if (input === undefined) {
      for (const { record } of records) this.#hub.emit(record.replica, record.body, [], record.wire);
      return;
    }
    const fitted = this.#isOther ? this.#fitted(input) : input;
    if (fitted) this.#apply(fitted, records);
  }

  /** Whether a frame from outside is edited; it then comes as the edits say. */
  #intrude(input: InputOf<'take'>, journey: GroupJourney, frame: Uint8Array): boolean {
    const edited = this.#edited(journey, frame);
    if (!edited.isEdited) return false;
    this.#isOther = true;
    for (const { time } of edited.arrivals) {
      this.#at(time, () => {
        if (this.#machines.has(input.replica)) {
          this.#apply({ ...input, now: this.#nowOf(input.replica) }, [], edited.frame);
        }
      });
    }
    return true;
  }

  #edited(journey: GroupJourney, frame: Uint8Array) {
    return editedJourney(this.#edits, journey, frame, {
      bySeq: (seq) => this.#baseline.bySeq.get(seq),
      nextOrder: () => this.#order++,
      names: new NameTable(),
    });
  }

  /** A recorded input as it makes sense where things have gone otherwise; undefined where it makes none. */
  #fitted(input: Input): Input | undefined {
    switch (input.op) {
      case 'drawn':
        return undefined;
      case 'node': {
        const contents = this.#machines.durable(input.replica);
        return input.contents && contents ? { ...input, contents } : input;
      }
      case 'nodeStands':
        return this.#machines.has(input.replica) ? undefined : input;
      case 'flushed':
        return this.#machines.waiting(input.replica) > 0 ? input : undefined;
      default:
        return this.#machines.has(input.replica) ? input : undefined;
    }
  }

  #apply(input: Input, records: Step['records'], frame?: Uint8Array): void {
    if (input.op === 'drawn') {
      // Written down as it is drawn.
      this.#machines.apply(input, records);
      return;
    }
    this.#clocks.set(input.replica, { time: this.#clock.time, now: input.now });
    if (isBeginning(input, this.#machines)) this.#ways.begun(input.replica);
    this.#isFrameTold = false;
    const work = (): GroupFrame[] => this.#machines.apply(input, records, frame);
    const sent = this.#journal.note(work, () => this.#written(input, frame));
    for (const one of sent) this.#send(one);
  }

  /** The input as it is written down: with its frame where no record has that. */
  #written(input: Input, frame: Uint8Array | undefined): Input {
    return input.op === 'take' && frame && !this.#isFrameTold ? { ...input, frame } : input;
  }

  // — the network —

  #send(sent: GroupFrame): void {
    const key = this.#ways.next(sent);
    const journey = this.#baseline.journeys.get(key);
    if (!journey) {
      this.#isOther = true;
      const way = `${sent.from}/${sent.to}`;
      const time = Math.max(this.#clock.time + this.#latency, this.#lastArrival.get(way) ?? 0);
      this.#lastArrival.set(way, time);
      this.#at(time, (order) => this.#deliver(sent, order, undefined));
      return;
    }
    const { frame, arrivals, isEdited } = this.#edited(journey, sent.frame);
    if (isEdited) this.#isOther = true;
    const shift = this.#clock.time - journey.sentAt;
    for (const arrival of arrivals) this.#arrive({ ...sent, frame }, arrival, shift);
  }

  #arrive(sent: GroupFrame, { time, order: recorded, now: said }: PlannedArrival, shift: number): void {
    const order = shift === 0 ? recorded : this.#order++;
    const now = shift === 0 ? said : undefined;
    this.#timeline.add({ time: time + shift, order, run: () => this.#deliver(sent, order, now) });
  }

  #deliver({ from, to, frame }: GroupFrame, order: number, said: number | undefined): void {
    if (!this.#machines.has(to)) return;
    const step = this.#isOther ? undefined : this.#recorded.steps[order];
    if (step?.input?.op === 'take') {
      this.#apply(step.input, step.records, frame);
      return;
    }
    const over = this.#baseline.isBus ? null : from;
    this.#apply({ op: 'take', replica: to, now: said ?? this.#nowOf(to), from: over }, [], frame);
  }

  // — what the recording does not have —

  #flushLater(replica: ReplicaId): void {
    // As long as all goes as recorded, the recording says when it is done.
    if (!this.#isOther) return;
    this.#at(this.#clock.time + FLUSH_TIME, () => {
      if (this.#machines.waiting(replica) === 0) return;
      this.#apply({ op: 'flushed', replica, now: this.#nowOf(replica) }, []);
    });
  }

  #tickAll(): void {
    for (const replica of this.#machines.replicas) this.#apply({ op: 'tick', replica, now: this.#nowOf(replica) }, []);
  }

  #at(time: number, run: (order: number) => void): void {
    const order = this.#order++;
    this.#timeline.add({ time, order, run: () => run(order) });
  }

  /** What a node's clock says now: as much later than it said last as the trace is. */
  #nowOf(replica: ReplicaId): number {
    const known = this.#clocks.get(replica);
    return Math.max(0, Math.round(known ? known.now + (this.#clock.time - known.time) : this.#clock.time));
  }
}

/** The middle of what frames took. */
function usualLatency({ journeys }: GroupBaseline): number {
  const times = [...journeys.values()].flatMap(({ sentAt, arrivals: [first] }) => (first ? [first.time - sentAt] : []));
  return times.sort((a, b) => a - b)[times.length >> 1] ?? DEFAULT_LATENCY;
}
