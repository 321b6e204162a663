import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { McapStreamReader, McapWriter } from '@mcap/core';
import {
  CaptureWriter,
  type Compression,
  encodeTraceRecord,
  memorySink,
  type OpenCapture,
  type OpenCaptureOptions,
  openCapture,
} from '@syncscope/protocol/capture';
import { StateRoot } from '@syncscope/protocol/merkle';
import { fileSink, fileSource, zstdCompression, zstdDecompression } from '@syncscope/protocol/node';
import { seededRandom } from '@syncscope/protocol/ports';
import { type Change, recordKey, replicaId, type SyncRecord } from '@syncscope/protocol/state';
import { TRACE_VERSION, type TraceBody, type TraceHeader } from '@syncscope/protocol/trace';
import type { Bench, Figure } from './types.ts';

/**
 * Writing, scanning, opening and seeking in a capture of a million records of about 200 bytes: an authority and
 * four clients, a version every 100 ms with two changed records of a hundred, real root hashes. The peer is
 * `@mcap/core` with payloads of the same length that it knows nothing of, in chunks of the same size.
 */
const RECORDS = 1_000_000;
const PAYLOAD = 200;
const CHUNK = 256 * 1024;
const SEEKS = 200;
const PEER = '@mcap/core';
const CLIENTS = ['bot-1', 'bot-2', 'bot-3', 'bot-4'].map(replicaId);
const server = replicaId('server');
const header: TraceHeader = {
  sessionId: 'bench',
  title: 'Bench',
  scenario: 'bench',
  traceVersion: TRACE_VERSION,
  protocolVersion: 1,
  startedAt: 0,
  authority: server,
  build: 'bench',
};

export const benches: readonly Bench[] = [
  { name: 'capture.write', run: measureWrite },
  { name: 'capture.scan', run: measureScan },
  { name: 'capture.open.1m', run: measureOpen },
  { name: 'capture.seek.p50', run: measureSeek },
];

let made: readonly Uint8Array[] | undefined;

/** The encoded records, made once. */
function records(): readonly Uint8Array[] {
  made ??= makeRecords();
  return made;
}

function makeRecords(): Uint8Array[] {
  const random = seededRandom(1);
  const keys = Array.from({ length: 100 }, (_, index) => recordKey(`thing/${index}`));
  let root = StateRoot.from(keys.map((key): [typeof key, SyncRecord] => [key, { x: 0, y: 0, room: 'start' }]));
  const encoded: Uint8Array[] = [];
  let time = 0;
  const emit = (replica: typeof server, body: TraceBody, cause: readonly number[], wireLength = 0): number => {
    time += 5_000_000;
    const seq = encoded.length + 1;
    const wire = wireLength > 0 ? { wire: noise(wireLength, random.next) } : {};
    encoded.push(encodeTraceRecord({ seq, time, replica, cause, body, ...wire }));
    return seq;
  };
  const snapshot = (replica: typeof server, reason: 'attach' | 'periodic', version: number): void => {
    const entries = Array.from(root.entries(), ([key, record]) => ({ key, record }));
    emit(replica, { kind: 'snapshot', reason, version, records: entries, root: root.hash, vector: [] }, []);
  };
  for (const replica of [server, ...CLIENTS]) {
    emit(replica, { kind: 'replica', role: replica === server ? 'server' : 'client' }, []);
    snapshot(replica, 'attach', 0);
  }
  for (let version = 1; encoded.length < RECORDS; version++) {
    const changes = [0, 1].map((): Change => {
      const key = keys[Math.floor(random.next() * keys.length)]!;
      return { op: 'patch', key, fields: { x: version, room: `room-${version % 50}` }, removed: [] };
    });
    root = root.apply(changes);
    const event = { type: 'MOVED', player: 'bot-1', detail: 'somewhere' };
    const committed = emit(server, { kind: 'commit', version, event, changes, root: root.hash }, []);
    const delta = { kind: 'delta', from: version - 1, to: version, count: 2, root: root.hash } as const;
    const delted = emit(server, delta, [committed]);
    const frame = { type: 'DELTA_SYNC', sender: server, sequence: version };
    const sent = CLIENTS.map((to) => emit(server, { kind: 'send', to, ...frame }, [delted], 150));
    for (const [index, client] of CLIENTS.entries()) {
      const receipt = emit(client, { kind: 'receive', from: server, ...frame }, [sent[index]!], 150);
      emit(client, { kind: 'apply', from: version - 1, to: version, changes, root: root.hash }, [receipt]);
      emit(client, { kind: 'hash', version, own: root.hash, reference: root.hash, agrees: true }, [receipt]);
    }
    if (version % 10 === 0) snapshot(server, 'periodic', version);
  }
  return encoded.slice(0, RECORDS);
}

/** Bytes that compress about as well as frames do: a few different ones. */
function noise(length: number, random: () => number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (at % 3 === 0 ? random() * 256 : at & 15));
}

async function writeOurs(compression?: Compression): Promise<{ seconds: number; bytes: Uint8Array }> {
  const all = records();
  const sink = memorySink();
  const start = performance.now();
  const writer = new CaptureWriter(sink, header, compression ? { compression } : {});
  for (const record of all) writer.append(record);
  await writer.end();
  return { seconds: (performance.now() - start) / 1_000, bytes: sink.bytes() };
}

async function writePeer(): Promise<{ seconds: number; bytes: Uint8Array }> {
  const sink = memorySink();
  let position = 0n;
  const payload = noise(PAYLOAD, seededRandom(2).next);
  const start = performance.now();
  const writer = new McapWriter({
    chunkSize: CHUNK,
    writable: {
      position: () => position,
      async write(bytes) {
        sink.write(bytes);
        position += BigInt(bytes.length);
      },
    },
  });
  await writer.start({ profile: '', library: '' });
  const schemaId = await writer.registerSchema({ name: 'x', encoding: '', data: new Uint8Array(0) });
  const channels = [];
  for (const topic of [server, ...CLIENTS]) {
    channels.push(await writer.registerChannel({ schemaId, topic, messageEncoding: 'msgpack', metadata: new Map() }));
  }
  for (let index = 0; index < RECORDS; index++) {
    const logTime = BigInt(index * 5_000_000);
    const message = { channelId: channels[index % 5]!, sequence: index, logTime, publishTime: logTime, data: payload };
    await writer.addMessage(message);
  }
  await writer.end();
  return { seconds: (performance.now() - start) / 1_000, bytes: sink.bytes() };
}

async function measureWrite(): Promise<Figure[]> {
  records();
  const peer = await writePeer();
  const ours = await writeOurs();
  const packed = await writeOurs(zstdCompression);
  const mean = records().reduce((sum, record) => sum + record.length, 0) / RECORDS;
  return [
    {
      name: 'capture.write',
      value: Math.round(RECORDS / ours.seconds),
      unit: 'records/s',
      peer: PEER,
      ratio: peer.seconds / ours.seconds,
      note: `${mean.toFixed(0)} B a record on average, uncompressed, ${(ours.bytes.length / 1e6).toFixed(0)} MB`,
    },
    {
      name: 'capture.write.zstd',
      value: Math.round(RECORDS / packed.seconds),
      unit: 'records/s',
      peer: PEER,
      ratio: peer.seconds / packed.seconds,
      note: `${(packed.bytes.length / 1e6).toFixed(0)} MB; the peer does not compress`,
    },
  ];
}

async function measureScan(): Promise<Figure[]> {
  const peerBytes = (await writePeer()).bytes;
  const peerStart = performance.now();
  const reader = new McapStreamReader();
  let count = 0;
  for (let offset = 0; offset < peerBytes.length; offset += CHUNK) {
    reader.append(peerBytes.subarray(offset, Math.min(offset + CHUNK, peerBytes.length)));
    for (let record = reader.nextRecord(); record; record = reader.nextRecord()) if (record.type === 'Message') count++;
  }
  const peerSeconds = (performance.now() - peerStart) / 1_000;
  if (count !== RECORDS) throw new Error(`the peer read ${count} of ${RECORDS} messages`);
  return withCapture(undefined, async (capture, seconds) => {
    const start = performance.now();
    let last = 0;
    for await (const { position } of capture.trace()) last = position;
    const decoding = (performance.now() - start) / 1_000;
    if (last !== RECORDS - 1) throw new Error(`read ${last + 1} of ${RECORDS} records`);
    return [
      {
        name: 'capture.scan',
        value: Math.round(RECORDS / seconds),
        unit: 'records/s',
        peer: PEER,
        ratio: peerSeconds / seconds,
        note: 'from disk, checksums verified, every record indexed; the peer reads from memory and looks into none',
      },
      {
        name: 'capture.decode',
        value: Math.round(RECORDS / decoding),
        unit: 'records/s',
        peer: null,
        ratio: null,
        note: 'every record decoded and validated whole',
      },
    ];
  });
}

async function measureOpen(): Promise<Figure[]> {
  const native = { decompressZstd: zstdDecompression };
  return [
    ...(await openFigure('capture.open.1m', 'uncompressed', undefined, {})),
    ...(await openFigure('capture.open.1m.zstd', 'zstd unpacked by Node', zstdCompression, native)),
    ...(await openFigure('capture.open.1m.portable', 'zstd unpacked as in a browser', zstdCompression, {})),
  ];
}

function openFigure(
  name: string,
  how: string,
  compression: Compression | undefined,
  options: OpenCaptureOptions,
): Promise<Figure[]> {
  const note = `first pass over the whole file, ${how}`;
  const figure = async (_: OpenCapture, value: number): Promise<Figure[]> => [
    { name, value, unit: 's', peer: null, ratio: null, note },
  ];
  return withCapture(compression, figure, options);
}

async function measureSeek(): Promise<Figure[]> {
  return withCapture(undefined, async (capture) => {
    const random = seededRandom(3);
    const times: number[] = [];
    for (let index = 0; index < SEEKS; index++) {
      const position = Math.floor(random.next() * RECORDS);
      const replica = [server, ...CLIENTS][index % 5]!;
      const start = performance.now();
      const page = await capture.state(replica, position, '', 50);
      await capture.status(position);
      times.push(performance.now() - start);
      if (page.unknown !== undefined) throw new Error(`position ${position} of ${replica}: ${page.unknown}`);
    }
    times.sort((a, b) => a - b);
    const p99 = times[Math.floor(times.length * 0.99)]!;
    return [
      {
        name: 'capture.seek.p50',
        value: times[Math.floor(times.length / 2)]!,
        unit: 'ms',
        peer: null,
        ratio: null,
        note: `state and status of a replica at a random place of a million records, nothing kept before; p99 ${p99.toFixed(1)} ms`,
      },
    ];
  });
}

/** Writes the records to a file, opens it, and takes it away afterwards. */
async function withCapture(
  compression: Compression | undefined,
  use: (capture: OpenCapture, openSeconds: number) => Promise<Figure[]>,
  options: OpenCaptureOptions = {},
): Promise<Figure[]> {
  const folder = await mkdtemp(join(tmpdir(), 'syncscope-bench-'));
  const path = join(folder, 'bench.mcap');
  try {
    const writer = new CaptureWriter(await fileSink(path), header, compression ? { compression } : {});
    for (const [index, record] of records().entries()) {
      writer.append(record);
      // The file takes it as fast as it can; without a pause now and then all of it would wait in memory.
      if (index % 100_000 === 0) await writer.flush();
    }
    await writer.end();
    if ((await stat(path)).size === 0) throw new Error('nothing was written');
    const source = await fileSource(path);
    try {
      const start = performance.now();
      const capture = await openCapture(source, options);
      const seconds = (performance.now() - start) / 1_000;
      const { records: count, cut } = await capture.info();
      if (count !== RECORDS || cut) throw new Error(`opened ${count} records; ${cut?.message ?? 'whole'}`);
      return await use(capture, seconds);
    } finally {
      await source.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
