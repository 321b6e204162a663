import { toHex } from '../bytes/index.ts';
import type { ReplicaId } from '../state/index.ts';
import { type GroupDefinition, type GroupFrame, GroupMachines } from './group-machines.ts';
import type { Input, InputOf } from './inputs.ts';
import type { Arrival, Travelled } from './journey.ts';
import { frameOf } from './machines.ts';
import type { Step } from './steps.ts';

/** How a frame between two nodes of a recording fared. */
export interface GroupJourney extends Travelled {
  readonly arrivals: Arrival[];
}

/** What the network between the nodes did in a recording. */
export interface GroupBaseline {
  /** By the frame's place on its way: see {@link Ways}. */
  readonly journeys: ReadonlyMap<string, GroupJourney>;
  /** By the `seq` of each `send` and `receive` record. */
  readonly bySeq: ReadonlyMap<number, GroupJourney>;
  /** The arrivals, by their steps. */
  readonly byStep: ReadonlyMap<number, GroupJourney>;
  /** Those of them that nobody of the group has sent, such as a stranger's. */
  readonly foreign: ReadonlySet<number>;
  /** Whether frames do not say over which link they came. */
  readonly isBus: boolean;
}

/** Numbers the frames on the way from one life of a node to another node: a frame's place is kept whatever it says. */
export class Ways {
  readonly #counts = new Map<string, number>();
  readonly #lives = new Map<ReplicaId, number>();

  begun(replica: ReplicaId): void {
    this.#lives.set(replica, (this.#lives.get(replica) ?? 0) + 1);
  }

  next({ from, to }: GroupFrame): string {
    const way = `${from}/${this.#lives.get(from) ?? 0}/${to}`;
    const count = (this.#counts.get(way) ?? 0) + 1;
    this.#counts.set(way, count);
    return `${way}/${count}`;
  }
}

/** Whether a life of a node begins with it, as far as these machines know: one that stands where it is known to be goes on. */
export function isBeginning({ op, replica }: Input, machines: GroupMachines): boolean {
  return op === 'node' || (op === 'nodeStands' && !machines.has(replica));
}

/** Runs the recording once, to know which frame each arrival was and how long it had been on its way. */
export function groupBaseline(steps: readonly Step[], definition: GroupDefinition): GroupBaseline {
  const journeys = new Map<string, GroupJourney>();
  const bySeq = new Map<number, GroupJourney>();
  const byStep = new Map<number, GroupJourney>();
  const foreign = new Set<number>();
  /** The newest frame of these bytes on each way. */
  const flying = new Map<string, GroupJourney>();
  const ways = new Ways();
  const machines = new GroupMachines({ isOpen: true, emit: () => 0 }, definition);
  let [links, busses] = [0, 0];
  for (const [index, step] of steps.entries()) {
    const { input, records, time } = step;
    if (input === undefined) continue;
    if (isBeginning(input, machines)) ways.begun(input.replica);
    if (input.op === 'take') {
      const known = arrived(step, input);
      const isBrought = known !== undefined || frameOf(records) !== undefined;
      if (isBrought) {
        const journey: GroupJourney = known ?? { sent: 0, sentAt: time, arrivals: [] };
        if (!known) foreign.add(index);
        const seq = records.find(({ record: { body } }) => body.kind === 'receive' || body.kind === 'refused');
        journey.arrivals.push({ step: index, time, now: input.now, seq: seq?.record.seq ?? 0 });
        if (seq) bySeq.set(seq.record.seq, journey);
        byStep.set(index, journey);
        if (known && input.from === null) busses++;
        else if (known) links++;
      }
    }
    const sends = records.filter(({ record }) => record.body.kind === 'send' && record.replica === input.replica);
    for (const frame of machines.apply(input, records)) {
      const told = sends.findIndex(({ record: { body } }) => body.kind === 'send' && body.to === frame.to);
      const [record] = told < 0 || !isTold(frame, sends[told]) ? [] : sends.splice(told, 1);
      const journey: GroupJourney = { sent: record?.record.seq ?? 0, sentAt: time, arrivals: [] };
      journeys.set(ways.next(frame), journey);
      flying.set(nameOf(frame.from, frame.to, frame.frame), journey);
      if (journey.sent > 0) bySeq.set(journey.sent, journey);
    }
  }
  return { journeys, bySeq, byStep, foreign, isBus: busses > links };

  function arrived({ records }: Step, { replica, from, frame: own }: InputOf<'take'>): GroupJourney | undefined {
    const frame = own ?? frameOf(records);
    if (!frame) return undefined;
    const told = records.find(({ record: { body } }) => body.kind === 'receive' || body.kind === 'refused');
    const body = told?.record.body;
    const sender = from ?? (body?.kind === 'receive' || body?.kind === 'refused' ? body.from : undefined);
    return sender === undefined ? undefined : flying.get(nameOf(sender, replica, frame));
  }
}

function nameOf(from: ReplicaId, to: ReplicaId, frame: Uint8Array): string {
  return `${from}/${to}/${toHex(frame)}`;
}

/** Whether a `send` record tells of this frame: what is not worth a record, such as media, has none. */
function isTold({ frame }: GroupFrame, placed: Step['records'][number] | undefined): boolean {
  const wire = placed?.record.wire;
  return wire !== undefined && wire.length === frame.length && wire.every((byte, at) => byte === frame[at]);
}
