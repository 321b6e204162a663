import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetchServer, repository } from './fetch.ts';

/** Node 24 of this repository: what the server wants, whatever started us. */
const node = join(repository, 'node_modules', '.bin', 'node');

export interface ServerOptions {
  /** Folder of unpacked extensions; an empty one of its own where absent. */
  readonly extensionsDir?: string;
  /** With trust off every workspace counts as trusted. On by default here, as for a user it is not. */
  readonly workspaceTrust?: boolean;
  /** For the server and with it for the extension host. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface VsCodeServer {
  readonly port: number;
  readonly authority: string;
  /** Everything that it printed so far. */
  output(): string;
  close(): Promise<void>;
}

/** Starts VS Code's own server on a free port of 127.0.0.1, with data folders of its own. */
export async function startServer(options: ServerOptions = {}): Promise<VsCodeServer> {
  const root = await fetchServer();
  const data = mkdtempSync(join(tmpdir(), 'syncscope-vscode-'));
  const machine = join(data, 'data', 'Machine');
  mkdirSync(machine, { recursive: true });
  writeFileSync(join(machine, 'settings.json'), JSON.stringify({ 'telemetry.telemetryLevel': 'off' }));
  const args = [
    'out/server-main.js',
    ...['--host', '127.0.0.1', '--port', '0', '--without-connection-token', '--accept-server-license-terms'],
    ...['--server-data-dir', data, '--extensions-dir', options.extensionsDir ?? join(data, 'extensions')],
    ...['--disable-telemetry', '--enable-smoke-test-driver'],
    ...(options.workspaceTrust ? [] : ['--disable-workspace-trust']),
  ];
  const child = spawn(node, args, {
    cwd: root,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own, so that the extension hosts which it forks end with it.
    detached: true,
  });
  let text = '';
  const port = await new Promise<number>((resolve, reject) => {
    const read = (chunk: string) => {
      text += chunk;
      const listening = /Extension host agent listening on (\d+)/.exec(text);
      if (listening) resolve(Number(listening[1]));
    };
    child.stdout.setEncoding('utf8').on('data', read);
    child.stderr.setEncoding('utf8').on('data', read);
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`VS Code's server ended with ${code}:\n${text}`)));
  });
  return {
    port,
    authority: `127.0.0.1:${port}`,
    output: () => text,
    close: async () => {
      await endGroup(child);
      rmSync(data, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Installs a packaged extension into `extensionsDir`, as a user's server would. */
export async function installVsix(vsix: string, extensionsDir: string): Promise<void> {
  const root = await fetchServer();
  const data = mkdtempSync(join(tmpdir(), 'syncscope-install-'));
  const child = spawn(
    node,
    [
      ...['out/server-main.js', '--install-extension', vsix, '--extensions-dir', extensionsDir],
      ...['--server-data-dir', data, '--accept-server-license-terms', '--disable-telemetry'],
    ],
    { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', resolve);
  });
  rmSync(data, { recursive: true, force: true });
  if (code !== 0) throw new Error(`installing ${vsix} ended with ${code}:\n${text}`);
}

/** The workbench's address with a folder open; with `payload` extensions and tests come from the disk. */
export function workbenchUrl(
  server: VsCodeServer,
  folder: string,
  payload: ReadonlyArray<readonly [string, string]> = [],
): string {
  const query = new URLSearchParams({
    folder,
    payload: JSON.stringify([...payload, ['skipWelcome', 'true'], ['skipReleaseNotes', 'true']]),
  });
  return `http://${server.authority}/?${query}`;
}

/** A path of this machine as the workbench in the browser names it. */
export function remotePath(server: VsCodeServer, path: string): string {
  return `vscode-remote://${server.authority}${path}`;
}

async function endGroup(child: ChildProcess): Promise<void> {
  const { pid } = child;
  if (pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const patience = setTimeout(() => signal(pid, 'SIGKILL'), 5_000);
  signal(pid, 'SIGTERM');
  await ended;
  clearTimeout(patience);
  // The hosts have no more reason to live than the server.
  signal(pid, 'SIGKILL');
}

function signal(group: number, name: NodeJS.Signals): void {
  try {
    process.kill(-group, name);
  } catch {
    // The whole group is gone already.
  }
}
