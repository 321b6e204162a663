import { decodeEntry, type LogEntry } from '@syncscope/protocol/events';
import { seededRandom } from '@syncscope/protocol/ports';
import { openBus } from '@syncscope/sample-server/bus';
import { afterEach, describe, expect, test } from 'vitest';
import { type Broker, startNats, startRedis } from '../brokers/brokers.ts';
import { startNode } from '../support/processes.ts';
import { Player, SESSION, ServerProcess, until } from './players.ts';

/** Server processes that share a session over a real broker. */

/** Each step waits for a broker that syncs, on a machine that may have much else to do. */
const PATIENT = { timeout: 240_000 } as const;

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function world(start: () => Promise<Broker>, servers: number) {
  const broker = await start();
  cleanups.push(() => broker.close());
  const running: ServerProcess[] = [];
  for (let index = 0; index < servers; index++) {
    const server = await ServerProcess.start(['--bus', broker.url]);
    cleanups.push(() => server.kill());
    running.push(server);
  }
  const random = seededRandom(7);
  const players = ['ann', 'ben', 'cem', 'dot'].map((name, index) => {
    const player = new Player(name, running[index % servers]!.url, random);
    cleanups.push(() => player.close());
    return player;
  });
  return { broker, servers: running, players };
}

async function entriesOf(broker: Broker): Promise<LogEntry[]> {
  const bus = await openBus(broker.url);
  const entries = await bus.read(`adventure/${SESSION}`, 0, 1_000_000);
  await bus.close();
  return entries.map(({ bytes }) => decodeEntry(bytes));
}

/** Everything is answered, everyone has the same, and the log has each thing once. */
async function settle(broker: Broker, players: readonly Player[]): Promise<void> {
  for (const player of players) player.rest();
  await until(() => players.every(({ state }) => state.pending.length === 0));
  let entries = await entriesOf(broker);
  await until(async () => {
    entries = await entriesOf(broker);
    return players.every(({ state }) => state.version === entries.at(-1)?.version);
  });
  expect(players.map(({ state }) => state.committed.hash)).toEqual(players.map(() => entries.at(-1)?.root));
  for (const player of players) player.audit(entries);
}

async function more(players: readonly Player[], count: number): Promise<void> {
  const before = players.map(({ told }) => told.size);
  await until(() => players.every(({ told }, index) => told.size >= before[index]! + count));
}

describe.each([
  { name: 'Redis', start: () => startRedis() },
  { name: 'NATS', start: () => startNats() },
])('two servers that share a session over $name', PATIENT, ({ start }) => {
  test('serve it as one, and go on where one of them is killed: its clients resume on the other by deltas', async () => {
    const { broker, servers, players } = await world(start, 2);
    const [first, second] = servers as [ServerProcess, ServerProcess];
    for (const player of players) player.play();
    await more(players, 30);
    await first.kill();
    for (const player of [players[0]!, players[2]!]) await player.moveTo(second.url);
    await more(players, 30);
    await first.start();
    await players[1]!.moveTo(first.url);
    await more(players, 30);
    await settle(broker, players);
    expect(players.map(({ fullSyncs }) => fullSyncs)).toEqual([1, 1, 1, 1]);
  });

  test('say at the start what the broker is good for, and wait for one that is down where they are told to', async () => {
    const broker = await start();
    cleanups.push(() => broker.close());
    await broker.kill();
    const args = ['--bus', broker.url, '--session', 'later', '--bots', '0'];
    const refused = await startNode('sample-server/src/cli.ts', args).exited;
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('BUS_DOWN')]);
    const waiting = startNode('sample-server/src/cli.ts', [...args, '--wait', '30']);
    cleanups.push(() => waiting.stop('SIGKILL'));
    await waiting.printed(/trying again/);
    await broker.start();
    await waiting.printed(
      broker.name === 'redis' ? /survives {4}a crash of the machine/ : /any process, not of the machine/,
    );
  });
});

test.each([
  { name: 'Redis that syncs before it answers', start: () => startRedis() },
  { name: 'Redis that leaves syncing to the system', start: () => startRedis({ more: ['--appendfsync', 'no'] }) },
  { name: 'NATS', start: () => startNats() },
])('$name is killed again and again under load: servers say so, wait, and lose nothing', PATIENT, async ({ start }) => {
  const { broker, servers, players } = await world(start, 2);
  for (const player of players) player.play();
  expect((await servers[0]!.ready()).status).toBe(200);
  for (let kills = 0; kills < 2; kills++) {
    await more(players, 20);
    await broker.kill();
    await until(async () => (await servers[0]!.ready()).status === 503);
    expect((await servers[0]!.ready()).text).toContain('BUS_DOWN');
    await broker.start();
    await until(async () => (await servers[0]!.ready()).status === 200);
  }
  await more(players, 20);
  await settle(broker, players);
});

test('a broker that is not durable is refused where that is asked for', async () => {
  const broker = await startRedis({ appendonly: 'everysec' });
  cleanups.push(() => broker.close());
  const args = ['--bus', broker.url, '--session', 'durable', '--durable'];
  const { code, stderr } = await startNode('sample-server/src/cli.ts', args).exited;
  expect([code, stderr]).toEqual([2, expect.stringContaining('BUS_NOT_DURABLE')]);
});
