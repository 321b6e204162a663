export { backupLog, restoreLog } from './backup.ts';
export { type ContractTest, eventLogContract, type LogUnderTest } from './contract.ts';
export { type Done, type LogDisk, SinkDisk, type SinkFiles } from './disk.ts';
export { DiskEventLog, openDiskLog } from './disk-log.ts';
export { type DomainEvent, domainEventSchema, type Reducer, type StateView } from './domain.ts';
export {
  CHANGES_KEPT,
  decodeEntry,
  decodeSnapshot,
  encodeEntry,
  encodeSnapshot,
  type LogEntry,
  type LogSnapshot,
  logEntrySchema,
  logSnapshotSchema,
  REFUSALS_KEPT,
  type WriterStanding,
} from './entry.ts';
export {
  type AppliedEvent,
  type Arrival,
  compareEvents,
  EventBuffer,
  type EventBufferOptions,
  type EventGap,
  type OrderedEvent,
  orderedEventSchema,
} from './event-buffer.ts';
export { DURABILITIES, type Durability, type EventLog } from './event-log.ts';
export {
  encodeFrame,
  FRAME_KINDS,
  joinBytes,
  LOG_FORMAT_VERSION,
  type LogContents,
  readFrame,
  readLogFile,
} from './log-file.ts';
export { isEntryFault, LogIndex } from './log-index.ts';
export { checkExpected, LogTail, logError } from './log-tail.ts';
export { MemoryEventLog } from './memory-log.ts';
export {
  differenceText,
  type FirstDifference,
  findNondeterminism,
  firstDifference,
  type Nondeterminism,
  nondeterminismText,
  type Reduced,
  reduceEvents,
} from './reduce.ts';
export {
  compactLog,
  type LogState,
  type ReplayListener,
  rehydrate,
  replay,
  snapshotOf,
  stateAt,
  stateAtPosition,
} from './replay.ts';
export { type LogBatch, type LogChore, SharedEventLog } from './shared-log.ts';
export { SimulatedDisk } from './simulated-disk.ts';
