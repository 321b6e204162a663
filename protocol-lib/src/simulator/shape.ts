import type { Feature } from '../messages/index.ts';
import { milliseconds } from '../ports/index.ts';
import type { SyncSettings } from '../sync/index.ts';
import type { BazaarSize } from './bazaar.ts';
import { type Skips, Stream } from './choices.ts';

/** Kinds of trouble; each seed has some of them. */
export const FAULT_CLASSES = [
  /** Stream: a connection breaks at any moment, with what was on the way delivered up to some frame. */
  'cut',
  /** Stream: it breaks, and one side hears of it much later, while what it sent before may still arrive. */
  'half-open',
  /** Stream: one side does not read for a while. */
  'stall',
  /** Stream: so many bytes a second and no more. */
  'slow',
  /** Datagram: frames are lost, */
  'loss',
  /** come twice, */
  'duplication',
  /** or overtake each other. */
  'reordering',
  /** Nothing passes for a while, in both directions or in one. */
  'partition',
  /** A client stands still and then goes on as if nothing had happened. */
  'pause',
  'server-pause',
  /** A client loses its memory and comes back under its own name. */
  'restart',
  /** Clocks differ, drift, and step forward and back. */
  'clock',
  /** A value of a client's own copy changes behind the protocol's back. */
  'corrupt',
  /** Clients of other builds, which can do less. */
  'features',
  /** The authority's process ends and comes back: with a log from what its disk kept, without one with no memory. */
  'crash',
  /** The disk of the log takes nothing any more; the process must end, and the next one gets another disk. */
  'disk',
] as const;
export type FaultClass = (typeof FAULT_CLASSES)[number];

/** What is simulated: a bazaar with one authority, a group that agrees among itself, or one that is cut and merges. */
export const SCENARIOS = ['bazaar', 'consensus', 'partition'] as const;
export type Scenario = (typeof SCENARIOS)[number];

export interface SimulationOptions {
  readonly seed: number;
  /** `bazaar` where absent. */
  readonly scenario?: Scenario;
  /** Fault classes that are taken out. */
  readonly without?: readonly FaultClass[];
  /** At most so many clients, or members. */
  readonly clients?: number;
  /** Choices that are taken out. */
  readonly skip?: Skips;
  /** Milliseconds of the phase with faults; drawn where absent. */
  readonly length?: number;
  /** Traces the inputs as well, so that the session can be run again from its recording. */
  readonly inputs?: boolean;
  /** Adds an invariant that never holds, to see that the alarm works. */
  readonly canary?: boolean;
}

export type NetworkModel = 'stream' | 'datagram';

/** How a link behaves while faults are on. Times in nanoseconds, rates from 0 to 1. */
export interface LinkShape {
  readonly model: NetworkModel;
  readonly latency: number;
  readonly jitter: number;
  /** Bytes a nanosecond; 0 is without limit. */
  readonly bandwidth: number;
  readonly loss: number;
  readonly duplication: number;
  readonly reordering: number;
}

export interface ClockShape {
  readonly offset: number;
  /** Seconds gained a second. */
  readonly drift: number;
}

export interface ClientShape {
  readonly name: string;
  readonly link: LinkShape;
  readonly clock: ClockShape;
  readonly features: readonly Feature[];
  /** Between two operations, on average. */
  readonly pace: number;
}

/** Everything of a run that is decided before it starts. */
export interface Shape {
  readonly size: BazaarSize;
  readonly clients: readonly ClientShape[];
  readonly serverClock: ClockShape;
  readonly serverPace: number;
  readonly settings: Partial<SyncSettings> & {
    readonly syncInterval: number;
    readonly maxDeltaChain: number;
    readonly maxQueued: number;
  };
  readonly faults: ReadonlySet<FaultClass>;
  /** Whether each client sees only what is its own or nobody's. */
  readonly hasViews: boolean;
  /** Nanoseconds until what was written is durable; undefined for an authority without a log. */
  readonly flushTime: number | undefined;
  readonly warmUp: number;
  readonly safety: number;
  /** Fault events in the safety phase. */
  readonly faultEvents: number;
}

const NAMES = ['alice', 'bob', 'carol', 'dave'];

/** Draws the shape of a run. Taking out a class or a client leaves the rest as it was. */
export function drawShape(options: SimulationOptions): Shape {
  const stream = Stream.of(options.seed, 'shape');
  const drawn = FAULT_CLASSES.filter(() => stream.chance(0.45));
  const faults = new Set(drawn.filter((one) => !options.without?.includes(one)));
  const count = stream.int(2, NAMES.length);
  const people = NAMES.slice(0, Math.min(count, options.clients ?? count));
  const base = stream.fork();
  const isMostlyStream = base.chance(0.5);
  const clients = people.map((name) => drawClient(name, stream.fork(), faults, isMostlyStream ? 0.15 : 0.7));
  const safety = stream.pick([1_500, 2_500, 4_000, 6_000]);
  const shape = {
    size: { people: NAMES.slice(0, count), things: base.int(2, 5), notes: base.int(2, 6) },
    serverClock: drawClock(base, faults),
    serverPace: milliseconds(base.pick([300, 800, 2_000])),
    settings: {
      syncInterval: milliseconds(base.pick([20, 50, 100, 250])),
      snapshotInterval: milliseconds(base.pick([200, 1_000])),
      maxDeltaChain: base.pick([1, 2, 5, 10]),
      ring: base.pick([1, 3, 20, 100]),
      periodicSnapshots: base.pick([1, 3, 20]),
      repairTimeout: milliseconds(base.pick([300, 2_000, 5_000])),
      maxRepairQueries: base.pick([1, 3, 200]),
      queueLimit: base.pick([500, 4_000, 65_536]),
      maxQueued: base.pick([10_000, 1_048_576]),
      slowTimeout: milliseconds(base.pick([1_000, 30_000])),
      resendTimeout: milliseconds(base.pick([200, 1_000, 2_000])),
      // From a stream of its own, so that what else is drawn for a seed stays what it was before there were parts, and of a name that
      // leaves the seeds of `regressions.test.ts` with whole snapshots, as they were found.
      snapshotPart: Stream.of(options.seed, 'part-bytes').pick([262_144, 262_144, 1_000, 150]),
    },
    flushTime: base.chance(0.6) ? milliseconds(base.pick([0, 3, 40, 400])) : undefined,
    faultEvents: base.int(2, 24),
    warmUp: milliseconds(base.int(200, 800)),
    hasViews: base.chance(0.25),
  };
  return { ...shape, clients, faults, safety: milliseconds(Math.min(safety, options.length ?? safety)) };
}

function drawClient(name: string, stream: Stream, faults: ReadonlySet<FaultClass>, datagrams: number): ClientShape {
  const model = stream.chance(datagrams) ? 'datagram' : 'stream';
  const bandwidth = stream.pick([0, 2, 10]);
  const loss = stream.pick([0.01, 0.05, 0.1, 0.3]);
  const duplication = stream.pick([0.05, 0.2, 0.5]);
  const reordering = stream.pick([0.05, 0.2, 0.5]);
  const isDatagram = model === 'datagram';
  const link: LinkShape = {
    model,
    latency: milliseconds(stream.pick([1, 10, 40, 150])),
    jitter: milliseconds(stream.pick([0, 5, 40])),
    // Kilobytes a second.
    bandwidth: faults.has('slow') ? bandwidth / 1_000_000 : 0,
    loss: isDatagram && faults.has('loss') ? loss : 0,
    duplication: isDatagram && faults.has('duplication') ? duplication : 0,
    reordering: isDatagram && faults.has('reordering') ? reordering : 0,
  };
  const clock = drawClock(stream, faults);
  const features = stream.pick<readonly Feature[]>([['merkle', 'events'], ['merkle'], ['events'], []]);
  return {
    name,
    link,
    clock,
    features: faults.has('features') ? features : ['merkle', 'events'],
    pace: milliseconds(stream.pick([60, 150, 400, 1_000])),
  };
}

function drawClock(stream: Stream, faults: ReadonlySet<FaultClass>): ClockShape {
  const offset = Math.floor(stream.next() * 1e12);
  const drift = (stream.next() - 0.5) * 0.1;
  return faults.has('clock') ? { offset, drift } : { offset, drift: 0 };
}
