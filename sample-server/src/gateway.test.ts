import { monotonicClock } from '@syncscope/protocol/node';
import { afterEach, describe, expect, test } from 'vitest';
import { type Cleanups, connect, deafClient, found, pagesState, startGateway, TestClient } from './gateway-testing.ts';
import { CLIENT_FRAME_MAX } from './gateway-websocket.ts';
import { TRANSPORTS } from './gateway-wire.ts';

const PAGE_BYTES = 256 * 1024;

const cleanups: Cleanups = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** What a client may rely on, whatever carries its frames. */
describe.each(TRANSPORTS)('over %s', (transport) => {
  test('clients get the state, change it, and agree', async () => {
    const gateway = await startGateway(cleanups);
    const [anna, ben] = [connect(cleanups, gateway, transport, 'anna'), connect(cleanups, gateway, transport, 'ben')];
    await Promise.all([anna.synced, ben.synced]);
    for (let count = 1; count <= 20; count++) (count % 2 ? anna : ben).predict(`text ${count}`);
    const { manager } = gateway;
    await expect.poll(() => manager.version).toBe(21);
    await Promise.all([anna, ben].map((client) => client.reaches(() => manager.root.hash)));
    await expect.poll(() => anna.state.pending.length + ben.state.pending.length).toBe(0);
    await expect.poll(() => manager.clients.map(({ version }) => version)).toEqual([21, 21]);
    expect(manager.stats).toMatchObject({ fullSyncs: 2, refused: 0, mismatches: 0 });
  });

  test('a client that comes back carries on from what it has, and is told so', async () => {
    const gateway = await startGateway(cleanups);
    const state = pagesState('anna');
    const first = new TestClient(gateway.host, transport, state);
    await first.synced;
    first.predict('one');
    await first.reaches(() => gateway.manager.root.hash);
    await expect.poll(() => gateway.manager.version).toBe(2);
    await first.reaches(() => gateway.manager.root.hash);
    first.transport.close();
    await first.closed;
    expect(first.welcomes).toEqual([false]);
    gateway.manager.mutate('write', 'meanwhile', monotonicClock.now());
    const second = new TestClient(gateway.host, transport, state);
    cleanups.push(() => second.transport.close());
    await second.reaches(() => gateway.manager.root.hash);
    expect(second.welcomes).toEqual([true]);
  });

  test('a state that the server never had is not said to be carried on from', async () => {
    const [one, other] = [await startGateway(cleanups), await startGateway(cleanups)];
    for (let count = 0; count < 5; count++) one.manager.mutate('write', `${count}`, monotonicClock.now());
    const state = pagesState('anna');
    const first = new TestClient(one.host, transport, state);
    await first.reaches(() => one.manager.root.hash);
    first.transport.close();
    await first.closed;
    const second = new TestClient(other.host, transport, state);
    cleanups.push(() => second.transport.close());
    await second.reaches(() => other.manager.root.hash);
    expect(second.welcomes).toEqual([false]);
  });

  test.each([
    ['another session', { session: 'others' }, 'SESSION_UNKNOWN'],
    ['a token that is wrong in HELLO', { token: 'guess' }, 'TOKEN_REJECTED'],
  ])('%s is refused with its code', async (_, said, code) => {
    const gateway = await startGateway(cleanups);
    const stranger = connect(cleanups, gateway, transport, 'stranger', said);
    await stranger.closed;
    expect(stranger.errors).toEqual([code]);
    expect(gateway.manager.clients).toEqual([]);
  });

  test.each<[string, Uint8Array, string]>([
    ['no msgpack', new Uint8Array([0xc1, 0, 0]), 'FRAME_NOT_MSGPACK'],
    ['nothing', new Uint8Array(0), 'FRAME_NOT_MSGPACK'],
    ['a depth bomb', new Uint8Array(50_000).fill(0x91), 'FRAME_NOT_MSGPACK'],
    ['a length that lies', new Uint8Array([0xdd, 0xff, 0xff, 0xff, 0xff]), 'FRAME_NOT_MSGPACK'],
  ])('%s instead of a frame ends that connection alone', async (_, frame, code) => {
    const gateway = await startGateway(cleanups);
    const [anna, ben] = [connect(cleanups, gateway, transport, 'anna'), connect(cleanups, gateway, transport, 'ben')];
    await Promise.all([anna.synced, ben.synced]);
    anna.transport.send([frame]);
    await anna.closed;
    expect(anna.errors).toEqual([code]);
    ben.predict('still here');
    await expect.poll(() => gateway.manager.version).toBe(2);
    await ben.reaches(() => gateway.manager.root.hash);
  });

  test('a frame that is too large ends that connection', async () => {
    const gateway = await startGateway(cleanups);
    const anna = connect(cleanups, gateway, transport, 'anna');
    await anna.synced;
    const refused = found(gateway.hub, ({ body }) => body.kind === 'refused');
    anna.transport.send([new Uint8Array(CLIENT_FRAME_MAX + 1)]);
    expect((await refused).body).toMatchObject({ code: 'FRAME_TOO_LARGE', from: 'anna' });
    await anna.closed;
  });

  test('a flood ends that connection, by the clock that the gateway was given', async () => {
    const gateway = await startGateway(cleanups, {}, { limits: { frames: { burst: 20, perSecond: 1 } } });
    const anna = connect(cleanups, gateway, transport, 'anna');
    await anna.synced;
    const gone = found(gateway.hub, ({ replica, body }) => replica === 'anna' && body.kind === 'gone');
    // Frames that would each be passed over in silence.
    const frame = new Uint8Array([0x93, 0x7b, 0xa4, ...Buffer.from('anna'), 1]);
    anna.transport.send(Array.from({ length: 40 }, () => frame));
    expect((await gone).body).toMatchObject({ reason: 'LINK_FLOOD: more than 1 frames a second' });
    expect(await anna.closed).toBe('LINK_FLOOD');
  });

  test('a client that has ceased to read is dropped with the reason, and the others go on', async () => {
    const gateway = await startGateway(cleanups, { slowTimeout: 500_000_000 });
    const { hub, manager } = gateway;
    const joined = found(hub, ({ replica, body }) => replica === 'deaf' && body.kind === 'replica');
    const pause = await deafClient(cleanups, gateway, transport, 'deaf');
    const keen = connect(cleanups, gateway, transport, 'keen');
    await Promise.all([joined, keen.synced]);
    pause();
    const gone = found(hub, ({ replica, body }) => replica === 'deaf' && body.kind === 'gone');
    const dropped = found(hub, ({ body }) => body.kind === 'pressure' && body.state === 'dropped');
    let count = 0;
    const writing = setInterval(
      () => manager.mutate('write', `${count++}`.padEnd(PAGE_BYTES, '·'), monotonicClock.now()),
      5,
    );
    cleanups.push(() => clearInterval(writing));
    expect((await dropped).body).toMatchObject({ target: 'deaf' });
    expect((await gone).body).toMatchObject({ reason: expect.stringMatching(/^LINK_TOO_SLOW: /) });
    clearInterval(writing);
    expect(manager.stats.tooSlow).toBe(1);
    const last = manager.root.hash;
    await keen.reaches(() => last);
    expect(manager.clients.map(({ replica }) => replica)).toEqual(['keen']);
  });

  test('the end is told to everyone, with the reason', async () => {
    const gateway = await startGateway(cleanups);
    const anna = connect(cleanups, gateway, transport, 'anna');
    await anna.synced;
    await Promise.all([gateway.gateway.close('closing time'), anna.closed]);
    expect(anna.errors).toEqual(['BYE']);
    expect(await anna.closed).toBe('closing time');
  });
});
