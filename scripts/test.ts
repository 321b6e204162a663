import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ensureBrokers } from './brokers.ts';
import { ensureChromium } from './chromium.ts';
import { run } from './process.ts';

/**
 * `npm test`: checks, builds and every test runner, each with its own output, and as the very last line the sum over
 * all runners, `N passed, N failed`. A check that fails, a build that fails and a runner that gives no result each
 * count as one failed. `SYNCSCOPE_TEST_ONLY=unit,real` runs some of the steps.
 */
const root = resolve(import.meta.dirname, '..');
const results = join(root, '.cache', 'test');

interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

interface Step {
  readonly name: string;
  run(): Promise<Counts>;
}

const NOTHING: Counts = { passed: 0, failed: 0, skipped: 0 };
/** A runner that takes longer hangs, and is ended. */
const MINUTES_MAX = 10;
/** Processes that tests start read their modules from here, compiled: half of what it takes to start the command. */
const COMPILED = { NODE_COMPILE_CACHE: join(root, '.cache', 'compiled') };
const ONE_FAILED: Counts = { ...NOTHING, failed: 1 };
const PACKAGES = ['protocol-lib', 'sample-server', 'webview', 'extension', 'test'];

const steps: readonly Step[] = [
  { name: 'check', run: check },
  { name: 'unit', run: () => vitest('unit') },
  { name: 'build', run: build },
  { name: 'real', run: real },
  { name: 'browser', run: browser },
  { name: 'vscode', run: vscode },
];

const only = process.env.SYNCSCOPE_TEST_ONLY?.split(',').map((name) => name.trim());
const unknown = only?.filter((name) => !steps.some((step) => step.name === name)) ?? [];
if (unknown.length > 0) {
  console.error(`SYNCSCOPE_TEST_ONLY: no step ${unknown.join(', ')}; there are ${steps.map((s) => s.name).join(', ')}`);
  process.exit(2);
}

mkdirSync(results, { recursive: true });
const rows: { name: string; counts: Counts; seconds: number }[] = [];
for (const step of steps) {
  if (only && !only.includes(step.name)) continue;
  console.log(`\n--- ${step.name} ---`);
  const start = performance.now();
  const counts = await step.run().catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    return ONE_FAILED;
  });
  rows.push({ name: step.name, counts, seconds: (performance.now() - start) / 1_000 });
}

const total = rows.reduce((sum, { counts }) => add(sum, counts), NOTHING);
console.log('');
for (const { name, counts, seconds } of rows) {
  console.log(`${name.padEnd(8)} ${sentence(counts).padEnd(32)} ${seconds.toFixed(1).padStart(6)} s`);
}
if (total.passed === 0 && total.failed === 0 && !only) console.error('no test ran');
process.exitCode = total.failed > 0 || (total.passed === 0 && !only) ? 1 : 0;
console.log(sentence(total));

function add(a: Counts, b: Counts): Counts {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: a.skipped + b.skipped };
}

function sentence({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

/** Types, format and lint, floors. They are no tests, so what is in order counts as nothing. */
async function check(): Promise<Counts> {
  const commands: (readonly string[])[] = [
    ...PACKAGES.map((name) => ['tsc', '-p', name]),
    ['biome', 'check', '.'],
    ['node', 'scripts/check-floors.ts'],
  ];
  let failed = 0;
  for (const [command, ...args] of commands) {
    const { code } = await run(command!, args, { cwd: root });
    console.log(`${code === 0 ? 'ok    ' : 'FAILED'} ${command} ${args.join(' ')}`);
    if (code !== 0) failed += 1;
  }
  return { ...NOTHING, failed };
}

/** What the browser and VS Code load, and the `syncscope` command as it is shipped. */
async function build(): Promise<Counts> {
  const { code } = await run('node', ['scripts/build.ts'], { cwd: root });
  return code === 0 ? NOTHING : ONE_FAILED;
}

/** With real brokers. Its tests wait for processes much of their time, so that there is room for one more at once than there are cores. */
async function real(): Promise<Counts> {
  ensureBrokers();
  return vitest('real', {}, ['--maxWorkers=3']);
}

async function browser(): Promise<Counts> {
  return vitest('browser', { CHROMIUM_PATH: ensureChromium() });
}

/** One suite of `vitest.config.ts`, counted from its JSON report. */
async function vitest(
  project: string,
  env: Readonly<Record<string, string>> = {},
  more: readonly string[] = [],
): Promise<Counts> {
  const report = join(results, `${project}.json`);
  rmSync(report, { force: true });
  const args = [
    'run',
    '--project',
    project,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...more,
  ];
  const { code } = await run('vitest', args, { cwd: root, env: { ...COMPILED, ...env }, minutes: MINUTES_MAX });
  const counts = readVitestReport(readFileSync(report, 'utf8'));
  // Such as a test file that cannot be loaded, or an error after the last test: no single test has failed.
  return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
}

function readVitestReport(text: string): Counts {
  const report = JSON.parse(text) as Record<string, unknown>;
  const count = (name: string): number => {
    const value = report[name];
    if (typeof value !== 'number') throw new Error(`the report of vitest has no ${name}`);
    return value;
  };
  return {
    passed: count('numPassedTests'),
    failed: count('numFailedTests'),
    skipped: count('numPendingTests') + count('numTodoTests'),
  };
}

/** The mocha suites inside a real VS Code; their runner's last words are `N passed, N failed`. */
async function vscode(): Promise<Counts> {
  const { code, output } = await run('node', ['test/vscode/run.ts'], {
    cwd: root,
    env: { CHROMIUM_PATH: ensureChromium() },
    capture: true,
    minutes: MINUTES_MAX,
  });
  const said = [...output.matchAll(/(\d+) passed, (\d+) failed(?:, (\d+) skipped)?/g)].at(-1);
  if (!said) {
    console.error('the tests in VS Code gave no result');
    return ONE_FAILED;
  }
  const counts = { passed: Number(said[1]), failed: Number(said[2]), skipped: Number(said[3] ?? 0) };
  return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
}
