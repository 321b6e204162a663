import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromHex, packMsgpack, toHex, unpackMsgpack } from '../bytes/index.ts';
import { isSyncError } from '../errors/index.ts';
import { recordKey, replicaId, type StateHash } from '../state/index.ts';
import { BinaryCodec, decodeMessage, FrameDecoder, FrameEncoder } from './codec.ts';
import { compact, head } from './compact.test-helper.ts';
import { COLUMN, WIRE_OP } from './compact.ts';
import { goldenFrames } from './golden.test-helper.ts';
import { MESSAGES, type MessageBody } from './message.ts';
import { noNames } from './names.ts';
import { PROTOCOL_VERSION } from './protocol.ts';
import { arbitraryBody } from './testing.ts';

const server = replicaId('server');
const root = '00000000ffffffff' as StateHash;
const delta: MessageBody = {
  type: 'DELTA_SYNC',
  from: 117,
  to: 118,
  since: 40,
  progress: 41,
  changes: [{ op: 'patch', key: recordKey('player/alice'), fields: { room: 'library', energy: -0 }, removed: [] }],
  vector: [{ replica: replicaId('alice'), counter: 9 }],
  rejected: [],
  root,
};

/** Records under keys have no order, in whichever message; all else has. */
function ordered(body: object): object {
  return Object.fromEntries(
    Object.entries(body).map(([name, value]) => [
      name,
      (name === 'records' || name === 'entries') && Array.isArray(value) ? byShape(value) : value,
    ]),
  );
}

function byShape(entries: readonly { readonly record: object }[]): object[] {
  const shape = (one: { readonly record: object }) => JSON.stringify(Object.keys(one.record));
  const shapes = [...new Set(entries.map(shape))];
  return shapes.flatMap((known) => entries.filter((one) => shape(one) === known));
}

/** The code of the error that `act` throws. */
function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (isSyncError(error)) return error.code;
    throw error;
  }
  return 'nothing was thrown';
}

describe('round trip', () => {
  test('any message of any size comes out as it went in', () => {
    fc.assert(
      fc.property(fc.array(arbitraryBody, { maxLength: 5 }), (bodies) => {
        const [sender, receiver] = [new BinaryCodec(server), new BinaryCodec(replicaId('alice'))];
        for (const body of bodies) {
          const frames = sender.encode(body);
          const messages = frames.map((frame) => receiver.decode(frame));
          const { sender: from, sequence, ...fields } = messages.at(-1)!;
          expect(ordered(fields)).toEqual(ordered(body));
          expect([from, sequence]).toEqual([server, sender.encoder.sequence]);
          expect(messages.slice(0, -1).every(({ type }) => type === 'NAMES')).toBe(true);
        }
      }),
    );
  });

  test('a delta has the same bytes whether its fields were just written or not', () => {
    const value = fc.oneof(
      { weight: 6, arbitrary: fc.integer() },
      fc.constantFrom(-0, 2 ** 29, 2 ** 30, -(2 ** 30), -(2 ** 30) - 1, 1.5, 'text'),
    );
    const record = fc.oneof(
      { weight: 4, arbitrary: fc.record({ x: value, y: value }) },
      fc.record({ y: value }),
      fc.constant({}),
    );
    const key = fc.constantFrom('k/a', 'k/b', 'k/c', 'k/d').map(recordKey);
    const change = fc.oneof(
      {
        weight: 8,
        arbitrary: fc.record({ op: fc.constant('patch' as const), key, fields: record, removed: fc.constant([]) }),
      },
      fc.record({ op: fc.constant('patch' as const), key, fields: record, removed: fc.constant(['z']) }),
      fc.record({ op: fc.constant('put' as const), key, record }),
      fc.record({ op: fc.constant('remove' as const), key }),
    );
    fc.assert(
      fc.property(fc.array(change, { maxLength: 40 }), fc.array(change, { maxLength: 3 }), (changes, before) => {
        const encoder = new FrameEncoder(server);
        const bytesOf = (list: typeof changes) => encoder.encode({ ...delta, changes: list }).at(-1)!.frame;
        bytesOf(changes);
        bytesOf(before);
        // With another encoder's table between them nothing is known of the fields.
        new FrameEncoder(server).encode({
          ...delta,
          changes: [{ op: 'patch', key: recordKey('k/a'), fields: { w: 1 }, removed: [] }],
        });
        const cold = bytesOf(changes);
        bytesOf([{ op: 'patch', key: recordKey('k/a'), fields: { x: 1, y: 1 }, removed: [] }]);
        const warm = bytesOf(changes);
        const tail = unpackMsgpack(warm) as unknown[];
        expect(tail.slice(3)).toEqual((unpackMsgpack(cold) as unknown[]).slice(3));
        const decoder = new FrameDecoder();
        for (const { frame } of encoder.encodeNames()) decoder.decode(frame);
        expect((decoder.decode(warm) as typeof delta & { changes: unknown }).changes).toEqual(changes);
      }),
    );
  });

  test('names are told before their first use and never again', () => {
    const codec = new BinaryCodec(server);
    const receiver = new FrameDecoder();
    const first = codec.encode(delta);
    expect(first.map((frame) => receiver.decode(frame).type)).toEqual(['NAMES', 'DELTA_SYNC']);
    const second = codec.encode(delta);
    expect(second.map((frame) => receiver.decode(frame).type)).toEqual(['DELTA_SYNC']);
    expect(receiver.names.slice(0)).toEqual(['room', 'energy', 'player/alice', 'alice']);
    expect(second[0]!.length).toBeLessThan(60);
  });

  test('one encoding serves a receiver from the start and one that was given the whole table later', () => {
    const encoder = new FrameEncoder(server);
    const early = new FrameDecoder();
    for (const { frame } of encoder.encode(delta)) early.decode(frame);
    const late = new FrameDecoder();
    for (const { frame } of encoder.encodeNames()) late.decode(frame);
    const frames = encoder.encode({ ...delta, vector: [] });
    expect(frames).toHaveLength(1);
    expect(early.decode(frames[0]!.frame)).toEqual(late.decode(frames[0]!.frame));
  });

  test('names that come again, late, twice or together with new ones leave those that are known', () => {
    const encoder = new FrameEncoder(server);
    const receiver = new FrameDecoder();
    const [names, message] = encoder.encode(delta);
    const more = { ...delta, vector: [{ replica: replicaId('zoe'), counter: 1 }] };
    const later = encoder.encode(more);
    for (const { frame } of [names!, message!, ...later]) receiver.decode(frame);
    const known = receiver.names.slice(0);
    for (const { frame } of [...encoder.encodeNames(), later[0]!, names!]) receiver.decode(frame);
    expect(receiver.names.slice(0)).toEqual(known);
    expect(receiver.decode(encoder.encode(more)[0]!.frame)).toMatchObject(more);
    // Another sender begins anew, with other names.
    receiver.decode(packMsgpack([6, 'server', 1, 0, ['other']]));
    expect(receiver.names.slice(0)).toEqual(['other']);
  });

  test('a newcomer knows names that were met before they were announced, and those that are announced with them', () => {
    const encoder = new FrameEncoder(server);
    encoder.encode({ ...delta, changes: [] });
    const bad = { op: 'put' as const, key: recordKey('new/1'), record: { text: '\ud800' } };
    expect(codeOf(() => encoder.encode({ ...delta, changes: [bad] }))).toBe('VALUE_INVALID');
    const newcomer = new FrameDecoder();
    for (const { frame } of encoder.encodeNames()) newcomer.decode(frame);
    expect(newcomer.names.length).toBeGreaterThan(0);
    expect(
      encoder
        .encode(delta)
        .map(({ frame }) => newcomer.decode(frame))
        .at(-1),
    ).toMatchObject(delta);
  });

  test('a value that looks like a reference stays a value, and text in the place of a name is a name', () => {
    const frames = new BinaryCodec(server).encode({
      ...delta,
      changes: [{ op: 'put', key: recordKey('item/1'), record: { 0: 0, count: 1, label: '0' } }],
    });
    const decoder = new FrameDecoder();
    const [, message] = frames.map((frame) => decoder.decode(frame));
    expect(message).toMatchObject({ changes: [{ record: { 0: 0, count: 1, label: '0' } }] });
    const changes = compact(head(1, WIRE_OP.put), 1, 0, 'count', COLUMN.int, 0, 'item/7', 6);
    const spelled = [8, 'server', 1, 1, 1, -1, 0, changes, compact(0, 'bob', 1), [], fromHex(root)];
    expect(decodeMessage(packMsgpack(spelled), noNames)).toMatchObject({
      changes: [{ op: 'put', key: 'item/7', record: { count: 3 } }],
      vector: [{ replica: 'bob', counter: 1 }],
    });
  });

  test('names beyond the table are written out', () => {
    const codec = new BinaryCodec(server);
    const decoder = new FrameDecoder();
    const long = `item/${'x'.repeat(251)}`;
    const changes = [
      { op: 'put' as const, key: recordKey(long), record: { ['f'.repeat(300)]: 1 } },
      { op: 'put' as const, key: recordKey('item/1'), record: {} },
    ];
    const messages = codec.encode({ ...delta, changes }).map((frame) => decoder.decode(frame));
    expect(messages.at(-1)).toMatchObject({ changes });
    expect(decoder.names.slice(0)).toEqual([long, 'item/1', 'alice']);
  });

  test('a message that cannot be encoded leaves the next ones decodable', () => {
    const encoder = new FrameEncoder(server);
    const bad = { op: 'put' as const, key: recordKey('new/1'), record: { text: '\ud800', '\udc00': 1 } };
    expect(codeOf(() => encoder.encode({ ...delta, changes: [bad] }))).toBe('VALUE_INVALID');
    const decoder = new FrameDecoder();
    const frames = encoder.encode(delta);
    expect(frames.map(({ frame }) => decoder.decode(frame)).at(-1)).toMatchObject(delta);
    expect(frames.map(({ type }) => type)).toEqual(['NAMES', 'DELTA_SYNC']);
  });
});

describe('what later versions may rely on', () => {
  test('every message of protocol 1 is still read from its bytes, and still has them', () => {
    expect(goldenFrames.map(({ body }) => body.type).sort()).toEqual(Object.keys(MESSAGES).sort());
    for (const { names, hex, body } of goldenFrames) {
      const source = { nameAt: (index: number) => names[index] };
      const { sender, sequence, ...fields } = decodeMessage(fromHex(hex), source);
      expect(fields).toEqual(body);
      expect([sender, sequence]).toEqual(['server', names.length > 0 ? 2 : 1]);
      const encoder = new FrameEncoder(server);
      expect(toHex(encoder.encode(body).at(-1)!.frame)).toBe(hex);
    }
    expect(PROTOCOL_VERSION).toBe(1);
  });

  test('fields that a later version adds at the end are passed over', () => {
    const tuple = [5, 'server', 1, 'good bye', null, { more: true }, 7];
    expect(decodeMessage(packMsgpack(tuple), noNames)).toEqual({
      type: 'BYE',
      sender: 'server',
      sequence: 1,
      reason: 'good bye',
    });
  });

  test('a HELLO of a version that is not known is told from a broken one, whatever its fields are', () => {
    expect(codeOf(() => decodeMessage(packMsgpack([1, 'alice', 1, 7, 9, { all: 'new' }]), noNames))).toBe(
      'PROTOCOL_UNSUPPORTED',
    );
    expect(codeOf(() => decodeMessage(packMsgpack([1, 'alice', 1, 1, 9, { all: 'new' }]), noNames))).toBe(
      'SCHEMA_MISMATCH',
    );
  });

  test('HELLO, UPGRADE_REQUIRED and ERROR need no names', () => {
    const encoder = new FrameEncoder(server);
    for (const { body } of goldenFrames) {
      if (!['HELLO', 'UPGRADE_REQUIRED', 'ERROR'].includes(body.type)) continue;
      const frames = encoder.encode(body);
      expect(frames).toHaveLength(1);
      expect(decodeMessage(frames[0]!.frame, noNames)).toMatchObject(body);
    }
  });
});

describe('T11, T12, T15: what is no message is refused, and changes nothing', () => {
  const tuple = (...rest: unknown[]) => packMsgpack([8, 'server', 1, 1, 1, -1, 0, ...rest]);
  const hash = fromHex(root);
  const none = new Uint8Array(0);
  /** Type, key and value. */
  const oneInt = [COLUMN.int, 0, 'a/b', 1] as const;
  const valued = (hex: string) => compact(head(1, WIRE_OP.patch), 1, 0, 'x', COLUMN.value, 0, 'a/b', fromHex(hex));
  /** 1,000,001 removals, each of the key that was removed before. */
  const manyValues = () => compact(head(1_000_001, WIRE_OP.remove), new Uint8Array(1_000_001).fill(1));
  const cases: readonly (readonly [what: string, frame: Uint8Array, code: string, cause?: string])[] = [
    ['no bytes', new Uint8Array(0), 'FRAME_NOT_MSGPACK', 'LENGTH_EXCEEDS_INPUT'],
    ['a million nested arrays', new Uint8Array(1_000_000).fill(0x91), 'FRAME_NOT_MSGPACK', 'LIMIT_DEPTH'],
    ['a length that lies', fromHex('ddffffffff'), 'FRAME_NOT_MSGPACK', 'LENGTH_EXCEEDS_INPUT'],
    ['0xc1', fromHex('c1'), 'FRAME_NOT_MSGPACK', 'MSGPACK_INVALID'],
    ['an extension type', fromHex('d40100'), 'FRAME_NOT_MSGPACK', 'MSGPACK_INVALID'],
    ['two values', fromHex('9090'), 'FRAME_NOT_MSGPACK', 'MSGPACK_TRAILING'],
    ['a JPEG', fromHex('ffd8ffe000104a464946'), 'FRAME_NOT_MSGPACK'],
    ['a number', packMsgpack(7), 'SCHEMA_MISMATCH'],
    ['a short tuple', packMsgpack([8]), 'SCHEMA_MISMATCH'],
    ['an unknown type', packMsgpack([99, 'server', 1]), 'MESSAGE_UNKNOWN_TYPE'],
    ['a type that is no number', packMsgpack(['HELLO', 'server', 1]), 'MESSAGE_UNKNOWN_TYPE'],
    ['a sender that is no name', packMsgpack([5, '../x', 1, 'bye']), 'REPLICA_INVALID'],
    ['sequence 0', packMsgpack([5, 'server', 0, 'bye']), 'SCHEMA_MISMATCH'],
    ['a missing field', packMsgpack([5, 'server', 1]), 'SCHEMA_MISMATCH'],
    ['changes that are no bytes', tuple([], none, [], hash), 'SCHEMA_MISMATCH'],
    ['a name never announced', tuple(compact(head(1, 3), 140_001), none, [], hash), 'NAME_UNKNOWN'],
    ['a name before the first', tuple(compact(head(1, 3), 2), none, [], hash), 'NAME_UNKNOWN'],
    ['a key that is no key', tuple(compact(head(1, 3), 0, 'nokey'), none, [], hash), 'KEY_INVALID'],
    ['a field __proto__', tuple(compact(head(1, 1), 1, 0, '__proto__', ...oneInt), none, [], hash), 'FIELD_RESERVED'],
    ['a field without a value', tuple(compact(head(1, 1), 1, 0, 'x', 1, 0, 'a/b'), none, [], hash), 'SCHEMA_MISMATCH'],
    [
      'a field twice',
      tuple(compact(head(1, 1), 2, 0, 'x', 0, 'x', 1, ...oneInt, 1), none, [], hash),
      'SCHEMA_MISMATCH',
    ],
    ['a run without rows', tuple(compact(head(0, 3)), none, [], hash), 'SCHEMA_MISMATCH'],
    ['more rows than there are', tuple(compact(head(2, 3), 0, 'a/b'), none, [], hash), 'SCHEMA_MISMATCH'],
    ['rows without end', tuple(compact(head(2 ** 50, 3), 0, 'a/b'), none, [], hash), 'SCHEMA_MISMATCH'],
    ['more fields than there are', tuple(compact(head(1, 1), 2 ** 40), none, [], hash), 'SCHEMA_MISMATCH'],
    ['a text longer than the rest', tuple(compact(head(1, 3), 0, 2 ** 40), none, [], hash), 'SCHEMA_MISMATCH'],
    ['text that is not UTF-8', tuple(compact(head(1, 3), 0, 1, fromHex('ff')), none, [], hash), 'SCHEMA_MISMATCH'],
    [
      'a type that does not exist',
      tuple(compact(head(1, 1), 1, 0, 'x', 4, 0, 'a/b', 1), none, [], hash),
      'SCHEMA_MISMATCH',
    ],
    [
      'a text that was not there',
      tuple(compact(head(1, 1), 1, 0, 'x', 3, 0, 'a/b', 1), none, [], hash),
      'SCHEMA_MISMATCH',
    ],
    ['an extension as a value', tuple(valued('d40100'), none, [], hash), 'SCHEMA_MISMATCH'],
    ['a value with a name twice', tuple(valued('82a16101a16102'), none, [], hash), 'SCHEMA_MISMATCH'],
    ['a value __proto__', tuple(valued('81a95f5f70726f746f5f5f01'), none, [], hash), 'FIELD_RESERVED'],
    ['a value nested too deep', tuple(valued('91'.repeat(1_000)), none, [], hash), 'LIMIT_DEPTH'],
    ['a value with a length that lies', tuple(valued('ddffffffff'), none, [], hash), 'SCHEMA_MISMATCH'],
    ['more values than a frame may hold', tuple(manyValues(), none, [], hash), 'LIMIT_NODES'],
    ['a number in too many bytes', tuple(fromHex('8700006162'), none, [], hash), 'SCHEMA_MISMATCH'],
    ['a number beyond 2^53', tuple(fromHex('ff'.repeat(12)), none, [], hash), 'SCHEMA_MISMATCH'],
    ['a vector that ends early', tuple(none, compact(0, 'alice'), [], hash), 'SCHEMA_MISMATCH'],
    ['a writer that is no replica', tuple(none, compact(0, '../x', 1), [], hash), 'REPLICA_INVALID'],
    ['a negative counter', packMsgpack([8, 'server', 1, 1, 1, -1, -1, none, none, [], hash]), 'SCHEMA_MISMATCH'],
    ['a version before the first', packMsgpack([8, 'server', 1, 1, -2, 0, 0, none, none, [], hash]), 'SCHEMA_MISMATCH'],
    ['a hash of 7 bytes', tuple(none, none, [], hash.subarray(1)), 'SCHEMA_MISMATCH'],
    ['a hash as text', tuple(none, none, [], root), 'SCHEMA_MISMATCH'],
    ['names out of order', packMsgpack([6, 'server', 1, 5, ['x']]), 'NAMES_OUT_OF_ORDER'],
    ['a name too long', packMsgpack([6, 'server', 1, 0, ['x'.repeat(300)]]), 'SCHEMA_MISMATCH'],
    [
      'more names than the table holds',
      packMsgpack([6, 'server', 1, 0, Array.from({ length: 65_536 }, () => 'x')]),
      'SCHEMA_MISMATCH',
    ],
    [
      'more of names than the table holds',
      packMsgpack([6, 'server', 1, 0, Array.from({ length: 10_000 }, () => 'x'.repeat(250))]),
      'NAMES_LIMIT',
    ],
  ];

  test.each(cases.map(([what, ...rest]) => ({ what, rest })))('$what', ({ rest: [frame, code, cause] }) => {
    const decoder = new FrameDecoder();
    decoder.decode(packMsgpack([6, 'server', 1, 0, ['kept']]));
    let thrown: unknown;
    try {
      decoder.decode(frame);
    } catch (error) {
      thrown = error;
    }
    expect(isSyncError(thrown, code), String(thrown)).toBe(true);
    if (cause !== undefined) expect((thrown as Error).cause).toMatchObject({ code: cause });
    expect(decoder.names.slice(0)).toEqual(['kept']);
  });

  test('a key such as constructor is data like any other', () => {
    const codec = new BinaryCodec(server);
    const decoder = new FrameDecoder();
    const record = { constructor: 1, toString: 'x', hasOwnProperty: null, prototype: [] };
    const changes = [{ op: 'put' as const, key: recordKey('constructor/prototype'), record }];
    const message = codec
      .encode({ ...delta, changes })
      .map((frame) => decoder.decode(frame))
      .at(-1);
    expect(message).toMatchObject({ changes });
  });

  test('whatever the bytes are, the answer is a message or a typed error', () => {
    const decode = (bytes: Uint8Array) => {
      try {
        new FrameDecoder().decode(bytes);
      } catch (error) {
        if (!isSyncError(error)) throw error;
      }
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), decode));
    fc.assert(
      fc.property(arbitraryBody, fc.nat(), fc.nat(255), fc.boolean(), (body, at, byte, isCut) => {
        const frame = new BinaryCodec(server).encode(body).at(-1)!;
        const index = at % frame.length;
        if (isCut) {
          decode(frame.subarray(0, index));
        } else {
          frame[index] = byte;
          decode(frame);
        }
      }),
    );
  });
});

test('a frame is one msgpack array that other tools can read', () => {
  const [frame] = new BinaryCodec(server).encode({ type: 'ERROR', code: 'X', message: 'y' });
  expect(unpackMsgpack(frame!)).toEqual([4, 'server', 1, 'X', 'y']);
});
