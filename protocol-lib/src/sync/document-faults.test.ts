import { describe, expect, test } from 'vitest';
import { packMsgpack, unpackMsgpack } from '../bytes/index.ts';
import { compact, head } from '../messages/compact.test-helper.ts';
import { COLUMN, WIRE_OP } from '../messages/compact.ts';
import { FrameDecoder, type MessageOf, type MessageType, messageType } from '../messages/index.ts';
import { recordKey, replicaId, type StateHash } from '../state/index.ts';
import { TraceHub, type TraceRecord } from '../trace/index.ts';
import { AuthorityState } from './authority-state.ts';
import type { ClientEvent } from './client-events.ts';
import { coinSession, MemorySession } from './memory-link.test-helper.ts';
import { SYNC_DEFAULTS } from './settings.ts';

/** The known faults of the code in the reference documents, one test each, named after the fault that must not be here. */

const coin = (index: number) => recordKey(`coin/${index}`);

function typeOf(frame: Uint8Array): MessageType | undefined {
  const tuple = unpackMsgpack(frame);
  return Array.isArray(tuple) ? messageType(tuple[0]) : undefined;
}

function authority(): AuthorityState {
  const tap = { isOpen: false, emit: () => 0 };
  return new AuthorityState(coinSession, replicaId('server'), { next: () => 0 }, tap, SYNC_DEFAULTS);
}

describe('faults of the documents', () => {
  test('a version advances when a delta is sent and its ACK is ignored', () => {
    const session = new MemorySession();
    session.join('alice');
    session.run(100);
    session.fate = (frame, to) => (to === 'client' && typeOf(frame) === 'DELTA_SYNC' ? [] : [frame]);
    session.manager.mutate('note', { id: 1 }, session.now);
    session.run(100);
    expect(session.manager.clients[0]).toMatchObject({ sent: 2, version: 1, pendingDeltas: 1 });
    session.fate = (frame) => [frame];
    // No news: only because nothing was acknowledged is it sent again.
    session.run(2_500);
    expect(session.manager.clients[0]).toMatchObject({ sent: 2, version: 2, pendingDeltas: 0 });
    expect(session.clients[0]?.committed.hash).toBe(session.manager.root.hash);
  });

  test('an ACK with another hash is believed', () => {
    const session = new MemorySession();
    const alice = session.join('alice');
    session.run(100);
    alice.corruptCommitted([{ op: 'patch', key: coin(1), fields: { worth: 99 }, removed: [] }]);
    const [root, version] = [alice.committed.hash, alice.version];
    session.inject(session.link('alice'), packMsgpack([11, 'alice', 1_000, version, 0, Buffer.from(root, 'hex')]));
    expect(session.manager.stats.mismatches).toBe(1);
    expect(session.manager.clients[0]?.isRepairing).toBe(true);
  });

  test('a delta names what changed but not its new value', () => {
    const session = new MemorySession();
    session.join('alice');
    session.run(100);
    const decoder = newcomer(session);
    const deltas: MessageOf<'DELTA_SYNC'>[] = [];
    session.fate = (frame, to) => {
      const message = to === 'client' ? decoder.decode(frame) : undefined;
      if (message?.type === 'DELTA_SYNC') deltas.push(message);
      return [frame];
    };
    session.predict('alice', 'take', { coin: 3 });
    session.run(100);
    expect(deltas.slice(0, 1).map(({ changes }) => changes)).toEqual([
      [{ op: 'patch', key: 'coin/3', fields: { owner: 'alice' }, removed: [] }],
    ]);
  });

  test('-1 means both "unchanged" and "nobody"', () => {
    const state = authority();
    state.keep();
    const start = state.point;
    state.commit('take', { coin: 1 }, replicaId('alice'), 1, []);
    state.keep();
    const taken = state.point;
    state.commit('drop', { coin: 1 }, replicaId('alice'), 2, []);
    // Given back to nobody: said so where it changed, not mentioned where it did not.
    expect(state.deltaFrom(taken)?.changes).toEqual([
      { op: 'patch', key: 'coin/1', fields: { owner: null }, removed: [] },
    ]);
    expect(state.deltaFrom(start)?.changes).toEqual([]);
  });

  test('deltas exist only between exact snapshots, and a cache that fills once makes nearly every sync full', () => {
    const session = new MemorySession();
    session.join('alice');
    for (let index = 0; index < 1_000; index++) {
      session.manager.mutate('note', { id: index % 7, text: String(index) }, session.now);
      if (index % 3 === 0) session.run(50);
    }
    session.run(200);
    expect(session.manager.stats.fullSyncs).toBe(1);
    expect(session.manager.stats.deltas).toBeGreaterThan(160);
    expect(session.clients[0]?.committed.hash).toBe(session.manager.root.hash);
  });

  test('the hash leaves out fields', () => {
    const session = new MemorySession();
    const alice = session.join('alice');
    for (const [key, record] of session.manager.root.entries()) {
      for (const field of Object.keys(record)) {
        const before = alice.committed;
        alice.corruptCommitted([{ op: 'patch', key, fields: { [field]: 'else' }, removed: [] }]);
        expect(alice.committed.hash).not.toBe(before.hash);
        alice.corruptCommitted([{ op: 'put', key, record }]);
        expect(alice.committed.hash).toBe(before.hash);
      }
    }
  });

  test('one pending version for all predictions', () => {
    const session = new MemorySession();
    const alice = session.join('alice');
    for (const index of [1, 2, 3]) session.predict('alice', 'take', { coin: index });
    expect(alice.pending.map(({ mutation }) => mutation.counter)).toEqual([1, 2, 3]);
    session.cut('alice');
    session.predict('alice', 'take', { coin: 4 });
    session.connect('alice');
    session.run(200);
    expect(alice.pending).toEqual([]);
    expect([1, 2, 3, 4].map((index) => session.manager.root.get(coin(index))?.owner)).toEqual(Array(4).fill('alice'));
  });

  test('a rollback throws away every pending change', () => {
    const session = new MemorySession();
    const alice = session.join('alice');
    const ends: ClientEvent[] = [];
    alice.on((event) => (event.type === 'confirmed' || event.type === 'rejected') && ends.push(event));
    session.predict('alice', 'take', { coin: 1 });
    // Bob was quicker with the second one, which alice cannot know yet.
    session.join('bob');
    session.predict('bob', 'take', { coin: 2 });
    session.predict('alice', 'take', { coin: 2 });
    session.predict('alice', 'take', { coin: 3 });
    expect(alice.pending.map(({ args }) => args)).toEqual([{ coin: 1 }, { coin: 3 }]);
    expect([1, 2, 3].map((index) => alice.optimistic.get(coin(index))?.owner)).toEqual(['alice', null, 'alice']);
    session.run(200);
    expect(ends.map((event) => [event.type, 'mutation' in event && event.mutation.counter])).toEqual([
      ['rejected', 2],
      ['confirmed', 1],
      ['confirmed', 3],
    ]);
  });

  test('a delta on another base is applied, or half of one that does not fit', () => {
    const session = new MemorySession();
    const alice = session.join('alice');
    session.run(100);
    const before = alice.committed;
    const root = Buffer.from('0123456789abcdef', 'hex');
    const put = compact(head(1, WIRE_OP.put), 1, 0, 'worth', COLUMN.int, 0, 'coin/new', 2);
    const cases: [from: number, changes: Uint8Array, reason: string][] = [
      [7, put, 'base'],
      // The second change does not fit, so the first must not stay either.
      [1, compact(put, head(1, WIRE_OP.remove), 0, 'coin/missing'), 'record'],
      // All changes fit, but make another root than the one stated.
      [1, put, 'root'],
    ];
    const vector = compact(0, 'alice', 5);
    cases.forEach(([from, changes, reason], index) => {
      session.now += 60_000_000_000;
      const answer = alice.receive(
        packMsgpack([8, 'server', 1_000 + index, from, 9 - from, -from, 0, changes, vector, [], root]),
        session.now,
      );
      expect(answer.map((frame) => (unpackMsgpack(frame) as unknown[]).at(-1))).toContain(reason);
      expect(alice.committed).toBe(before);
      expect([alice.version, alice.vector.size]).toEqual([1, 0]);
    });
  });

  test('a snapshot whose records do not give its root is believed', () => {
    const records: TraceRecord[] = [];
    const hub = new TraceHub({ now: () => 0 });
    hub.listen((record) => records.push(record));
    const session = new MemorySession({ tap: hub });
    const alice = session.join('alice');
    const before = alice.committed;
    const root = 'ffffffffffffffff' as StateHash;
    const coins = compact(head(1, WIRE_OP.put), 1, 0, 'worth', COLUMN.int, 0, 'coin/1', 10);
    const frame = [7, 'server', 1_000, 50, 0, coins, new Uint8Array(0), [], Buffer.from(root, 'hex')];
    const answer = alice.receive(packMsgpack(frame), session.now);
    expect(answer.map(typeOf)).toEqual(['SYNC_REQUEST']);
    expect(alice.committed).toBe(before);
    expect(records.at(-2)?.body).toMatchObject({ kind: 'refused', code: 'SNAPSHOT_ROOT_MISMATCH' });
  });
});

/** A decoder that knows the authority's names, as a newcomer is told them. */
function newcomer(session: MemorySession): FrameDecoder {
  const decoder = new FrameDecoder();
  const before = session.fate;
  session.fate = (frame) => {
    if (typeOf(frame) === 'NAMES') decoder.decode(frame);
    return [frame];
  };
  session.join('spy');
  session.run(100);
  session.fate = before;
  return decoder;
}
