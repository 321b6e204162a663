import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startCli } from '../cli/cli.ts';
import { launchChromium, openPage } from '../support/browser.ts';
import { root } from '../support/processes.ts';
import { type RunningServer, startSampleServer } from '../support/sample-server.ts';
import { Inspector } from './inspector.ts';

const folder = mkdtempSync(join(tmpdir(), 'syncscope-narrow-'));
/** From a side panel to half a screen, with the widths around which the header is laid out anew. */
const WIDTHS = [320, 400, 640, 641, 880, 881, 1_000, 1_250, 1_400, 1_401, 1_521];
let browser: Browser;
let server: RunningServer;

beforeAll(async () => {
  browser = await launchChromium();
  server = await startSampleServer(['--bots', '4', '--seed', '7'], { SYNCSCOPE_SESSIONS_DIR: folder });
});
afterAll(async () => {
  await browser.close();
  await server.program.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** How far the text of an element goes beyond what is shown of it, in CSS pixels. */
function cutOff(element: Locator): Promise<number> {
  return element.evaluate((one) => one.scrollWidth - one.clientWidth);
}

/** Controls of the header that are not wholly on the page, by name. */
function outside(page: Page): Promise<string[]> {
  return page.locator('header').evaluate((header) =>
    [...header.querySelectorAll<HTMLElement>('button, vscode-button, vscode-dropdown, input')]
      .filter((one) => one.offsetParent !== null)
      .filter((one) => {
        const { left, right, top } = one.getBoundingClientRect();
        return left < 0 || right > innerWidth || top < 0;
      })
      .map((one) => one.getAttribute('aria-label') ?? one.innerText),
  );
}

it('the verdict and the controls of a live session are whole at every width', async () => {
  const { page, problems, close } = await openPage(browser);
  const inspector = new Inspector(page);
  await inspector.open(server.pageUrl);
  await inspector.verdict.waitFor();
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 800 });
    expect([width, await cutOff(inspector.verdict), await outside(page)]).toEqual([width, 0, []]);
  }
  expect(problems).toEqual([]);
  await close();
});

it('a fault can be chosen in a side panel', async () => {
  const { page, problems, close } = await openPage(browser, { viewport: { width: 400, height: 700 } });
  const inspector = new Inspector(page);
  await inspector.open(server.pageUrl);
  await inspector.button('Fault…').click();
  const items = page.getByRole('menuitem');
  await items.first().waitFor();
  expect(await outside(page)).toEqual([]);
  // What is about everybody is offered once.
  await page.getByRole('menuitem', { name: 'Heal partitions: everybody' }).click();
  await page.getByRole('status').getByText('everybody reaches everybody again').waitFor();
  expect(problems).toEqual([]);
  await close();
});

it('the Merkle tree keeps a place in a low pane', async () => {
  const host = startCli(['inspect', join(root, 'extension', 'media', 'sample.mcap')]);
  const [url] = await host.printed(/http:\/\/127\.0\.0\.1:\d+\/#\S+/);
  const { page, problems, close } = await openPage(browser, { viewport: { width: 400, height: 700 } });
  const inspector = new Inspector(page);
  await inspector.open(url);
  await inspector.goToDivergence();
  await inspector.button('Merkle path').click();
  const tree = page.getByRole('tree').locator('..');
  await tree.waitFor();
  expect(await tree.evaluate((one) => one.clientHeight)).toBeGreaterThan(100);
  expect(problems).toEqual([]);
  await close();
  await host.stop();
});
