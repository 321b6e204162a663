import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, connect as openSocket, type Socket } from 'node:net';
import { monotonicClock } from '@syncscope/protocol/node';
import { SSE_CONNECTION_HEADER, SSE_EVENTS_PATH, SSE_MESSAGES_PATH } from '@syncscope/protocol/sse';
import { afterEach, describe, expect, test } from 'vitest';
import { EventStreams, SSE_RETAINED_BYTES } from './gateway-sse.ts';
import {
  type Cleanups,
  connect,
  found,
  pagesState,
  rawStream,
  startGateway,
  TestClient,
  TOKEN,
} from './gateway-testing.ts';
import type { ClientWire, Entrance } from './gateway-wire.ts';

const cleanups: Cleanups = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Passes bytes on to a gateway until told to cut what it carries, as a proxy does that restarts. */
async function proxyTo(host: string) {
  const target = Number(host.split(':')[1]);
  const pairs = new Set<readonly [Socket, Socket]>();
  let isOpen = true;
  const server = createServer((client) => {
    const upstream = openSocket(target, '127.0.0.1');
    const pair = [client, upstream] as const;
    pairs.add(pair);
    const end = (): void => {
      pairs.delete(pair);
      for (const socket of pair) socket.destroy();
    };
    for (const socket of pair) socket.on('error', end).on('close', end);
    if (!isOpen) end();
    client.pipe(upstream);
    upstream.pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = (): void => {
    for (const sockets of [...pairs]) for (const socket of sockets) socket.destroy();
  };
  cleanups.push(() => {
    cut();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new TypeError('the proxy has no port');
  return {
    host: `127.0.0.1:${address.port}`,
    cut,
    open: (open: boolean) => {
      isOpen = open;
      if (!open) cut();
    },
  };
}

describe('an event stream that breaks', () => {
  test('is taken up where it broke, and nothing is sent anew', async () => {
    const gateway = await startGateway(cleanups);
    const proxy = await proxyTo(gateway.host);
    const anna = new TestClient(proxy.host, 'sse', pagesState('anna'));
    cleanups.push(() => anna.transport.close());
    await anna.synced;
    proxy.open(false);
    gateway.manager.mutate('write', 'while nobody listens', monotonicClock.now());
    gateway.gateway.tick();
    proxy.open(true);
    await anna.reaches(() => gateway.manager.root.hash);
    expect(anna.interruptions).toEqual([]);
    expect(anna.welcomes).toEqual([false]);
    expect(gateway.manager.stats).toMatchObject({ fullSyncs: 1, mismatches: 0 });
  });

  test('after too much has passed begins anew, says why, and the state comes whole', async () => {
    const gateway = await startGateway(cleanups, { ring: 2, periodicSnapshots: 1, snapshotInterval: 1_000_000 });
    const ben = connect(cleanups, gateway, 'websocket', 'ben');
    const proxy = await proxyTo(gateway.host);
    const anna = new TestClient(proxy.host, 'sse', pagesState('anna'));
    cleanups.push(() => anna.transport.close());
    await anna.synced;
    proxy.open(false);
    // The first of them is more than is kept of a stream; after the others, nobody can make a delta from what anna has.
    for (const size of [SSE_RETAINED_BYTES + 1, 10, 20, 30]) {
      gateway.manager.mutate('write', '.'.repeat(size), monotonicClock.now());
      await ben.reaches(() => gateway.manager.root.hash);
    }
    proxy.open(true);
    await anna.reaches(() => gateway.manager.root.hash);
    expect(anna.interruptions).toEqual([expect.stringMatching(/^SSE_RESUME_COMPACTED: /)]);
    // The version that it has is not kept any more, and nobody says that it is carried on from.
    expect(anna.welcomes).toEqual([false, false]);
    expect(gateway.manager.stats.fullSyncs).toBe(3);
  });

  test('for too long is over, by the clock', async () => {
    let ahead = 0;
    const clock = { now: () => monotonicClock.now() + ahead };
    const gateway = await startGateway(cleanups, {}, { clock });
    const proxy = await proxyTo(gateway.host);
    const anna = new TestClient(proxy.host, 'sse', pagesState('anna'));
    cleanups.push(() => anna.transport.close());
    await anna.synced;
    const gone = found(gateway.hub, ({ replica, body }) => replica === 'anna' && body.kind === 'gone');
    proxy.open(false);
    const passing = setInterval(() => {
      ahead += 1e9;
    }, 5);
    cleanups.push(() => clearInterval(passing));
    expect((await gone).body).toMatchObject({ reason: 'the event stream did not come back' });
    clearInterval(passing);
    proxy.open(true);
    await expect.poll(() => anna.welcomes).toEqual([false, true]);
    expect(anna.interruptions).toEqual([expect.stringMatching(/^SSE_RESUME_UNKNOWN: /)]);
  });
});

describe('an event stream that is ended', () => {
  /** A stream of which its client has read the opening, and 8 MiB wait: more than what lies between the two sides holds. */
  async function behind() {
    let opened: (wire: ClientWire) => void = () => undefined;
    const wire = new Promise<ClientWire>((resolve) => {
      opened = resolve;
    });
    const entrance: Entrance = {
      refusal: () => undefined,
      tokenRefusal: () => undefined,
      upgradeRefusal: () => undefined,
      reconcileRefusal: () => undefined,
      open: (one) => {
        opened(one);
        return { receive: () => undefined, refused: () => undefined, closed: () => undefined };
      },
    };
    const streams = new EventStreams(entrance, () => monotonicClock.now());
    const server = createHttpServer((_request, response) => streams.open(response, '127.0.0.1', undefined));
    cleanups.push(() => {
      server.closeAllConnections();
      server.close();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { response } = await rawStream(cleanups, `127.0.0.1:${(server.address() as AddressInfo).port}`);
    response.removeAllListeners('data').pause();
    const sender = await wire;
    sender.send(Array.from({ length: 128 }, () => new Uint8Array(65_536)));
    expect(sender.queued).toBeGreaterThan(1_000_000);
    return { sender, response };
  }

  test('can be read to its end, which is waited for', async () => {
    const { sender, response } = await behind();
    let text = '';
    response.on('data', (part: string) => {
      text = (text + part).slice(-100);
    });
    const read = new Promise<void>((resolve) => {
      response.once('end', resolve);
    });
    let isClosed = false;
    const closed = sender.close('ended', 'moved').then(() => {
      isClosed = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(isClosed).toBe(false);
    response.resume();
    await Promise.all([closed, read]);
    expect(text).toMatch(/event: close\ndata: moved\n\n$/);
  });

  test.each(['never', 'a little now and then'])('is let go of when its client reads %s', async (how) => {
    const { sender, response } = await behind();
    const gone = new Promise<void>((resolve) => {
      response.once('close', resolve);
    });
    if (how !== 'never') {
      const reading = setInterval(() => response.read(16_384), 50);
      cleanups.push(() => clearInterval(reading));
    }
    await sender.close('slow', 'LINK_TOO_SLOW');
    // This side finds out once it has read what lies between the two.
    response.resume();
    await gone;
    expect(response.complete).toBe(false);
  });
});

describe('an id that cannot be carried on from', () => {
  test.each([
    ['is no id', 'nonsense', 'SSE_RESUME_UNKNOWN'],
    ['is of nobody', `${'0'.repeat(32)}:4`, 'SSE_RESUME_UNKNOWN'],
  ])('%s: a new stream, and why', async (_, id, code) => {
    const { host } = await startGateway(cleanups);
    const { opening } = await rawStream(cleanups, host, { 'last-event-id': id });
    expect(opening).toMatchObject({ resumed: false, code });
  });

  test('was never sent: a new stream, and the one that it names is over', async () => {
    const { host } = await startGateway(cleanups);
    const { connection } = await rawStream(cleanups, host);
    const { opening } = await rawStream(cleanups, host, { 'last-event-id': `${connection}:7` });
    expect(opening).toMatchObject({ resumed: false, code: 'SSE_RESUME_AHEAD' });
    const headers = { authorization: `Bearer ${TOKEN}`, [SSE_CONNECTION_HEADER]: connection };
    const posted = await fetch(`http://${host}${SSE_MESSAGES_PATH}`, { method: 'POST', headers });
    expect(posted.status).toBe(404);
  });
});

describe('on the wire', () => {
  test('no proxy may hold, cut or keep the stream, and silence is filled with comments', async () => {
    let ahead = 0;
    const clock = { now: () => monotonicClock.now() + ahead };
    const { host } = await startGateway(cleanups, { helloTimeout: 1e12 }, { clock });
    const { response } = await rawStream(cleanups, host);
    expect(response.headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store, no-transform',
      'x-accel-buffering': 'no',
    });
    const comment = new Promise<string>((resolve) => response.once('data', resolve));
    ahead = 16e9;
    expect(await comment).toBe(':\n\n');
  });

  test.each([
    ['no token', {}, 401, 'TOKEN_MISSING'],
    ['a wrong one', { authorization: 'Bearer guess' }, 401, 'TOKEN_REJECTED'],
    ['another way of showing it', { authorization: `Basic ${TOKEN}` }, 401, 'TOKEN_MISSING'],
  ])('%s is refused before anything is told', async (_, headers, status, code) => {
    const { host, manager } = await startGateway(cleanups);
    for (const path of [SSE_EVENTS_PATH, `${SSE_EVENTS_PATH}?token=${encodeURIComponent(TOKEN)}`]) {
      const answer = await fetch(`http://${host}${path}`, { headers });
      expect([answer.status, await answer.json()]).toEqual([status, { error: expect.objectContaining({ code }) }]);
    }
    expect(manager.clients).toEqual([]);
  });

  test.each<[string, string, Uint8Array<ArrayBuffer>, number, string]>([
    ['of nobody', 'nobody', new Uint8Array(0), 404, 'SSE_CONNECTION_UNKNOWN'],
    ['cut within a frame', '', new Uint8Array([0, 0, 0, 9, 1]), 400, 'SSE_BODY_INVALID'],
    ['too large', '', new Uint8Array(300_000), 413, 'BODY_TOO_LARGE'],
  ])('a post %s is refused with its code', async (_, name, body, status, code) => {
    const { host } = await startGateway(cleanups);
    const headers = { authorization: `Bearer ${TOKEN}`, [SSE_CONNECTION_HEADER]: name };
    const answer = await fetch(`http://${host}${SSE_MESSAGES_PATH}`, { method: 'POST', headers, body });
    expect([answer.status, await answer.json()]).toEqual([status, { error: expect.objectContaining({ code }) }]);
  });
});
