import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * VS Code's own server and web workbench, as the npm package `code-server` ships them, in the git-ignored
 * cache. See "Testing in a real VS Code" in CONTRIBUTING.md for why it is not a dependency.
 */
export const CODE_SERVER_VERSION = '4.139.1';

export const repository = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const cache = join(repository, '.cache', 'vscode-server');
const workbench = join(cache, 'node_modules', 'code-server', 'lib', 'vscode');
/** Written last, so that a fetch which was broken off is done again. */
const stamp = join(cache, 'fetched');

/** Folder that holds `out/server-main.js`; fetches it on the first call, about 600 MB. */
export async function fetchServer(say: (line: string) => void = console.log): Promise<string> {
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === CODE_SERVER_VERSION) return workbench;
  say(`fetching code-server ${CODE_SERVER_VERSION} into .cache/vscode-server, once`);
  rmSync(cache, { recursive: true, force: true });
  mkdirSync(cache, { recursive: true });
  writeFileSync(join(cache, 'package.json'), JSON.stringify({ name: 'vscode-server-cache', private: true }));
  // Without --ignore-scripts it builds a native module that wants libkrb5-dev, which these tests do not need.
  await npm(['install', `code-server@${CODE_SERVER_VERSION}`, '--ignore-scripts'], cache);
  await npm(['install', '--omit=dev', '--ignore-scripts'], workbench);
  if (!existsSync(join(workbench, 'out', 'server-main.js'))) {
    throw new Error('code-server was fetched but holds no out/server-main.js: look at .cache/vscode-server');
  }
  writeFileSync(stamp, CODE_SERVER_VERSION);
  return workbench;
}

function npm(args: readonly string[], cwd: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('npm', [...args, '--no-audit', '--no-fund', '--loglevel=error'], {
      cwd,
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, npm_config_workspaces: 'false' },
      shell: process.platform === 'win32',
    });
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
    });
    child.once('error', reject);
    child.once('exit', (code) =>
      code === 0 ? resolve() : reject(new Error(`npm ${args[0]} in ${cwd} ended with ${code}:\n${errors}`)),
    );
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(await fetchServer());
