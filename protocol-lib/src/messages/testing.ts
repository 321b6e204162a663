import fc from 'fast-check';
import type { MerklePath } from '../merkle/index.ts';
import {
  type Change,
  type ReplicaId,
  recordKey,
  replicaId,
  type StateHash,
  type SyncRecord,
  type Value,
} from '../state/index.ts';
import { VOTE_ANSWERS } from './consensus.ts';
import type { MessageBody } from './message.ts';
import { REJECTION_CODES } from './offline.ts';
import { SYNC_REASONS } from './replication.ts';

/** What the tests of this folder share: any message that the protocol can carry. */

const text = fc.string({ unit: 'grapheme', maxLength: 12 }).map((one) => one.toWellFormed());
const fieldName = fc
  .oneof(fc.constantFrom('name', 'room', 'constructor', '10', '2'), text)
  .filter((name) => name !== '__proto__');
const { value } = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom<Value>(null, true, false, 0, -0, Number.NaN, 2 ** 53, -(2 ** 60)),
    fc.maxSafeInteger(),
    fc.double(),
    text,
    fc.uint8Array({ maxLength: 6 }),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fieldName, tie('value'), { maxKeys: 4 }),
  ),
}));
const record: fc.Arbitrary<SyncRecord> = fc.dictionary(fieldName, value, { maxKeys: 5 });
const key = fc.oneof(
  fc.nat(30).map((id) => recordKey(`item/${id}`)),
  fc.nat(9).map((id) => recordKey(`Tür/ö ${id}`)),
);
const replica: fc.Arbitrary<ReplicaId> = fc.constantFrom('alice', 'bob', 'server').map(replicaId);
const root = fc
  .tuple(fc.nat(0xffffffff), fc.nat(0xffffffff))
  .map((words) => words.map((word) => word.toString(16).padStart(8, '0')).join('') as StateHash);
const version = fc.maxSafeInteger().map(Math.abs);
const reason = fc.string({ maxLength: 40 }).map((one) => one.toWellFormed());

export const arbitraryChange: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ op: fc.constant('put' as const), key, record }),
  fc.record({
    op: fc.constant('patch' as const),
    key,
    fields: record,
    removed: fc.uniqueArray(fieldName, { maxLength: 3 }),
  }),
  fc.record({ op: fc.constant('remove' as const), key }),
);

const vector = fc.uniqueArray(fc.record({ replica, counter: version }), {
  maxLength: 3,
  selector: (entry) => entry.replica,
});
const rejected = fc.uniqueArray(fc.record({ replica, counter: version, reason }), {
  maxLength: 3,
  selector: (one) => `${one.replica} ${one.counter}`,
});
const features = fc.array(fc.constantFrom('merkle', 'events', 'later'), { maxLength: 3 });
const standing = fc.record({ version, progress: version, root });
const held = fc.record({ version, progress: version, root, incarnation: version });
const optionally = <T>(arbitrary: fc.Arbitrary<T>, name: string) =>
  fc.option(arbitrary, { nil: undefined }).map((one) => (one === undefined ? {} : { [name]: one }));

const touched = fc.array(fc.record({ key, record: fc.option(record) }), { maxLength: 2 });
const mutation = fc
  .record({
    writer: replica,
    counter: version,
    time: version,
    count: version,
    seen: vector,
    role: text,
    command: text,
    args: value,
  })
  .chain((one) =>
    fc
      .record({
        changes: fc.array(arbitraryChange, { maxLength: 2 }),
        before: fc.array(fc.option(record), { maxLength: 2 }),
      })
      .map((rest) => ({ ...one, ...rest })),
  );
const merklePath = fc.stringMatching(/^[0-9a-f]{0,16}$/).map((path) => path as MerklePath);
const merkleNode = fc.oneof(
  fc.record({
    kind: fc.constant('branch' as const),
    path: merklePath,
    slots: version,
    hashes: fc.uint8Array({ maxLength: 128 }),
    counts: fc.array(version, { maxLength: 16 }),
  }),
  fc.record({
    kind: fc.constant('leaves' as const),
    path: merklePath,
    hashes: fc.uint8Array({ maxLength: 64 }),
    entries: fc.array(fc.record({ key, record }), { maxLength: 4 }),
  }),
);

const entries = fc.uniqueArray(fc.record({ key, record }), { maxLength: 4, selector: (entry) => entry.key });

/** Two counters, the second no less than the first. */
const rising = fc.tuple(version, version).map(([one, other]) => [Math.min(one, other), Math.max(one, other)] as const);

function of<T extends MessageBody['type'], F>(type: T, fields: fc.Arbitrary<F>): fc.Arbitrary<{ type: T } & F> {
  return fields.map((one) => ({ type, ...one }));
}

const valued = {
  writer: replica,
  counter: version,
  command: text,
  changes: fc.array(arbitraryChange, { maxLength: 4 }),
};
const proposed = { version, base: root, ...valued };
const someArgs = optionally(
  value.filter((one) => one !== null),
  'args',
);
const withArgs = <F>(fields: fc.Arbitrary<F>) => fc.tuple(fields, someArgs).map(([one, args]) => ({ ...one, ...args }));

export const arbitraryBody = fc.oneof(
  of(
    'HELLO',
    fc
      .tuple(
        fc.record({ session: text, replica, token: text, features, next: version }),
        optionally(fc.constantFrom('client', 'peer'), 'role'),
        optionally(held, 'resume'),
      )
      .map(([fields, role, resume]) => ({ protocolMin: 1, protocolMax: 3, ...fields, ...role, ...resume })),
  ),
  of(
    'FULL_SYNC',
    fc
      .tuple(
        fc.record({
          version,
          progress: version,
          records: fc.uniqueArray(fc.record({ key, record }), { selector: (entry) => entry.key }),
          vector,
          rejected,
          root,
        }),
        optionally(fc.record({ index: version, of: version }), 'part'),
      )
      .map(([fields, part]) => ({ ...fields, ...part })),
  ),
  of(
    'DELTA_SYNC',
    fc
      .record({ versions: rising, settled: rising, changes: fc.array(arbitraryChange), vector, rejected, root })
      .map(({ versions: [from, to], settled: [since, progress], ...rest }) => ({ from, to, since, progress, ...rest })),
  ),
  of('EVENT', fc.record({ version, event: fc.record({ type: text, player: text, detail: reason }), time: version })),
  of('SYNC_REQUEST', fc.record({ version, progress: version, root, reason: fc.constantFrom(...SYNC_REASONS) })),
  of('ACK', standing),
  of('HEARTBEAT', standing),
  of('COMMAND', fc.record({ counter: version, command: text, args: value })),
  of('REJECT', fc.record({ counter: version, reason, version })),
  of('ERROR', fc.record({ code: text, message: reason })),
  of('BYE', fc.record({ reason, reconnect: version }, { requiredKeys: ['reason'] })),
  of(
    'WELCOME',
    fc
      .record({
        protocol: version,
        features,
        session: text,
        replica,
        authority: replica,
        durability: fc.constantFrom('memory', 'broker', 'process', 'log'),
        syncInterval: version,
        resumed: fc.boolean(),
        incarnation: version,
      })
      .chain((body) => fc.constantFrom(body, { ...body, acknowledge: { every: 5, within: body.syncInterval } })),
  ),
  of('UPGRADE_REQUIRED', fc.record({ protocolMin: version, protocolMax: version, message: reason })),
  of('MERKLE_OFFER', fc.record({ version, root })),
  of('MERKLE_QUERY', fc.record({ paths: fc.array(merklePath, { maxLength: 5 }) })),
  of('MERKLE_ANSWER', fc.record({ nodes: fc.array(merkleNode, { maxLength: 4 }) })),
  of(
    'PRESENCE',
    fc.record({
      incarnation: version,
      user: text,
      device: text,
      activity: fc.constantFrom('active', 'idle', 'left'),
      hasMedia: fc.boolean(),
      metadata: record,
      version,
      vector,
      root,
    }),
  ),
  of(
    'RECONCILE',
    fc.record({
      exchange: version,
      step: fc.constantFrom('claim', 'counter', 'difference', 'agreed'),
      version,
      vector,
      root,
      entries,
      learned: fc.array(key, { maxLength: 3 }),
    }),
  ),
  of('MODEL_PUSH', fc.record({ base: root, from: root, root, changes: fc.array(arbitraryChange, { maxLength: 4 }) })),
  of(
    'MODEL_RESULT',
    fc.record({
      pushed: root,
      root,
      changes: fc.array(arbitraryChange, { maxLength: 4 }),
      common: fc.array(arbitraryChange, { maxLength: 4 }),
      open: fc.array(fc.record({ key, fields: fc.array(text, { maxLength: 3 }) }), { maxLength: 3 }),
    }),
  ),
  of('MODEL_UNKNOWN', fc.record({ root })),
  of('OPERATION', fc.record({ crdt: text, writer: replica, counter: version, detail: text, entries })),
  of(
    'OFFLINE_SYNC',
    fc.record({
      session: text,
      device: replica,
      settled: version,
      acknowledged: fc.record({ version, progress: version, root }),
      mutations: fc.array(
        fc.record({
          counter: version,
          command: text,
          args: record,
          creates: fc.array(key, { maxLength: 2 }),
          madeAt: version,
          madeOn: version,
          base: touched,
          mine: touched,
        }),
        { maxLength: 2 },
      ),
    }),
  ),
  of(
    'OFFLINE_SYNCED',
    fc.record({
      device: replica,
      settled: version,
      applied: fc.array(
        fc.record({
          counter: version,
          version,
          ids: fc.array(fc.record({ temporary: key, key }), { maxLength: 2 }),
          isRepeated: fc.boolean(),
        }),
        { maxLength: 2 },
      ),
      rejected: fc.array(fc.record({ counter: version, version, code: fc.constantFrom(...REJECTION_CODES), reason }), {
        maxLength: 2,
      }),
      conflicts: fc.array(
        fc.record({
          counter: version,
          key,
          policy: text,
          state: fc.constantFrom('resolved', 'waiting'),
          winner: fc.constantFrom('mine', 'theirs', 'merged', 'nobody'),
          base: fc.option(record),
          mine: fc.option(record),
          theirs: fc.option(record),
          result: fc.option(record),
          reason,
        }),
        { maxLength: 2 },
      ),
      checkpoint: fc.record({ version, progress: version, root }),
    }),
  ),
  of('PEER_STATUS', fc.record({ session: text, vector, root, base: vector, baseRoot: root })),
  of('PEER_REQUEST', fc.record({ vector })),
  of('PEER_CHANGES', fc.record({ from: vector, to: vector, root, mutations: fc.array(mutation, { maxLength: 2 }) })),
  of('PEER_BASE', fc.record({ vector, root })),
  of('PREPARE', withArgs(fc.record({ round: version, ...proposed }))),
  of('ACCEPT', withArgs(fc.record({ round: version, ...proposed, root }))),
  of('DECIDED', withArgs(fc.record({ ...proposed, root }))),
  of(
    'VOTE',
    fc
      .tuple(
        fc.record({ version, round: version, proposer: replica, at: version, own: root, promised: version, reason }),
        fc.constantFrom('prepare', 'accept'),
        fc.constantFrom(...VOTE_ANSWERS),
        optionally(withArgs(fc.record({ round: version, proposer: replica, ...valued, root })), 'accepted'),
      )
      .map(([fields, phase, answer, accepted]) => ({ ...fields, phase, answer, ...accepted })),
  ),
) as fc.Arbitrary<MessageBody>;
