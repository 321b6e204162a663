#!/usr/bin/env node
// `node scripts/run.mjs TASK [args]`: every npm script that must work on a fresh clone goes through here. Plain
// JavaScript for any Node from 20 on, and nothing but Node's own modules: it runs before anything is installed.
// Whatever it has to say goes to stderr; stdout belongs to the task alone.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { prepare, repository } from './setup.mjs';

/** Task to the program that Node 24 runs, with its first arguments. */
const TASKS = {
  start: ['scripts/start.ts'],
  test: ['scripts/test.ts'],
  bench: ['test/bench/run.ts'],
  soak: ['scripts/soak.ts'],
  server: ['sample-server/src/cli.ts'],
  syncscope: ['webview/host/cli.ts'],
  build: ['scripts/build.ts'],
  package: ['extension/package.ts'],
  screenshots: ['scripts/screenshots.ts'],
};

const [task = '', ...rest] = process.argv.slice(2);
const program = Object.hasOwn(TASKS, task) ? TASKS[task] : undefined;
if (!program) {
  console.error(`usage: node scripts/run.mjs ${Object.keys(TASKS).join('|')} [arguments]`);
  process.exit(2);
}

let environment;
try {
  environment = prepare();
} catch (error) {
  console.error(error.message);
  process.exit(1);
}

// npm runs scripts in the package's folder; a file named on the command line is meant from where the user stands.
const cwd = task === 'syncscope' || task === 'server' ? (process.env.INIT_CWD ?? process.cwd()) : repository;
const [entry, ...first] = program;
const child = spawn(environment.node, [`${repository}/${entry}`, ...first, ...rest], {
  cwd,
  env: environment.env,
  stdio: 'inherit',
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    // Ctrl-C in a terminal reaches the whole process group, the child included. So does a hang-up; a second one would
    // end the child at once, so it is told in another way.
    if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal === 'SIGHUP' ? 'SIGTERM' : signal);
  });
}
// npm hands a signal to its shell alone, which dies of it without a word to us; and npm itself may be killed.
const parent = process.ppid;
setInterval(() => process.ppid === parent || child.kill('SIGTERM'), 300).unref();
child.on('error', (error) => {
  console.error(`cannot run ${environment.node}: ${error.message}`);
  process.exit(1);
});
child.on('exit', (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)));
