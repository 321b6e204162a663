import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeEntry, encodeSnapshot, type LogEntry, MemoryEventLog, replay, SharedEventLog } from '../events/index.ts';
import { messageType } from '../messages/index.ts';
import { seededRandom } from '../ports/index.ts';
import { replicaId, type Value } from '../state/index.ts';
import { ClientState } from './client.ts';
import { expectSettled } from './durable-session.test-helper.ts';
import { firstSnapshot } from './first-state.ts';
import { SyncManager } from './manager.ts';
import { coinSession } from './memory-link.test-helper.ts';
import { type LinkId, type Outgoing, perLink } from './outbox.ts';

const CLIENTS = ['alice', 'bob', 'carol'] as const;
const STEP = 50_000_000;
const FIRST = firstSnapshot(coinSession, seededRandom(1));

/** One of several authorities of a session, with its own side of the common log. */
class Authority {
  readonly log: SharedEventLog;
  readonly manager: SyncManager;

  constructor(common: readonly Uint8Array[], now: number) {
    this.log = new SharedEventLog('broker');
    this.log.begin(encodeSnapshot(FIRST));
    for (const [index, bytes] of common.entries()) this.log.agree(index + 1, bytes);
    this.manager = new SyncManager({
      definition: coinSession,
      replica: replicaId('server'),
      session: 'coins',
      random: seededRandom(1),
      now,
      log: this.log,
      ring: 1_000,
    });
  }
}

interface Seat {
  readonly client: ClientState;
  at: { readonly authority: Authority; readonly link: LinkId } | undefined;
  version: number;
  fullSyncs: number;
}

/** Several authorities over one log that takes an append only behind its end, and clients that go from one to another. */
class SharedSession {
  readonly common: Uint8Array[] = [];
  now = 0;
  authorities: Authority[];
  readonly seats = new Map<string, Seat>();
  readonly told = new Map<string, string[]>();
  #links = 0;
  #frames: { seat: Seat; link: LinkId; to: 'client' | 'manager'; frame: Uint8Array | undefined }[] = [];
  #isDelivering = false;

  constructor(authorities: number) {
    this.authorities = Array.from({ length: authorities }, () => new Authority(this.common, 0));
    for (const name of CLIENTS) {
      const client = new ClientState({
        definition: coinSession,
        replica: replicaId(name),
        session: 'coins',
        token: 'none',
      });
      const seat: Seat = { client, at: undefined, version: 0, fullSyncs: 0 };
      this.seats.set(name, seat);
      client.on((event) => {
        if (event.type === 'confirmed' || event.type === 'rejected') {
          const id = `${event.mutation.writer}#${event.mutation.counter}`;
          this.told.set(id, [...(this.told.get(id) ?? []), event.type]);
        } else if (event.type === 'committed') {
          expect(event.version).toBeGreaterThanOrEqual(seat.version);
          seat.version = event.version;
          const entry = this.entries.findLast((one) => one.version === event.version);
          expect(event.root).toBe(entry?.root ?? FIRST.root);
        }
      });
    }
  }

  get entries(): LogEntry[] {
    return this.common.map(decodeEntry);
  }

  /** An authority hands over what it has, and hears whether it came first. */
  append(index: number, most: number, isAnswerLost = false): void {
    const { log } = this.#authority(index);
    const batch = log.batch(most, 1_000_000);
    if (!batch) return;
    const isFirst = batch.expected === this.common.length;
    if (isFirst) this.common.push(...batch.entries);
    if (isAnswerLost) return;
    if (isFirst) for (const [at, bytes] of batch.entries.entries()) log.agree(batch.expected + 1 + at, bytes);
    else this.follow(index, Number.POSITIVE_INFINITY);
  }

  /** An authority hears of so many entries of the common log. */
  follow(index: number, most: number): void {
    const { log } = this.#authority(index);
    const from = log.durable;
    for (const [at, bytes] of this.common.slice(from, from + most).entries()) log.agree(from + 1 + at, bytes);
  }

  /** An authority ends without a word, and another starts in its place. */
  crash(index: number): void {
    const gone = this.#authority(index);
    for (const seat of this.seats.values()) if (seat.at?.authority === gone) this.cut(seat);
    this.authorities[this.authorities.indexOf(gone)] = new Authority(this.common, this.now);
  }

  #authority(index: number): Authority {
    return this.authorities[index % this.authorities.length]!;
  }

  connect(seat: Seat, index: number): void {
    if (seat.at) this.cut(seat);
    const authority = this.#authority(index);
    const link = ++this.#links;
    seat.at = { authority, link };
    authority.manager.connect(link, this.now);
    this.#toManager(seat, seat.client.open(this.now));
  }

  cut(seat: Seat): void {
    const { at } = seat;
    if (!at) return;
    seat.at = undefined;
    at.authority.manager.disconnect(at.link, 'cut', this.now);
    seat.client.closed('cut', this.now);
  }

  predict(seat: Seat, command: string, args: Value): void {
    const result = seat.client.predict(command, args, this.now, { unchecked: true });
    if ('frames' in result) this.#toManager(seat, result.frames);
  }

  mutate(index: number, command: string, args: Value): void {
    this.#authority(index).manager.mutate(command, args, this.now);
  }

  run(steps: number): void {
    for (let step = 0; step < steps; step++) {
      this.now += STEP;
      for (const one of this.authorities) this.#fromManager(one.manager.tick(this.now));
      for (const seat of this.seats.values()) this.#toManager(seat, seat.client.tick(this.now));
    }
  }

  #toManager(seat: Seat, frames: readonly Uint8Array[]): void {
    const { at } = seat;
    if (at) for (const frame of frames) this.#frames.push({ seat, link: at.link, to: 'manager', frame });
    this.#deliver();
  }

  #fromManager(outgoing: readonly Outgoing[]): void {
    for (const one of perLink(outgoing)) {
      const seat = [...this.seats.values()].find(({ at }) => at?.link === one.link);
      const frame = 'frame' in one ? one.frame : undefined;
      if (seat) this.#frames.push({ seat, link: one.link, to: 'client', frame });
    }
    this.#deliver();
  }

  #deliver(): void {
    if (this.#isDelivering) return;
    this.#isDelivering = true;
    for (let next = this.#frames.shift(); next; next = this.#frames.shift()) {
      const { seat, link, to, frame } = next;
      if (seat.at?.link !== link) continue;
      if (!frame) {
        seat.at = undefined;
        seat.client.closed('closed', this.now);
      } else if (to === 'manager') {
        this.#fromManager(seat.at.authority.manager.receive(link, frame, this.now));
      } else {
        if (messageType(frame[1]) === 'FULL_SYNC') seat.fullSyncs++;
        this.#toManager(seat, seat.client.receive(frame, this.now));
      }
    }
    this.#isDelivering = false;
  }

  heal(): void {
    for (const [index, seat] of [...this.seats.values()].entries()) this.connect(seat, index);
    for (let round = 0; round < 80; round++) {
      for (const index of this.authorities.keys()) {
        this.append(index, 100);
        this.follow(index, 100);
      }
      this.run(1);
    }
  }

  audit(): void {
    const { entries } = this;
    const log = new MemoryEventLog();
    log.putSnapshot(FIRST);
    log.append(0, entries);
    const state = replay(log, coinSession.reduce);
    for (const { manager, log: own } of this.authorities) {
      expect(own.failure).toBeUndefined();
      expect([manager.version, manager.root.hash]).toEqual([state.version, state.root.hash]);
    }
    expectSettled(entries, state, this.seats.values(), this.told, CLIENTS);
  }
}

const who = fc.constantFrom(...CLIENTS);
const at = fc.nat(2);
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('note' as const), who }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('take' as const), who, coin: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('mutate' as const), at, coin: fc.nat(3) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('run' as const), steps: fc.integer({ min: 1, max: 5 }) }) },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('append' as const), at, most: fc.integer({ min: 1, max: 5 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('lose' as const), at, most: fc.integer({ min: 1, max: 5 }) }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('follow' as const), at, most: fc.integer({ min: 1, max: 5 }) }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('connect' as const), who, at }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const), at }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function take(session: SharedSession, one: Step, note: number): void {
  const seat = 'who' in one ? session.seats.get(one.who)! : undefined;
  switch (one.do) {
    case 'note':
      session.predict(seat!, 'note', { id: note });
      break;
    case 'take':
      session.predict(seat!, 'take', { coin: one.coin });
      break;
    case 'mutate':
      session.mutate(one.at, 'take', { coin: one.coin });
      break;
    case 'run':
      session.run(one.steps);
      break;
    case 'append':
      session.append(one.at, one.most);
      break;
    case 'lose':
      session.append(one.at, one.most, true);
      break;
    case 'follow':
      session.follow(one.at, one.most);
      break;
    case 'connect':
      session.connect(seat!, one.at);
      break;
    case 'crash':
      session.crash(one.at);
      break;
  }
}

describe('authorities that share a log', () => {
  test('settle every mutation once and in one order, whoever comes first, ends or does not hear', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), fc.integer({ min: 2, max: 3 }), (steps, authorities) => {
        const session = new SharedSession(authorities);
        for (const [index, seat] of [...session.seats.values()].entries()) session.connect(seat, index);
        for (const [index, one] of steps.entries()) take(session, one, index);
        session.heal();
        session.audit();
      }),
    );
  });

  test('decide again what lost the race, on the state that won', () => {
    const session = new SharedSession(2);
    const [alice, bob] = [...session.seats.values()] as [Seat, Seat];
    session.connect(alice, 0);
    session.connect(bob, 1);
    session.run(2);
    session.predict(alice, 'take', { coin: 1 });
    session.predict(bob, 'take', { coin: 1 });
    session.append(0, 10);
    session.append(1, 10);
    session.run(1);
    session.append(1, 10);
    session.heal();
    session.audit();
    expect(session.entries.map(({ outcome }) => outcome)).toEqual(['committed', 'refused']);
    expect(session.told).toEqual(
      new Map([
        ['alice#1', ['confirmed']],
        ['bob#1', ['rejected']],
      ]),
    );
    expect(session.authorities[1]!.log.overtaken).toBe(1);
  });

  test('go on by a delta with a client of another, which is not given an older state first', () => {
    const session = new SharedSession(2);
    const [alice] = [...session.seats.values()] as [Seat];
    session.connect(alice, 0);
    for (let round = 0; round < 5; round++) {
      session.predict(alice, 'note', { id: round });
      session.append(0, 10);
      session.run(3);
    }
    const { version, fullSyncs } = alice;
    expect([version, fullSyncs]).toEqual([6, 1]);
    // The other has heard of nothing yet.
    session.connect(alice, 1);
    session.predict(alice, 'note', { id: 'late' });
    session.run(3);
    expect([alice.client.version, alice.fullSyncs]).toEqual([6, 1]);
    session.follow(1, 100);
    session.heal();
    session.audit();
    expect([alice.client.version, alice.fullSyncs]).toEqual([7, 1]);
  });

  test('end where they come to another state than the log says', () => {
    const session = new SharedSession(1);
    session.mutate(0, 'note', { id: 1 });
    session.append(0, 1);
    const [entry] = session.entries as [Extract<LogEntry, { outcome: 'committed' }>];
    const authority = new Authority([], 0);
    const wrong = new SharedEventLog('broker');
    wrong.begin(encodeSnapshot(FIRST));
    wrong.append(0, [{ ...entry, root: 'f'.repeat(entry.root.length) as typeof entry.root }]);
    authority.log.agree(1, wrong.batch(1, 1)!.entries[0]!);
    authority.manager.tick(STEP);
    expect(() => authority.manager.mutate('wave', null, STEP)).toThrow(
      expect.objectContaining({ code: 'LOG_ROOT_MISMATCH' }),
    );
  });
});
