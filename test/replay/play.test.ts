import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { memorySink } from '@syncscope/protocol/capture';
import { attach, recordSession } from '@syncscope/protocol/node';
import type { RunningServer, ServerOptions } from '@syncscope/sample-server';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { cli, cliJson, startCli } from '../cli/cli.ts';
import { startNode } from '../support/processes.ts';
import { type RuleChange, startHouse } from './house.ts';
import { playHouse, playText, stampTicket } from './players.ts';

/** Recorded clients played against servers that run. */

const folder = mkdtempSync(join(tmpdir(), 'syncscope-play-'));
const env = { SYNCSCOPE_SESSIONS_DIR: join(folder, 'sessions') };
const capture = join(folder, 'house.mcap');
const TOKEN = 'a token that everybody here knows';
const PLAYERS = ['ann', 'ben', 'cy'];
/** Several servers are started, one behind the other. */
const SEVERAL_SERVERS_MS = 180_000;
const running: RunningServer[] = [];

function optionsOf(options: ServerOptions): ServerOptions {
  return { scenario: 'adventure', bots: 0, idle: true, seed: 5, session: 'house', token: TOKEN, ...options };
}

async function start(options: ServerOptions = {}, change?: RuleChange): Promise<RunningServer> {
  const server = await startHouse(optionsOf(options), change);
  running.push(server);
  return server;
}

function played(url: string, ...more: readonly string[]) {
  return playedFrom(capture, url, ...more);
}

function playedFrom(file: string, url: string, ...more: readonly string[]) {
  return cliJson(['play', file, '--url', url, '--token', TOKEN, ...more], env);
}

/** What is played on a server while somebody records. */
async function record(file: string, { inspect }: RunningServer, play: () => Promise<unknown>): Promise<void> {
  const { url, token } = inspect;
  const sink = memorySink();
  const recording = recordSession(await attach({ url, token }), sink, { redaction: { paths: [], patterns: [] } });
  await play();
  await recording.stop();
  expect(await recording.done).toMatchObject({ dropped: 0, close: { kind: 'left' } });
  writeFileSync(file, sink.bytes());
}

/** Until somebody has changed something. */
async function untilPlayed(url: string): Promise<void> {
  const status = `${new URL(url.replace(/^ws/, 'http')).origin}/sync/status`;
  for (let version = 1; version < 3; ) {
    const answer = await fetch(status, { headers: { authorization: `Bearer ${TOKEN}` } });
    ({ version } = (await answer.json()) as { version: number });
  }
}

beforeAll(async () => {
  vi.stubEnv('SYNCSCOPE_SESSIONS_DIR', env.SYNCSCOPE_SESSIONS_DIR);
  const server = await start();
  await record(capture, server, () => playHouse(server.url, 'house', TOKEN, PLAYERS));
}, 60_000);

afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.close()));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('recorded clients against a live server', () => {
  it('are answered as they were by one of the same build and seed', async () => {
    const { url } = await start();
    const { code, document } = await played(url);
    expect(document).toMatchObject({ schema: 'syncscope/play@1', status: 'equal', undecided: 0 });
    expect(code).toBe(0);
    const clients = document.clients as { replica: string; intents: number; refused: number; hashes: number }[];
    expect(clients.map(({ replica }) => replica)).toEqual(PLAYERS);
    for (const { intents, refused, hashes } of clients) {
      expect(intents).toBeGreaterThan(8);
      expect(refused).toBeGreaterThan(0);
      expect(hashes).toBeGreaterThan(5);
    }
  });

  it(
    'are answered alike over event streams, and one after the other',
    async () => {
      const { url } = await start();
      const streams = new URL(url.replace(/^ws/, 'http')).origin;
      expect(await played(streams)).toMatchObject({ code: 0, document: { status: 'equal', order: 'seen' } });
      const other = await start();
      const { code, document } = await played(other.url, '--order', 'recorded');
      expect(document).toMatchObject({ status: 'equal', order: 'recorded', reordered: 0 });
      expect(code).toBe(0);
    },
    SEVERAL_SERVERS_MS,
  );

  it(
    'see what they saw where each sees a part of the state',
    async () => {
      const rooms = join(folder, 'rooms.mcap');
      const server = await start({ view: 'room' });
      await record(rooms, server, () => playHouse(server.url, 'house', TOKEN, PLAYERS));
      const same = await playedFrom(rooms, (await start({ view: 'room' })).url);
      expect(same).toMatchObject({ code: 0, document: { status: 'equal' } });
      expect(same.document.hashes).toBeGreaterThan(10);
      const { code, document } = await playedFrom(rooms, (await start({ view: 'room' }, 'tiring')).url);
      expect(code).toBe(1);
      expect(document.first).toMatchObject({ what: 'state', field: 'energy', key: expect.stringMatching(/^player\//) });
    },
    SEVERAL_SERVERS_MS,
  );

  it(
    'say in frames what they said in text',
    async () => {
      const texts = join(folder, 'texts.mcap');
      const server = await start();
      await record(texts, server, async () => {
        await playText(server.url, 'house', TOKEN, 'ann');
        // The recorder has had what came before by the time that somebody else has played.
        await playHouse(server.url, 'house', TOKEN, ['ben']);
      });
      const { code, document } = await playedFrom(texts, (await start()).url);
      expect(document).toMatchObject({ status: 'equal' });
      expect(document.clients).toContainEqual(expect.objectContaining({ replica: 'ann', accepted: 1, refused: 1 }));
      expect(code).toBe(0);
    },
    SEVERAL_SERVERS_MS,
  );

  it(
    'name records as the server names them now, in what they send and in what is compared',
    async () => {
      const tickets = join(folder, 'tickets.mcap');
      const server = await start({}, 'ticketed');
      await record(tickets, server, async () => {
        for (const name of PLAYERS) await stampTicket(server.url, 'house', TOKEN, name);
        await playHouse(server.url, 'house', TOKEN, ['zoe']);
      });
      const { code, document } = await playedFrom(tickets, (await start({}, 'ticketed')).url);
      expect(document).toMatchObject({ status: 'equal', ids: { unmapped: [] } });
      expect(code).toBe(0);
      const { mapped } = document.ids as { mapped: { recorded: string; live: string }[] };
      expect(mapped).toHaveLength(PLAYERS.length + 1);
      for (const { recorded, live } of mapped) expect(live).not.toBe(recorded);
      const clients = document.clients as { accepted: number; refused: number }[];
      for (const client of clients.slice(0, PLAYERS.length)) expect(client).toMatchObject({ accepted: 2, refused: 1 });
    },
    SEVERAL_SERVERS_MS,
  );

  it(
    'break connections that broke, and come back to what was done meanwhile',
    async () => {
      const broken = join(folder, 'broken.mcap');
      const server = await start();
      await record(broken, server, () => playHouse(server.url, 'house', TOKEN, PLAYERS, true));
      const { code, document } = await playedFrom(broken, (await start()).url);
      expect(document).toMatchObject({ status: 'equal', breaks: 3 });
      expect(code).toBe(0);
      const streams = new URL((await start()).url.replace(/^ws/, 'http')).origin;
      expect(await playedFrom(broken, streams)).toMatchObject({ code: 0, document: { status: 'equal', breaks: 3 } });
    },
    SEVERAL_SERVERS_MS,
  );

  it('name the first state that a server with another rule comes to', async () => {
    const { url } = await start({}, 'tiring');
    const { code, document } = await played(url);
    expect(code).toBe(1);
    const first = document.first as { seq: number; what: string; key: string; field: string; sentence: string };
    expect(first).toMatchObject({ what: 'state', field: 'energy', key: expect.stringMatching(/^player\//) });
    expect(first.sentence).toContain(`record ${first.seq}: `);
    const { document: state } = await cliJson(['replay', capture], env);
    expect(state).not.toHaveProperty('difference');
  });

  it('name the first answer that is another one', async () => {
    const { url } = await start({}, 'strict');
    const { code, document } = await played(url);
    expect(code).toBe(1);
    expect(document.first).toMatchObject({
      command: 'move',
      recorded: 'accepted',
      live: 'refused: the house is closed',
    });
    expect((await cli(['play', capture, '--url', url, '--token', TOKEN], env)).stdout).toContain('answers otherwise');
  });

  it(
    'say that a server began in another state',
    async () => {
      const { url } = await start({ seed: 6 });
      const other = await start({ session: 'used' });
      await playHouse(other.url, 'used', TOKEN, ['dora']);
      const { code, document } = await played(other.url);
      expect(code).toBe(1);
      expect(document.first).toMatchObject({ what: 'beginning', seq: expect.any(Number) });
      // What another seed begins with depends on the scenario; the play comes to an end either way.
      expect([0, 1]).toContain((await played(url)).code);
    },
    SEVERAL_SERVERS_MS,
  );

  it('go no faster than a speed, and one alone can be played', async () => {
    const { url } = await start();
    const { code, document } = await played(url, '--replica', 'ann', '--speed', '50');
    expect(code).toBe(document.status === 'equal' ? 0 : 1);
    expect((document.clients as { replica: string }[]).map(({ replica }) => replica)).toEqual(['ann']);
  });

  it('end with an error where the server dies', async () => {
    const program = startNode('test/replay/play-server.ts', [JSON.stringify(optionsOf({}))], env);
    const [line] = await program.printed(/\{.*\}/);
    const { url } = JSON.parse(line) as { url: string };
    const playing = startCli(
      ['play', capture, '--url', url, '--token', TOKEN, '--speed', '0.5', '--patience', '1', '--json'],
      env,
    );
    await untilPlayed(url);
    await program.stop('SIGKILL');
    const { code, stdout } = await playing.exited;
    expect(code).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'PLAY_LOST' } });
  });

  it('end with an error where they are not let in', async () => {
    const { url } = await start();
    const wrong = await cliJson(['play', capture, '--url', url, '--token', 'some other token'], env);
    expect(wrong).toMatchObject({ code: 2, document: { error: { code: 'PLAY_REFUSED' } } });
    const strange = await played(url, '--session', 'another');
    expect(strange).toMatchObject({ code: 2, document: { error: { code: 'PLAY_REFUSED' } } });
  });

  it('end with an error where nobody is there, or somebody else', async () => {
    expect(await played('nowhere')).toMatchObject({ code: 2, document: { error: { code: 'PLAY_URL_INVALID' } } });
    const board = await start({ scenario: 'board' });
    expect(await played(board.url)).toMatchObject({ code: 2, document: { error: { code: 'PLAY_SCENARIO' } } });
    await board.close();
    expect(await played(board.url)).toMatchObject({ code: 2, document: { error: { code: 'PLAY_UNREACHABLE' } } });
  });
});
