import { readdir } from 'node:fs/promises';
import { verifyCapture } from '@syncscope/protocol/diagnose';
import { attach, monotonicClock, SyncClient } from '@syncscope/protocol/node';
import { replicaId } from '@syncscope/protocol/state';
import type { TraceBodyOf, TraceKind, TraceRecord } from '@syncscope/protocol/trace';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { parseFaults } from './faults/specs.ts';
import { CLIENT_FRAME_MAX } from './gateway-websocket.ts';
import { startServer } from './server.ts';
import { type Cleanups, clientState, running, temporaryFolder, untilEnded, Watcher } from './testing.ts';

const cleanups: Cleanups = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

const bot1 = replicaId('bot-1');
const bot2 = replicaId('bot-2');

function is<K extends TraceKind>(kind: K, replica?: string) {
  return (record: TraceRecord): record is TraceRecord & { readonly body: TraceBodyOf<K> } =>
    record.body.kind === kind && (replica === undefined || record.replica === replica);
}

/** Waits until every bot has its own copy equal to the authority's at some version from `version` on. */
async function agreed(watcher: Watcher, bots: readonly string[], version: number): Promise<void> {
  await Promise.all(
    bots.map((bot) =>
      watcher.find(
        (record) => is('hash', bot)(record) && record.body.agrees === true && record.body.version >= version,
      ),
    ),
  );
}

describe('a session of four bots', () => {
  test('plays, agrees, and is told whole to who attaches in the middle', async () => {
    const server = await running(cleanups);
    const watcher = await Watcher.of(server);
    const bots = ['bot-1', 'bot-2', 'bot-3', 'bot-4'];
    await watcher.find((record) => is('commit')(record) && record.body.version >= 12);
    await agreed(watcher, bots, 12);
    expect(await verifyCapture(watcher.capture)).toMatchObject({ status: 'agrees', missing: [] });
    expect((await watcher.capture.info()).replicas.map(({ id }) => id).sort()).toEqual([...bots, 'server']);
    expect(watcher.records.map(({ seq }) => seq)).toEqual(
      watcher.records.map((_, index) => (watcher.records[0]?.seq ?? 0) + index),
    );
  });

  test('the same seed gives the same world', async () => {
    const [one, two] = [await running(cleanups, { bots: 0 }), await running(cleanups, { bots: 0 })];
    const other = await running(cleanups, { bots: 0, seed: 8 });
    expect(one.manager.root.hash).toBe(two.manager.root.hash);
    expect(one.manager.root.hash).not.toBe(other.manager.root.hash);
  });

  test('a prediction that the authority refuses is taken back, and only that', async () => {
    const server = await running(cleanups, { bots: 0 });
    const watcher = await Watcher.of(server);
    const client = new SyncClient({ url: server.url, state: clientState(server, 'anna'), clock: monotonicClock });
    cleanups.unshift(() => client.close('done'));
    const settled = (): Promise<string> =>
      new Promise((resolve) => {
        const stop = client.state.on((event) => {
          if (event.type !== 'confirmed' && event.type !== 'rejected') return;
          stop();
          resolve(event.type === 'rejected' ? event.reason : 'confirmed');
        });
      });
    await new Promise<void>((resolve) => {
      client.state.on((event) => event.type === 'committed' && resolve());
    });
    client.predict('join', null);
    expect(await settled()).toBe('confirmed');
    client.predict('move', { to: 'kitchen' });
    client.predict('move', { to: 'cellar' });
    expect(roomOf(client)).toBe('cellar');
    // A refusal is told at once, a confirmation with the next delta.
    expect(await settled()).toBe('door locked');
    expect(roomOf(client)).toBe('kitchen');
    expect(client.state.pending.map(({ command }) => command)).toEqual(['move']);
    expect(await settled()).toBe('confirmed');
    expect([roomOf(client), client.state.pending]).toEqual(['kitchen', []]);
    const rejection = await watcher.find(is('rejection'));
    expect(rejection.body).toMatchObject({ mutation: { writer: 'anna', counter: 3 }, reason: 'door locked' });
  });
});

function roomOf(client: SyncClient): unknown {
  for (const [, player] of client.state.optimistic.entries('player/')) return player.room;
  return undefined;
}

describe('faults', () => {
  test('a corrupted value is found, down to the field, and repaired', async () => {
    const server = await running(cleanups);
    const watcher = await Watcher.of(server);
    await agreed(watcher, ['bot-2'], 5);
    await watcher.connection.inject({ fault: 'corrupt', target: bot2, key: 'item/crown', field: 'owner' });
    const divergence = await watcher.find(is('divergence', 'bot-2'));
    expect(divergence.body).toMatchObject({ against: 'server', differences: [{ key: 'item/crown' }] });
    const repair = await watcher.find(is('repair', 'bot-2'));
    expect(repair.seq).toBeGreaterThan(divergence.seq);
    expect(await verifyCapture(watcher.capture)).toMatchObject({
      status: 'diverged',
      divergence: { replica: 'bot-2', key: 'item/crown', field: 'owner', class: 'corrupted-at-rest', repaired: true },
    });
  });

  test('a delta that is not delivered is noticed at the next one, and made up for', async () => {
    const server = await running(cleanups, { faults: parseFaults('drop-delta:bot-1@300ms') });
    const watcher = await Watcher.of(server);
    const struck = await watcher.find((record) => is('fault', 'bot-1')(record) && record.body.phase === 'struck');
    expect(struck.body).toMatchObject({ fault: 'drop-delta', target: 'bot-1' });
    expect((await watcher.find(is('mismatch', 'bot-1'))).body).toMatchObject({ reason: 'base' });
    await watcher.find(is('repair', 'bot-1'));
    await agreed(watcher, ['bot-1'], server.manager.version);
  });

  test('slow links that lose frames keep order, and everyone gets there', async () => {
    const faults = ['latency:20ms±20ms', 'loss:10%'].flatMap(parseFaults);
    const server = await running(cleanups, { faults });
    const watcher = await Watcher.of(server);
    await watcher.find((record) => is('fault')(record) && record.body.phase === 'struck');
    await watcher.find((record) => is('commit')(record) && record.body.version >= 8);
    await watcher.connection.inject({ fault: 'loss', rate: 0 });
    await watcher.connection.inject({ fault: 'latency', mean: 0, jitter: 0 });
    await agreed(watcher, ['bot-1', 'bot-2', 'bot-3', 'bot-4'], server.manager.version);
    const kinds = watcher.records.filter(is('fault')).map(({ body }) => `${body.fault} ${body.phase}`);
    expect(kinds).toEqual(expect.arrayContaining(['latency armed', 'loss armed', 'loss cleared', 'latency cleared']));
    // A late frame would have been passed over, and said so. That something is sent anew where its acknowledgement was lost is another matter.
    expect(watcher.records.filter((one) => is('log')(one) && /came again or late/.test(one.body.text))).toEqual([]);
  });

  test('that cannot be are refused with the reason', async () => {
    const server = await running(cleanups);
    const watcher = await Watcher.of(server);
    await agreed(watcher, ['bot-1'], 1);
    const { connection } = watcher;
    for (const [spec, code] of [
      [{ fault: 'corrupt', target: replicaId('nobody') }, 'FAULT_TARGET_UNKNOWN'],
      [{ fault: 'corrupt', target: bot1, key: 'item/none' }, 'FAULT_INVALID'],
      [{ fault: 'corrupt', target: bot1, key: 'nokey' }, 'KEY_INVALID'],
      [{ fault: 'drop-delta', target: replicaId('server') }, 'FAULT_TARGET_UNKNOWN'],
      [{ fault: 'loss', rate: 2 }, 'FAULT_INVALID'],
    ] as const) {
      await expect(connection.inject(spec)).rejects.toMatchObject({ code });
    }
  });
});

describe('somebody who misbehaves is told why and shut out, and nobody else notices', () => {
  const ours = { session: 'adventure-0', token: 'wrong' };

  test.each([
    ['another session', { session: ours.session }, 'SESSION_UNKNOWN'],
    ['a wrong token', { token: ours.token }, 'TOKEN_REJECTED'],
  ])('%s', async (_, wrong, code) => {
    const server = await running(cleanups, { bots: 1 });
    const { errors } = await untilEnded(server, clientState(server, 'anna', wrong));
    expect(errors).toEqual([code]);
    expect(server.manager.clients.map(({ replica }) => replica)).toEqual(['bot-1']);
  });

  test.each<[string, Uint8Array | string]>([
    ['no msgpack', new Uint8Array([0xc1, 0, 0])],
    ['a JPEG', new Uint8Array([0xff, 0xd8, 0xff, 0xe0, 0, 16, 0x4a, 0x46, 0x49, 0x46])],
    ['text', 'hello'],
    ['nothing', new Uint8Array(0)],
    ['a depth bomb', new Uint8Array(50_000).fill(0x91)],
    ['a length that lies', new Uint8Array([0xdd, 0xff, 0xff, 0xff, 0xff])],
  ])('%s instead of a frame', async (_, frame) => {
    const server = await running(cleanups, { bots: 1 });
    const watcher = await Watcher.of(server);
    const ending = await untilEnded(server, clientState(server, 'anna'), (socket) => socket.send(frame));
    expect(ending.errors).toHaveLength(1);
    expect((await watcher.find(is('refused', 'server'))).body).toMatchObject({ code: ending.errors[0] });
    await agreed(watcher, ['bot-1'], server.manager.version);
  });

  test('a frame that is too large', async () => {
    const server = await running(cleanups, { bots: 1 });
    const watcher = await Watcher.of(server);
    const ending = await untilEnded(server, clientState(server, 'anna'), (socket) =>
      socket.send(new Uint8Array(CLIENT_FRAME_MAX + 1)),
    );
    expect(ending.code).toBe(1009);
    expect((await watcher.find(is('refused', 'server'))).body).toMatchObject({ code: 'FRAME_TOO_LARGE' });
    await agreed(watcher, ['bot-1'], server.manager.version);
  });

  test('a flood', async () => {
    const server = await running(cleanups, { bots: 1 });
    const watcher = await Watcher.of(server);
    const state = clientState(server, 'anna');
    const ending = await untilEnded(server, state, (socket) => {
      const heartbeats = setInterval(() => {
        if (socket.readyState !== WebSocket.OPEN) clearInterval(heartbeats);
        // Frames that would each be passed over in silence.
        else
          for (let count = 0; count < 200; count++)
            socket.send(new Uint8Array([0x93, 0x7b, 0xa4, ...Buffer.from('anna'), 1]));
      }, 1);
    });
    expect(ending).toMatchObject({ code: 1008, reason: 'LINK_FLOOD' });
    await agreed(watcher, ['bot-1'], server.manager.version);
  });

  test('one that vanishes without a word is gone at once, and goes home later', async () => {
    const server = await running(cleanups, { bots: 1 });
    const watcher = await Watcher.of(server);
    const ended = untilEnded(server, clientState(server, 'anna'), (socket) => {
      watcher.find(is('replica', 'anna')).then(() => socket.terminate());
    });
    await ended;
    await watcher.find(is('gone', 'anna'));
    await expect.poll(() => server.manager.clients.map(({ replica }) => replica)).toEqual(['bot-1']);
  });

  test('one that says goodbye has left at once, and one that only vanishes has not yet', async () => {
    const server = await running(cleanups, { bots: 0 });
    const watcher = await Watcher.of(server);
    for (const name of ['anna', 'ben']) {
      const client = new SyncClient({ url: server.url, state: clientState(server, name), clock: monotonicClock });
      await watcher.find((record) => is('presence')(record) && record.body.target === name);
      if (name === 'anna') await client.close('done');
      else client.cut();
    }
    await watcher.find((record) => is('presence')(record) && record.body.state === 'disconnected');
    const told = watcher.records.filter(is('presence')).map(({ body }) => `${body.target} ${body.state}`);
    expect(told).toEqual(['anna joined', 'anna left', 'ben joined', 'ben problem', 'ben disconnected']);
  });

  test('a page of another origin', async () => {
    const server = await running(cleanups, { bots: 0 });
    const socket = new WebSocket(server.url, { origin: 'https://evil.example' });
    const error = await new Promise<Error>((resolve) => socket.once('error', resolve));
    expect(error.message).toContain('403');
  });

  test('a bot that loses its connection comes back and carries on from what it has', async () => {
    const server = await running(cleanups, { bots: 2 });
    const watcher = await Watcher.of(server);
    await agreed(watcher, ['bot-1'], 3);
    // Who says another's name takes its place; the other comes back.
    const thief = untilEnded(server, clientState(server, 'bot-1'));
    await watcher.find(is('gone', 'bot-1'));
    const from = watcher.records.length;
    expect((await thief).errors).toEqual(['BYE']);
    await watcher.find((record) => is('hash', 'bot-1')(record) && record.body.agrees === true, from);
  });
});

describe('the end', () => {
  test('is told to everyone, and nothing is left', async () => {
    const sessionsFolder = await temporaryFolder(cleanups);
    const server = await running(cleanups, { sessionsFolder });
    const watcher = await Watcher.of(server);
    await agreed(watcher, ['bot-1'], 1);
    const client = untilEnded(server, clientState(server, 'anna'));
    await watcher.find(is('replica', 'anna'));
    expect(await readdir(sessionsFolder)).toHaveLength(1);
    await Promise.all([server.close('closing time'), server.close('twice')]);
    expect((await client).errors).toEqual(['BYE']);
    expect(await watcher.connection.closed).toEqual({ kind: 'ended', reason: 'closing time' });
    expect(await readdir(sessionsFolder)).toEqual([]);
    await expect(attach(server.inspect)).rejects.toMatchObject({ code: 'ATTACH_UNREACHABLE' });
    expect(server.bots.map((bot) => bot.state.phase)).toEqual(['closed', 'closed', 'closed', 'closed']);
  });

  test('comes early where a port is taken, and leaves nothing', async () => {
    const server = await running(cleanups, { bots: 0 });
    const sessionsFolder = await temporaryFolder(cleanups);
    const port = Number(new URL(server.inspect.url).port);
    await expect(startServer({ port, sessionsFolder })).rejects.toMatchObject({ code: 'ATTACH_PORT_TAKEN' });
    expect(await readdir(sessionsFolder)).toEqual([]);
  });
});

describe('other machines', () => {
  test('are let in only where clients must show a token that was chosen (T3)', async () => {
    await expect(startServer({ host: '0.0.0.0' })).rejects.toMatchObject({
      code: 'SERVER_EXPOSED',
      message: expect.stringContaining('--token'),
    });
  });

  test('get the sync port alone; the inspector stays on loopback', async () => {
    const server = await running(cleanups, { host: '0.0.0.0', token: 'a long enough token', bots: 1 });
    const watcher = await Watcher.of(server);
    await agreed(watcher, ['bot-1'], 1);
    const port = new URL(server.url).port;
    expect(port).not.toBe(new URL(server.inspect.url).port);
    expect(new URL(server.inspect.url).hostname).toBe('127.0.0.1');
    await expect(attach({ ...server.inspect, url: `http://127.0.0.1:${port}` })).rejects.toMatchObject({
      code: 'PATH_UNKNOWN',
    });
    const reachable = { ...server, url: `ws://127.0.0.1:${port}/sync` };
    const { errors } = await untilEnded(reachable, clientState(server, 'anna', { token: 'guess' }));
    expect(errors).toEqual(['TOKEN_REJECTED']);
  });
});

test('no record of the trace shows the token of the session', async () => {
  const server = await running(cleanups, { bots: 1 });
  const watcher = await Watcher.of(server);
  const client = new SyncClient({ url: server.url, state: clientState(server, 'anna'), clock: monotonicClock });
  cleanups.unshift(() => client.close('done'));
  const hello = await watcher.find(
    (record) => is('receive')(record) && record.body.type === 'HELLO' && record.body.from === 'anna',
  );
  expect(Buffer.from(hello.wire ?? []).includes('anna')).toBe(true);
  for (const { wire, body } of watcher.records) {
    expect(Buffer.from(wire ?? []).includes(server.token)).toBe(false);
    expect(JSON.stringify(body)).not.toContain(server.token);
  }
});
