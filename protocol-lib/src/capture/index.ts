export {
  CHUNK_MAX_BYTES,
  type Compression,
  noCompression,
  RATIO_FREE_BYTES,
  RATIO_MAX,
  type ZstdDecompress,
} from './compression.ts';
export type { OpenCapture, PlacedRecord } from './engine.ts';
export { type FilterCompletions, filterCompletions } from './filter-completions.ts';
export {
  combinedFilter,
  type FilterNode,
  type FilterTerm,
  type PathReading,
  parseFilter,
  pathReadings,
} from './filter-syntax.ts';
export { LiveCapture, type LiveCaptureOptions } from './live.ts';
export { memorySink, memorySource } from './memory-bytes.ts';
export * from './query.ts';
export { readAhead } from './read-ahead.ts';
export { type OpenCaptureOptions, openCapture } from './reader.ts';
export { RecordBatch, recordsOfBatch } from './record-batch.ts';
export { decodeTraceRecord, encodeTraceRecord } from './record-codec.ts';
export { CaptureWriter, type CaptureWriterOptions } from './writer.ts';
