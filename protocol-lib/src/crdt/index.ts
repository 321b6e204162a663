export { type AddWinsOperation, AddWinsSet, addWinsOperationSchema } from './add-wins-set.ts';
export { type CallParticipant, CallState } from './call-state.ts';
export { GCounter, PNCounter } from './counters.ts';
export type { Dot } from './dot-context.ts';
export { type Join, JoinedRecords, putsOf, type Read } from './joined-records.ts';
export { LWWElementSet } from './lww-element-set.ts';
export * from './rga/index.ts';
