import { readFileSync } from 'node:fs';
import { type Exit, type Program, root, startNode } from '../support/processes.ts';

/** Starts the real command as a process of its own, from its source. */
export function startCli(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  cwd: string = root,
): Program {
  return startNode('webview/host/cli.ts', args, env, cwd);
}

export function cli(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Exit> {
  return startCli(args, env).exited;
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
