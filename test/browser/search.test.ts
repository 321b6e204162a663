import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CaptureWriter, decodeTraceRecord } from '@syncscope/protocol/capture';
import { fileSink } from '@syncscope/protocol/node';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { header, sessionRecords } from '../bench/capture-parts/session.ts';
import { startCli } from '../cli/cli.ts';
import { launchChromium, openPage } from '../support/browser.ts';
import type { Program } from '../support/processes.ts';
import { Inspector } from './inspector.ts';

/** Enough that the file is opened by its index and read by ranges, at once, in the page's worker. */
const RECORDS = 60_000;
let browser: Browser;
let host: Program;
let folder: string;
let applied = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'syncscope-search-'));
  const path = join(folder, 'long.mcap');
  const writer = new CaptureWriter(await fileSink(path), header);
  for (const record of sessionRecords(RECORDS)) {
    writer.append(record);
    if (decodeTraceRecord(record).body.kind === 'apply') applied++;
  }
  await writer.end();
  browser = await launchChromium();
  host = startCli(['inspect', path]);
});
afterAll(async () => {
  await browser.close();
  await host.stop();
  await rm(folder, { recursive: true });
});

it('shows what passes a filter at once and counts on, and ends a search with its filter', async () => {
  const [url] = await host.printed(/http:\/\/127\.0\.0\.1:\d+\/#\S+/);
  const { page, problems, close } = await openPage(browser);
  const inspector = new Inspector(page);
  await inspector.open(url);
  const grid = page.getByRole('grid', { name: 'Records' });
  const counted = (rows: number) =>
    page.waitForFunction(
      (wanted) => document.querySelector('.stream')?.getAttribute('aria-rowcount') === wanted,
      String(rows + 1),
    );
  await counted(RECORDS);

  await inspector.filter('kind:apply "applied"');
  await counted(applied);
  await grid.getByRole('progressbar', { name: 'Searching' }).waitFor({ state: 'detached' });
  await grid
    .getByText(/applied \d+→\d+, 2 changes/)
    .first()
    .waitFor();

  await inspector.filter('"never said by anybody"');
  await grid.getByText('No record passes the filter').waitFor();
  // A search that is left for another one before it has come to its end.
  await inspector.filter('"nor this"');
  await inspector.filter('kind:apply');
  await counted(applied);
  await inspector.filter('');
  await counted(RECORDS);
  await inspector.rows.first().waitFor();
  expect(problems).toEqual([]);
  await close();
});
