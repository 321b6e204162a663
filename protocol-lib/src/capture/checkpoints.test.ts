import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { StateRoot } from '../merkle/index.ts';
import { zstdCompression } from '../node/compression.ts';
import { seededRandom } from '../ports/index.ts';
import { type Change, type RecordKey, type ReplicaId, recordKey, replicaId, type SyncRecord } from '../state/index.ts';
import { TRACE_VERSION, type TraceBody, type TraceHeader, type TraceRecord } from '../trace/index.ts';
import { readHead } from './capture-head.ts';
import type { CaptureIndex } from './capture-index.ts';
import { CheckpointWriter } from './checkpoint-writer.ts';
import { type ChunkPlace, loadChunk } from './chunk-place.ts';
import { portableZstd } from './compression.ts';
import { CaptureEngine, type OpenCapture } from './engine.ts';
import { FileScan } from './file-scan.ts';
import { openFiledIndex } from './index-file.ts';
import { memorySink, memorySource } from './memory-bytes.ts';
import { openCapture } from './reader.ts';
import { encodeTraceRecord } from './record-codec.ts';
import { SourceWindow } from './source-window.ts';
import { CachedChunks } from './store.ts';
import { CaptureWriter } from './writer.ts';

const server = replicaId('server');
const viewer = replicaId('viewer');
const mirror = replicaId('mirror');
/** Versions before the end from which on the mirror lacks a change. */
const MISSED = 60;
const header: TraceHeader = {
  sessionId: 'checkpoints',
  title: 'Checkpoints',
  scenario: 'none',
  traceVersion: TRACE_VERSION,
  protocolVersion: 1,
  startedAt: 0,
  authority: server,
  build: 'test',
};

/**
 * A session without the snapshots that sessions usually have: an authority, and a client that is shown the even things only, so that its
 * state is never the authority's, and one that is shown all and misses a change near the end. Things come, change and go.
 */
function longSession(versions: number, things: number, seed: number): TraceRecord[] {
  const random = seededRandom(seed);
  const pick = (count: number): number => Math.floor(random.next() * count);
  const records: TraceRecord[] = [];
  const roots = new Map([server, viewer, mirror].map((one) => [one, StateRoot.empty]));
  const emit = (replica: ReplicaId, body: TraceBody): void => {
    records.push({ seq: records.length + 1, time: records.length * 1_000, replica, cause: [], body });
  };
  const change = (replica: ReplicaId, changes: readonly Change[]): StateRoot => {
    const root = roots.get(replica)!.apply(changes);
    roots.set(replica, root);
    return root;
  };
  for (const replica of [server, viewer, mirror]) {
    emit(replica, { kind: 'replica', role: replica === server ? 'server' : 'client' });
    const root = roots.get(replica)!.hash;
    emit(replica, { kind: 'snapshot', reason: 'attach', version: 0, records: [], root, vector: [] });
  }
  emit(viewer, { kind: 'view', view: 'even', version: 0, records: 0, root: StateRoot.empty.hash });
  for (let version = 1; version <= versions; version++) {
    const number = pick(things);
    const key = recordKey(`thing/${number}`);
    const there = roots.get(server)!.get(key);
    const changes: Change[] = !there
      ? [{ op: 'put', key, record: { x: version, name: `thing ${number}` } }]
      : random.next() < 0.2
        ? [{ op: 'remove', key }]
        : [{ op: 'patch', key, fields: { x: version }, removed: [] }];
    const event = { type: 'MOVED', player: 'viewer', detail: '' };
    emit(server, { kind: 'commit', version, event, changes, root: change(server, changes).hash });
    const isMissed = version === versions - MISSED;
    // What it cannot carry out any more for lack of that change it leaves out.
    const mirrored = isMissed ? [] : changes.filter((one) => one.op === 'put' || roots.get(mirror)!.has(one.key));
    for (const [replica, told] of [
      [viewer, number % 2 === 0 ? changes : []],
      [mirror, mirrored],
    ] as const) {
      const root = change(replica, told).hash;
      emit(replica, { kind: 'apply', from: version - 1, to: version, changes: told, root });
    }
  }
  return records;
}

/** The plain way: a map of records, changed by one record of the replica after the other. */
function plainState(records: readonly TraceRecord[], replica: ReplicaId, position: number): [RecordKey, SyncRecord][] {
  const state = new Map<RecordKey, SyncRecord>();
  for (const { body, replica: who } of records.slice(0, position + 1)) {
    if (who !== replica || (body.kind !== 'commit' && body.kind !== 'apply')) continue;
    for (const one of body.changes) {
      if (one.op === 'put') state.set(one.key, one.record);
      else if (one.op === 'remove') state.delete(one.key);
      else state.set(one.key, { ...state.get(one.key), ...one.fields });
    }
  }
  return [...state].sort(([a], [b]) => (a < b ? -1 : 1));
}

async function fileOfRecords(records: readonly TraceRecord[], isPacked = false): Promise<Uint8Array> {
  const sink = memorySink();
  const writer = new CaptureWriter(sink, header, isPacked ? { compression: zstdCompression } : {});
  for (const record of records) writer.append(encodeTraceRecord(record));
  await writer.end();
  return sink.bytes();
}

async function shown(capture: OpenCapture, replica: ReplicaId, position: number) {
  const { entries, root, unknown } = await capture.state(replica, position, '', 100_000);
  return { entries: entries.map(({ key, record }) => [key, record]), root, unknown };
}

describe('a long capture in which states are seldom told', () => {
  test('has the state that a plain fold gives, anywhere, by its index and without', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          versions: fc.integer({ min: 200, max: 1_200 }),
          things: fc.integer({ min: 1, max: 400 }),
          seed: fc.nat(),
        }),
        fc.array(fc.tuple(fc.constantFrom(server, viewer, mirror), fc.double({ min: 0, max: 1, noNaN: true })), {
          minLength: 1,
          maxLength: 12,
        }),
        fc.constantFrom('always' as const, 'never' as const),
        fc.boolean(),
        async ({ versions, things, seed }, places, index, isPacked) => {
          const records = longSession(versions, things, seed);
          const capture = await openCapture(memorySource(await fileOfRecords(records, isPacked)), { index });
          for (const [replica, place] of places) {
            const position = 6 + Math.floor(place * (records.length - 7));
            const plain = plainState(records, replica, position);
            expect(await shown(capture, replica, position)).toEqual({
              entries: plain,
              root: StateRoot.from(plain).hash,
              unknown: undefined,
            });
          }
        },
      ),
      { numRuns: 15 },
    );
  });

  test('reads a bounded number of its records for any state', async () => {
    const records = longSession(6_000, 50, 3);
    const bytes = await fileOfRecords(records);
    for (const open of [byIndex, byScan]) {
      const { engine, reads } = await open(bytes);
      for (const position of [17_990, 6_007, 9_001, 3_333]) {
        for (const replica of [mirror, server, viewer]) {
          const before = reads();
          await engine.folds.committed(engine.index.replicaOf(replica)!, position);
          expect([position, replica, reads() - before < 600]).toEqual([position, replica, true]);
        }
      }
    }
  });
});

/** An engine whose reads of records are counted. */
async function byScan(bytes: Uint8Array) {
  const source = memorySource(bytes);
  const { end } = await readHead(new SourceWindow(source, bytes.length), bytes.length);
  const scan = new FileScan(source, bytes.length, server, end, {});
  await scan.run();
  return counting(bytes, scan.index, scan.chunks);
}

async function byIndex(bytes: Uint8Array) {
  const filed = await openFiledIndex(memorySource(bytes), bytes.length, server, portableZstd);
  if (!filed) throw new Error('the file has no index');
  return counting(bytes, filed.index, filed.chunks);
}

function counting(bytes: Uint8Array, index: CaptureIndex, chunks: readonly ChunkPlace[]) {
  let count = 0;
  const source = memorySource(bytes);
  const store = new CachedChunks(
    (chunk) => loadChunk(source, chunks[chunk]!, portableZstd),
    () => {},
  );
  const payload = store.payload.bind(store);
  store.payload = (chunk) => {
    count++;
    return payload(chunk);
  };
  const engine = new CaptureEngine(index, store, { header, isGrowing: false, size: () => bytes.length }, () =>
    Promise.resolve(),
  );
  return { engine, reads: () => count };
}

describe('a checkpoint that is not what the records say', () => {
  const records = longSession(1_500, 40, 9);
  const position = 4_490;

  test('is not believed: the records are folded instead', async () => {
    const { engine } = await byScan(await fileOfRecords(records));
    const { index } = engine;
    const wrong = StateRoot.from([[recordKey('thing/0'), { x: -1 }]]);
    for (const replica of [server, viewer]) {
      const number = index.replicaNames.findText(replica);
      // One after every record, so that the nearest is wrong wherever one looks.
      for (let at = 0; at < index.end; at++) index.checkpoints.add(number, at, () => ({ version: 700, root: wrong }));
      const plain = plainState(records, replica, position);
      const { committed } = await engine.folds.stateAt(index.replicaOf(replica)!, position);
      expect([...committed.root.entries()].sort(([a], [b]) => (a < b ? -1 : 1))).toEqual(plain);
      expect(committed.unknown).toBeUndefined();
    }
  });

  test('of the right state but another version is not believed either', async () => {
    const { engine } = await byScan(await fileOfRecords(records));
    const { index } = engine;
    const replica = index.replicaOf(server)!;
    const at = replica.states.lastAtOrBelow(position);
    const right = await engine.folds.committed(replica, at);
    const other = (await byScan(await fileOfRecords(records))).engine;
    other.index.checkpoints.add(other.index.replicaNames.findText(server), at, () => ({
      version: right.version + 1,
      root: right.root,
    }));
    expect((await other.folds.committed(other.index.replicaOf(server)!, at)).version).toBe(right.version);
  });

  test('that builds on more others than a writer lets it is not believed, and the index is made again', async () => {
    const many = longSession(1_500, 2_000, 9);
    const { figures } = CheckpointWriter.prototype;
    const places: [replica: number, position: number][] = [];
    const forged = vi.spyOn(CheckpointWriter.prototype, 'figures').mockImplementation(function (
      this: CheckpointWriter,
    ) {
      const own = figures.call(this);
      const at = own.findLastIndex((since, place) => place % 6 === 2 && since >= 0) - 2;
      const [replica = 0, place = 0, , ...ref] = own.slice(at, at + 6);
      places.push([replica, place]);
      const first = own.length / 6;
      const chain = Array.from({ length: 20_000 }, (_, number) => [replica, place, first + number - 1, ...ref]);
      return [...own, ...chain.flat()];
    });
    const bytes = await fileOfRecords(many);
    forged.mockRestore();
    const capture = await openCapture(memorySource(bytes), { index: 'always' });
    expect(places).toHaveLength(1);
    for (const [number, place] of places) {
      const replica = [server, viewer, mirror][number]!;
      expect((await shown(capture, replica, place)).entries).toEqual(plainState(many, replica, place));
    }
  });

  test('that cannot be read is passed over', async () => {
    const bytes = await fileOfRecords(records);
    const { engine } = await byIndex(bytes);
    expect(engine.index.checkpoints.size).toBeGreaterThan(4);
    const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
    const damaged = bytes.slice();
    // Every checkpoint has its version first; its checksum finds what is changed right behind.
    let found = 0;
    for (const { index } of text.matchAll(/\x82\xa7version.{1,9}(?:records|changes)/gs)) {
      damaged[index + 10]! ^= 1;
      found++;
    }
    expect(found).toBe(engine.index.checkpoints.size);
    const capture = await openCapture(memorySource(damaged), { index: 'always' });
    const plain = plainState(records, viewer, position);
    expect((await shown(capture, viewer, position)).entries).toEqual(plain);
  });
});
