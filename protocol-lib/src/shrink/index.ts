export { ddmin, type Keeps } from './ddmin.ts';
export {
  type FindingIdentity,
  type FoundFinding,
  type FoundFindings,
  findingsOf,
  hasNothingNew,
  identityText,
  isSameFinding,
  matching,
  targetsOf,
} from './found.ts';
export type { Size } from './item.ts';
export { type SessionCode, type ShrinkOptions, type Shrunk, shrinkCapture } from './shrink.ts';
export { type TestRunner, testFileText } from './test-file.ts';
