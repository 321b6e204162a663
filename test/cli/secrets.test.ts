import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
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
});
