import { activationTests } from './activation.ts';

/** Every suite that runs inside the extension host, in the order of a user's first hour. */
export function registerTests(): void {
  activationTests();
}
