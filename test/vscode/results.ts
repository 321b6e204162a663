import { appendFileSync, writeFileSync } from 'node:fs';

/** Environment variable with the file into which the tests inside VS Code write their {@link SuiteResults}. */
export const RESULTS_VARIABLE = 'SYNCSCOPE_VSCODE_RESULTS';

export interface SuiteResults {
  readonly passed: number;
  readonly failed: number;
  readonly failures: ReadonlyArray<{ readonly title: string; readonly message: string }>;
}

export function sumResults(parts: readonly SuiteResults[]): SuiteResults {
  return {
    passed: parts.reduce((sum, part) => sum + part.passed, 0),
    failed: parts.reduce((sum, part) => sum + part.failed, 0),
    failures: parts.flatMap((part) => part.failures),
  };
}

/** Prints the failures and, last, the line that `npm test` sums: `N passed, N failed`. Sets the exit code. */
export function report(results: SuiteResults): void {
  for (const { title, message } of results.failures) console.error(`\nFAILED ${title}\n${message}`);
  const file = process.env.SYNCSCOPE_RESULTS_FILE;
  if (file) appendFileSync(file, JSON.stringify({ passed: results.passed, failed: results.failed }) + '\n');
  console.log(`${results.passed} passed, ${results.failed} failed`);
  process.exitCode = results.failed === 0 && results.passed > 0 ? 0 : 1;
}

export function writeResults(file: string, results: SuiteResults): void {
  writeFileSync(file, JSON.stringify(results));
}
