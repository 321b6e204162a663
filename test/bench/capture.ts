import { execFile } from 'node:child_process';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { McapStreamReader, McapWriter } from '@mcap/core';
import {
  CaptureWriter,
  type CaptureWriterOptions,
  decodeTraceRecord,
  memorySink,
  memorySource,
  type OpenCapture,
  type OpenCaptureOptions,
  openCapture,
} from '@syncscope/protocol/capture';
import { fileSink, fileSource, zstdCompression, zstdDecompression } from '@syncscope/protocol/node';
import { CLIENTS, header, server, sessionRecords } from './capture-parts/session.ts';
import type { Bench, Figure } from './types.ts';

/**
 * Captures of a million records of about 200 bytes, and of ten million in a process of its own. The peer of writing
 * and scanning is `@mcap/core` with the same bytes as payloads that it knows nothing of, in chunks of the same size.
 */
const RECORDS = 1_000_000;
const LONG = 10_000_000;
const CHUNK = 256 * 1024;
const ROUNDS = 3;
/** Rows that a table shows at once. */
const FIRST_ROWS = 50;
const PEER = '@mcap/core';
const run = promisify(execFile);

export const benches: readonly Bench[] = [
  { name: 'capture.write', run: measureWrite },
  { name: 'capture.scan', run: measureScan },
  { name: 'capture.bytes', run: measureBytes },
  { name: 'capture.open.1m', run: measureOpen },
  { name: 'capture.seek', run: measureReader },
  { name: 'filter.column', run: () => measureFilter('filter.column', 'kind:apply severity:none', 'apply') },
  { name: 'filter.body', run: () => measureFilter('filter.body', 'kind:apply "applied 7"', 'apply') },
  { name: 'divergence.1m', run: measureDivergence },
  { name: 'capture.open.10m', run: measureLong, isLong: true },
];

let made: readonly Uint8Array[] | undefined;

/** The encoded records, made once. */
function records(): readonly Uint8Array[] {
  made ??= [...sessionRecords(RECORDS, 900_000)];
  return made;
}

interface Written {
  readonly ms: number;
  readonly bytes: Uint8Array;
}

async function writeOurs(options: CaptureWriterOptions): Promise<Written> {
  const all = records();
  const sink = memorySink();
  const start = performance.now();
  const writer = new CaptureWriter(sink, header, options);
  for (const record of all) writer.append(record);
  await writer.end();
  return { ms: performance.now() - start, bytes: sink.bytes() };
}

async function writePeer(): Promise<Written> {
  const sink = memorySink();
  let position = 0n;
  const all = records();
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
    const channelId = channels[index % 5]!;
    const message = { channelId, sequence: index, logTime, publishTime: logTime, data: all[index]! };
    await writer.addMessage(message);
  }
  await writer.end();
  return { ms: performance.now() - start, bytes: sink.bytes() };
}

function median(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)]!;
}

/** Median milliseconds of each, the sides taking turns. */
async function turns(...sides: (() => Promise<number>)[]): Promise<number[]> {
  const times: number[][] = sides.map(() => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, side] of sides.entries()) times[index]!.push(await side());
  }
  return times.map(median);
}

async function measureWrite(): Promise<Figure[]> {
  const mean = records().reduce((sum, record) => sum + record.length, 0) / RECORDS;
  const [peer, plain, indexed] = await turns(
    async () => (await writePeer()).ms,
    async () => (await writeOurs({ hasIndex: false })).ms,
    async () => (await writeOurs({})).ms,
  );
  const figure = (name: string, ms: number, note: string): Figure => {
    return { name, value: Math.round(ms), unit: 'ms', peer: PEER, ratio: ms / peer!, note };
  };
  return [
    figure('capture.write', indexed!, `a million records of ${mean.toFixed(0)} B and the index of them, uncompressed`),
    figure('capture.write.plain', plain!, 'the same without the index, which the peer does not make either'),
  ];
}

async function measureScan(): Promise<Figure[]> {
  const peerBytes = (await writePeer()).bytes;
  const source = memorySource((await writeOurs({})).bytes);
  const scanPeer = async (): Promise<number> => {
    const start = performance.now();
    const reader = new McapStreamReader();
    let count = 0;
    for (let offset = 0; offset < peerBytes.length; offset += CHUNK) {
      reader.append(peerBytes.subarray(offset, Math.min(offset + CHUNK, peerBytes.length)));
      for (let record = reader.nextRecord(); record; record = reader.nextRecord()) {
        if (record.type === 'Message') count++;
      }
    }
    if (count !== RECORDS) throw new Error(`the peer read ${count} of ${RECORDS} messages`);
    return performance.now() - start;
  };
  const scanOurs = async (): Promise<number> => {
    const start = performance.now();
    const capture = await openCapture(source, { index: 'never' });
    const ms = performance.now() - start;
    const { records: count, cut } = await capture.info();
    if (count !== RECORDS || cut) throw new Error(`scanned ${count} records; ${cut?.message ?? 'whole'}`);
    return ms;
  };
  const [peer, ours] = await turns(scanPeer, scanOurs);
  const note = 'both from memory; ours verifies checksums and indexes every record, the peer looks into none';
  return [{ name: 'capture.scan', value: Math.round(ours!), unit: 'ms', peer: PEER, ratio: ours! / peer!, note }];
}

async function measureBytes(): Promise<Figure[]> {
  const { bytes } = await writeOurs({ compression: zstdCompression });
  // In parts: the whole would be a text of several hundred megabytes.
  let packed = 0;
  const part = 50_000;
  for (let from = 0; from < RECORDS; from += part) {
    const lines = records()
      .slice(from, from + part)
      .map((record) => jsonLine(decodeTraceRecord(record)));
    packed += gzipSync(lines.join('\n')).length;
  }
  return [
    {
      name: 'capture.bytes',
      value: bytes.length / RECORDS,
      unit: 'B',
      peer: 'gzip JSON lines',
      ratio: bytes.length / packed,
      note: `zstd, index included; the peer has ${(packed / RECORDS).toFixed(0)} B, frames in base64`,
    },
  ];
}

function jsonLine(record: ReturnType<typeof decodeTraceRecord>): string {
  const { wire, ...rest } = record;
  return JSON.stringify(wire ? { ...rest, wire: Buffer.from(wire).toString('base64') } : rest);
}

async function measureOpen(): Promise<Figure[]> {
  const figures: Figure[] = [];
  const native = { decompressZstd: zstdDecompression };
  const cases: [string, string, CaptureWriterOptions, OpenCaptureOptions][] = [
    ['capture.open.1m', 'by its index, with the first overview', {}, {}],
    ['capture.open.1m.zstd', 'the same, zstd unpacked by Node', { compression: zstdCompression }, native],
    ['capture.open.1m.portable', 'the same, as in a browser', { compression: zstdCompression }, {}],
    ['capture.open.1m.rebuilt', 'without an index, the whole file read', { hasIndex: false }, {}],
  ];
  for (const [name, note, writing, options] of cases) {
    const measured = await withCapture(writing, options, async (_, opened) => opened);
    figures.push({ name, value: measured, unit: 'ms', peer: null, ratio: null, note });
  }
  return figures;
}

/** Writes the records to a file, opens it, and takes it away afterwards. `opened`: milliseconds to the first overview. */
async function withCapture<T>(
  writing: CaptureWriterOptions,
  options: OpenCaptureOptions,
  use: (capture: OpenCapture, opened: number) => Promise<T>,
): Promise<T> {
  return withFile(records(), writing, async (path) => {
    const source = await fileSource(path);
    try {
      const start = performance.now();
      const capture = await openCapture(source, options);
      const { records: count, cut, range } = await capture.info();
      await capture.overview(range, 1_000);
      const opened = performance.now() - start;
      if (count !== RECORDS || cut) throw new Error(`opened ${count} records; ${cut?.message ?? 'whole'}`);
      return await use(capture, opened);
    } finally {
      await source.close();
    }
  });
}

async function withFile<T>(
  all: Iterable<Uint8Array>,
  writing: CaptureWriterOptions,
  use: (path: string) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'syncscope-bench-'));
  const path = join(folder, 'bench.mcap');
  try {
    const writer = new CaptureWriter(await fileSink(path), header, writing);
    let count = 0;
    for (const record of all) {
      writer.append(record);
      // The file takes it as fast as it can; without a pause now and then all of it would wait in memory.
      if (++count % 100_000 === 0) await writer.flush();
    }
    await writer.end();
    if ((await stat(path)).size === 0) throw new Error('nothing was written');
    return await use(path);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface Reading {
  readonly records: number;
  readonly opened: number;
  readonly p50: number;
  readonly p99: number;
  /** The same of the processor's time alone: on a busy machine much of the other is waiting. */
  readonly busy50: number;
  readonly busy99: number;
  readonly memory: number;
}

async function readAlone(path: string): Promise<Reading> {
  const script = join(import.meta.dirname, 'capture-parts', 'reader.ts');
  return JSON.parse((await run(process.execPath, [script, path])).stdout) as Reading;
}

function figureOf(name: string, value: number, unit: string, note: string): Figure {
  return { name, value, unit, peer: null, ratio: null, note };
}

async function measureReader(): Promise<Figure[]> {
  const reading = await withFile(records(), {}, readAlone);
  const { p50, p99, busy50, busy99, memory } = reading;
  const note = 'the state of all five replicas at a random place of a million records';
  return [
    figureOf('capture.seek.p50', p50, 'ms', `${note}; processor's time ${busy50.toFixed(1)} ms`),
    figureOf('capture.seek.p99', p99, 'ms', `${note}; processor's time ${busy99.toFixed(1)} ms`),
    figureOf('capture.memory.1m', memory, 'MB', "most that the reader's process took, Node included"),
  ];
}

async function measureLong(): Promise<Figure[]> {
  return withFile(sessionRecords(LONG), {}, async (path) => {
    const size = `${((await stat(path)).size / 1e9).toFixed(1)} GB`;
    const { records: count, opened, p50, p99, busy50, busy99, memory } = await readAlone(path);
    if (count !== LONG) throw new Error(`opened ${count} records`);
    return [
      figureOf('capture.open.10m', opened, 'ms', `ten million records, ${size}, with the first overview`),
      figureOf('capture.seek.10m.p50', p50, 'ms', `all five replicas; processor's time ${busy50.toFixed(1)} ms`),
      figureOf('capture.seek.10m.p99', p99, 'ms', `the same; processor's time ${busy99.toFixed(1)} ms`),
      figureOf('capture.memory', memory, 'MB', "most that the reader's process took, Node included"),
    ];
  });
}

interface Search {
  readonly first: number;
  readonly looked: number;
  readonly all: number;
  readonly busy: number;
  readonly total: number;
}

/** The first rows that pass a filter, and all, as the table asks for them; against a loop over records that are decoded already. */
async function measureFilter(name: string, filter: string, kind: string): Promise<Figure[]> {
  const script = join(import.meta.dirname, 'capture-parts', 'filter.ts');
  const { first, looked, all, busy, total } = await withFile(records(), {}, async (path) => {
    const { stdout } = await run(process.execPath, [script, path, filter, String(FIRST_ROWS)]);
    return JSON.parse(stdout) as Search;
  });
  const decoded = records()
    .slice(0, RECORDS / 10)
    .map((record) => decodeTraceRecord(record));
  const before = performance.now();
  let count = 0;
  for (const { body } of decoded) if (body.kind === kind && JSON.stringify(body).includes('7')) count++;
  const peer = (performance.now() - before) * 10;
  const note = `${filter}: ${total} of a million, processor's time ${busy.toFixed(0)} ms; the peer looks for a text in ${count * 10} bodies`;
  return [
    figureOf(`${name}.first`, first, 'ms', `the first ${FIRST_ROWS}, after ${looked} records were looked through`),
    { name, value: all, unit: 'ms', peer: 'a loop over decoded records', ratio: all / peer, note },
  ];
}

async function measureDivergence(): Promise<Figure[]> {
  return withCapture({}, {}, async (capture) => {
    const start = performance.now();
    const desync = await capture.nextMarker(-1, 1, 'desync');
    const ours = performance.now() - start;
    const explanation = desync && (await capture.explain(desync.position));
    const explained = performance.now() - start;
    if (explanation?.replica !== 'bot-3') throw new Error('the divergence was not found');
    const before = performance.now();
    let found = -1;
    for await (const { position, record } of capture.trace()) {
      if (record.body.kind !== 'hash' || record.body.own === record.body.reference) continue;
      found = position;
      break;
    }
    const peer = performance.now() - before;
    if (found !== desync?.position) throw new Error(`the peer found another one, at ${found}`);
    const note = 'the first divergence, at nine tenths of a million';
    return [
      figureOf('divergence.1m.explained', explained, 'ms', 'the same, and what explains it'),
      {
        name: 'divergence.1m',
        value: ours,
        unit: 'ms',
        peer: 'comparing every hash in order',
        ratio: ours / peer,
        note,
      },
    ];
  });
}
