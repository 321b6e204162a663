import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { PLANTED_BUGS } from './planted-bugs.ts';

/** In a process of its own: bugs are planted by Node's module hooks, which a test runner's own loader passes by. */
test(`each of ${PLANTED_BUGS.length} planted bugs is found`, { timeout: 900_000 }, async () => {
  const script = resolve(import.meta.dirname, '../../scripts/soak.ts');
  const { stdout } = await promisify(execFile)('node', [script, '--planted', '--sample', '1']).catch(
    (error: { stdout: string; stderr: string }) => ({ stdout: `${error.stdout}${error.stderr}` }),
  );
  expect(PLANTED_BUGS.length).toBeGreaterThanOrEqual(15);
  expect(stdout).toContain(`${PLANTED_BUGS.length} of ${PLANTED_BUGS.length} planted bugs killed`);
});
