import { type EventBus, eventBusContract, openBus } from '@syncscope/sample-server/bus';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
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
    expect(await durabilityOf(await startRedis({ appendonly: 'everysec' }))).toBe('process');
    expect(await durabilityOf(await startRedis({ appendonly: 'no' }))).toBe('broker');
  });

  test('is not taken for granted of NATS, which syncs later unless it is told otherwise', async () => {
    expect(await durabilityOf(await startNats())).toBe('process');
    const monitor = await freePort();
    expect(await durabilityOf(await startNats(monitor), `?monitor=http://127.0.0.1:${monitor}`)).toBe('process');
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
