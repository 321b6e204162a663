import { expect, test } from 'vitest';
import { MemoryEventLog } from '../events/index.ts';
import { decodeMessage, type MessageOf, noNames } from '../messages/index.ts';
import { milliseconds, seededRandom } from '../ports/index.ts';
import { replicaId } from '../state/index.ts';
import { ClientState } from './client.ts';
import type { ClientEvent } from './client-events.ts';
import { SyncManager } from './manager.ts';
import type { SyncManagerOptions } from './manager-options.ts';
import { coinSession } from './memory-link.test-helper.ts';

/** Types of frames: NAMES, FULL_SYNC. */
const LOST = new Set([6, 7]);
const SYNC_REQUEST = 10;
const names = { definition: coinSession, session: 'coins' };

function authority(options: Partial<SyncManagerOptions>): SyncManager {
  return new SyncManager({ ...names, replica: replicaId('server'), random: seededRandom(1), now: 0, ...options });
}

/** Connects a client and lets both talk until they have nothing to say. Answers the WELCOME, and what the client tells of it. */
function meet(client: ClientState, manager: SyncManager, link: number): [MessageOf<'WELCOME'>, ClientEvent] {
  const told: ClientEvent[] = [];
  const stop = client.on((event) => event.type === 'welcomed' && told.push(event));
  manager.connect(link, 0);
  let welcome: MessageOf<'WELCOME'> | undefined;
  let frames = client.open(0);
  for (let round = 0; round < 10 && frames.length > 0; round++) {
    const answers = frames.flatMap((frame) => manager.receive(link, frame, 0));
    frames = answers.flatMap((one) => {
      if (!('frame' in one)) return [];
      if (one.frame[1] === 2) welcome = decodeMessage(one.frame, noNames) as MessageOf<'WELCOME'>;
      return client.receive(one.frame, 0);
    });
  }
  client.closed('cut', 0);
  manager.disconnect(link, 'cut', 0);
  stop();
  return [welcome!, told[0]!];
}

const newClient = () => new ClientState({ ...names, replica: replicaId('alice'), token: '' });

test('a reconnect is told from a restart, even where the state is the very same', () => {
  const client = newClient();
  const first = authority({ incarnation: 7 });
  expect(meet(client, first, 1)).toMatchObject([
    { incarnation: 7, resumed: false },
    { resumed: false, isRestart: false },
  ]);
  expect(meet(client, first, 2)).toMatchObject([
    { incarnation: 7, resumed: true },
    { resumed: true, isRestart: false },
  ]);
  const second = authority({ incarnation: 8 });
  expect(second.root.hash).toBe(client.committed.hash);
  expect(meet(client, second, 1)).toMatchObject([
    { incarnation: 8, resumed: false },
    { resumed: false, isRestart: true },
  ]);
  expect(meet(client, second, 2)).toMatchObject([
    { incarnation: 8, resumed: true },
    { resumed: true, isRestart: false },
  ]);
});

test('an authority that lost its memory brings its own state, older or not, and its own vector', () => {
  const client = newClient();
  const first = authority({ incarnation: 1 });
  for (let id = 0; id < 5; id++) first.mutate('note', { id }, 0);
  meet(client, first, 1);
  expect(client.version).toBe(first.version);
  const second = authority({ incarnation: 2 });
  second.mutate('wave', {}, 0);
  meet(client, second, 1);
  expect([client.version, client.committed.hash]).toEqual([second.version, second.root.hash]);
  expect([...client.vector.entries()]).toEqual(second.vector);
});

test('settlements of another life are not taken for those of this one, though both came to the same state', () => {
  const client = newClient();
  const first = authority({ incarnation: 1, replica: replicaId('first') });
  first.mutate('wave', {}, 0);
  meet(client, first, 1);
  const second = authority({ incarnation: 2 });
  expect(second.root.hash).toBe(client.committed.hash);
  second.connect(1, 0);
  let up = client.open(0);
  // Full syncs and names are lost, until the client asks for names, and says where it stands.
  let hasAsked = false;
  for (let now = 0; now < milliseconds(5_000); now += milliseconds(50)) {
    hasAsked ||= up.some((frame) => frame[1] === SYNC_REQUEST);
    const down = [...up.flatMap((frame) => second.receive(1, frame, now)), ...second.tick(now)];
    up = down.flatMap((one) => {
      if (!('frame' in one) || (LOST.has(one.frame[1]!) && !hasAsked)) return [];
      return client.receive(one.frame, now);
    });
    if (now === milliseconds(100)) second.mutate('note', { id: 'new' }, now);
    up.push(...client.tick(now));
  }
  expect(hasAsked).toBe(true);
  expect([...client.vector.entries()]).toEqual(second.vector);
});

test('a log carries the life of its session on; without one each draws its own', () => {
  const log = new MemoryEventLog();
  const client = newClient();
  const [first] = meet(client, authority({ log, random: seededRandom(1) }), 1);
  const [again, told] = meet(client, authority({ log, random: seededRandom(2), incarnation: 5 }), 1);
  expect(again).toMatchObject({ incarnation: first.incarnation, resumed: true });
  expect(told).toMatchObject({ isRestart: false });
  const lives = [1, 2, 3].map((seed) => meet(newClient(), authority({ random: seededRandom(seed) }), 1)[0].incarnation);
  expect(new Set(lives).size).toBe(3);
});
