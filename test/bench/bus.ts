import { jetstream, jetstreamManager, RetentionPolicy, StorageType } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { encodeEntry } from '@syncscope/protocol/events';
import { seededRandom } from '@syncscope/protocol/ports';
import { type EventBus, MemoryBus, openBus, openSharedLog } from '@syncscope/sample-server/bus';
import { createClient } from 'redis';
import { type BrokerName, ensureBroker } from '../../scripts/brokers.ts';
import { type Broker, startNats, startRedis } from '../brokers/brokers.ts';
import { entryAt, FIRST } from './log.ts';
import type { Bench, Figure } from './types.ts';

/**
 * Events through each bus, each acknowledged and in one order: appends of what waits, one behind the other, each taken only where the log
 * ends where it should. Beside it the broker's own client, which publishes the same bytes one by one, up to 1,000 in flight, in whatever
 * order they come, with nothing to compare. `.session` is the whole way of a gateway: entries validated, encoded, appended, agreed and
 * kept; `.single` is that with one entry at a time, each waited for.
 */
const EVENTS = 10_000;
const SINGLE = 1_000;
/** What an authority may have waiting. */
const WINDOW = 1_000;
const ROUNDS = 3;

export const benches: readonly Bench[] = [
  { name: 'bus.memory', run: async () => measureMemory() },
  { name: 'bus.redis', run: () => measureBroker('redis', () => startRedis({ appendonly: 'everysec' }), redisAlone) },
  { name: 'bus.nats', run: () => measureBroker('nats', () => startNats(), natsAlone) },
];

async function measureMemory(): Promise<Figure[]> {
  const events = Array.from({ length: EVENTS }, (_, index) => encodeEntry(entryAt(index + 1)));
  const bus = new MemoryBus();
  const rest = { unit: 'events/s', peer: null, ratio: null };
  return [
    { name: 'bus.memory', value: await appended(bus, events, 0), ...rest, note: `${WINDOW} together` },
    {
      name: 'bus.memory.session',
      value: await throughput(bus, EVENTS, WINDOW, 0),
      ...rest,
      note: `${WINDOW} waiting at most`,
    },
  ];
}

async function measureBroker(
  name: BrokerName,
  start: () => Promise<Broker>,
  alone: (broker: Broker, events: readonly Uint8Array[], round: number) => Promise<number>,
): Promise<Figure[]> {
  ensureBroker(name);
  const broker = await start();
  const bus = await openBus(broker.url);
  const events = Array.from({ length: EVENTS }, (_, index) => encodeEntry(entryAt(index + 1)));
  try {
    const rounds: Record<'ours' | 'session' | 'single' | 'theirs', number>[] = [];
    // The first is not counted.
    for (let round = 0; round <= ROUNDS; round++) {
      const ours = await appended(bus, events, round);
      const theirs = await alone(broker, events, round);
      const session = await throughput(bus, EVENTS, WINDOW, round);
      const measured = { ours, theirs, session, single: await throughput(bus, SINGLE, 1, round) };
      if (round > 0) rounds.push(measured);
    }
    const median = (side: keyof (typeof rounds)[number]): number =>
      rounds.map((one) => one[side]).sort((a, b) => a - b)[Math.floor(ROUNDS / 2)]!;
    const peer = name === 'redis' ? 'redis XADD' : '@nats-io/jetstream';
    const ratio = median('ours') / median('theirs');
    return [
      {
        ...{ name: `bus.${name}`, value: median('ours'), unit: 'events/s', peer, ratio },
        note: `${bus.durability}; ${WINDOW} together; 0.7 or more is asked for`,
      },
      {
        ...{ name: `bus.${name}.session`, value: median('session'), unit: 'events/s', peer: null, ratio: null },
        note: `${WINDOW} waiting at most`,
      },
      {
        ...{ name: `bus.${name}.single`, value: median('single'), unit: 'events/s', peer: null, ratio: null },
        note: 'one at a time, each waited for',
      },
    ];
  } finally {
    await bus.close();
    await broker.close();
  }
}

/** Events a second into the bus itself. */
async function appended(bus: EventBus, events: readonly Uint8Array[], round: number): Promise<number> {
  const session = `bench-bus-${round}`;
  await bus.begin(session, { position: 0, bytes: new Uint8Array() });
  const start = performance.now();
  for (let at = 0; at < events.length; at += WINDOW) {
    const { isAppended } = await bus.append(session, at, events.slice(at, at + WINDOW));
    if (!isAppended) throw new Error(`the bus did not take ${at}`);
  }
  return events.length / ((performance.now() - start) / 1_000);
}

/** Events a second through a gateway's side of the log. */
async function throughput(bus: EventBus, events: number, window: number, round: number): Promise<number> {
  let wake = (): void => undefined;
  const { log, close } = await openSharedLog({
    bus,
    session: `bench-${window}-${round}`,
    first: () => FIRST,
    random: seededRandom(1),
    onChange: () => wake(),
  }).then((shared) => ({ log: shared.log, close: () => shared.close() }));
  const entries = Array.from({ length: events }, (_, index) => entryAt(index + 1));
  const start = performance.now();
  while (log.durable < events) {
    const most = Math.min(events, log.durable + window);
    while (log.last < most) log.append(log.last, [entries[log.last]!]);
    if (log.failure) throw log.failure;
    const before = log.durable;
    await new Promise<void>((resolve) => {
      wake = () => {
        if (log.durable > before || log.failure) resolve();
      };
    });
  }
  const seconds = (performance.now() - start) / 1_000;
  await close();
  return events / seconds;
}

async function redisAlone({ url }: Broker, events: readonly Uint8Array[], round: number): Promise<number> {
  const client = createClient({ url });
  await client.connect();
  const start = performance.now();
  for (let at = 0; at < events.length; at += WINDOW) {
    const part = events.slice(at, at + WINDOW);
    await Promise.all(part.map((bytes) => client.xAdd(`alone-${round}`, '*', { e: Buffer.from(bytes) })));
  }
  const seconds = (performance.now() - start) / 1_000;
  client.destroy();
  return events.length / seconds;
}

async function natsAlone({ url }: Broker, events: readonly Uint8Array[], round: number): Promise<number> {
  const connection = await connect({ servers: url });
  const manager = await jetstreamManager(connection);
  const [name, subject] = [`ALONE_${round}`, `alone.${round}`];
  await manager.streams.add({
    ...{ name, subjects: [subject], storage: StorageType.File, retention: RetentionPolicy.Limits },
  });
  const client = jetstream(connection);
  const start = performance.now();
  for (let at = 0; at < events.length; at += WINDOW) {
    await Promise.all(events.slice(at, at + WINDOW).map((bytes) => client.publish(subject, bytes)));
  }
  const seconds = (performance.now() - start) / 1_000;
  await connection.close();
  return events.length / seconds;
}
