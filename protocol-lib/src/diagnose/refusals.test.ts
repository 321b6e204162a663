import { expect, test } from 'vitest';
import { LiveCapture } from '../capture/live.ts';
import { memorySource } from '../capture/memory-bytes.ts';
import { AGREEMENT, type CaptureQuery } from '../capture/query.ts';
import { openCapture } from '../capture/reader.ts';
import { encodeTraceRecord } from '../capture/record-codec.ts';
import { coinRecording, fileOf } from '../capture/testing.test-helper.ts';
import { StateRoot } from '../merkle/index.ts';
import { type Change, type ReplicaId, recordKey, replicaId } from '../state/index.ts';
import { TRACE_VERSION, type TraceBody } from '../trace/index.ts';
import { diagnoseCapture } from './diagnosis.ts';
import { verifyCapture } from './verify.ts';

/** A delta that does not fit says that something is lacking; a root that is not the authority's says that something is wrong. */

const server = replicaId('server');
const client = replicaId('client');
const peer = replicaId('peer-2');
const key = recordKey('thing/1');
const event = { type: 'X', player: 'client', detail: '' };
const cost = { rounds: 1, hashes: 1, bytes: 1 };

type Told = readonly [ReplicaId, TraceBody, ...number[]];

function captureOf(authority: ReplicaId | null, told: readonly Told[]): LiveCapture {
  const live = new LiveCapture({ traceVersion: TRACE_VERSION, ...HEADER, authority });
  told.forEach(([replica, body, ...cause], at) => {
    live.append(encodeTraceRecord({ seq: at + 1, time: at * 1_000_000, replica, cause, body }));
  });
  return live;
}

const { traceVersion: _, ...HEADER } = coinRecording(undefined, { length: 100 }).header;

const put = (worth: number): Change => ({ op: 'put', key, record: { worth } });
const roots = [1, 2, 3, 4].map((worth) => StateRoot.from([[key, { worth }]]));
const rootOf = (version: number): StateRoot => roots[version - 1]!;
const wrong = StateRoot.from([[key, { worth: 9 }]]);

function snapshot(root: StateRoot, version: number, reason: 'attach' | 'mismatch' = 'attach'): TraceBody {
  const records = Array.from(root.entries(), ([one, record]) => ({ key: one, record }));
  return { kind: 'snapshot', reason, version, records, root: root.hash, vector: [] };
}
const commit = (version: number): TraceBody => {
  return { kind: 'commit', version, event, changes: [put(version)], root: rootOf(version).hash };
};
const apply = (from: number, to: number): TraceBody => {
  return { kind: 'apply', from, to, changes: [put(to)], root: rootOf(to).hash };
};
const repair = (version: number): TraceBody => {
  return { kind: 'repair', version, method: 'delta', root: rootOf(version).hash, bytes: 0 };
};
const unfit = (own: StateRoot): TraceBody => {
  return { kind: 'mismatch', reason: 'base', version: 1, from: 2, to: 3, own: own.hash, expected: rootOf(3).hash };
};

const begun: readonly Told[] = [
  [server, { kind: 'replica', role: 'server' }],
  [server, snapshot(rootOf(1), 1)],
  [client, { kind: 'replica', role: 'client' }],
  [client, snapshot(rootOf(1), 1)],
  [server, commit(2)],
  [server, commit(3)],
];
const REFUSAL = begun.length;

async function clientAt(capture: CaptureQuery, position: number) {
  const { replicas, verdict } = await capture.status(position);
  return { verdict, ...replicas.find(({ replica }) => replica === client)! };
}

test('a refused delta, and then a real corruption: the one is asked for again, the other is a divergence', async () => {
  const CORRUPTED = REFUSAL + 3;
  const live = captureOf(server, [
    ...begun,
    [client, unfit(rootOf(1))],
    [client, apply(1, 3)],
    [client, repair(3), REFUSAL + 1],
    [client, { kind: 'hash', version: 3, own: wrong.hash, reference: rootOf(3).hash, agrees: false }],
    [client, snapshot(wrong, 3, 'mismatch')],
    [client, { ...repair(3), method: 'merkle' } as TraceBody, CORRUPTED + 1],
  ]);
  for (const capture of [live, await openCapture(memorySource(live.save()), { index: 'always' })]) {
    const asking = await clientAt(capture, REFUSAL);
    expect(asking).toMatchObject({ agreement: AGREEMENT.agrees, lag: 2, refused: REFUSAL });
    expect(asking.differs).toBeUndefined();
    expect(asking.verdict).toEqual({
      level: 'warning',
      text: 'client refused a delta at v1 and asks again',
      position: REFUSAL,
    });
    const well = await clientAt(capture, REFUSAL + 2);
    expect([well.refused, well.verdict.level]).toEqual([undefined, 'quiet']);
    const corrupted = await clientAt(capture, CORRUPTED);
    expect(corrupted).toMatchObject({ agreement: AGREEMENT.differs, differs: { since: 3, position: CORRUPTED } });
    expect(corrupted.verdict).toMatchObject({ level: 'error', text: 'client differs since v3' });
    expect((await clientAt(capture, CORRUPTED + 2)).differs).toBeUndefined();

    const { markers } = await capture.markers({ from: 0, to: 1e9 }, 10);
    expect(markers.map(({ kind, position }) => [kind, position])).toEqual([
      ['refused-delta', REFUSAL],
      ['repair', REFUSAL + 2],
      ['desync', CORRUPTED],
      ['repair', CORRUPTED + 2],
    ]);
    for (const position of [REFUSAL, REFUSAL + 1, REFUSAL + 2]) {
      expect(await capture.explain(position)).toMatchObject({ verdict: 'refused-delta', repaired: REFUSAL + 2 });
    }
    for (const position of [CORRUPTED, CORRUPTED + 1, CORRUPTED + 2]) {
      const explanation = (await capture.explain(position))!;
      expect(explanation).toMatchObject({ class: 'corrupted-at-rest', repaired: CORRUPTED + 2 });
      expect(explanation.verdict).toBeUndefined();
    }
  }
});

test('a refused delta while what is held is not the authority’s is a divergence', async () => {
  const live = captureOf(server, [...begun, [client, unfit(wrong)]]);
  expect(await clientAt(live, REFUSAL)).toMatchObject({
    agreement: AGREEMENT.differs,
    differs: { since: 1, position: REFUSAL },
    verdict: { level: 'error' },
  });
  expect(await live.nextMarker(-1, 1, 'refused-delta')).toBeUndefined();
});

test('a refused delta does not end a divergence that is known', async () => {
  const live = captureOf(server, [
    ...begun,
    [client, { ...unfit(rootOf(1)), reason: 'root', from: 1, to: 2 } as TraceBody],
    [client, unfit(rootOf(1))],
  ]);
  const after = await clientAt(live, REFUSAL + 1);
  expect(after).toMatchObject({ agreement: AGREEMENT.differs, differs: { since: 2, position: REFUSAL } });
  expect(after.refused).toBeUndefined();
});

const proposal: TraceBody = {
  ...{ kind: 'proposal', version: 1, ballot: { round: 1, proposer: peer }, phase: 'decided' },
  ...{ base: rootOf(1).hash, command: 'x', changes: [], reason: '' },
};

test('in a group a proposal that does not fit makes nobody differ whose state is the decided one', () => {
  return Promise.all(
    [rootOf(1), wrong].map(async (own) => {
      const live = captureOf(null, [
        [peer, { kind: 'replica', role: 'peer' }],
        [peer, proposal],
        [peer, commit(1)],
        [client, { kind: 'replica', role: 'peer' }],
        [client, snapshot(rootOf(1), 1)],
        [client, unfit(own)],
      ]);
      const after = await clientAt(live, 5);
      expect(after.agreement).toBe(own === wrong ? AGREEMENT.differs : AGREEMENT.agrees);
      expect(after.refused).toBeUndefined();
    }),
  );
});

test('of a real session the marks, the status, the diagnosis and verify say the same', async () => {
  for (const [fault, isDivergence] of [
    ['drop-delta', false],
    ['corrupt', true],
  ] as const) {
    const recording = coinRecording(fault);
    const capture = await openCapture(memorySource(await fileOf(recording)));
    let differing = 0;
    for (let position = 0; position < recording.records.length; position++) {
      const { replicas, verdict } = await capture.status(position);
      if (verdict.level === 'error' || replicas.some(({ differs }) => differs)) differing++;
    }
    expect([fault, differing > 0]).toEqual([fault, isDivergence]);
    expect((await capture.nextMarker(-1, 1, 'desync')) !== undefined).toBe(isDivergence);
    expect((await capture.nextMarker(-1, 1, 'refused-delta')) !== undefined).toBe(!isDivergence);
    expect((await diagnoseCapture(capture)).findings.length > 0).toBe(isDivergence);
    expect((await verifyCapture(capture)).status).toBe(isDivergence ? 'diverged' : 'agrees');
  }
});

test('what a peer finds after the first repair leads to the finding in whose time it began to ask', async () => {
  const other = replicaId('peer-1');
  const told: TraceBody = { kind: 'mismatch', reason: 'heartbeat', version: 1, from: 1, to: 1, own: wrong.hash };
  const NOTICED = 4;
  const live = captureOf(null, [
    [other, { kind: 'replica', role: 'peer' }],
    [other, snapshot(rootOf(1), 1)],
    [peer, { kind: 'replica', role: 'peer' }],
    [peer, snapshot(rootOf(1), 1)],
    [peer, { kind: 'hash', version: 1, own: wrong.hash, reference: rootOf(1).hash, agrees: false }],
    [peer, told, NOTICED + 1],
    [
      peer,
      {
        ...{ kind: 'divergence', against: other, version: 1, ...cost },
        differences: [{ key, own: { worth: 9 }, theirs: { worth: 1 } }],
      },
      NOTICED + 2,
    ],
    [peer, { ...repair(1), method: 'merkle' } as TraceBody, NOTICED + 3],
    [peer, { kind: 'divergence', against: other, version: 1, differences: [], ...cost }, NOTICED + 2],
    [peer, { ...repair(1), method: 'merkle' } as TraceBody, NOTICED + 5],
  ]);
  const first = (await live.explain(NOTICED))!;
  expect(first.class).toBe('corrupted-at-rest');
  const { markers } = await live.markers({ from: 0, to: 1e9 }, 10);
  expect(markers.map(({ kind, position }) => [kind, position])).toEqual([
    ['desync', NOTICED],
    ['repair', NOTICED + 3],
    ['desync', NOTICED + 4],
    ['repair', NOTICED + 5],
  ]);
  for (const { position } of markers)
    expect((await live.explain(position))?.sentence, `${position}`).toBe(first.sentence);
});
