import { SyncError } from '../errors/index.ts';
import { NameTable } from '../messages/index.ts';
import { milliseconds } from '../ports/index.ts';
import { fitText } from '../schema/index.ts';
import { type ReplicaId, replicaId } from '../state/index.ts';
import { type LinkId, perLink, type SessionDefinition } from '../sync/index.ts';
import type { TraceHeader, TraceRecord } from '../trace/index.ts';
import { type Baseline, baselineOf, type Direction, type Journey, keyOf } from './baseline.ts';
import { BesideTap } from './beside-tap.ts';
import { BranchStage, usualLatency } from './branch-stage.ts';
import { runnable } from './device-machines.ts';
import { appDecisions, type Decisions, RecordedDecisions } from './driven.ts';
import { checkEdits, type Edit } from './edits.ts';
import { runGroupBranch } from './group-branch.ts';
import type { GroupDefinition } from './group-machines.ts';
import type { Input } from './inputs.ts';
import { editedJourney, type Travelled, underwayAt } from './journey.ts';
import { frameOf, Machines } from './machines.ts';
import { isGroup, type RecordedSteps, type Step } from './steps.ts';

export interface BranchOptions {
  readonly definition?: SessionDefinition | undefined;
  /** The same of a session without an authority. */
  readonly group?: GroupDefinition | undefined;
  /** Nanoseconds that a branch with edits goes on after the recording's end, so that what went wrong can show and be put right. */
  readonly runOn?: number | undefined;
  /** Steps that are left out, by their place. What follows from them is left out with them. */
  readonly without?: ReadonlySet<number> | undefined;
}

/** A session as it would have gone. */
export interface Branch {
  readonly header: TraceHeader;
  /** The first says what was edited, as a `log`; with the inputs, so the branch can be run again and branched itself. */
  readonly records: readonly TraceRecord[];
}

/** After which one side hears that the other has closed. */
const CLOSING_TIME = milliseconds(10);
const RECONNECT_AFTER = milliseconds(1_000);
/** Numbers of links that the recording does not have. */
const FIRST_NEW_LINK = 1_000_000_000;

/**
 * Runs a recorded session once more with some messages dropped, delayed, duplicated, swapped or edited. Endpoints are real; people and
 * drivers do what they did, when they did it; the network does to the n-th frame of each connection what it did to it, and to frames that
 * the recording does not have what it did to most. Without an edit the branch is the recording.
 * @throws SyncError `EDIT_UNKNOWN` where no message has the `seq`, as `editedFrame`, `REPLAY_NEEDS_DEFINITION`, `REPLAY_LOG_UNKNOWN`
 */
export function runBranch(recorded: RecordedSteps, edits: readonly Edit[], options: BranchOptions = {}): Branch {
  refuseGaps(recorded.steps);
  if (edits.length > 0 || (options.without?.size ?? 0) > 0) refuseShared(recorded.steps);
  if (isGroup(recorded.steps)) return runGroupBranch(recorded, edits, options);
  const steps = runnable(recorded.steps, options.definition !== undefined);
  return new BranchRun({ ...recorded, steps }, edits, options).run();
}

/** @throws SyncError `BRANCH_SHARED`: nobody knows what the others would have appended to the log then */
function refuseShared(steps: readonly Step[]): void {
  const isShared = steps.some(({ input }) => input?.op === 'authorityStands' && input.standing.isShared);
  if (!isShared) return;
  const text =
    'several authorities share the log of this session: what the others would have appended to it had this one done something else is in no recording. It can be run again with replay';
  throw new SyncError('BRANCH_SHARED', text, { origin: 'capture' });
}

/** @throws SyncError `REPLAY_INPUTS_MISSING` where records are missing in the midst: nobody knows how it goes on behind them */
function refuseGaps(steps: readonly Step[]): void {
  const begun = steps.findIndex(({ input }) => input !== undefined);
  if (!steps.some(({ isCut }, at) => isCut && at > begun && steps.slice(at).some(({ input }) => input))) return;
  const text =
    'this capture cannot be branched: records are missing in the midst of it. Cut it there with filter, and branch one part';
  throw new SyncError('REPLAY_INPUTS_MISSING', text, { origin: 'capture' });
}

/** One connection as the branch has it. */
interface Connection {
  readonly link: LinkId;
  readonly replica: ReplicaId;
}

class BranchRun {
  readonly #recorded: RecordedSteps;
  readonly #stage: BranchStage;
  readonly #baseline: Baseline;
  readonly #tap: BesideTap;
  readonly #machines: Machines;
  readonly #authority: ReplicaId;
  readonly #connections = new Map<ReplicaId, Connection>();
  readonly #latencies: ReadonlyMap<Direction, number>;
  readonly #underway: ReadonlySet<Travelled>;
  /** Names by authority or client, to edit frames with. */
  readonly #names = new Map<ReplicaId, NameTable>();
  #nextLink = FIRST_NEW_LINK;

  constructor(recorded: RecordedSteps, edits: readonly Edit[], options: BranchOptions) {
    const { definition } = options;
    this.#recorded = recorded;
    const decisions = (): Decisions =>
      definition ? appDecisions(definition, recorded.steps) : new RecordedDecisions(recorded.steps);
    this.#baseline = onceOf(recorded.steps, definition, decisions);
    this.#latencies = usualLatencies(this.#baseline);
    this.#authority = recorded.header.authority ?? replicaId('server');
    this.#stage = new BranchStage(recorded, edits, options, this.#authority);
    this.#stage.hub.listen((record) => this.#take(record));
    this.#tap = new BesideTap(this.#stage.hub);
    this.#machines = new Machines(this.#tap, decisions());
    this.#underway = underwayAt(this.#baseline.journeys, this.#stage.lastInput);
    checkEdits(
      edits,
      (seq) => this.#baseline.bySeq.get(seq),
      (message) => this.#underway.has(message),
    );
  }

  run(): Branch {
    const stage = this.#stage;
    return stage.run(
      () => {
        for (const [order, step] of this.#recorded.steps.entries()) {
          const op = step.input?.op;
          const isBrought = (op === 'arrival' || op === 'delivery') && this.#journeyOf(step) !== undefined;
          if (stage.without.has(order) || isBrought) continue;
          stage.add(step.time, order, () => this.#carryOut(step, order));
        }
      },
      () => this.#tickAll(),
    );
  }

  #take({ body, replica }: TraceRecord): void {
    if (body.kind !== 'names' || body.sender !== replica) return;
    const known = body.first === 0 ? undefined : this.#names.get(replica);
    const table = known ?? new NameTable();
    if (table.length === body.first) table.append(body.first, body.names);
    this.#names.set(replica, table);
  }

  // — what was recorded —

  #journeyOf({ records }: Step): Journey | undefined {
    const frame = frameOf(records);
    const brought = frame && records.find(({ record }) => record.wire === frame);
    return brought && this.#baseline.bySeq.get(brought.record.seq);
  }

  #carryOut({ input, records, snapshot }: Step, order: number): void {
    if (input === undefined) {
      this.#stage.tell(records, order, (replica) => this.#machines.has(replica));
      return;
    }
    const fitted = this.#stage.isOther ? this.#fitted(input) : input;
    if (fitted) this.#apply(fitted, this.#stage.isOther && input.op === 'delivery' ? [] : records, undefined, snapshot);
  }

  /** A recorded input as it makes sense where things have gone otherwise; undefined where it makes none. */
  #fitted(input: Input): Input | undefined {
    const manager = this.#machines.authority;
    switch (input.op) {
      case 'arrival':
        // One without a frame came to a closed link.
        return manager?.replicaOf(input.link) === undefined ? input : undefined;
      case 'authority':
        return { ...input, log: input.log && { ...input.log, last: Math.min(input.log.last, this.#machines.logged) } };
      case 'durable':
        return input.failure === undefined ? { ...input, durable: this.#machines.logged } : input;
      case 'delivery':
        return undefined;
      default:
        return input;
    }
  }

  // — the machines —

  #apply(input: Input, records: Step['records'], frame?: Uint8Array, snapshot?: Step['snapshot']): void {
    this.#stage.heard(input.replica, input.now);
    if (input.op === 'open') this.#connections.set(input.replica, { link: input.link, replica: input.replica });
    if (input.op === 'closed') this.#connections.delete(input.replica);
    if (input.op === 'authorityStands') {
      for (const { id, client } of input.standing.links) {
        if (client) this.#connections.set(client.replica, { link: id, replica: client.replica });
      }
    }
    this.#tap.expect(this.#stage.isOther ? [] : records);
    const { frames, outgoing } = this.#stage.journal.run(input, () => {
      const effects = this.#machines.apply(input, records, frame, snapshot);
      this.#tap.tellBeside();
      return effects;
    });
    if (input.op === 'arrival') this.#greeted(input.link);
    const { link = -1 } = this.#connections.get(input.replica) ?? {};
    for (const one of frames) this.#send(link, 'up', one, input.replica);
    for (const one of perLink(outgoing)) {
      if ('frame' in one) this.#send(one.link, 'down', one.frame, input.replica);
      else if (this.#stage.isOther) this.#closedByAuthority(one.link, one.close);
    }
    if (this.#stage.isOther) this.#followClient(input.replica);
  }

  /** One who opened before the recording began is not known by its link before its HELLO comes in. */
  #greeted(link: LinkId): void {
    const replica = this.#machines.authority?.replicaOf(link);
    if (replica === undefined || this.#connections.has(replica)) return;
    const phase = this.#machines.clients.get(replica)?.phase;
    if (phase !== undefined && phase !== 'closed') this.#connections.set(replica, { link, replica });
  }

  // — the network —

  #send(link: LinkId, direction: Direction, frame: Uint8Array, from: ReplicaId): void {
    const journey = this.#baseline.journeys.get(keyOf(link, direction, frame));
    const latency = this.#latencies.get(direction) ?? CLOSING_TIME;
    if (!journey) {
      this.#stage.isOther = true;
      const time = this.#stage.arrivalOn(`${link}/${direction}`, latency);
      this.#deliverAt(time, undefined, link, direction, frame);
      return;
    }
    const {
      frame: bytes,
      arrivals,
      isEdited,
    } = editedJourney(this.#stage.edits, journey, frame, {
      bySeq: (seq) => this.#baseline.bySeq.get(seq),
      stillArrives: (one) =>
        this.#stage.goesOn && this.#underway.has(one)
          ? Math.max(this.#stage.arrivalOn(`${link}/${direction}`, latency), this.#stage.lastInput)
          : undefined,
      usual: latency,
      nextOrder: () => this.#stage.nextOrder(),
      names: this.#names.get(from) ?? new NameTable(),
    });
    if (isEdited) this.#stage.isOther = true;
    const isOnTime = journey.sentAt === this.#stage.clock.time;
    for (const { time, order, now } of arrivals) {
      const at = isOnTime ? time : time + (this.#stage.clock.time - journey.sentAt);
      this.#deliverAt(at, isOnTime ? { order, now } : undefined, link, direction, bytes);
    }
  }

  #deliverAt(
    time: number,
    place: { readonly order: number; readonly now: number | undefined } | undefined,
    link: LinkId,
    direction: Direction,
    frame: Uint8Array,
  ): void {
    const order = place?.order ?? this.#stage.nextOrder();
    this.#stage.add(time, order, () => this.#deliver(order, place?.now, link, direction, frame));
  }

  #deliver(order: number, at: number | undefined, link: LinkId, direction: Direction, frame: Uint8Array): void {
    // An arrival that was not recorded is what has gone otherwise.
    if (!this.#recorded.steps[order]) this.#stage.isOther = true;
    // What was recorded of this very arrival still says what the app's code did, unless something has gone otherwise.
    const records = this.#stage.isOther ? [] : (this.#recorded.steps[order]?.records ?? []);
    if (direction === 'up') {
      const now = at ?? this.#stage.nowOf(this.#authority);
      this.#apply({ op: 'arrival', replica: this.#authority, now, link }, records, frame);
      return;
    }
    const connection = [...this.#connections.values()].find((one) => one.link === link);
    if (!connection) return;
    const { replica } = connection;
    this.#apply({ op: 'delivery', replica, now: at ?? this.#stage.nowOf(replica), link }, records, frame);
  }

  // — connections that go otherwise —

  /** The authority has closed a link: its client hears of it, and comes back, where no recorded input says so. */
  #closedByAuthority(link: LinkId, reason: string): void {
    const connection = [...this.#connections.values()].find((one) => one.link === link);
    if (!connection) return;
    const { replica } = connection;
    this.#stage.after(CLOSING_TIME, () => {
      if (this.#connections.get(replica) !== connection) return;
      this.#apply({ op: 'closed', replica, now: this.#stage.nowOf(replica), reason: fitText(reason, 500) }, []);
      this.#reconnect(replica);
    });
  }

  /** A client that has ended its connection by itself. */
  #followClient(replica: ReplicaId): void {
    const connection = this.#connections.get(replica);
    const client = this.#machines.clients.get(replica);
    if (!connection || client?.phase !== 'closed') return;
    this.#connections.delete(replica);
    const { link } = connection;
    this.#stage.after(CLOSING_TIME, () => {
      const now = this.#stage.nowOf(this.#authority);
      this.#apply({ op: 'disconnect', replica: this.#authority, now, link, reason: 'closed by the client' }, []);
    });
    this.#reconnect(replica);
  }

  #reconnect(replica: ReplicaId): void {
    this.#stage.after(RECONNECT_AFTER, () => {
      if (this.#connections.has(replica)) return;
      const link = this.#nextLink++;
      this.#apply({ op: 'connect', replica: this.#authority, now: this.#stage.nowOf(this.#authority), link }, []);
      this.#apply({ op: 'open', replica, now: this.#stage.nowOf(replica), link }, []);
    });
  }

  #tickAll(): void {
    const now = this.#stage.nowOf(this.#authority);
    const logged = this.#machines.logged;
    if (logged >= 0) this.#apply({ op: 'durable', replica: this.#authority, now, durable: logged }, []);
    this.#apply({ op: 'tick', replica: this.#authority, now }, []);
    for (const replica of this.#machines.clients.keys()) {
      this.#apply({ op: 'tick', replica, now: this.#stage.nowOf(replica) }, []);
    }
  }
}

/** Of a recording that is branched again and again, such as to shrink it, the baseline is always the same, and takes as long as a branch. */
const baselines = new WeakMap<
  readonly Step[],
  { readonly definition: SessionDefinition | undefined; readonly baseline: Baseline }
>();

function onceOf(
  steps: readonly Step[],
  definition: SessionDefinition | undefined,
  decisions: () => Decisions,
): Baseline {
  const known = baselines.get(steps);
  if (known && known.definition === definition) return known.baseline;
  const baseline = baselineOf(steps, decisions());
  baselines.set(steps, { definition, baseline });
  return baseline;
}

/** The middle of what frames took each way. */
function usualLatencies({ journeys }: Baseline): Map<Direction, number> {
  const times: Record<Direction, number[]> = { up: [], down: [] };
  for (const { direction, sentAt, arrivals } of journeys.values()) {
    const [first] = arrivals;
    if (first) times[direction].push(first.time - sentAt);
  }
  return new Map([
    ['up', usualLatency(times.up)],
    ['down', usualLatency(times.down)],
  ]);
}
