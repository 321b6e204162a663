export {
  compareHybrid,
  DEFAULT_MAX_DRIFT,
  HybridClock,
  type HybridClockState,
  type HybridStamp,
  hybridStampSchema,
} from './hybrid-clock.ts';
export { compareLamport, LamportClock, type LamportStamp, lamportStampSchema } from './lamport-clock.ts';
export { RetiredWriters } from './retired-writers.ts';
export { decodeVector, encodeVector } from './vector-bytes.ts';
export {
  type VectorEntry,
  type VectorOrder,
  VersionVector,
  vectorEntriesSchema,
  vectorFromOutside,
} from './version-vector.ts';
