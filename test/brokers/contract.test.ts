import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { DiscardPolicy, jetstreamManager, RetentionPolicy } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { type EventBus, eventBusContract, openBus } from '@syncscope/sample-server/bus';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Broker, freePort, startNats, startRedis } from './brokers.ts';

/** The acceptance suite of the event bus against real brokers, and what each tells of itself. */

describe.each([
  { name: 'Redis', start: () => startRedis() },
  { name: 'NATS', start: () => startNats() },
])('the bus on a real $name', ({ start }) => {
  let broker: Broker;
  let first: EventBus;
  let second: EventBus;
  beforeAll(async () => {
    broker = await start();
    [first, second] = [await openBus(broker.url), await openBus(broker.url)];
  });
  afterAll(async () => {
    await first?.close();
    await second?.close();
    await broker?.close();
  });

  for (const { name, run } of eventBusContract(() => ({ first, second }))) test(name, run);

  test('says so where the broker goes away, and goes on when it is back with all that it answered', async () => {
    const session = 'interrupted';
    await first.begin(session, { position: 0, bytes: new Uint8Array([1]) });
    await first.append(session, 0, [new Uint8Array([1]), new Uint8Array([2])]);
    await broker.kill();
    await expect(first.append(session, 2, [new Uint8Array([3])])).rejects.toMatchObject({ code: 'BUS_DOWN' });
    await expect(second.read(session, 0, 10)).rejects.toMatchObject({ code: 'BUS_DOWN' });
    expect(first.health).toMatchObject({ isUp: false });
    const told = new Promise<void>((resolve) => {
      // While it is away, a subscription waits for it.
      void second.watch(session, resolve).catch(() => undefined);
    });
    await broker.start();
    await told;
    await untilUp(first);
    await untilUp(second);
    expect(await second.read(session, 0, 10)).toEqual([
      { position: 1, bytes: new Uint8Array([1]) },
      { position: 2, bytes: new Uint8Array([2]) },
    ]);
    expect(await first.append(session, 2, [new Uint8Array([3])])).toEqual({ isAppended: true, last: 3 });
  });
});

async function untilUp(bus: EventBus): Promise<void> {
  for (;;) {
    const isUp = await bus.last('interrupted').then(
      () => bus.health.isUp,
      () => false,
    );
    if (isUp) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const cleanups: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function startedHttp(listener: RequestListener): Promise<{ readonly url: string }> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/** What a real server says of itself, and what one from 2.10 on says beside it where it syncs always: Debian's is older. */
async function monitoringOfALaterVersion(monitor: number): Promise<string> {
  const { url } = await startedHttp(async (request, response) => {
    const answer = await fetch(`http://127.0.0.1:${monitor}${request.url}`);
    const said = (await answer.json()) as { readonly jetstream: { readonly config: object } };
    const jetstream = { ...said.jetstream, config: { ...said.jetstream.config, sync_always: true } };
    response.end(JSON.stringify({ ...said, jetstream }));
  });
  return url;
}

describe('what a broker makes durable', () => {
  const durabilityOf = async (broker: Broker, query = ''): Promise<string> => {
    try {
      const bus = await openBus(broker.url + query);
      await bus.close();
      return bus.durability;
    } finally {
      await broker.close();
    }
  };

  test('is asked of Redis', async () => {
    expect(await durabilityOf(await startRedis({ appendonly: 'always' }))).toBe('log');
    const lazy = ['--no-appendfsync-on-rewrite', 'yes'];
    expect(await durabilityOf(await startRedis({ appendonly: 'always', more: lazy }))).toBe('process');
    expect(await durabilityOf(await startRedis({ more: ['--appendfsync', 'no'] }))).toBe('process');
    // While a sync is under way it answers before it has written, up to two seconds.
    expect(await durabilityOf(await startRedis({ appendonly: 'everysec' }))).toBe('broker');
    expect(await durabilityOf(await startRedis({ appendonly: 'no' }))).toBe('broker');
  });

  test('is not taken for granted of NATS, which syncs later unless it is told otherwise', async () => {
    expect(await durabilityOf(await startNats())).toBe('process');
    const monitor = await freePort();
    expect(await durabilityOf(await startNats(monitor), `?monitor=http://127.0.0.1:${monitor}`)).toBe('process');
  });

  test('is what the monitoring of NATS says', async () => {
    const monitor = await freePort();
    const broker = await startNats(monitor);
    const later = await monitoringOfALaterVersion(monitor);
    expect(await durabilityOf(broker, `?monitor=${later}`)).toBe('log');
  });

  test.each([
    ['that is not there', async () => `http://127.0.0.1:${await freePort()}`],
    ['that says something else', async () => (await startedHttp((_, response) => response.end('<html>'))).url],
  ])('is not guessed from a monitoring %s', async (_, address) => {
    const broker = await startNats();
    cleanups.push(() => broker.close());
    const opened = openBus(`${broker.url}?monitor=${await address()}`);
    await expect(opened).rejects.toMatchObject({ code: 'BUS_REFUSED' });
  });

  test.each([
    ['forgets with time', { max_age: 60_000_000_000, discard: DiscardPolicy.New }],
    ['keeps a few of each session', { max_msgs_per_subject: 10, discard: DiscardPolicy.New }],
    ['throws the oldest away', { max_bytes: 1_000_000, discard: DiscardPolicy.Old }],
    ['keeps nothing that nobody waits for', { retention: RetentionPolicy.Interest }],
  ])('is refused where a stream of NATS %s', async (_, config) => {
    const broker = await startNats();
    cleanups.push(() => broker.close());
    const connection = await connect({ servers: broker.url.slice('nats://'.length) });
    const manager = await jetstreamManager(connection);
    await manager.streams.add({ name: 'SYNCSCOPE_LOG', subjects: ['syncscope.log.*'], ...config });
    await connection.close();
    await expect(openBus(broker.url)).rejects.toMatchObject({
      code: 'BUS_REFUSED',
      message: expect.stringContaining('SYNCSCOPE_LOG'),
    });
  });

  test('is refused where it is less than was asked for', async () => {
    const broker = await startRedis({ appendonly: 'everysec' });
    const asked = openBus(broker.url, { atLeast: 'log' });
    await expect(asked).rejects.toMatchObject({ code: 'BUS_NOT_DURABLE' });
    await broker.close();
  });

  test('is refused where the broker may throw logs away', async () => {
    const broker = await startRedis({ more: ['--maxmemory', '50mb', '--maxmemory-policy', 'allkeys-lru'] });
    await expect(openBus(broker.url)).rejects.toMatchObject({ code: 'BUS_REFUSED' });
    await broker.close();
  });

  test('is refused where nobody answers, with what to do', async () => {
    const port = await freePort();
    for (const scheme of ['redis', 'nats']) {
      await expect(openBus(`${scheme}://127.0.0.1:${port}`)).rejects.toMatchObject({
        code: 'BUS_DOWN',
        message: expect.stringContaining(`127.0.0.1:${port}`),
      });
    }
  });
});
