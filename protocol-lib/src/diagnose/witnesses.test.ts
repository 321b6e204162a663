import { describe, expect, test } from 'vitest';
import { StateRoot } from '../merkle/index.ts';
import { FrameEncoder, type MessageBody } from '../messages/index.ts';
import { type Change, type ReplicaId, recordKey, replicaId } from '../state/index.ts';
import type { TraceBody, TraceRecord } from '../trace/index.ts';
import { Audit } from './audit.ts';

/** Captures of clients, in which their authority is not. */

const server = replicaId('server');
const [ann, ben] = ['ann', 'ben'].map(replicaId) as [ReplicaId, ReplicaId];
const key = recordKey('thing/1');
const beside = recordKey('thing/2');
const put = (worth: number, at = key): Change => ({ op: 'put', key: at, record: { worth } });
const first = StateRoot.from([
  [key, { worth: 1 }],
  [beside, { worth: 1 }],
]);
const second = first.apply([put(2)]);
const third = second.apply([put(3)]);
const wrong = first.apply([put(9, beside)]);

function deltaOf(from: number, changes: readonly Change[], root: StateRoot): MessageBody {
  const versions = { from, to: from + 1, since: from, progress: from + 1 };
  return { type: 'DELTA_SYNC', ...versions, changes: [...changes], root: root.hash, vector: [], rejected: [] };
}

/** What the authority has names for. */
const names = ((): string[] => {
  const encoder = new FrameEncoder(server);
  encoder.encode(deltaOf(1, [put(1), put(1, beside)], first));
  return encoder.names.slice(0);
})();

/** Records one after another, as clients tell them; what the authority sends is numbered by client. */
class Told {
  readonly #records: TraceRecord[] = [];
  readonly #numbers = new Map<ReplicaId, number>();

  constructor() {
    this.add(ann, { kind: 'names', sender: server, first: 0, names });
  }

  add(replica: ReplicaId, body: TraceBody, cause: readonly number[] = [], wire?: Uint8Array): number {
    const seq = this.#records.length + 1;
    this.#records.push({ seq, time: seq * 1_000_000, replica, cause, body, ...(wire ? { wire } : {}) });
    return seq;
  }

  attach(replica: ReplicaId, root: StateRoot, version = 1): void {
    const records = Array.from(root.entries(), ([one, record]) => ({ key: one, record }));
    this.add(replica, { kind: 'snapshot', reason: 'attach', version, records, root: root.hash, vector: [] });
  }

  /** A delta arrives as the frame of a number; the next where none is given. */
  delta(replica: ReplicaId, from: number, changes: readonly Change[], root: StateRoot, number?: number): number {
    const sequence = number ?? (this.#numbers.get(replica) ?? 0) + 1;
    this.#numbers.set(replica, sequence);
    const body = deltaOf(from, changes, root);
    const encoder = new FrameEncoder(server);
    encoder.resume({ names, announced: names.length, sequence: sequence - 1 });
    const frames = encoder.encode(body);
    const { frame } = frames.at(-1)!;
    return this.add(
      replica,
      { kind: 'receive', from: server, type: 'DELTA_SYNC', sender: server, sequence },
      [],
      frame.slice(),
    );
  }

  apply(
    replica: ReplicaId,
    from: number,
    changes: readonly Change[],
    root: StateRoot,
    number?: number,
    said = root,
  ): void {
    const came = this.delta(replica, from, changes, said, number);
    this.add(replica, { kind: 'apply', from, to: from + 1, changes: [...changes], root: root.hash }, [came]);
  }

  refuse(replica: ReplicaId, own: StateRoot, changes: readonly Change[], said: StateRoot): void {
    const came = this.delta(replica, 1, changes, said);
    const got = own.apply(changes).hash;
    this.add(
      replica,
      { kind: 'mismatch', reason: 'root', version: 1, from: 1, to: 2, own: own.hash, expected: said.hash, got },
      [came],
    );
  }

  findings() {
    const audit = new Audit({ authority: server, startedAt: 1_767_225_600_000 });
    this.#records.forEach((record, position) => {
      audit.take(position, record);
    });
    return audit.finish().findings;
  }
}

test('a client that began with something else than another is found by what both are sent, with the values', () => {
  const told = new Told();
  told.attach(ann, first);
  told.attach(ben, wrong);
  told.apply(ann, 1, [put(2)], second);
  told.refuse(ben, wrong, [put(2)], second);
  expect(told.findings()).toMatchObject([
    {
      ...{ class: 'unknown', replica: ben, confidence: 'medium', cause: { seq: 3 } },
      value: { key: beside, field: 'worth', own: 9, expected: 1 },
    },
  ]);
});

test('a frame that says other values than another client was sent is what is wrong', () => {
  const told = new Told();
  told.attach(ann, first);
  told.attach(ben, first);
  told.refuse(ben, first, [put(7)], second);
  told.apply(ann, 1, [put(2)], second);
  expect(told.findings()).toMatchObject([
    { class: 'unknown', replica: ben, value: { key, field: 'worth', own: 7, expected: 2 } },
  ]);
});

test('clients that are shown different parts are not held against each other', () => {
  const told = new Told();
  const part = StateRoot.from([[key, { worth: 1 }]]);
  told.attach(ann, first);
  told.attach(ben, part);
  told.apply(ann, 1, [put(2)], second);
  told.apply(ben, 1, [put(2)], part.apply([put(2)]));
  expect(told.findings()).toEqual([]);
});

describe('of one client alone', () => {
  test('a root that is not the one of the frame is found, though its records lead to it', () => {
    const told = new Told();
    told.attach(ann, first);
    told.apply(ann, 1, [], first, 1, second);
    expect(told.findings()).toMatchObject([{ replica: ann, detected: { seq: 4 } }]);
  });

  test('a delta that comes again is told by its bytes', () => {
    const told = new Told();
    told.attach(ann, first);
    told.apply(ann, 1, [put(2)], second);
    told.apply(ann, 2, [put(3)], third);
    told.apply(ann, 1, [put(2)], first, 1, second);
    expect(told.findings()).toMatchObject([{ class: 'duplicated', replica: ann, cause: { seq: 7 } }]);
  });

  test('one that never came by the numbers, and one that came late too', () => {
    const lost = new Told();
    lost.attach(ann, first);
    lost.apply(ann, 1, [put(2)], second, 1);
    lost.apply(ann, 3, [put(4)], second.apply([put(5)]), 3, third);
    expect(lost.findings()).toMatchObject([{ class: 'lost', confidence: 'medium', cause: { seq: 5 } }]);
    lost.delta(ann, 2, [put(3)], third, 2);
    expect(lost.findings()).toMatchObject([{ class: 'reordered', cause: { seq: 5 } }]);
  });

  test('what was made of another state and is what the frame says is right', () => {
    const told = new Told();
    told.attach(ann, first);
    told.apply(ann, 1, [put(2)], second);
    told.apply(ann, 1, [put(2)], second);
    expect(told.findings()).toEqual([]);
  });
});
