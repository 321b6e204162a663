export { type Choice, Choices, formatSkips, parseSkips, type Skips, Stream } from './choices.ts';
export { findUnhashedChange } from './hash-property.ts';
export { INVARIANTS, type Invariant, type Violation } from './oracle.ts';
export { checkRecording, recordSimulation } from './recording.ts';
export { simulate } from './scenarios.ts';
export { FAULT_CLASSES, type FaultClass, SCENARIOS, type Scenario, type SimulationOptions } from './shape.ts';
export { optionLine, shrink } from './shrink.ts';
export type { Failure, Phase, SimulationResult } from './simulation.ts';
export { findUnmergedSides } from './two-way-property.ts';
