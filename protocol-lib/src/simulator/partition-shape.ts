import { milliseconds } from '../ports/index.ts';
import { Stream } from './choices.ts';
import type { ClockShape, FaultClass, LinkShape, SimulationOptions } from './shape.ts';

/** Kinds of trouble of a group without an authority. */
export const PARTITION_FAULTS = [
  'partition',
  'loss',
  'duplication',
  'reordering',
  'clock',
  'restart',
  'pause',
  'corrupt',
] as const satisfies readonly FaultClass[];

/** Those that strike at moments of their own. */
export const PARTITION_STRIKING = ['partition', 'restart', 'pause', 'corrupt'] as const;

export interface PartitionMemberShape {
  readonly name: string;
  readonly role: string;
  readonly clock: ClockShape;
  /** Between two operations, on average. */
  readonly pace: number;
}

/** Everything of a run that is decided before it starts. */
export interface PartitionShape {
  readonly members: readonly PartitionMemberShape[];
  readonly link: LinkShape;
  readonly faults: ReadonlySet<FaultClass>;
  readonly settings: {
    readonly statusInterval: number;
    readonly resendAfter: number;
    readonly silence: number;
    readonly maxBatch: number;
    readonly maxHeld: number;
    readonly keepHistory: number;
    readonly minority: 'tentative' | 'read-only';
  };
  readonly warmUp: number;
  readonly safety: number;
  readonly faultEvents: number;
}

const NAMES = ['alice', 'bob', 'carol', 'dave', 'erin'];

/** Draws the shape of a run. Taking out a fault or a member leaves the rest as it was. */
export function drawPartitionShape(options: SimulationOptions): PartitionShape {
  const stream = Stream.of(options.seed, 'partition-shape');
  const without = new Set<FaultClass>(options.without ?? []);
  const faults = new Set<FaultClass>();
  for (const fault of PARTITION_FAULTS) {
    // Cuts are what this is about: nearly every run has them.
    const isDrawn = stream.chance(fault === 'partition' ? 0.95 : 0.5);
    if (isDrawn && !without.has(fault)) faults.add(fault);
  }
  const count = stream.int(2, 5);
  const members = NAMES.map((name) => drawMember(stream, name, faults)).slice(0, count);
  return {
    members: members.slice(0, Math.max(2, options.clients ?? count)),
    link: drawLink(stream, faults),
    faults,
    settings: {
      statusInterval: milliseconds(stream.pick([200, 500, 1_000])),
      resendAfter: milliseconds(stream.pick([200, 1_000])),
      silence: milliseconds(stream.pick([1_500, 3_000])),
      maxBatch: stream.pick([1, 5, 500]),
      maxHeld: stream.pick([2, 20, 1_000]),
      keepHistory: stream.pick([0, 10, 1_000]),
      minority: stream.pick(['tentative', 'tentative', 'read-only']),
    },
    warmUp: milliseconds(1_000),
    safety: drawSafety(stream, options),
    faultEvents: stream.int(2, 8),
  };
}

function drawSafety(stream: Stream, { length }: SimulationOptions): number {
  const drawn = stream.int(4_000, 10_000);
  return milliseconds(length ?? drawn);
}

function drawMember(stream: Stream, name: string, faults: ReadonlySet<FaultClass>): PartitionMemberShape {
  const role = stream.pick(['', 'owner', 'editor']);
  // Within what a hybrid clock accepts; what is beyond is a test of its own.
  const offset = milliseconds(10_000 + stream.int(0, 5_000));
  const drift = (stream.next() - 0.5) * 0.02;
  const pace = milliseconds(stream.pick([250, 600, 1_500]));
  const clock = faults.has('clock') ? { offset, drift } : { offset: milliseconds(10_000), drift: 0 };
  return { name, role, clock, pace };
}

function drawLink(stream: Stream, faults: ReadonlySet<FaultClass>): LinkShape {
  const [loss, duplication, reordering] = [0.3, 0.5, 0.5].map((most) => stream.next() * most) as [
    number,
    number,
    number,
  ];
  return {
    model: 'datagram',
    latency: milliseconds(stream.pick([1, 20, 80])),
    jitter: milliseconds(stream.pick([0, 10, 60])),
    bandwidth: 0,
    loss: faults.has('loss') ? loss : 0,
    duplication: faults.has('duplication') ? duplication : 0,
    reordering: faults.has('reordering') ? reordering : 0,
  };
}
