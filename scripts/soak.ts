import { resolve } from 'node:path';
import { run } from './process.ts';

/** `npm run soak [vitest arguments]`: every property test again, 100 times as often. Takes as long as it takes. */
const root = resolve(import.meta.dirname, '..');
const runs = process.env.SYNCSCOPE_RUNS ?? '10000';
const { code } = await run('vitest', ['run', '--project', 'unit', '--testTimeout=3600000', ...process.argv.slice(2)], {
  cwd: root,
  env: { SYNCSCOPE_RUNS: runs },
});
process.exitCode = code;
