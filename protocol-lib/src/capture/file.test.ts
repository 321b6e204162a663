import { zstdCompressSync } from 'node:zlib';
import { McapIndexedReader, McapStreamReader, McapWriter } from '@mcap/core';
import { Unpackr } from 'msgpackr';
import { describe, expect, test } from 'vitest';
import { isSyncError } from '../errors/index.ts';
import { zstdCompression, zstdDecompression } from '../node/compression.ts';
import { replicaId } from '../state/index.ts';
import { TRACE_VERSION, type TraceHeader, type TraceRecord } from '../trace/index.ts';
import { type Compression, noCompression } from './compression.ts';
import type { OpenCapture } from './engine.ts';
import { memorySink, memorySource } from './memory-bytes.ts';
import { openCapture } from './reader.ts';
import { decodeTraceRecord, encodeTraceRecord } from './record-codec.ts';
import { coinRecording, fileOf } from './testing.test-helper.ts';
import { CaptureWriter } from './writer.ts';

const header: TraceHeader = {
  sessionId: 's1',
  title: 'Small',
  scenario: 'none',
  traceVersion: TRACE_VERSION,
  protocolVersion: 1,
  startedAt: 1,
  authority: replicaId('server'),
  build: 'test',
};

/** Tens of thousands of files are opened; on a machine that is busy with other tests, too. */
const EVERY_BIT_MS = 120_000;

/** Three chunks of three records. */
async function smallFile(compression: Compression = noCompression, hasIndex = true): Promise<Uint8Array> {
  const sink = memorySink();
  const writer = new CaptureWriter(sink, header, { compression, hasIndex });
  for (let seq = 1; seq <= 9; seq++) {
    const text = `line ${seq} ${'.'.repeat(20)}`;
    const record: TraceRecord = {
      seq,
      time: seq * 1_000,
      replica: replicaId(seq % 2 ? 'server' : 'bot-1'),
      cause: [],
      body: { kind: 'log', level: 'info', text },
    };
    writer.append(encodeTraceRecord(record));
    if (seq % 3 === 0) await writer.flush();
  }
  await writer.end();
  return sink.bytes();
}

async function recordsOf(capture: OpenCapture): Promise<TraceRecord[]> {
  const records: TraceRecord[] = [];
  for await (const { record } of capture.trace()) records.push(record);
  return records;
}

async function opened(bytes: Uint8Array, index: 'auto' | 'always' = 'auto'): Promise<OpenCapture | string> {
  try {
    return await openCapture(memorySource(bytes), { index });
  } catch (error) {
    if (!isSyncError(error)) throw error;
    return error.code;
  }
}

/** What can be read of the records, in order; of a capture opened by its index, damage comes to light here. */
async function readableRecords(capture: OpenCapture): Promise<TraceRecord[]> {
  const records: TraceRecord[] = [];
  const { records: count } = await capture.info();
  for (let position = 0; position < count; position++) {
    try {
      records.push((await capture.record(position)).record);
    } catch (error) {
      if (!isSyncError(error)) throw error;
    }
  }
  return records;
}

describe('a file that is opened by its index', () => {
  test('cut at any byte, opens up to its last whole chunk and says so', async () => {
    const bytes = await smallFile();
    const whole = await recordsOf((await opened(bytes, 'always')) as OpenCapture);
    for (let length = 0; length < bytes.length; length++) {
      const capture = await opened(bytes.subarray(0, length), 'always');
      if (typeof capture === 'string') continue;
      const records = await recordsOf(capture);
      expect([length, records, (await capture.info()).cut !== undefined]).toEqual([
        length,
        whole.slice(0, records.length),
        true,
      ]);
    }
  });

  test(
    'with one bit flipped, is found out when what is damaged is read, or says the same',
    async () => {
      const bytes = await smallFile();
      const whole = (await recordsOf((await opened(bytes)) as OpenCapture)).map((one) => JSON.stringify(one));
      const silent: string[] = [];
      // Every third bit: with the bits of a byte being eight, each byte is met, and each place in a byte.
      for (let bit = 0; bit < bytes.length * 8; bit += 3) {
        const flipped = bytes.slice();
        flipped[bit >> 3]! ^= 1 << (bit & 7);
        const capture = await opened(flipped, 'always');
        if (typeof capture === 'string') continue;
        const records = (await readableRecords(capture)).map((one) => JSON.stringify(one));
        const info = await capture.info();
        const isSame = JSON.stringify(info.header) === JSON.stringify(header) && records.length === whole.length;
        const isPart = records.every((record) => whole.includes(record));
        if (!isPart || (info.cut === undefined && !isSame)) silent.push(`bit ${bit}: ${records.length} records`);
      }
      expect(silent).toEqual([]);
    },
    EVERY_BIT_MS,
  );
});

for (const compression of [noCompression, zstdCompression]) {
  describe(`a file with ${compression.name || 'no'} compression`, () => {
    test('holds the records of a session, in order', async () => {
      const recording = coinRecording();
      const capture = await openCapture(memorySource(await fileOf(recording, { compression })));
      const info = await capture.info();
      expect(info.header).toEqual(recording.header);
      expect(info.cut).toBeUndefined();
      expect(await recordsOf(capture)).toEqual(recording.records);
    });

    test('cut at any byte, opens up to its last whole chunk and says so', async () => {
      const bytes = await smallFile(compression);
      const whole = await recordsOf((await opened(bytes)) as OpenCapture);
      let longest = 0;
      for (let length = 0; length < bytes.length; length++) {
        const capture = await opened(bytes.subarray(0, length));
        if (typeof capture === 'string') {
          expect(['CAPTURE_EMPTY', 'CAPTURE_NOT_MCAP', 'CAPTURE_CUT_TOO_EARLY']).toContain(capture);
          expect(longest).toBe(0);
          continue;
        }
        const records = await recordsOf(capture);
        const { cut } = await capture.info();
        const isStart = JSON.stringify(records) === JSON.stringify(whole.slice(0, records.length));
        expect([length, isStart, records.length % 3, records.length >= longest, cut !== undefined]).toEqual([
          length,
          true,
          0,
          true,
          true,
        ]);
        longest = records.length;
      }
      expect(longest).toBe(9);
    });

    test(
      'with any one bit flipped, is found out or says the same',
      async () => {
        const bytes = await smallFile(compression, false);
        const whole = (await recordsOf((await opened(bytes)) as OpenCapture)).map((one) => JSON.stringify(one));
        const silent: string[] = [];
        // Unpacking is slow where it goes wrong: of a compressed file every seventh bit, which is one of every byte.
        const step = compression.name === 'zstd' ? 7 : 1;
        for (let bit = 0; bit < bytes.length * 8; bit += step) {
          const flipped = bytes.slice();
          flipped[bit >> 3]! ^= 1 << (bit & 7);
          const capture = await opened(flipped);
          if (typeof capture === 'string') continue;
          const info = await capture.info();
          const records = (await recordsOf(capture)).map((one) => JSON.stringify(one));
          // What is left out is left out whole: no record is ever another than it was.
          const isSame = JSON.stringify(info.header) === JSON.stringify(header) && records.length === whole.length;
          const isPart = records.every((record) => whole.includes(record));
          if (!isPart || (info.cut === undefined && !isSame)) silent.push(`bit ${bit}: ${records.length} records`);
        }
        expect(silent).toEqual([]);
      },
      EVERY_BIT_MS,
    );
  });
}

test('a damaged chunk in the middle is left out and counted, and the rest is there', async () => {
  const bytes = await smallFile();
  const at = new TextDecoder('latin1').decode(bytes).indexOf('line 5');
  bytes[at]! ^= 4;
  const capture = (await opened(bytes)) as OpenCapture;
  const info = await capture.info();
  expect(info.records).toBe(6);
  expect(info.lost).toBe(3);
  expect(info.cut?.message).toMatch(/checksum does not match.*3 are missing/);
  expect((await recordsOf(capture)).map((record) => record.seq)).toEqual([1, 2, 3, 7, 8, 9]);
  const { markers } = await capture.markers({ from: 0, to: 1e12 }, 10);
  expect(markers).toMatchObject([{ kind: 'gap', position: 3 }]);
});

test('chunks are at most 256 KiB or a second', async () => {
  const sink = memorySink();
  const writer = new CaptureWriter(sink, header);
  for (let seq = 1; seq <= 3_000; seq++) {
    const body = { kind: 'log', level: 'info', text: 'x'.repeat(400) } as const;
    const record = { seq, time: seq * 1_000_000, replica: replicaId('server'), cause: [], body };
    writer.append(encodeTraceRecord(record));
  }
  await writer.end();
  const reader = await McapIndexedReader.Initialize({ readable: readable(sink.bytes()) });
  expect(reader.chunkIndexes.length).toBeGreaterThan(3);
  for (const chunk of reader.chunkIndexes) {
    expect(Number(chunk.uncompressedSize)).toBeLessThanOrEqual(256 * 1024);
  }
  for await (const { logTime, publishTime } of reader.readMessages())
    expect(Number(logTime - publishTime)).toBeLessThanOrEqual(1e9);
});

function readable(bytes: Uint8Array) {
  return {
    size: () => Promise.resolve(BigInt(bytes.length)),
    read: (offset: bigint, size: bigint) => Promise.resolve(bytes.slice(Number(offset), Number(offset + size))),
  };
}

test('the reference library reads the file, by its index and as a stream', async () => {
  const recording = coinRecording();
  const bytes = await fileOf(recording);
  const reader = await McapIndexedReader.Initialize({ readable: readable(bytes) });
  expect(reader.header.profile).toBe('syncscope');
  expect(reader.statistics?.messageCount).toBe(BigInt(reader.chunkIndexes.length));
  expect([...reader.channelsById.values()].map((channel) => channel.topic)).toEqual(['trace']);
  const records: TraceRecord[] = [];
  for await (const { data, sequence, publishTime, logTime } of reader.readMessages()) {
    const batch = recordsInMessage(data);
    records.push(...batch);
    expect([sequence, publishTime, logTime]).toEqual([
      batch[0]?.seq,
      BigInt(batch[0]?.time ?? -1),
      BigInt(batch.at(-1)?.time ?? -1),
    ]);
  }
  expect(records).toEqual(recording.records);
  const stream = new McapStreamReader({ validateCrcs: true });
  stream.append(bytes);
  const streamed: TraceRecord[] = [];
  for (let record = stream.nextRecord(); record; record = stream.nextRecord())
    if (record.type === 'Message') streamed.push(...recordsInMessage(record.data));
  expect(stream.done()).toBe(true);
  expect(streamed).toEqual(recording.records);
});

/** A message as the format's page tells it, by another msgpack. */
function recordsInMessage(data: Uint8Array): TraceRecord[] {
  return (new Unpackr().unpack(data) as Uint8Array[]).map((bytes) => decodeTraceRecord(bytes));
}

describe('what is no capture is refused by name', () => {
  const cases: [string, Uint8Array, string, RegExp][] = [
    ['zero bytes', new Uint8Array(0), 'CAPTURE_EMPTY', /zero bytes/],
    ['a JPEG', Uint8Array.from([0xff, 0xd8, 0xff, 0xe0, ...new Uint8Array(500)]), 'CAPTURE_NOT_MCAP', /JPEG/],
    [
      'text',
      new TextEncoder().encode('hello, this is a text file'),
      'CAPTURE_NOT_MCAP',
      /text that begins with "hello/,
    ],
    ['noise', Uint8Array.from({ length: 64 }, (_, at) => (at * 37 + 128) & 0xff), 'CAPTURE_NOT_MCAP', /bytes 80 a5/],
  ];
  test.each(cases)('%s', async (_, bytes, code, message) => {
    await expect(openCapture(memorySource(bytes))).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  test('an MCAP file of another profile', async () => {
    const parts: Uint8Array[] = [];
    let position = 0n;
    const writer = new McapWriter({
      writable: {
        position: () => position,
        write(bytes) {
          parts.push(bytes);
          position += BigInt(bytes.length);
          return Promise.resolve();
        },
      },
    });
    await writer.start({ profile: 'ros2', library: 'x' });
    await writer.end();
    const bytes = Uint8Array.from(parts.flatMap((part) => [...part]));
    await expect(openCapture(memorySource(bytes))).rejects.toMatchObject({ code: 'CAPTURE_NOT_SYNCSCOPE' });
  });

  test('a newer trace version', async () => {
    const sink = memorySink();
    await new CaptureWriter(sink, { ...header, traceVersion: TRACE_VERSION + 1 }).end();
    await expect(openCapture(memorySource(sink.bytes()))).rejects.toMatchObject({ code: 'CAPTURE_TOO_NEW' });
  });
});

describe('a chunk that asks for too much', () => {
  /** A file whose one chunk says that it holds `size` bytes and has these compressed ones. */
  async function withChunk(compression: string, size: bigint, records: Uint8Array): Promise<Uint8Array> {
    const { McapRecordBuilder } = await import('@mcap/core');
    const sink = memorySink();
    await new CaptureWriter(sink, header).flush();
    const start = sink.bytes();
    const builder = new McapRecordBuilder();
    builder.writeChunk({
      messageStartTime: 0n,
      messageEndTime: 0n,
      uncompressedSize: size,
      uncompressedCrc: 1,
      compression,
      records,
    });
    return Uint8Array.from([...start, ...builder.buffer]);
  }

  test('2^40 bytes', async () => {
    expect(await opened(await withChunk('zstd', 2n ** 40n, new Uint8Array(10)))).toBe('CHUNK_TOO_LARGE');
  });

  test('a small bomb that says its size', async () => {
    const bomb = zstdCompressSync(new Uint8Array(32 * 1024 * 1024));
    expect(bomb.length).toBeLessThan(4_096);
    expect(await opened(await withChunk('zstd', 32n * 1024n * 1024n, bomb))).toBe('RATIO_LIMIT');
  });

  test('a small bomb that lies about its size', async () => {
    const bomb = zstdCompressSync(new Uint8Array(32 * 1024 * 1024));
    const before = process.memoryUsage().arrayBuffers;
    const capture = await opened(await withChunk('zstd', 100n, bomb));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * 1024 * 1024);
    if (typeof capture === 'string') expect(capture).toBe('RATIO_LIMIT');
    else expect((await capture.info()).cut?.message).toMatch(/another number of bytes/);
  });

  test('run-length blocks without an end in sight', async () => {
    // Single segment off, no content size: window descriptor only, then 40 blocks of 128 KiB of one byte.
    const blocks = Array.from({ length: 40 }, (_, at) => {
      const head = (131_072 << 3) | (1 << 1) | (at === 39 ? 1 : 0);
      return [head & 0xff, (head >> 8) & 0xff, head >> 16, 0];
    }).flat();
    const bomb = Uint8Array.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0x58, ...blocks]);
    expect(bomb.length).toBeLessThan(170);
    expect(await opened(await withChunk('zstd', 4_000n, bomb))).toBe('RATIO_LIMIT');
  });

  test('an unknown compression is damage, not a crash', async () => {
    const capture = (await opened(await withChunk('lz9', 10n, new Uint8Array(10)))) as OpenCapture;
    expect((await capture.info()).cut?.message).toMatch(/known: zstd/);
  });
});

test('Node unpacks what the portable way unpacks, and refuses what it refuses', async () => {
  const recording = coinRecording(undefined, { length: 3_000 });
  const bytes = await fileOf(recording, { compression: zstdCompression });
  const capture = await openCapture(memorySource(bytes), { decompressZstd: zstdDecompression });
  expect(await recordsOf(capture)).toEqual(recording.records);
  expect(() => zstdDecompression(zstdCompressSync(new Uint8Array(10_000)), 100)).toThrow();
});

test('opening can be stopped, and tells how far it is', async () => {
  const bytes = await fileOf(coinRecording());
  const told: number[] = [];
  await openCapture(memorySource(bytes), { onProgress: (done, total) => told.push(done / total) });
  expect(told.at(-1)).toBe(1);
  expect(told.length).toBeGreaterThan(2);
  const controller = new AbortController();
  controller.abort();
  await expect(openCapture(memorySource(bytes), { signal: controller.signal })).rejects.toMatchObject({
    code: 'ABORTED',
  });
});

test('a failed write is told by the next flush, and what came before is there', async () => {
  const sink = memorySink();
  let isFull = false;
  const writer = new CaptureWriter(
    { ...sink, write: (bytes) => (isFull ? Promise.reject(new Error('disk full')) : sink.write(bytes)) },
    header,
  );
  const { encoded } = coinRecording(undefined, { length: 1_500 });
  for (const record of encoded.slice(0, 50)) writer.append(record);
  await writer.flush();
  isFull = true;
  writer.append(encoded[50]!);
  await expect(writer.flush()).rejects.toThrow('disk full');
  const capture = await openCapture(memorySource(sink.bytes()));
  expect((await capture.info()).records).toBe(50);
});
