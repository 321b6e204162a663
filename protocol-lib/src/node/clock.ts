import type { Clock } from '../ports/index.ts';

const start = process.hrtime.bigint();

/** Nanoseconds since this module was loaded. Never goes back, whatever the wall clock does. */
export const monotonicClock: Clock = {
  now: () => Number(process.hrtime.bigint() - start),
};
