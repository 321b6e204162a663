import { describe, expect, test } from 'vitest';
import { coinRecording } from '../capture/testing.test-helper.ts';
import { StateRoot } from '../merkle/index.ts';
import { type Change, recordKey, replicaId, type SyncRecord } from '../state/index.ts';
import type { TraceBody, TraceBodyOf, TraceRecord } from '../trace/index.ts';
import { Audit } from './audit.ts';

const server = replicaId('server');
const client = replicaId('client');
const key = recordKey('thing/1');

function audited(records: readonly TraceRecord[]) {
  const audit = new Audit({ authority: server, startedAt: 1_767_225_600_000 });
  records.forEach((record, position) => {
    audit.take(position, record);
  });
  return audit.finish();
}

/** Bodies as records of one session, a millisecond apart. */
function traced(...bodies: readonly (readonly [typeof server, TraceBody])[]): TraceRecord[] {
  return bodies.map(([replica, body], at) => ({ seq: at + 1, time: at * 1_000_000, replica, cause: [], body }));
}

function snapshot(root: StateRoot, version: number, reason: 'attach' | 'mismatch' = 'attach'): TraceBody {
  const records = Array.from(root.entries(), ([one, record]) => ({ key: one, record }));
  return { kind: 'snapshot', reason, version, records, root: root.hash, vector: [] };
}

const first = StateRoot.from([[key, { worth: 1, tags: ['a'] }]]);
const change: Change = { op: 'patch', key, fields: { worth: 2 }, removed: [] };
const second = first.apply([change]);
const event = { type: 'X', player: 'client', detail: '' };
const start = [
  [server, snapshot(first, 1)],
  [client, snapshot(first, 1)],
] as const;
const committed: TraceBody = { kind: 'commit', version: 2, event, changes: [change], root: second.hash };
const commit = [server, committed] as const;

describe('no divergence is a hash', () => {
  test('of another version', () => {
    const own = { kind: 'hash', version: 2, own: first.hash, reference: second.hash, agrees: false } as const;
    const { findings, verdicts } = audited(traced(...start, commit, [client, own]));
    expect([findings, verdicts.map(({ verdict }) => verdict)]).toEqual([[], ['other-version']]);
  });

  describe('of a state with predictions on top', () => {
    const changes: Change[] = [{ op: 'patch', key, fields: { worth: 7 }, removed: [] }];
    const mutation = { writer: client, counter: 1 };
    const own = first.apply(changes).hash;
    const told: readonly (readonly [typeof server, TraceBody])[] = [
      ...start,
      commit,
      [client, { kind: 'prediction', mutation, command: 'x', version: 1, changes }],
      [client, { kind: 'hash', version: 1, own, reference: first.hash, agrees: false }],
    ];

    test('where it shows afterwards that it did not hold that', () => {
      const apply: TraceBody = { kind: 'apply', from: 1, to: 2, changes: [change], root: second.hash };
      const { findings, verdicts } = audited(traced(...told, [client, apply]));
      expect([findings, verdicts.map(({ verdict }) => verdict)]).toEqual([[], ['predicted']]);
    });

    test('nor where the capture ends before that is seen, and it has said such before', () => {
      const apply: TraceBody = { kind: 'apply', from: 1, to: 2, changes: [change], root: second.hash };
      const further: Change[] = [{ op: 'patch', key, fields: { worth: 8 }, removed: [] }];
      const { findings, verdicts } = audited(
        traced(
          ...told,
          [client, apply],
          [
            client,
            {
              kind: 'prediction',
              mutation: { writer: client, counter: 2 },
              command: 'x',
              version: 2,
              changes: further,
            },
          ],
          [
            client,
            { kind: 'hash', version: 2, own: second.apply(further).hash, reference: second.hash, agrees: false },
          ],
        ),
      );
      expect([findings, verdicts.map(({ verdict }) => verdict)]).toEqual([[], ['predicted', 'predicted']]);
    });

    test('but where it holds it, or the capture ends before that is seen, something is wrong', () => {
      const ended = audited(traced(...told));
      expect(ended.findings).toMatchObject([{ class: 'unknown', replica: client, confidence: 'low' }]);
      const mismatch: TraceBody = { kind: 'mismatch', reason: 'heartbeat', version: 1, from: 1, to: 1, own };
      const held = audited(traced(...told, [client, mismatch]));
      expect(held.findings).toMatchObject([{ class: 'corrupted-at-rest', replica: client, detected: { seq: 6 } }]);
      expect([ended.verdicts, held.verdicts]).toEqual([[], []]);
    });
  });

  test('of the part that a replica is shown', () => {
    const part = StateRoot.empty;
    const { findings } = audited(
      traced(
        [server, snapshot(first, 1)],
        [client, { kind: 'view', view: 'part', version: 1, records: 0, root: part.hash }],
        [client, snapshot(part, 1)],
        [client, { kind: 'hash', version: 1, own: part.hash }],
      ),
    );
    expect(findings).toEqual([]);
  });
});

describe('no divergence are values that say the same:', () => {
  test.each<[string, SyncRecord, SyncRecord]>([
    ['number', { worth: 0 }, { worth: -0 }],
    ['number', { worth: Number.NaN }, { worth: null }],
    ['missing-or-default', { worth: 1 }, { worth: 1, tags: [] }],
    ['ordering', { a: { x: 1, y: 2 } }, { a: { y: 2, x: 1 } }],
  ])('%s', (verdict, own, theirs) => {
    const differences = [{ key, own, theirs }];
    const cost = { rounds: 1, hashes: 1, bytes: 1 };
    const right = StateRoot.from([[key, theirs]]);
    const wrong = right.apply([{ op: 'put', key, record: own }]).hash;
    const { findings, verdicts } = audited(
      traced(
        [server, snapshot(right, 1)],
        [client, snapshot(right, 1)],
        [client, { kind: 'mismatch', reason: 'heartbeat', version: 1, from: 1, to: 1, own: wrong }],
        [client, { kind: 'divergence', against: server, version: 1, differences, ...cost }],
      ),
    );
    expect([findings, verdicts.map((one) => one.verdict)]).toEqual([[], [verdict]]);
  });

  test('but not what a replica held before another took it over', () => {
    const told = (theirs: SyncRecord): TraceBody => ({
      ...{ kind: 'divergence', against: server, version: 1, differences: [{ key, own: { worth: 8 }, theirs }] },
      ...{ rounds: 1, hashes: 1, bytes: 1 },
    });
    const wrong = second.hash;
    const { findings, verdicts } = audited(
      traced(
        ...start,
        [client, { kind: 'mismatch', reason: 'heartbeat', version: 1, from: 1, to: 1, own: wrong }],
        [client, told({ worth: 1 })],
        [client, told({ worth: 8 })],
      ),
    );
    expect(findings).toMatchObject([{ class: 'corrupted-at-rest', replica: client, detected: { seq: 3 } }]);
    expect(verdicts).toEqual([]);
  });

  test('but another value is one', () => {
    const { findings } = audited(
      traced(...start, [
        client,
        { kind: 'mismatch', reason: 'heartbeat', version: 1, from: 1, to: 1, own: second.hash },
      ]),
    );
    expect(findings).toMatchObject([{ class: 'corrupted-at-rest', cause: { seq: 2 }, detected: { seq: 3 } }]);
  });
});

describe('a prediction is judged by a commit without a root', () => {
  const mutation = { writer: client, counter: 1 };
  const { root: _, ...untold } = committed;
  const third: TraceBody = { kind: 'hash', version: 2, own: second.hash };
  const audit = (told: TraceBody) => {
    const predicted: Change[] = [{ op: 'patch', key, fields: { worth: 7 }, removed: [] }];
    return audited(
      traced(
        ...start,
        [client, { kind: 'prediction', mutation, command: 'x', version: 1, changes: predicted }],
        [server, { ...untold, mutation }],
        [server, told],
      ),
    ).findings;
  };

  test('where the next root is that of its changes', () => {
    expect(audit(third)).toMatchObject([{ class: 'nondeterministic-reducer', version: 2, cause: { seq: 4 } }]);
    const snapshotOfIt: TraceBody = { ...(snapshot(second, 2) as TraceBodyOf<'snapshot'>), reason: 'periodic' };
    expect(audit(snapshotOfIt)).toMatchObject([{ class: 'nondeterministic-reducer', cause: { seq: 4 } }]);
  });

  test('and not where it is another: then nobody told what the authority had', () => {
    expect(audit({ ...third, own: first.hash })).toMatchObject([{ class: 'corrupted-at-rest', replica: server }]);
  });
});

test('a conflict that two replicas resolve differently is found, one that they resolve alike is not', () => {
  const [a, b] = [replicaId('a'), replicaId('b')];
  const sides = [
    { writer: a, record: { worth: 1 } },
    { writer: b, record: { worth: 2 } },
  ];
  const told = (worth: number): TraceBody => ({
    ...{ kind: 'conflict', key, policy: 'last-writer-wins', state: 'resolved', base: null, sides },
    ...{ result: { worth }, winner: a, reason: 'it is later' },
  });
  expect(audited(traced([a, told(1)], [b, told(1)])).findings).toEqual([]);
  expect(audited(traced([a, told(1)], [b, told(2)])).findings).toMatchObject([
    { class: 'conflict-resolved-differently', replica: 'b', against: 'a', cause: { seq: 2 } },
  ]);
});

test('records of faults are never looked at', () => {
  for (const fault of ['corrupt', 'flip', 'drop-delta', 'repeat-delta'] as const) {
    const { records } = coinRecording(fault);
    const silent = records.map(
      (one): TraceRecord =>
        one.body.kind === 'fault' ? { ...one, body: { kind: 'log', level: 'debug', text: '' } } : one,
    );
    expect(audited(silent)).toEqual(audited(records));
  }
});
