import { once } from 'node:events';
import { documentHash, parseMessage } from '@syncscope/protocol/messages';
import { replicaId } from '@syncscope/protocol/state';
import { afterEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { RunningServer } from './server.ts';
import { type Cleanups, running } from './testing.ts';
import { TEXT_PROTOCOL } from './websocket-text.ts';

const cleanups: Cleanups = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Somebody who speaks lines, as a person at a terminal does. */
class LineClient {
  readonly heard: string[] = [];
  readonly socket: WebSocket;

  constructor({ url }: RunningServer) {
    this.socket = new WebSocket(url, TEXT_PROTOCOL);
    this.socket.on('message', (data, isBinary) => {
      expect(isBinary).toBe(false);
      this.heard.push(data.toString());
    });
    cleanups.push(async () => this.socket.terminate());
  }

  say(...lines: string[]): void {
    this.socket.send(lines.map((line) => `${line}\n`).join(''));
  }

  /** The first message with this keyword, and takes it and those before it away. */
  async hears(keyword: string): Promise<string> {
    const find = (): number => this.heard.findIndex((text) => text.split('\n')[1]?.startsWith(`${keyword}:`));
    await expect.poll(find).toBeGreaterThanOrEqual(0);
    return this.heard.splice(0, find() + 1).at(-1)!;
  }
}

async function joined(): Promise<{ server: RunningServer; client: LineClient; snapshot: string }> {
  const server = await running(cleanups, { bots: 0, seed: 1 });
  const client = new LineClient(server);
  await once(client.socket, 'open');
  const { session, token } = server;
  const hello = { session, replica: 'ada', token, features: ['events'], next: 1 };
  client.say(`HELLO:1:1:${JSON.stringify(hello)}`);
  await client.hears('WELCOME');
  return { server, client, snapshot: await client.hears('SNAPSHOT') };
}

test('a client that speaks lines gets the session as text: snapshot, command, delta, refusal, request', async () => {
  const { server, client, snapshot } = await joined();
  expect(client.socket.protocol).toBe(TEXT_PROTOCOL);
  const full = parseMessage(snapshot);
  if (full.type !== 'FULL_SYNC') throw new Error(`a ${full.type} came`);
  expect(snapshot).toContain(`\nHASH31:${documentHash(full.records, full.version)}\n`);
  expect(snapshot).toContain('\nITEM:lantern::kitchen:');
  client.say(`ACK:${full.version}:${full.root}:${full.progress}`);

  client.say('CMD:join:1:{}');
  expect(await client.hears('EVENT')).toContain('EVENT:PLAYER_JOINED:ada:');
  const delta = await client.hears('DELTA');
  expect(delta).toContain('\nPLAYER:ada:great_hall:100:100');
  expect(delta).toContain('\nSEEN:ada:1\n');
  expect(delta).toContain(`\nHASH:${server.manager.root.hash}\n`);
  const { to, root, progress } = parseMessage(delta) as { to: number; root: string; progress: number } & object;
  client.say(`ACK:${to}:${root}:${progress}`);
  await expect.poll(() => server.manager.clients[0]?.version).toBe(to);

  client.say('CMD:move:2:{"to":"the moon"}');
  expect(await client.hears('REJECT')).toMatch(/\nREJECT:2:[^\n]+:2\n$/);

  client.say(`SYNC_REQUEST:${to}:0000000000000000`);
  const again = await client.hears('SNAPSHOT');
  expect(again).toContain('\nPLAYER:ada:great_hall:100:100');
  expect(again).toContain('\nREFUSED:ada:2:');
  expect(server.manager.stats).toMatchObject({ refused: 0, mismatches: 1 });
});

test('a frame that comes again by its number is passed over', async () => {
  const { server, client } = await joined();
  client.say('FROM:ada:5', 'CMD:join:1:{}');
  await client.hears('DELTA');
  client.say('FROM:ada:5', 'CMD:rest:2:{}');
  client.say('FROM:ada:6', 'CMD:move:2:{"to":"kitchen"}');
  await client.hears('DELTA');
  expect(server.manager.receipt({ writer: replicaId('ada'), counter: 2 })?.command).toBe('move');
});

test.each([
  ['no line', 'nothing', 'TEXT_TRUNCATED'],
  ['half a command', 'CMD:join\n', 'TEXT_SYNTAX'],
  ['a value nested too deep', `CMD:join:1:${'['.repeat(100)}${']'.repeat(100)}\n`, 'LIMIT_DEPTH'],
])('what cannot be read is refused with its place: %s', async (_, text, code) => {
  const { server, client } = await joined();
  const version = server.manager.version;
  const closed = once(client.socket, 'close');
  client.socket.send(text);
  expect(await client.hears('ERROR')).toMatch(new RegExp(`^FROM:gateway:1\nERROR:${code}:.*line 1`));
  await closed;
  expect(server.manager.version).toBe(version);
});

test('a message of a later version is passed over; another who speaks, or nobody, is refused by the authority', async () => {
  const { server, client } = await joined();
  client.say('LATER:1:2');
  client.say('CMD:join:1:{}');
  await client.hears('DELTA');
  client.say('FROM:ben:9', 'CMD:rest:2:{}');
  expect(await client.hears('ERROR')).toContain('ERROR:SENDER_MISMATCH:');
  const stranger = new LineClient(server);
  await once(stranger.socket, 'open');
  stranger.say('CMD:join:1:{}');
  expect(await stranger.hears('ERROR')).toContain('ERROR:HELLO_MISSING:');
});

test('versions that do not meet are answered with what is spoken here', async () => {
  const server = await running(cleanups, { bots: 0, seed: 1 });
  const client = new LineClient(server);
  await once(client.socket, 'open');
  client.say('HELLO:900:901:{}');
  expect(await client.hears('UPGRADE_REQUIRED')).toMatch(/\nUPGRADE_REQUIRED:1:1:/);
});
