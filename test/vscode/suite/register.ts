import { activationTests } from './activation.ts';
import { badInputTests } from './bad-input.ts';
import { sessionTests } from './session.ts';

/** Every suite that runs inside the extension host, in the order of a user's first hour. */
export function registerTests(): void {
  activationTests();
  badInputTests();
  sessionTests();
}
