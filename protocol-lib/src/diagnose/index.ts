export { type Verification, type VerifiedDivergence, verifyCapture } from './verify.ts';
