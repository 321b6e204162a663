import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { unpackMsgpack } from '../bytes/index.ts';
import { messageType } from '../messages/index.ts';
import { seededRandom } from '../ports/index.ts';
import { TraceHub, type TraceRecord, traceRecordSchema } from '../trace/index.ts';
import type { ClientEvent } from './client-events.ts';
import { type HealthFacts, HealthWatch, STALL_REASONS } from './health.ts';
import { MemorySession } from './memory-link.test-helper.ts';

const LIMITS = { behindLimit: 50, pendingLimit: 70, unverifiedLimit: 90 };

/** Since when a replica is behind at the same version, found by going back over all that was told. */
function behindSince(history: readonly { facts: HealthFacts; now: number }[]): number | undefined {
  const last = history.at(-1);
  if (!last?.facts.isConnected || last.facts.version >= last.facts.newest) return undefined;
  let since = last.now;
  for (const { facts, now } of [...history].reverse()) {
    if (!facts.isConnected || facts.version >= facts.newest || facts.version !== last.facts.version) break;
    since = now;
  }
  return since;
}

describe('the health of one replica', () => {
  const step = fc.record({
    after: fc.nat(60),
    isConnected: fc.boolean(),
    version: fc.nat(3),
    newest: fc.nat(3),
    pending: fc.option(fc.nat(100), { nil: undefined }),
    unverified: fc.option(fc.nat(100), { nil: undefined }),
  });

  test('is what a look back over everything says', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const watch = new HealthWatch(LIMITS);
        const history: { facts: HealthFacts; now: number }[] = [];
        let now = 1_000;
        for (const { after, pending, unverified, ...standing } of steps) {
          now += after;
          const facts: HealthFacts = {
            ...standing,
            pendingSince: pending === undefined ? undefined : now - pending,
            unverifiedSince: unverified === undefined ? undefined : now - unverified,
          };
          history.push({ facts, now });
          const health = watch.follow(facts, now);
          const since = behindSince(history);
          const expected = STALL_REASONS.filter(
            (reason) =>
              facts.isConnected &&
              {
                behind: since !== undefined && now - since >= 50,
                pending: (pending ?? 0) >= 70,
                unverified: (unverified ?? 0) >= 90,
              }[reason],
          );
          expect(health.reasons).toEqual(expected);
          expect(health.progress === 'stalled').toBe(expected.length > 0);
          expect(health.progress === 'disconnected').toBe(!facts.isConnected);
          expect(health.lag).toBe(Math.max(0, facts.newest - facts.version));
          expect(health.oldestPending).toBe(pending ?? 0);
        }
      }),
    );
  });
});

/** From the head of a frame, which refers to no names. */
function typeOf(frame: Uint8Array): string | undefined {
  const tuple = unpackMsgpack(frame);
  return Array.isArray(tuple) ? messageType(tuple[0]) : undefined;
}

function healthOf(session: MemorySession, name: string) {
  return session.manager.clients.find(({ replica }) => replica === name)?.health;
}

describe('connected but not progressing', () => {
  test('a client that hears nothing any more is behind, and its hash is not verified', () => {
    const session = new MemorySession();
    session.join('alice');
    session.run(1_000);
    expect(healthOf(session, 'alice')).toMatchObject({ progress: 'current', lag: 0, reasons: [] });
    session.fate = (frame, to) => (to === 'client' ? [] : [frame]);
    session.manager.mutate('unlock', {}, session.now);
    session.run(1_000);
    expect(healthOf(session, 'alice')).toMatchObject({ progress: 'progressing', lag: 1, verified: { version: 1 } });
    session.run(5_000);
    expect(healthOf(session, 'alice')).toMatchObject({ progress: 'stalled', reasons: ['behind'], lag: 1 });
    session.fate = () => [];
    session.run(6_000);
    expect(healthOf(session, 'alice')?.reasons).toEqual(['behind', 'unverified']);
    session.fate = (frame) => [frame];
    session.run(40_000);
    expect(healthOf(session, 'alice')).toMatchObject({ progress: 'current', verified: { version: 2 } });
  });

  test('a client whose commands are lost has an old pending mutation while its version moves', () => {
    const session = new MemorySession();
    const alice = session.join('alice', { health: { pendingLimit: 3_000_000_000 } });
    const events: ClientEvent[] = [];
    alice.on((event) => event.type === 'health' && events.push(event));
    session.fate = (frame, to) => (to === 'manager' && typeOf(frame) === 'COMMAND' ? [] : [frame]);
    session.predict('alice', 'take', { coin: 1 });
    for (let id = 0; id < 40; id++) {
      session.manager.mutate('note', { id, text: 'elsewhere' }, session.now);
      session.run(100);
    }
    const health = alice.health(session.now);
    expect(health).toMatchObject({ progress: 'stalled', reasons: ['pending'], lag: 0 });
    expect(health.oldestPending).toBe(4_000_000_000);
    expect(health.verified?.version).toBe(alice.version);
    session.fate = (frame) => [frame];
    session.run(10_000);
    expect(alice.health(session.now)).toMatchObject({ progress: 'current', oldestPending: 0 });
    expect(events.map((event) => event.type === 'health' && event.health.progress)).toEqual(['stalled', 'current']);
  });

  test('a writer that does not acknowledge how its mutations ended is pending at the authority', () => {
    const session = new MemorySession({ pendingLimit: 2_000_000_000 });
    session.join('alice');
    session.fate = (frame, to) => (to === 'client' ? [] : [frame]);
    session.predict('alice', 'wave', {});
    session.run(3_000);
    expect(healthOf(session, 'alice')).toMatchObject({ progress: 'stalled', reasons: ['pending'], lag: 0 });
    expect(healthOf(session, 'alice')?.oldestPending).toBe(3_000_000_000);
  });

  test('a cut client is disconnected, one without a state is joining', () => {
    const session = new MemorySession();
    session.fate = (frame, to) => (to === 'client' && typeOf(frame) === 'FULL_SYNC' ? [] : [frame]);
    const alice = session.join('alice');
    expect(alice.health(session.now).progress).toBe('joining');
    session.run(6_000);
    expect(alice.health(session.now)).toMatchObject({ progress: 'stalled', reasons: ['unverified'] });
    session.cut('alice');
    expect(alice.health(session.now).progress).toBe('disconnected');
    expect(healthOf(session, 'alice')).toBeUndefined();
  });

  test('both sides trace when it begins and ends, and an observer who comes late is told', () => {
    let time = 0;
    const hub = new TraceHub({ now: () => time++ });
    const records: TraceRecord[] = [];
    const stop = hub.listen((record) => records.push(record));
    const session = new MemorySession({ tap: hub });
    session.join('alice');
    session.run(200);
    session.fate = () => [];
    session.predict('alice', 'take', { coin: 1 });
    session.run(6_000);
    stop();
    const late: TraceRecord[] = [];
    hub.listen((record) => late.push(record));
    session.manager.describe();
    hub.listen((record) => records.push(record));
    session.fate = (frame) => [frame];
    session.run(20_000);
    const told = (list: readonly TraceRecord[]) =>
      list.flatMap(({ replica, body }) => (body.kind === 'health' ? [`${replica}: ${body.target} ${body.state}`] : []));
    expect(told(records).sort()).toEqual([
      'alice: alice recovered',
      'alice: alice stalled',
      'server: alice recovered',
      'server: alice stalled',
    ]);
    expect(told(late)[0]).toBe('server: alice stalled');
    for (const record of records) traceRecordSchema.parse(record, '');
  });

  test('limits that make no sense are refused', () => {
    expect(() => new MemorySession({ behindLimit: 0 })).toThrow(RangeError);
  });
});

test('over a good link nobody ever stalls; over a bad one everybody recovers', () => {
  const network = fc.record({ seed: fc.nat(1_000_000), loss: fc.constantFrom(0, 0.1, 0.4) });
  fc.assert(
    fc.property(network, ({ seed, loss }) => {
      const session = new MemorySession();
      const random = seededRandom(seed);
      const names = ['alice', 'bob'];
      for (const name of names) session.join(name);
      session.fate = (frame) => (random.next() < loss ? [] : [frame]);
      for (let round = 0; round < 60; round++) {
        session.predict(names[round % 2]!, 'take', { coin: Math.floor(random.next() * 40) });
        session.run(Math.floor(random.next() * 600));
        if (loss > 0) continue;
        for (const client of session.clients) expect(client.health(session.now).reasons).toEqual([]);
        for (const { health } of session.manager.clients) expect(health.reasons).toEqual([]);
      }
      session.fate = (frame) => [frame];
      session.run(70_000);
      for (const client of session.clients) expect(client.health(session.now).progress).toBe('current');
      for (const { health } of session.manager.clients) {
        expect(health).toMatchObject({ progress: 'current', lag: 0, oldestPending: 0 });
        expect(health.verified?.version).toBe(session.manager.version);
      }
    }),
    { numRuns: 30 },
  );
});
