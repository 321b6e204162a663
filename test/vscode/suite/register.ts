import type { SuiteName } from '../results.ts';
import { activationTests } from './activation.ts';
import { badInputTests } from './bad-input.ts';
import { partTests } from './parts.ts';
import { restrictedTests } from './restricted.ts';
import { scenarioTests, sessionTests } from './session.ts';
import { sourcePathTests, sourceTrustTests } from './source-paths.ts';

/** What runs inside the extension host of a workspace, in the order of a user's first hour. */
export const REGISTER: Readonly<Record<SuiteName, () => void>> = {
  trusted() {
    activationTests();
    partTests();
    badInputTests();
    sourcePathTests();
    sessionTests();
    scenarioTests();
  },
  restricted() {
    activationTests();
    restrictedTests();
    sourceTrustTests();
  },
};
