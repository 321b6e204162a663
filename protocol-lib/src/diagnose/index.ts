export { Audit, type AuditResult } from './audit.ts';
export { diagnoseCapture } from './diagnosis.ts';
export * from './finding.ts';
export { sentenceOf } from './sentence.ts';
export { type Verification, type VerifiedDivergence, verifyCapture } from './verify.ts';
