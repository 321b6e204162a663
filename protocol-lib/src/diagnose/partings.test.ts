import { describe, expect, test } from 'vitest';
import { StateRoot } from '../merkle/index.ts';
import { type ReplicaId, recordKey, replicaId } from '../state/index.ts';
import type { TraceBody, TraceRecord } from '../trace/index.ts';
import { Audit } from './audit.ts';

const [ann, ben, cas] = ['ann', 'ben', 'cas'].map(replicaId) as [ReplicaId, ReplicaId, ReplicaId];
const key = recordKey('call/1');
const right = StateRoot.from([[key, { joined: 1 }]]);
const wrong = StateRoot.from([[key, { joined: 8 }]]);
const later = StateRoot.from([[key, { joined: 2 }]]);

type Told = readonly [ReplicaId, TraceBody, ...number[]];

function findingsOf(told: readonly Told[]) {
  const audit = new Audit({ authority: null, startedAt: 1_767_225_600_000 });
  told.forEach(([replica, body, ...cause], at) => {
    const record: TraceRecord = { seq: at + 1, time: at * 1_000_000, replica, cause, body };
    audit.take(at, record);
  });
  return audit.finish().findings;
}

const attached = (root: StateRoot): TraceBody => {
  const records = Array.from(root.entries(), ([one, record]) => ({ key: one, record }));
  return { kind: 'snapshot', reason: 'attach', version: 2, records, root: root.hash, vector: [] };
};
const presence = (sender: ReplicaId): TraceBody => {
  return { kind: 'receive', from: sender, type: 'PRESENCE', sender, sequence: 7 };
};
const differs = (own: StateRoot, reference: StateRoot): TraceBody => {
  return { kind: 'hash', version: 2, own: own.hash, reference: reference.hash, agrees: false };
};
const mismatch = (own: StateRoot, expected: StateRoot): TraceBody => {
  return { kind: 'mismatch', reason: 'heartbeat', version: 2, from: 2, to: 2, own: own.hash, expected: expected.hash };
};

describe('what a replica finds by the hash that a frame brought, it finds of whoever sent the frame', () => {
  const begun: readonly Told[] = [ann, ben, cas].map((replica) => [replica, attached(right)]);

  test('so that nobody is said to differ from itself', () => {
    const [finding, ...others] = findingsOf([
      ...begun,
      [ann, presence(cas)],
      [ann, differs(right, wrong), 4],
      [ann, mismatch(right, wrong), 5],
    ]);
    expect(finding).toMatchObject({ class: 'unknown', replica: ann, against: cas });
    expect(others).toEqual([]);
  });

  test('and where that one was wrong by itself, it is no finding of those who heard it', () => {
    const findings = findingsOf([
      ...begun,
      [cas, { kind: 'hash', version: 2, own: wrong.hash }],
      [ann, presence(cas)],
      [ann, differs(right, wrong), 5],
      [ann, mismatch(right, wrong), 6],
      [ben, presence(cas)],
      [ben, differs(right, wrong), 8],
      [ben, mismatch(right, wrong), 9],
    ]);
    expect(findings).toMatchObject([{ class: 'corrupted-at-rest', replica: cas, detected: { seq: 4 } }]);
    expect(findings).toHaveLength(1);
  });

  test('and what it came to afterwards is not the cause', () => {
    const apply: TraceBody = {
      ...{ kind: 'apply', from: 2, to: 3, root: later.hash },
      changes: [{ op: 'patch', key, fields: { joined: 2 }, removed: [] }],
    };
    const told: Told[] = [...begun, [ann, presence(cas)], [ann, mismatch(right, wrong), 4], [ann, apply]];
    expect(findingsOf(told)).toMatchObject([{ replica: ann, cause: { seq: 1 }, detected: { seq: 5 } }]);
  });
});
