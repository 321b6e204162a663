import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startNats, startRedis } from '../brokers/brokers.ts';
import { cli, cliJson, startCli } from '../cli/cli.ts';
import { startSampleServer } from '../support/sample-server.ts';

/** Recordings of one of two real servers that share a session over a real broker. */

let folder = '';
const cleanups: (() => Promise<unknown>)[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'syncscope-shared-'));
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  rmSync(folder, { recursive: true, force: true });
});

describe.each([
  { name: 'Redis', start: () => startRedis({ appendonly: 'no' }) },
  { name: 'NATS', start: () => startNats() },
])('one of two servers of a session over $name', { timeout: 240_000 }, ({ start }) => {
  it('is run again to every record, with what the other has settled', async () => {
    const broker = await start();
    cleanups.push(() => broker.close());
    const env = { SYNCSCOPE_SESSIONS_DIR: join(folder, 'sessions') };
    const args = ['--bus', broker.url, '--session', 'shared', '--seed', '5', '--bots', '3', '--token', 'a'.repeat(40)];
    const [first, second] = [await startSampleServer(args, env), await startSampleServer(args, env)];
    cleanups.push(
      () => first.program.stop(),
      () => second.program.stop(),
    );
    const file = join(folder, 'shared.mcap');
    const { url, token } = first;
    const ofSecond = join(folder, 'second.mcap');
    const record = (one: { readonly url: string; readonly token: string }, to: string) =>
      startCli(['record', '--url', one.url, '--token', one.token, '--seconds', '6', '-o', to], env).exited;
    const recorded = await Promise.all([record({ url, token }, file), record(second, ofSecond)]);
    expect(recorded.map((one) => one.code)).toEqual([0, 0]);
    // Both servers are called alike, and decide the same mutations.
    const both = join(folder, 'both.mcap');
    const merge = await cliJson(['merge', file, ofSecond, '-o', both], env);
    expect(merge.document).toMatchObject({ twice: 0, renamed: [{ part: 1, from: 'server', to: 'server-2' }] });
    expect((await cliJson(['diagnose', both], env)).document).toMatchObject({ findings: [] });
    expect((await cliJson(['verify', both], env)).document).toMatchObject({ status: 'agrees' });
    const { code, document } = await cliJson(['replay', file], env);
    expect(document).toMatchObject({ status: 'equal', level: 'app' });
    expect(code).toBe(0);
    expect(document.replicas).toContain('server');
    expect(document.hashes).toBeGreaterThan(10);
    const { stdout } = await cli(['export', file, '--format', 'json', '--filter', 'kind:commit']);
    // What the other's bots did is settled here as well.
    const writers = [...stdout.matchAll(/"writer":"(bot-[^"]+)"/g)].flatMap(([, writer]) => writer ?? []);
    const own = document.replicas as readonly string[];
    expect(writers.filter((writer) => !own.includes(writer)).length).toBeGreaterThan(0);
    const sent = /"seq":(\d+)/.exec((await cli(['export', file, '--format', 'json', '--filter', 'kind:send'])).stdout);
    const branch = await cliJson(['whatif', file, '--at', sent?.[1] ?? '0', '--drop'], env);
    expect(branch.code).toBe(2);
    expect(branch.document).toMatchObject({ error: { code: 'BRANCH_SHARED' } });
  });
});
