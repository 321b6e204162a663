export type { Content, Deletion, ElementId, Side } from './block.ts';
export { decodeState as decodeRga, encodeState as encodeRga } from './bytes.ts';
export type { HeldLimits } from './held.ts';
export {
  decodeOperation,
  type ElementRange,
  encodeOperation,
  type RgaOperation,
  rgaOperationSchema,
} from './operation.ts';
export { recordsOfState, stateOfRecords } from './records.ts';
export { RGA, type RgaEdit, type RgaOptions, type RgaOutcome } from './rga.ts';
export { type RgaDeletion, type RgaRun, type RgaState, rgaStateSchema } from './state.ts';
