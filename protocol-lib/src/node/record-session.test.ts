import { afterEach, describe, expect, test } from 'vitest';
import { encodeTraceRecord, memorySink, memorySource, openCapture } from '../capture/index.ts';
import type { ByteSink } from '../ports/index.ts';
import { type AttachClose, attach } from './attach-client.ts';
import { recordSession } from './record-session.ts';
import { server, startSession, type TestSession } from './testing.ts';

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
