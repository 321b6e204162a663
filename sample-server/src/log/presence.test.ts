import { afterEach, expect, test } from 'vitest';
import { MemoryBus } from '../bus/memory-bus.ts';
import { BusPresence } from './presence.ts';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

/** Gateways of a session on one bus, with these clients, of which each turn is asked for. */
function gateways(bus: MemoryBus, ...clients: string[][]) {
  return clients.map((own) => {
    const presence = new BusPresence(bus, 'lobby');
    presence.start(() => own);
    cleanups.push(() => presence.close());
    return presence;
  }) as [BusPresence, BusPresence];
}

async function turn(...gateways: readonly BusPresence[]): Promise<void> {
  for (const one of gateways) await one.turn();
}

test('a gateway hears whom the others serve, and who has said goodbye to them, until somebody serves them again', async () => {
  const clients = ['ann', 'ben'];
  const [one, other] = gateways(new MemoryBus(), clients, []);
  await turn(one, other);
  expect([other.elsewhere, other.leftElsewhere]).toEqual([['ann', 'ben'], []]);
  clients.splice(0);
  one.goodbye('ann');
  await turn(one, other);
  // Ben has only vanished.
  expect([other.elsewhere, other.leftElsewhere]).toEqual([[], ['ann']]);
  clients.push('ann');
  await turn(one, other);
  expect([other.elsewhere, other.leftElsewhere]).toEqual([['ann'], []]);
});

test('a goodbye is told a few times, and not for ever', async () => {
  const [one, other] = gateways(new MemoryBus(), [], []);
  await turn(one);
  one.goodbye('ann');
  const told: number[] = [];
  for (let turns = 0; turns < 7; turns++) {
    await turn(one, other);
    told.push(other.leftElsewhere.length);
  }
  expect(told).toEqual([1, 1, 1, 1, 1, 0, 0]);
});

test('who has come over is not taken for one that has left', async () => {
  const [one, other] = gateways(new MemoryBus(), [], ['ann']);
  one.goodbye('ann');
  await turn(one, other);
  expect(other.leftElsewhere).toEqual([]);
});

test.each([
  ['is no JSON', '{'],
  ['names nobody who could be', '{"clients":["../x"],"left":[]}'],
  ['is of another kind', '{"clients":7}'],
])('what stands on the bus and %s is passed over', async (_, text) => {
  const bus = new MemoryBus();
  await bus.announce('lobby', 'stranger', text, 60_000);
  const [one, other] = gateways(bus, ['ann'], []);
  await turn(one, other);
  expect(other.elsewhere).toEqual(['ann']);
});
