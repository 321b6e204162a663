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

const proposed = {
  version: 7,
  base: root,
  writer: alice,
  counter: 3,
  command: 'increment',
  changes: [put('counter/clicks', { value: 3 })],
};

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
      resume: { version: 42, progress: 57, root, incarnation: 3 },
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
      incarnation: 3,
      acknowledge: { every: 5, within: 500_000_000 },
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
    name: 'full-sync-part',
    body: {
      type: 'FULL_SYNC',
      version: 7,
      progress: 9,
      // Texts that come again are told once.
      records: Array.from({ length: 20 }, (_, index) =>
        entry(`thing/${index + 10}`, { room: index % 2 ? 'hall' : 'attic' }),
      ),
      ...nothingSettled,
      root,
      part: { index: 1, of: 3 },
    },
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
    name: 'model-push',
    body: {
      type: 'MODEL_PUSH',
      base: root,
      from: root,
      root,
      changes: [patch('device/s1', { vlan: 20 }, ['note']), remove('device/s2')],
    },
  },
  {
    name: 'model-result',
    body: {
      type: 'MODEL_RESULT',
      pushed: root,
      root,
      changes: [put('device/s3', { serial: 's3', vlan: 1 })],
      common: [patch('device/s1', { vlan: 10 })],
      open: [{ key: recordKey('device/s1'), fields: ['vlan'] }],
    },
  },
  { name: 'model-unknown', body: { type: 'MODEL_UNKNOWN', root } },
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
  {
    name: 'offline-sync',
    body: {
      type: 'OFFLINE_SYNC',
      session: 'notes',
      device: alice,
      settled: 4,
      acknowledged: standing,
      mutations: [
        {
          counter: 5,
          command: 'create',
          args: { key: 'note/~alice-1', text: 'Tür' },
          creates: [recordKey('note/~alice-1')],
          madeAt: 1_700_000_000_000,
          madeOn: 9,
          base: [{ key: recordKey('note/~alice-1'), record: null }],
          mine: [{ key: recordKey('note/~alice-1'), record: { text: 'Tür' } }],
        },
        {
          counter: 6,
          command: 'edit',
          args: { key: 'note/7', text: 'mine' },
          creates: [],
          madeAt: 1_700_000_000_001,
          madeOn: 9,
          base: [{ key: recordKey('note/7'), record: { text: 'old' } }],
          mine: [{ key: recordKey('note/7'), record: { text: 'mine' } }],
        },
      ],
    },
  },
  {
    name: 'offline-synced',
    body: {
      type: 'OFFLINE_SYNCED',
      device: alice,
      settled: 6,
      applied: [
        {
          counter: 5,
          version: 10,
          ids: [{ temporary: recordKey('note/~alice-1'), key: recordKey('note/alice-1') }],
          isRepeated: false,
        },
      ],
      rejected: [{ counter: 6, version: 10, code: 'waiting', reason: 'somebody must decide' }],
      conflicts: [
        {
          counter: 6,
          key: recordKey('note/7'),
          policy: 'human',
          state: 'waiting',
          winner: 'nobody',
          base: { text: 'old' },
          mine: { text: 'mine' },
          theirs: { text: 'theirs' },
          result: { text: 'theirs' },
          reason: 'somebody must decide',
        },
      ],
      checkpoint: { version: 10, progress: 14, root },
      delta: {
        from: 9,
        to: 10,
        since: 12,
        progress: 14,
        changes: [put('note/alice-1', { text: 'Tür' })],
        vector: [{ replica: alice, counter: 6 }],
        rejected: [{ replica: alice, counter: 6, reason: 'somebody must decide' }],
        root,
      },
    },
  },
  {
    name: 'peer-status',
    body: {
      type: 'PEER_STATUS',
      session: 'table',
      vector: [{ replica: alice, counter: 8 }],
      root,
      base: [{ replica: alice, counter: 4 }],
      baseRoot: root,
    },
  },
  { name: 'peer-request', body: { type: 'PEER_REQUEST', vector: [{ replica: alice, counter: 7 }] } },
  {
    name: 'peer-changes',
    body: {
      type: 'PEER_CHANGES',
      from: [{ replica: alice, counter: 7 }],
      to: [{ replica: alice, counter: 9 }],
      root,
      mutations: [
        {
          writer: alice,
          counter: 8,
          time: 1_700_000_000_000,
          count: 0,
          seen: [{ replica: server, counter: 3 }],
          role: 'owner',
          command: 'write',
          args: null,
          changes: [{ op: 'patch', key: recordKey('note/7'), fields: { text: 'Tür' }, removed: ['color'] }],
          before: [{ text: 'old', color: 'red' }],
        },
        {
          writer: alice,
          counter: 9,
          time: 1_700_000_000_000,
          count: 1,
          seen: [],
          role: '',
          command: 'transfer',
          args: { from: 'alice', to: 'bob', amount: 5 },
          changes: [],
          before: [],
        },
      ],
    },
  },
  { name: 'peer-base', body: { type: 'PEER_BASE', vector: [{ replica: alice, counter: 4 }], root } },
  { name: 'prepare', body: { type: 'PREPARE', round: 4, ...proposed } },
  { name: 'accept', body: { type: 'ACCEPT', round: 4, ...proposed, root } },
  {
    name: 'accept-arguments',
    body: { type: 'ACCEPT', round: 4, ...proposed, command: 'take', root, args: { coin: '1', count: [2, null] } },
  },
  {
    name: 'vote',
    body: {
      type: 'VOTE',
      version: 7,
      round: 4,
      proposer: alice,
      phase: 'prepare',
      answer: 'accept',
      at: 6,
      own: root,
      promised: 4,
      reason: '',
      accepted: {
        round: 3,
        proposer: bob,
        writer: bob,
        counter: 2,
        command: 'increment',
        changes: [...proposed.changes, patch('player/bob', values, ['gone']), remove('note/1')],
        root,
        args: { by: 2 },
      },
    },
  },
  {
    name: 'vote-stale',
    body: {
      type: 'VOTE',
      version: 7,
      round: 4,
      proposer: alice,
      phase: 'accept',
      answer: 'stale-ballot',
      at: 6,
      own: root,
      promised: 9,
      reason: 'promised to 9/bob',
    },
  },
  { name: 'decided', body: { type: 'DECIDED', ...proposed, root } },
];

export const SENDER: Message['sender'] = server;
