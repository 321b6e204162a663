import type { ReplicaId } from '@syncscope/protocol/state';
import type { FaultSpec } from '@syncscope/protocol/trace';

/** What can be asked for by hand, and what it does in words. The target is any replica that the session offers. */
export interface FaultOffer {
  readonly title: string;
  readonly detail: string;
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
    title: 'Healthy line',
    detail: 'takes slowness and loss away',
    specs: (target) => [
      { fault: 'loss', target, rate: 0 },
      { fault: 'latency', target, mean: 0, jitter: 0 },
    ],
  },
];
