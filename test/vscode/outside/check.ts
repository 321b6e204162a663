import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { repository } from '../fetch.ts';
import type { SuiteResults } from '../results.ts';
import type { Workbench } from './workbench.ts';

/** Where pictures of the runs are kept, to be looked at. */
export const artifacts = join(repository, 'artifacts');

export function screenshotPath(name: string): string {
  mkdirSync(artifacts, { recursive: true });
  return join(artifacts, `vscode-${name}.png`);
}

export interface Step {
  readonly title: string;
  run(): Promise<void>;
}

/**
 * Runs the steps of one user's way in order. Each builds on the one before, so the first that fails is the last; the
 * others then count as failed, too, since nobody saw them work. A picture of where it stopped is kept.
 */
export async function walk(name: string, workbench: Workbench, steps: readonly Step[]): Promise<SuiteResults> {
  const passes: string[] = [];
  const failures: Array<{ title: string; message: string }> = [];
  for (const { title, run } of steps) {
    const full = `${name} ${title}`;
    if (failures.length > 0) {
      failures.push({ title: full, message: 'not reached' });
      continue;
    }
    const start = performance.now();
    try {
      await run();
      passes.push(`${full} (${Math.round(performance.now() - start)} ms)`);
    } catch (error) {
      failures.push({ title: full, message: error instanceof Error ? (error.stack ?? error.message) : String(error) });
      await workbench.screenshot(screenshotPath(`failed-${name.replaceAll(/\W+/g, '-')}`)).catch(() => undefined);
    }
  }
  return { passes, failures };
}

export function expect(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(message);
}

/** Does it again where it failed, at most so many times in all; rejects as the last try did. */
export async function retry(times: number, run: () => Promise<void>): Promise<void> {
  for (let left = times - 1; ; left--) {
    try {
      return await run();
    } catch (error) {
      if (left === 0) throw error;
    }
  }
}
