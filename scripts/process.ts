import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';

export interface RunResult {
  /** Exit code; 128 + the signal's number where a signal ended it. */
  readonly code: number;
  /** What it printed on both streams, where `capture` was asked for. */
  readonly output: string;
}

const running = new Set<ChildProcess>();
let isStopping = false;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    isStopping = true;
    if (running.size === 0) process.exit(128 + constants.signals[signal]);
    // Ctrl-C in a terminal reaches the whole process group, our children included.
    if (signal === 'SIGINT' && process.stdin.isTTY) return;
    for (const child of running) child.kill(passedOn(signal));
  });
}

/** A hang-up that reached the children too would count there as the second, which ends at once. */
function passedOn(signal: NodeJS.Signals): NodeJS.Signals {
  return signal === 'SIGHUP' ? 'SIGTERM' : signal;
}

/** Passes signals that reach us on to a child for as long as it runs. */
export function passSignals(child: ChildProcess): void {
  running.add(child);
  child.once('error', () => running.delete(child));
  child.once('close', () => running.delete(child));
}

/**
 * Runs a program with its output shown, and waits for it, for `minutes` at most where that is given. A signal to us ends
 * it, and us after it.
 *
 * @throws Error where the program cannot be started.
 */
export function run(
  command: string,
  args: readonly string[],
  options: {
    readonly cwd: string;
    readonly env?: Readonly<Record<string, string>>;
    readonly capture?: boolean;
    readonly minutes?: number;
  },
): Promise<RunResult> {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: options.capture ? ['inherit', 'pipe', 'pipe'] : 'inherit',
    shell: process.platform === 'win32',
    ...(options.minutes === undefined ? {} : { timeout: options.minutes * 60_000 }),
  });
  passSignals(child);
  let output = '';
  const pairs = [
    [child.stdout, process.stdout],
    [child.stderr, process.stderr],
  ] as const;
  for (const [from, to] of pairs) {
    from?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      to.write(text);
    });
  }
  return new Promise((resolve, reject) => {
    child.on('error', (error) => reject(new Error(`cannot run ${command}: ${error.message}`)));
    child.on('close', (code, signal) => {
      const status = code ?? 128 + (signal ? constants.signals[signal] : 0);
      if (isStopping) process.exit(status);
      resolve({ code: status, output });
    });
  });
}
