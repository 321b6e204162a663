import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { encodeTraceRecord, memorySink, memorySource, openCapture } from '../capture/index.ts';
import type { ByteSink } from '../ports/index.ts';
import { ATTACH_SUBPROTOCOL, decodeObserverFrame, encodeAttachFrame } from '../trace/index.ts';
import { type AttachClose, attach } from './attach-client.ts';
import { recordSession } from './record-session.ts';
import { header, server, startSession, type TestSession } from './testing.ts';

const cleanups: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

function talk(session: TestSession, lines: number): void {
  for (let line = 0; line < lines; line++)
    session.hub.emit(server, { kind: 'log', level: 'info', text: `line ${line}` });
}

test('every record up to the end of the session is in the capture', async () => {
  const session = await startSession(cleanups);
  const sink = memorySink();
  const recording = recordSession(await attach(session), sink);
  talk(session, 2_000);
  await session.close('enough');
  const result = await recording.done;
  expect(result).toMatchObject({ records: 2_001, dropped: 0, close: { kind: 'ended', reason: 'enough' } });
  const info = await (await openCapture(memorySource(sink.bytes()))).info();
  expect(info).toMatchObject({ records: 2_001, kinds: { replica: 1, log: 2_000 }, lost: 0, size: result.size });
  expect(info.cut).toBeUndefined();
});

test('stopping ends the attachment and closes the capture, however often it is asked for', async () => {
  const session = await startSession(cleanups);
  const sink = memorySink();
  const recording = recordSession(await attach(session), sink);
  const [first, second] = await Promise.all([recording.stop(), recording.stop()]);
  expect(first).toBe(second);
  expect(first.close.kind).toBe('left');
  expect((await (await openCapture(memorySource(sink.bytes()))).info()).cut).toBeUndefined();
  await expect.poll(() => session.observers).toBe(0);
});

describe('the end of a recording', () => {
  /** A session that keeps back what happens until it is asked for it, as one does that writes many inputs at once. */
  async function keepingBack() {
    const kept: string[] = [];
    const flush = (): void => {
      for (const text of kept.splice(0)) session.hub.emit(server, { kind: 'log', level: 'info', text });
    };
    const session = await startSession(cleanups, { flush });
    const sink = memorySink();
    const recording = recordSession(await attach(session), sink);
    await expect.poll(() => recording.records).toBe(1);
    return { session, kept, sink, recording };
  }

  async function textsIn(sink: ReturnType<typeof memorySink>): Promise<string[]> {
    const capture = await openCapture(memorySource(sink.bytes()));
    const { records } = await capture.info();
    const texts: string[] = [];
    for (let position = 0; position < records; position++) {
      const { body } = (await capture.record(position)).record;
      if (body.kind === 'log') texts.push(body.text);
    }
    return texts;
  }

  test('that is stopped has all that happened before, also what the session had kept back', async () => {
    const { session, kept, sink, recording } = await keepingBack();
    const other = await attach(session);
    talk(session, 300);
    kept.push('kept back');
    expect((await recording.stop()).close).toEqual({ kind: 'left', reason: 'the observer left' });
    const texts = await textsIn(sink);
    expect(texts).toHaveLength(301);
    expect(texts.at(-1)).toBe('kept back');
    await expect.poll(() => session.observers).toBe(1);
    other.close();
  });

  test('has it also where the signal that asks for it could have ended the attaching', async () => {
    const flush = (): void => {
      session.hub.emit(server, { kind: 'log', level: 'info', text: 'kept back' });
    };
    const session = await startSession(cleanups, { flush });
    const end = new AbortController();
    const { url, token } = session;
    const recording = recordSession(await attach({ url, token, signal: end.signal }), memorySink());
    end.signal.addEventListener('abort', () => recording.stop());
    end.abort();
    expect(await recording.done).toMatchObject({ records: 2, close: { kind: 'left' } });
  });

  test('of the session has that too', async () => {
    const { session, kept, sink, recording } = await keepingBack();
    kept.push('kept back');
    await session.close('enough');
    expect((await recording.done).close).toEqual({ kind: 'ended', reason: 'enough' });
    expect(await textsIn(sink)).toEqual(['kept back']);
  });

  test('comes also where what is kept back cannot be told', async () => {
    const flush = (): void => {
      throw new Error('it is gone');
    };
    const session = await startSession(cleanups, { flush });
    const recording = recordSession(await attach(session), memorySink());
    talk(session, 5);
    expect(await recording.stop()).toMatchObject({ records: 6, close: { kind: 'left' } });
    const second = recordSession(await attach(session), memorySink());
    await session.close('enough');
    expect((await second.done).close.kind).toBe('ended');
  });

  /** A session that answers nothing, as one of an older build where `features` is absent. */
  async function silent(features?: readonly string[]) {
    const endpoint = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => ATTACH_SUBPROTOCOL });
    cleanups.push(() => new Promise((resolve) => endpoint.close(resolve)));
    await once(endpoint, 'listening');
    const asked: unknown[] = [];
    endpoint.on('connection', (socket) => {
      socket.on('message', (data: Buffer) => asked.push(decodeObserverFrame(data)));
      const known = features ? { features: [...features] } : {};
      socket.send(encodeAttachFrame({ type: 'header', header: header(), mayInject: false, targets: [], ...known }));
    });
    const url = `http://127.0.0.1:${(endpoint.address() as AddressInfo).port}`;
    return { endpoint, asked, connection: await attach({ url, token: 'ab' }) };
  }

  test.each([
    ['an older build', undefined],
    ['a build that knows something else', ['rewind']],
  ])('is not asked of %s, which would not understand', async (_, features) => {
    const { asked, connection } = await silent(features);
    const { close, records } = await recordSession(connection, memorySink()).stop();
    expect([close.kind, records, asked]).toEqual(['left', 0, []]);
  });

  test('says how seldom it may be told something, to a session that understands that', async () => {
    const { asked, connection } = await silent(['pace']);
    const recording = recordSession(connection, memorySink());
    await expect.poll(() => asked).toEqual([{ type: 'pace', every: 500 }]);
    await recording.stop();
  });

  test('is not waited for where the session does not answer', async () => {
    const { asked, connection } = await silent(['end']);
    connection.end(1);
    expect((await connection.closed).kind).toBe('left');
    expect(asked.length).toBeLessThanOrEqual(1);
  });

  test('is told as lost where the session goes before it has answered', async () => {
    const { endpoint, asked, connection } = await silent(['end', 'rewind']);
    const recording = recordSession(connection, memorySink());
    const stopped = recording.stop();
    await expect.poll(() => asked).toEqual([{ type: 'end', request: 1 }]);
    for (const socket of endpoint.clients) socket.terminate();
    expect((await stopped).close.kind).toBe('lost');
  });
});

describe('a flush', () => {
  test('brings all that happened up to then, also what the session had kept back, and one stays attached', async () => {
    const kept: string[] = [];
    const flush = (): void => {
      for (const text of kept.splice(0)) session.hub.emit(server, { kind: 'log', level: 'info', text });
    };
    const session = await startSession(cleanups, { flush });
    const connection = await attach(session);
    let records = 0;
    connection.onRecords((some) => {
      records += some.length;
    });
    talk(session, 300);
    kept.push('kept back');
    await connection.flush();
    expect(records).toBe(302);
    talk(session, 1);
    kept.push('kept back again');
    await connection.flush();
    expect(records).toBe(304);
    connection.close();
    await connection.closed;
    await connection.flush();
  });

  test('waits neither for an older build nor for a session that does not answer or has gone', async () => {
    const known = async (features: readonly string[] | undefined) => {
      const endpoint = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols: () => ATTACH_SUBPROTOCOL });
      cleanups.push(async () => {
        for (const socket of endpoint.clients) socket.terminate();
        endpoint.close();
      });
      await once(endpoint, 'listening');
      const asked: unknown[] = [];
      endpoint.on('connection', (socket) => {
        socket.on('message', (data: Buffer) => asked.push(decodeObserverFrame(data)));
        const told = features ? { features: [...features] } : {};
        socket.send(encodeAttachFrame({ type: 'header', header: header(), mayInject: false, targets: [], ...told }));
      });
      const url = `http://127.0.0.1:${(endpoint.address() as AddressInfo).port}`;
      return { endpoint, asked, connection: await attach({ url, token: 'ab' }) };
    };
    const old = await known(['end']);
    await old.connection.flush();
    expect(old.asked).toEqual([]);
    const silent = await known(['flush']);
    await silent.connection.flush(1);
    const waiting = silent.connection.flush(600_000);
    await expect.poll(() => silent.asked).toEqual([1, 2].map((request) => ({ type: 'flush', request })));
    for (const socket of silent.endpoint.clients) socket.terminate();
    await waiting;
  });
});

test('a disk that fails ends the recording with the reason, and the session goes on', async () => {
  const session = await startSession(cleanups);
  let room = 3;
  const full: ByteSink = {
    async write() {
      if (room-- === 0) throw new Error('no space left on device');
    },
    flush: () => undefined,
    close: () => undefined,
  };
  const recording = recordSession(await attach(session), full);
  // More than a chunk holds, several times.
  for (let round = 0; round < 10; round++) {
    session.hub.emit(server, { kind: 'log', level: 'info', text: 'x'.repeat(9_000) });
    talk(session, 5_000);
  }
  await expect(recording.done).rejects.toMatchObject({
    code: 'CAPTURE_WRITE_FAILED',
    message: expect.stringContaining('no space left on device'),
  });
  await expect.poll(() => session.observers).toBe(0);
  const other = await attach(session);
  other.close();
});

test('a disk that is too slow costs records, which are counted where they are missing, and never holds the session up', async () => {
  const session = await startSession(cleanups);
  const sink = memorySink();
  let goOn = (): void => undefined;
  const stuck = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  let writes = 0;
  const slow: ByteSink = {
    ...sink,
    // The header and the first chunks go, then nothing for a while.
    async write(bytes) {
      if (++writes > 2) await stuck;
      sink.write(bytes);
    },
  };
  const recording = recordSession(await attach(session), slow, { maxQueueBytes: 400_000 });
  for (let round = 0; round < 100; round++) {
    session.hub.emit(server, { kind: 'log', level: 'info', text: 'x'.repeat(9_000) });
    // So that the attachment itself is never what is too slow.
    if (round % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await expect.poll(() => recording.records).toBeGreaterThan(40);
  await session.close('enough');
  goOn();
  const { dropped, records } = await recording.done;
  expect(dropped).toBeGreaterThan(0);
  const capture = await openCapture(memorySource(sink.bytes()));
  const info = await capture.info();
  expect(info).toMatchObject({ records, lost: dropped, kinds: { gap: 1 } });
  // What is there and what is counted as missing are all that was told.
  expect(records - 1 + dropped).toBe(101);
  const { markers } = await capture.markers({ from: 0, to: Number.MAX_SAFE_INTEGER }, 10);
  expect(markers.map(({ kind }) => kind)).toContain('gap');
});

describe('a session that tells what cannot be read', () => {
  const log = (seq: number): Uint8Array =>
    encodeTraceRecord({
      seq,
      time: seq,
      replica: server,
      cause: [],
      body: { kind: 'log', level: 'info', text: `line ${seq}` },
    });
  const junk = Uint8Array.of(0xc1, 0xc1);

  async function recorded(records: readonly Uint8Array[], maxQueueBytes?: number) {
    const session = await startSession(cleanups);
    const { header } = await attach(session);
    const sink = memorySink();
    let end: (close: AttachClose) => void = () => undefined;
    const closed = new Promise<AttachClose>((resolve) => {
      end = resolve;
    });
    const connection = {
      header,
      mayInject: false,
      targets: [],
      closed,
      onRecords: (listener: (records: readonly Uint8Array[]) => void) => listener(records),
      inject: () => Promise.resolve(),
      pace: () => undefined,
      flush: () => Promise.resolve(),
      end: () => undefined,
      close: () => undefined,
    };
    const recording = recordSession(connection, sink, maxQueueBytes === undefined ? {} : { maxQueueBytes });
    end({ kind: 'lost', reason: 'it broke' });
    const result = await recording.done;
    const { lost, kinds, cut } = await (await openCapture(memorySource(sink.bytes()))).info();
    return { dropped: result.dropped, lost, kinds, cut };
  }

  test('is recorded around it, with each record that is missing counted once', async () => {
    const told = [log(1), log(2), junk, junk, junk, log(6), junk, log(8)];
    expect(await recorded(told)).toEqual({ dropped: 4, lost: 4, kinds: { log: 4, gap: 3 }, cut: undefined });
  });

  test('from the beginning or to the end, too', async () => {
    expect(await recorded([junk, junk, log(3)])).toMatchObject({ dropped: 2, lost: 2, cut: undefined });
    expect(await recorded([log(1), junk, junk])).toMatchObject({ dropped: 2, lost: 2, cut: undefined });
    expect(await recorded([junk])).toMatchObject({ dropped: 1, lost: 0, cut: undefined });
  });

  test('ends with a whole capture, though what came last when nothing more was taken cannot be read', async () => {
    expect(await recorded([log(1), log(2), log(3), junk], 0)).toMatchObject({ dropped: 4, cut: undefined });
  });
});
