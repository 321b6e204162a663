import {
  type BodyOf,
  decodeText,
  documentHash,
  FrameDecoder,
  formatBody,
  formatMessage,
  type Message,
  type MessageBody,
  parseBody,
} from '@syncscope/protocol/messages';
import { seededRandom } from '@syncscope/protocol/ports';
import { replicaId } from '@syncscope/protocol/state';
import { ClientState, perLink, SyncManager } from '@syncscope/protocol/sync';
import { SCENARIOS } from '@syncscope/sample-server';
import { expect, test } from 'vitest';

/** The document's own game in the document's own protocol: what its server says to three players, as lines. */

const TICK = 100_000_000;
const MOVES: readonly (readonly [name: string, command: string, args: Readonly<Record<string, string>>])[] = [
  ['alice', 'move', { to: 'ancient_library' }],
  ['bob', 'move', { to: 'ancient_library' }],
  ['carol', 'rest', {}],
  ['alice', 'move', { to: 'great_hall' }],
];

function play(): { said: Message[]; snapshot: BodyOf<'FULL_SYNC'> } {
  const { adventure } = SCENARIOS;
  if (!adventure) throw new Error('there is no adventure');
  const random = seededRandom(1);
  const session = 'adventure';
  const manager = new SyncManager({
    definition: adventure.definition,
    replica: replicaId('server'),
    session,
    random,
    now: 0,
  });
  const clients = ['alice', 'bob', 'carol'].map((name, link) => {
    const replica = replicaId(name);
    return { link, name, client: new ClientState({ definition: adventure.definition, replica, session, token: '' }) };
  });
  const said: Message[] = [];
  // Of one player's link: the others are told the same.
  const decoder = new FrameDecoder();
  const deliver = (link: number, frames: readonly Uint8Array[], now: number): void => {
    for (const frame of frames) {
      for (const out of perLink(manager.receive(link, frame, now)))
        if ('frame' in out) toClient(out.link, out.frame, now);
    }
  };
  const toClient = (link: number, frame: Uint8Array, now: number): void => {
    if (link === 0) said.push(decoder.decode(frame));
    deliver(link, clients[link]!.client.receive(frame, now), now);
  };
  for (const { link, client } of clients) {
    manager.connect(link, 0);
    deliver(link, client.open(0), 0);
  }
  const all = [...clients.map(({ name }) => [name, 'join', {}] as const), ...MOVES];
  for (const [index, [name, command, args]] of all.entries()) {
    const now = (index + 1) * TICK;
    const { link, client } = clients.find((one) => one.name === name)!;
    const result = client.predict(command, args, now, { unchecked: true });
    if ('frames' in result) deliver(link, result.frames, now);
    for (const out of perLink(manager.tick(now))) if ('frame' in out) toClient(out.link, out.frame, now);
  }
  for (const { client } of clients) expect(client.committed.hash).toBe(manager.root.hash);
  const records = Array.from(manager.root.entries(), ([key, record]) => ({ key, record }));
  const { version, vector, root } = manager;
  const snapshot: BodyOf<'FULL_SYNC'> = {
    type: 'FULL_SYNC',
    version,
    progress: version,
    records,
    vector,
    rejected: [],
    root: root.hash,
  };
  return { said, snapshot };
}

const utf8Length = (text: string) => new TextEncoder().encode(text).length;

test('the state of the game is a snapshot of the size that the document expects', () => {
  const { snapshot } = play();
  const text = formatBody(snapshot, { documentHash: true });
  expect(text).toContain(`HASH31:${documentHash(snapshot.records, snapshot.version)}\n`);
  expect(text).toMatch(/^PLAYER:alice:great_hall:100:92:\{"carrying":0,"score":0\}$/m);
  expect(text).toMatch(/^PLAYER:bob:ancient_library:100:96:/m);
  expect(text).toMatch(/^ITEM:[a-z_]+::[a-z_]+:\{"name":/m);
  expect(text).toMatch(/^VISITED:ancient_library:\{"name":"Ancient Library","visits":2\}$/m);
  expect(text).toMatch(/^RECORD:room\/cellar:/m);
  expect(utf8Length(text)).toBeLessThan(5 * 1024);
  const read = parseBody(text) as BodyOf<'FULL_SYNC'>;
  const sorted = (body: BodyOf<'FULL_SYNC'>) =>
    Object.fromEntries(body.records.map(({ key, record }) => [key, record]));
  expect(sorted(read)).toEqual(sorted(snapshot));
});

test('moves are deltas of the size that the document expects, with the new room on the line', () => {
  const { said } = play();
  const deltas = said.filter((message) => message.type === 'DELTA_SYNC').map((delta) => formatMessage(delta));
  const move = deltas.find((text) => text.includes('PLAYER_ROOM:alice:ancient_library:'));
  expect(move).toMatch(/^PLAYER_ROOM:alice:ancient_library:\{"energy":96\}$/m);
  expect(move).toMatch(/^ROOM_VISITED:ancient_library:\{"visits":1\}$/m);
  for (const text of deltas) expect(utf8Length(text)).toBeLessThan(500);
  const events = said.filter((message) => message.type === 'EVENT').map((event) => formatBody(event));
  expect(events).toContainEqual(expect.stringMatching(/^EVENT:PLAYER_MOVED:alice:ancient_library:\d+:\d+\n$/));
});

test('everything that is said comes out of its lines as it went in', () => {
  const { said } = play();
  expect(said.length).toBeGreaterThan(15);
  for (const message of said)
    expect(decodeText(new TextEncoder().encode(formatMessage(message)))).toEqual(sortedRecords(message));
});

/** Snapshots are written in the order of their keys. */
function sortedRecords(message: Message): MessageBody {
  if (message.type !== 'FULL_SYNC') return message;
  return { ...message, records: [...message.records].sort((left, right) => (left.key < right.key ? -1 : 1)) };
}
