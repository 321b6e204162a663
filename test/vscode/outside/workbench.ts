import type { Browser, Frame, Locator, Page } from 'playwright-core';
import { type VsCodeServer, workbenchUrl } from '../server.ts';

const QUICK_INPUT_TRIES = 4;
const NOTIFICATION_TRIES = 6;

/** VS Code's window in the browser, driven as a user would: by clicks, keys and what can be read. */
export class Workbench {
  readonly page: Page;
  /** Reports of a Content Security Policy, which no page of ours may cause. */
  readonly violations: string[] = [];

  private constructor(page: Page) {
    this.page = page;
    page.on('console', (message) => {
      const text = message.text();
      if (/Content Security Policy/i.test(text) && !/frame-ancestors/.test(text)) this.violations.push(text);
    });
  }

  /** Opens a folder and waits until the workbench stands. */
  static async open(
    browser: Browser,
    server: VsCodeServer,
    folder: string,
    payload: ReadonlyArray<readonly [string, string]> = [],
  ): Promise<Workbench> {
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
    const page = await context.newPage();
    page.setDefaultTimeout(30_000);
    const workbench = new Workbench(page);
    await page.goto(workbenchUrl(server, folder, payload));
    await page.locator('.monaco-workbench .activitybar').waitFor({ timeout: 60_000 });
    await workbench.#hideSecondarySideBar();
    return workbench;
  }

  async close(): Promise<void> {
    await this.page.context().close();
  }

  /** Opens a container of the activity bar by its title. */
  async openContainer(title: string): Promise<void> {
    const action = this.page.locator(`.activitybar .action-item a[aria-label^="${title}"]`);
    await action.waitFor();
    const isOpen = await this.page.locator('.sidebar .title-label', { hasText: new RegExp(title, 'i') }).isVisible();
    if (!isOpen) await action.click();
    await this.page.locator('.sidebar .title-label', { hasText: new RegExp(title, 'i') }).waitFor();
  }

  /** Runs a command of the palette by its whole title, such as `Syncscope: Refresh`. */
  async run(title: string): Promise<void> {
    await this.#quickInput('F1', `>${title}`);
    await this.page.locator('.quick-input-list .monaco-list-row', { hasText: title }).first().waitFor();
    await this.page.keyboard.press('Enter');
  }

  /** Whether the palette offers a command. */
  async offers(title: string): Promise<boolean> {
    await this.#quickInput('F1', `>${title}`);
    const row = this.page.locator('.quick-input-list .monaco-list-row').first();
    await row.waitFor();
    const text = await row.getAttribute('aria-label');
    await this.page.keyboard.press('Escape');
    return text?.startsWith(title) ?? false;
  }

  /** Chooses an entry of the quick pick that is open. */
  async pick(label: string): Promise<void> {
    const row = this.page.locator('.quick-input-list .monaco-list-row', { hasText: label }).first();
    await row.waitFor();
    await row.click();
  }

  /** Runs a command that asks, and chooses; once more where the question went away meanwhile, as it does when something else takes the focus. */
  async runAndPick(title: string, label: string): Promise<void> {
    const input = this.page.locator('.quick-input-widget input[type="text"]');
    const row = this.page.locator('.quick-input-list .monaco-list-row', { hasText: label }).first();
    for (let attempt = 1; ; attempt++) {
      await this.run(title);
      try {
        // Of a long list only what is in view exists, so it is narrowed down.
        await this.page.locator('.quick-input-list .monaco-list-row').first().waitFor();
        await input.fill(label, { timeout: 5_000 });
        return await row.click({ timeout: 5_000 });
      } catch (error) {
        if (attempt === QUICK_INPUT_TRIES) throw error;
      }
    }
  }

  /** Opens a file of the workspace by its name. */
  async openFile(name: string): Promise<void> {
    await this.#quickInput('ControlOrMeta+P', name);
    await this.page.locator('.quick-input-list .monaco-list-row', { hasText: name }).first().waitFor();
    await this.page.keyboard.press('Enter');
    await this.page.locator('.tab.active', { hasText: name }).waitFor();
  }

  /** A row of a tree in the side bar. */
  row(text: string | RegExp): Locator {
    return this.page.locator('.sidebar .monaco-list-row', { hasText: text });
  }

  /** A line of text anywhere in the side bar, such as a welcome view. */
  welcome(text: string | RegExp): Locator {
    return this.page.locator('.sidebar .welcome-view-content', { hasText: text });
  }

  statusBar(text: string | RegExp): Locator {
    return this.page.locator('.statusbar .statusbar-item', { hasText: text });
  }

  /** A notification, in the centre behind the bell: with the driver that payloads need, VS Code shows no toasts. */
  async notification(text: string | RegExp): Promise<Locator> {
    const centre = this.page.locator('.notifications-center.visible');
    const item = centre.locator('.notification-list-item', { hasText: text }).first();
    // The centre closes whenever something else takes the focus, so it is opened again until the item is in it.
    for (let attempt = 1; ; attempt++) {
      if (!(await centre.isVisible())) await this.run('Notifications: Show Notifications');
      try {
        await item.waitFor({ timeout: 5_000 });
        return item;
      } catch (error) {
        if (attempt === NOTIFICATION_TRIES) throw error;
      }
    }
  }

  /** Answers the question of whether the folder is trusted, where it is asked, with no. */
  async stayRestricted(): Promise<void> {
    const banner = this.page.getByText('Restricted Mode').first();
    const no = this.page.locator('.monaco-dialog-box .monaco-button', { hasText: "No, I don't trust" });
    await banner.or(no).first().waitFor();
    if (await no.isVisible()) await no.click();
  }

  /** The inspector's own document: a webview is a frame in a frame. Waits until it says `text`. */
  async inspector(text: string | RegExp, timeout = 30_000): Promise<Frame> {
    const deadline = Date.now() + timeout;
    let seen = '';
    while (Date.now() < deadline) {
      for (const frame of this.page.frames()) {
        const body = await frameText(frame);
        if (body === undefined) continue;
        if (typeof text === 'string' ? body.includes(text) : text.test(body)) return frame;
        seen = body;
      }
      await this.page.waitForTimeout(200);
    }
    throw new Error(
      `no inspector says ${String(text)} within ${timeout} ms; the last one says: ${seen.slice(0, 1_500)}`,
    );
  }

  async screenshot(path: string): Promise<void> {
    await this.page.mouse.move(1_000, 880);
    await this.page.screenshot({ path });
  }

  /** VS Code's chat opens there by itself and would cover a third of what is looked at. */
  async #hideSecondarySideBar(): Promise<void> {
    const bar = this.page.locator('.part.auxiliarybar');
    if (!(await bar.isVisible())) return;
    await this.page.keyboard.press('ControlOrMeta+Alt+B');
    await bar.waitFor({ state: 'hidden' });
  }

  /** Opens the quick input by a key and types into it; once more where something else took the focus, which closes it. */
  async #quickInput(key: string, text: string): Promise<void> {
    const input = this.page.locator('.quick-input-widget input[type="text"]');
    for (let attempt = 1; ; attempt++) {
      await this.page.keyboard.press(key);
      try {
        await input.fill(text, { timeout: 5_000 });
        return;
      } catch (error) {
        if (attempt === QUICK_INPUT_TRIES) throw error;
      }
    }
  }
}

/** What a frame shows, `undefined` where it is no inspector that can be seen. */
async function frameText(frame: Frame): Promise<string | undefined> {
  try {
    if (frame.name() === '' && frame.parentFrame() === null) return undefined;
    const element = await frame.frameElement();
    if (!(await element.isVisible())) return undefined;
    return await frame.evaluate(() =>
      // Only what is rendered: a closed tab's text does not count.
      document.querySelector('meta[property="csp-nonce"]') ? document.body.innerText : undefined,
    );
  } catch {
    // The frame went away while it was asked.
    return undefined;
  }
}
