import { compareUtf8, fromHex, MAP_MAX_FIELDS, toHex, VALUE_MAX_DEPTH } from '../../bytes/index.ts';
import { SyncError } from '../../errors/index.ts';
import type { Value } from '../../state/index.ts';
import { escapeUnseen, LineReader } from './line.ts';

/**
 * Values as JSON on one line: no blanks, names ascending by their UTF-8 bytes, numbers as JavaScript writes them. What
 * JSON lacks is an object of one name: `{"$bytes":"0aff"}`, `{"$number":"NaN"}` (also `Infinity`, `-Infinity`, `-0`). A name
 * that begins with `$` has another `$` before it.
 */

/** Values lie in messages, some objects deep; how deep a value itself may be its schema says. */
const DEPTH_MAX = VALUE_MAX_DEPTH + 8;

const ODD_NUMBERS: ReadonlyMap<string, number> = new Map([
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
  ['-0', -0],
]);

/** @throws SyncError `LIMIT_DEPTH`, `VALUE_INVALID` */
export function writeJson(value: unknown): string {
  return escapeUnseen(write(value, 0));
}

function write(value: unknown, depth: number): string {
  if (depth > DEPTH_MAX) {
    throw new SyncError('LIMIT_DEPTH', `a value nested deeper than ${DEPTH_MAX}`, { origin: 'state' });
  }
  switch (typeof value) {
    case 'boolean':
      return String(value);
    case 'number':
      return writeNumber(value);
    case 'string':
      return JSON.stringify(value);
    case 'object':
      if (value === null) return 'null';
      if (value instanceof Uint8Array) return `{"$bytes":"${toHex(value)}"}`;
      if (Array.isArray(value)) return `[${value.map((item) => write(item, depth + 1)).join(',')}]`;
      return writeObject(value as Readonly<Record<string, unknown>>, depth);
    default:
      throw new SyncError('VALUE_INVALID', `a ${typeof value} cannot be sent`, { origin: 'state' });
  }
}

function writeNumber(value: number): string {
  if (!Number.isFinite(value)) return `{"$number":"${value}"}`;
  return Object.is(value, -0) ? '{"$number":"-0"}' : String(value);
}

function writeObject(value: Readonly<Record<string, unknown>>, depth: number): string {
  const fields = Object.keys(value)
    .filter((name) => value[name] !== undefined)
    .sort(compareUtf8)
    .map((name) => {
      return `${JSON.stringify(name.startsWith('$') ? `$${name}` : name)}:${write(value[name], depth + 1)}`;
    });
  return `{${fields.join(',')}}`;
}

/**
 * Reads the JSON field that comes next on a line and leaves the reader behind it.
 * @throws SyncError `TEXT_SYNTAX`, `FIELD_RESERVED`, `LIMIT_DEPTH`, `LIMIT_MAP_KEYS`, each with line and column
 */
export function readJson(reader: LineReader, what: string): Value {
  reader.begin(what);
  return readValue(reader, 0);
}

/**
 * Reads a text that is one JSON value, as {@link writeJson} writes it.
 * @throws SyncError as {@link readJson}
 */
export function parseJson(text: string, what: string): Value {
  const reader = new LineReader(`:${text}`, 1);
  const value = readJson(reader, what);
  reader.end();
  return value;
}

const NUMBER_PATTERN = /-?[0-9][0-9.eE+-]*/y;
const WORDS: readonly (readonly [string, Value])[] = [
  ['null', null],
  ['true', true],
  ['false', false],
];

function readValue(reader: LineReader, depth: number): Value {
  if (depth > DEPTH_MAX) reader.fail('LIMIT_DEPTH', `a value nested deeper than ${DEPTH_MAX}`);
  switch (reader.text[reader.at]) {
    case '{':
      return readObject(reader, depth);
    case '[':
      return readArray(reader, depth);
    case '"':
      return readString(reader);
    default:
      return readWord(reader);
  }
}

function readWord(reader: LineReader): Value {
  for (const [word, value] of WORDS) {
    if (!reader.text.startsWith(word, reader.at)) continue;
    reader.at += word.length;
    return value;
  }
  NUMBER_PATTERN.lastIndex = reader.at;
  const digits = NUMBER_PATTERN.exec(reader.text)?.[0];
  if (digits === undefined) reader.fail('TEXT_SYNTAX', 'expected a JSON value without blanks');
  const value = Number(digits);
  // Any other way to write it might stand for a number that cannot be held exactly.
  if (String(value) !== digits) reader.fail('TEXT_SYNTAX', 'a number not as its exact value is written');
  reader.at += digits.length;
  return value;
}

function readString(reader: LineReader): string {
  const { text, at: start } = reader;
  let end = start + 1;
  while (end < text.length && text[end] !== '"') end += text[end] === '\\' ? 2 : 1;
  if (end >= text.length) reader.fail('TEXT_SYNTAX', 'a string that does not end', start);
  let value: string;
  try {
    value = JSON.parse(text.slice(start, end + 1));
  } catch {
    return reader.fail('TEXT_SYNTAX', 'a string with an escape or a character that JSON does not know', start);
  }
  if (!value.isWellFormed()) reader.fail('TEXT_SYNTAX', 'a string with a lone surrogate', start);
  reader.at = end + 1;
  return value;
}

function readArray(reader: LineReader, depth: number): Value[] {
  const items: Value[] = [];
  reader.at++;
  if (take(reader, ']')) return items;
  for (;;) {
    items.push(readValue(reader, depth + 1));
    if (take(reader, ']')) return items;
    expect(reader, ',');
  }
}

function readObject(reader: LineReader, depth: number): Value {
  const fields: Record<string, Value> = {};
  let count = 0;
  reader.at++;
  if (take(reader, '}')) return fields;
  for (;;) {
    const start = reader.at;
    if (reader.text[start] !== '"') reader.fail('TEXT_SYNTAX', 'expected the name of a field');
    const written = readString(reader);
    expect(reader, ':');
    if (written.startsWith('$') && !written.startsWith('$$')) {
      if (count > 0) reader.fail('TEXT_SYNTAX', `${written} beside other fields`, start);
      return readTagged(reader, written, start);
    }
    const name = written.startsWith('$') ? written.slice(1) : written;
    // An assignment to this name would change a prototype instead of a field.
    if (name === '__proto__') reader.fail('FIELD_RESERVED', 'a field may not be called __proto__', start);
    if (Object.hasOwn(fields, name)) reader.fail('TEXT_SYNTAX', `field ${writeJson(name)} twice`, start);
    if (++count > MAP_MAX_FIELDS) reader.fail('LIMIT_MAP_KEYS', `more than ${MAP_MAX_FIELDS} fields`, start);
    fields[name] = readValue(reader, depth + 1);
    if (take(reader, '}')) return fields;
    expect(reader, ',');
  }
}

const HEX_PATTERN = /^(?:[0-9a-f]{2})*$/;

/** The rest of `{"$bytes":…}` or `{"$number":…}`. */
function readTagged(reader: LineReader, tag: string, start: number): Value {
  const text = reader.text[reader.at] === '"' ? readString(reader) : undefined;
  const number = text === undefined ? undefined : ODD_NUMBERS.get(text);
  const isBytes = tag === '$bytes' && text !== undefined && HEX_PATTERN.test(text);
  if (!isBytes && (tag !== '$number' || number === undefined)) {
    reader.fail(
      'TEXT_SYNTAX',
      'after $ comes bytes with hex digits, or number with NaN, Infinity, -Infinity or -0',
      start,
    );
  }
  expect(reader, '}');
  return isBytes ? fromHex(text) : number!;
}

function take(reader: LineReader, character: string): boolean {
  if (reader.text[reader.at] !== character) return false;
  reader.at++;
  return true;
}

function expect(reader: LineReader, character: string): void {
  if (!take(reader, character)) reader.fail('TEXT_SYNTAX', `expected ${character}`);
}
