import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { decodeTraceRecord } from '../capture/index.ts';
import { SyncError } from '../errors/index.ts';
import { StateRoot } from '../merkle/index.ts';
import { recordKey, replicaId } from '../state/index.ts';
import {
  ATTACH_SUBPROTOCOL,
  ATTACH_TOKEN_PREFIX,
  emitSends,
  encodeAttachFrame,
  type FaultSpec,
  TraceHub,
  type TraceRecord,
} from '../trace/index.ts';
import { attach } from './attach-client.ts';
import { monotonicClock } from './clock.ts';
import { OBSERVER_QUEUE_MAX, OBSERVERS_MAX } from './observers.ts';
import { codeOf, get, rawAttach, rawRequest, server, startSession, temporaryFolder } from './testing.ts';

const cleanups: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

describe('a page of another site (T1)', () => {
  test.each([
    'https://evil.example',
    'null',
    'http://localhost.evil.example',
    'http://127.0.0.1.evil.example',
    'http://127.0.0.1',
    'https://127.0.0.1:PORT',
  ])('from %s is refused before the upgrade', async (origin) => {
    const { port, token } = await startSession(cleanups);
    const answer = await rawAttach(port, [
      `Host: 127.0.0.1:${port}`,
      `Origin: ${origin.replace('PORT', String(port))}`,
      `Sec-WebSocket-Protocol: ${ATTACH_SUBPROTOCOL}, token.${token}`,
    ]);
    expect(answer.status).toBe(403);
    expect(codeOf(answer)).toBe('ATTACH_ORIGIN_REJECTED');
  });

  test('two origins are refused, even where one is ours', async () => {
    const { port } = await startSession(cleanups);
    const own = `Origin: http://127.0.0.1:${port}`;
    const answer = await rawAttach(port, [`Host: 127.0.0.1:${port}`, own, 'Origin: https://evil.example']);
    expect([answer.status, codeOf(answer)]).toEqual([403, 'ATTACH_ORIGIN_REJECTED']);
  });

  test('our own origin still needs the token, and not in the query', async () => {
    const { port, token } = await startSession(cleanups);
    const headers = [`Host: 127.0.0.1:${port}`, `Origin: http://127.0.0.1:${port}`];
    const answer = await rawAttach(port, headers, `/inspect?token=${token}`);
    expect([answer.status, codeOf(answer)]).toEqual([401, 'ATTACH_TOKEN_MISSING']);
  });

  test('our own origin with the token is let in, and the token is not sent back', async () => {
    const { port, token } = await startSession(cleanups);
    const answer = await rawAttach(port, [
      `Host: localhost:${port}`,
      `Origin: http://localhost:${port}`,
      `Sec-WebSocket-Protocol: ${ATTACH_SUBPROTOCOL}, token.${token}`,
    ]);
    expect(answer.status).toBe(101);
    expect(answer.head).toContain(`Sec-WebSocket-Protocol: ${ATTACH_SUBPROTOCOL}`);
    expect(answer.head).not.toContain(token);
  });
});

describe('a name that leads here (T2)', () => {
  test.each([
    ['evil.example:PORT'],
    ['localhost6:PORT'],
    ['0177.0.0.1:PORT'],
    ['localhost.:PORT'],
    ['127.0.0.1'],
    ['127.0.0.1:PORT, evil.example'],
    [''],
  ])('Host %j is refused, for pages and for attaching', async (host) => {
    const { port, token } = await startSession(cleanups);
    const headers = [`Host: ${host.replace('PORT', String(port))}`, `Authorization: Bearer ${token}`];
    for (const answer of [await rawAttach(port, headers), await rawRequest(port, '/', headers)]) {
      expect([answer.status, codeOf(answer)]).toEqual([403, 'ATTACH_HOST_REJECTED']);
    }
  });

  test('no Host and two of them are refused', async () => {
    const { port } = await startSession(cleanups);
    const ours = `Host: 127.0.0.1:${port}`;
    for (const headers of [[], [ours, ours], [ours, 'Host: evil.example']]) {
      const answer = await rawAttach(port, headers);
      expect([answer.status, codeOf(answer)]).toEqual([403, 'ATTACH_HOST_REJECTED']);
    }
  });

  test.each(['127.0.0.1', 'localhost', '[::1]'])('%s with the port is ours', async (name) => {
    const { port, token } = await startSession(cleanups);
    const answer = await rawAttach(port, [`Host: ${name}:${port}`, `Authorization: Bearer ${token}`]);
    expect(answer.status).toBe(101);
  });
});

describe('tokens (T4)', () => {
  test('the page and its headers do not hold one', async () => {
    const { url, token, injectToken } = await startSession(cleanups);
    for (const path of ['/', '/session', '/inspect', '/nothing']) {
      const { body, headers } = await get(url + path);
      const said = body + JSON.stringify(headers);
      expect(said).not.toContain(token);
      expect(said).not.toContain(injectToken);
    }
  });

  test('a wrong one is refused, the tenth and all after it with 429; a right one is not shut out by who guesses', async () => {
    const { port, token } = await startSession(cleanups);
    const host = `Host: 127.0.0.1:${port}`;
    const statuses: number[] = [];
    for (let attempt = 0; attempt < 10; attempt++) {
      const answer = await rawAttach(port, [host, `Authorization: Bearer ${'0'.repeat(64)}`]);
      expect(codeOf(answer)).toBe('ATTACH_TOKEN_WRONG');
      statuses.push(answer.status);
    }
    expect(statuses).toEqual([...new Array<number>(9).fill(401), 429]);
    const right = await rawAttach(port, [host, `Authorization: Bearer ${token}`]);
    expect(right.status).toBe(101);
    const wrong = await rawAttach(port, [host, `Authorization: Bearer ${'0'.repeat(64)}`]);
    expect([wrong.status, codeOf(wrong)]).toEqual([429, 'ATTACH_TOKEN_WRONG']);
  });

  test('parts, prefixes and other cases of it are wrong', async () => {
    const { port, token } = await startSession(cleanups);
    for (const wrong of [token.slice(0, 63), `${token}0`, token.toUpperCase().replace(/^\d*$/, 'A'), 'é'.repeat(32)]) {
      const answer = await rawAttach(port, [`Host: 127.0.0.1:${port}`, `Authorization: Bearer ${wrong}`]);
      expect([answer.status, codeOf(answer)]).toEqual([401, 'ATTACH_TOKEN_WRONG']);
    }
  });

  test('a refusal reaches the attaching program as a typed error that says what to do', async () => {
    const { url } = await startSession(cleanups);
    const refused = attach({ url, token: 'f'.repeat(64) });
    await expect(refused).rejects.toThrow(SyncError);
    await expect(refused).rejects.toMatchObject({ code: 'ATTACH_TOKEN_WRONG', origin: 'attach' });
    await expect(refused).rejects.toThrow(/use the URL that it printed last/);
  });
});

describe('roles (T5)', () => {
  const target = replicaId('bot-2');

  test('who may observe may not ask for a fault', async () => {
    const asked: FaultSpec[] = [];
    const { url, token } = await startSession(cleanups, {
      targets: () => [target],
      injectFault: (spec) => asked.push(spec),
    });
    const connection = await attach({ url, token });
    expect(connection.mayInject).toBe(false);
    await expect(connection.inject({ fault: 'drop-delta', target })).rejects.toMatchObject({
      code: 'ATTACH_FORBIDDEN',
    });
    expect(asked).toEqual([]);
    connection.close();
  });

  test('who may inject gets its fault, or the reason why not', async () => {
    const asked: FaultSpec[] = [];
    const { url, injectToken } = await startSession(cleanups, {
      targets: () => [target],
      injectFault(spec) {
        if (spec.fault === 'loss') throw new SyncError('FAULT_INVALID', 'no', { origin: 'setting' });
        asked.push(spec);
      },
    });
    const connection = await attach({ url, token: injectToken });
    expect([connection.mayInject, connection.targets]).toEqual([true, [target]]);
    await connection.inject({ fault: 'corrupt', target, key: 'item/key' });
    expect(asked).toEqual([{ fault: 'corrupt', target, key: 'item/key' }]);
    await expect(connection.inject({ fault: 'loss', rate: 7 })).rejects.toMatchObject({ code: 'FAULT_INVALID' });
    connection.close();
  });
});

describe('attaching', () => {
  test('gives the header, then the description, then what happens, in order and without a gap', async () => {
    const { url, token, hub } = await startSession(cleanups);
    const connection = await attach({ url, token });
    expect(connection.header.scenario).toBe('none');
    const seqs: number[] = [];
    const all = new Promise<void>((resolve) => {
      connection.onRecords((records) => {
        for (const bytes of records) seqs.push(decodeTraceRecord(bytes).seq);
        if (seqs.length >= 3_001) resolve();
      });
    });
    for (let count = 0; count < 3_000; count++) hub.emit(server, { kind: 'log', level: 'info', text: `line ${count}` });
    await all;
    expect(seqs).toEqual(Array.from({ length: 3_001 }, (_, index) => index + 1));
    connection.close();
    expect(await connection.closed).toEqual({ kind: 'left', reason: 'the observer left' });
  });

  test('gives a record for each whom a frame was sent to, between the records before and after', async () => {
    const { url, token, hub } = await startSession(cleanups);
    const told: TraceRecord[] = [];
    const seen: TraceRecord[] = [];
    const connection = await attach({ url, token });
    hub.listen((record) => told.push(record));
    const to = Array.from({ length: 200 }, (_, at) => replicaId(`client-${at}`));
    const first = hub.emit(server, { kind: 'log', level: 'info', text: 'before' });
    for (let sequence = 1; sequence <= 50; sequence++) {
      const wire = Uint8Array.of(sequence, 2, 3);
      emitSends(hub, { sender: server, to: to.slice(sequence % 2), type: 'EVENT', sequence }, [first], wire);
    }
    const last = hub.emit(server, { kind: 'log', level: 'info', text: 'after' });
    const all = new Promise<void>((resolve) => {
      connection.onRecords((records) => {
        for (const bytes of records) seen.push(decodeTraceRecord(bytes));
        if (seen.at(-1)?.seq === last) resolve();
      });
    });
    await all;
    expect(seen.filter(({ seq }) => seq >= first)).toEqual(told);
    expect(told).toHaveLength(2 + 25 * 200 + 25 * 199);
    connection.close();
  });

  test('a description larger than the queue reaches the one who asked, and those who were there', async () => {
    const lines = 500;
    const describe = (): void => {
      for (let line = 0; line < lines; line++)
        hub.emit(server, { kind: 'log', level: 'info', text: 'x'.repeat(9_000) });
    };
    const hub = new TraceHub(monotonicClock);
    const session = await startSession(cleanups, { hub, describe });
    expect(lines * 9_000).toBeGreaterThan(4 * OBSERVER_QUEUE_MAX);
    const first = await attach(session);
    const second = await attach(session);
    const counts = [0, 0];
    [first, second].forEach((connection, index) => {
      connection.onRecords((records) => {
        counts[index]! += records.length;
      });
    });
    await expect.poll(() => counts).toEqual([2 * lines, lines]);
    first.close();
    second.close();
  });

  test('reads a record that is larger than the queue', async () => {
    const session = await startSession(cleanups);
    const connection = await attach(session);
    const sizes: number[] = [];
    connection.onRecords((records) => {
      for (const { length } of records) sizes.push(length);
    });
    const record = { text: 'x'.repeat(9_000) };
    const records = Array.from({ length: 300 }, (_, id) => ({ key: recordKey(`page/${id}`), record }));
    const root = StateRoot.from(records.map((one) => [one.key, one.record] as const)).hash;
    for (let version = 1; version <= 3; version++) {
      session.hub.emit(server, { kind: 'snapshot', reason: 'periodic', version, records, root, vector: [] });
    }
    await expect.poll(() => sizes).toHaveLength(4);
    for (const size of sizes.slice(1)) expect(size).toBeGreaterThan(2 * OBSERVER_QUEUE_MAX);
    connection.close();
  });

  test('to a session that cannot be described ends with the reason, and the session goes on', async () => {
    let isEnding = false;
    const describe = (): void => {
      if (isEnding) throw new Error('its replicas are gone');
    };
    const session = await startSession(cleanups, { describe });
    const before = await attach(session);
    isEnding = true;
    const connection = await attach(session);
    const reason = 'the session could not be described: its replicas are gone';
    expect(await connection.closed).toEqual({ kind: 'lost', reason });
    isEnding = false;
    expect(session.observers).toBe(1);
    before.close();
  });

  test('nobody listens once the last observer left', async () => {
    const { url, token, hub } = await startSession(cleanups);
    const connection = await attach({ url, token });
    expect(hub.isOpen).toBe(true);
    connection.close();
    await connection.closed;
    await expect.poll(() => hub.isOpen).toBe(false);
  });

  test('the end of the session is told with its reason', async () => {
    const session = await startSession(cleanups);
    const connection = await attach(session);
    await session.close('the show is over');
    expect(await connection.closed).toEqual({ kind: 'ended', reason: 'the show is over' });
    await expect(connection.inject({ fault: 'loss', rate: 0 })).rejects.toMatchObject({ code: 'ATTACH_CLOSED' });
  });

  test('a record that cannot be encoded becomes a gap, and the session does not notice', async () => {
    const { url, token, hub } = await startSession(cleanups);
    const connection = await attach({ url, token });
    const bad = { kind: 'log', level: 'info', text: undefined } as unknown as {
      kind: 'log';
      level: 'info';
      text: string;
    };
    expect(() => hub.emit(server, bad)).not.toThrow();
    const kinds = await new Promise<string[]>((resolve) => {
      const seen: string[] = [];
      connection.onRecords((records) => {
        for (const bytes of records) seen.push(decodeTraceRecord(bytes).body.kind);
        if (seen.length === 2) resolve(seen);
      });
    });
    expect(kinds).toEqual(['replica', 'gap']);
    connection.close();
  });

  test('a ninth observer is refused, and the eight stay', async () => {
    const session = await startSession(cleanups);
    const connections = await Promise.all(Array.from({ length: OBSERVERS_MAX }, () => attach(session)));
    await expect(attach(session)).rejects.toMatchObject({ code: 'ATTACH_TOO_MANY', retry: 'backoff' });
    expect(session.observers).toBe(OBSERVERS_MAX);
    for (const connection of connections) connection.close();
  });

  test.each([
    ['a text frame', 'hello'],
    ['no msgpack', new Uint8Array([0xc1])],
    ['a depth bomb', new Uint8Array(60_000).fill(0x91)],
    ['another message', new Uint8Array([0x81, 0xa4, 0x74, 0x79, 0x70, 0x65, 0xa1, 0x78])],
    ['too large a frame', new Uint8Array(70_000)],
  ])('%s ends that observer only', async (_, frame) => {
    const session = await startSession(cleanups);
    const other = await attach(session);
    const socket = new WebSocket(`ws://127.0.0.1:${session.port}/inspect`, [
      ATTACH_SUBPROTOCOL,
      `token.${session.token}`,
    ]);
    socket.on('open', () => socket.send(frame));
    const code = await new Promise<number>((resolve) => socket.on('close', resolve));
    expect([4400, 1009]).toContain(code);
    await expect.poll(() => session.observers).toBe(1);
    other.close();
  });

  test('what is no session is told apart from nothing at all', async () => {
    await expect(attach({ url: 'http://127.0.0.1:1', token: 'ab' })).rejects.toMatchObject({
      code: 'ATTACH_UNREACHABLE',
    });
    await expect(attach({ url: 'file:///x', token: 'ab' })).rejects.toMatchObject({ code: 'ATTACH_URL_INVALID' });
    await expect(attach({ url: 'http://127.0.0.1:1', token: 'a b' })).rejects.toMatchObject({
      code: 'ATTACH_TOKEN_WRONG',
    });
    const aborted = AbortSignal.abort();
    await expect(attach({ url: 'http://127.0.0.1:1', token: 'ab', signal: aborted })).rejects.toMatchObject({
      code: 'ATTACH_CLOSED',
    });
  });
});

describe('an observer that never reads (T21)', () => {
  test('is closed as well where what it does not read are answers to itself', async () => {
    const session = await startSession(cleanups);
    const socket = new WebSocket(`${session.url.replace('http', 'ws')}/inspect`, [
      ATTACH_SUBPROTOCOL,
      ATTACH_TOKEN_PREFIX + session.token,
    ]);
    cleanups.push(async () => socket.terminate());
    await once(socket, 'open');
    const asked = encodeAttachFrame({ type: 'fault', request: 1, spec: { fault: 'loss', rate: 1 } });
    socket.pause();
    const asking = setInterval(() => {
      for (let count = 0; count < 5_000 && socket.readyState === WebSocket.OPEN; count++) socket.send(asked);
    }, 10);
    const closed = once(socket, 'close');
    while (session.observers > 0) await new Promise((resolve) => setImmediate(resolve));
    clearInterval(asking);
    socket.resume();
    await closed;
  });

  test('is closed with a reason while the session and the others go on', async () => {
    const session = await startSession(cleanups);
    const reader = await attach(session);
    let read = 0;
    reader.onRecords((records) => {
      read += records.length;
    });
    const sleeper = new WebSocket(`ws://127.0.0.1:${session.port}/inspect`, [
      ATTACH_SUBPROTOCOL,
      `token.${session.token}`,
    ]);
    await new Promise((resolve) => sleeper.on('open', resolve));
    sleeper.pause();
    expect(session.observers).toBe(2);
    let emitted = 0;
    const text = 'x'.repeat(8_000);
    // More than the queue and all that the kernel buffers for a socket; the reader is given time to read on.
    while (session.observers === 2) {
      for (let count = 0; count < 32; count++) {
        session.hub.emit(server, { kind: 'log', level: 'info', text });
        emitted++;
      }
      await new Promise((resolve) => setImmediate(resolve));
      expect(emitted * text.length).toBeLessThan(100 * OBSERVER_QUEUE_MAX);
    }
    const closing = new Promise<[number, string]>((resolve) => {
      sleeper.on('close', (code, reason) => resolve([code, String(reason)]));
    });
    sleeper.resume();
    const [code, reason] = await closing;
    expect([code, reason]).toEqual([4408, expect.stringContaining('too slow')]);
    await expect.poll(() => read).toBe(emitted + 2);
    reader.close();
  });
});

describe('the page', () => {
  test('is served with a policy that lets it load nothing from elsewhere', async () => {
    const folder = await temporaryFolder(cleanups);
    await mkdir(join(folder, 'assets'));
    await writeFile(join(folder, 'index.html'), '<title>inspector</title>');
    await writeFile(join(folder, 'assets/main.js'), 'run()');
    const { url, port } = await startSession(cleanups, { assets: folder });
    const page = await get(`${url}/`);
    expect([page.status, page.body]).toEqual([200, '<title>inspector</title>']);
    expect(page.headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'x-content-type-options': 'nosniff',
      'content-security-policy': expect.stringContaining("default-src 'none'; script-src 'self';"),
    });
    expect(page.headers['content-security-policy']).toContain(`connect-src 'self' ws://127.0.0.1:${port};`);
    expect(page.headers['content-security-policy']).not.toContain('unsafe');
    const script = await get(`${url}/assets/main.js?v=1`);
    expect([script.body, script.headers['content-type']]).toEqual(['run()', 'text/javascript; charset=utf-8']);
  });

  test.each([
    '/../secret.txt',
    '/assets/../../secret.txt',
    '/%2e%2e/secret.txt',
    '/..%2fsecret.txt',
    '/..\\secret.txt',
    '//etc/passwd',
    '/index.html%00.js',
  ])('%s leads nowhere', async (path) => {
    const outside = await temporaryFolder(cleanups);
    await mkdir(join(outside, 'page'));
    await writeFile(join(outside, 'secret.txt'), 'secret');
    const { port } = await startSession(cleanups, { assets: join(outside, 'page') });
    const answer = await rawRequest(port, path, [`Host: 127.0.0.1:${port}`, 'Connection: close']);
    expect(answer.status).toBe(404);
    expect(answer.body).not.toContain('secret');
  });

  test('says how to get it where it was not built', async () => {
    const { url } = await startSession(cleanups);
    expect((await get(`${url}/`)).body).toContain('npm run build');
  });
});

test('a socket that says nothing, or not HTTP, harms nobody, and close does not wait for it', async () => {
  const session = await startSession(cleanups);
  const silent = connect(session.port, '127.0.0.1');
  const rude = connect(session.port, '127.0.0.1');
  rude.on('error', () => undefined);
  silent.on('error', () => undefined);
  rude.resume();
  rude.write(new Uint8Array(1_000).fill(0xff));
  await new Promise((resolve) => rude.on('close', resolve));
  const connection = await attach(session);
  connection.close();
  await session.close();
  silent.destroy();
});
