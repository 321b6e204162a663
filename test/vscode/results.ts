import { appendFileSync, renameSync, writeFileSync } from 'node:fs';

/** Environment variable with the file into which the tests inside VS Code write their {@link SuiteResults}. */
export const RESULTS_VARIABLE = 'SYNCSCOPE_VSCODE_RESULTS';

/** Environment variable that names the suite to run, one of {@link SUITES}; the first where it is not set. */
export const SUITE_VARIABLE = 'SYNCSCOPE_VSCODE_SUITE';
export const SUITES = ['trusted', 'restricted'] as const;
export type SuiteName = (typeof SUITES)[number];

export interface SuiteResults {
  /** Titles of the tests that passed. */
  readonly passes: readonly string[];
  readonly failures: ReadonlyArray<{ readonly title: string; readonly message: string }>;
}

export function sumResults(parts: readonly SuiteResults[]): SuiteResults {
  return { passes: parts.flatMap((part) => part.passes), failures: parts.flatMap((part) => part.failures) };
}

/** Prints a part's tests as they went. */
export function printResults(name: string, results: SuiteResults): void {
  console.log(`\n${name}`);
  for (const title of results.passes) console.log(`  ok ${title}`);
  for (const { title, message } of results.failures) console.log(`  FAILED ${title}\n${indent(message)}`);
}

function indent(text: string): string {
  return text.replaceAll(/^/gm, '      ');
}

/**
 * Prints, last, the line that `npm test` sums: `N passed, N failed`; the same as JSON goes to the file of
 * `SYNCSCOPE_RESULTS_FILE` where that is set. Sets the exit code.
 */
export function report({ passes, failures }: SuiteResults): void {
  const [passed, failed] = [passes.length, failures.length];
  const file = process.env.SYNCSCOPE_RESULTS_FILE;
  if (file) appendFileSync(file, `${JSON.stringify({ passed, failed })}\n`);
  console.log(`\n${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
}

/** Whole or not at all: somebody waits for the file to appear. */
export function writeResults(file: string, results: SuiteResults): void {
  writeFileSync(`${file}.part`, JSON.stringify(results));
  renameSync(`${file}.part`, file);
}
