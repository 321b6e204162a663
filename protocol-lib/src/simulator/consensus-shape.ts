import type { ConsensusSettings } from '../peers/index.ts';
import { milliseconds } from '../ports/index.ts';
import { Stream } from './choices.ts';
import { type ClockShape, FAULT_CLASSES, type FaultClass, type LinkShape, type SimulationOptions } from './shape.ts';

/** Faults that strike a group at a moment. `stall`: a member has no room; `corrupt`: a stranger speaks on the bus, and a state is damaged for a while. */
export const CONSENSUS_STRIKING = [
  'partition',
  'pause',
  'crash',
  'disk',
  'clock',
  'stall',
  'corrupt',
] as const satisfies readonly FaultClass[];
export type ConsensusFault = (typeof CONSENSUS_STRIKING)[number];

export interface MemberShape {
  readonly name: string;
  readonly clock: ClockShape;
  /** Nanoseconds until what was written is durable. */
  readonly flushTime: number;
  /** Between two operations, on average. */
  readonly pace: number;
}

/** Everything of a run of a group that is decided before it starts. */
export interface ConsensusShape {
  /** The members; named as those of the other scenario are. */
  readonly clients: readonly MemberShape[];
  readonly faults: ReadonlySet<FaultClass>;
  /** Of each ordered pair of members, in the order of the pairs. */
  readonly links: readonly LinkShape[];
  readonly settings: Partial<ConsensusSettings> & {
    readonly maxChanges: number;
    readonly perAnswer: number;
    readonly maxQueue: number;
  };
  /** Whether frames carry no more of where they come from than they say themselves. */
  readonly isBus: boolean;
  readonly warmUp: number;
  readonly safety: number;
  readonly faultEvents: number;
}

const NAMES = ['alice', 'bob', 'carol', 'dave', 'erin'];

/** Draws the shape of a run. Taking out a class or a member leaves the rest as it was. */
export function drawConsensusShape(options: SimulationOptions): ConsensusShape {
  const stream = Stream.of(options.seed, 'group');
  const drawn = FAULT_CLASSES.filter(() => stream.chance(0.55));
  const faults = new Set(drawn.filter((one) => !options.without?.includes(one)));
  const count = stream.pick([3, 3, 3, 5, 5, 5, 4, 2, 1]);
  const base = stream.fork();
  const isRace = base.chance(0.4);
  const datagrams = base.pick([0, 0.5, 1]);
  const members = NAMES.map((name) => drawMember(name, stream.fork(), faults, isRace));
  const links = Array.from({ length: NAMES.length ** 2 }, () => drawLink(stream.fork(), faults, datagrams));
  const safety = milliseconds(Math.min(base.pick([1_000, 2_500, 4_000]), options.length ?? Number.POSITIVE_INFINITY));
  const settings = {
    roundTimeout: milliseconds(base.pick([500, 1_000, 2_000])),
    resendInterval: milliseconds(base.pick([100, 250, 400])),
    backoff: milliseconds(base.pick([30, 100, 300])),
    backoffMax: milliseconds(base.pick([500, 2_000])),
    maxAttempts: base.pick([2, 5, 12, 30]),
    takeOver: milliseconds(base.pick([300, 1_000, 2_000])),
    // A group of one decides much at once that it has shown to nobody: all of it must be found after a crash.
    kept: base.pick([1, 3, 16, 256]) + (count === 1 ? 256 : 0),
    perAnswer: base.pick([1, 4, 32]),
    maxQueue: base.pick([3, 1_000]),
    maxUndurable: base.pick([2, 50, 1_000]),
    compactBytes: base.pick([500, 5_000, 1_000_000]),
    maxChanges: 20,
  };
  return {
    clients: members.slice(0, Math.min(count, options.clients ?? count)),
    faults,
    links,
    settings,
    isBus: base.chance(0.5),
    warmUp: milliseconds(base.int(100, 600)),
    safety,
    faultEvents: base.int(2, 20),
  };
}

function drawMember(name: string, stream: Stream, faults: ReadonlySet<FaultClass>, isRace: boolean): MemberShape {
  const offset = Math.floor(stream.next() * 1e12);
  const drift = (stream.next() - 0.5) * 0.1;
  const pace = milliseconds(stream.pick(isRace ? [60, 120] : [200, 500, 1_500]));
  return {
    name,
    clock: { offset, drift: faults.has('clock') ? drift : 0 },
    flushTime: milliseconds(stream.pick([0, 1, 10, 60])),
    pace,
  };
}

function drawLink(stream: Stream, faults: ReadonlySet<FaultClass>, datagrams: number): LinkShape {
  const isDatagram = stream.chance(datagrams);
  const latency = milliseconds(stream.pick([1, 5, 20, 80]));
  const jitter = milliseconds(stream.pick([0, 5, 40]));
  const loss = stream.pick([0.02, 0.1, 0.3]);
  const duplication = stream.pick([0.05, 0.2, 0.5]);
  const reordering = stream.pick([0.05, 0.2, 0.5]);
  return {
    model: isDatagram ? 'datagram' : 'stream',
    latency,
    jitter,
    bandwidth: 0,
    loss: isDatagram && faults.has('loss') ? loss : 0,
    duplication: isDatagram && faults.has('duplication') ? duplication : 0,
    reordering: isDatagram && faults.has('reordering') ? reordering : 0,
  };
}
