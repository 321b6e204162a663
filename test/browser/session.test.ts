import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { cliJson, startCli } from '../cli/cli.ts';
import { keepPicture, launchChromium, openPage } from '../support/browser.ts';
import { type RunningServer, startSampleServer } from '../support/sample-server.ts';
import { Inspector, readDivergence, type ToldDivergence } from './inspector.ts';

const folder = mkdtempSync(join(tmpdir(), 'syncscope-browser-'));
const env = { SYNCSCOPE_SESSIONS_DIR: join(folder, 'sessions') };
const saved = join(folder, 'saved.mcap');
let browser: Browser;
let server: RunningServer;
/** As it was explained live; the file must tell the same. */
let live: ToldDivergence;

beforeAll(async () => {
  browser = await launchChromium();
  server = await startSampleServer(['--bots', '4', '--seed', '7'], env);
});
afterAll(async () => {
  await browser.close();
  await server.program.stop();
  rmSync(folder, { recursive: true, force: true });
});

it('shows a live session, and leads from a corrupted value to its cause', async () => {
  const { page, problems, close } = await openPage(browser, { colorScheme: 'dark' });
  const inspector = new Inspector(page);
  await inspector.open(server.pageUrl);
  await inspector.lanes(['server', 'bot-1', 'bot-2', 'bot-3', 'bot-4']);
  await page
    .getByRole('banner')
    .getByRole('button', { name: /^.*5 replicas agree at v\d+/ })
    .waitFor();
  await keepPicture(page, 'live');

  await inspector.button('Fault…').click();
  await page.getByRole('menuitem', { name: 'bot-2' }).first().click();
  // It is found and repaired in a moment; while the session runs on, one click leads back to it.
  await inspector.button('Show its cause').click();
  await page
    .getByRole('banner')
    .getByRole('button', { name: /bot-2 differs since v\d+/ })
    .click();
  live = await readDivergence(inspector);
  expect(live.replica).toBe('bot-2');
  expect(live.own).not.toBe(live.expected);
  expect(live.sentence).toContain(`${live.field} is ${live.own}, should be ${live.expected}`);
  expect(live.told).toEqual([
    expect.stringContaining('corrupted-at-rest'),
    expect.stringMatching(/^noticed at .+, v\d+ · bot-2 against server$/),
    expect.stringMatching(/^sure \(high\): its own hash was right at this version/),
    expect.stringMatching(/^At v\d+ it had the root [0-9a-f]{16} here\..+/),
    expect.stringMatching(/^It had the root [0-9a-f]{16} here\..+/),
    expect.stringContaining('The replica told what it held.'),
    expect.stringContaining('look for code that writes into the committed state'),
  ]);
  await keepPicture(page, 'cause');

  await inspector.tab('Diff');
  await inspector.panel.getByText(live.field, { exact: true }).first().waitFor();
  for (const value of [live.own, live.expected]) {
    await inspector.panel.getByText(value, { exact: true }).first().waitFor();
  }
  await keepPicture(page, 'diff');

  await inspector.tab('Merkle');
  await inspector.panel.getByText(live.key).filter({ visible: true }).first().waitFor();
  await keepPicture(page, 'merkle');

  for (const tab of ['State', 'Vectors', 'Bytes']) {
    await inspector.tab(tab);
    await inspector.panel.waitFor();
    if (tab === 'State') await page.getByRole('textbox', { name: 'Search keys and values' }).waitFor();
    await keepPicture(page, tab.toLowerCase());
  }

  // Backwards, record by record, and to before it happened: there the two agree.
  await inspector.tab('Cause');
  const noticed = await inspector.selectedRecord();
  for (const back of [1, 2, 3]) {
    await page.getByRole('application', { name: /Messages and states/ }).press('ArrowLeft');
    await inspector.panel.getByText(new RegExp(`^record ${(noticed - back).toLocaleString('en-US')} ·`)).waitFor();
  }
  await inspector.button('First difference').click();
  await inspector.button(/^.*One record back/).click();
  await inspector.tab('Diff');
  // The one may not have received yet what the other has; that is no difference of its copy.
  const agreement = /No difference in \d+ records|They are at different versions here/;
  await inspector.panel.getByText(agreement).waitFor();
  const difference = `${live.own}\t${live.expected}`;
  expect((await inspector.panel.innerText()).split('\n')).not.toContain(`${live.field}\t${difference}`);

  await inspector.button('Stop').click();
  const download = page.waitForEvent('download');
  await inspector.button('Save').click();
  await inspector.button('Save without secrets').click();
  await (await download).saveAs(saved);
  expect(problems).toEqual([]);
  await close();
});

it('leaves a capture that the command line understands the same', async () => {
  const { code, document } = await cliJson(['verify', saved]);
  expect([code, document.divergence]).toEqual([
    1,
    expect.objectContaining({ replica: live.replica, key: live.key, field: live.field, sentence: live.sentence }),
  ]);
});

it('shows from the file what it showed live, forwards and backwards', async () => {
  const host = startCli(['inspect', saved], env);
  const [url] = await host.printed(/http:\/\/127\.0\.0\.1:\d+\/#\S+/);
  const { page, problems, close } = await openPage(browser, { colorScheme: 'light' });
  const inspector = new Inspector(page);
  await inspector.open(url);
  await inspector.lanes(['server', 'bot-1', 'bot-2', 'bot-3', 'bot-4']);
  await inspector.goToDivergence();
  expect(await readDivergence(inspector)).toEqual(live);
  await keepPicture(page, 'file');

  const noticed = await inspector.selectedRecord();
  await inspector.button(/^.*One record back/).click();
  await inspector.panel.getByText(new RegExp(`^record ${(noticed - 1).toLocaleString('en-US')} ·`)).waitFor();
  await inspector.button(/^.*One record forward/).click();
  expect(await readDivergence(inspector)).toEqual(live);

  await page.reload();
  await inspector.rows.first().waitFor();
  expect(problems).toEqual([]);
  await close();
  expect((await host.stop('SIGINT')).code).toBe(0);
});

it('lists the running sessions and attaches to the chosen one', async () => {
  const host = startCli(['inspect'], env);
  const [url] = await host.printed(/http:\/\/127\.0\.0\.1:\d+\/#\S+/);
  const { page, problems, close } = await openPage(browser);
  await page.goto(url);
  await page.getByRole('region', { name: 'Running sessions' }).getByText('Adventure (seed 7)').click();
  const inspector = new Inspector(page);
  await inspector.rows.first().waitFor();
  // It was asked to observe only.
  expect(await inspector.button('Fault…').count()).toBe(0);
  expect(problems).toEqual([]);
  await close();
  await host.stop();
});

it('says in words that a session is gone', async () => {
  const doomed = await startSampleServer(['--bots', '1'], env);
  const { page, close } = await openPage(browser);
  const inspector = new Inspector(page);
  await inspector.open(doomed.pageUrl);
  await doomed.program.stop();
  await page
    .getByText(/stopped|ended/)
    .first()
    .waitFor();
  expect(await inspector.rows.count()).toBeGreaterThan(0);
  await close();
});

it('asks before a page is left whose capture was looked at and not saved', async () => {
  const { page, problems, close } = await openPage(browser);
  const inspector = new Inspector(page);
  await inspector.open(server.pageUrl);
  await inspector.button(/^To the start/).click();
  await inspector.panel.getByText(/^record [\d,]+ · /).waitFor();
  await page.close({ runBeforeUnload: true });
  await expect.poll(() => problems).toEqual([expect.stringMatching(/^dialog: /)]);
  const download = page.waitForEvent('download');
  await inspector.button('Save').click();
  await inspector.button('Save without secrets').click();
  await (await download).path();
  const closed = page.waitForEvent('close');
  await page.close({ runBeforeUnload: true });
  await closed;
  expect(problems).toHaveLength(1);
  await close();
});
