import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monotonicClock, SyncClient } from '@syncscope/protocol/node';
import { replicaId } from '@syncscope/protocol/state';
import { ClientState } from '@syncscope/protocol/sync';
import { afterEach, expect, test } from 'vitest';
import { type Cleanups, connect, startGateway } from './gateway-testing.ts';
import { adventureAsPlayed } from './scenarios/adventure.ts';

const cleanups: Cleanups = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const TOKEN = 'a token for draining';
/** What is refused here changes nothing, and the next in turn is tried. */
const TURNS = [
  ['join', {}],
  ['move', { to: 'kitchen' }],
  ['rest', {}],
  ['move', { to: 'great_hall' }],
  ['rest', {}],
] as const;
const program = join(import.meta.dirname, 'cli.ts');

/** The real program on a port and a log of its own. */
async function start(folder: string, port: string) {
  const args = ['--bots', '0', '--seed', '7', '--token', TOKEN, '--log', join(folder, 'session.log'), '--port', port];
  const child = spawn(process.execPath, [program, ...args], {
    env: { ...process.env, SYNCSCOPE_SESSIONS_DIR: folder },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  cleanups.push(() => child.kill('SIGKILL'));
  let out = '';
  await new Promise<void>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`ended early (${code}): ${out}`)));
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
      if (out.includes('Ctrl-C')) resolve();
    });
  });
  const [, session = ''] = /Session (\S+),/.exec(out) ?? [];
  const [, host = ''] = /ws:\/\/([^/]+)\/sync/.exec(out) ?? [];
  return { child, session, host };
}

/** Somebody who never rests, and remembers what was settled. */
function player(host: string, session: string, name: string, transport: 'websocket' | 'sse') {
  const state = new ClientState({ definition: adventureAsPlayed, replica: replicaId(name), session, token: TOKEN });
  const url = transport === 'websocket' ? `ws://${host}/sync` : `http://${host}`;
  const client = new SyncClient({ url, state, clock: monotonicClock, token: TOKEN });
  const seen = { settled: 0, welcomes: [] as boolean[], reconnect: undefined as number | undefined };
  state.on((event) => {
    if (event.type === 'confirmed' || event.type === 'rejected') {
      seen.settled = Math.max(seen.settled, event.mutation.counter);
    }
    if (event.type === 'welcomed') seen.welcomes.push(event.resumed);
    if (event.type === 'ended') seen.reconnect = event.reconnect ?? seen.reconnect;
  });
  let turn = 0;
  const playing = setInterval(() => {
    if (state.phase !== 'live' || state.version === 0 || state.pending.length > 20) return;
    const [command, args] = TURNS[turn++ % TURNS.length]!;
    client.predict(command, args);
  }, 10);
  const stop = (): void => clearInterval(playing);
  cleanups.push(async () => {
    stop();
    await client.close('done');
  });
  return { state, seen, stop };
}

test('a server under load that gets SIGTERM loses nothing that was acknowledged, and its clients go on with the next', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'syncscope-drain-'));
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  const first = await start(folder, '0');
  const players = Array.from({ length: 8 }, (_, number) =>
    player(first.host, first.session, `player-${number}`, number % 2 ? 'sse' : 'websocket'),
  );
  await expect.poll(() => players.every(({ seen }) => seen.settled >= 10), { timeout: 20_000 }).toBe(true);
  const exited = once(first.child, 'exit');
  first.child.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);
  const settled = players.map(({ seen }) => seen.settled);
  expect(players.map(({ seen }) => seen.reconnect)).toEqual(players.map(() => 1e9));

  const [, port = ''] = first.host.split(':');
  const second = await start(folder, port);

  expect(second.session).toBe(first.session);
  await expect
    .poll(() => players.every(({ seen }, index) => seen.settled > settled[index]! + 5), { timeout: 20_000 })
    .toBe(true);
  for (const { stop } of players) stop();
  await expect.poll(() => players.reduce((sum, { state }) => sum + state.pending.length, 0)).toBe(0);
  await expect.poll(() => new Set(players.map(({ state }) => state.committed.hash)).size).toBe(1);
  // Each of its mutations is settled once: the vector counts as far as the player has counted, and no further.
  for (const { state, seen } of players) expect(state.vector.get(state.replica)).toBe(seen.settled);
}, 60_000);

test('while draining nobody new is let in, and nothing new is decided', async () => {
  const gateway = await startGateway(cleanups);
  const anna = connect(cleanups, gateway, 'websocket', 'anna');
  await anna.synced;
  anna.predict('decided');
  await expect.poll(() => gateway.manager.version).toBe(2);
  const drained = gateway.gateway.drain('moving', { patience: 2_000, reconnect: 500 });
  anna.predict('not decided');
  const answers = await Promise.all(
    ['/readyz', '/sync/events', '/healthz'].map((path) =>
      fetch(`http://${gateway.host}${path}`).then(
        ({ status }) => status,
        () => 0,
      ),
    ),
  );
  // Closing comes soon after, and whoever asks too late finds nobody.
  for (const [index, status] of [503, 503, 200].entries()) expect([status, 0]).toContain(answers[index]);
  expect(await drained).toBe(true);
  expect(await anna.closed).toBe('moving');
  expect(anna.errors).toEqual(['BYE']);
  expect([gateway.manager.version, anna.state.version]).toEqual([2, 2]);
  expect(anna.state.pending.map(({ args }) => args)).toEqual(['not decided']);
});
