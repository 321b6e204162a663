/// <reference types="mocha" />
import Mocha from 'mocha';
import { RESULTS_VARIABLE, SUITE_VARIABLE, SUITES, type SuiteResults, writeResults } from '../results.ts';
import { REGISTER } from './register.ts';

/** Called by VS Code inside the extension host. Rejects where a test failed, after the results are written. */
export async function run(): Promise<void> {
  const file = process.env[RESULTS_VARIABLE];
  if (file === undefined) throw new Error(`${RESULTS_VARIABLE} is not set: nobody would learn of the results`);
  const mocha = new Mocha({ ui: 'bdd', timeout: 60_000, reporter: 'min' });
  mocha.suite.emit('pre-require', globalThis, 'syncscope', mocha);
  const name = SUITES.find((one) => one === process.env[SUITE_VARIABLE]) ?? SUITES[0];
  REGISTER[name]();
  const passes: string[] = [];
  const failures: Array<{ title: string; message: string }> = [];
  await new Promise<number>((resolve) => {
    const runner = mocha.run(resolve);
    runner.on('pass', (test) => passes.push(`${test.fullTitle()} (${test.duration ?? 0} ms)`));
    runner.on('fail', (test, error: Error) =>
      failures.push({ title: test.fullTitle(), message: error.stack ?? String(error) }),
    );
  });
  const results: SuiteResults = { passes, failures };
  writeResults(file, results);
  if (failures.length > 0) throw new Error(`${failures.length} tests failed inside VS Code`);
}
