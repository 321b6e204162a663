import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { optionLine, recordSimulation, type SimulationResult, shrink } from '@syncscope/protocol/simulator';

const root = resolve(import.meta.dirname, '../..');
/** Where captures of failing seeds are put. */
export const FAILURES_FOLDER = join(root, '.cache', 'simulation');

/** What is said of a failing run: the rule, where it was broken, and the line that runs it again. */
export function failureLines({ failure, options }: SimulationResult): string[] {
  if (!failure) return [];
  const { invariant, step, time, phase, text } = failure;
  return [
    `seed ${options.seed} breaks "${invariant}" at step ${step}, ${(time / 1e9).toFixed(3)} s of virtual time (${phase})`,
    `  ${text.split('\n').slice(0, 4).join('\n  ')}`,
    `  rerun:   npm run soak -- ${optionLine(options)}`,
  ];
}

/** Shrinks a failing run within `budget` milliseconds, writes the capture of what is left, and says all of it. */
export async function reportFailure(failed: SimulationResult, budget: number): Promise<string[]> {
  const lines = failureLines(failed);
  const deadline = performance.now() + budget;
  // What only the capture or the second run showed cannot be shrunk by running once.
  const isByItself = failed.failure?.invariant !== 'deterministic' && failed.failure?.phase !== 'audit';
  const shrunk = isByItself ? shrink(failed, () => performance.now() >= deadline) : failed;
  if (shrunk !== failed) {
    lines.push(`  shrunk:  npm run soak -- ${optionLine(shrunk.options)}`);
    lines.push(
      `           (step ${shrunk.failure?.step}, ${shrunk.commits} commits: ${shrunk.failure?.text.split('\n')[0]})`,
    );
  }
  const { capture } = await recordSimulation(shrunk.options);
  const { seed, scenario = 'bazaar' } = failed.options;
  const path = join(FAILURES_FOLDER, `${scenario === 'bazaar' ? '' : `${scenario}-`}seed-${seed}.mcap`);
  mkdirSync(FAILURES_FOLDER, { recursive: true });
  writeFileSync(path, capture);
  lines.push(`  capture: npm run syncscope -- inspect ${relative(root, path)}`);
  return lines;
}
