import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startCli } from '../cli/cli.ts';
import { launchChromium, openPage } from '../support/browser.ts';
import { type Program, root } from '../support/processes.ts';
import { Inspector } from './inspector.ts';

/** Height in the lanes' canvas at which the markers lie, CSS pixels. */
const MARKER_ROW = 26;
let browser: Browser;
let host: Program;

beforeAll(async () => {
  browser = await launchChromium();
  host = startCli(['inspect', join(root, 'extension', 'media', 'sample.mcap')]);
});
afterAll(async () => {
  await browser.close();
  await host.stop();
});

it('opens near the first divergence, and its marker leads to the cause by one click', async () => {
  const [url] = await host.printed(/http:\/\/127\.0\.0\.1:\d+\/#\S+/);
  const { page, problems, close } = await openPage(browser);
  const inspector = new Inspector(page);
  await inspector.open(url);
  const divergence = inspector.panel.getByRole('region', { name: 'Divergence' });
  await divergence.waitFor();
  const noticed = await inspector.selectedRecord();
  const lanes = page.getByRole('application', { name: /Messages and states/ });
  const playhead = page.locator('.tl-plot .tl-playhead');
  await playhead.waitFor();
  const marker = (await playhead.boundingBox())!;
  const top = (await lanes.boundingBox())!.y;

  await lanes.press('ArrowLeft');
  await inspector.panel.getByText(new RegExp(`^record ${(noticed - 1).toLocaleString('en-US')} ·`)).waitFor();
  await inspector.tab('Bytes');
  await page.mouse.click(marker.x + marker.width / 2 + 3, top + MARKER_ROW);
  await page.getByRole('tab', { name: 'Cause', selected: true }).waitFor();
  await divergence.waitFor();
  expect(await inspector.selectedRecord()).toBe(noticed);
  expect(problems).toEqual([]);
  await close();
});
