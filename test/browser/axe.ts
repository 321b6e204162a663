import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import type { Page } from 'playwright-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe finds, as rule and element. */
export async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() =>
    (window as unknown as { axe: { run(options: object): Promise<AxeResults> } }).axe.run({
      resultTypes: ['violations'],
    }),
  );
  // The Merkle tree is drawn in columns, of which an item's name makes a sentence.
  const isDrawn = (id: string, html: string): boolean => id === 'label-content-name-mismatch' && html.startsWith('<g ');
  return violations.flatMap(({ id, nodes }) =>
    nodes.filter(({ html }) => !isDrawn(id, html)).map(({ html }) => `${id}: ${html.slice(0, 160)}`),
  );
}
