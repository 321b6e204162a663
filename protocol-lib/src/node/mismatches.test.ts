import { describe, expect, test } from 'vitest';
import { StateRoot } from '../merkle/index.ts';
import { recordKey, replicaId } from '../state/index.ts';
import type { TraceBody } from '../trace/index.ts';
import { Mismatches } from './mismatches.ts';

const server = replicaId('server');
const client = replicaId('client');
const [right, wrong] = [1, 2].map((worth) => StateRoot.from([[recordKey('thing/1'), { worth }]])) as [
  StateRoot,
  StateRoot,
];
const state: TraceBody = { kind: 'snapshot', reason: 'attach', version: 4, records: [], root: right.hash, vector: [] };

function mismatch(reason: 'base' | 'root' | 'heartbeat', own: StateRoot, version = 4): TraceBody {
  return { kind: 'mismatch', reason, version, from: version + 1, to: version + 2, own: own.hash };
}

function lastOf(authority: typeof server | null, ...told: readonly (readonly [typeof server, TraceBody])[]) {
  const mismatches = new Mismatches(authority);
  const said = told.map(([replica, body], at) => mismatches.take({ seq: at + 1, time: at, replica, cause: [], body }));
  return said.at(-1);
}

describe('a delta that was refused since it does not fit', () => {
  test('is no mismatch: what the replica lacks it asks for again', () => {
    expect(lastOf(server, [server, state], [client, mismatch('base', right)])).toBe(false);
    expect(lastOf(server, [server, state], [client, mismatch('base', wrong, 3)])).toBe(false);
  });

  test('is one where the replica holds something else than the authority had', () => {
    expect(lastOf(server, [server, state], [client, mismatch('base', wrong)])).toBe(true);
  });

  test('and says nothing of one that is shown a part', () => {
    const view: TraceBody = { kind: 'view', view: 'room', version: 4, records: 1, root: wrong.hash };
    expect(lastOf(server, [server, state], [client, view], [client, mismatch('base', wrong)])).toBe(false);
    const gone: TraceBody = { kind: 'gone', reason: 'left' };
    expect(lastOf(server, [server, state], [client, view], [client, gone], [client, mismatch('base', wrong)])).toBe(
      true,
    );
  });

  test('of a group is one unless it is known to hold what was decided', () => {
    const event = { type: 'X', player: 'client', detail: '' };
    const commit: TraceBody = { kind: 'commit', version: 4, event, changes: [], root: right.hash };
    expect(lastOf(null, [server, commit], [client, mismatch('base', right)])).toBe(false);
    expect(lastOf(null, [server, commit], [client, mismatch('base', wrong)])).toBe(true);
    expect(lastOf(null, [client, mismatch('base', right)])).toBe(true);
  });
});

test('what says by itself that two differ is one', () => {
  const hash: TraceBody = { kind: 'hash', version: 4, own: wrong.hash, agrees: false };
  const divergence: TraceBody = {
    ...{ kind: 'divergence', against: server, version: 4, differences: [] },
    ...{ rounds: 1, hashes: 1, bytes: 1 },
  };
  for (const body of [mismatch('root', right), mismatch('heartbeat', right), hash, divergence]) {
    expect(lastOf(server, [server, state], [client, body])).toBe(true);
  }
  expect(lastOf(server, [server, state], [client, { ...hash, agrees: true }])).toBe(false);
});
