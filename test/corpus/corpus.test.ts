import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { TO_REACH } from './matrix.ts';

/** In a process of its own: bugs are planted by Node's module hooks, which a test runner's own loader passes by. */
test('a slice of the fault corpus is diagnosed as well as the whole must be', { timeout: 600_000 }, async () => {
  const script = resolve(import.meta.dirname, 'run.ts');
  const args = [script, '--seeds', '1', '--clean', '20', '--parts', '1', '--pairs', '4', '--json'];
  const { stdout } = await promisify(execFile)('node', args).catch((error: { stdout: string; stderr: string }) => {
    if (!error.stdout) throw new Error(error.stderr);
    return error;
  });
  const scores: unknown = JSON.parse(stdout);
  expect(scores).toMatchObject({
    sessions: 82,
    clean: 20,
    lookalikes: 46,
    verdicts: 1,
    falseAlarms: TO_REACH.falseAlarms,
    wrongParts: 0,
    reached: true,
  });
});
