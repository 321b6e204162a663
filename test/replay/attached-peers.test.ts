import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCapture } from '@syncscope/protocol/capture';
import { fileSource } from '@syncscope/protocol/node';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { cli, cliJson } from '../cli/cli.ts';
import { type RunningServer, startSampleServer } from '../support/sample-server.ts';

/** Recordings of peers that ran already when somebody attached, run again by the command without anything but the file. */

const folder = mkdtempSync(join(tmpdir(), 'syncscope-attached-peers-'));
const env = { SYNCSCOPE_SESSIONS_DIR: join(folder, 'sessions') };
let server: RunningServer | undefined;

afterEach(async () => {
  await server?.program.stop();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Records a scenario of peers from its middle on, while one of them crashes and another one's copy is changed. */
async function recorded(scenario: string): Promise<string> {
  const faults = ['loss:3%', 'crash:peer-2@3s+400ms', 'corrupt:peer-3@4s'];
  const args = ['--scenario', scenario, '--seed', '5', ...faults.flatMap((fault) => ['--fault', fault])];
  server = await startSampleServer(args, env);
  const file = join(folder, `${scenario}.mcap`);
  const { url, token } = server;
  const { code, stderr } = await cli(['record', '--url', url, '--token', token, '--seconds', '5', '-o', file], env);
  expect(stderr).not.toContain('early');
  expect(code).toBe(0);
  return file;
}

/** A frame that this peer got in the middle of a recording. */
async function someReceipt(file: string, peer: string): Promise<number> {
  const source = await fileSource(file);
  try {
    const capture = await openCapture(source);
    const { rows } = await capture.rows(`kind:receive who:${peer}`, 0, 500);
    return (await capture.record(rows[rows.length >> 1]?.position ?? 0)).record.seq;
  } finally {
    await source.close();
  }
}

/** Runs a capture again: every record comes out again, but those of a peer that could not say where it stood for all that time, such as one whose copy is being mended. */
async function replayed(file: string): Promise<Record<string, unknown>> {
  const { code, document } = await cliJson(['replay', file], env);
  expect(document.difference).toBeUndefined();
  expect(document.level).toBe('app');
  const reasons = (document.leftOut as readonly { readonly why: string }[]).map(({ why }) => why);
  expect(['before', 'behind', 'elsewhere', 'no-standing']).toEqual(expect.arrayContaining(reasons));
  const isWhole = !reasons.includes('no-standing');
  expect([document.status, code]).toEqual(isWhole ? ['equal', 0] : ['partial', 3]);
  return document;
}

describe('a recording of peers that ran already', { timeout: 60_000 }, () => {
  it.each([
    ['craps', 5],
    ['call', 4],
  ])('of %s is run again to every record, and can be branched', async (scenario, peers) => {
    const file = await recorded(scenario);
    const document = await replayed(file);
    expect((document.replicas as readonly string[]).length).toBeGreaterThanOrEqual(peers - 1);
    expect(document.hashes).toBeGreaterThan(20);
    const branch = join(folder, `${scenario}-branch.mcap`);
    // Who could not say where it stood is not run, and what it got cannot be edited.
    const [peer = ''] = document.replicas as readonly string[];
    const at = String(await someReceipt(file, peer));
    const edited = await cliJson(['whatif', file, '--at', at, '--drop', '-o', branch], env);
    expect({ code: edited.code, stderr: edited.stderr }).toMatchObject({ code: 0 });
    expect(edited.document.isEqual).toBe(false);
    await replayed(branch);
  });
});
