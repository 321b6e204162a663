import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isSyncError, type SyncError } from '../../errors/index.ts';
import { type Change, recordKey, replicaId, type StateHash } from '../../state/index.ts';
import { MESSAGES, type Message, type MessageBody } from '../message.ts';
import { arbitraryBody, arbitraryChange } from '../testing.ts';
import { decodeText, TextCodec } from './codec.ts';
import { formatBody, formatMessage } from './format.ts';
import { parseBody, parseMessage } from './parse.ts';

const server = replicaId('server');
const root = '0123456789abcdef' as StateHash;
const nothingSettled = { vector: [], rejected: [] };
const utf8 = new TextEncoder();

function lines(...all: string[]): string {
  return `${all.join('\n')}\n`;
}

function refusalOf(act: () => unknown): SyncError {
  try {
    act();
  } catch (error) {
    if (isSyncError(error)) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

/** Whether the character at `at` began `back` bytes or more before. */
function isWithinCharacter(text: Uint8Array, at: number, back: number): boolean {
  for (let index = at; index > at - back; index--) if ((text[index]! & 0xc0) !== 0x80) return false;
  return true;
}

function delta(changes: readonly Change[]): MessageBody {
  const known = { from: 100, to: 101, since: 100, progress: 101 };
  return { type: 'DELTA_SYNC', ...known, changes: [...changes], ...nothingSettled, root };
}

/** A snapshot has no order of its own. */
function unordered<T extends MessageBody>(body: T): T {
  if (body.type !== 'FULL_SYNC') return body;
  return { ...body, records: [...body.records].sort((left, right) => (left.key < right.key ? -1 : 1)) };
}

const arbitraryNames = fc
  .record({
    first: fc.nat(),
    names: fc.array(fc.string({ unit: 'grapheme', maxLength: 9 }).map((s) => s.toWellFormed())),
  })
  .map((fields): MessageBody => ({ type: 'NAMES', ...fields }));
const anyBody = fc.oneof({ weight: 16, arbitrary: arbitraryBody }, { weight: 1, arbitrary: arbitraryNames });

describe('the lines of the document', () => {
  const alice = { room: 'hall', health: 100, energy: 80 };
  const put = (key: string, record: object): Change => ({ op: 'put', key: recordKey(key), record: record as never });
  const patch = (key: string, fields: object, removed: readonly string[] = []): Change => {
    return { op: 'patch', key: recordKey(key), fields: fields as never, removed };
  };
  const known: readonly (readonly [body: MessageBody, text: string])[] = [
    [
      {
        type: 'FULL_SYNC',
        version: 101,
        progress: 101,
        records: [
          { key: recordKey('item/golden_key'), record: { owner: 'alice', room: null } },
          { key: recordKey('item/lamp'), record: { owner: null, room: 'kitchen' } },
          { key: recordKey('player/alice'), record: alice },
          { key: recordKey('room/hall'), record: { visited: true } },
        ],
        ...nothingSettled,
        root,
      },
      lines(
        `SNAPSHOT:101:${root}`,
        'ITEM:golden_key:alice:',
        'ITEM:lamp::kitchen',
        'PLAYER:alice:hall:100:80',
        'VISITED:hall',
        'END',
      ),
    ],
    [
      delta([
        patch('player/alice', { room: 'library' }),
        patch('item/golden_key', { owner: 'bob' }),
        patch('room/library', { visited: true }),
      ]),
      lines(
        'DELTA:100:101:3',
        `HASH:${root}`,
        'PLAYER_ROOM:alice:library',
        'ITEM_OWNER:golden_key:bob',
        'ROOM_VISITED:library',
        'END',
      ),
    ],
    [
      {
        type: 'EVENT',
        version: 0,
        event: { type: 'PLAYER_MOVED', player: 'alice', detail: 'north' },
        time: 1234567890,
      },
      lines('EVENT:PLAYER_MOVED:alice:north:1234567890'),
    ],
    [{ type: 'SYNC_REQUEST', version: 95, progress: 95, root, reason: 'root' }, lines(`SYNC_REQUEST:95:${root}`)],
    [{ type: 'ACK', version: 101, progress: 101, root }, lines(`ACK:101:${root}`)],
    [{ type: 'COMMAND', counter: 7, command: 'go', args: { to: 'north' } }, lines('CMD:go:7:{"to":"north"}')],
    [{ type: 'ERROR', code: 'door_locked', message: '' }, lines('ERROR:door_locked')],
  ];

  test.each(known.map(([body, text]) => ({ body, text })))('$body.type', ({ body, text }) => {
    expect(formatBody(body)).toBe(text);
    expect(unordered(parseBody(text))).toEqual(unordered(body));
  });

  test('what the document has no place for follows as JSON, and what fits no line of its is RECORD, PATCH, REMOVE', () => {
    const changes = [
      put('player/bob', { ...alice, carrying: 1 }),
      put('room/attic', { visited: false }),
      put('item/odd', { owner: '', room: 'x' }),
      patch('player/bob', { room: 'attic', energy: -0 }),
      patch('item/lamp', { owner: null, room: 'hall' }),
      patch('door/north', { locked: false }, ['weight']),
      patch('player/bob', { room: null }),
      { op: 'remove', key: recordKey('player/bob') } as const,
    ];
    const text = lines(
      'DELTA:100:101:8',
      `HASH:${root}`,
      'PLAYER:bob:hall:100:80:{"carrying":1}',
      'RECORD:room/attic:{"visited":false}',
      'RECORD:item/odd:{"owner":"","room":"x"}',
      'PLAYER_ROOM:bob:attic:{"energy":{"$number":"-0"}}',
      'ITEM_OWNER:lamp::{"room":"hall"}',
      'PATCH:door/north:{"locked":false}:["weight"]',
      'PATCH:player/bob:{"room":null}',
      'REMOVE:player/bob',
      'END',
    );
    expect(formatBody(delta(changes))).toBe(text);
    expect(parseBody(text)).toEqual(delta(changes));
  });

  test('moves that follow upon each other are one line where that is shorter', () => {
    const moves = ['alice', 'bob', 'a,b:c\\d'].map((player) => patch(`player/${player}`, { room: 'great,hall' }));
    const text = formatBody(delta(moves));
    expect(text).toContain('PLAYER_ROOMS:3:alice,great\\,hall,bob,great\\,hall,a\\,b\\:c\\\\d,great\\,hall\n');
    expect(parseBody(text)).toEqual(delta(moves));
    expect(formatBody(delta(moves.slice(0, 1)))).toContain('PLAYER_ROOM:alice:great,hall\n');
    // Every comma costs a backslash in the batch: here that is more than the keywords saved.
    const commas = ['x', 'y'].map((player) => patch(`player/${player}`, { room: ','.repeat(20) }));
    expect(formatBody(delta(commas))).not.toContain('PLAYER_ROOMS');
  });

  test('nobody, nowhere and unchanged are three things', () => {
    const owners = [patch('item/lamp', { owner: null }), patch('item/key', { owner: 'bob' })];
    const text = formatBody(delta(owners));
    expect(text).toContain('ITEM_OWNER:lamp:\nITEM_OWNER:key:bob\n');
    expect(text).not.toContain('rope');
    expect(parseBody(text)).toEqual(delta(owners));
  });

  test('a delta that leads back is not written', () => {
    const refused = expect.objectContaining({ code: 'SCHEMA_MISMATCH' });
    const leading = (counters: object) => () => formatBody({ ...delta([]), ...counters } as MessageBody);
    expect(leading({ from: 5, to: 4 })).toThrow(refused);
    expect(leading({ since: 5, progress: 4 })).toThrow(refused);
  });

  test('a value with colons, line ends, control and direction characters stays one field, and shows itself', () => {
    const detail = 'a:b\nc\\d\te\u202e\u0007\ufeff';
    const body: MessageBody = { type: 'EVENT', version: 3, event: { type: 'T', player: 'é', detail }, time: 1 };
    const text = formatBody(body);
    expect(text).toBe('EVENT:T:é:a\\:b\\nc\\\\d\\te\\u202e\\u0007\\ufeff:1:3\n');
    expect(parseBody(text)).toEqual(body);
  });

  test('lines and fields of a later version that change nothing are passed over', () => {
    expect(parseBody(`ACK:9:${root}:9:later\n`)).toMatchObject({ version: 9 });
    expect(parseBody(lines(`SNAPSHOT:9:${root}`, 'X_LATER:anything', 'END'))).toMatchObject({ records: [] });
    const hello = '{"features":["later"],"new":1,"next":1,"replica":"bob","session":"s","token":"t"}';
    expect(parseBody(`HELLO:1:9:${hello}\n`)).toEqual({
      type: 'HELLO',
      protocolMin: 1,
      protocolMax: 9,
      session: 's',
      replica: 'bob',
      token: 't',
      features: ['later'],
      next: 1,
    });
  });
});

describe('round trip', () => {
  test('any message comes out as it went in, on one keyword of its own', () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(fc.array(anyBody, { maxLength: 5 }), (bodies) => {
        const [sender, receiver] = [new TextCodec(server), new TextCodec(replicaId('alice'))];
        for (const body of bodies) {
          seen.add(body.type);
          const { sender: from, sequence, ...fields } = receiver.decode(sender.encode(body)[0]!);
          expect(unordered(fields as MessageBody)).toEqual(unordered(body));
          expect([from, sequence]).toEqual([server, sender.sequence]);
        }
      }),
      { numRuns: 300 },
    );
    expect([...seen].sort()).toEqual(Object.keys(MESSAGES).sort());
  });

  test('any list of changes, with and without batches, keeps its order', () => {
    const player = fc.constantFrom('alice', 'bob,c', 'd:\\e').map((name) => recordKey(`player/${name}`));
    const move = fc
      .record({ key: player, room: fc.constantFrom('hall', '', ',,,,,,,,,,,,,,,,,,,', 'a:b') })
      .map(({ key, room }): Change => ({ op: 'patch', key, fields: { room }, removed: [] }));
    fc.assert(
      fc.property(fc.array(fc.oneof(move, arbitraryChange), { maxLength: 8 }), (changes) => {
        expect(parseBody(formatBody(delta(changes)))).toEqual(delta(changes));
      }),
    );
  });

  test('the text of a message is one text: written again it is the same', () => {
    fc.assert(
      fc.property(anyBody, (body) => {
        const text = formatBody(body);
        expect(formatBody(parseBody(text))).toBe(text);
      }),
    );
  });
});

describe('T11, T12, T14, T15: what is no message is refused whole', () => {
  const snapshot = (...more: string[]) => lines(`SNAPSHOT:9:${root}`, ...more, 'END');
  const deltaOf = (count: string, ...more: string[]) => lines(`DELTA:1:2:${count}`, `HASH:${root}`, ...more, 'END');
  const cases: readonly (readonly [what: string, text: string, code: string, line: number, column?: number])[] = [
    ['nothing', '', 'TEXT_TRUNCATED', 1, 1],
    ['an empty line', '\n', 'MESSAGE_UNKNOWN_TYPE', 1, 1],
    ['an unknown message', 'TELEPORT:1\n', 'MESSAGE_UNKNOWN_TYPE', 1, 1],
    ['a keyword in small letters', `ack:1:${root}\n`, 'MESSAGE_UNKNOWN_TYPE', 1, 1],
    ['a line without its end', `ACK:1:${root}`, 'TEXT_TRUNCATED', 1, 23],
    ['a snapshot without END', `SNAPSHOT:9:${root}\nVISITED:hall\n`, 'TEXT_TRUNCATED', 3],
    ['a second message', `ACK:1:${root}\nACK:1:${root}\n`, 'TEXT_SYNTAX', 2, 1],
    ['a line after END', `${snapshot()}VISITED:hall\n`, 'TEXT_SYNTAX', 3, 1],
    ['a negative version', `ACK:-1:${root}\n`, 'SCHEMA_MISMATCH', 1, 5],
    ['a version with a plus', `ACK:+1:${root}\n`, 'SCHEMA_MISMATCH', 1, 5],
    ['a version in hex', `ACK:0x1:${root}\n`, 'SCHEMA_MISMATCH', 1, 5],
    ['a version beyond 2^53', `ACK:9007199254740992:${root}\n`, 'SCHEMA_MISMATCH', 1, 5],
    ["the document's example of a hash", 'ACK:101:abc123\n', 'SCHEMA_MISMATCH', 1],
    ['too few fields', 'ACK:1\n', 'TEXT_SYNTAX', 1, 6],
    ['a raw carriage return', `ACK:1:${root}\r\n`, 'TEXT_SYNTAX', 1, 23],
    ['a raw direction mark', 'BYE:a\u202eb\n', 'TEXT_SYNTAX', 1, 6],
    ['an escape that does not exist', 'BYE:a\\xb\n', 'TEXT_SYNTAX', 1, 6],
    ['a backslash at the end', 'BYE:a\\\n', 'TEXT_SYNTAX', 1, 6],
    ['a lone surrogate', 'BYE:\\ud800\n', 'TEXT_SYNTAX', 1],
    ['a reason too long', `BYE:${'x'.repeat(501)}\n`, 'SCHEMA_MISMATCH', 1],
    ['a command without its counter', 'CMD:go north\n', 'TEXT_SYNTAX', 1, 13],
    ["the document's delta, its new room left out", deltaOf('1', 'PLAYER_ROOM:0'), 'TEXT_SYNTAX', 3, 14],
    ["the document's batch, its rooms left out", deltaOf('3', 'PLAYER_ROOMS:3:0,1,2'), 'TEXT_COUNT_MISMATCH', 3, 16],
    [
      'a batch of nothing where 2^53 were promised',
      deltaOf('0', 'PLAYER_ROOMS:9007199254740991:'),
      'TEXT_COUNT_MISMATCH',
      3,
    ],
    ['fewer changes than promised', deltaOf('2', 'ROOM_VISITED:hall'), 'TEXT_COUNT_MISMATCH', 1, 11],
    ['more changes than promised', deltaOf('0', 'ROOM_VISITED:hall'), 'TEXT_COUNT_MISMATCH', 1, 11],
    ['a delta without its hash', lines('DELTA:1:2:0', 'END'), 'SCHEMA_MISMATCH', 1],
    ['a delta that leads back', lines('DELTA:5:3:0', `HASH:${root}`, 'END'), 'SCHEMA_MISMATCH', 1, 9],
    ['a delta whose progress goes back', deltaOf('0', 'PROGRESS:9:3'), 'SCHEMA_MISMATCH', 3, 12],
    ['two hashes', deltaOf('0', `HASH:${root}`), 'TEXT_DUPLICATE', 3, 1],
    ['a line that no delta has', deltaOf('0', 'TELEPORT:alice'), 'TEXT_SYNTAX', 3, 1],
    ['a field too many on a line', deltaOf('1', 'REMOVE:a/b:c'), 'TEXT_SYNTAX', 3, 11],
    ['a key that is no key', deltaOf('1', 'REMOVE:nokey'), 'KEY_INVALID', 3, 8],
    ['a player without a name', snapshot('PLAYER::hall:1:2'), 'KEY_INVALID', 2, 8],
    ['a health that is no number', snapshot('PLAYER:alice:hall:much:2'), 'SCHEMA_MISMATCH', 2, 19],
    ['an energy written oddly', snapshot('PLAYER:alice:hall:1:2.0'), 'SCHEMA_MISMATCH', 2, 21],
    ['a record twice', snapshot('VISITED:hall', 'VISITED:hall'), 'TEXT_DUPLICATE', 3, 1],
    ['a field twice, once as JSON', snapshot('VISITED:hall:{"visited":false}'), 'TEXT_DUPLICATE', 2, 14],
    ['a writer twice', snapshot('SEEN:bob:1', 'SEEN:bob:2'), 'TEXT_DUPLICATE', 3, 1],
    ['a refusal twice', snapshot('REFUSED:bob:1:x', 'REFUSED:bob:1:y'), 'TEXT_DUPLICATE', 3, 1],
    ['a removed field twice', deltaOf('1', 'PATCH:a/b:{}:["x","x"]'), 'TEXT_DUPLICATE', 3, 14],
    ['a record that is a list', snapshot('RECORD:a/b:[1]'), 'SCHEMA_MISMATCH', 2, 12],
    ['a record of bytes', snapshot('RECORD:a/b:{"$bytes":"00"}'), 'SCHEMA_MISMATCH', 2, 12],
    ['JSON with a blank', snapshot('RECORD:a/b:{"x": 1}'), 'TEXT_SYNTAX', 2, 17],
    ['JSON that ends early', snapshot('RECORD:a/b:{"x":1'), 'TEXT_SYNTAX', 2, 18],
    ['JSON with a comma too many', snapshot('RECORD:a/b:{"x":1,}'), 'TEXT_SYNTAX', 2, 19],
    ['a field twice', snapshot('RECORD:a/b:{"x":1,"x":1}'), 'TEXT_SYNTAX', 2, 19],
    ['a field __proto__', snapshot('RECORD:a/b:{"__proto__":{"admin":true}}'), 'FIELD_RESERVED', 2, 13],
    ['a field __proto__ deep in a command', 'CMD:go:1:{"a":[{"\\u005f_proto__":1}]}\n', 'FIELD_RESERVED', 1, 17],
    ['a removed field __proto__', deltaOf('1', 'PATCH:a/b:{}:["__proto__"]'), 'SCHEMA_MISMATCH', 3, 14],
    ['an integer that no number holds', snapshot('RECORD:a/b:{"x":9007199254740993}'), 'TEXT_SYNTAX', 2, 17],
    ['a number written in another way', snapshot('RECORD:a/b:{"x":1.0}'), 'TEXT_SYNTAX', 2, 17],
    ['an unknown kind of value', snapshot('RECORD:a/b:{"x":{"$date":"1"}}'), 'TEXT_SYNTAX', 2, 18],
    ['bytes in odd digits', snapshot('RECORD:a/b:{"x":{"$bytes":"0"}}'), 'TEXT_SYNTAX', 2, 18],
    ['a string with a lone surrogate', snapshot('RECORD:a/b:{"x":"\\udc00"}'), 'TEXT_SYNTAX', 2, 17],
    ['values a million deep', `CMD:go:1:${'['.repeat(1_000_000)}\n`, 'LIMIT_DEPTH', 1],
    ['a value 66 deep', `CMD:go:1:${'['.repeat(66)}${']'.repeat(66)}\n`, 'LIMIT_DEPTH', 1],
    [
      '65,536 fields',
      `CMD:go:1:{${Array.from({ length: 65_536 }, (_, index) => `"${index}":0`).join(',')}}\n`,
      'LIMIT_MAP_KEYS',
      1,
    ],
    ['a line of 5 MiB', `BYE:${'x'.repeat(5 * 1024 * 1024)}\n`, 'LIMIT_LINE_LENGTH', 1],
    ['a million and one lines', `SNAPSHOT:9:${root}\n${'X_:\n'.repeat(1_000_000)}`, 'LIMIT_LINES', 1_000_001],
    ['a HELLO of versions to come', 'HELLO:7:9:{"all":"new"}\n', 'PROTOCOL_UNSUPPORTED', 0],
    ['a HELLO that says its version twice', 'HELLO:1:1:{"protocolMin":1}\n', 'TEXT_DUPLICATE', 1, 11],
  ];

  test.each(cases.map(([what, text, code, line, column]) => ({ what, text, code, line, column })))(
    '$what',
    ({ text, code, line, column }) => {
      const error = refusalOf(() => parseBody(text));
      expect(error.code, error.message).toBe(code);
      expect(['protocol', 'state']).toContain(error.origin);
      if (line > 0) expect(error.place.line, error.message).toBe(line);
      if (column !== undefined) expect(error.place.column, error.message).toBe(column);
    },
  );

  test('a frame wants its FROM, a sequence from 1, and UTF-8', () => {
    expect(refusalOf(() => parseMessage(`ACK:1:${root}\n`)).code).toBe('TEXT_SYNTAX');
    expect(refusalOf(() => parseMessage('FROM:server:1\n'))).toMatchObject({
      code: 'TEXT_TRUNCATED',
      place: { line: 2 },
    });
    expect(refusalOf(() => parseMessage('FROM:server:0\nBYE:x\n')).code).toBe('SCHEMA_MISMATCH');
    expect(refusalOf(() => parseMessage('FROM:../x:1\nBYE:x\n'))).toMatchObject({
      code: 'REPLICA_INVALID',
      place: { line: 1, column: 6 },
    });
    const broken = utf8.encode('FROM:server:1\nBYE:x\n');
    broken[18] = 0xff;
    expect(refusalOf(() => decodeText(broken))).toMatchObject({ code: 'TEXT_NOT_UTF8', place: { offset: 18 } });
    expect(refusalOf(() => decodeText(broken, { limits: { frame: 9, line: 9, lines: 9 } })).code).toBe(
      'LIMIT_FRAME_LENGTH',
    );
  });

  test('what is no UTF-8 is found wherever it is', () => {
    const text = utf8.encode(`FROM:server:1\nBYE:${'é😀x'.repeat(30_000)}\n`);
    for (const at of [0, 17, 18, 65_534, 65_535, 65_536, 65_537, 65_538, 131_072, text.length - 1]) {
      const broken = text.slice();
      broken[at] = 0xff;
      const start = at - [1, 2, 3].filter((back) => isWithinCharacter(text, at, back)).length;
      const { code, place } = refusalOf(() => decodeText(broken));
      expect(code).toBe('TEXT_NOT_UTF8');
      expect(place.offset).toBeGreaterThanOrEqual(start);
      expect(place.offset).toBeLessThanOrEqual(at);
    }
    const cut = text.subarray(0, 19);
    expect(refusalOf(() => decodeText(cut))).toMatchObject({ code: 'TEXT_NOT_UTF8', place: { offset: 19 } });
  });

  test('what could not be read again is not written', () => {
    const codec = new TextCodec(server, { limits: { frame: 100, line: 50, lines: 4 } });
    const encode = (body: MessageBody) => refusalOf(() => codec.encode(body)).code;
    expect(encode({ type: 'BYE', reason: '\ud800' })).toBe('VALUE_INVALID');
    expect(encode({ type: 'BYE', reason: 'x'.repeat(60) })).toBe('LIMIT_LINE_LENGTH');
    expect(encode({ type: 'BYE', reason: 'x'.repeat(501) })).toBe('SCHEMA_MISMATCH');
    expect(encode(delta([{ op: 'remove', key: recordKey('a/b') }]))).toBe('LIMIT_LINES');
    const reason = '\u00e9'.repeat(45);
    expect(encode({ type: 'BYE', reason })).toBe('LIMIT_FRAME_LENGTH');
    expect(codec.sequence).toBe(0);
    expect(codec.encode({ type: 'BYE', reason: 'x' })).toHaveLength(1);
    expect(codec.sequence).toBe(1);
  });

  test('a truncated frame is refused whole, wherever it is cut', () => {
    fc.assert(
      fc.property(anyBody, fc.nat(), (body, at) => {
        const frame = new TextCodec(server).encode(body)[0]!;
        const error = refusalOf(() => decodeText(frame.subarray(0, at % frame.length)));
        expect(['TEXT_TRUNCATED', 'TEXT_NOT_UTF8']).toContain(error.code);
      }),
    );
  });

  test('whatever the lines are, the answer is a message or a typed error', () => {
    const decode = (text: string): Message | undefined => {
      try {
        return parseMessage(text);
      } catch (error) {
        if (!isSyncError(error)) throw error;
        return undefined;
      }
    };
    const keyword = fc.constantFrom(
      'SNAPSHOT',
      'DELTA',
      'PLAYER',
      'ITEM',
      'HASH',
      'PATCH',
      'END',
      'CMD',
      'ACK',
      'FROM',
    );
    const field = fc.oneof(fc.string({ maxLength: 6 }), fc.constantFrom('1', '{}', '[', root, 'a/b', '{"$bytes":"'));
    const line = fc
      .tuple(keyword, fc.array(field, { maxLength: 5 }))
      .map(([word, fields]) => [word, ...fields].join(':'));
    fc.assert(fc.property(fc.array(line, { maxLength: 6 }), (all) => void decode(lines('FROM:server:1', ...all))));
    fc.assert(
      fc.property(anyBody, fc.nat(), fc.string({ maxLength: 3 }), fc.nat(3), (body, at, text, count) => {
        const frame = formatMessage({ ...body, sender: server, sequence: 1 });
        const index = at % frame.length;
        const message = decode(frame.slice(0, index) + text + frame.slice(index + count));
        // What was taken can be said again.
        if (message) expect(unordered(parseMessage(formatMessage(message)))).toEqual(unordered(message));
      }),
      { numRuns: 400 },
    );
  });

  test('a key such as constructor is data like any other', () => {
    const record = { constructor: 1, toString: 'x', hasOwnProperty: null, $bytes: 'no bytes', $$: [] };
    const body = delta([{ op: 'put', key: recordKey('constructor/prototype'), record }]);
    expect(parseBody(formatBody(body))).toEqual(body);
  });
});
