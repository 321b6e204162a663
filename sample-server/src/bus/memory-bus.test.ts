import { type LogEntry, snapshotOf } from '@syncscope/protocol/events';
import { StateRoot } from '@syncscope/protocol/merkle';
import { seededRandom } from '@syncscope/protocol/ports';
import { recordKey, replicaId } from '@syncscope/protocol/state';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { eventBusContract } from './contract.ts';
import { MemoryBus } from './memory-bus.ts';
import { openBus } from './open-bus.ts';
import { openSharedLog, type SharedLog } from './shared-log.ts';

describe('a bus in memory', () => {
  for (const { name, run } of eventBusContract(() => {
    const bus = new MemoryBus();
    return { first: bus, second: bus };
  })) {
    test(name, run);
  }

  test('gives every position to one of those who append at the same time', async () => {
    const plan = fc.array(fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 6 }), {
      minLength: 1,
      maxLength: 10,
    });
    await fc.assert(
      fc.asyncProperty(plan, async (rounds) => {
        const bus = new MemoryBus();
        await bus.begin('s', { position: 0, bytes: new Uint8Array() });
        const expected: string[] = [];
        for (const [round, sizes] of rounds.entries()) {
          const at = expected.length;
          const tries = sizes.map((size, who) =>
            Array.from({ length: size }, (_, index) => `${round} ${who} ${index}`),
          );
          const answers = await Promise.all(
            tries.map((entries) =>
              bus.append(
                's',
                at,
                entries.map((one) => new TextEncoder().encode(one)),
              ),
            ),
          );
          const won = tries.filter((_, who) => answers[who]!.isAppended);
          expect(won.length).toBe(1);
          expected.push(...won.flat());
        }
        const read = await bus.read('s', 0, 1_000);
        expect(read.map(({ bytes }) => new TextDecoder().decode(bytes))).toEqual(expected);
        expect(read.map(({ position }) => position)).toEqual(expected.map((_, index) => index + 1));
      }),
    );
  });
});

const KEY = recordKey('count/all');
const rootOf = (count: number): StateRoot => StateRoot.from([[KEY, { count }]]);

/** Counts up, as often as it is asked to, at the end that it knows of. */
class Counter {
  readonly name: string;
  shared: SharedLog | undefined;
  wanted = 0;

  constructor(name: string) {
    this.name = name;
  }

  async open(bus: MemoryBus): Promise<void> {
    this.shared = await openSharedLog({
      bus,
      session: 'count',
      random: seededRandom(this.name.length),
      first: () => snapshotOf({ position: 0, version: 1, root: rootOf(0), time: 0, writers: new Map() }),
      onChange: () => this.work(),
    });
  }

  /** As an authority does: one at a time here, and again whatever lost its place. */
  work(): void {
    const log = this.shared?.log;
    if (!log || log.failure || log.last > log.durable) return;
    const own = log.read(0).filter(({ mutation }) => mutation.writer === this.name).length;
    if (own >= this.wanted) return;
    const position = log.last + 1;
    const entry: LogEntry = {
      outcome: 'committed',
      position,
      version: position + 1,
      root: rootOf(position).hash,
      time: 0,
      mutation: { writer: replicaId(this.name), counter: own + 1 },
      seen: 0,
      events: [],
    };
    log.append(log.last, [entry]);
  }

  get done(): number {
    return this.shared?.log.read(0).filter(({ mutation }) => mutation.writer === this.name).length ?? 0;
  }
}

describe('a shared log', () => {
  test('has every entry of every gateway once, in one order, though answers are lost and the broker goes away', async () => {
    const bus = new MemoryBus();
    const counters = ['a', 'bb', 'ccc'].map((name) => new Counter(name));
    await Promise.all(counters.map((one) => one.open(bus)));
    for (const one of counters) one.wanted = 40;
    bus.losesAnswers = 10;
    for (const one of counters) one.work();
    await until(() => counters.some(({ done }) => done >= 10));
    bus.isUp = false;
    await until(() => counters.every(({ shared }) => shared?.trouble?.code === 'BUS_DOWN' || shared?.log.isIdle));
    bus.isUp = true;
    await until(() => counters.every(({ done }) => done === 40));
    await until(() => counters.every(({ shared }) => shared?.log.durable === 120));
    const [first, ...others] = counters.map(({ shared }) => shared!.log.read(0));
    for (const one of others) expect(one).toEqual(first);
    expect(counters.map(({ shared }) => shared!.trouble)).toEqual([undefined, undefined, undefined]);
    await Promise.all(counters.map(({ shared }) => shared!.close()));
  });

  test('ends where the bus has lost what it acknowledged', async () => {
    const bus = new MemoryBus();
    const counter = new Counter('a');
    await counter.open(bus);
    counter.wanted = 3;
    counter.work();
    await until(() => counter.done === 3 && counter.shared!.log.isIdle);
    const empty = new MemoryBus();
    await empty.begin('count', { position: 0, bytes: new Uint8Array() });
    bus.append = (session, expected, entries) => empty.append(session, expected, entries);
    counter.wanted = 4;
    counter.work();
    await until(() => counter.shared?.trouble?.code === 'LOG_LOST');
    await counter.shared?.close();
  });
});

async function until(holds: () => boolean | undefined): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 1));
}

describe('the address of a bus', () => {
  test.each(['', 'redis', 'redis://', 'http://127.0.0.1:6379', 'nats://', 'nats://a:1?replicas=2', 'kafka://a:1'])(
    'is not %j',
    async (url) => {
      await expect(openBus(url)).rejects.toMatchObject({ code: 'BUS_URL_INVALID' });
    },
  );

  test('keeps its password to itself', async () => {
    await expect(openBus('nats://me:secret@h:1?replicas=9')).rejects.toMatchObject({
      message: expect.not.stringContaining('secret'),
    });
  });
});
