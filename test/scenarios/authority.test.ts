import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { conflictKey, waitingSchema } from '@syncscope/protocol/conflict';
import { MemoryStorage, OfflineClient } from '@syncscope/protocol/offline';
import { seededRandom } from '@syncscope/protocol/ports';
import { reconcileOverHttp } from '@syncscope/protocol/sse';
import { recordKey, replicaId } from '@syncscope/protocol/state';
import { SCENARIOS } from '@syncscope/sample-server';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { cli, cliJson } from '../cli/cli.ts';
import { SESSION, ServerProcess, TOKEN } from '../durability/players.ts';
import { startNode } from '../support/processes.ts';
import { startSampleServer } from '../support/sample-server.ts';

/** The scenarios with an authority, as real processes: started, attached to, recorded, and looked into. */

const folder = mkdtempSync(join(tmpdir(), 'syncscope-scenarios-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

describe.each([
  ['adventure', []],
  ['adventure', ['--view', 'room']],
  ['board', []],
] as const)('%s %j', (scenario, args) => {
  test('is recorded by somebody who attaches, and its replicas agree', async () => {
    const server = await startSampleServer(['--scenario', scenario, '--seed', '7', ...args]);
    cleanups.push(() => server.program.stop());
    const file = join(folder, `${scenario}${args.length}.mcap`);
    const recorded = await cli(['record', '--url', server.url, '--token', server.token, '--seconds', '5', '-o', file]);
    expect(recorded.code).toBe(0);
    const { code, document } = await cliJson(['verify', file]);
    expect(document).toMatchObject({ status: 'agrees', missing: [] });
    expect(code).toBe(0);
  });
});

test('a view that a scenario does not have is refused', async () => {
  const program = startNode('sample-server/src/cli.ts', ['--scenario', 'board', '--view', 'room']);
  expect(await program.exited).toMatchObject({ code: 2, stderr: expect.stringContaining('VIEW_UNKNOWN') });
});

const plan = recordKey('note/plan');
const waiting = conflictKey(plan, 'text');

function device(server: ServerProcess, name: string): Promise<OfflineClient> {
  const { asPlayed } = SCENARIOS.board!;
  return OfflineClient.open({
    definition: asPlayed,
    storage: new MemoryStorage(),
    session: SESSION,
    device: replicaId(name),
    owner: name,
    clock: { now: () => Date.now() },
    random: seededRandom(1),
    connection: reconcileOverHttp({ url: `http://127.0.0.1:${server.port}`, token: TOKEN }),
  });
}

test('what waits for a human is on every device, survives the death of the server, and is decided by anybody', async () => {
  const server = await ServerProcess.start(['--scenario', 'board', '--log', join(folder, 'board.db')]);
  cleanups.push(() => server.kill());
  const [phone, tablet] = [await device(server, 'phone'), await device(server, 'tablet')];
  for (const one of [phone, tablet]) expect(await one.sync({ pull: true })).toBe('done');
  for (const one of [phone, tablet]) {
    await one.mutate({ command: 'edit', args: { key: plan, fields: { text: `of the ${one.device}` } } });
  }
  for (const one of [phone, tablet, phone]) expect(await one.sync({ pull: true })).toBe('done');
  expect(tablet.entry(1)).toMatchObject({ state: 'reconciled', conflicts: [{ policy: 'human', state: 'waiting' }] });
  expect(phone.local.hash).toBe(tablet.local.hash);
  const before = phone.local.get(waiting);

  await server.kill();
  await server.start();
  const other = await device(server, 'other');
  expect(await other.sync({ pull: true })).toBe('done');
  expect(other.local.get(waiting)).toEqual(before);
  const { sides } = waitingSchema.parse(other.local.get(waiting), waiting);
  const chosen = sides.find(({ writer }) => writer === 'tablet')!;
  await other.mutate({ command: 'decide', args: { conflict: waiting, chosen: `${chosen.writer}:${chosen.counter}` } });
  for (const one of [other, phone, tablet]) {
    one.wake();
    expect(await one.sync({ pull: true })).toBe('done');
    expect(one.committed.get(plan)).toMatchObject({ text: 'of the tablet' });
    expect(one.committed.get(waiting)).toMatchObject({ state: 'decided', by: 'other' });
  }
});

test('who is there is told to who shows the token', async () => {
  const server = await ServerProcess.start(['--scenario', 'board']);
  cleanups.push(() => server.kill());
  const ask = (token: string): Promise<Response> =>
    fetch(`http://127.0.0.1:${server.port}/sync/status`, { headers: { authorization: `Bearer ${token}` } });
  expect((await ask('wrong')).status).toBe(401);
  const phone = await device(server, 'phone');
  await phone.sync({ pull: true });
  const members = async (): Promise<unknown> => ((await (await ask(TOKEN)).json()) as { members: unknown }).members;
  await expect
    .poll(members, { timeout: 20_000 })
    .toMatchObject([{ replica: 'phone', device: 'phone', state: 'active', metadata: { way: 'reconcile' } }]);
});
