import { spawnSync } from 'node:child_process';
import { mkdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** `npm run package`: builds and packs the extension into `artifacts/syncscope.vsix`. */
const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..');
const BUDGET = 2 * 1024 * 1024;

/** Where the package is put. */
const vsix = join(root, 'artifacts', 'syncscope.vsix');

if (!process.argv.includes('--no-build')) {
  run(process.execPath, [join(root, 'webview', 'build.ts')]);
  run(process.execPath, [join(here, 'build.ts')]);
}
mkdirSync(dirname(vsix), { recursive: true });
const vsce = join(root, 'node_modules', '@vscode', 'vsce', 'vsce');
// Everything that runs is bundled, so there are no dependencies to pack.
run(process.execPath, [vsce, 'package', '--no-dependencies', '--allow-missing-repository', '--out', vsix]);
const { size } = statSync(vsix);
console.log(`artifacts/syncscope.vsix  ${(size / 1024).toFixed(0)} KiB of ${BUDGET / 1024}`);
if (size > BUDGET) throw new Error(`the package has ${size} bytes, more than its budget of ${BUDGET}`);

function run(command: string, args: readonly string[]): void {
  const { status, error } = spawnSync(command, args, { cwd: here, stdio: 'inherit' });
  if (error) throw error;
  if (status !== 0) throw new Error(`${args[0]} ended with ${status}`);
}
