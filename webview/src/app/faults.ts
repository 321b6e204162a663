import type { ReplicaId } from '@syncscope/protocol/state';
import { type FaultSpec, NETWORK_PRESETS } from '@syncscope/protocol/trace';

/** What can be asked for by hand, and what it does in words. The target is any replica that the session offers. */
export interface FaultOffer {
  readonly title: string;
  readonly detail: string;
  /** It is about everybody, and needs no target. */
  readonly isForAll?: true;
  /** Asked for in this order. */
  readonly specs: (target: ReplicaId) => readonly FaultSpec[];
}

export const FAULTS: readonly FaultOffer[] = [
  {
    title: 'Corrupt a value',
    detail: 'changes one value of its copy, unnoticed by the protocol',
    specs: (target) => [{ fault: 'corrupt', target }],
  },
  {
    title: 'Drop the next delta',
    detail: 'it never arrives',
    specs: (target) => [{ fault: 'drop-delta', target }],
  },
  {
    title: 'Slow line, 200 ms ± 80 ms',
    detail: 'both directions, until taken away',
    specs: (target) => [{ fault: 'latency', target, mean: 200, jitter: 80 }],
  },
  {
    title: 'Lossy line, 10 %',
    detail: 'both directions, until taken away',
    specs: (target) => [{ fault: 'loss', target, rate: 0.1 }],
  },
  {
    title: 'Frames twice, 5 %',
    detail: 'both directions, until taken away',
    specs: (target) => [{ fault: 'duplication', target, rate: 0.05 }],
  },
  {
    title: 'Frames overtaken, 5 %',
    detail: 'held back up to 200 ms, until taken away',
    specs: (target) => [{ fault: 'reordering', target, rate: 0.05, by: 200 }],
  },
  ...NETWORK_PRESETS.map((preset) => ({
    title: `Network: ${preset}`,
    detail: 'both directions, until taken away',
    specs: (target: ReplicaId) => [{ fault: 'network' as const, target, preset }],
  })),
  {
    title: 'Healthy line',
    detail: 'takes all of these away',
    specs: (target) => [{ fault: 'network', target, preset: 'healthy' }],
  },
  {
    title: 'Cut off',
    detail: 'nothing passes between it and the others, until healed',
    specs: (target) => [{ fault: 'partition', groups: [[target]] }],
  },
  {
    title: 'Heal partitions',
    detail: 'everybody reaches everybody again',
    isForAll: true,
    specs: () => [{ fault: 'partition', groups: [] }],
  },
  {
    title: 'Crash for 2 s',
    detail: 'forgets what is not on a disk',
    specs: (target) => [{ fault: 'crash', target, downtime: 2_000 }],
  },
  {
    title: 'Clock 30 s ahead',
    detail: 'of this replica alone',
    specs: (target) => [{ fault: 'clock-skew', target, by: 30_000 }],
  },
  {
    title: 'Unsteady reducer',
    detail: 'answers something else each time, for one event',
    specs: (target) => [{ fault: 'reducer', target, events: 1 }],
  },
];
