import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type IncomingHttpHeaders, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { attach, type Inspectable, inspectable, monotonicClock } from '@syncscope/protocol/node';
import { replicaId } from '@syncscope/protocol/state';
import {
  ATTACH_SUBPROTOCOL,
  decodeServerFrame,
  type FaultSpec,
  TRACE_VERSION,
  TraceHub,
} from '@syncscope/protocol/trace';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parsePageFragment } from './address.ts';
import { type InspectorServer, type Subject, serveInspector } from './serve.ts';

const server = replicaId('server');
const target = replicaId('bot-1');
const captureBytes = Buffer.from(Array.from({ length: 1_000 }, (_, index) => index % 251));

let folder: string;
const cleanups: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'syncscope-host-'));
  await writeFile(join(folder, 'index.html'), '<!doctype html><title>inspector</title>');
  await writeFile(join(folder, 'a.mcap'), captureBytes);
  process.env.SYNCSCOPE_SESSIONS_DIR = join(folder, 'sessions');
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await rm(folder, { recursive: true, force: true });
});

async function host(subject: Subject): Promise<InspectorServer> {
  const opened = await serveInspector(subject, { page: folder });
  cleanups.push(() => opened.close());
  return opened;
}

async function session(faults: FaultSpec[] = []): Promise<Inspectable> {
  const hub = new TraceHub(monotonicClock);
  const opened = await inspectable({
    hub,
    header: {
      sessionId: 'one',
      title: 'One',
      scenario: 'none',
      traceVersion: TRACE_VERSION,
      protocolVersion: 1,
      startedAt: 1_700_000_000_000,
      authority: server,
      build: 'test',
    },
    describe: () => void hub.emit(server, { kind: 'replica', role: 'server' }),
    targets: () => [target],
    injectFault: (spec) => void faults.push(spec),
  });
  cleanups.push(() => opened.close());
  return opened;
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

function ask(url: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { method, headers, agent: false }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(parts) }),
      );
    });
    asked.on('error', reject);
    asked.end();
  });
}

function tokenIn(pageUrl: string): string {
  const address = parsePageFragment(new URL(pageUrl).hash);
  if (!address) throw new Error(`no token in ${pageUrl}`);
  return address.token;
}

function bearer(pageUrl: string): Record<string, string> {
  return { Authorization: `Bearer ${tokenIn(pageUrl)}` };
}

function code(answer: Answer): string {
  return (JSON.parse(answer.body.toString()) as { error: { code: string } }).error.code;
}

describe('a capture file', () => {
  it('is named in the fragment and served by ranges', async () => {
    const { url, pageUrl } = await host({ kind: 'file', path: join(folder, 'a.mcap') });
    expect(parsePageFragment(new URL(pageUrl).hash)?.show).toEqual({ kind: 'file', name: 'a.mcap' });
    const capture = `${url}/capture`;
    const head = await ask(capture, bearer(pageUrl), 'HEAD');
    expect([head.status, head.headers['content-length'], head.headers['accept-ranges'], head.body.length]).toEqual([
      200,
      '1000',
      'bytes',
      0,
    ]);
    const part = await ask(capture, { ...bearer(pageUrl), Range: 'bytes=10-19' });
    expect([part.status, part.headers['content-range']]).toEqual([206, 'bytes 10-19/1000']);
    expect(part.body).toEqual(captureBytes.subarray(10, 20));
    expect((await ask(capture, { ...bearer(pageUrl), Range: 'bytes=1000-' })).status).toBe(416);
    expect((await ask(capture, bearer(pageUrl))).body).toEqual(captureBytes);
  });

  it('is read in many ranges without leaving anything behind', async () => {
    const { url, pageUrl } = await host({ kind: 'file', path: join(folder, 'a.mcap') });
    const warnings: string[] = [];
    const onWarning = (warning: Error): number => warnings.push(warning.name);
    process.on('warning', onWarning);
    for (let from = 0; from < 40; from++) {
      const part = await ask(`${url}/capture`, { ...bearer(pageUrl), Range: `bytes=${from}-${from}` });
      expect(part.body).toEqual(captureBytes.subarray(from, from + 1));
    }
    process.off('warning', onWarning);
    expect(warnings).toEqual([]);
  });

  it('is nobody’s without the token, which no page or answer holds', async () => {
    const { url, pageUrl } = await host({ kind: 'file', path: join(folder, 'a.mcap') });
    const missing = await ask(`${url}/capture`);
    expect([missing.status, code(missing)]).toEqual([401, 'ATTACH_TOKEN_MISSING']);
    const inQuery = await ask(`${url}/capture?token=${tokenIn(pageUrl)}`);
    expect(inQuery.status).toBe(401);
    const wrong = await ask(`${url}/capture`, { Authorization: `Bearer ${'0'.repeat(64)}` });
    expect([wrong.status, code(wrong)]).toEqual([401, 'ATTACH_TOKEN_WRONG']);
    const page = await ask(`${url}/`);
    expect(page.status).toBe(200);
    expect(JSON.stringify(page.headers) + page.body.toString()).not.toContain(tokenIn(pageUrl));
    expect(page.headers['content-security-policy']).toContain("default-src 'none'");
  });

  it('is refused to strangers', async () => {
    const { url, pageUrl } = await host({ kind: 'file', path: join(folder, 'a.mcap') });
    const rebound = await ask(`${url}/capture`, { ...bearer(pageUrl), Host: 'evil.example' });
    expect([rebound.status, code(rebound)]).toEqual([403, 'ATTACH_HOST_REJECTED']);
    const foreign = await ask(`${url}/capture`, { ...bearer(pageUrl), Origin: 'http://localhost.evil.example' });
    expect([foreign.status, code(foreign)]).toEqual([403, 'ATTACH_ORIGIN_REJECTED']);
    expect((await ask(`${url}/capture`, bearer(pageUrl), 'DELETE')).status).toBe(405);
  });

  it('that is not there is refused before anything is served', async () => {
    for (const path of [join(folder, 'missing.mcap'), folder]) {
      await expect(serveInspector({ kind: 'file', path }, { page: folder })).rejects.toMatchObject({
        code: 'FILE_UNREADABLE',
      });
    }
  });
});

describe('a session elsewhere', () => {
  it('is relayed both ways', async () => {
    const faults: FaultSpec[] = [];
    const { url, injectToken } = await session(faults);
    const served = await host({ kind: 'live', target: { url, token: injectToken } });
    const connection = await attach({ url: served.url, token: tokenIn(served.pageUrl) });
    expect([connection.header.sessionId, connection.mayInject]).toEqual(['one', true]);
    const records = await new Promise<readonly Uint8Array[]>((resolve) => connection.onRecords(resolve));
    expect(records.length).toBeGreaterThan(0);
    await connection.inject({ fault: 'drop-delta', target });
    expect(faults).toEqual([{ fault: 'drop-delta', target }]);
    connection.close();
    await connection.closed;
  });

  it('tells its end and its refusals through the relay', async () => {
    const running = await session();
    const served = await host({ kind: 'live', target: { url: running.url, token: running.token } });
    const connection = await attach({ url: served.url, token: tokenIn(served.pageUrl) });
    await running.close('it is over');
    expect(await connection.closed).toEqual({ kind: 'ended', reason: 'it is over' });

    const stale = await host({ kind: 'live', target: { url: running.url, token: running.token } });
    await expect(attach({ url: stale.url, token: tokenIn(stale.pageUrl) })).rejects.toMatchObject({
      code: 'ATTACH_UNREACHABLE',
    });
    const other = await session();
    const wrong = await host({ kind: 'live', target: { url: other.url, token: '0'.repeat(64) } });
    await expect(attach({ url: wrong.url, token: tokenIn(wrong.pageUrl) })).rejects.toMatchObject({
      code: 'ATTACH_TOKEN_WRONG',
    });
  });

  it('ends for its inspectors when the host closes', async () => {
    const running = await session();
    const served = await serveInspector({ kind: 'live', target: running }, { page: folder });
    const connection = await attach({ url: served.url, token: tokenIn(served.pageUrl) });
    await served.close();
    expect(await connection.closed).toEqual({ kind: 'ended', reason: 'the inspector was closed' });
  });
});

describe('the list of sessions', () => {
  it('has what runs, without tokens, and relays the chosen one with the role of its own token', async () => {
    const running = await session();
    const { url, pageUrl, injectPageUrl } = await host({ kind: 'sessions' });
    expect((await ask(`${url}/sessions`)).status).toBe(401);
    const list = await ask(`${url}/sessions`, bearer(pageUrl));
    expect(JSON.parse(list.body.toString())).toMatchObject([{ id: 'one', title: 'One', url: running.url }]);
    expect(list.body.toString()).not.toMatch(/[0-9a-f]{64}/);

    expect(await mayInject(`${url}/inspect/one`, tokenIn(pageUrl))).toBe(false);
    expect(await mayInject(`${url}/inspect/one`, tokenIn(injectPageUrl))).toBe(true);
    await expect(mayInject(`${url}/inspect/two`, tokenIn(pageUrl))).rejects.toThrow();
    await expect(mayInject(`${url}/inspect/one`, '0'.repeat(64))).rejects.toThrow();
  });
});

/** Attaches as the page does and reads from the header frame what it may do. */
async function mayInject(url: string, token: string): Promise<boolean> {
  const socket = new WebSocket(url.replace('http:', 'ws:'), [ATTACH_SUBPROTOCOL, `token.${token}`]);
  socket.binaryType = 'arraybuffer';
  try {
    const frame = await new Promise<ArrayBuffer>((resolve, reject) => {
      socket.addEventListener('message', ({ data }) => resolve(data as ArrayBuffer), { once: true });
      socket.addEventListener('error', () => reject(new Error('refused')), { once: true });
    });
    const message = decodeServerFrame(new Uint8Array(frame));
    if (message.type !== 'header') throw new Error(`a ${message.type} first`);
    return message.mayInject;
  } finally {
    socket.close();
  }
}
