import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { SyncError } from '../errors/index.ts';
import {
  compactLog,
  DiskEventLog,
  type EventLog,
  type LogEntry,
  MemoryEventLog,
  readLogFile,
  replay,
  SimulatedDisk,
  stateAt,
} from '../events/index.ts';
import { decodeMessage, messageType, noNames } from '../messages/index.ts';
import { type Random, seededRandom } from '../ports/index.ts';
import { replicaId, type Value } from '../state/index.ts';
import { TraceHub, type TraceRecord } from '../trace/index.ts';
import { ClientState } from './client.ts';
import { SyncManager, type SyncManagerOptions } from './manager.ts';
import { coinSession, MemorySession } from './memory-link.test-helper.ts';
import type { LinkId, Outgoing } from './outbox.ts';
import { MAX_PENDING } from './settings.ts';

const NAMES = ['alice', 'bob'] as const;
const STEP = 50_000_000;

interface Seat {
  readonly client: ClientState;
  link: LinkId | undefined;
  version: number;
}

/** Clients and an authority on a log whose disk makes durable what it is told to, and which may end at any moment and start again. */
class DurableSession {
  disk = new SimulatedDisk();
  log: DiskEventLog;
  manager: SyncManager;
  now = 0;
  /** The authority crashes before the so-manieth thing that happens. */
  crashAt: number;
  happened = 0;
  restarts = 0;
  readonly seats = new Map<string, Seat>();
  /** How each mutation ended, as its writer was told. */
  readonly told = new Map<string, string[]>();
  readonly #random: Random;
  #frames: { link: LinkId; to: 'client' | 'manager'; frame: Uint8Array | undefined }[] = [];
  #nextLink = 1;
  #read: Uint8Array | undefined;
  readonly #entries: LogEntry[] = [];
  #isDelivering = false;

  constructor(seed: number, crashAt = Number.POSITIVE_INFINITY) {
    this.#random = seededRandom(seed);
    this.crashAt = crashAt;
    this.log = this.#open();
    this.manager = this.#start();
    this.disk.complete();
    for (const name of NAMES) {
      const client = new ClientState({
        definition: coinSession,
        replica: replicaId(name),
        session: 'coins',
        token: 'none',
      });
      const seat: Seat = { client, link: undefined, version: 0 };
      this.seats.set(name, seat);
      client.on((event) => {
        if (event.type === 'confirmed' || event.type === 'rejected') {
          const id = `${event.mutation.writer}#${event.mutation.counter}`;
          this.told.set(id, [...(this.told.get(id) ?? []), event.type]);
          const { writer, counter } = event.mutation;
          const entry = this.#durable().find(
            ({ mutation }) => mutation.writer === writer && mutation.counter === counter,
          );
          expect(entry?.outcome).toBe(event.type === 'confirmed' ? 'committed' : 'refused');
        } else if (event.type === 'committed') {
          const { version, root } = event;
          expect(version).toBeGreaterThanOrEqual(seat.version);
          seat.version = version;
          if (version > 1) expect(this.#durable().findLast((entry) => entry.version === version)?.root).toBe(root);
        }
      });
    }
  }

  /** What no crash can take away, and what was compacted since it was so. */
  #durable(): readonly LogEntry[] {
    const bytes = this.disk.durable;
    if (this.#read === bytes) return this.#entries;
    this.#read = bytes;
    const { index } = readLogFile(bytes);
    expect(this.#entries.length).toBeGreaterThanOrEqual(index.base);
    expect(index.last).toBeGreaterThanOrEqual(this.#entries.length);
    this.#entries.push(...index.read(Math.max(0, this.#entries.length)));
    return this.#entries;
  }

  /** Drops the entries up to some position that is durable. */
  compact(at: number): void {
    this.#durable();
    const { base, durable } = this.log;
    compactLog(this.log, coinSession.reduce, base + (at % (durable - base + 1)));
  }

  #open(): DiskEventLog {
    let opened: DiskEventLog | SyncError | undefined;
    this.disk.isHeld = false;
    DiskEventLog.open(this.disk.contents, this.disk, (log) => {
      opened = log;
    });
    this.disk.isHeld = true;
    if (!(opened instanceof DiskEventLog)) throw opened;
    return opened;
  }

  #start(): SyncManager {
    return new SyncManager({
      definition: coinSession,
      replica: replicaId('server'),
      session: 'coins',
      random: seededRandom(1),
      now: this.now,
      log: this.log,
    });
  }

  crash(isPowerLost: boolean): void {
    this.restarts++;
    this.#frames = [];
    for (const seat of this.seats.values()) {
      if (seat.link !== undefined) seat.client.closed('the authority is gone', this.now);
      seat.link = undefined;
    }
    const { durable, last } = this.log;
    this.disk = isPowerLost ? this.disk.crash(this.#random) : new SimulatedDisk(this.disk.contents);
    this.log = this.#open();
    this.manager = this.#start();
    expect(this.log.last).toBeGreaterThanOrEqual(durable);
    expect(this.log.last).toBeLessThanOrEqual(last);
    expect(this.manager.root.hash).toBe(replay(this.log, coinSession.reduce).root.hash);
  }

  /** Something is about to happen. False where the authority ended first. */
  #happens(): boolean {
    if (++this.happened !== this.crashAt) return true;
    this.crash(this.#random.next() < 0.8);
    return false;
  }

  complete(): void {
    if (this.#happens()) this.disk.complete();
  }

  connect(name: string): void {
    const seat = this.seats.get(name)!;
    if (seat.link !== undefined) return;
    seat.link = this.#nextLink++;
    this.manager.connect(seat.link, this.now);
    this.#toManager(seat, seat.client.open(this.now));
  }

  cut(name: string): void {
    const seat = this.seats.get(name)!;
    const { link } = seat;
    if (link === undefined) return;
    seat.link = undefined;
    this.#frames = this.#frames.filter((one) => one.link !== link);
    this.manager.disconnect(link, 'cut', this.now);
    seat.client.closed('cut', this.now);
  }

  predict(name: string, command: string, args: Value): void {
    const seat = this.seats.get(name)!;
    const result = seat.client.predict(command, args, this.now, { unchecked: true });
    if ('frames' in result) this.#toManager(seat, result.frames);
  }

  mutate(command: string, args: Value): void {
    this.manager.mutate(command, args, this.now);
  }

  run(steps: number): void {
    for (let step = 0; step < steps; step++) {
      this.now += STEP;
      if (this.#happens()) this.#fromManager(this.manager.tick(this.now));
      for (const seat of this.seats.values()) this.#toManager(seat, seat.client.tick(this.now));
    }
  }

  #toManager({ link }: Seat, frames: readonly Uint8Array[]): void {
    if (link !== undefined) for (const frame of frames) this.#frames.push({ link, to: 'manager', frame });
    this.#deliver();
  }

  #fromManager(outgoing: readonly Outgoing[]): void {
    for (const one of outgoing) {
      this.#frames.push({ link: one.link, to: 'client', frame: 'frame' in one ? one.frame : undefined });
    }
    this.#deliver();
  }

  #deliver(): void {
    if (this.#isDelivering) return;
    this.#isDelivering = true;
    for (let next = this.#frames.shift(); next; next = this.#frames.shift()) {
      const { link, to, frame } = next;
      if (!this.#happens()) continue;
      const seat = [...this.seats.values()].find((one) => one.link === link);
      if (!seat) continue;
      if (!frame) {
        seat.link = undefined;
        seat.client.closed('closed', this.now);
      } else if (to === 'manager') {
        this.#fromManager(this.manager.receive(link, frame, this.now));
      } else {
        this.#toManager(seat, seat.client.receive(frame, this.now));
      }
    }
    this.#isDelivering = false;
  }

  /** Everything works again, for long enough. */
  heal(): void {
    this.crashAt = Number.POSITIVE_INFINITY;
    this.disk.isHeld = false;
    while (this.disk.complete()) {}
    for (const name of NAMES) {
      this.cut(name);
      this.connect(name);
    }
    this.run(80);
  }

  audit(): void {
    const entries = this.#durable();
    expect(this.log.durable).toBe(this.log.last);
    const state = replay(this.log, coinSession.reduce);
    expect([state.version, state.root.hash]).toEqual([this.manager.version, this.manager.root.hash]);
    const notes = entries
      .flatMap((one) => (one.outcome === 'committed' ? one.events : []))
      .filter(({ type }) => type === 'NOTED')
      .map(({ detail }) => detail);
    expect(new Set(notes).size).toBe(notes.length);
    for (const { client } of this.seats.values()) {
      expect(client.pending).toEqual([]);
      expect([client.version, client.committed.hash]).toEqual([state.version, state.root.hash]);
      const own = entries.filter(({ mutation }) => mutation.writer === client.replica);
      expect(own.map(({ mutation }) => mutation.counter)).toEqual(own.map((_, index) => index + 1));
      for (const { mutation, outcome } of own) {
        const ends = this.told.get(`${mutation.writer}#${mutation.counter}`);
        expect(ends).toEqual([outcome === 'committed' ? 'confirmed' : 'rejected']);
      }
    }
    // A mutation that its writer was told of, and that the log does not have, would be missing above; one that it has not, here.
    const writers = new Set<string>(NAMES);
    expect(this.told.size).toBe(entries.filter(({ mutation }) => writers.has(mutation.writer)).length);
  }
}

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
