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
    hex: '9c01a6736572766572010101a9616476656e74757265a5626f742d31a673656372657492a66d65726b6c65a66576656e747301a6636c69656e7484a776657273696f6e2aa870726f677265737339a4726f6f74b030313233343536373839616263646566ab696e6361726e6174696f6e03',
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
      resume: { version: 42, progress: 57, root: root, incarnation: 3 },
    },
  },
  {
    names: [],
    hex: '9d02a6736572766572010191a66d65726b6c65a9616476656e74757265a5626f742d31a6736572766572a66d656d6f7279ce05f5e100c20382a5657665727905a677697468696ece1dcd6500',
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
      incarnation: 3,
      acknowledge: { every: 5, within: 500000000 },
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
  { names: [], hex: '9505a673657276657201a4646f6e65c0', body: { type: 'BYE', reason: 'done' } },
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
    names: ['PLAYER_MOVED', 'alice'],
    hex: '9609a67365727665720208930001a56e6f727468ce499602d2',
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
  {
    names: ['alice'],
    hex: '9c24a67365727665720202a5416c696365a570686f6e65a6616374697665c381a776657273696f6ea3312e3209c4020108c4080123456789abcdef',
    body: {
      type: 'PRESENCE',
      incarnation: 2,
      user: 'Alice',
      device: 'phone',
      activity: 'active',
      hasMedia: true,
      metadata: { version: '1.2' },
      version: 9,
      vector: [{ replica: replicaId('alice'), counter: 8 }],
      root: root,
    },
  },
  {
    names: ['alice', 'joined', 'call/alice'],
    hex: '9a25a67365727665720201aa646966666572656e636509c4020108c4080123456789abcdefc40604010201050291a863616c6c2f626f62',
    body: {
      type: 'RECONCILE',
      exchange: 1,
      step: 'difference',
      version: 9,
      vector: [{ replica: replicaId('alice'), counter: 8 }],
      root: root,
      entries: [{ key: recordKey('call/alice'), record: { joined: 1 } }],
      learned: [recordKey('call/bob')],
    },
  },
  {
    names: ['joined', 'call/alice'],
    hex: '982da673657276657202a463616c6ca5616c69636503a46d757465c406040101010302',
    body: {
      type: 'OPERATION',
      crdt: 'call',
      writer: replicaId('alice'),
      counter: 3,
      detail: 'mute',
      entries: [{ key: recordKey('call/alice'), record: { joined: 1 } }],
    },
  },
  {
    names: [],
    hex: '9826a673657276657201a56e6f746573a5616c6963650483a776657273696f6e09a870726f67726573730ca4726f6f74b0303132333435363738396162636465669188a7636f756e74657205a7636f6d6d616e64a6637265617465a46172677381a36b6579ad6e6f74652f7e616c6963652d31a76372656174657391ad6e6f74652f7e616c6963652d31a66d6164654174cf0000018bcfe56800a66d6164654f6e09a4626173659182a36b6579ad6e6f74652f7e616c6963652d31a67265636f7264c0a46d696e659182a36b6579ad6e6f74652f7e616c6963652d31a67265636f726481a474657874a0',
    body: {
      type: 'OFFLINE_SYNC',
      session: 'notes',
      device: replicaId('alice'),
      settled: 4,
      acknowledged: { version: 9, progress: 12, root: root },
      mutations: [
        {
          counter: 5,
          command: 'create',
          args: { key: 'note/~alice-1' },
          creates: [recordKey('note/~alice-1')],
          madeAt: 1_700_000_000_000,
          madeOn: 9,
          base: [{ key: recordKey('note/~alice-1'), record: null }],
          mine: [{ key: recordKey('note/~alice-1'), record: { text: '' } }],
        },
      ],
    },
  },
  {
    names: [],
    hex: '9b27a673657276657201a5616c696365069184a7636f756e74657205a776657273696f6e0aa36964739182a974656d706f72617279ad6e6f74652f7e616c6963652d31a36b6579ac6e6f74652f616c6963652d31aa69735265706561746564c29184a7636f756e74657206a776657273696f6e0aa4636f6465a772656675736564a6726561736f6ea26e6f9083a776657273696f6e0aa870726f67726573730ea4726f6f74b03031323334353637383961626364656688a466726f6d09a2746f0aa573696e63650ca870726f67726573730ea76368616e6765739183a26f70a3707574a36b6579ac6e6f74652f616c6963652d31a67265636f726481a474657874a0a6766563746f729182a77265706c696361a5616c696365a7636f756e74657206a872656a65637465649183a77265706c696361a5616c696365a7636f756e74657206a6726561736f6ea26e6fa4726f6f74b030313233343536373839616263646566c0',
    body: {
      type: 'OFFLINE_SYNCED',
      device: replicaId('alice'),
      settled: 6,
      applied: [
        {
          counter: 5,
          version: 10,
          ids: [{ temporary: recordKey('note/~alice-1'), key: recordKey('note/alice-1') }],
          isRepeated: false,
        },
      ],
      rejected: [{ counter: 6, version: 10, code: 'refused', reason: 'no' }],
      conflicts: [],
      checkpoint: { version: 10, progress: 14, root: root },
      delta: {
        from: 9,
        to: 10,
        since: 12,
        progress: 14,
        changes: [{ op: 'put', key: recordKey('note/alice-1'), record: { text: '' } }],
        vector: [{ replica: replicaId('alice'), counter: 6 }],
        rejected: [{ replica: replicaId('alice'), counter: 6, reason: 'no' }],
        root: root,
      },
    },
  },
  {
    names: ['alice'],
    hex: '981ea673657276657202a57461626c65c4020108c4080123456789abcdefc4020104c4080123456789abcdef',
    body: {
      type: 'PEER_STATUS',
      session: 'table',
      vector: [{ replica: replicaId('alice'), counter: 8 }],
      root: root,
      base: [{ replica: replicaId('alice'), counter: 4 }],
      baseRoot: root,
    },
  },
  {
    names: ['alice'],
    hex: '941fa673657276657202c4020107',
    body: { type: 'PEER_REQUEST', vector: [{ replica: replicaId('alice'), counter: 7 }] },
  },
  {
    names: ['alice'],
    hex: '9720a673657276657202c4020107c4020108c4080123456789abcdef918aa6777269746572a5616c696365a7636f756e74657208a474696d65cf0000018bcfe56800a5636f756e7401a47365656e9182a77265706c696361a6736572766572a7636f756e74657203a4726f6c65a56f776e6572a7636f6d6d616e64a57772697465a461726773c0a76368616e6765739184a26f70a57061746368a36b6579a66e6f74652f37a66669656c647381a474657874a36e6577a772656d6f76656491a5636f6c6f72a66265666f72659182a474657874a36f6c64a5636f6c6f72a3726564',
    body: {
      type: 'PEER_CHANGES',
      from: [{ replica: replicaId('alice'), counter: 7 }],
      to: [{ replica: replicaId('alice'), counter: 8 }],
      root: root,
      mutations: [
        {
          writer: replicaId('alice'),
          counter: 8,
          time: 1700000000000,
          count: 1,
          seen: [{ replica: replicaId('server'), counter: 3 }],
          role: 'owner',
          command: 'write',
          args: null,
          changes: [{ op: 'patch', key: recordKey('note/7'), fields: { text: 'new' }, removed: ['color'] }],
          before: [{ text: 'old', color: 'red' }],
        },
      ],
    },
  },
  {
    names: ['alice'],
    hex: '9521a673657276657202c4020104c4080123456789abcdef',
    body: { type: 'PEER_BASE', vector: [{ replica: replicaId('alice'), counter: 4 }], root: root },
  },
  {
    names: ['vlan', 'note', 'device/s1'],
    hex: '9728a673657276657202c4080123456789abcdefc4080123456789abcdefc4080123456789abcdefc4080601010101020528',
    body: {
      type: 'MODEL_PUSH',
      base: root,
      from: root,
      root: root,
      changes: [{ op: 'patch', key: recordKey('device/s1'), fields: { vlan: 20 }, removed: ['note'] }],
    },
  },
  {
    names: ['device/s2'],
    hex: '9829a673657276657202c4080123456789abcdefc4080123456789abcdefc4020701c4009182a36b6579a96465766963652f7331a66669656c647391a4766c616e',
    body: {
      type: 'MODEL_RESULT',
      pushed: root,
      root: root,
      changes: [{ op: 'remove', key: recordKey('device/s2') }],
      common: [],
      open: [{ key: recordKey('device/s1'), fields: ['vlan'] }],
    },
  },
  {
    names: [],
    hex: '942aa673657276657201c4080123456789abcdef',
    body: { type: 'MODEL_UNKNOWN', root: root },
  },
  {
    names: ['value', 'counter/clicks'],
    hex: '9b14a6736572766572020407c4080123456789abcdefa5616c69636503a9696e6372656d656e74c406040101010306c0',
    body: {
      type: 'PREPARE',
      round: 4,
      version: 7,
      base: root,
      writer: replicaId('alice'),
      counter: 3,
      command: 'increment',
      changes: [{ op: 'put', key: recordKey('counter/clicks'), record: { value: 3 } }],
    },
  },
  {
    names: ['value', 'counter/clicks'],
    hex: '9c15a6736572766572020407c4080123456789abcdefa5616c69636503a9696e6372656d656e74c406040101010306c4080123456789abcdef9101',
    body: {
      type: 'ACCEPT',
      round: 4,
      version: 7,
      base: root,
      writer: replicaId('alice'),
      counter: 3,
      command: 'increment',
      changes: [{ op: 'put', key: recordKey('counter/clicks'), record: { value: 3 } }],
      root,
      args: [1],
    },
  },
  {
    names: [],
    hex: '9d16a6736572766572010704a5616c696365a770726570617265a661636365707406c4080123456789abcdef04a087a5726f756e6403a870726f706f736572a3626f62a6777269746572a3626f62a7636f756e74657202a7636f6d6d616e64a9696e6372656d656e74a76368616e6765739183a26f70a3707574a36b6579ae636f756e7465722f636c69636b73a67265636f726481a576616c756503a4726f6f74b030313233343536373839616263646566',
    body: {
      type: 'VOTE',
      version: 7,
      round: 4,
      proposer: replicaId('alice'),
      phase: 'prepare',
      answer: 'accept',
      at: 6,
      own: root,
      promised: 4,
      reason: '',
      accepted: {
        round: 3,
        proposer: replicaId('bob'),
        writer: replicaId('bob'),
        counter: 2,
        command: 'increment',
        changes: [{ op: 'put', key: recordKey('counter/clicks'), record: { value: 3 } }],
        root,
      },
    },
  },
  {
    names: ['value', 'counter/clicks'],
    hex: '9b17a67365727665720207c4080123456789abcdefa5616c69636503a9696e6372656d656e74c406040101010306c4080123456789abcdefc0',
    body: {
      type: 'DECIDED',
      version: 7,
      base: root,
      writer: replicaId('alice'),
      counter: 3,
      command: 'increment',
      changes: [{ op: 'put', key: recordKey('counter/clicks'), record: { value: 3 } }],
      root,
    },
  },
];
