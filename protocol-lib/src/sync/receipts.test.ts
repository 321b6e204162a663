import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../ports/index.ts';
import { replicaId } from '../state/index.ts';
import { MemorySession } from './memory-link.test-helper.ts';
import { OWN_RECEIPTS } from './receipts.ts';

const ALICE = replicaId('alice');
const BOB = replicaId('bob');
const SERVER = replicaId('server');

describe('the receipt of a mutation', () => {
  test('tells of it from the intent to those who have applied it', () => {
    const session = new MemorySession();
    const alice = session.join('alice');
    session.join('bob');
    session.run(100);
    session.cut('alice');
    session.predict('alice', 'take', { coin: 1 });
    expect(alice.receipt(1)).toEqual({
      mutation: { writer: ALICE, counter: 1 },
      command: 'take',
      madeAt: session.now,
      madeOn: 1,
      sentAt: undefined,
      sends: 0,
      rebases: 0,
      alterations: 0,
      outcome: { state: 'pending' },
      settledAt: undefined,
    });
    const madeAt = session.now;
    session.run(200);
    expect(session.manager.receipt({ writer: ALICE, counter: 1 })).toBeUndefined();
    session.connect('alice');
    session.run(3_000);
    const receivedAt = session.manager.receipt({ writer: ALICE, counter: 1 })?.receivedAt ?? 0;
    expect(session.manager.receipt({ writer: ALICE, counter: 1 })).toEqual({
      mutation: { writer: ALICE, counter: 1 },
      command: 'take',
      receivedAt,
      outcome: { state: 'accepted', version: 2 },
      appliedBy: [ALICE, BOB, SERVER],
    });
    expect(receivedAt).toBeGreaterThan(madeAt);
    expect(alice.receipt(1)).toMatchObject({ madeAt, outcome: { state: 'accepted', version: 2 } });
    expect(alice.receipt(1)?.sends).toBeGreaterThan(0);
  });

  test('names only those who have acknowledged it', () => {
    const session = new MemorySession();
    session.join('alice');
    session.join('bob');
    session.run(100);
    const bob = session.link('bob');
    session.fate = (frame, to) => (to === 'manager' ? [frame] : []);
    session.predict('alice', 'take', { coin: 1 });
    session.run(200);
    expect(session.manager.receipt({ writer: ALICE, counter: 1 })?.appliedBy).toEqual([SERVER]);
    session.fate = (frame) => [frame];
    session.run(5_000);
    expect(session.manager.receipt({ writer: ALICE, counter: 1 })?.appliedBy).toEqual([ALICE, BOB, SERVER]);
    expect(session.link('bob')).toBe(bob);
  });

  test('says why it was refused, and how often it was run again to another effect', () => {
    const session = new MemorySession();
    const alice = session.join('alice');
    const bob = session.join('bob');
    session.run(100);
    session.fate = (frame, to) => (to === 'manager' ? [] : [frame]);
    session.predict('bob', 'take', { coin: 1 });
    session.fate = (frame) => [frame];
    session.predict('alice', 'take', { coin: 1 });
    session.run(200);
    // Alice's is committed; to Bob's own prediction nothing is left to do.
    expect(bob.receipt(1)).toMatchObject({ rebases: 1, alterations: 1, outcome: { state: 'pending' } });
    session.run(5_000);
    const reason = 'coin/1 is taken';
    expect(bob.receipt(1)).toMatchObject({ outcome: { state: 'rejected', reason, version: 2 } });
    expect(bob.receipt(1)?.sends).toBeGreaterThan(1);
    expect(session.manager.receipt({ writer: BOB, counter: 1 })).toMatchObject({
      outcome: { state: 'rejected', reason, version: 2 },
      appliedBy: [],
    });
    expect(alice.receipt(1)?.outcome.state).toBe('accepted');
    expect(alice.receipt(2)).toBeUndefined();
  });

  test('is kept for as many as the setting says', () => {
    const session = new MemorySession({ receipts: 10 });
    const alice = session.join('alice');
    session.run(100);
    for (let round = 0; round < OWN_RECEIPTS + 50; round++) {
      session.predict('alice', 'wave', {});
      if (round % 200 === 0) session.run(150);
    }
    session.run(300);
    expect(session.manager.receipts.map(({ mutation }) => mutation.counter).at(-1)).toBe(OWN_RECEIPTS + 50);
    expect(session.manager.receipts).toHaveLength(10);
    expect(alice.receipts).toHaveLength(OWN_RECEIPTS);
    expect(alice.receipt(50)).toBeUndefined();
    expect(alice.receipt(51)?.outcome.state).toBe('accepted');
  });
});

test('whatever the network does, both sides tell the same of every mutation, and nobody is named too early', () => {
  const step = fc.record({
    name: fc.constantFrom('alice', 'bob'),
    command: fc.constantFrom('take', 'drop', 'wave', 'unlock'),
    coin: fc.nat(3),
    run: fc.nat(8),
    cut: fc.boolean(),
  });
  const network = fc.record({ seed: fc.nat(1_000_000), loss: fc.constantFrom(0, 0.1, 0.3) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), network, (steps, { seed, loss }) => {
      const session = new MemorySession({ ring: 20, periodicSnapshots: 2 });
      for (const name of ['alice', 'bob']) session.join(name);
      const random = seededRandom(seed);
      session.fate = (frame) => (random.next() < loss ? [] : [frame]);
      for (const { name, command, coin, run, cut } of steps) {
        session.predict(name, command, { coin }, { unchecked: true });
        if (cut && session.isConnected(name)) session.cut(name);
        else if (!session.isConnected(name)) session.connect(name);
        session.run(run * 50);
        for (const { mutation, outcome, appliedBy } of session.manager.receipts) {
          for (const client of session.clients.filter(({ replica }) => appliedBy.includes(replica))) {
            expect(client.vector.get(mutation.writer)).toBeGreaterThanOrEqual(mutation.counter);
            expect(client.version).toBeGreaterThanOrEqual(outcome.version);
          }
        }
      }
      session.fate = (frame) => [frame];
      for (let round = 0; round < 4; round++) {
        for (const name of ['alice', 'bob']) if (!session.isConnected(name)) session.connect(name);
        session.run(20_000);
      }
      for (const client of session.clients) {
        for (const own of client.receipts) {
          const there = session.manager.receipt(own.mutation);
          expect(own.sends).toBeGreaterThan(0);
          expect(own.settledAt).toBeGreaterThanOrEqual(own.madeAt);
          expect(there?.command).toBe(own.command);
          if (there?.outcome.state === 'accepted') {
            expect(own.outcome.state).toBe('accepted');
            expect(there.appliedBy).toEqual([ALICE, BOB, SERVER]);
          } else {
            expect(own.outcome).toMatchObject({ state: 'rejected', reason: there?.outcome.reason });
            expect(there?.appliedBy).toEqual([]);
          }
        }
      }
      expect(session.manager.receipts).toHaveLength(session.clients.reduce((sum, one) => sum + one.receipts.length, 0));
    }),
  );
});
