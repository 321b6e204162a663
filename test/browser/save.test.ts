import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { memorySource, openCapture } from '@syncscope/protocol/capture';
import type { SyncRecord } from '@syncscope/protocol/state';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cli } from '../cli/cli.ts';
import { keepPicture, launchChromium, openPage, type WatchedPage } from '../support/browser.ts';
import { type RunningServer, startSampleServer } from '../support/sample-server.ts';
import { violations } from './axe.ts';
import { Inspector } from './inspector.ts';

/** What the page asks before it saves a live session, and what the file has then. */

const folder = mkdtempSync(join(tmpdir(), 'syncscope-save-'));
const env = { SYNCSCOPE_SESSIONS_DIR: join(folder, 'sessions') };
let browser: Browser;
let server: RunningServer;

beforeAll(async () => {
  browser = await launchChromium();
  server = await startSampleServer(['--bots', '2', '--seed', '7'], env);
});
afterAll(async () => {
  await browser.close();
  await server.program.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function asked(options?: Parameters<typeof openPage>[1]): Promise<WatchedPage & { inspector: Inspector }> {
  const opened = await openPage(browser, options);
  const inspector = new Inspector(opened.page);
  await inspector.open(server.pageUrl);
  await inspector.button('Save').click();
  await opened.page.getByRole('dialog', { name: 'Save the capture' }).waitFor();
  return { ...opened, inspector };
}

/** Presses a button, and keeps what comes of it. */
async function savedBy(page: Page, button: string, name: string): Promise<string> {
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: button, exact: true }).click();
  const path = join(folder, name);
  await (await download).saveAs(path);
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
  return path;
}

/** The header, and the players of all snapshots in a capture. */
async function contentOf(
  path: string,
): Promise<{ redaction: string | undefined; players: SyncRecord[]; frames: number }> {
  const capture = await openCapture(memorySource(readFileSync(path)));
  const players: SyncRecord[] = [];
  let frames = 0;
  for await (const { record } of capture.trace()) {
    if (record.wire) frames++;
    if (record.body.kind !== 'snapshot') continue;
    for (const { key, record: player } of record.body.records) if (key.startsWith('player/')) players.push(player);
  }
  return { redaction: (await capture.info()).header.redaction, players, frames };
}

describe('Save', () => {
  it('leaves secrets out where nothing else is said', async () => {
    const { page, problems, close } = await asked();
    const path = await savedBy(page, 'Save without secrets', 'plain.mcap');
    expect((await contentOf(path)).redaction).toBe('names');
    expect(problems).toEqual([]);
    await close();
  });

  it('replaces what rules say, and tells which rule is none', async () => {
    const { page, problems, close } = await asked();
    await page.getByRole('textbox', { name: 'More secret fields' }).fill('player/*.room\n');
    await page.getByRole('textbox', { name: 'More secret texts' }).fill('([');
    await page.getByRole('button', { name: 'Save without secrets' }).click();
    const alert = page.getByRole('dialog').getByRole('alert');
    await alert.getByText(/is no regular expression/).waitFor();
    await page.getByRole('textbox', { name: 'More secret texts' }).fill('hall(way)?');
    await alert.waitFor({ state: 'hidden' });
    await page.getByText('all frames and inputs are left out').waitFor();
    const path = await savedBy(page, 'Save without secrets', 'rules.mcap');
    const { redaction, players, frames } = await contentOf(path);
    expect(redaction).toBe('rules');
    expect(frames).toBe(0);
    expect(players.length).toBeGreaterThan(0);
    for (const { room } of players) expect(room).toMatch(/^redacted-[0-9a-f]{12}$/);
    expect(problems).toEqual([]);
    await close();
  });

  it('keeps everything where that is chosen, with a warning, and the file says so', async () => {
    const { page, problems, close } = await asked();
    await page.getByRole('radio', { name: /With everything in it/ }).check();
    await page
      .getByRole('alert')
      .getByText(/every password and token/)
      .waitFor();
    expect(await page.getByRole('textbox', { name: 'More secret fields' }).count()).toBe(0);
    const path = await savedBy(page, 'Save with secrets', 'whole.mcap');
    const { redaction, frames } = await contentOf(path);
    expect(redaction).toBeUndefined();
    expect(frames).toBeGreaterThan(0);
    const { code, stderr } = await cli(['export', path, '--format', 'json'], env);
    expect([code, stderr]).toEqual([2, expect.stringContaining('EXPORT_UNREDACTED')]);
    expect(problems).toEqual([]);
    await close();
  });

  it('takes what is typed for itself, and Escape for no', async () => {
    const { page, inspector, problems, close } = await asked();
    const following = page.getByText('Following the session');
    await following.waitFor();
    await page.getByRole('radio', { name: /Without secrets/ }).focus();
    for (const key of ['Home', '2', '?', 'f']) await page.keyboard.press(key);
    await page.getByRole('textbox', { name: 'More secret texts' }).focus();
    await page.keyboard.type('2?f');
    expect(await page.getByRole('textbox', { name: 'More secret texts' }).inputValue()).toBe('2?f');
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
    await following.waitFor();
    await inspector.button('Save').click();
    // What was typed and not wanted is not there again.
    expect(await page.getByRole('textbox', { name: 'More secret texts' }).inputValue()).toBe('');
    expect(problems).toEqual([]);
    await close();
  });

  it.each([
    ['dark', { colorScheme: 'dark' }],
    ['light', { colorScheme: 'light' }],
    ['narrow', { colorScheme: 'light', viewport: { width: 320, height: 560 } }],
  ] as const)('asks in a dialog that passes axe and fits: %s', async (name, options) => {
    const { page, close } = await asked(options);
    const dialog = page.getByRole('dialog');
    for (const choice of [/Without secrets/, /With everything in it/]) {
      await page.getByRole('radio', { name: choice }).check();
      expect(await violations(page)).toEqual([]);
      const { clientWidth, scrollWidth } = await dialog.evaluate(({ clientWidth, scrollWidth }) => ({
        clientWidth,
        scrollWidth,
      }));
      expect(scrollWidth).toBe(clientWidth);
    }
    await keepPicture(page, `save-${name.replaceAll(' ', '-')}`);
    await close();
  });
});
