import { parentPort } from 'node:worker_threads';
import { runSeeds, type SeedsOptions } from './run-seeds.ts';

/** A thread of `npm run soak -- --seeds N`: answers each range of seeds with their summary. */
export interface SeedRange extends SeedsOptions {
  readonly first: number;
  readonly count: number;
}

parentPort?.on('message', async (range: SeedRange) => {
  parentPort?.postMessage(await runSeeds(range.first, range.count, range));
});
