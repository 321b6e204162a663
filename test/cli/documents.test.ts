import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startSampleServer } from '../support/sample-server.ts';
import { cli, cliJson, type Document, firstPart } from './cli.ts';

/** What the pages of the command line say of documents, exit codes and files, held against the command. */

const folder = mkdtempSync(join(tmpdir(), 'syncscope-documents-'));
const env = { SYNCSCOPE_SESSIONS_DIR: join(folder, 'sessions') };
const capture = join(folder, 'session.mcap');
const cut = join(folder, 'cut.mcap');
const log = join(folder, 'log.txt');
const path = (name: string): string => join(folder, name);

beforeAll(async () => {
  const server = await startSampleServer(['--seed', '3', '--bots', '3'], env);
  const args = ['record', '--url', server.url, '--token', server.token, '--seconds', '4', '-o', capture];
  expect((await cli(args, env)).code).toBe(0);
  await server.program.stop('SIGTERM');
  writeFileSync(cut, firstPart(capture, 0.6));
  writeFileSync(log, 'ann {"ann":1}\nsaid hello\nben {"ann":1,"ben":1}\nheard it\n');
}, 120_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Row {
  readonly verb: string;
  readonly fields: readonly { readonly name: string; readonly isOptional: boolean }[];
}

/** The rows of a page whose column says the fields of a document; what stands in brackets is of a field. */
function rowsOf(page: string, column: number): Row[] {
  const text = readFileSync(new URL(`../../docs/${page}`, import.meta.url), 'utf8');
  return text.split('\n').flatMap((line) => {
    const cells = line.split(' | ');
    const verb = /^\| `(\w+)`$/.exec(cells[0] ?? '')?.[1];
    const told = cells[column];
    if (verb === undefined || told === undefined) return [];
    const own = withoutBrackets(told).split(';')[0] ?? '';
    const names = [...own.matchAll(/`(\w+)(\??)`/g)];
    return [{ verb, fields: names.map(([, name = '', mark]) => ({ name, isOptional: mark === '?' })) }];
  });
}

function withoutBrackets(text: string): string {
  let depth = 0;
  return [...text]
    .filter((char) => {
      if (char === '(') depth++;
      const isOutside = depth === 0;
      if (char === ')') depth--;
      return isOutside;
    })
    .join('');
}

const COMMON = rowsOf('command-line.md', 2);
const REPLAY = rowsOf('replay.md', 2);

function expectFields(verb: string, { schema, ...document }: Document, rows = COMMON): void {
  expect(schema).toBe(`syncscope/${verb}@1`);
  const row = rows.find((one) => one.verb === verb);
  const known = (row?.fields ?? []).map(({ name }) => name);
  for (const name of Object.keys(document)) expect(['file', ...known], `${verb}.${name}`).toContain(name);
  for (const { name, isOptional } of row?.fields ?? []) {
    if (!isOptional) expect(document, `${verb}.${name}`).toHaveProperty(name);
  }
}

describe('documents have the fields of their page, and nothing else', () => {
  it.each([
    ['sessions', [], 0],
    ['info', [capture], 0],
    ['state', [capture, '--replica', 'server'], 0],
    ['diff', [capture, '--left', 'server', '--right', 'bot-1'], 0],
    ['verify', [cut], 3],
    ['diagnose', [capture], 0],
    ['diagnose', [cut], 3],
    ['export', [capture, '--unredacted', '--format', 'har', '-o', path('exported.har')], 0],
    ['doctor', [cut], 3],
    ['recover', [cut, '-o', path('recovered.mcap')], 3],
    ['filter', [capture, 'kind:commit', '-o', path('filtered.mcap')], 0],
    ['redact', [capture, '-o', path('redacted.mcap')], 0],
    ['merge', [capture, '-o', path('merged.mcap')], 0],
    ['import', [log, '--format', 'shiviz', '-o', path('imported.mcap')], 0],
  ] as const)('%s', async (verb, args, expected) => {
    const { code, document, stderr } = await cliJson([verb, ...args], env);
    expect(stderr).toBe('');
    expect(code).toBe(expected);
    expectFields(verb, document);
  });

  it.each([
    ['replay', [capture]],
    ['blame', [capture, 'player/bot-1.energy']],
    ['compare', [capture, capture]],
    ['converge', [capture, '--orders', '3']],
    ['shrink', [capture, '-o', path('shrunk')]],
  ] as const)('%s', async (verb, args) => {
    const { code, document } = await cliJson([verb, ...args], env);
    expect([0, 1, 3]).toContain(code);
    if (verb === 'shrink') expect(document).toEqual({ schema: 'syncscope/shrink@1', file: capture, finding: null });
    else expectFields(verb, document, REPLAY);
  });
});

describe('what cannot be done', () => {
  it.each([
    ['an unknown verb', ['nonsense']],
    ['a verb without its file', ['verify']],
    ['an unknown option', ['info', capture, '--nonsense']],
    ['an option without its value', ['state', capture]],
    ['a number that is none', ['replay', capture, '--from', '-1']],
    ['a count of none', ['converge', capture, '--orders', '0']],
    ['the finding before the first', ['shrink', capture, '-o', path('none'), '--finding', '0']],
    ['a choice that there is not', ['play', capture, '--url', 'ws://127.0.0.1:1', '--token', 'x', '--order', 'any']],
  ])('%s is told as USAGE, with help on standard error', async (_, args) => {
    const { code, document, stderr } = await cliJson(args, env);
    expect(document).toMatchObject({ schema: 'syncscope/error@1', error: { code: 'USAGE' } });
    expect(stderr).toContain('syncscope --help');
    expect(code).toBe(2);
  });

  it.each([
    ['filter', [capture, 'kind = (', '-o']],
    ['import', [capture, '--format', 'shiviz', '-o']],
    ['merge', [capture, join(folder, 'missing.mcap'), '-o']],
    ['redact', [capture, '--pattern', '(', '-o']],
    ['recover', [join(folder, 'log.txt'), '-o']],
    ['whatif', [capture, '--at', '1', '--drop', '-o']],
    ['import', [folder, '--format', 'har', '-o']],
    ['export', [capture, '--unredacted', '--format', 'json', '--filter', 'kind = (', '-o']],
  ] as const)('%s leaves what is there, and makes nothing', async (verb, args) => {
    const there = path(`${verb}-there.mcap`);
    if (verb !== 'export') copyFileSync(log, there);
    const before = readdirSync(folder).sort();
    const { code, stderr } = await cli([verb, ...args, there], env);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^[A-Z_]+: /);
    expect(readdirSync(folder).sort()).toEqual(before);
    if (verb !== 'export') expect(readFileSync(there, 'utf8')).toBe(readFileSync(log, 'utf8'));
  });

  it('is that a branch takes the place of its recording, or is written where no file can be', async () => {
    const bytes = readFileSync(capture);
    const row = await cli(['export', capture, '--format', 'json', '--filter', 'kind:send', '--unredacted'], env);
    const seq = /"seq":(\d+)/.exec(row.stdout)?.[1] ?? '';
    for (const output of [capture, folder, join(folder, 'none', 'branch.mcap')]) {
      const { code, document } = await cliJson(['whatif', capture, '--at', seq, '--duplicate', '-o', output], env);
      expect(['OUTPUT_IS_INPUT', 'FILE_UNWRITABLE']).toContain((document.error as { code: string }).code);
      expect(code).toBe(2);
    }
    expect(readFileSync(capture).equals(bytes)).toBe(true);
  });
});

it('an answer that cannot be written is told, without a word of our own code', async () => {
  const program = [process.execPath, new URL('../../webview/host/cli.ts', import.meta.url).pathname];
  const command = [...program, 'export', capture, '--format', 'json', '--unredacted'];
  const { status, stderr } = spawnSync('sh', ['-c', '"$@" > /dev/full', 'sh', ...command], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  expect(stderr).toMatch(/^OUTPUT_FAILED: [^\n]*ENOSPC[^\n]*\n$/);
  expect(status).toBe(2);
});

it('every verb is in the table of its page, and every page that is named is there', async () => {
  const { stdout } = await cli(['--help'], env);
  const verbs = [...stdout.matchAll(/^ {2}([a-z]+) /gm)].map(([, verb]) => verb).filter((verb) => verb !== 'help');
  expect(COMMON.map(({ verb }) => verb).sort()).toEqual(verbs.sort());
  const docs = new URL('../../docs/', import.meta.url);
  const text = readFileSync(new URL('command-line.md', docs), 'utf8');
  for (const [, page = ''] of text.matchAll(/\]\((\w[\w-]*\.md)/g)) expect(readdirSync(docs)).toContain(page);
});
