import { NameTable } from '../messages/index.ts';
import { milliseconds } from '../ports/index.ts';
import { type ReplicaId, replicaId } from '../state/index.ts';
import type { TraceRecord } from '../trace/index.ts';
import type { Branch, BranchOptions } from './branch.ts';
import { BranchStage, usualLatency } from './branch-stage.ts';
import { checkEdits, type Edit } from './edits.ts';
import { type GroupBaseline, type GroupJourney, groupBaseline, isBeginning, Ways } from './group-baseline.ts';
import { type GroupDefinition, type GroupFrame, GroupMachines, needsGroup } from './group-machines.ts';
import type { Input, InputOf } from './inputs.ts';
import { editedJourney, type PlannedArrival, type Travelled, underwayAt } from './journey.ts';
import { frameOf } from './machines.ts';
import type { RecordedSteps, Step } from './steps.ts';

const FLUSH_TIME = milliseconds(5);

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
  readonly #stage: BranchStage;
  readonly #baseline: GroupBaseline;
  readonly #latency: number;
  readonly #underway: ReadonlySet<Travelled>;
  readonly #machines: GroupMachines;
  readonly #ways = new Ways();
  /** Whether a record tells of the frame that a node is being handed. */
  #isFrameTold = false;

  constructor(recorded: RecordedSteps, edits: readonly Edit[], options: BranchOptions) {
    const definition = needsGroup(options.group);
    this.#recorded = recorded;
    this.#baseline = baselineOf(recorded.steps, definition);
    this.#latency = usualLatency(latenciesIn(this.#baseline));
    const first = recorded.steps.find(({ input }) => input !== undefined)?.input;
    const stage = new BranchStage(recorded, edits, options, first?.replica ?? replicaId('peer'));
    this.#stage = stage;
    this.#underway = underwayAt(this.#baseline.journeys, stage.lastInput);
    checkEdits(
      edits,
      (seq) => this.#baseline.bySeq.get(seq),
      (message) => this.#underway.has(message),
    );
    stage.hub.listen((record) => this.#take(record));
    this.#machines = new GroupMachines(stage.hub, definition, {
      onFlush: (replica) => this.#flushLater(replica),
      random: (random, replica, clock) => stage.journal.random(random, replica, clock),
    });
  }

  run(): Branch {
    const stage = this.#stage;
    return stage.run(
      () => {
        for (const [order, step] of this.#recorded.steps.entries()) {
          const journey = this.#baseline.byStep.get(order);
          if (stage.without.has(order) || (journey && !this.#baseline.foreign.has(order))) continue;
          stage.add(step.time, order, () => this.#carryOut(step, order, journey));
        }
      },
      () => this.#tickAll(),
    );
  }

  #take({ body: { kind } }: TraceRecord): void {
    if (kind === 'receive' || kind === 'refused') this.#isFrameTold = true;
  }

  /** `journey` of a frame that comes from outside the group. */
  #carryOut({ input, records }: Step, order: number, journey: GroupJourney | undefined): void {
    const frame = journey && frameOf(records);
    if (input?.op === 'take' && journey && frame && this.#intrude(input, journey, frame)) return;
    if (input === undefined) {
      this.#stage.tell(records, order, (replica) => this.#machines.has(replica));
      return;
    }
    const fitted = this.#stage.isOther ? this.#fitted(input) : input;
    if (fitted) this.#apply(fitted, records);
  }

  /** Whether a frame from outside is edited; it then comes as the edits say. */
  #intrude(input: InputOf<'take'>, journey: GroupJourney, frame: Uint8Array): boolean {
    const edited = this.#edited(journey, frame, 'outside');
    if (!edited.isEdited) return false;
    this.#stage.isOther = true;
    for (const { time } of edited.arrivals) {
      this.#stage.at(time, () => {
        if (this.#machines.has(input.replica)) {
          this.#apply({ ...input, now: this.#stage.nowOf(input.replica) }, [], edited.frame);
        }
      });
    }
    return true;
  }

  /** `line` names its way, on which frames that the recording does not have keep their order. */
  #edited(journey: GroupJourney, frame: Uint8Array, line: string) {
    return editedJourney(this.#stage.edits, journey, frame, {
      bySeq: (seq) => this.#baseline.bySeq.get(seq),
      stillArrives: (one) =>
        this.#stage.goesOn && this.#underway.has(one)
          ? Math.max(this.#stage.arrivalOn(line, this.#latency), this.#stage.lastInput)
          : undefined,
      usual: this.#latency,
      nextOrder: () => this.#stage.nextOrder(),
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
    this.#stage.heard(input.replica, input.now);
    if (isBeginning(input, this.#machines)) this.#ways.begun(input.replica);
    this.#isFrameTold = false;
    const work = (): GroupFrame[] => this.#machines.apply(input, records, frame);
    const sent = this.#stage.journal.note(work, () => this.#written(input, frame));
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
      this.#stage.isOther = true;
      const time = this.#stage.arrivalOn(`${sent.from}/${sent.to}`, this.#latency);
      this.#stage.at(time, (order) => this.#deliver(sent, order, undefined));
      return;
    }
    const { frame, arrivals, isEdited } = this.#edited(journey, sent.frame, `${sent.from}/${sent.to}`);
    if (isEdited) this.#stage.isOther = true;
    const shift = this.#stage.clock.time - journey.sentAt;
    for (const arrival of arrivals) this.#arrive({ ...sent, frame }, arrival, shift);
  }

  #arrive(sent: GroupFrame, { time, order: recorded, now: said }: PlannedArrival, shift: number): void {
    const order = shift === 0 ? recorded : this.#stage.nextOrder();
    const now = shift === 0 ? said : undefined;
    this.#stage.add(time + shift, order, () => this.#deliver(sent, order, now));
  }

  #deliver({ from, to, frame }: GroupFrame, order: number, said: number | undefined): void {
    if (!this.#machines.has(to)) return;
    // An arrival that was not recorded is what has gone otherwise.
    if (!this.#recorded.steps[order]) this.#stage.isOther = true;
    const step = this.#stage.isOther ? undefined : this.#recorded.steps[order];
    if (step?.input?.op === 'take') {
      this.#apply(step.input, step.records, frame);
      return;
    }
    const over = this.#baseline.isBus ? null : from;
    this.#apply({ op: 'take', replica: to, now: said ?? this.#stage.nowOf(to), from: over }, [], frame);
  }

  // — what the recording does not have —

  #flushLater(replica: ReplicaId): void {
    // As long as all goes as recorded, the recording says when it is done.
    if (!this.#stage.isOther) return;
    this.#stage.at(this.#stage.clock.time + FLUSH_TIME, () => {
      if (this.#machines.waiting(replica) === 0) return;
      this.#apply({ op: 'flushed', replica, now: this.#stage.nowOf(replica) }, []);
    });
  }

  #tickAll(): void {
    for (const replica of this.#machines.replicas)
      this.#apply({ op: 'tick', replica, now: this.#stage.nowOf(replica) }, []);
  }
}

/** Of a recording that is branched again and again, such as to shrink it, the baseline is always the same, and takes as long as a branch. */
const baselines = new WeakMap<
  readonly Step[],
  { readonly definition: GroupDefinition; readonly baseline: GroupBaseline }
>();

function baselineOf(steps: readonly Step[], definition: GroupDefinition): GroupBaseline {
  const known = baselines.get(steps);
  if (known?.definition === definition) return known.baseline;
  const baseline = groupBaseline(steps, definition);
  baselines.set(steps, { definition, baseline });
  return baseline;
}

function latenciesIn({ journeys }: GroupBaseline): number[] {
  return [...journeys.values()].flatMap(({ sentAt, arrivals: [first] }) => (first ? [first.time - sentAt] : []));
}
