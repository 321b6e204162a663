import { join } from 'node:path';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startCli } from '../cli/cli.ts';
import { launchChromium, openPage } from '../support/browser.ts';
import { type Program, root } from '../support/processes.ts';
import { Inspector } from './inspector.ts';

/** A page that shares its processor with other tests. */
const PATIENCE = { timeout: 20_000 };
let browser: Browser;
let host: Program;
let url = '';

beforeAll(async () => {
  browser = await launchChromium();
  host = startCli(['inspect', join(root, 'extension', 'media', 'sample.mcap')]);
  [url] = (await host.printed(/http:\/\/127\.0\.0\.1:\d+\/#\S+/)) as unknown as [string];
});
afterAll(async () => {
  await browser.close();
  await host.stop();
});

/** The player as a user sees it: what it says of the place, and its controls by their names. */
class Player {
  readonly page: Page;
  readonly bar: Locator;

  constructor(page: Page) {
    this.page = page;
    this.bar = page.getByRole('toolbar', { name: 'Playback' });
  }

  /** Number of the record at the playhead. */
  async record(): Promise<number> {
    const title = (await this.bar.getByRole('status').getAttribute('title')) ?? '';
    const number = /record ([\d,]+)/.exec(title)?.[1];
    return number === undefined ? -1 : Number(number.replaceAll(',', ''));
  }

  /** Waits until the playhead is at another place than `from`, and answers which. */
  async movedFrom(from: number): Promise<number> {
    await expect.poll(() => this.record(), PATIENCE).not.toBe(from);
    return this.record();
  }

  async press(key: string): Promise<number> {
    const from = await this.record();
    await this.page.keyboard.press(key);
    return this.movedFrom(from);
  }

  async choose(label: string, choice: string): Promise<void> {
    await this.bar.getByRole('combobox', { name: label }).click();
    await this.page.getByRole('option', { name: choice, exact: true }).click();
  }

  button(name: RegExp): Locator {
    return this.bar.getByRole('button', { name });
  }
}

async function opened() {
  const { page, problems, close } = await openPage(browser);
  const inspector = new Inspector(page);
  await inspector.open(url);
  const player = new Player(page);
  await expect.poll(() => player.record(), PATIENCE).toBeGreaterThan(0);
  await page.getByRole('application', { name: /Messages and states/ }).focus();
  return { page, inspector, player, problems, close };
}

/** Kind and place of the selected row in the stream. */
async function selectedKind(page: Page): Promise<string> {
  const row = page.getByRole('grid', { name: 'Records' }).locator('[aria-selected=true]');
  return (await row.textContent()) ?? '';
}

describe('the player', () => {
  it('steps both ways by every unit, by the keyboard', async () => {
    const { page, player, problems, close } = await opened();
    await page.keyboard.press('Home');
    await expect.poll(() => player.record(), PATIENCE).toBe(0);
    for (const [forward, back] of [
      ['ArrowRight', 'ArrowLeft'],
      ['m', 'Shift+M'],
      ['v', 'Shift+V'],
      ['Alt+ArrowRight', 'Alt+ArrowLeft'],
    ] as const) {
      const from = await player.record();
      const stop = await player.press(forward);
      expect(stop, forward).toBeGreaterThan(from);
      expect(await player.press(forward), forward).toBeGreaterThan(stop);
      expect(await player.press(back), back).toBe(stop);
    }
    expect(problems).toEqual([]);
    await close();
  });

  it('steps by the unit that is chosen, by its buttons, and remembers it', async () => {
    const { page, player, problems, close } = await opened();
    await player.choose('Step', 'by version');
    const from = await player.record();
    await player.button(/^One version forward/).click();
    const version = await player.movedFrom(from);
    await expect.poll(() => selectedKind(page), PATIENCE).toMatch(/commit/i);
    await player.button(/^One version back/).click();
    await player.movedFrom(version);
    await expect.poll(() => selectedKind(page), PATIENCE).toMatch(/commit/i);
    await page.reload();
    await player.button(/^One version forward/).waitFor();
    expect(problems).toEqual([]);
    await close();
  });

  it('steps over ticks, whose time it shows', async () => {
    const { page, player, close } = await opened();
    await player.press('ArrowRight');
    const clock = player.bar.getByRole('status');
    const seen = new Set<string>();
    for (let at = 0; at < 3; at++) {
      const before = await clock.textContent();
      await page.keyboard.press('t');
      await expect.poll(() => clock.textContent(), PATIENCE).not.toBe(before);
      const text = (await clock.textContent()) ?? '';
      expect(text).toMatch(/\.\d[05]0 s$/);
      seen.add(text);
    }
    await page.keyboard.press('Shift+T');
    await expect.poll(async () => seen.has((await clock.textContent()) ?? ''), PATIENCE).toBe(true);
    await close();
  });

  it('plays forwards and backwards, faster and slower', async () => {
    const { page, player, problems, close } = await opened();
    await page.keyboard.press('Home');
    await expect.poll(() => player.record(), PATIENCE).toBe(0);
    await page.keyboard.press('Space');
    await player.button(/^Pause \(Space\)/).waitFor();
    await expect.poll(() => player.record(), PATIENCE).toBeGreaterThan(20);
    await page.keyboard.press('Shift+Space');
    await player.button(/^Pause \(Shift Space\)/).waitFor();
    await page.keyboard.press(']');
    expect(
      await player.bar.getByRole('combobox', { name: 'Speed' }).evaluate((one) => (one as HTMLSelectElement).value),
    ).toBe('2');
    // Back at the start it ends by itself.
    await expect.poll(() => player.record(), PATIENCE).toBe(0);
    await player.button(/^Play backwards/).waitFor();
    await page.keyboard.press('[');
    await page.keyboard.press('[');
    await player.button(/^Play \(Space\)/).click();
    await expect.poll(() => player.record(), PATIENCE).toBeGreaterThan(0);
    await player.button(/^Pause \(Space\)/).click();
    await player.button(/^Play \(Space\)/).waitFor();
    expect(problems).toEqual([]);
    await close();
  });
});
