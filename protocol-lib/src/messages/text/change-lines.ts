import { type Change, type RecordKey, recordKey, type SyncRecord, type Value } from '../../state/index.ts';
import type { SnapshotEntry } from '../replication.ts';
import { readJson, writeJson } from './json.ts';
import { escapeField, escapeItem, type LineReader } from './line.ts';

/**
 * Records and changes of the adventure as the document's lines, one line each:
 *
 * | line | says |
 * |---|---|
 * | `PLAYER:<id>:<room>:<health>:<energy>` | `player/<id>` with text `room` and numbers `health`, `energy` |
 * | `ITEM:<id>:<owner>:<location>` | `item/<id>` with `owner` and `room`; empty is null: nobody, nowhere |
 * | `VISITED:<id>` | `room/<id>` with `visited` true |
 * | `PLAYER_ROOM:<id>:<room>` | `room` of `player/<id>` changed |
 * | `ITEM_OWNER:<id>:<owner>` | `owner` of `item/<id>` changed; empty is null |
 * | `ROOM_VISITED:<id>` | `visited` of `room/<id>` became true |
 *
 * Further fields follow as one JSON object. What has not these fields with these kinds is `RECORD:<key>:<json>`
 * (whole), `PATCH:<key>:<json>[:<json list of removed fields>]`, `REMOVE:<key>`. What no line names is unchanged.
 */

type Fields = Readonly<Record<string, Value>>;

/** The id of a key in a collection, or undefined where it is in another. */
function idIn(collection: string, key: RecordKey): string | undefined {
  return key.startsWith(`${collection}/`) ? key.slice(collection.length + 1) : undefined;
}

/** `:<json>` of the fields that a line has no place for; nothing where it has one for all. */
function furtherFields(record: Fields, placed: readonly string[]): string {
  const further = Object.entries(record).filter(([name]) => !placed.includes(name));
  return further.length === 0 ? '' : `:${writeJson(Object.fromEntries(further))}`;
}

/** Numbers that stand on a line as they are. */
function isPlainNumber(value: Value | undefined): value is number {
  return Number.isFinite(value) && !Object.is(value, -0);
}

/** Null as an empty field, which text can then not be. */
function isOwner(value: Value | undefined): value is string | null {
  return value === null || (typeof value === 'string' && value !== '');
}

function own(record: Fields, name: string): Value | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}

/** The line of a whole record. */
export function recordLine(key: RecordKey, record: SyncRecord): string {
  return (
    playerLine(key, record) ?? itemLine(key, record) ?? visitedLine(key, record, 'VISITED') ?? plainLine(key, record)
  );
}

function plainLine(key: RecordKey, record: SyncRecord): string {
  return `RECORD:${escapeField(key)}:${writeJson(record)}`;
}

function playerLine(key: RecordKey, record: SyncRecord): string | undefined {
  const id = idIn('player', key);
  const [room, health, energy] = [own(record, 'room'), own(record, 'health'), own(record, 'energy')];
  if (id === undefined || typeof room !== 'string' || !isPlainNumber(health) || !isPlainNumber(energy))
    return undefined;
  const further = furtherFields(record, ['room', 'health', 'energy']);
  return `PLAYER:${escapeField(id)}:${escapeField(room)}:${health}:${energy}${further}`;
}

function itemLine(key: RecordKey, record: SyncRecord): string | undefined {
  const id = idIn('item', key);
  const [owner, room] = [own(record, 'owner'), own(record, 'room')];
  if (id === undefined || !isOwner(owner) || !isOwner(room)) return undefined;
  const further = furtherFields(record, ['owner', 'room']);
  return `ITEM:${escapeField(id)}:${escapeField(owner ?? '')}:${escapeField(room ?? '')}${further}`;
}

function visitedLine(key: RecordKey, record: SyncRecord, keyword: string): string | undefined {
  const id = idIn('room', key);
  if (id === undefined || own(record, 'visited') !== true) return undefined;
  return `${keyword}:${escapeField(id)}${furtherFields(record, ['visited'])}`;
}

function changeLine(change: Change): string {
  const key = escapeField(change.key);
  if (change.op === 'remove') return `REMOVE:${key}`;
  if (change.op === 'put') return recordLine(change.key, change.record);
  const { fields, removed } = change;
  if (removed.length > 0) return `PATCH:${key}:${writeJson(fields)}:${writeJson(removed)}`;
  return documentPatch(change.key, fields) ?? `PATCH:${key}:${writeJson(fields)}`;
}

function documentPatch(key: RecordKey, fields: SyncRecord): string | undefined {
  const player = idIn('player', key);
  const room = own(fields, 'room');
  if (player !== undefined && typeof room === 'string') {
    return `PLAYER_ROOM:${escapeField(player)}:${escapeField(room)}${furtherFields(fields, ['room'])}`;
  }
  const item = idIn('item', key);
  const owner = own(fields, 'owner');
  if (item !== undefined && isOwner(owner)) {
    return `ITEM_OWNER:${escapeField(item)}:${escapeField(owner ?? '')}${furtherFields(fields, ['owner'])}`;
  }
  return visitedLine(key, fields, 'ROOM_VISITED');
}

/** A player's move and nothing else. */
interface Move {
  readonly player: string;
  readonly room: string;
}

function moveOf(change: Change): Move | undefined {
  if (change.op !== 'patch' || change.removed.length > 0) return undefined;
  const player = idIn('player', change.key);
  const room = own(change.fields, 'room');
  if (player === undefined || typeof room !== 'string' || Object.keys(change.fields).length > 1) return undefined;
  return { player, room };
}

function movesLine(moves: readonly Move[]): string {
  const items = moves.map(({ player, room }) => `${escapeItem(player)},${escapeItem(room)}`);
  return `PLAYER_ROOMS:${moves.length}:${items.join(',')}`;
}

/** Units that a line is long together with its end. */
function cost(lines: readonly string[]): number {
  return lines.reduce((sum, line) => sum + line.length + 1, 0);
}

/** The lines of changes, in their order. Moves that follow upon each other become one `PLAYER_ROOMS` where that is shorter. */
export function changeLines(changes: readonly Change[]): string[] {
  const lines: string[] = [];
  for (let start = 0; start < changes.length; ) {
    const moves: Move[] = [];
    for (let move = moveOf(changes[start]!); move; ) {
      moves.push(move);
      const next = changes[start + moves.length];
      move = next && moveOf(next);
    }
    const end = start + Math.max(moves.length, 1);
    const single = changes.slice(start, end).map(changeLine);
    const batch = moves.length > 1 ? [movesLine(moves)] : single;
    lines.push(...(cost(batch) < cost(single) ? batch : single));
    start = end;
  }
  return lines;
}

// — reading —

/** Reads a `PLAYER`, `ITEM`, `VISITED` or `RECORD` line; undefined for any other. */
export function readRecordLine(reader: LineReader): SnapshotEntry | undefined {
  switch (reader.keyword) {
    case 'PLAYER': {
      const key = readKey(reader, 'player');
      const room = reader.field('the room');
      return { key, record: readFurther(reader, { room, health: readNumber(reader), energy: readNumber(reader) }) };
    }
    case 'ITEM': {
      const key = readKey(reader, 'item');
      const owner = reader.field('the owner, empty for nobody');
      const room = reader.field('the location, empty for none');
      return { key, record: readFurther(reader, { owner: owner || null, room: room || null }) };
    }
    case 'VISITED':
      return { key: readKey(reader, 'room'), record: readFurther(reader, { visited: true }) };
    case 'RECORD': {
      const entry = { key: readKey(reader), record: readObject(reader) };
      reader.end();
      return entry;
    }
    default:
      return undefined;
  }
}

/** Reads a line of a delta into `changes`. Answers whether it is one. */
export function readChangeLine(reader: LineReader, changes: Change[]): boolean {
  const put = readRecordLine(reader);
  if (put) {
    changes.push({ op: 'put', ...put });
    return true;
  }
  switch (reader.keyword) {
    case 'PLAYER_ROOM': {
      const key = readKey(reader, 'player');
      pushPatch(changes, key, readFurther(reader, { room: reader.field('the new room') }));
      return true;
    }
    case 'PLAYER_ROOMS':
      readMoves(reader, changes);
      return true;
    case 'ITEM_OWNER': {
      const key = readKey(reader, 'item');
      pushPatch(changes, key, readFurther(reader, { owner: reader.field('the new owner, empty for nobody') || null }));
      return true;
    }
    case 'ROOM_VISITED':
      pushPatch(changes, readKey(reader, 'room'), readFurther(reader, { visited: true }));
      return true;
    case 'PATCH': {
      const key = readKey(reader);
      pushPatch(changes, key, readObject(reader), reader.hasMore ? readRemoved(reader) : []);
      reader.end();
      return true;
    }
    case 'REMOVE':
      changes.push({ op: 'remove', key: readKey(reader) });
      reader.end();
      return true;
    default:
      return false;
  }
}

function pushPatch(changes: Change[], key: RecordKey, fields: SyncRecord, removed: readonly string[] = []): void {
  changes.push({ op: 'patch', key, fields, removed });
}

function readMoves(reader: LineReader, changes: Change[]): void {
  const count = reader.uint('the number of players');
  const start = reader.at + 1;
  const items = reader.items('players and rooms');
  if (items.length !== count * 2) {
    reader.fail(
      'TEXT_COUNT_MISMATCH',
      `${count} players with a room each were promised, not ${items.length} items`,
      start,
    );
  }
  reader.end();
  for (let index = 0; index < items.length; index += 2) {
    pushPatch(changes, keyOf(reader, `player/${items[index]}`, start), { room: items[index + 1]! });
  }
}

function readKey(reader: LineReader, collection?: string): RecordKey {
  const start = reader.at + 1;
  const id = reader.field(collection === undefined ? 'a record key' : `the ${collection}'s id`);
  return keyOf(reader, collection === undefined ? id : `${collection}/${id}`, start);
}

function keyOf(reader: LineReader, text: string, start: number): RecordKey {
  try {
    return recordKey(text);
  } catch {
    return reader.fail(
      'KEY_INVALID',
      `record key ${writeJson(text.slice(0, 64))} is not of the form collection/id`,
      start,
    );
  }
}

function readNumber(reader: LineReader): number {
  const start = reader.at + 1;
  const field = reader.field('a number');
  const value = Number(field);
  if (!isPlainNumber(value) || String(value) !== field) {
    reader.fail('SCHEMA_MISMATCH', 'expected a number as its exact value is written', start);
  }
  return value;
}

function readObject(reader: LineReader): SyncRecord {
  const start = reader.at + 1;
  const value = readJson(reader, 'the fields as a JSON object');
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array) {
    reader.fail('SCHEMA_MISMATCH', 'expected the fields as a JSON object', start);
  }
  return value as SyncRecord;
}

/** The fields of a line and those that follow as JSON. */
function readFurther(reader: LineReader, placed: SyncRecord): SyncRecord {
  if (!reader.hasMore) return placed;
  const start = reader.at + 1;
  const further = readObject(reader);
  const twice = Object.keys(further).find((name) => Object.hasOwn(placed, name));
  if (twice !== undefined) reader.fail('TEXT_DUPLICATE', `field ${twice} has its place on the line already`, start);
  reader.end();
  return { ...placed, ...further };
}

function readRemoved(reader: LineReader): string[] {
  const start = reader.at + 1;
  const names = readJson(reader, 'the removed fields as a JSON list');
  const isList = Array.isArray(names) && names.every((name) => typeof name === 'string' && name !== '__proto__');
  if (!isList) reader.fail('SCHEMA_MISMATCH', 'expected the names of the removed fields', start);
  if (new Set(names).size < names.length) reader.fail('TEXT_DUPLICATE', 'a removed field twice', start);
  return names as string[];
}
