import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { isIn, unpacked } from '../../protocol-lib/src/capture/exchange/unpacked.test-helper.ts';
import { type RunningServer, startSampleServer } from '../support/sample-server.ts';
import { cli } from './cli.ts';

/** T18, by the whole way: a server that runs, a recording of it with its inputs, and the file that is passed on. */

const folder = mkdtempSync(join(tmpdir(), 'syncscope-secrets-'));
const env = { SYNCSCOPE_SESSIONS_DIR: join(folder, 'sessions') };
const TOKEN = 'a-token-of-clients-for-this-test-alone';
const SECRET = 'Great Hall';
let server: RunningServer | undefined;

afterEach(async () => {
  await server?.program.stop();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('a recording of a server that runs', () => {
  it('never has the token of its clients, and redacted nothing of what is secret, in any part of the file', async () => {
    server = await startSampleServer(['--bots', '4', '--seed', '3', '--view', 'room', '--token', TOKEN], env);
    const { url, token } = server;
    const [file, redacted] = [join(folder, 'live.mcap'), join(folder, 'redacted.mcap')];
    expect((await cli(['record', '--url', url, '--token', token, '--seconds', '3', '-o', file], env)).code).toBe(0);
    const before = unpacked(readFileSync(file));
    expect(before.includes('inputs= ')).toBe(true);
    expect(isIn(before, SECRET)).toBe(true);
    for (const one of [TOKEN, token]) expect(isIn(before, one)).toBe(false);
    expect((await cli(['redact', file, '--pattern', SECRET, '-o', redacted], env)).code).toBe(0);
    const after = unpacked(readFileSync(redacted));
    expect(isIn(after, SECRET)).toBe(false);
    expect(after.includes('inputs= ')).toBe(false);
    expect((await cli(['doctor', redacted], env)).code).toBe(0);
  });

  it('goes out as text as it was recorded, but not when nothing was redacted, unless that is done on the way', async () => {
    server = await startSampleServer(['--bots', '2', '--seed', '3'], env);
    const from = ['record', '--url', server.url, '--token', server.token, '--seconds', '2'];
    const [plain, open, ruled] = ['plain', 'open', 'ruled'].map((name) => join(folder, `${name}.mcap`)) as [
      string,
      string,
      string,
    ];
    const recorded = await Promise.all([
      cli([...from, '-o', plain], env),
      cli([...from, '--unredacted', '-o', open], env),
      cli([...from, '--redact-pattern', SECRET, '-o', ruled], env),
    ]);
    expect(recorded.map(({ code }) => code)).toEqual([0, 0, 0]);
    const exported = (file: string, ...more: string[]) => cli(['export', file, '--format', 'json', ...more], env);
    expect((await exported(plain)).stdout).toContain(SECRET);
    expect(await exported(open)).toMatchObject({ code: 2, stderr: expect.stringContaining('EXPORT_UNREDACTED') });
    const onTheWay = await exported(open, '--redact', '--pattern', SECRET);
    expect(onTheWay.code).toBe(0);
    expect(onTheWay.stdout).toMatch(/redacted-[0-9a-f]{12}/);
    expect(onTheWay.stdout).not.toContain(SECRET);
    const after = unpacked(readFileSync(ruled));
    expect(isIn(after, SECRET)).toBe(false);
    expect(after.includes('inputs= ')).toBe(false);
    for (const file of [plain, ruled]) expect((await cli(['verify', file], env)).code).toBe(0);
    expect(await cli(['replay', plain], env)).toMatchObject({ code: 0 });
  });

  it.each([
    ['a rule that is none', ['record', '--url', 'http://127.0.0.1:1', '--redact-path', 'email', '-o'], 'REDACT_RULE'],
    [
      'rules for nothing',
      ['record', '--url', 'http://127.0.0.1:1', '--redact-path', 'a.b', '--unredacted', '-o'],
      'REDACT_NOTHING',
    ],
    [
      'rules of an export that does not redact',
      ['export', 'x', '--format', 'csv', '--path', 'a.b', '-o'],
      'EXPORT_REDACT',
    ],
  ])('%s is refused before anything is written', async (_, args, code) => {
    const file = join(folder, 'refused.mcap');
    const exit = await cli([...args, file], env);
    expect(exit).toMatchObject({ code: 2, stderr: expect.stringContaining(code) });
    expect(existsSync(file)).toBe(false);
  });
});
