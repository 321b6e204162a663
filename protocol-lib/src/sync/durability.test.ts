import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MemoryEventLog } from '../events/index.ts';
import { DurableSession, NAMES } from './durable-session.test-helper.ts';
import { MemorySession } from './memory-link.test-helper.ts';

const name = fc.constantFrom(...NAMES);
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('note' as const), name }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('take' as const), name, coin: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('mutate' as const), coin: fc.nat(3) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('run' as const), steps: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('complete' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('compact' as const), at: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cut' as const), name }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('connect' as const), name }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const), isPowerLost: fc.boolean() }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function take(session: DurableSession, one: Step, note: number): void {
  switch (one.do) {
    case 'note':
      session.predict(one.name, 'note', { id: note });
      break;
    case 'take':
      session.predict(one.name, 'take', { coin: one.coin });
      break;
    case 'mutate':
      session.mutate('take', { coin: one.coin });
      break;
    case 'run':
      session.run(one.steps);
      break;
    case 'complete':
      session.complete();
      break;
    case 'compact':
      session.compact(one.at);
      break;
    case 'cut':
      session.cut(one.name);
      break;
    case 'connect':
      session.connect(one.name);
      break;
    case 'crash':
      session.crash(one.isPowerLost);
      break;
  }
}

describe('an authority whose process or machine ends', () => {
  test('never takes back what a client was told, and carries nothing out twice', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.nat(1_000_000), (steps, seed) => {
        const session = new DurableSession(seed);
        for (const who of NAMES) session.connect(who);
        for (const [index, one] of steps.entries()) take(session, one, index);
        session.heal();
        session.audit();
      }),
    );
  });

  test('nor wherever it ends in a session', () => {
    const scenario = (session: DurableSession): void => {
      for (const who of NAMES) session.connect(who);
      for (let round = 0; round < 5; round++) {
        session.predict('alice', 'note', { id: `a${round}` });
        session.predict('bob', 'take', { coin: round % 2 });
        session.predict('alice', 'take', { coin: round % 3 });
        session.run(2);
        session.complete();
        session.predict('bob', 'note', { id: `b${round}` });
        session.run(1);
        session.complete();
        session.run(2);
        for (const who of NAMES) session.connect(who);
      }
      session.heal();
      session.audit();
    };
    const whole = new DurableSession(1);
    scenario(whole);
    expect(whole.restarts).toBe(0);
    expect(whole.log.last).toBe(20);
    let crashAt = 1;
    for (; ; crashAt++) {
      const session = new DurableSession(crashAt, crashAt);
      scenario(session);
      if (session.restarts === 0) break;
    }
    expect(crashAt).toBeGreaterThan(100);
  });

  test('goes on by deltas with clients that have what it was', () => {
    const session = new DurableSession(1);
    for (const who of NAMES) session.connect(who);
    for (let round = 0; round < 10; round++) {
      session.predict('alice', 'note', { id: round });
      session.complete();
      session.run(4);
    }
    session.run(30);
    const { version, clients } = session.manager;
    expect(clients.map((one) => one.version)).toEqual([version, version]);
    const vector = session.manager.vector;
    session.crash(true);
    expect([session.manager.version, session.manager.vector]).toEqual([version, vector]);
    session.mutate('unlock', {});
    session.complete();
    session.heal();
    session.audit();
    expect(session.manager.stats).toMatchObject({ fullSyncs: 0, mismatches: 0 });
    expect(session.manager.version).toBe(version + 1);
  });
});

describe('what is not durable', () => {
  test('is told to nobody: not its writer, not others, not those who come, however often it is sent', () => {
    const session = new DurableSession(1);
    for (const who of NAMES) session.connect(who);
    session.run(2);
    session.predict('alice', 'take', { coin: 1 });
    session.predict('bob', 'take', { coin: 1 });
    // Each comes back and sends again what has no answer.
    for (const who of NAMES) {
      session.cut(who);
      session.connect(who);
    }
    session.run(100);
    expect(session.manager.version).toBe(1);
    expect(session.log.last).toBe(2);
    for (const { client } of session.seats.values()) expect([client.version, client.pending.length]).toEqual([1, 1]);
    session.complete();
    session.complete();
    session.run(3);
    expect(Object.fromEntries(session.told)).toEqual({ 'alice#1': ['confirmed'], 'bob#1': ['rejected'] });
    expect(session.manager.mutate('take', { coin: 1 }, session.now)).toMatchObject({ reason: 'coin/1 is taken' });
  });

  test('may be decided upon: what comes after sees it', () => {
    const session = new DurableSession(1);
    session.mutate('take', { coin: 1 });
    expect(session.manager.mutate('drop', { coin: 1 }, 0)).toMatchObject({ accepted: true, version: 3 });
    expect(session.manager.version).toBe(1);
    session.complete();
    session.complete();
    session.run(1);
    expect(session.manager.version).toBe(3);
  });

  test('is bounded: beyond, mutations are put off', () => {
    const session = new DurableSession(1);
    session.connect('alice');
    for (let index = 0; index < 10_000; index++) session.mutate('wave', {});
    expect(() => session.mutate('wave', {})).toThrow(expect.objectContaining({ code: 'LOG_BEHIND', retry: 'backoff' }));
    session.predict('alice', 'note', { id: 1 });
    expect(session.log.last).toBe(10_000);
    session.heal();
    session.audit();
    expect(session.told.get('alice#1')).toEqual(['confirmed']);
  });
});

describe('a log that takes nothing any more', () => {
  test('ends the session with its reason, and whoever comes is told', () => {
    const session = new DurableSession(1);
    session.connect('alice');
    session.run(2);
    session.disk.fail(new Error('EIO'));
    session.predict('alice', 'note', { id: 1 });
    session.complete();
    session.run(1);
    const { client, link } = session.seats.get('alice')!;
    expect([link, client.pending.length, client.version]).toEqual([undefined, 1, 1]);
    expect(() => session.mutate('wave', {})).toThrow(expect.objectContaining({ code: 'LOG_FAILED' }));
    session.connect('alice');
    session.run(1);
    expect(session.seats.get('alice')?.link).toBeUndefined();
    session.crash(true);
    session.heal();
    session.audit();
    expect(session.told.get('alice#1')).toEqual(['confirmed']);
  });

  test('also where another authority has taken the log over', () => {
    const log = new MemoryEventLog();
    const first = new MemorySession({ log });
    first.join('alice');
    first.run(100);
    const second = new MemorySession({ log });
    second.manager.mutate('note', { id: 1 }, second.now);
    first.predict('alice', 'note', { id: 2 });
    first.run(100);
    expect(first.manager.version).toBe(1);
    expect(first.closes).toEqual(['LOG_CONFLICT']);
    expect(() => first.manager.mutate('wave', {}, first.now)).toThrow(
      expect.objectContaining({ code: 'LOG_CONFLICT' }),
    );
    expect(log.last).toBe(1);
  });
});
