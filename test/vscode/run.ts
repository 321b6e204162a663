import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { launchBrowser } from './browser.ts';
import { buildSuite } from './build.ts';
import { repository } from './fetch.ts';
import { extensionPath, runInside } from './inside.ts';
import { liveSession } from './outside/live.ts';
import { restrictedMode } from './outside/restricted.ts';
import { Workbench } from './outside/workbench.ts';
import { printResults, report, type SuiteResults, sumResults } from './results.ts';
import { installVsix, remotePath, startServer } from './server.ts';
import { makeWorkspace } from './workspace.ts';

/**
 * `node test/vscode/run.ts [inside|restricted|outside|package …]`: the extension in a real VS Code: mocha inside its extension
 * host, with trust and without; a user's way through its window; and the package installed. All where none is named.
 */
const PARTS = {
  inside: (browser: Browser) => runInside(browser, 'trusted'),
  restricted: (browser: Browser) => runInside(browser, 'restricted'),
  outside: runOutside,
  package: runPackaged,
} as const;
type PartName = keyof typeof PARTS;

const JPEG = Uint8Array.from([0xff, 0xd8, 0xff, 0xe0, 0, 0x10, 0x4a, 0x46, 0x49, 0x46, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0]);
const FILES = { 'picture.mcap': JPEG, 'empty.mcap': new Uint8Array(), 'notes.txt': 'Nothing to see.\n' };

const named = process.argv.slice(2).filter((argument): argument is PartName => Object.hasOwn(PARTS, argument));
const parts = named.length > 0 ? named : (Object.keys(PARTS) as PartName[]);

run('extension/package.ts');
await buildSuite();
const browser = await launchBrowser();
const results: SuiteResults[] = [];
try {
  for (const part of parts) {
    const result = await PARTS[part](browser).catch((error: unknown): SuiteResults => {
      const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
      return { passes: [], failures: [{ title: part, message }] };
    });
    printResults(part, result);
    results.push(result);
  }
} finally {
  await browser.close();
}
report(sumResults(results));

/** The extension from its folder, in a light and in a dark window. */
async function runOutside(): Promise<SuiteResults> {
  const results: SuiteResults[] = [];
  for (const theme of ['light', 'dark'] as const) {
    const workspace = makeWorkspace(theme, FILES);
    const server = await startServer({ env: { SYNCSCOPE_SESSIONS_DIR: workspace.discovery } });
    try {
      const development = remotePath(server, extensionPath);
      const workbench = await Workbench.open(browser, server, workspace.folder, [
        ['extensionDevelopmentPath', development],
      ]);
      results.push(await liveSession(workbench, workspace.folder, theme));
      await workbench.close();
    } finally {
      await server.close();
      workspace.remove();
    }
  }
  return sumResults(results);
}

/** The `.vsix`, installed as a user would, in a folder that nobody trusted. */
async function runPackaged(browser: Browser): Promise<SuiteResults> {
  const extensionsDir = mkdtempSync(join(tmpdir(), 'syncscope-extensions-'));
  const workspace = makeWorkspace('high-contrast', FILES);
  try {
    await installVsix(join(repository, 'artifacts', 'syncscope.vsix'), extensionsDir);
    const server = await startServer({
      extensionsDir,
      workspaceTrust: true,
      env: { SYNCSCOPE_SESSIONS_DIR: workspace.discovery },
    });
    try {
      const workbench = await Workbench.open(browser, server, workspace.folder);
      await workbench.stayRestricted();
      const result = await restrictedMode(workbench);
      await workbench.close();
      return result;
    } finally {
      await server.close();
    }
  } finally {
    workspace.remove();
    rmSync(extensionsDir, { recursive: true, force: true });
  }
}

function run(script: string): void {
  const { status } = spawnSync(process.execPath, [join(repository, script)], { cwd: repository, stdio: 'inherit' });
  if (status !== 0) throw new Error(`${script} ended with ${status}`);
}
