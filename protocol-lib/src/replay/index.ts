export { argumentText, parseArguments } from './arguments.ts';
export { type Branch, type BranchOptions, runBranch } from './branch.ts';
export type { DifferenceKind } from './difference.ts';
export { type Edit, editText } from './edits.ts';
export { type Input, type InputOp, inputSchema, isInputs } from './inputs.ts';
export { InputJournal } from './journal.ts';
export {
  type ReplayDifference,
  type ReplayOptions,
  type ReplayResult,
  reexecute,
  reexecuteSteps,
} from './reexecute.ts';
export { type Placed, readSteps, type Step, stepsOf } from './steps.ts';
