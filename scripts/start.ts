import { spawn } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { constants } from 'node:os';
import { join, resolve } from 'node:path';
import { passSignals, run } from './process.ts';

/**
 * `npm start`: the adventure with four bots and the inspector's page on it, in the browser where there is one. Further
 * arguments go to the sample server: `npm start -- --fault corrupt:bot-2@5s`.
 */
const root = resolve(import.meta.dirname, '..');
const page = join(root, 'webview', 'dist', 'page');

if (isStale()) {
  console.error('building the inspector …');
  const { code } = await run('node', ['webview/build.ts'], { cwd: root });
  if (code !== 0) process.exit(code);
}

const server = spawn(
  'node',
  ['sample-server/src/cli.ts', '--scenario', 'adventure', '--bots', '4', '--assets', page, ...process.argv.slice(2)],
  // The channel tells the server when we are gone, however that happened.
  { cwd: root, stdio: ['inherit', 'pipe', 'inherit', 'ipc'] },
);
passSignals(server);
let isOpened = false;
server.stdout?.setEncoding('utf8').on('data', (text: string) => {
  process.stdout.write(text);
  const [url] = /http:\/\/127\.0\.0\.1:\d+\/#\S+/.exec(text) ?? [];
  if (url !== undefined && !isOpened) {
    isOpened = true;
    openBrowser(url);
  }
});
server.on('exit', (code, signal) => {
  process.exitCode = code ?? 128 + (signal ? constants.signals[signal] : 0);
});

/** Whether something that the page is made of is newer than the page. */
function isStale(): boolean {
  const built = join(page, 'index.html');
  if (!existsSync(built)) return true;
  const made = statSync(built).mtimeMs;
  const sources = ['webview/src', 'protocol-lib/src'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name)),
  );
  return [...sources, join(root, 'package-lock.json'), join(root, 'webview', 'build.ts')].some(
    (file) => statSync(file).mtimeMs > made,
  );
}

function openBrowser(url: string): void {
  const { CI, BROWSER, DISPLAY, WAYLAND_DISPLAY, SSH_CONNECTION } = process.env;
  if (CI || SSH_CONNECTION || BROWSER === 'none') return;
  const openers: Partial<Record<NodeJS.Platform, string[]>> = {
    darwin: ['open', url],
    win32: ['explorer', url],
    linux: DISPLAY || WAYLAND_DISPLAY ? ['xdg-open', url] : [],
  };
  const [command, ...args] = openers[process.platform] ?? [];
  if (command === undefined) return;
  const opener = spawn(command, args, { stdio: 'ignore', detached: true });
  // There is no such program: the URL is printed, that is enough.
  opener.on('error', () => undefined);
  opener.unref();
}
