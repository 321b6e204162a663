import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { downloadAndUnzipVSCode, runTests } from '@vscode/test-electron';
import { buildSuite, suitePath } from './build.ts';
import { repository } from './fetch.ts';
import { extensionPath } from './inside.ts';
import { printResults, RESULTS_VARIABLE, report, type SuiteResults } from './results.ts';
import { makeWorkspace } from './workspace.ts';

/**
 * `node test/vscode/desktop.ts`: the same mocha suite in VS Code for the desktop, which is downloaded once, or the one of
 * `VSCODE_EXECUTABLE_PATH`. Needs a display, or `xvfb-run`.
 */
const VERSION = '1.139.0';

const { status } = spawnSync(process.execPath, [join(repository, 'extension', 'package.ts')], { stdio: 'inherit' });
if (status !== 0) throw new Error(`packing the extension ended with ${status}`);
await buildSuite();

const workspace = makeWorkspace('dark');
const resultsFile = join(workspace.folder, '..', 'results.json');
const executable = process.env.VSCODE_EXECUTABLE_PATH ?? (await download());
try {
  await runTests({
    vscodeExecutablePath: executable,
    extensionDevelopmentPath: extensionPath,
    extensionTestsPath: suitePath,
    launchArgs: [workspace.folder, '--disable-extensions', '--disable-workspace-trust', '--skip-welcome'],
    extensionTestsEnv: { [RESULTS_VARIABLE]: resultsFile, SYNCSCOPE_SESSIONS_DIR: workspace.discovery },
  }).catch((error: unknown) => {
    // Failed tests end VS Code with an error, too; the file says which.
    if (!existsSync(resultsFile)) throw error;
  });
  const results = JSON.parse(readFileSync(resultsFile, 'utf8')) as SuiteResults;
  printResults('desktop', results);
  report(results);
} finally {
  rmSync(resultsFile, { force: true });
  workspace.remove();
}

async function download(): Promise<string> {
  try {
    return await downloadAndUnzipVSCode({ version: VERSION, cachePath: join(repository, '.cache', 'vscode-desktop') });
  } catch (error) {
    console.error(
      `VS Code ${VERSION} could not be downloaded: ${error instanceof Error ? error.message : String(error)}`,
    );
    console.error(
      'Set VSCODE_EXECUTABLE_PATH to one that is installed, or run "node test/vscode/run.ts", the server way.',
    );
    workspace.remove();
    process.exit(2);
  }
}
