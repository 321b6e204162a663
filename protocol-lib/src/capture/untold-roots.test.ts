import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { diagnoseCapture } from '../diagnose/index.ts';
import { StateRoot } from '../merkle/index.ts';
import { AUTHORITY, House } from '../replay/house.test-helper.ts';
import { reexecuteSteps, stepsOf } from '../replay/index.ts';
import { type RecordKey, recordKey, replicaId, type SyncRecord } from '../state/index.ts';
import { type AuthorityStanding, type SessionDefinition, SyncManager } from '../sync/index.ts';
import {
  TRACE_VERSION,
  type TraceBodyOf,
  type TraceHeader,
  TraceHub,
  type TraceRecord,
  toldRoot,
} from '../trace/index.ts';
import { RecordRedactor } from './exchange/index.ts';
import { memorySink, memorySource } from './memory-bytes.ts';
import { openCapture } from './reader.ts';
import { decodeTraceRecord, encodeTraceRecord } from './record-codec.ts';
import { CaptureWriter } from './writer.ts';

/** As many commits of a round tell their root; the rest is told at its end. */
const TOLD = 8;
const THINGS = 40;

/** Things of which each command sets one. */
function shelf(): SessionDefinition {
  const idOf = (args: unknown): number => Number((args as { readonly id?: unknown }).id);
  return {
    name: 'shelf',
    initialRecords: () => Array.from({ length: THINGS }, (_, id) => [recordKey(`thing/${id}`), { x: 0, by: 'nobody' }]),
    commands: {
      set: (_, args, writer) => ({
        accepted: true,
        events: [{ type: 'SET', player: writer, detail: '', data: args }],
      }),
    },
    reduce: (state, { player, data }) => {
      const key = recordKey(`thing/${idOf(data)}`);
      const x = Number(state.get(key)?.x) + 1;
      return [{ op: 'patch', key, fields: { x, by: player }, removed: [] }];
    },
  };
}

interface Session {
  readonly records: readonly TraceRecord[];
  /** What the authority held at each version. */
  readonly held: ReadonlyMap<number, string>;
}

/** So many changes of the authority's own in each round, and what a client adds, from when somebody attaches. */
function session(rounds: readonly number[], isAlone = false): Session {
  const house = new House(shelf());
  const ann = isAlone ? undefined : house.join('ann');
  for (let at = 0; at < 10; at++) house.step();
  const records: TraceRecord[] = [];
  const held = new Map<number, string>();
  house.hub.listen((record) => records.push(record));
  house.manager.describe();
  for (const { state } of house.clients) state.describe();
  const note = (): void => {
    held.set(house.manager.version, house.manager.root.hash);
  };
  note();
  let id = 0;
  for (const [round, changes] of rounds.entries()) {
    for (let made = 0; made < changes; made++) {
      id = (id + 7) % THINGS;
      house.manager.mutate('set', { id }, house.now);
      note();
    }
    if (round % 3 === 0) ann?.send('set', { id: round % THINGS });
    note();
    for (let at = 0; at < 6; at++) house.step();
  }
  for (let at = 0; at < 60; at++) house.step();
  house.journal.flush();
  return { records, held };
}

const header: TraceHeader = {
  sessionId: 'untold',
  title: 'Untold roots',
  scenario: 'shelf',
  traceVersion: TRACE_VERSION,
  protocolVersion: 1,
  startedAt: 0,
  authority: AUTHORITY,
  build: 'test',
};

async function opened(records: readonly TraceRecord[]) {
  const sink = memorySink();
  const writer = new CaptureWriter(sink, header);
  for (const record of records) writer.append(encodeTraceRecord(record));
  await writer.end();
  return openCapture(memorySource(sink.bytes()));
}

function commitsOf(records: readonly TraceRecord[]) {
  return records.flatMap(({ body }, position) => (body.kind === 'commit' ? [{ body, position }] : []));
}

/** A record's commit with other values in its changes. */
function altered(record: TraceRecord): TraceRecord {
  const body = record.body as TraceBodyOf<'commit'>;
  const changes = body.changes.map((one) => (one.op === 'patch' ? { ...one, fields: { ...one.fields, x: -1 } } : one));
  return { ...record, body: { ...body, changes } };
}

const rounds = fc.array(fc.oneof(fc.nat(4), fc.integer({ min: 8, max: 40 })), { minLength: 1, maxLength: 12 });

describe('what an authority tells of its roots', () => {
  test('is every one where few come in a round, else those of the first and of the last', () => {
    const { records, held } = session([3, 20, 2, 2]);
    const own = records.filter(({ replica }) => replica === AUTHORITY);
    const commits = commitsOf(own);
    // Of each round with no more than that, of the first in the one with more, and none in the round after it; ann adds one to the first and the last.
    expect(commits.map(({ body }) => body.root !== undefined)).toEqual(
      [Array(4 + TOLD).fill(true), Array(20 - TOLD + 2).fill(false), Array(3).fill(true)].flat(),
    );
    const last = commits.findLast(({ body }) => body.root === undefined)!.body;
    const after = own.flatMap(({ body }) => (body.kind === 'hash' ? [toldRoot(body)] : []));
    expect(after).toContainEqual({ version: last.version, root: held.get(last.version) });
    for (const { body } of own) {
      const told = toldRoot(body);
      if (told) expect(told.root).toBe(held.get(told.version));
    }
  });

  test('is told with a snapshot where nobody is there to have rounds', () => {
    const { records } = session([30], true);
    const { version } = commitsOf(records).at(-1)!.body;
    const behind = records.slice(commitsOf(records).at(-1)!.position + 1).map(({ body }) => body);
    expect(behind.filter(({ kind }) => kind !== 'log')).toMatchObject([
      { kind: 'hash', version },
      { kind: 'snapshot', reason: 'periodic', version },
    ]);
  });

  test.each([
    ['that few came before', 3],
    ['in a busy round', 20],
  ])('is known before a device is given the version, %s', (_, changes) => {
    const house = new House(shelf());
    house.join('ann');
    const records: TraceRecord[] = [];
    house.hub.listen((record) => records.push(record));
    house.manager.describe();
    for (const { state } of house.clients) state.describe();
    const { posting } = house.manager;
    const given = new Map<number, string>();
    let counter = 0;
    for (let visit = 0; visit < 4; visit++) {
      for (let made = 0; made < changes; made++) {
        const mutation = { writer: replicaId('device'), counter: ++counter };
        posting.settle(mutation, 'set', { id: counter % THINGS }, 1, house.now);
      }
      posting.keep();
      given.set(house.manager.version, house.manager.root.hash);
      const told = records.flatMap(({ body }) => toldRoot(body) ?? []);
      expect(told).toContainEqual({ version: house.manager.version, root: house.manager.root.hash });
      if (visit % 2 === 1) for (let at = 0; at < 6; at++) house.step();
    }
    expect(given.size).toBe(4);
    house.journal.flush();
    const steps = stepsOf(records.map((record, position) => ({ position, record })));
    expect(reexecuteSteps(steps, { definition: shelf() }).difference).toBeUndefined();
  });

  test('is known before any client has the version', () => {
    const { records } = session([25, 30]);
    const told = new Set<number>();
    for (const { body, replica } of records) {
      const root = toldRoot(body);
      if (replica === AUTHORITY && root) told.add(root.version);
      else if (body.kind === 'apply') expect(told).toContain(body.to);
    }
    expect(records.some(({ body }) => body.kind === 'apply')).toBe(true);
  });
});

describe('an authority that goes on from where another stood', () => {
  const after = (change: (state: AuthorityStanding['state']) => AuthorityStanding['state']): boolean[] => {
    const house = new House(shelf());
    house.hub.listen(() => undefined);
    house.manager.describe();
    for (let id = 0; id < 3; id++) house.manager.mutate('set', { id }, house.now);
    const { root, standing } = house.manager;
    const told: boolean[] = [];
    const hub = new TraceHub({ now: () => house.now });
    hub.listen(({ body }) => {
      if (body.kind === 'commit') told.push(body.root !== undefined);
    });
    const manager = new SyncManager({
      ...{ definition: shelf(), replica: AUTHORITY, session: 'boxes', random: { next: () => 0.5 }, now: house.now },
      tap: hub,
      resume: { root, standing: { ...standing!, state: change(standing!.state) } },
    });
    for (let id = 0; id < 12; id++) manager.mutate('set', { id }, house.now);
    return told;
  };

  test('counts on', () => {
    expect(after((state) => state)).toEqual(Array.from({ length: 12 }, (_, at) => at < TOLD - 3));
  });

  test('of a busy round tells none, and tells the first of each of a recording from before that was so', () => {
    expect(after((state) => ({ ...state, sinceRoot: 0, wasBusy: true }))).toEqual(Array(12).fill(false));
    const before = after(({ wasBusy: _, ...state }) => ({ ...state, sinceRoot: 0 }));
    expect(before).toEqual(Array.from({ length: 12 }, (_, at) => at < TOLD));
  });

  test('of a recording from before roots could be left out tells them all', () => {
    expect(after(({ sinceRoot: _, ...state }) => state)).toEqual(Array(12).fill(true));
  });
});

describe('a recording in which not every root is told', () => {
  test('has the state that there was at every version, and is clean', async () => {
    await fc.assert(
      fc.asyncProperty(rounds, async (made) => {
        const { records, held } = session(made);
        const capture = await opened(records);
        const plain = new Map<RecordKey, SyncRecord>();
        let version = 0;
        for (const [position, { body, replica }] of records.entries()) {
          if (replica !== AUTHORITY) continue;
          if (body.kind === 'snapshot') {
            plain.clear();
            for (const { key, record } of body.records) plain.set(key, record);
            version = body.version;
          } else if (body.kind === 'commit') {
            for (const one of body.changes) {
              if (one.op === 'patch') plain.set(one.key, { ...plain.get(one.key), ...one.fields });
            }
            version = body.version;
          } else continue;
          const { entries, root, unknown } = await capture.state(AUTHORITY, position, '', 1_000);
          expect(unknown).toBeUndefined();
          expect(root).toBe(held.get(version));
          expect(root).toBe(StateRoot.from([...plain]).hash);
          expect(entries.map(({ key, record }) => [key, record])).toEqual(
            [...plain].sort(([a], [b]) => (a < b ? -1 : 1)),
          );
        }
        const { findings, verdicts } = await diagnoseCapture(capture);
        expect([findings, verdicts]).toEqual([[], []]);
        for (const { replica: id } of (await capture.status(records.length - 1)).replicas) {
          expect((await capture.state(id, records.length - 1, '', 1_000)).unknown).toBeUndefined();
        }
        await capture.close();
      }),
      { numRuns: 25 },
    );
  });

  test('is run again to the same records', () => {
    fc.assert(
      fc.property(rounds, (made) => {
        const { records } = session(made);
        const steps = stepsOf(records.map((record, position) => ({ position, record })));
        expect(reexecuteSteps(steps, { definition: shelf() }).difference).toBeUndefined();
      }),
      { numRuns: 25 },
    );
  });

  test('shows no value between two told roots that does not lead to the second', async () => {
    const { records } = session([2, 30, 3]);
    const commits = commitsOf(records);
    const untold = commits.filter(({ body }) => body.root === undefined);
    const wrong = untold[10]!;
    const capture = await opened(records.with(wrong.position, altered(records[wrong.position]!)));
    for (const { body, position } of commits) {
      const { unknown } = await capture.state(AUTHORITY, position, '', 1);
      const isDoubtful = untold.some((one) => one.position === position);
      expect([body.version, unknown !== undefined]).toEqual([
        body.version,
        isDoubtful || body.version > untold.at(-1)!.body.version,
      ]);
    }
    // A snapshot tells all of it again.
    expect((await capture.state(AUTHORITY, records.length - 1, '', 1)).unknown).toBeUndefined();
  });

  test('shows what follows from its records where no root is told behind them', async () => {
    const { records } = session([30]);
    const untold = commitsOf(records).filter(({ body }) => body.root === undefined);
    const cut = await opened(records.slice(0, untold[9]!.position + 1));
    const { root, unknown } = await cut.state(AUTHORITY, untold[9]!.position, '', 1);
    expect([root, unknown]).toEqual([session([30]).held.get(untold[9]!.body.version), undefined]);
  });

  test('does not show what is behind a record that is missing', async () => {
    const { records } = session([30]);
    const untold = commitsOf(records).filter(({ body }) => body.root === undefined);
    const left = records.filter((_, position) => position !== untold[4]!.position);
    const capture = await opened(left);
    const at = left.findIndex(({ body }) => body === untold[6]!.body);
    expect((await capture.state(AUTHORITY, at, '', 1)).unknown).toContain('missing');
    expect((await capture.state(AUTHORITY, untold[2]!.position, '', 1)).unknown).toBeUndefined();
  });

  test('keeps its states when it is redacted, with other hashes', async () => {
    const { records } = session([2, 30, 3]);
    const redactor = new RecordRedactor({ paths: ['*.by'], pseudonym: (text) => `x${text.length}` });
    const shown = records.flatMap((record) => redactor.take(encodeTraceRecord(record))).concat(redactor.end());
    const after = shown.map(decodeTraceRecord);
    const capture = await opened(after);
    for (const { body, position } of commitsOf(after)) {
      const { unknown, root } = await capture.state(AUTHORITY, position, '', 1);
      expect([body.version, unknown]).toEqual([body.version, undefined]);
      expect(root).not.toBe(session([2, 30, 3]).held.get(body.version));
    }
  });
});
