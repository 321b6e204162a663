import { describe, expect, test } from 'vitest';
import { isSyncError, type SyncError } from '../../errors/index.ts';
import { recordKey, replicaId } from '../../state/index.ts';
import { goldenFrames } from '../golden.test-helper.ts';
import { MESSAGES, type Message, type MessageBody } from '../message.ts';
import { formatMessage } from './format.ts';
import { parseMessage } from './parse.ts';

/**
 * T11, T12, T14–T16 of the text codec, generated: every line and every field of every message missing, of the wrong
 * type, out of range and twice. A refusal has code, origin and line.
 */

const server = replicaId('server');
const delta = goldenFrames.find(({ body }) => body.type === 'DELTA_SYNC')!.body as MessageBody & { type: 'DELTA_SYNC' };
const snapshot = goldenFrames.find(({ body }) => body.type === 'FULL_SYNC')!.body as MessageBody & {
  type: 'FULL_SYNC';
};

/** One text of every message; those of several lines with a line of every kind. */
const bodies: readonly MessageBody[] = [
  ...goldenFrames.map(({ body }) => body).filter(({ type }) => type !== 'DELTA_SYNC' && type !== 'FULL_SYNC'),
  {
    ...snapshot,
    records: [
      { key: recordKey('player/alice'), record: { room: 'hall', health: 1, energy: 2, more: 1 } },
      { key: recordKey('item/lamp'), record: { owner: 'alice', room: 'hall', more: 1 } },
      { key: recordKey('room/hall'), record: { visited: true, more: 1 } },
      { key: recordKey('door/north'), record: { locked: true } },
    ],
    vector: [{ replica: server, counter: 1 }],
    rejected: [{ replica: server, counter: 1, reason: 'no' }],
  },
  { ...snapshot, part: { index: 1, of: 3 } },
  {
    ...delta,
    changes: [
      { op: 'patch', key: recordKey('player/alice'), fields: { room: 'hall' }, removed: [] },
      { op: 'patch', key: recordKey('player/bob'), fields: { room: 'hall' }, removed: [] },
      { op: 'patch', key: recordKey('player/bob'), fields: { room: 'attic', energy: 1 }, removed: [] },
      { op: 'patch', key: recordKey('item/lamp'), fields: { owner: 'bob', more: 1 }, removed: [] },
      { op: 'patch', key: recordKey('room/hall'), fields: { visited: true, more: 1 }, removed: [] },
      { op: 'patch', key: recordKey('door/north'), fields: { locked: true }, removed: ['more'] },
      { op: 'remove', key: recordKey('note/1') },
    ],
    vector: [{ replica: server, counter: 1 }],
    rejected: [{ replica: server, counter: 1, reason: 'no' }],
  },
];

const texts = bodies.map((body) => {
  const text = formatMessage({ ...body, sender: server, sequence: 7 }, { documentHash: true });
  return { type: body.type, lines: text.trimEnd().split('\n') };
});

/** Fields that a line must have; those behind may be left out. Of lines not named here every one. */
const NEEDED: Readonly<Record<string, number>> = {
  ACK: 2,
  HEARTBEAT: 2,
  SYNC_REQUEST: 2,
  ERROR: 1,
  EVENT: 4,
  PLAYER: 4,
  ITEM: 3,
  VISITED: 1,
  PLAYER_ROOM: 2,
  ITEM_OWNER: 2,
  ROOM_VISITED: 1,
  PATCH: 2,
};

/** The keyword and the fields of a line; JSON stays one field. */
function fieldsOf(line: string): string[] {
  const json = line.search(/:[{[]/);
  if (json === -1) return line.split(/(?<!\\):/);
  const rest = line.slice(json + 1);
  const list = rest.search(/:\["/);
  // Only PATCH has two, the second a list.
  const parts = line.startsWith('PATCH') && list !== -1 ? [rest.slice(0, list), rest.slice(list + 1)] : [rest];
  return [...line.slice(0, json).split(/(?<!\\):/), ...parts];
}

function parse(lines: readonly string[]): Message | SyncError {
  try {
    return parseMessage(`${lines.join('\n')}\n`);
  } catch (error) {
    if (isSyncError(error)) return error;
    throw error;
  }
}

function expectRefused(lines: readonly string[], what: string): void {
  const result = parse(lines);
  expect(isSyncError(result), `${what} was taken`).toBe(true);
  const error = result as SyncError;
  expect(error.code).toMatch(/^[A-Z][A-Z_0-9]+$/);
  expect(['protocol', 'state']).toContain(error.origin);
  if (error.code === 'PROTOCOL_UNSUPPORTED') expect(error.place.path).toBe('HELLO/protocolMin');
  else expect(error.place.line, error.message).toBeGreaterThan(0);
}

/** What does not fit a field that holds this. */
function wrongFor(keyword: string, field: string, at: number): readonly string[] {
  // Numbers of a record are any numbers.
  if (keyword === 'PLAYER' && at > 2 && at < 5) return ['', 'x', '1.0', '-0', 'NaN', '0x1', '1 ', '{}'];
  if (/^\d+$/.test(field)) return ['', 'x', '-1', '+1', '1.5', '01', ' 1', '1e3', '9007199254740992', '{}', '٣'];
  if (/^[0-9a-f]{16}$/.test(field)) return ['', 'xyz', field.slice(1), `${field}0`, field.toUpperCase(), '7'];
  if (/^[{[]/.test(field))
    return ['', '{', '[', 'x', `${field}x`, `${field}}`, `${field},`, ` ${field}`, '1.0', '"', '[1,]'];
  const isFree = ['PLAYER', 'ITEM', 'PLAYER_ROOM', 'PLAYER_ROOMS', 'ITEM_OWNER'].includes(keyword) && at > 1;
  return ['\\x', '\u0000', '\r', '\u202e', '\\ud800', ...(isFree ? [] : ['x'.repeat(70_000)])];
}

test('there is a text of every message, and of every line', () => {
  expect([...new Set(texts.map(({ type }) => type))].sort()).toEqual(Object.keys(MESSAGES).sort());
  for (const { type, lines } of texts) expect(parse(lines)).toMatchObject({ type, sender: 'server', sequence: 7 });
});

describe.each(texts)('$type', ({ lines }) => {
  const fields = lines.map(fieldsOf);
  const withField = (line: number, all: readonly string[]) => lines.with(line, all.join(':'));

  test('every field missing', () => {
    for (const [line, [keyword, ...rest]] of fields.entries()) {
      const needed = NEEDED[keyword!] ?? rest.length;
      for (let count = 0; count < needed; count++) {
        expectRefused(withField(line, [keyword!, ...rest.slice(0, count)]), `${keyword} with ${count} fields`);
      }
      for (let count = needed; count < rest.length; count++) {
        const result = parse(withField(line, [keyword!, ...rest.slice(0, count)]));
        // The document's hash and the count of the changes hold, so leaving out further fields is no fault of form.
        expect(isSyncError(result), `${keyword} with ${count} fields`).toBe(false);
      }
    }
  });

  test('every field of the wrong type and out of range', () => {
    for (const [line, all] of fields.entries()) {
      for (let at = 1; at < all.length; at++) {
        for (const wrong of wrongFor(all[0]!, all[at]!, at)) {
          expectRefused(
            withField(line, all.with(at, wrong)),
            `${all[0]} ${at} as ${JSON.stringify(wrong.slice(0, 20))}`,
          );
        }
      }
    }
  });

  test('every line missing', () => {
    for (const [line, [keyword]] of fields.entries()) {
      const result = parse(lines.toSpliced(line, 1));
      // These have a meaning when they are not there, or are missed by the hash of the state alone.
      const isOptional = ['PROGRESS', 'HASH31', 'PART', 'SEEN', 'REFUSED', 'VISITED', 'RECORD'].includes(keyword!);
      if (isOptional && lines[1]!.startsWith('SNAPSHOT')) expect(isSyncError(result), keyword).toBe(false);
      else if (!isOptional) expectRefused(lines.toSpliced(line, 1), keyword!);
    }
  });

  test('every line twice', () => {
    for (const [line, all] of fields.entries()) expectRefused(lines.toSpliced(line, 0, lines[line]!), all.join(':'));
  });

  test('every field twice: a message of the same form or a typed error', () => {
    for (const [line, all] of fields.entries()) {
      for (let at = 1; at < all.length; at++) {
        const result = parse(withField(line, all.toSpliced(at, 0, all[at]!)));
        if (!isSyncError(result)) expect(parse(formatMessage(result).trimEnd().split('\n'))).toEqual(result);
      }
    }
  });

  test('keywords that are no keywords', () => {
    for (const [line, all] of fields.entries()) {
      for (const keyword of ['', 'x', all[0]!.toLowerCase(), `${all[0]} `, '__proto__', 'constructor']) {
        expectRefused(withField(line, all.with(0, keyword)), `${keyword} for ${all[0]}`);
      }
    }
  });
});
