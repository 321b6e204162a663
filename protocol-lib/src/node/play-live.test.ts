import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { StateRoot } from '../merkle/index.ts';
import type { PlayScript } from '../replay/index.ts';
import { TRACE_VERSION } from '../trace/index.ts';
import { playLive } from './play-live.ts';
import { server as authority } from './testing.ts';

const cleanups: Array<() => void> = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

/** Of nobody who does anything. */
const script: PlayScript = {
  header: {
    sessionId: 'played',
    title: 'Played',
    scenario: 'none',
    traceVersion: TRACE_VERSION,
    protocolVersion: 1,
    startedAt: 0,
    authority,
    build: 'test',
  },
  authority,
  clients: [],
  start: {
    kind: 'snapshot',
    seq: 1,
    reason: 'attach',
    version: 1,
    records: [],
    root: StateRoot.empty.hash,
    vector: [],
  },
  actions: [],
  roots: new Map(),
  ownRoots: new Map(),
  commits: [],
  settled: new Map(),
  hasViews: false,
  isPartial: false,
  undecided: 0,
};

/** A server that answers in its own way; its address. */
async function answering(answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test.each<[string, RequestListener]>([
  [
    'ends in the middle of its status',
    (_, response) => {
      response.writeHead(200, { 'content-length': 100 }).write('{', () => response.destroy());
    },
  ],
  ['never ends its status', (_, response) => void response.writeHead(200).write('{')],
  ['says nothing', () => undefined],
])('a server that %s is one that does not answer', async (_, answer) => {
  const url = `ws://${await answering(answer)}`;
  await expect(playLive(script, { url, token: 'abc', patience: 300 })).rejects.toMatchObject({
    code: 'PLAY_UNREACHABLE',
  });
});

test('of a status without end only the beginning is read', async () => {
  let written = 0;
  const host = await answering((request, response) => {
    if (!request.url?.startsWith('/sync/status')) return void response.writeHead(404).end();
    const more = (): void => {
      if (response.destroyed) return;
      written += 65_536;
      response.write('x'.repeat(65_536), () => setImmediate(more));
    };
    more();
  });
  await playLive(script, { url: `ws://${host}/sync#part`, token: 'abc', patience: 20_000 });
  expect(written).toBeLessThan(32 * 1024 * 1024);
});

test.each([
  ['ws://', 'PLAY_URL_INVALID', 'abc'],
  ['ws://127.0.0.1:1/sync', 'PLAY_TOKEN_INVALID', 'a\nb'],
  ['http://127.0.0.1:1', 'PLAY_TOKEN_INVALID', 'a€'],
])('%s is refused as %s', async (url, code, token) => {
  await expect(playLive(script, { url, token, session: 'x' })).rejects.toMatchObject({ code });
});
