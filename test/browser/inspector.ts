import type { Locator, Page } from 'playwright-core';

/** The inspector's page as a user finds things in it: by role and name. */
export class Inspector {
  readonly page: Page;

  constructor(page: Page) {
    this.page = page;
  }

  /** Opens an address and waits until records are there. */
  async open(url: string): Promise<void> {
    await this.page.goto(url);
    await this.rows.first().waitFor();
  }

  get verdict(): Locator {
    return this.page.getByRole('banner').getByRole('button', { name: /agree|differ|behind|gone|unknown/ });
  }

  get rows(): Locator {
    return this.page.getByRole('grid', { name: 'Records' }).getByRole('rowgroup').getByRole('row');
  }

  /** The open tab's content. */
  get panel(): Locator {
    return this.page.getByRole('region', { name: 'Inspection' }).getByRole('tabpanel');
  }

  button(name: string | RegExp): Locator {
    return this.page.getByRole('button', { name });
  }

  async tab(name: string): Promise<void> {
    await this.page.getByRole('tab', { name, exact: true }).click();
    await this.page.getByRole('tab', { name, exact: true, selected: true }).waitFor();
  }

  /** Waits for the lanes of exactly these replicas, in this order. */
  async lanes(names: readonly string[]): Promise<void> {
    const items = this.page.getByRole('list', { name: 'Replicas' }).getByRole('listitem');
    for (const [at, name] of names.entries()) {
      await items
        .nth(at)
        .getByRole('button', { name: `Collapse ${name}`, exact: true })
        .waitFor();
    }
    const count = await items.count();
    if (count !== names.length) throw new Error(`${count} lanes instead of ${names.length}`);
  }

  async filter(text: string): Promise<void> {
    const box = this.page.getByRole('combobox', { name: 'Filter the stream' });
    await box.fill(text);
    await box.press('Enter');
  }

  /** Selects the record that shows a divergence, which may have been repaired long since, and waits for its explanation. */
  async goToDivergence(): Promise<void> {
    await this.filter('kind:mismatch');
    // The row is there once the record is, and only it passes the filter.
    await this.rows.filter({ hasText: '≠' }).first().click();
    await this.filter('');
    await this.panel.getByRole('region', { name: 'Divergence' }).waitFor();
  }

  /** Number of the selected record as the Cause tab tells it. */
  async selectedRecord(): Promise<number> {
    const text = await this.panel.getByText(/^record [\d,]+ · /).textContent();
    return Number(/record ([\d,]+)/.exec(text ?? '')?.[1]?.replaceAll(',', ''));
  }
}

/** What the Cause tab says of a divergence. */
export interface ToldDivergence {
  readonly sentence: string;
  readonly replica: string;
  readonly key: string;
  readonly field: string;
  readonly own: string;
  readonly expected: string;
  /** Class, when and against whom, how sure and why, the records that show it, and what would confirm it. */
  readonly told: readonly string[];
}

export async function readDivergence(inspector: Inspector): Promise<ToldDivergence> {
  const region = inspector.panel.getByRole('region', { name: 'Divergence' });
  const sentence = (await region.getByRole('heading', { level: 2 }).textContent())?.trim() ?? '';
  const [own, expected] = await region.getByRole('cell').allTextContents();
  const match = /^(\S+) differs from (\S+) since v\d+: (\S+) · (\S+) is /.exec(sentence);
  if (!match || own === undefined || expected === undefined) throw new Error(`not understood: ${sentence}`);
  const [, replica = '', , key = '', field = ''] = match;
  const told = await region.locator('p, li').allTextContents();
  return { sentence, replica, key, field, own, expected, told: told.map((text) => text.trim()) };
}
