import { request } from 'node:http';
import { BinaryCodec } from '@syncscope/protocol/messages';
import { monotonicClock } from '@syncscope/protocol/node';
import { packFrames, SSE_CONNECTION_HEADER, SSE_MESSAGES_PATH } from '@syncscope/protocol/sse';
import { replicaId, stateHash } from '@syncscope/protocol/state';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import {
  type Cleanups,
  connect,
  deafClient,
  found,
  type GatewayUnderTest,
  rawStream,
  startGateway,
  type TestClient,
  TOKEN,
} from './gateway-testing.ts';
import { TRANSPORTS } from './gateway-wire.ts';
import { SYNC_PATH } from './http-app.ts';

/** Clients that mean harm, over real sockets. Nobody else may notice. */

const PAGE_BYTES = 256 * 1024;

/** Nanoseconds. Nothing in a test takes that long by itself, on whatever machine. */
const HOUR = 3_600e9;
/** Sockets and as many processes as there are share the processor. */
const PATIENCE = { timeout: 100_000 };

/** A gateway's clock, which goes on as all do, and leaps. */
function leapingClock() {
  let ahead = 0;
  const leap = (by: number): void => {
    ahead += by;
  };
  return { clock: { now: () => monotonicClock.now() + ahead }, leap };
}

const cleanups: Cleanups = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Opens a WebSocket that says nothing; answers the status with which it was refused, or undefined where it was let in. */
function openSilent(host: string, token?: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const socket = new WebSocket(`ws://${host}${SYNC_PATH}`, { headers });
    cleanups.push(() => socket.terminate());
    socket.on('error', reject);
    socket.once('open', () => resolve(undefined));
    socket.once('unexpected-response', (_request, response) => {
      response.resume();
      resolve(response.statusCode);
    });
  });
}

/** Two who play by the rules, and write until told to stop. Answers that they agree with the authority, and how far it came meanwhile. */
async function goodCitizens(gateway: GatewayUnderTest) {
  const good = TRANSPORTS.map((transport) => connect(cleanups, gateway, transport, `good-${transport}`));
  await Promise.all(good.map(({ synced }) => synced));
  let count = 0;
  const writing = setInterval(() => {
    for (const client of good) if (client.state.pending.length < 20) client.predict(`${count++}`);
  }, 50);
  cleanups.push(() => clearInterval(writing));
  return {
    good,
    /** Waits until all of them have gone on by some versions. */
    async progress(versions = 10): Promise<void> {
      const from = gateway.manager.version;
      const wanted = (client: TestClient) => client.state.version >= from + versions;
      await expect.poll(() => good.every(wanted), PATIENCE).toBe(true);
    },
    async agree(): Promise<void> {
      clearInterval(writing);
      await expect.poll(() => good.map(({ state }) => state.pending.length), PATIENCE).toEqual([0, 0]);
      await Promise.all(good.map((client) => client.reaches(() => gateway.manager.root.hash)));
    },
  };
}

describe('while others do harm, those who play by the rules agree and progress', { timeout: 120_000 }, () => {
  test.each(TRANSPORTS)('one that never reads, over %s', async (transport) => {
    const { clock, leap } = leapingClock();
    // Nor does it acknowledge: it is sent more nevertheless, until its connection takes no more.
    const gateway = await startGateway(cleanups, { slowTimeout: HOUR, maxDeltaChain: 1_000 }, { clock });
    const citizens = await goodCitizens(gateway);
    const joined = found(gateway.hub, ({ replica, body }) => replica === 'deaf' && body.kind === 'replica');
    const pause = await deafClient(cleanups, gateway, transport, 'deaf');
    await joined;
    pause();
    const gone = found(gateway.hub, ({ replica, body }) => replica === 'deaf' && body.kind === 'gone');
    let isGone = false;
    void gone.then(() => {
      isGone = true;
    });
    let count = 0;
    const page = (): string => `${count++}`.padEnd(PAGE_BYTES, '·');
    const goOn = (): boolean => {
      const { clients, version } = gateway.manager;
      const slow = clients.filter(({ queue }) => queue.isSlow).map(({ replica }) => replica);
      // The time leaps once the others have all that is large: however long they take for it, they are not slow by then.
      const isRead = citizens.good.every(({ state }) => state.version === version);
      if (!slow.some((one) => one === 'deaf')) gateway.manager.mutate('write', page(), clock.now());
      else if (slow.length === 1 && isRead) leap(HOUR);
      return isGone;
    };
    await expect.poll(goOn, { ...PATIENCE, interval: 5 }).toBe(true);
    expect((await gone).body).toMatchObject({ reason: expect.stringMatching(/^LINK_TOO_SLOW/) });
    await citizens.progress();
    await citizens.agree();
  });

  test.each(TRANSPORTS)('many that flood, over %s', async (transport) => {
    const gateway = await startGateway(cleanups, {}, { limits: { frames: { burst: 200, perSecond: 200 } } });
    const citizens = await goodCitizens(gateway);
    const flooding = Array.from({ length: 5 }, (_, number) => connect(cleanups, gateway, transport, `flood-${number}`));
    await Promise.all(flooding.map(({ synced }) => synced));
    for (const client of flooding) {
      const name = Buffer.from(client.state.replica);
      const frame = new Uint8Array([0x93, 0x7b, 0xa0 + name.length, ...name, 1]);
      client.transport.send(Array.from({ length: 5_000 }, () => frame));
    }
    expect(await Promise.all(flooding.map(({ closed }) => closed))).toEqual(flooding.map(() => 'LINK_FLOOD'));
    await citizens.progress();
    await citizens.agree();
    expect(gateway.manager.clients.map(({ replica }) => replica)).toEqual(['good-websocket', 'good-sse']);
  });

  test.each(TRANSPORTS)('many that send garbage, over %s', async (transport) => {
    const gateway = await startGateway(cleanups);
    const citizens = await goodCitizens(gateway);
    for (let round = 0; round < 20; round++) {
      const bad = connect(cleanups, gateway, transport, `bad-${round}`);
      await bad.synced;
      bad.transport.send([new Uint8Array(1 + round * 97).map((_, at) => (at * 31 + round * 7) % 256)]);
      await bad.closed;
      expect(bad.errors).toHaveLength(1);
    }
    await citizens.progress();
    await citizens.agree();
  });

  test('one that opens a thousand sockets and says nothing', async () => {
    const { clock, leap } = leapingClock();
    const gateway = await startGateway(cleanups, { helloTimeout: HOUR }, { clock });
    const citizens = await goodCitizens(gateway);
    const answers: (number | undefined)[] = [];
    // A server gives up a request whose head does not come in time: so many at once may be too many for a busy machine.
    while (answers.length < 1_000)
      answers.push(...(await Promise.all(Array.from({ length: 50 }, () => openSilent(gateway.host)))));
    const letIn = answers.filter((status) => status === undefined).length;
    expect(new Set(answers)).toEqual(new Set([undefined, 503]));
    expect(letIn).toBe(100);
    await citizens.progress();
    // Those that were let in are sent away when their time to say HELLO is over, and there is room again.
    leap(HOUR);
    await expect.poll(() => openSilent(gateway.host), PATIENCE).toBe(undefined);
    await citizens.agree();
  });
});

describe('limits', { timeout: 120_000 }, () => {
  test('ten wrong tokens in HELLO shut out before any upgrade who does not show the right one, for a minute (T4)', async () => {
    const { clock, leap } = leapingClock();
    const gateway = await startGateway(cleanups, {}, { clock });
    const anna = connect(cleanups, gateway, 'websocket', 'anna');
    await anna.synced;
    for (let count = 0; count < 10; count++) {
      const guess = connect(cleanups, gateway, 'websocket', 'guess', { token: `guess ${count}` });
      await guess.closed;
      expect(guess.errors).toEqual(['TOKEN_REJECTED']);
    }
    expect(await openSilent(gateway.host)).toBe(429);
    expect(await openSilent(gateway.host, 'another guess')).toBe(429);
    // Nor does who shows the right one at once.
    expect(await openSilent(gateway.host, TOKEN)).toBe(undefined);
    // Who is in already does not notice.
    anna.predict('still here');
    await expect.poll(() => gateway.manager.version).toBe(2);
    await anna.reaches(() => gateway.manager.root.hash);
    leap(61e9);
    expect(await openSilent(gateway.host)).toBe(undefined);
  });

  test('there are so many connections and no more, in all and from one address', async () => {
    const all = await startGateway(cleanups, {}, { limits: { connections: 2 } });
    const one = await startGateway(cleanups, {}, { limits: { perAddress: 2 } });
    for (const { host } of [all, one]) {
      const answers = [await openSilent(host), await openSilent(host), await openSilent(host)];
      expect(answers).toEqual([undefined, undefined, 503]);
    }
  });

  test('a stranger that talks without HELLO is sent away', async () => {
    const gateway = await startGateway(cleanups);
    const { connection } = await rawStream(cleanups, gateway.host);
    const ended = found(gateway.hub, ({ body }) => body.kind === 'log' && body.text.includes('HELLO_MISSING'));
    const standing = { version: 1, progress: 0, root: stateHash('0'.repeat(16)) };
    const [heartbeat] = new BinaryCodec(replicaId('anna')).encode({ type: 'HEARTBEAT', ...standing });
    const posted = await fetch(`http://${gateway.host}${SSE_MESSAGES_PATH}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKEN}`, [SSE_CONNECTION_HEADER]: connection },
      body: packFrames([heartbeat!]),
    });
    expect(posted.status).toBe(204);
    await ended;
  });

  test('a request that trickles in is not waited for', async () => {
    const { host } = await startGateway(cleanups);
    const [name, port] = host.split(':');
    const status = await new Promise<number | string>((resolve) => {
      const slow = request({
        host: name,
        port,
        method: 'POST',
        path: SSE_MESSAGES_PATH,
        headers: { 'content-length': 1e9 },
      });
      cleanups.push(() => slow.destroy());
      slow.on('response', (response) => resolve(response.statusCode ?? 0));
      slow.on('error', (error) => resolve(error.message));
      slow.write('x');
    });
    expect(status).toBe(413);
  });
});
