import { describe, expect, test } from 'vitest';
import { StateRoot } from '../merkle/index.ts';
import { type Change, type RecordKey, type ReplicaId, recordKey, replicaId, type SyncRecord } from '../state/index.ts';
import type { TraceBody, TraceRecord } from '../trace/index.ts';
import { alike } from './alike.ts';
import { Audit } from './audit.ts';

/** What could be taken for nothing, and is something. */

const server = replicaId('server');
const client = replicaId('client');
const other = replicaId('other');
const key = recordKey('thing/1');
const beside = recordKey('thing/2');
const event = { type: 'X', player: 'client', detail: '' };
const cost = { rounds: 1, hashes: 1, bytes: 1 };

type Told = readonly [ReplicaId, TraceBody];

function audited(authority: ReplicaId | null, ...told: readonly Told[]) {
  const audit = new Audit({ authority, startedAt: 1_767_225_600_000 });
  told.forEach(([replica, body], at) => {
    const record: TraceRecord = { seq: at + 1, time: at * 1_000_000, replica, cause: [], body };
    audit.take(at, record);
  });
  return audit.finish();
}

const put = (at: RecordKey, worth: number): Change => ({ op: 'put', key: at, record: { worth } });
const first = StateRoot.from([
  [key, { worth: 1 }],
  [beside, { worth: 1 }],
]);
const second = first.apply([put(key, 2)]);
const third = second.apply([put(key, 3)]);

function snapshot(root: StateRoot, version: number, reason: 'attach' | 'periodic' | 'full-sync' = 'attach'): TraceBody {
  const records = Array.from(root.entries(), ([one, record]) => ({ key: one, record }));
  return { kind: 'snapshot', reason, version, records, root: root.hash, vector: [] };
}

function commit(version: number, worth: number, root: StateRoot): TraceBody {
  return { kind: 'commit', version, event, changes: [put(key, worth)], root: root.hash };
}

function apply(from: number, worth: number, root: StateRoot): TraceBody {
  return { kind: 'apply', from, to: from + 1, changes: [put(key, worth)], root: root.hash };
}

function mismatch(own: StateRoot, reason: 'heartbeat' | 'root' = 'heartbeat', version = 1): TraceBody {
  return { kind: 'mismatch', reason, version, from: version, to: version, own: own.hash };
}

function divergence(against: ReplicaId, own: SyncRecord, theirs: SyncRecord, at = key): TraceBody {
  return { kind: 'divergence', against, version: 1, differences: [{ key: at, own, theirs }], ...cost };
}

const begun: readonly Told[] = [
  [server, { kind: 'replica', role: 'server' }],
  [server, snapshot(first, 1)],
  [client, { kind: 'replica', role: 'client' }],
  [client, snapshot(first, 1)],
];

describe('the state of an authority that changed by itself is found', () => {
  const wrong = first.apply([put(beside, 9)]);

  test('by the next commit', () => {
    const told = wrong.apply([put(key, 2)]);
    const { findings } = audited(server, ...begun, [server, commit(2, 2, told)]);
    expect(findings).toMatchObject([
      { class: 'corrupted-at-rest', replica: server, cause: { seq: 2 }, detected: { seq: 5 } },
    ]);
  });

  test('by a commit that changes nothing', () => {
    const { findings } = audited(server, ...begun, [server, commit(1, 1, wrong)]);
    expect(findings).toMatchObject([{ class: 'corrupted-at-rest', replica: server, detected: { seq: 5 } }]);
  });

  test('by the state that it tells, with the values', () => {
    const { findings } = audited(server, ...begun, [server, snapshot(wrong, 1, 'periodic')]);
    expect(findings).toMatchObject([
      { class: 'corrupted-at-rest', replica: server, value: { key: beside, field: 'worth', own: 9, expected: 1 } },
    ]);
  });

  test('once, and its clients are not blamed for it', () => {
    const told = wrong.apply([put(key, 2)]);
    const delta: TraceBody = {
      ...{ kind: 'apply', from: 1, to: 2, root: told.hash },
      changes: [put(key, 2), put(beside, 9)],
    };
    const { findings } = audited(
      server,
      ...begun,
      [server, snapshot(wrong, 1, 'periodic')],
      [server, commit(2, 2, told)],
      [client, delta],
      [server, commit(3, 3, told.apply([put(key, 3)]))],
    );
    expect(findings).toMatchObject([{ replica: server }]);
    expect(findings).toHaveLength(1);
  });

  test('and one that starts anew from another state is none', () => {
    const anew: Told[] = [
      [server, { kind: 'replica', role: 'server' }],
      [server, snapshot(wrong, 1)],
      [server, commit(2, 2, wrong.apply([put(key, 2)]))],
    ];
    expect(audited(server, ...begun, ...anew).findings).toEqual([]);
  });
});

describe('what says that two differ is found though the capture does not hold what they had:', () => {
  const wrong = first.apply([put(key, 9)]);

  test.each<[string, TraceBody]>([
    ['a mismatch of a heartbeat', mismatch(wrong)],
    ['a mismatch of a delta', mismatch(wrong, 'root')],
    ['a divergence', divergence(server, { worth: 9 }, { worth: 1 })],
    ['a hash', { kind: 'hash', version: 1, own: wrong.hash, reference: first.hash, agrees: false }],
  ])('%s', (_, body) => {
    expect(audited(server, [client, body]).findings).toMatchObject([{ class: 'unknown', replica: client }]);
    const peers = audited(null, [client, body]).findings;
    expect(peers).toMatchObject([{ class: 'unknown', replica: client, confidence: 'low' }]);
  });

  test('of a peer behind a gap', () => {
    const gap: TraceBody = { kind: 'gap', count: 3, reason: 'not kept up with' };
    const { findings } = audited(
      null,
      [client, snapshot(first, 1)],
      [other, gap],
      [client, mismatch(wrong, 'root', 4)],
    );
    expect(findings).toMatchObject([{ class: 'unknown', replica: client, detected: { seq: 3 } }]);
  });

  test('a whole state that came and is not that of its version', () => {
    const { findings } = audited(
      server,
      ...begun,
      [server, commit(2, 2, second)],
      [client, snapshot(first, 2, 'full-sync')],
    );
    expect(findings).toMatchObject([{ replica: client, detected: { seq: 6 } }]);
    expect(findings[0]?.repaired).toBeUndefined();
  });
});

describe('values that say the same', () => {
  const wrong = first.apply([put(key, 9), put(beside, -0)]);

  test('do not dismiss a case that they are not the whole of', () => {
    const { findings, verdicts } = audited(
      server,
      ...begun,
      [client, mismatch(wrong)],
      [client, divergence(server, { worth: -0 }, { worth: 0 }, beside)],
    );
    expect(findings).toMatchObject([{ class: 'corrupted-at-rest', replica: client }]);
    expect(verdicts).toMatchObject([{ verdict: 'number' }]);
  });

  test('are nothing in the place of a field that is missing, too', () => {
    expect(alike({ worth: 1, note: null }, { worth: 1 })).toBe('missing-or-default');
    expect(alike({ worth: 1 }, { worth: 1, note: null })).toBe('missing-or-default');
  });
});

describe('a hash of an earlier version', () => {
  const told: readonly Told[] = [
    ...begun,
    [server, commit(2, 2, second)],
    [client, apply(1, 2, second)],
    [client, { kind: 'hash', version: 2, own: first.hash, reference: second.hash, agrees: false }],
  ];

  test('is no divergence where the next delta shows what it had', () => {
    const { findings, verdicts } = audited(
      server,
      ...told,
      [server, commit(3, 3, third)],
      [client, apply(2, 3, third)],
    );
    expect([findings, verdicts.map(({ verdict }) => verdict)]).toEqual([[], ['other-version']]);
  });

  test('is one where it went back to that state', () => {
    const { findings, verdicts } = audited(server, ...told, [client, mismatch(first, 'heartbeat', 2)]);
    expect(findings).toMatchObject([{ class: 'corrupted-at-rest', replica: client, detected: { seq: 8 } }]);
    expect(verdicts).toEqual([]);
  });

  test('may be one where nothing follows', () => {
    expect(audited(server, ...told).findings).toMatchObject([{ class: 'unknown', confidence: 'low' }]);
  });
});

describe('a part of the state', () => {
  const part = StateRoot.from([[key, { worth: 1 }]]);
  const now = part.apply([put(key, 2)]);
  const late: readonly Told[] = [
    [server, snapshot(first, 1, 'periodic')],
    [client, snapshot(part, 1)],
    [server, commit(2, 2, second)],
    [client, apply(1, 2, now)],
  ];

  test('is none that is wrong, though the capture began after it was told of', () => {
    expect(audited(server, ...late).findings).toEqual([]);
  });

  test('nor where the authority says that it is right', () => {
    const right: TraceBody = { kind: 'hash', version: 2, own: now.hash, reference: now.hash, agrees: true };
    const told: Told[] = [[server, { kind: 'replica', role: 'server' }], ...late, [client, right]];
    expect(audited(server, ...told).findings).toEqual([]);
    expect(audited(server, ...told.slice(0, -1)).findings).toMatchObject([{ replica: client }]);
  });
});

test('of two peers that differ for two reasons both are found', () => {
  const [a, b, c] = [replicaId('a'), replicaId('b'), replicaId('c')];
  const sides = [
    { writer: a, record: { worth: 1 } },
    { writer: b, record: { worth: 2 } },
  ];
  const resolved = (worth: number): TraceBody => ({
    ...{ kind: 'conflict', key, policy: 'last-writer-wins', state: 'resolved', base: null, sides },
    ...{ result: { worth }, winner: a, reason: 'it is later' },
  });
  const { findings } = audited(
    null,
    [a, snapshot(first, 1)],
    [a, mismatch(second, 'root', 1)],
    [a, resolved(1)],
    [c, resolved(1)],
    [b, resolved(2)],
  );
  expect(findings).toMatchObject([
    { class: 'corrupted-at-rest', replica: a },
    { class: 'conflict-resolved-differently', replica: b },
  ]);
});

test('a frame that was changed on its way and taken in by nobody hides nothing of who received it', () => {
  const [a, b] = [replicaId('a'), replicaId('b')];
  const told = (from: ReplicaId, to: ReplicaId, sequence: number) => ({ from, to, type: 'X', sender: from, sequence });
  const frames: readonly (readonly [ReplicaId, TraceBody, Uint8Array | undefined])[] = [
    [b, { kind: 'send', ...told(b, a, 1) }, new Uint8Array(20)],
    [a, { kind: 'receive', ...told(b, a, 1) }, new Uint8Array(20)],
    [b, { kind: 'send', ...told(b, a, 2) }, new Uint8Array(20).fill(1)],
    [a, { kind: 'receive', ...told(b, a, 2) }, new Uint8Array(20).fill(1).fill(2, 19)],
    [a, { kind: 'hash', version: 1, own: first.hash, reference: second.hash, agrees: false }, undefined],
  ];
  const audit = new Audit({ authority: null, startedAt: 1_767_225_600_000 });
  frames.forEach(([replica, body, wire], at) => {
    const record = { seq: at + 1, time: at * 1_000_000, replica, cause: [], body };
    audit.take(at, wire ? { ...record, wire } : record);
  });
  const classes = audit.finish().findings.map((one) => `${one.class} ${one.replica}`);
  expect(classes).toEqual(['corrupted-in-transit a', 'unknown a']);
});

test('what was told while a comparison stood that turns out to be none is found nevertheless', () => {
  const part = StateRoot.from([[key, { worth: 2 }]]);
  const moved: TraceBody = {
    ...{ kind: 'apply', from: 1, to: 2, root: part.hash },
    changes: [put(key, 2), { op: 'remove', key: beside }],
  };
  const own = part.apply([put(key, 9)]);
  const shown: Told = [client, { kind: 'hash', version: 2, own: part.hash, reference: part.hash, agrees: true }];
  const told: Told[] = [...begun, [server, commit(2, 2, second)], [client, moved]];
  // It is shown a part, which nothing told of.
  expect(audited(server, ...told, shown).findings).toEqual([]);
  const { findings } = audited(server, ...told, [client, mismatch(own, 'heartbeat', 2)], shown);
  expect(findings).toMatchObject([{ replica: client, detected: { seq: 7 } }]);
  expect(audited(server, ...told, [client, mismatch(own, 'heartbeat', 2)], shown, shown).findings).toEqual(findings);
});
