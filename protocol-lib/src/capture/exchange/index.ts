export { type Examination, examine, type Symptom } from './doctor.ts';
export { exportHar } from './export-har.ts';
export { exportShiViz, SHIVIZ_PATTERN } from './export-shiviz.ts';
export { exportCsv, exportJson } from './export-text.ts';
export { harStart, importHar } from './import-har.ts';
export { importShiViz } from './import-shiviz.ts';
export { CaptureMaker, importedHeader } from './made-capture.ts';
export { type Merged, type MergePart, mergeCaptures, mergedHeader } from './merge.ts';
export { hmacPseudonyms } from './pseudonyms.ts';
export {
  headerOf,
  isRedacted,
  learnSecrets,
  type Redacted,
  recordedHeader,
  redactCapture,
  redactedHeader,
  unredactedHeader,
  withMarks,
} from './redact.ts';
export {
  isToldEarly,
  type RedactAgainOptions,
  type RedactedAgain,
  redactAgain,
  redactWritten,
} from './redact-again.ts';
export { RecordRedactor } from './redact-stream.ts';
export { checkRules, type RedactionRules, type RedactOptions } from './redaction.ts';
export { type FilterOptions, filterCapture, type Recovered, type Rewritten, recoverCapture } from './rewrite.ts';
