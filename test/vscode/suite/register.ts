import type { SuiteName } from '../results.ts';
import { activationTests } from './activation.ts';
import { badInputTests } from './bad-input.ts';
import { restrictedTests } from './restricted.ts';
import { scenarioTests, sessionTests } from './session.ts';

/** What runs inside the extension host of a workspace, in the order of a user's first hour. */
export const REGISTER: Readonly<Record<SuiteName, () => void>> = {
  trusted() {
    activationTests();
    badInputTests();
    sessionTests();
    scenarioTests();
  },
  restricted() {
    activationTests();
    restrictedTests();
  },
};
