import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { StateRoot } from '../merkle/index.ts';
import { type ReplicaId, replicaId } from '../state/index.ts';
import type { TraceRecord } from '../trace/index.ts';
import { stepsIn } from './captured.test-helper.ts';
import { AUTHORITY, boxes, House } from './house.test-helper.ts';
import { isInputs, type ReplayResult, reexecuteSteps, type Step } from './index.ts';
import { accountOf } from './left-out.ts';

const ANN = replicaId('ann');
const BEN = replicaId('ben');

function ran(records: readonly TraceRecord[]): ReplayResult {
  return reexecuteSteps(stepsIn(records), { definition: boxes() });
}

/** Two people at a box, recorded from when somebody attached, and described again `attaches` times. */
function recorded(attaches = 0, between = 20): TraceRecord[] {
  const house = new House(boxes());
  const people = [house.join('ann'), house.join('ben')];
  const run = (steps: number): void => {
    for (let at = 0; at < steps; at++) {
      if (at % 5 === 0) people[(at / 5) % 2]?.send(at % 3 === 0 ? 'put' : 'take', null);
      house.step();
    }
  };
  const attach = (): void => {
    house.manager.describe();
    for (const { state } of house.clients) state.describe();
    house.journal.flush();
  };
  run(10);
  const records: TraceRecord[] = [];
  house.hub.listen((record) => records.push(record));
  attach();
  run(between);
  for (let at = 0; at < attaches; at++) {
    attach();
    run(between);
  }
  house.journal.flush();
  return records;
}

/** The recording with another record in the place of one, as redaction and damage leave it. */
function without(records: readonly TraceRecord[], isGone: (record: TraceRecord) => boolean): TraceRecord[] {
  return records.map((record) => {
    if (!isGone(record)) return record;
    const { wire: _, ...rest } = record;
    return { ...rest, body: { kind: 'log', level: 'debug', text: 'left out' } };
  });
}

function isSnapshotOf(replica: ReplicaId) {
  return (record: TraceRecord): boolean => record.replica === replica && record.body.kind === 'snapshot';
}

describe('what a re-execution leaves out', () => {
  test('is nothing where all is in the recording', () => {
    expect(ran(recorded())).toMatchObject({ status: 'equal', leftOut: [], replicas: [ANN, BEN, AUTHORITY] });
  });

  test('is a client that stands where its state is not in the capture, by name and with both versions', () => {
    const records = recorded();
    const result = ran(without(records, isSnapshotOf(ANN)));
    expect(result).toMatchObject({ status: 'partial', replicas: [BEN, AUTHORITY] });
    const [left] = result.leftOut;
    expect(left).toMatchObject({ replica: ANN, why: 'standing-unfit' });
    expect(left?.sentence).toMatch(/ann was not run: it stands at version \d+, and the state before it is not in the/);
    const own = records.filter(({ replica, seq }) => replica === ANN && seq >= (left?.first ?? 0));
    expect(left?.records).toBeGreaterThan(5);
    expect(left?.last).toBe(own.at(-1)?.seq);
    const older = records.map((record): TraceRecord => {
      const { body } = record;
      return isSnapshotOf(ANN)(record) && body.kind === 'snapshot'
        ? { ...record, body: { ...body, version: body.version - 1 } }
        : record;
    });
    expect(ran(older).leftOut[0]?.sentence).toMatch(/the state before it is that of version \d+$/);
  });

  test('is the authority likewise, whose clients are run all the same', () => {
    const result = ran(without(recorded(), isSnapshotOf(AUTHORITY)));
    expect(result).toMatchObject({ status: 'partial', replicas: [ANN, BEN] });
    expect(result.leftOut).toMatchObject([{ replica: AUTHORITY, why: 'standing-unfit' }]);
  });

  test('is only what came before where it says once more where it stands', () => {
    const records = recorded(1);
    const first = records.findIndex(isSnapshotOf(ANN));
    const result = ran(without(records, (record) => record === records[first]));
    expect(result.replicas).toEqual([ANN, BEN, AUTHORITY]);
    expect(result).toMatchObject({ status: 'partial', leftOut: [{ replica: ANN, why: 'standing-unfit' }] });
  });

  test('is what came behind the last inputs, without which nothing is partial', () => {
    const records = recorded();
    const last = records.findLastIndex(isInputs);
    const cut = records.slice(0, last);
    const result = ran(cut);
    expect(result.status).toBe('equal');
    expect(result.leftOut.map(({ why }) => why)).toContain('behind');
  });

  test('is what was recorded behind the place from which on inputs were left out', () => {
    const records = recorded(1);
    const inputs = records.filter(isInputs);
    const hidden = records.map((record): TraceRecord => {
      if (!isInputs(record) || record.seq < inputs[1]!.seq) return record;
      return { ...record, body: { kind: 'log', level: 'debug', text: 'left out: inputs, which may hold a secret' } };
    });
    const result = ran(hidden);
    expect(result.status).toBe('partial');
    expect(result.leftOut.map(({ why }) => why)).toContain('redacted');
  });

  test('is what stands between missing records and the next standing, whatever is missing, and nothing is a difference', () => {
    let gaps = 0;
    const place = fc.integer({ min: 1, max: 999 });
    fc.assert(
      fc.property(place, place, fc.integer({ min: 0, max: 3 }), fc.boolean(), (from, part, attaches, isTold) => {
        const records = recorded(attaches, 12);
        const first = Math.floor((from / 1_000) * records.length);
        const count = Math.max(1, Math.floor((part / 2_000) * records.length));
        const gone = records.slice(first, first + count);
        const last = gone.at(-1);
        const gap: TraceRecord[] =
          isTold && last
            ? [
                {
                  seq: last.seq,
                  time: last.time,
                  replica: AUTHORITY,
                  cause: [],
                  body: { kind: 'gap', count: gone.length, reason: 'too slow' },
                },
              ]
            : [];
        let result: ReplayResult;
        try {
          result = ran([...records.slice(0, first), ...gap, ...records.slice(first + count)]);
        } catch (error) {
          expect(error).toMatchObject({ code: 'REPLAY_INPUTS_MISSING' });
          return;
        }
        expect(result.difference).toBeUndefined();
        if (result.leftOut.some(({ why }) => why === 'gap')) {
          gaps++;
          expect(result.status).toBe('partial');
        }
        for (const replica of [ANN, BEN, AUTHORITY]) {
          const isNamed = result.replicas.includes(replica) || result.leftOut.some((one) => one.replica === replica);
          const isThere = [...records.slice(0, first), ...records.slice(first + count)].some(
            (one) => one.replica === replica && !isInputs(one) && one.body.kind !== 'replica',
          );
          expect(isNamed || !isThere, replica).toBe(true);
        }
      }),
    );
    expect(gaps).toBeGreaterThan(5);
  });

  test('is what a node did before it began, whatever was drawn for it by then', () => {
    const session = { session: 'table', members: [ANN, BEN], made: '{}' };
    const body = { kind: 'vote', phase: 'prepare', version: 1, answer: 'accept' } as const;
    const vote = { ...body, ballot: { round: 1, proposer: ANN }, own: StateRoot.empty.hash, reason: '' };
    const record: TraceRecord = { seq: 7, time: 1, replica: BEN, cause: [], body: vote };
    const steps: Step[] = [
      { input: { op: 'drawn', replica: BEN, now: 0, value: 0.5 }, records: [], time: 0 },
      { input: undefined, records: [{ position: 0, record }], time: 1 },
      { input: { op: 'node', replica: BEN, now: 2, ...session }, records: [], time: 2 },
    ];
    expect(accountOf(steps).leftOut).toMatchObject([{ replica: BEN, why: 'before', records: 1, first: 7 }]);
  });
});
