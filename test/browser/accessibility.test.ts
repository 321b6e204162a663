import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startCli } from '../cli/cli.ts';
import { keepPicture, launchChromium, openPage } from '../support/browser.ts';
import { type Program, root } from '../support/processes.ts';
import { violations } from './axe.ts';
import { Inspector } from './inspector.ts';

const TABS = ['Cause', 'State', 'Diff', 'Vectors', 'Merkle', 'Bytes'];
let browser: Browser;
let host: Program;
let url: string;

beforeAll(async () => {
  browser = await launchChromium();
  host = startCli(['inspect', join(root, 'extension', 'media', 'sample.mcap')]);
  [url] = (await host.printed(/http:\/\/127\.0\.0\.1:\d+\/#\S+/)) as unknown as [string];
});
afterAll(async () => {
  await browser.close();
  await host.stop();
});

describe.each([
  { name: 'dark', options: { colorScheme: 'dark' } },
  { name: 'light', options: { colorScheme: 'light' } },
  { name: 'dark high contrast', options: { colorScheme: 'dark', contrast: 'more' } },
  { name: 'light high contrast', options: { colorScheme: 'light', contrast: 'more' } },
] as const)('in the $name theme', ({ name, options }) => {
  it('every view passes axe', async () => {
    const { page, close } = await openPage(browser, options);
    const inspector = new Inspector(page);
    await inspector.open(url);
    for (const tab of TABS) {
      await inspector.tab(tab);
      await inspector.panel.locator(':scope > *').first().waitFor();
      expect([tab, await violations(page)]).toEqual([tab, []]);
    }
    await keepPicture(page, `theme-${name.replaceAll(' ', '-')}`);
    await close();
  });
});

it('fits 320 pixels, with nothing to scroll sideways', async () => {
  const { page, close } = await openPage(browser, { viewport: { width: 320, height: 720 } });
  const inspector = new Inspector(page);
  await inspector.open(url);
  for (const tab of TABS) {
    await inspector.tab(tab);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    expect([tab, overflow]).toEqual([tab, 0]);
  }
  await keepPicture(page, 'narrow');
  await close();
});

it('leads from the start to the cause of the divergence and back by keyboard alone', async () => {
  const { page, problems, close } = await openPage(browser);
  const inspector = new Inspector(page);
  await inspector.open(url);
  const divergence = inspector.panel.getByRole('region', { name: 'Divergence' });
  await page.keyboard.press('Home');
  await inspector.panel.getByText(/^record 1 ·/).waitFor();
  await page.keyboard.press('2');
  for (let marker = 0; marker < 200 && !(await divergence.isVisible()); marker++) {
    const before = await page.evaluate(() => document.querySelector('.clock')?.getAttribute('title'));
    await page.keyboard.press('Alt+ArrowRight');
    await page.waitForFunction((was) => document.querySelector('.clock')?.getAttribute('title') !== was, before);
    if (await page.getByRole('tab', { name: 'Cause', selected: true }).isVisible()) await divergence.waitFor();
  }
  const noticed = await inspector.selectedRecord();
  for (const [key, record] of [
    ['ArrowRight', noticed + 1],
    ['ArrowLeft', noticed],
  ] as const) {
    await page.keyboard.press(key);
    await inspector.panel.getByText(new RegExp(`^record ${record.toLocaleString('en-US')} ·`)).waitFor();
  }
  await page.keyboard.press('5');
  await inspector.panel.getByText('root', { exact: true }).first().waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type('kind:repair');
  await page.keyboard.press('Enter');
  await inspector.rows.filter({ hasText: 'repaired' }).first().waitFor();
  await page.keyboard.press('Escape');
  await page.keyboard.press('?');
  await page.getByRole('dialog', { name: 'Keys' }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog', { name: 'Keys' }).waitFor({ state: 'hidden' });
  expect(problems).toEqual([]);
  await close();
});
