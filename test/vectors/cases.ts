import type { Message, MessageBody, MessageOf } from '@syncscope/protocol/messages';
import { type Change, recordKey, replicaId, type SyncRecord, stateHash } from '@syncscope/protocol/state';

/** The messages whose bytes are kept for ever. A new version adds cases; none is ever changed or taken away. */
export interface VectorCase {
  /** Unique, and part of the file's name. */
  readonly name: string;
  readonly body: MessageBody;
}

const root = stateHash('0123456789abcdef');
const [server, alice, bob] = [replicaId('server'), replicaId('alice'), replicaId('bob')];
const standing = { version: 9, progress: 12, root };
const nothingSettled = { vector: [], rejected: [] };

const put = (key: string, record: SyncRecord): Change => ({ op: 'put', key: recordKey(key), record });
const patch = (key: string, fields: SyncRecord, removed: readonly string[] = []): Change => {
  return { op: 'patch', key: recordKey(key), fields, removed };
};
const remove = (key: string): Change => ({ op: 'remove', key: recordKey(key) });
const entry = (key: string, record: SyncRecord) => ({ key: recordKey(key), record });

/** Every kind of value, and the numbers that codecs get wrong. */
const values: SyncRecord = {
  nothing: null,
  yes: true,
  no: false,
  zero: 0,
  minusZero: -0,
  small: -33,
  word: 65_536,
  largest: Number.MAX_SAFE_INTEGER,
  least: Number.MIN_SAFE_INTEGER,
  half: 0.5,
  tiny: 5e-324,
  huge: 1e300,
  notANumber: Number.NaN,
  infinite: Number.NEGATIVE_INFINITY,
  text: 'Tür: "x"\\\n\u202e😀',
  empty: '',
  bytes: new Uint8Array([0, 127, 128, 255]),
  list: [1, [], [null, 'x']],
  map: { constructor: 1, $bytes: 'not bytes', $$: 2, '': 3 },
};

/** Paths come from the schema that alone may make them. */
const paths = (...all: readonly string[]) => all as unknown as MessageOf<'MERKLE_QUERY'>['paths'];

export const cases: readonly VectorCase[] = [
  {
    name: 'hello',
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
      resume: { version: 42, progress: 57, root },
    },
  },
  {
    name: 'hello-least',
    body: {
      type: 'HELLO',
      protocolMin: 1,
      protocolMax: 9,
      session: '',
      replica: alice,
      token: '',
      features: [],
      next: 0,
    },
  },
  {
    name: 'welcome',
    body: {
      type: 'WELCOME',
      protocol: 1,
      features: ['merkle'],
      session: 'adventure',
      replica: alice,
      authority: server,
      durability: 'memory',
      syncInterval: 100_000_000,
      resumed: false,
    },
  },
  {
    name: 'upgrade-required',
    body: { type: 'UPGRADE_REQUIRED', protocolMin: 1, protocolMax: 1, message: 'upgrade the client' },
  },
  { name: 'error', body: { type: 'ERROR', code: 'TOKEN_REJECTED', message: 'the token does not let you in' } },
  { name: 'error-document', body: { type: 'ERROR', code: 'door_locked', message: '' } },
  { name: 'bye', body: { type: 'BYE', reason: 'done' } },
  { name: 'names', body: { type: 'NAMES', first: 0, names: ['player/alice', 'room', 'Tür/ö', ''] } },
  {
    name: 'full-sync',
    body: {
      type: 'FULL_SYNC',
      version: 101,
      progress: 130,
      records: [
        entry('item/key', { owner: 'alice', room: null, name: 'a golden key' }),
        entry('item/lamp', { owner: null, room: 'kitchen' }),
        entry('player/alice', { room: 'hall', health: 100, energy: 80, carrying: 1 }),
        entry('player/bob', { room: 'attic', health: 99.5, energy: -1 }),
        entry('room/attic', { name: 'the attic', visited: false }),
        entry('room/hall', { visited: true }),
        entry('thing/values', values),
      ],
      vector: [
        { replica: alice, counter: 7 },
        { replica: bob, counter: 1 },
      ],
      rejected: [{ replica: bob, counter: 1, reason: 'door: locked' }],
      root,
    },
  },
  {
    name: 'full-sync-empty',
    body: { type: 'FULL_SYNC', version: 0, progress: 0, records: [], ...nothingSettled, root },
  },
  {
    name: 'delta-sync',
    body: {
      type: 'DELTA_SYNC',
      from: 100,
      to: 101,
      since: 129,
      progress: 130,
      changes: [
        patch('player/alice', { room: 'library' }),
        patch('player/bob', { room: 'hall, left' }),
        patch('player/carol', { room: 'hall', energy: 76 }),
        patch('item/key', { owner: 'bob' }),
        patch('item/lamp', { owner: null, room: 'hall' }),
        patch('room/library', { visited: true, visits: 3 }),
        put('player/dave', { room: 'hall', health: 100, energy: 100 }),
        put('door/north', { locked: true }),
        patch('door/north', { locked: false }, ['weight', 'key']),
        patch('thing/values', values),
        remove('note/1'),
        remove('player/bob'),
      ],
      vector: [{ replica: alice, counter: 8 }],
      rejected: [{ replica: bob, counter: 2, reason: 'taken' }],
      root,
    },
  },
  {
    name: 'delta-sync-empty',
    body: { type: 'DELTA_SYNC', from: 7, to: 7, since: 7, progress: 7, changes: [], ...nothingSettled, root },
  },
  {
    name: 'event',
    body: {
      type: 'EVENT',
      version: 8,
      event: { type: 'PLAYER_MOVED', player: 'alice', detail: 'north' },
      time: 1_234_567_890,
    },
  },
  {
    name: 'event-document',
    body: {
      type: 'EVENT',
      version: 0,
      event: { type: 'ITEM_TAKEN', player: 'bob', detail: 'golden_key' },
      time: 1_234_567_891,
    },
  },
  { name: 'sync-request', body: { type: 'SYNC_REQUEST', ...standing, reason: 'heartbeat' } },
  { name: 'sync-request-document', body: { type: 'SYNC_REQUEST', ...standing, progress: 9, reason: 'root' } },
  { name: 'ack', body: { type: 'ACK', ...standing } },
  { name: 'ack-document', body: { type: 'ACK', ...standing, progress: 9 } },
  { name: 'command', body: { type: 'COMMAND', counter: 5, command: 'move', args: { to: 'hall', fast: true } } },
  { name: 'command-values', body: { type: 'COMMAND', counter: 6, command: 'go: far', args: [values, null] } },
  { name: 'reject', body: { type: 'REJECT', counter: 5, reason: 'door_locked', version: 9 } },
  { name: 'merkle-offer', body: { type: 'MERKLE_OFFER', version: 9, root } },
  { name: 'merkle-query', body: { type: 'MERKLE_QUERY', paths: paths('', '0f') } },
  {
    name: 'merkle-answer',
    body: {
      type: 'MERKLE_ANSWER',
      nodes: [
        { kind: 'branch', path: paths('')[0]!, slots: 3, hashes: new Uint8Array(16).fill(7), counts: [5, 6] },
        {
          kind: 'leaves',
          path: paths('0f')[0]!,
          hashes: new Uint8Array(8).fill(1),
          entries: [entry('item/key', { owner: 'alice' })],
        },
      ],
    },
  },
  { name: 'heartbeat', body: { type: 'HEARTBEAT', ...standing } },
  {
    name: 'presence',
    body: {
      type: 'PRESENCE',
      incarnation: 2,
      user: 'Alice',
      device: 'phone',
      activity: 'active',
      hasMedia: true,
      metadata: { version: '1.2' },
      version: 9,
      vector: [{ replica: alice, counter: 8 }],
      root,
    },
  },
  {
    name: 'reconcile',
    body: {
      type: 'RECONCILE',
      exchange: 1,
      step: 'difference',
      version: 9,
      vector: [{ replica: alice, counter: 8 }],
      root,
      entries: [{ key: recordKey('call/alice'), record: { joined: 1 } }],
      learned: [recordKey('call/bob')],
    },
  },
  {
    name: 'operation',
    body: {
      type: 'OPERATION',
      crdt: 'call',
      writer: alice,
      counter: 3,
      detail: 'mute',
      entries: [{ key: recordKey('call/alice'), record: { joined: 1 } }],
    },
  },
];

export const SENDER: Message['sender'] = server;
