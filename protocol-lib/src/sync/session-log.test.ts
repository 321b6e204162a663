import { describe, expect, test } from 'vitest';
import { compactLog, type EventLog, MemoryEventLog, replay, stateAt } from '../events/index.ts';
import { decodeMessage, messageType, noNames } from '../messages/index.ts';
import { seededRandom } from '../ports/index.ts';
import { replicaId } from '../state/index.ts';
import { TraceHub, type TraceRecord } from '../trace/index.ts';
import { DurableSession, NAMES } from './durable-session.test-helper.ts';
import { SyncManager } from './manager.ts';
import type { SyncManagerOptions } from './manager-options.ts';
import { coinSession, MemorySession } from './memory-link.test-helper.ts';
import { MAX_PENDING } from './settings.ts';

describe('a session on a log', () => {
  /** The same moves with and without a log. */
  function play(options: Partial<SyncManagerOptions>): { session: MemorySession; kinds: string[] } {
    const hub = new TraceHub({ now: () => 0 });
    const records: TraceRecord[] = [];
    hub.listen((record) => records.push(record));
    const session = new MemorySession({ tap: hub, ...options });
    for (const who of NAMES) session.join(who);
    for (let round = 0; round < 6; round++) {
      session.predict('alice', 'take', { coin: round % 2 }, { unchecked: true });
      session.predict('bob', 'take', { coin: round % 2 }, { unchecked: true });
      session.manager.mutate('note', { id: round }, session.now);
      session.run(150);
    }
    return { session, kinds: records.map(({ body }) => JSON.stringify(body)) };
  }

  test('that is durable at once is like one without, but for what WELCOME says', () => {
    const without = play({});
    const log = new MemoryEventLog();
    expect(play({ log }).kinds).toEqual(without.kinds);
    expect(log.last).toBe(18);
    expect(replay(log, coinSession.reduce).root.hash).toBe(without.session.manager.root.hash);
  });

  test('says in WELCOME what an answer survives', () => {
    const welcomed = (log?: EventLog): unknown => {
      const session = new MemorySession(log ? { log } : {});
      let durability: unknown;
      session.fate = (frame) => {
        if (messageType(frame[1]) !== 'WELCOME') return [frame];
        const message = decodeMessage(frame, noNames);
        if (message.type === 'WELCOME') durability = message.durability;
        return [frame];
      };
      session.join('alice');
      return durability;
    };
    expect([welcomed(), welcomed(new MemoryEventLog()), welcomed(new DurableSession(1).log)]).toEqual([
      'memory',
      'memory',
      'log',
    ]);
  });

  test('gives every version back, carries on from a compacted log, and remembers refusals', () => {
    const log = new MemoryEventLog();
    const { session } = play({ log });
    const { version, root, vector } = session.manager;
    const hashes = Array.from({ length: version }, (_, at) => stateAt(log, coinSession.reduce, at + 1).root.hash);
    expect(hashes.at(-1)).toBe(root.hash);
    compactLog(log, coinSession.reduce, 15);
    const next = new MemorySession({ log, now: 0 });
    expect([next.manager.version, next.manager.root.hash, next.manager.vector]).toEqual([version, root.hash, vector]);
    // It sends its first mutations again, as one does that never heard how they ended.
    const again = next.join('bob');
    expect(again.predict('take', { coin: 0 }, 0, { unchecked: true })).toMatchObject({ mutation: { counter: 7 } });
    expect(log.read(15).every(({ seen }) => seen <= version)).toBe(true);
  });

  test('refuses a log that does not come to the state that it says', () => {
    const log = new MemoryEventLog();
    play({ log });
    const definition = { ...coinSession, reduce: () => [] };
    expect(() => new MemorySession({ log, definition })).toThrow(
      expect.objectContaining({ code: 'LOG_ROOT_MISMATCH' }),
    );
    const session = new DurableSession(1);
    session.mutate('wave', {});
    expect(() => new MemorySession({ log: session.log })).toThrow(expect.objectContaining({ code: 'LOG_NOT_DURABLE' }));
  });

  test('refuses a mutation that cannot be logged, and goes on', () => {
    const log = new MemoryEventLog();
    const definition = {
      ...coinSession,
      commands: {
        ...coinSession.commands,
        babble: () => ({ accepted: true as const, events: [{ type: 'BABBLED', player: 'x', detail: '\ud800' }] }),
      },
    };
    const { manager } = new MemorySession({ log, definition });
    expect(manager.mutate('babble', {}, 0)).toMatchObject({ accepted: false });
    expect(manager.mutate('wave', {}, 0)).toMatchObject({ accepted: true });
    expect(log.read(0).map(({ outcome }) => outcome)).toEqual(['refused', 'committed']);
  });

  test('counts its time on, whatever the clock does and whoever is its authority', () => {
    const log = new MemoryEventLog();
    const names = { definition: coinSession, replica: replicaId('server'), session: 'coins' };
    for (const [start, ...nows] of [
      [0, 500, 200, 900],
      [7_000, 7_100, 6_000],
    ] as const) {
      const manager = new SyncManager({ ...names, random: seededRandom(1), now: start, log });
      for (const now of nows) expect(manager.mutate('wave', {}, now)).toMatchObject({ accepted: true });
    }
    expect(log.read(0).map(({ time }) => time)).toEqual([500, 500, 900, 1_000, 1_000]);
  });

  test('takes up where a writer says that it is, and logs that too', () => {
    const log = new MemoryEventLog();
    const first = new MemorySession();
    first.join('alice');
    for (let index = 0; index < 5; index++) first.predict('alice', 'note', { id: index });
    first.run(300);
    const [alice] = first.clients;
    const lost = new SyncManager({
      definition: coinSession,
      replica: replicaId('server'),
      session: 'coins',
      random: seededRandom(1),
      now: 0,
      log,
    });
    alice!.closed('gone', 0);
    lost.connect(1, 0);
    for (const frame of alice!.open(0)) lost.receive(1, frame, 0);
    expect(log.read(0)).toMatchObject([{ outcome: 'adopted', mutation: { writer: 'alice', counter: 5 } }]);
    expect(new MemorySession({ log }).manager.vector).toEqual([{ replica: 'alice', counter: 5 }]);
  });
});

test('a reducer that is not deterministic is named in the trace, and its mutation refused before it is logged', () => {
  let calls = 0;
  const definition = {
    ...coinSession,
    reduce: ((state, event) =>
      event.type === 'NOTED'
        ? [
            ...coinSession.reduce(state, event),
            { op: 'patch', key: 'door/north', fields: { knocks: calls++ }, removed: [] },
          ]
        : coinSession.reduce(state, event)) as typeof coinSession.reduce,
  };
  const hub = new TraceHub({ now: () => 0 });
  const logged: string[] = [];
  hub.listen(({ body }) => {
    if (body.kind === 'log' && body.level === 'error') logged.push(body.text);
  });
  const log = new MemoryEventLog();
  const { manager } = new MemorySession({ definition, tap: hub, log, verifyReducer: true });
  expect(manager.mutate('take', { coin: 1 }, 0)).toMatchObject({ accepted: true, version: 2 });
  expect(manager.mutate('note', { id: 1 }, 0)).toMatchObject({ accepted: false });
  expect(logged).toHaveLength(1);
  expect(logged[0]).toMatch(/NOTED at version 3.*field "knocks" of door\/north/);
  expect(log.read(0).map(({ outcome }) => outcome)).toEqual(['committed', 'refused']);
  expect(replay(log, coinSession.reduce).root.hash).toBe(manager.root.hash);
});

test('a log remembers as many refusals of a writer as it may have pending', () => {
  const log = new MemoryEventLog();
  const first = new MemorySession({ log });
  for (let index = 0; index < MAX_PENDING + 20; index++) first.manager.mutate('nonsense', {}, 0);
  const state = replay(log, coinSession.reduce);
  expect(state.writers.get(replicaId('server'))?.refusals).toHaveLength(MAX_PENDING);
});
