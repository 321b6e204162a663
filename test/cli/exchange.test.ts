import { copyFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { root } from '../support/processes.ts';
import { cli, cliJson } from './cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'syncscope-exchange-'));
const path = (name: string): string => join(folder, name);
/** A recorded session of four bots in which one copy drifted. */
const sample = join(root, 'extension/media/sample.mcap');

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('a recorded session', () => {
  it('is well, and is written anew whole by recover', async () => {
    const { document, code } = await cliJson(['doctor', sample]);
    expect([code, document]).toEqual([0, expect.objectContaining({ schema: 'syncscope/doctor@1' })]);
    const recovered = await cliJson(['recover', sample, '-o', path('recovered.mcap')]);
    expect([recovered.code, recovered.document]).toEqual([0, expect.objectContaining({ lost: [], why: [] })]);
  });

  it('cut short is recovered up to there, and says so', async () => {
    const cut = path('cut.mcap');
    copyFileSync(sample, cut);
    truncateSync(cut, 40_000);
    expect((await cli(['doctor', cut])).code).toBe(3);
    const { document, code } = await cliJson(['recover', cut, '-o', path('rest.mcap')]);
    expect(code).toBe(3);
    expect(document.kept).toBeGreaterThan(100);
    expect((await cli(['doctor', path('rest.mcap')])).stdout).not.toContain('not whole');
  });

  it('redacted tells of the same divergence, and only then goes out as text', async () => {
    expect(await cli(['export', sample, '--format', 'csv'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('EXPORT_UNREDACTED'),
    });
    const redacted = path('redacted.mcap');
    expect((await cli(['redact', sample, '--pattern', 'Great Hall', '-o', redacted])).code).toBe(0);
    const [before, after] = [await cliJson(['verify', sample]), await cliJson(['verify', redacted])];
    expect(after.code).toBe(1);
    expect(after.document.divergence).toMatchObject({
      replica: (before.document.divergence as { replica: string }).replica,
    });
    const { stdout } = await cli(['export', redacted, '--format', 'json']);
    expect(stdout).not.toContain('Great Hall');
    expect(stdout.split('\n').length).toBeGreaterThan(1_000);
  });

  it('goes out as a ShiViz log and an HTTP archive, and comes back from both', async () => {
    for (const format of ['shiviz', 'har']) {
      const [text, back] = [path(`sample.${format}`), path(`${format}.mcap`)];
      expect((await cli(['export', sample, '--format', format, '--unredacted', '-o', text])).code).toBe(0);
      const { document, code } = await cliJson(['import', text, '--format', format, '-o', back]);
      expect(code).toBe(0);
      expect(document.records).toBeGreaterThan(500);
      expect((await cli(['info', back])).code).toBe(0);
    }
  });

  it('filtered still tells of the divergence', async () => {
    const filtered = path('filtered.mcap');
    const { document } = await cliJson(['filter', sample, 'who:bot-2', '-o', filtered]);
    expect(document.left).toBeGreaterThan(100);
    expect((await cli(['verify', filtered])).code).toBe(1);
  });
});

describe('what cannot be', () => {
  it.each([
    ['writing over what is read', () => ['filter', path('own.mcap'), 'x', '-o', path('own.mcap')], 'OUTPUT_IS_INPUT'],
    ['a filter that is none', () => ['filter', sample, 'colour:red', '-o', path('a.mcap')], 'FILTER_SYNTAX'],
    ['a rule that is none', () => ['redact', sample, '--path', 'email', '-o', path('b.mcap')], 'REDACT_RULE'],
    [
      'an archive that is none',
      () => ['import', path('no.har'), '--format', 'har', '-o', path('c.mcap')],
      'IMPORT_INVALID',
    ],
    [
      'a file that is not there',
      () => ['import', path('none'), '--format', 'har', '-o', path('d.mcap')],
      'FILE_UNREADABLE',
    ],
    [
      'an export over a file',
      () => ['export', sample, '--format', 'csv', '--unredacted', '-o', path('no.har')],
      'OUTPUT_EXISTS',
    ],
  ])('%s is refused', async (_, args, code) => {
    copyFileSync(sample, path('own.mcap'));
    writeFileSync(path('no.har'), 'no archive');
    const result = await cli(args());
    expect(result).toMatchObject({ code: 2, stderr: expect.stringContaining(code) });
    expect(readFileSync(path('own.mcap')).equals(readFileSync(sample))).toBe(true);
  });
});
