import { recordKey, replicaId, type StateHash } from '../state/index.ts';
import { merkleAnswerSchema, merkleQuerySchema } from './merkle.ts';
import type { MessageBody } from './message.ts';

/** One frame of each message of protocol 1, as the first build wrote it. Never changed; a new version adds its own. */
export interface GoldenFrame {
  /** The sender's names when the frame was written. */
  readonly names: readonly string[];
  readonly hex: string;
  readonly body: MessageBody;
}

const root = '0123456789abcdef' as StateHash;

export const goldenFrames: readonly GoldenFrame[] = [
  {
    names: [],
    hex: '9c01a6736572766572010101a9616476656e74757265a5626f742d31a673656372657492a66d65726b6c65a66576656e747301a6636c69656e7483a776657273696f6e2aa870726f677265737339a4726f6f74b030313233343536373839616263646566',
    body: {
      type: 'HELLO',
      protocolMin: 1,
      protocolMax: 1,
      session: 'adventure',
      replica: replicaId('bot-1'),
      token: 'secret',
      features: ['merkle', 'events'],
      next: 1,
      role: 'client',
      resume: { version: 42, progress: 57, root: root },
    },
  },
  {
    names: [],
    hex: '9b02a6736572766572010191a66d65726b6c65a9616476656e74757265a5626f742d31a6736572766572a66d656d6f7279ce05f5e100c2',
    body: {
      type: 'WELCOME',
      protocol: 1,
      features: ['merkle'],
      session: 'adventure',
      replica: replicaId('bot-1'),
      authority: replicaId('server'),
      durability: 'memory',
      syncInterval: 100000000,
      resumed: false,
    },
  },
  {
    names: [],
    hex: '9603a6736572766572010101b2757067726164652074686520736572766572',
    body: { type: 'UPGRADE_REQUIRED', protocolMin: 1, protocolMax: 1, message: 'upgrade the server' },
  },
  {
    names: [],
    hex: '9504a673657276657201ae544f4b454e5f52454a4543544544bd74686520746f6b656e20646f6573206e6f74206c657420796f7520696e',
    body: { type: 'ERROR', code: 'TOKEN_REJECTED', message: 'the token does not let you in' },
  },
  { names: [], hex: '9405a673657276657201a4646f6e65', body: { type: 'BYE', reason: 'done' } },
  {
    names: [],
    hex: '9506a6736572766572010092ac706c617965722f616c696365a4726f6f6d',
    body: { type: 'NAMES', first: 0, names: ['player/alice', 'room'] },
  },
  {
    names: ['room', 'energy', 'tags', 'player/alice', 'locked', 'weight', 'door/north', 'bot-1'],
    hex: '9a07a6736572766572020709c429040301020302010007076c696272617279a00193a161c0c304020506000007c3cb3ff8000000000000c402080391930702ab646f6f725f6c6f636b6564c4080123456789abcdefc0',
    body: {
      type: 'FULL_SYNC',
      version: 7,
      progress: 9,
      records: [
        { key: recordKey('player/alice'), record: { room: 'library', energy: 80, tags: ['a', null, true] } },
        { key: recordKey('door/north'), record: { locked: true, weight: 1.5 } },
      ],
      vector: [{ replica: replicaId('bot-1'), counter: 3 }],
      rejected: [{ replica: replicaId('bot-1'), counter: 2, reason: 'door_locked' }],
      root: root,
    },
  },
  {
    names: ['owner', 'item/key', 'room', 'player/alice', 'weight', 'door/north', 'note/1', 'bot-1', 'bot-2'],
    hex: '9b08a67365727665720207020203c4170401010003c005010302050468616c6c06000105050703c402080491930801a574616b656ec4080123456789abcdef',
    body: {
      type: 'DELTA_SYNC',
      from: 7,
      to: 9,
      since: 9,
      progress: 12,
      changes: [
        { op: 'put', key: recordKey('item/key'), record: { owner: null } },
        { op: 'patch', key: recordKey('player/alice'), fields: { room: 'hall' }, removed: [] },
        { op: 'patch', key: recordKey('door/north'), fields: {}, removed: ['weight'] },
        { op: 'remove', key: recordKey('note/1') },
      ],
      vector: [{ replica: replicaId('bot-1'), counter: 4 }],
      rejected: [{ replica: replicaId('bot-2'), counter: 1, reason: 'taken' }],
      root: root,
    },
  },
  {
    names: [],
    hex: '9609a6736572766572010883a474797065ac504c415945525f4d4f564544a6706c61796572a5616c696365a664657461696ca56e6f727468ce499602d2',
    body: {
      type: 'EVENT',
      version: 8,
      event: { type: 'PLAYER_MOVED', player: 'alice', detail: 'north' },
      time: 1234567890,
    },
  },
  {
    names: [],
    hex: '970aa6736572766572010709c4080123456789abcdefa4726f6f74',
    body: { type: 'SYNC_REQUEST', version: 7, progress: 9, root: root, reason: 'root' },
  },
  {
    names: [],
    hex: '960ba673657276657201090cc4080123456789abcdef',
    body: { type: 'ACK', version: 9, progress: 12, root: root },
  },
  {
    names: [],
    hex: '960ca67365727665720105a46d6f766582a2746fa468616c6ca466617374c3',
    body: { type: 'COMMAND', counter: 5, command: 'move', args: { to: 'hall', fast: true } },
  },
  {
    names: [],
    hex: '960da67365727665720105ab646f6f725f6c6f636b656409',
    body: { type: 'REJECT', counter: 5, reason: 'door_locked', version: 9 },
  },
  {
    names: [],
    hex: '950ea67365727665720109c4080123456789abcdef',
    body: { type: 'MERKLE_OFFER', version: 9, root: root },
  },
  {
    names: [],
    hex: '940fa67365727665720192a0a23066',
    body: { type: 'MERKLE_QUERY', ...merkleQuerySchema.parse({ paths: ['', '0f'] }, '') },
  },
  {
    names: [],
    hex: '9410a6736572766572019285a46b696e64a66272616e6368a470617468a0a5736c6f747303a6686173686573c41007070707070707070707070707070707a6636f756e747392050684a46b696e64a66c6561766573a470617468a23066a6686173686573c4080101010101010101a7656e74726965739182a36b6579a86974656d2f6b6579a67265636f726481a56f776e6572a5616c696365',
    body: {
      type: 'MERKLE_ANSWER',
      ...merkleAnswerSchema.parse(
        {
          nodes: [
            { kind: 'branch', path: '', slots: 3, hashes: new Uint8Array(16).fill(7), counts: [5, 6] },
            {
              kind: 'leaves',
              path: '0f',
              hashes: new Uint8Array(8).fill(1),
              entries: [{ key: recordKey('item/key'), record: { owner: 'alice' } }],
            },
          ],
        },
        '',
      ),
    },
  },
  {
    names: [],
    hex: '9611a673657276657201090cc4080123456789abcdef',
    body: { type: 'HEARTBEAT', version: 9, progress: 12, root: root },
  },
];
