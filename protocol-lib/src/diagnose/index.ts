export { Audit } from './audit.ts';
export { diagnoseCapture } from './diagnosis.ts';
export * from './finding.ts';
export { type Verification, type VerifiedDivergence, verifyCapture } from './verify.ts';
