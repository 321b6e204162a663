import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCapture } from '@syncscope/protocol/capture';
import { fileSource } from '@syncscope/protocol/node';
import { afterAll, afterEach, expect, it } from 'vitest';
import { cli, cliJson } from '../cli/cli.ts';
import { type RunningServer, startSampleServer } from '../support/sample-server.ts';

/** Operations as the drivers of the sample server record them, in other orders over the library's own types. */

const folder = mkdtempSync(join(tmpdir(), 'syncscope-converge-'));
const env = { SYNCSCOPE_SESSIONS_DIR: join(folder, 'sessions') };
let server: RunningServer | undefined;

afterEach(async () => {
  await server?.program.stop();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('what people at the board typed, with and without a network, comes to one text in every order', async () => {
  server = await startSampleServer(['--scenario', 'board', '--bots', '4', '--seed', '5'], env);
  const file = join(folder, 'board.mcap');
  const { url, token } = server;
  expect((await cli(['record', '--url', url, '--token', token, '--seconds', '8', '-o', file], env)).code).toBe(0);
  const typed = new Map<string, number>();
  const source = await fileSource(file);
  for await (const { record } of (await openCapture(source)).trace()) {
    const { body, replica } = record;
    if (body.kind === 'operation' && body.origin === 'local' && body.data)
      typed.set(replica, (typed.get(replica) ?? 0) + 1);
  }
  await source.close();
  expect(typed.size).toBeGreaterThan(0);
  const { document: answer } = await cliJson(['converge', file, '--orders', '100']);
  expect(answer).toMatchObject({ status: 'converges', kind: 'operations' });
  // Bots that type now and then may have seen all that others had: then causes allow fewer orders, and all of them are run.
  if (answer.isEvery !== true) expect(answer.orders).toBe(100);
  // What was still waiting at the end of the recording is not settled.
  const made = [...typed.values()].reduce((sum, one) => sum + one, 0);
  expect(answer.operations).toBeGreaterThan(0);
  expect(answer.operations).toBeLessThanOrEqual(made);
  expect((await cliJson(['converge', file, '--kind', 'changes'])).document).toMatchObject({ kind: 'changes' });
});
