import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { cliJson, startCli } from '../cli/cli.ts';
import { type RunningServer, startSampleServer } from '../support/sample-server.ts';

/** However a recording by the real command ends, the real server has handed it all that was done up to then. */

const folder = mkdtempSync(join(tmpdir(), 'syncscope-ended-'));
const env = { SYNCSCOPE_SESSIONS_DIR: join(folder, 'sessions') };
let server: RunningServer | undefined;

afterEach(async () => {
  await server?.program.stop();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Records a scenario until `end`, in the middle of what its players do. */
async function recordedUntil(
  scenario: string,
  name: string,
  end: 'Ctrl-C' | 'its seconds' | 'the session',
): Promise<string> {
  server = await startSampleServer(['--scenario', scenario, '--seed', '5'], env);
  const file = join(folder, `${name}.mcap`);
  const seconds = end === 'its seconds' ? ['--seconds', '2'] : [];
  const program = startCli(['record', '--url', server.url, '--token', server.token, '-o', file, ...seconds], env);
  await program.printed(/recording/);
  if (end !== 'its seconds') {
    await expect.poll(() => statSync(file).size, { timeout: 30_000 }).toBeGreaterThan(40_000);
    if (end === 'Ctrl-C') program.stop('SIGINT');
    else await server.program.stop();
  }
  const { code, stderr } = await program.exited;
  expect(stderr).not.toContain('early');
  expect(code).toBe(0);
  return file;
}

describe('a recording that is ended by', { timeout: 60_000 }, () => {
  it.each([
    ['Ctrl-C', 'adventure'],
    ['its seconds', 'adventure'],
    ['the session', 'board'],
    ['Ctrl-C', 'call'],
  ] as const)('%s, of the %s, has every input up to its last record', async (end, scenario) => {
    const file = await recordedUntil(scenario, `${scenario}-${end.replaceAll(' ', '-')}`, end);
    const { document } = await cliJson(['replay', file], env);
    expect(document.difference).toBeUndefined();
    const reasons = (document.leftOut as readonly { readonly why: string; readonly sentence: string }[]).filter(
      ({ why }) => why === 'behind',
    );
    expect(reasons).toEqual([]);
    expect(document.hashes).toBeGreaterThan(2);
  });
});
