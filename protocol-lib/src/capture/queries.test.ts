import { describe, expect, test } from 'vitest';
import { verifyCapture } from '../diagnose/index.ts';
import { StateRoot } from '../merkle/index.ts';
import { type Change, type RecordKey, type ReplicaId, replicaId, type SyncRecord } from '../state/index.ts';
import type { TraceRecord } from '../trace/index.ts';
import type { OpenCapture } from './engine.ts';
import { LiveCapture } from './live.ts';
import { memorySource } from './memory-bytes.ts';
import type { MemoryRecording } from './memory-session.test-helper.ts';
import type { CaptureQuery, CaptureStatus } from './query.ts';
import { openCapture } from './reader.ts';
import { coinRecording, fileOf } from './testing.test-helper.ts';

const server = replicaId('server');
const bot1 = replicaId('bot-1');
const bot2 = replicaId('bot-2');
const everything = { from: 0, to: Number.MAX_SAFE_INTEGER };

async function openFile(recording: MemoryRecording): Promise<OpenCapture> {
  return openCapture(memorySource(await fileOf(recording)));
}

function liveOf(recording: MemoryRecording, maxBytes?: number): LiveCapture {
  const live = new LiveCapture(recording.header, maxBytes === undefined ? {} : { maxBytes });
  for (const record of recording.encoded) live.append(record);
  return live;
}

type PlainState = Map<string, SyncRecord>;

/** The fold that the queries must agree with, written without any of their parts. */
function foldNaively(state: PlainState, { body }: TraceRecord): void {
  if (body.kind === 'snapshot') {
    state.clear();
    for (const { key, record } of body.records) state.set(key, record);
  }
  if (body.kind === 'commit' || body.kind === 'apply') for (const change of body.changes) applyNaively(state, change);
}

function applyNaively(state: PlainState, change: Change): void {
  if (change.op === 'put') state.set(change.key, change.record);
  else if (change.op === 'remove') state.delete(change.key);
  else {
    const record = { ...state.get(change.key), ...change.fields };
    for (const field of change.removed) delete (record as Record<string, unknown>)[field];
    state.set(change.key, record);
  }
}

function plain(state: PlainState): string {
  return JSON.stringify([...state].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, record]) => [key, sorted(record)]));
}

function sorted(record: SyncRecord): SyncRecord {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
}

async function stateText(capture: CaptureQuery, replica: ReplicaId, position: number): Promise<string> {
  const page = await capture.state(replica, position, '', 1_000);
  return plain(
    new Map(page.entries.filter((one) => Object.keys(one.record).length > 0).map((one) => [one.key, one.record])),
  );
}

describe('state at a position', () => {
  test('is what a plain fold of the records gives, forward, backward and from anywhere', async () => {
    const recording = coinRecording('drop-delta');
    const expected = new Map<number, Map<ReplicaId, string>>();
    const states = new Map<ReplicaId, PlainState>();
    for (const [position, record] of recording.records.entries()) {
      const state = states.get(record.replica) ?? new Map();
      states.set(record.replica, state);
      foldNaively(state, record);
      expected.set(position, new Map([...states].map(([replica, one]) => [replica, plain(one)])));
    }
    const forward = await openFile(recording);
    const backward = await openFile(recording);
    const count = recording.records.length;
    for (let step = 0; step < count; step++) {
      for (const [capture, position] of [
        [forward, step],
        [backward, count - 1 - step],
      ] as const) {
        // Each replica in turn, so that all are seen at positions of every kind.
        const replica = [server, bot1, bot2, replicaId('bot-3')][position % 4]!;
        const there = expected.get(position)?.get(replica);
        if (there === undefined) continue;
        expect([position, await stateText(capture, replica, position)]).toEqual([position, there]);
      }
    }
  });

  test('has the root hash that the replica told itself', async () => {
    const recording = coinRecording();
    const capture = await openFile(recording);
    let compared = 0;
    for (const [position, { replica, body }] of recording.records.entries()) {
      if (body.kind !== 'apply' && body.kind !== 'commit') continue;
      const page = await capture.state(replica, position, '', 0);
      expect([position, page.root, page.unknown]).toEqual([position, body.root, undefined]);
      compared++;
    }
    expect(compared).toBeGreaterThan(50);
  });

  test('shows what a drifted replica held from the record that found it to the repair', async () => {
    const recording = coinRecording('corrupt');
    const capture = await openFile(recording);
    const desync = (await capture.nextMarker(-1, 1, 'desync'))!;
    const repair = (await capture.nextMarker(desync.position, 1, 'repair'))!;
    const worth = async (position: number): Promise<unknown> => {
      const page = await capture.state(bot2, position, 'coin/39', 10);
      return [page.entries[0]?.record.worth, page.unknown];
    };
    expect(await worth(desync.position - 1)).toEqual([39, undefined]);
    expect(await worth(desync.position)).toEqual([1_000, undefined]);
    expect(await worth(Math.floor((desync.position + repair.position) / 2))).toEqual([1_000, undefined]);
    expect(await worth(repair.position)).toEqual([39, undefined]);
    const diff = await capture.diff(
      { replica: bot2, position: desync.position },
      { replica: server, position: desync.position },
      10,
    );
    expect(diff.differences).toContainEqual({
      key: 'coin/39',
      side: 'both',
      fields: [{ field: 'worth', left: 1_000, right: 39 }],
    });
    const merkle = await capture.merkleDiff(
      { replica: bot2, position: desync.position },
      { replica: server, position: desync.position },
      1_000,
    );
    expect(merkle.repair).toMatchObject({ method: 'merkle', position: repair.position });
    expect(merkle.repair?.rounds).toBeGreaterThan(0);
    expect(JSON.stringify(merkle.root)).toContain('coin/39');
    const history = await capture.history(bot2, 'coin/39' as RecordKey, 'worth', recording.records.length, 10);
    expect(history.map(({ before, after }) => [before, after])).toEqual([
      [1_000, 39],
      [39, 1_000],
      [undefined, 39],
    ]);
  });

  test('is unknown before the first snapshot, with words', async () => {
    const capture = await openFile(coinRecording());
    const page = await capture.state(bot1, 0, '', 10);
    expect(page).toMatchObject({ total: 0, root: null, unknown: expect.stringContaining('no snapshot') });
    await expect(capture.state(replicaId('nobody'), 0, '', 10)).rejects.toMatchObject({ code: 'REPLICA_UNKNOWN' });
  });

  test('has predictions on top, and they are gone when they are settled', async () => {
    const recording = coinRecording();
    const capture = await openFile(recording);
    let predicted = 0;
    for (const [position, { replica, body }] of recording.records.entries()) {
      if (body.kind !== 'prediction' || body.changes.length === 0) continue;
      const page = await capture.state(replica, position, '', 1_000);
      expect(page.pending).toContainEqual(body.mutation);
      const root = StateRoot.from(
        page.entries.filter((one) => Object.keys(one.record).length > 0).map((one) => [one.key, one.record]),
      );
      const optimistic = StateRoot.from(
        page.entries.flatMap((one) => {
          const record = one.optimistic === undefined ? one.record : one.optimistic;
          return record === null ? [] : [[one.key, record] as const];
        }),
      );
      if (page.pending.length === 1) expect(optimistic.hash).toBe(root.apply(body.changes).hash);
      predicted++;
    }
    expect(predicted).toBeGreaterThan(5);
    for (const { id } of (await capture.info()).replicas) {
      const status = await capture.status(recording.records.length - 1);
      const page = await capture.state(id, recording.records.length - 1, '', 0);
      expect(page.pending.length).toBe(status.replicas.find((one) => one.replica === id)!.pending);
    }
  });
});

describe('live and file', () => {
  test('answer every query alike', async () => {
    for (const fault of [undefined, 'corrupt', 'drop-delta'] as const) {
      const recording = coinRecording(fault, { length: 4_500 });
      const live = liveOf(recording);
      const file = await openFile(recording);
      const saved = await openCapture(memorySource(live.save()));
      const { isGrowing, size, ...info } = await live.info();
      expect(isGrowing).toBe(true);
      expect(size).toBeGreaterThan(0);
      for (const other of [file, saved]) {
        expect(await other.info()).toMatchObject(info);
        for await (const [name, ask] of questions(recording)) {
          expect([name, await ask(other)]).toEqual([name, await ask(live)]);
        }
      }
    }
  });

  test('a live capture answers the same for a position whatever comes after', async () => {
    const recording = coinRecording('corrupt', { length: 4_500 });
    const growing = new LiveCapture(recording.header);
    const first = recording.records.findIndex((record) => record.replica === bot2);
    const whole = liveOf(recording);
    for (const [position, record] of recording.encoded.entries()) {
      growing.append(record);
      if (position % 17 !== 0) continue;
      expect(await growing.status(position)).toEqual(await whole.status(position));
      expect((await growing.rows('', position, 1)).rows[0]?.seq).toBe((await whole.rows('', position, 1)).rows[0]?.seq);
      // Asked while it is still growing, then again when all is known: what was not known then must not stick.
      if (position >= first) await growing.state(bot2, position, '', 5);
    }
    for (let position = first; position < recording.encoded.length; position += 13) {
      expect(await growing.state(bot2, position, '', 100)).toEqual(await whole.state(bot2, position, '', 100));
    }
  });

  test('growth is told once per turn of the schedule', () => {
    const recording = coinRecording(undefined, { length: 1_500 });
    const turns: (() => void)[] = [];
    const live = new LiveCapture(recording.header, { schedule: (run) => turns.push(run) });
    const told: number[] = [];
    const stop = live.onGrow(({ records }) => told.push(records));
    for (const record of recording.encoded.slice(0, 20)) live.append(record);
    expect([turns.length, told]).toEqual([1, []]);
    turns.pop()!();
    expect(told).toEqual([20]);
    live.append(recording.encoded[20]!);
    turns.pop()!();
    stop();
    live.append(recording.encoded[21]!);
    expect(turns).toEqual([]);
    expect(told).toEqual([20, 21]);
  });

  test('a bad record changes nothing', async () => {
    const recording = coinRecording(undefined, { length: 1_500 });
    const live = liveOf(recording);
    const before = live.save();
    for (const bytes of [new Uint8Array(0), Uint8Array.of(0x98, 1), recording.encoded[0]!.subarray(0, -1)]) {
      expect(() => live.append(bytes)).toThrow(expect.objectContaining({ code: 'RECORD_MALFORMED' }));
    }
    expect(live.save()).toEqual(before);
  });
});

/** Every kind of question, at places spread over the recording. */
async function* questions(
  recording: MemoryRecording,
): AsyncGenerator<[string, (capture: CaptureQuery) => Promise<unknown>]> {
  const count = recording.records.length;
  const end = recording.records.at(-1)!.time + 1;
  yield ['overview', (one) => one.overview({ from: 0, to: end }, 100)];
  yield ['lanes', (one) => one.lanes({ from: 0, to: end }, 60, 0)];
  yield ['lanes near', (one) => one.lanes({ from: end / 2, to: end / 2 + 2e8 }, 60, 5_000)];
  yield ['markers', (one) => one.markers(everything, 1_000)];
  yield ['few markers', (one) => one.markers(everything, 2)];
  for (const filter of [
    '',
    'kind:apply|commit who:bot-2',
    '-kind:hash type:ACK|DELTA_SYNC',
    'coin',
    'key:coin/3',
    'version:5..9 severity:none',
  ]) {
    yield [`rows ${filter}`, (one) => one.rows(filter, 3, 20)];
    yield [`row index ${filter}`, (one) => one.rowIndex(filter, Math.floor(count / 2))];
  }
  for (let position = 0; position < count; position += Math.ceil(count / 12)) {
    yield [`record ${position}`, (one) => one.record(position)];
    yield [`related ${position}`, (one) => one.related(position)];
    yield [`status ${position}`, (one) => one.status(position)];
    yield [`vectors ${position}`, (one) => one.vectors(position)];
    yield [`explain ${position}`, (one) => one.explain(position)];
    yield [`next ${position}`, (one) => one.nextMarker(position, 1)];
    yield [`previous ${position}`, (one) => one.nextMarker(position, -1)];
    yield [`time ${position}`, (one) => one.positionAt(recording.records[position]!.time)];
    for (const replica of [server, bot2]) {
      if (!recording.records.slice(0, position + 1).some((one) => one.replica === replica)) continue;
      yield [`state ${replica} ${position}`, (one) => one.state(replica, position, '', 50)];
      yield [
        `history ${replica} ${position}`,
        (one) => one.history(replica, 'coin/3' as RecordKey, undefined, position, 20),
      ];
    }
    const pair = [
      { replica: bot2, position },
      { replica: server, position },
    ] as const;
    yield [`diff ${position}`, (one) => one.diff(...pair, 20)];
    yield [`merkle ${position}`, (one) => one.merkleDiff(...pair, 200)];
  }
}

describe('what is drawn', () => {
  test('no marker kind vanishes in the overview, however coarse', async () => {
    const recording = coinRecording('corrupt');
    const capture = await openFile(recording);
    const { range } = await capture.info();
    const { counts, kinds } = await capture.overview({ from: range.from, to: range.to + 1 }, 1);
    const total = Object.values(counts).reduce((sum, one) => sum + one[0]!, 0);
    expect(total).toBe(recording.records.length);
    expect(kinds[0]).not.toBe(0);
  });

  test('every received frame is an arrow from its sending, and a lost one has no end', async () => {
    const recording = coinRecording('drop-delta');
    const capture = await openFile(recording);
    const { arrows } = await capture.lanes(everything, 10, 1_000_000);
    for (const arrow of arrows!) {
      const sent = recording.records[arrow.sentPosition]!;
      expect(sent).toMatchObject({ replica: arrow.from, body: { kind: 'send', to: arrow.to } });
      if (arrow.receivedPosition === undefined || sent.body.kind !== 'send') continue;
      const { type, sender, sequence } = sent.body;
      expect(recording.records[arrow.receivedPosition]).toMatchObject({
        replica: arrow.to,
        body: { kind: 'receive', type, sender, sequence },
      });
    }
    expect(arrows!.filter((arrow) => arrow.receivedPosition !== undefined).length).toBe(
      recording.records.filter((record) => record.body.kind === 'receive').length,
    );
    expect(arrows!.filter((arrow) => arrow.lost)).toMatchObject([{ from: 'server', to: 'bot-2', type: 'DELTA_SYNC' }]);
  });

  test('the ribbon differs exactly where the status does', async () => {
    const recording = coinRecording('corrupt');
    const capture = await openFile(recording);
    const { range } = await capture.info();
    const buckets = 400;
    const { lanes } = await capture.lanes({ from: range.from, to: range.to + 1 }, buckets, 0);
    const ribbon = lanes.find((lane) => lane.replica === bot2)!.ribbon;
    const shown = new Set<number>();
    for (const [position, { time }] of recording.records.entries()) {
      const status = (await capture.status(position)).replicas.find((one) => one.replica === bot2);
      if (status?.agreement === 3) shown.add(Math.floor(((time - range.from) * buckets) / (range.to + 1 - range.from)));
    }
    expect(shown.size).toBeGreaterThan(0);
    for (const bucket of shown) expect(ribbon[bucket]).toBe(3);
    expect(ribbon.filter((one) => one === 3).length).toBeLessThanOrEqual(shown.size + 20);
    expect(lanes[0]?.replica).toBe(server);
  });

  test('frames are decoded with the names known there', async () => {
    const recording = coinRecording();
    const capture = await openFile(recording);
    const { rows } = await capture.rows('type:DELTA_SYNC kind:receive', 0, 5);
    expect(rows.length).toBe(5);
    for (const row of rows) {
      const detail = await capture.record(row.position);
      expect(detail.frameError).toBeUndefined();
      expect(detail.frame?.name).toBe('DELTA_SYNC');
      expect(JSON.stringify(detail.frame)).not.toContain('unknown name');
    }
  });

  test('the verdict is a sentence', async () => {
    const recording = coinRecording('corrupt');
    const capture = await openFile(recording);
    const desync = (await capture.nextMarker(-1, 1, 'desync'))!;
    expect((await capture.status(desync.position)).verdict).toMatchObject({
      level: 'error',
      text: expect.stringMatching(/^bot-2 differs since v\d+$/),
      position: desync.position,
    });
    expect((await capture.status(recording.records.length - 1)).verdict).toMatchObject({
      level: 'quiet',
      text: expect.stringMatching(/^4 replicas agree at v\d+(–v\d+)?$/),
    });
  });

  test('causes and effects point at each other', async () => {
    const recording = coinRecording(undefined, { length: 3_000 });
    const capture = await openFile(recording);
    for (let position = 0; position < recording.records.length; position += 7) {
      for (const effect of (await capture.related(position)).effects) {
        expect((await capture.related(effect)).causes).toContain(position);
      }
    }
  });

  test('the vectors of all replicas are those of their snapshots and deltas', async () => {
    const recording = coinRecording();
    const capture = await openFile(recording);
    for (const [position, { replica, body }] of recording.records.entries()) {
      if (body.kind !== 'vector') continue;
      const matrix = await capture.vectors(position);
      const row = matrix.vectors.find((one) => one.replica === replica)!;
      for (const { replica: writer, counter } of body.vector) {
        expect(row.vector.find((one) => one.replica === writer)!.counter).toBeGreaterThanOrEqual(counter);
      }
    }
  });
});

test('a replica is behind since the authority has had a version that it lacks', async () => {
  const recording = coinRecording(undefined, { length: 4_000 });
  const capture = liveOf(recording);
  const { records } = recording;
  let seen = 0;
  for (let position = 0; position < records.length; position += 17) {
    for (const { version, lag, behindFor } of (await capture.status(position)).replicas) {
      const newer = records
        .slice(0, position + 1)
        .find(
          ({ replica, body }) => replica === 'server' && 'version' in body && 'root' in body && body.version > version,
        );
      expect([lag > 0, behindFor]).toEqual([newer !== undefined, newer ? records[position]!.time - newer.time : 0]);
      if (newer) seen++;
    }
  }
  expect(seen).toBeGreaterThan(10);
});

describe('a bounded live capture', () => {
  test('drops its oldest records, counts them, and still knows every state that remains', async () => {
    const recording = coinRecording(undefined, { length: 40_000 });
    const whole = liveOf(recording);
    const bounded = new LiveCapture(recording.header, { maxBytes: 700 * 1024 });
    for (const [at, record] of recording.encoded.entries()) {
      bounded.append(record);
      // Dropping works out states first, for which others must get their turn.
      if (at % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    const info = await bounded.info();
    expect(info.records).toBe(recording.records.length);
    expect(info.lost).toBeGreaterThan(100);
    const first = recording.records.length - (await bounded.rows('', 0, 0)).total;
    expect(info.lost).toBe(first);
    await expect(bounded.record(first - 1)).rejects.toMatchObject({ code: 'POSITION_DROPPED' });
    const { replicas } = info;
    for (let position = first; position < info.records; position += 211) {
      const [status, all] = [await bounded.status(position), await whole.status(position)];
      for (const [at, { behindFor }] of status.replicas.entries()) {
        // Since when is told from the first record that is still there.
        const since = all.replicas[at]!.behindFor;
        expect(behindFor).toBe(Math.min(since, (await bounded.record(position)).record.time - info.range.from));
      }
      const untimed = (one: CaptureStatus) => ({
        ...one,
        replicas: one.replicas.map((replica) => ({ ...replica, behindFor: 0 })),
      });
      expect(untimed(status)).toEqual(untimed(all));
      const { vectors: one } = await bounded.vectors(position);
      expect(one).toEqual((await whole.vectors(position)).vectors);
      for (const { id } of replicas) {
        const here = await bounded.state(id, position, '', 100);
        const there = await whole.state(id, position, '', 100);
        expect(here.root).toBe(there.root);
        expect(here.unknown).toBe(there.unknown);
        expect(here.entries.map(({ changedAt, ...rest }) => rest)).toEqual(
          there.entries.map(({ changedAt, ...rest }) => rest),
        );
      }
    }
    const saved = await openCapture(memorySource(bounded.save()));
    const verification = await verifyCapture(saved);
    expect(verification.status).toBe('incomplete');
    expect(verification.missing[0]).toMatch(/lost/);
    const last = (await saved.info()).records - 1;
    for (const { id } of replicas) {
      expect((await saved.state(id, last, '', 100)).root).toBe((await whole.state(id, info.records - 1, '', 100)).root);
    }
  });
});
