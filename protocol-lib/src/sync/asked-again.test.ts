import { describe, expect, test } from 'vitest';
import { fromHex, packMsgpack } from '../bytes/index.ts';
import { type RecordKey, recordKey, type SyncRecord } from '../state/index.ts';
import { coinSession, MemorySession } from './memory-link.test-helper.ts';
import type { Outgoing } from './outbox.ts';

const LARGE = 20_000;
const WRONG = new Uint8Array(8);
const REQUESTS = 50;

function* largeRecords(): Iterable<readonly [RecordKey, SyncRecord]> {
  for (let index = 0; index < 60; index++) yield [recordKey(`page/${index}`), { text: 'x'.repeat(LARGE) }];
}

const STATE = 60 * LARGE;
const CHILDREN = Array.from({ length: 16 }, (_, slot) => slot.toString(16));

function bytesOf(outgoing: readonly Outgoing[]): number {
  return outgoing.reduce((sum, one) => sum + ('frame' in one ? one.frame.length : 0), 0);
}

/** A session of large records with alice in it, who has got what she needs and then asks by hand. */
function hoarded() {
  const definition = { ...coinSession, initialRecords: largeRecords };
  const session = new MemorySession({ definition });
  const alice = session.join('alice', { definition });
  session.run(1_000);
  let sequence = 1_000;
  const ask = (type: number, ...fields: unknown[]): Outgoing[] =>
    session.inject(session.link('alice'), packMsgpack([type, 'alice', ++sequence, ...fields]));
  return { session, alice, ask, root: fromHex(alice.committed.hash) };
}

describe('what one client asks for again and again within a round', () => {
  test('descents that are begun anew, by a request: no more than three times the state, then a full sync', () => {
    const { session, ask } = hoarded();
    let answered = 0;
    for (let request = 0; request < REQUESTS; request++) {
      ask(10, 1, 0, WRONG, 'root');
      answered += bytesOf(ask(15, CHILDREN));
    }
    expect(answered).toBeGreaterThan(2 * STATE);
    expect(answered).toBeLessThan(3.1 * STATE);
    expect(session.manager.clients[0]).toMatchObject({ isRepairing: false, needsFullSync: true });
  });

  test('descents that are begun anew, by a hash that is right and one that is not', () => {
    const { ask, root } = hoarded();
    let answered = 0;
    for (let request = 0; request < REQUESTS; request++) {
      ask(17, 1, 0, WRONG);
      answered += bytesOf(ask(15, CHILDREN));
      ask(11, 1, 0, root);
    }
    expect(answered).toBeGreaterThan(2 * STATE);
    expect(answered).toBeLessThan(3.1 * STATE);
  });

  test('a descent in a later round is answered again', () => {
    const { session, ask } = hoarded();
    for (let round = 0; round < 3; round++) {
      ask(10, 1, 0, WRONG, 'root');
      for (let question = 0; question < 2; question++) expect(bytesOf(ask(15, CHILDREN))).toBeGreaterThan(STATE);
      session.run(100);
    }
  });

  test('names: once at once, and once more with the next round', () => {
    const session = new MemorySession();
    const alice = session.join('alice');
    for (let index = 0; index < 2_000; index++)
      session.manager.mutate('note', { id: `a note with a long name ${index}`, text: '' }, session.now);
    session.run(1_000);
    let sequence = 1_000;
    const ask = (): number => {
      const { version, committed } = alice;
      const frame = packMsgpack([10, 'alice', ++sequence, version, 0, fromHex(committed.hash), 'names']);
      return bytesOf(session.inject(session.link('alice'), frame));
    };
    const sizes = Array.from({ length: REQUESTS }, ask);
    expect(sizes[0]).toBeGreaterThan(2_000 * 20);
    expect(sizes.slice(1)).toEqual(Array<number>(REQUESTS - 1).fill(0));
    let told = 0;
    session.fate = (frame, to) => {
      if (to === 'client') told += frame.length;
      return [frame];
    };
    session.run(100);
    expect(told).toBeGreaterThan(2_000 * 20);
    expect(told).toBeLessThan(1.1 * sizes[0]!);
    expect(ask()).toBe(sizes[0]);
    session.run(1_000);
    expect(alice.isSettled).toBe(true);
  });
});

test('names that a client announces are only held, so that they are few: more end its link', () => {
  const { session, ask } = hoarded();
  const names = (count: number, length: number) =>
    Array.from({ length: count }, (_, index) => `${index}`.padEnd(length, '.'));
  expect(ask(6, 0, names(1_024, 64))).toEqual([]);
  expect(ask(6, 0, names(300, 200))).toEqual([]);
  const refused = ask(6, 300, names(30, 256));
  expect(refused.at(-1)).toMatchObject({ close: 'NAMES_LIMIT' });
  expect(session.manager.clients).toEqual([]);
  session.connect('alice');
  expect(ask(6, 0, names(1_025, 4)).at(-1)).toMatchObject({ close: 'NAMES_LIMIT' });
});
