import type { TraceRecord } from '../trace/index.ts';
import { drawConsensusShape } from './consensus-shape.ts';
import { simulateConsensus } from './consensus-simulation.ts';
import { drawPartitionShape } from './partition-shape.ts';
import { simulatePartition } from './partition-simulation.ts';
import { drawShape, type FaultClass, type SimulationOptions } from './shape.ts';
import { type SimulationResult, simulateBazaar } from './simulation.ts';

/** Runs one seed to its end, or to the first rule that is broken. The same options give the same result. */
export function simulate(options: SimulationOptions, listener?: (record: TraceRecord) => void): SimulationResult {
  switch (options.scenario) {
    case 'consensus':
      return simulateConsensus(options, listener);
    case 'partition':
      return simulatePartition(options, listener);
    default:
      return simulateBazaar(options, listener);
  }
}

/** What may be taken out of a run: its faults, clients or members, and nanoseconds of the phase with faults. */
export function outlineOf(options: SimulationOptions): {
  readonly faults: ReadonlySet<FaultClass>;
  readonly clients: number;
  readonly safety: number;
} {
  if (options.scenario === 'partition') {
    const { faults, members, safety } = drawPartitionShape(options);
    return { faults, clients: members.length, safety };
  }
  const { faults, clients, safety } =
    options.scenario === 'consensus' ? drawConsensusShape(options) : drawShape(options);
  return { faults, clients: clients.length, safety };
}
