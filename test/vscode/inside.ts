import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { suitePath } from './build.ts';
import { repository } from './fetch.ts';
import { RESULTS_VARIABLE, SUITE_VARIABLE, type SuiteName, type SuiteResults } from './results.ts';
import { remotePath, startServer, workbenchUrl } from './server.ts';
import { makeWorkspace } from './workspace.ts';

const LIMIT_MS = 5 * 60_000;
const LOOK_EVERY_MS = 200;

export const extensionPath = join(repository, 'extension');

/** Runs a mocha suite inside the extension host of a real VS Code. Rejects where no result came. */
export async function runInside(browser: Browser, suite: SuiteName): Promise<SuiteResults> {
  const workspace = makeWorkspace('dark');
  const resultsFile = join(workspace.folder, '..', 'results.json');
  const server = await startServer({
    workspaceTrust: suite === 'restricted',
    env: { [RESULTS_VARIABLE]: resultsFile, [SUITE_VARIABLE]: suite, SYNCSCOPE_SESSIONS_DIR: workspace.discovery },
  });
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const said: string[] = [];
  try {
    const page = await context.newPage();
    page.on('console', (message) => said.push(message.text()));
    await page.goto(
      workbenchUrl(server, workspace.folder, [
        ['extensionDevelopmentPath', remotePath(server, extensionPath)],
        ['extensionTestsPath', remotePath(server, suitePath)],
      ]),
    );
    const deadline = Date.now() + LIMIT_MS;
    while (!existsSync(resultsFile)) {
      if (Date.now() > deadline) {
        throw new Error(`no result came out of VS Code:\n${said.slice(-40).join('\n')}\n${server.output()}`);
      }
      await page.waitForTimeout(LOOK_EVERY_MS);
    }
    return JSON.parse(readFileSync(resultsFile, 'utf8')) as SuiteResults;
  } finally {
    await context.close();
    await server.close();
    workspace.remove();
  }
}
