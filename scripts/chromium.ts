import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** What keeps Chromium quiet and working without a display, a GPU or a sandbox of its own. */
export const CHROMIUM_FLAGS: readonly string[] = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
const WELL_KNOWN = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
];

/** Path of a Chromium or Chrome on this machine: `CHROMIUM_PATH`, the search path, or a usual place. */
export function findChromium(): string | undefined {
  const onPath = (process.env.PATH ?? '').split(delimiter).flatMap((dir) => NAMES.map((name) => join(dir, name)));
  return [process.env.CHROMIUM_PATH, ...onPath, ...WELL_KNOWN].find((file) => file !== undefined && existsSync(file));
}

/**
 * The Chromium to test with; installed first where the machine is a Debian that we are root on.
 *
 * @throws Error saying what to install, where there is none and we may not install it.
 */
export function ensureChromium(): string {
  const found = findChromium() ?? (isDebianRoot() ? installChromium() : undefined);
  if (found) return found;
  throw new Error(
    'A browser is needed and none was found: install Chromium or Chrome, or set CHROMIUM_PATH to one. ' +
      'On Debian or Ubuntu: sudo apt-get install chromium.',
  );
}

function isDebianRoot(): boolean {
  return existsSync('/etc/debian_version') && process.getuid?.() === 0;
}

function installChromium(): string | undefined {
  console.error('installing chromium …');
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  for (const args of [['update'], ['install', '-y', '--no-install-recommends', 'chromium']]) {
    spawnSync('apt-get', args, { env, stdio: ['ignore', 2, 2] });
  }
  return findChromium();
}
