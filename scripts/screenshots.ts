import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Page } from 'playwright-core';
import { Inspector } from '../test/browser/inspector.ts';
import { launchChromium, openPage } from '../test/support/browser.ts';
import { startSampleServer } from '../test/support/sample-server.ts';
import { run } from './process.ts';

/** `npm run screenshots`: the README's pictures in `docs/images`, from a real session with a corrupted bot, dark and light. */
const root = resolve(import.meta.dirname, '..');
const images = join(root, 'docs', 'images');
const WATCH_MS = 6_000;

const { code } = await run('node', ['webview/build.ts'], { cwd: root });
if (code !== 0) process.exit(code);
mkdirSync(images, { recursive: true });
const sessions = mkdtempSync(join(tmpdir(), 'syncscope-screenshots-'));
const server = await startSampleServer(['--bots', '4', '--seed', '7'], { SYNCSCOPE_SESSIONS_DIR: sessions });
const browser = await launchChromium();
try {
  for (const scheme of ['dark', 'light'] as const) {
    const { page, close } = await openPage(browser, { colorScheme: scheme, viewport: { width: 1440, height: 810 } });
    const inspector = new Inspector(page);
    await inspector.open(server.pageUrl);
    // A picture of a session wants some session.
    await page.waitForTimeout(WATCH_MS);
    await picture(page, `live-${scheme}`);

    await inspector.button('Fault…').click();
    await page.getByRole('menuitem', { name: 'bot-2' }).first().click();
    await inspector.button('Show its cause').click();
    await inspector.panel.getByRole('region', { name: 'Divergence' }).waitFor();
    // What is told of the fault goes by itself, and belongs in no picture.
    await inspector.button('Dismiss').waitFor({ state: 'hidden' });
    await page.waitForTimeout(WATCH_MS / 2);
    await picture(page, `divergence-${scheme}`);

    await inspector.button('Merkle path').click();
    await inspector.panel.getByText('≠').first().waitFor();
    await picture(page, `merkle-${scheme}`);
    await close();
  }
} finally {
  await browser.close();
  await server.program.stop();
  rmSync(sessions, { recursive: true, force: true });
}

async function picture(page: Page, name: string): Promise<void> {
  const path = join(images, `${name}.png`);
  await page.screenshot({ path });
  console.log(`docs/images/${name}.png  ${(statSync(path).size / 1024).toFixed(0)} KiB`);
}
