import { Worker } from 'node:worker_threads';
import type { Scenario } from '@syncscope/protocol/simulator';
import { addSummary, emptySummary, type SeedsSummary } from './run-seeds.ts';
import type { SeedRange } from './soak-worker.ts';

const RANGE = 200;

/** Runs `count` seeds of a scenario from `first` on, in `workers` threads. `told` hears of every range that is done. */
export async function soak(
  scenario: Scenario,
  first: number,
  count: number,
  workers: number,
  told: (sum: SeedsSummary) => void,
): Promise<SeedsSummary> {
  const sum = emptySummary();
  let next = first;
  const end = first + count;
  const takeRange = (): SeedRange | undefined => {
    if (next >= end) return undefined;
    const range = { first: next, count: Math.min(RANGE, end - next), repeatEvery: 20, recordEvery: 1_000, scenario };
    next += range.count;
    return range;
  };
  const threads = Array.from({ length: workers }, () => new Worker(new URL('./soak-worker.ts', import.meta.url)));
  const finished = threads.map(async (thread) => {
    for (let range = takeRange(); range; range = takeRange()) {
      addSummary(sum, await ask(thread, range));
      told(sum);
    }
  });
  try {
    await Promise.all(finished);
  } finally {
    await Promise.all(threads.map((thread) => thread.terminate()));
  }
  return sum;
}

function ask(thread: Worker, range: SeedRange): Promise<SeedsSummary> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      thread.off('message', answered);
      thread.off('error', broke);
    };
    const answered = (summary: SeedsSummary): void => {
      done();
      resolve(summary);
    };
    const broke = (error: unknown): void => {
      done();
      reject(error);
    };
    thread.on('message', answered);
    thread.on('error', broke);
    thread.postMessage(range);
  });
}
