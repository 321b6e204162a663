import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../ports/index.ts';
import { recordKey, replicaId } from '../state/index.ts';
import { TraceHub, type TraceRecord, traceRecordSchema } from '../trace/index.ts';
import { ClientState } from './client.ts';
import { SyncManager } from './manager.ts';
import type { SyncManagerOptions } from './manager-options.ts';
import { coinSession } from './memory-link.test-helper.ts';
import { type Outgoing, perLink } from './outbox.ts';

const MILLISECOND = 1_000_000;
const LIMITS = { queueLimit: 2_000, maxQueued: 16_000, slowTimeout: 3_000 * MILLISECOND };
/** What may still be handed to a slow link: WELCOME and BYE. */
const CONTROL_BYTES = 600;

interface Reader {
  readonly link: number;
  readonly client: ClientState;
  readonly waiting: Uint8Array[];
  reads: boolean;
  closed: string | undefined;
  most: number;
}

/** A manager whose driver tells how much waits for each reader. */
class Queues {
  readonly manager: SyncManager;
  readonly records: TraceRecord[] = [];
  readonly readers: Reader[] = [];
  largest = 0;
  now = 0;

  constructor(options: Partial<SyncManagerOptions> = {}) {
    const hub = new TraceHub({ now: () => this.now });
    hub.listen((record) => this.records.push(record));
    this.manager = new SyncManager({
      definition: coinSession,
      replica: replicaId('server'),
      session: 'coins',
      random: seededRandom(1),
      now: 0,
      tap: hub,
      ...LIMITS,
      ...options,
    });
  }

  join(name: string): Reader {
    const client = new ClientState({ definition: coinSession, replica: replicaId(name), session: 'coins', token: '' });
    const reader = { link: this.readers.length + 1, client, waiting: [], reads: true, closed: undefined, most: 0 };
    this.readers.push(reader);
    this.manager.connect(reader.link, this.now);
    this.manager.queued(reader.link, 0, this.now);
    this.up(reader, client.open(this.now));
    return reader;
  }

  predict(reader: Reader, command: string, args: { readonly [name: string]: string | number }): void {
    const result = reader.client.predict(command, args, this.now, { unchecked: true });
    if ('frames' in result) this.up(reader, result.frames);
  }

  up(reader: Reader, frames: readonly Uint8Array[]): void {
    if (reader.closed !== undefined) return;
    for (const frame of frames) this.#carry(this.manager.receive(reader.link, frame, this.now));
  }

  run(milliseconds: number): void {
    for (let passed = 0; passed < milliseconds; passed += 50) {
      this.now += 50 * MILLISECOND;
      for (const reader of this.readers) {
        while (reader.reads && reader.waiting.length > 0) {
          const frame = reader.waiting.shift();
          if (frame) this.up(reader, reader.client.receive(frame, this.now));
        }
        this.up(reader, reader.client.tick(this.now));
        this.manager.queued(reader.link, queuedBytes(reader), this.now);
      }
      this.#carry(this.manager.tick(this.now));
    }
  }

  #carry(outgoing: readonly Outgoing[]): void {
    for (const one of perLink(outgoing)) {
      const reader = this.readers.find(({ link }) => link === one.link);
      if (!reader) continue;
      if ('close' in one) {
        reader.closed = one.close;
        reader.waiting.length = 0;
        reader.client.closed(one.close, this.now);
        continue;
      }
      this.largest = Math.max(this.largest, one.frame.length);
      reader.waiting.push(one.frame);
      reader.most = Math.max(reader.most, queuedBytes(reader));
    }
  }
}

function queuedBytes(reader: Reader): number {
  return reader.waiting.reduce((sum, frame) => sum + frame.length, 0);
}

const LONG = 'x'.repeat(150);

describe('a slow reader', () => {
  test('gets one delta for all that it missed, and no events', () => {
    const queues = new Queues({ queueLimit: 3_000, slowTimeout: 60_000 * MILLISECOND });
    const slow = queues.join('slow');
    const events: string[] = [];
    slow.client.on((event) => event.type === 'event' && events.push(event.event.type));
    queues.run(200);
    slow.reads = false;
    for (let id = 0; id < 100; id++) {
      queues.manager.mutate('note', { id: id % 5, text: `${LONG}${id}` }, queues.now);
      queues.run(100);
      const [state] = queues.manager.clients;
      if (id === 60) expect(state?.queue).toMatchObject({ isSlow: true });
      if (id === 60) break;
    }
    const [held] = queues.manager.clients;
    expect(held?.queue.heldRounds).toBeGreaterThan(5);
    expect(held?.queue.droppedEvents).toBeGreaterThan(5);
    const deltas = queues.manager.stats.deltas;
    slow.reads = true;
    queues.run(200);
    expect(queues.manager.stats.deltas).toBe(deltas + 1);
    expect(slow.client.version).toBe(queues.manager.version);
    expect(slow.client.committed.hash).toBe(queues.manager.root.hash);
    expect(events.length + (held?.queue.droppedEvents ?? 0)).toBe(61);
  });

  test('gets a snapshot where what it missed is more than the state', () => {
    const queues = new Queues({ ring: 3, periodicSnapshots: 1 });
    const slow = queues.join('slow');
    const fast = queues.join('fast');
    queues.run(200);
    slow.reads = false;
    for (let id = 0; id < 25; id++) {
      queues.manager.mutate('note', { id, text: LONG }, queues.now);
      queues.run(100);
      expect(fast.client.version).toBeGreaterThanOrEqual(queues.manager.version - 1);
    }
    const before = queues.manager.stats.fullSyncs;
    slow.reads = true;
    queues.run(200);
    expect(queues.manager.stats.fullSyncs).toBe(before + 1);
    expect(slow.client.committed.hash).toBe(queues.manager.root.hash);
  });

  test('is told later how its mutations ended when the answers were dropped', () => {
    const queues = new Queues();
    const slow = queues.join('slow');
    queues.run(200);
    slow.reads = false;
    const reasons: string[] = [];
    slow.client.on((event) => event.type === 'rejected' && reasons.push(event.reason));
    for (let round = 0; round < 100; round++) queues.predict(slow, 'unlock', {});
    expect(slow.most).toBeLessThan(LIMITS.queueLimit + queues.largest + CONTROL_BYTES);
    queues.run(500);
    slow.reads = true;
    queues.run(1_000);
    expect(reasons).toHaveLength(100);
    expect(new Set(reasons)).toEqual(new Set(['door_locked']));
    expect(queues.manager.clients[0]?.queue.droppedAnswers).toBeGreaterThan(0);
  });

  test('of which nothing can be hoped is dropped, with the reason, and nobody else', () => {
    const queues = new Queues();
    const dead = queues.join('dead');
    const fast = queues.join('fast');
    queues.run(200);
    dead.reads = false;
    for (let id = 0; id < 60; id++) {
      queues.manager.mutate('note', { id: id % 9, text: LONG }, queues.now);
      queues.run(100);
    }
    expect(dead.closed).toMatch(/^LINK_TOO_SLOW: \d+ bytes wait and less than 2000 were read in 3 s$/);
    expect(fast.closed).toBeUndefined();
    expect(queues.manager.stats.tooSlow).toBe(1);
    expect(queues.manager.clients.map(({ replica }) => replica)).toEqual(['fast']);
    const told = queues.records.flatMap(({ body }) =>
      body.kind === 'pressure' ? [`${body.target} ${body.state}`] : [],
    );
    expect(told.filter((line) => line.startsWith('dead'))).toEqual(['dead slow', 'dead dropped']);
    for (const record of queues.records) traceRecordSchema.parse(record, '');
  });

  test('that reads a large snapshot slowly is not hopeless', () => {
    const queues = new Queues({ queueLimit: 300, maxQueued: 300 });
    const slow = queues.join('slow');
    slow.reads = false;
    queues.run(2_500);
    expect(slow.closed).toBeUndefined();
    slow.reads = true;
    queues.run(500);
    expect(slow.client.committed.hash).toBe(queues.manager.root.hash);
  });

  test('is nobody where the driver does not tell; a wrong figure is refused', () => {
    const queues = new Queues();
    queues.join('alice');
    expect(() => queues.manager.queued(1, -1, 0)).toThrow(RangeError);
    expect(() => queues.manager.queued(1, Number.NaN, 0)).toThrow(RangeError);
    queues.manager.queued(77, 5_000_000, 0);
    expect(queues.manager.stats.tooSlow).toBe(0);
  });
});

test('with a reader that stalls at random, memory is bounded, the others notice nothing and all agree in the end', () => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ do: fc.constant('stall' as const), reads: fc.boolean() }) },
    { weight: 6, arbitrary: fc.record({ do: fc.constant('note' as const), id: fc.nat(40), times: fc.nat(12) }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('take' as const), coin: fc.nat(45) }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('corrupt' as const), coin: fc.nat(39) }) },
    { weight: 8, arbitrary: fc.record({ do: fc.constant('run' as const), for: fc.integer({ min: 1, max: 24 }) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 200, max: 4_000 }), (steps, queueLimit) => {
      const queues = new Queues({ queueLimit, ring: 10, periodicSnapshots: 2 });
      const slow = queues.join('slow');
      const fast = queues.join('fast');
      queues.run(200);
      for (const one of steps) {
        if (one.do === 'stall') slow.reads = one.reads;
        else if (one.do === 'run') queues.run(one.for * 50);
        else if (one.do === 'take') queues.predict(one.coin % 2 ? slow : fast, 'take', { coin: one.coin });
        else if (one.do === 'corrupt') {
          const key = recordKey(`coin/${one.coin}`);
          if (slow.client.committed.has(key)) {
            slow.client.corruptCommitted([{ op: 'patch', key, fields: { worth: -1 }, removed: [] }]);
          }
        } else {
          for (let index = 0; index < one.times; index++) {
            queues.manager.mutate('note', { id: one.id + index, text: LONG }, queues.now);
          }
        }
        expect(slow.most).toBeLessThanOrEqual(queueLimit + queues.largest + CONTROL_BYTES);
        expect(fast.closed).toBeUndefined();
      }
      queues.run(200);
      expect(fast.client.version).toBe(queues.manager.version);
      expect(fast.client.committed.hash).toBe(queues.manager.root.hash);
      slow.reads = true;
      queues.run(20_000);
      if (slow.closed !== undefined) {
        expect(slow.closed).toMatch(/^LINK_TOO_SLOW: /);
        return;
      }
      expect(slow.client.committed.hash).toBe(queues.manager.root.hash);
      expect(slow.client.version).toBe(queues.manager.version);
      expect(slow.client.pending).toEqual([]);
      expect(slow.client.health(queues.now).progress).toBe('current');
    }),
  );
});
