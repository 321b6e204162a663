import { readFileSync } from 'node:fs';
import { format } from 'node:util';
import { runCommand } from '../../webview/host/main.ts';
import { type Exit, type Program, root, startNode } from '../support/processes.ts';

/** Starts the real command as a process of its own, from its source. */
export function startCli(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  cwd: string = root,
): Program {
  return startNode('webview/host/cli.ts', args, env, cwd);
}

/** Verbs that need a process of their own: they start themselves again, or end by a signal. */
const OWN_PROCESS = ['shrink'];

/** Runs the command to its end: in this process, which is the same but for the time that a start takes, where the verb allows it. */
export function cli(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Exit> {
  if (OWN_PROCESS.includes(args[0] ?? '')) return startCli(args, env).exited;
  const run = running.then(() => runHere(args, env));
  running = run.catch(() => undefined);
  return run;
}

/** One after the other: there is one standard output. */
let running: Promise<unknown> = Promise.resolve();

const CONSOLE = { log: 'stdout', info: 'stdout', warn: 'stderr', error: 'stderr' } as const;

async function runHere(args: readonly string[], env: Readonly<Record<string, string>>): Promise<Exit> {
  const said = { stdout: '', stderr: '' };
  const taken: (() => void)[] = [];
  const take = <T extends object, K extends keyof T>(of: T, name: K, by: T[K]): void => {
    const before = of[name];
    of[name] = by;
    taken.push(() => {
      of[name] = before;
    });
  };
  for (const stream of ['stdout', 'stderr'] as const) {
    take(process[stream], 'write', (chunk: string | Uint8Array, ...rest: unknown[]) => {
      said[stream] += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('utf8');
      const written = rest.at(-1);
      if (typeof written === 'function') written();
      return true;
    });
  }
  for (const [name, stream] of Object.entries(CONSOLE) as [keyof typeof CONSOLE, 'stdout' | 'stderr'][]) {
    take(console, name, (...words: unknown[]) => {
      said[stream] += `${format(...words)}\n`;
    });
  }
  take(process, 'env', { ...process.env, ...env });
  try {
    return { code: await runCommand(args), signal: null, ...said };
  } finally {
    for (const giveBack of taken) giveBack();
  }
}

export type Document = { readonly schema: string } & Readonly<Record<string, unknown>>;

/** Runs the command with `--json`: standard output must be one document and nothing else. */
export async function cliJson(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Exit & { readonly document: Document }> {
  const exit = await cli([...args, '--json'], env);
  return { ...exit, document: JSON.parse(exit.stdout) as Document };
}

/** As {@link cliJson}, in a process of its own whatever the verb. */
export async function processJson(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Exit & { readonly document: Document }> {
  const exit = await startCli([...args, '--json'], env).exited;
  return { ...exit, document: JSON.parse(exit.stdout) as Document };
}

/** The first `share` of a file's bytes. */
export function firstPart(path: string, share: number): Uint8Array {
  const bytes = readFileSync(path);
  return bytes.subarray(0, Math.floor(bytes.length * share));
}

/** The start of a real JPEG: a JFIF header and one quantisation table. */
export const jpeg: Uint8Array = Uint8Array.from([
  ...[0xff, 0xd8, 0xff, 0xe0, 0x00, 0x10, 0x4a, 0x46, 0x49, 0x46, 0x00, 0x01, 0x01, 0x00, 0x00, 0x01, 0x00, 0x01],
  ...[0x00, 0x00, 0xff, 0xdb, 0x00, 0x43, 0x00, ...Array.from({ length: 64 }, () => 0x10), 0xff, 0xd9],
]);
