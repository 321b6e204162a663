export { argumentText, parseArguments } from './arguments.ts';
export { isInputs } from './batches.ts';
export { type Blame, type BlameEntry, type BlameRule, blame } from './blame.ts';
export { type Branch, type BranchOptions, runBranch } from './branch.ts';
export type { CrdtOperation, Operation, PeerMutation } from './captured-operations.ts';
export {
  type ComparedRecord,
  type Comparison,
  compareCaptures,
  compareTraces,
  type Earlier,
  type EndState,
  type StructuralDifference,
  type Tally,
} from './compare.ts';
export {
  type Conflict,
  type Convergence,
  type ConvergenceKind,
  type ConvergeOptions,
  converge,
  convergeCrdts,
  convergeMutations,
  convergeOperations,
  type NamedOperation,
} from './converge.ts';
export { type CapturedOperation, type CrdtInstance, type CrdtModel, libraryModel } from './crdt-models.ts';
export {
  type CursorOptions,
  DEFAULT_TICK,
  ReplayCursor,
  STEP_UNITS,
  type StepOptions,
  type StepUnit,
} from './cursor.ts';
export type { DifferenceKind } from './difference.ts';
export { type Edit, editText } from './edits.ts';
export type { GroupDefinition, GroupFrame, GroupMerge, GroupNode, GroupPorts } from './group-machines.ts';
export {
  type ConsensusGroupOptions,
  carryOutInput,
  consensusGroup,
  memberMade,
  peerGroup,
  peerMade,
  proposeInput,
  roomInput,
} from './group-nodes.ts';
export { type Input, type InputOp, inputSchema } from './inputs.ts';
export { InputJournal } from './journal.ts';
export { JournaledClient, JournaledManager } from './journaled.ts';
export { journaledDevice } from './journaled-device.ts';
export type { LeftOut, LeftOutReason } from './left-out.ts';
export { LiveJournal } from './live-journal.ts';
export { drawOrder } from './orders.ts';
export { Playing } from './play.ts';
export type { MappedId, UnmappedId } from './play-ids.ts';
export { type PlayedAction, type PlayedIntent, type PlayScript, readPlay } from './play-script.ts';
export {
  type AtOnce,
  PLAY_ORDERS,
  type PlayClient,
  type PlayDifference,
  type PlayedClient,
  type PlayOptions,
  type PlayOrder,
  type PlayResult,
} from './play-types.ts';
export {
  type ReplayDifference,
  type ReplayOptions,
  type ReplayResult,
  reexecute,
  reexecuteSteps,
} from './reexecute.ts';
export { type Placed, readSteps, type Step, stepsOf } from './steps.ts';
export { branchCapture, type WhatIf, whatIf } from './what-if.ts';
