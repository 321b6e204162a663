import { RE2JS, RE2JSException, RE2JSSyntaxException } from 're2js';
import { SyncError } from '../errors/index.ts';
import { TRACE_KINDS } from '../trace/index.ts';
import { SEVERITIES } from './flags.ts';

/**
 * The language in which records are looked for: in the stream, for breakpoints and colours, on the command line and in exports.
 *
 *     kind:delta  kind:inputs  who:bot-2  type:ACK  key:item/*  version:118..121  severity:error  "any words"
 *     bytes>1000  time>=12.5s  seq=4211  version!=3
 *     body.reason=root  body.changes.*.op=remove  body.event.detail~/gold(en)?/  /differs .* v1\d/
 *     state.item/crown.owner=alice   changes:player/bot-1.room
 *     before:4211  after:4211  concurrent:4211
 *     kind:send|receive and not (type:ACK or type:HEARTBEAT)
 *
 * Terms side by side must all pass; `and`, `or`, `not` and parentheses say otherwise, `-` turns a term round, `|` parts alternatives, quotes
 * keep spaces together and take words for nothing but words. Regular expressions are RE2's, which take linear time whatever they say.
 */
export type FilterNode =
  | { readonly type: 'all' | 'any'; readonly nodes: readonly FilterNode[] }
  | { readonly type: 'not'; readonly node: FilterNode }
  | FilterTerm;

/** Where a word lies in the text of the filter. */
export interface Span {
  readonly text: string;
  readonly offset: number;
}

export type Comparison = '=' | '!=' | '<' | '<=' | '>' | '>=' | '~' | '!~';
/** A number, a truth value or nothing, as it was written: a text that is written so is meant as well, such as an id of digits alone. */
export interface Literal {
  readonly value: number | boolean | null;
  readonly text: string;
}
/** What a comparison is with; for `~` and `!~` a pattern. */
export type Operand = string | Literal | RE2JS;

/** A record and what of it, as a path can be read. */
export interface PathReading {
  readonly key: string;
  readonly path: readonly string[];
}

export type FilterTerm =
  /** Looked for in the summary: one of these, whatever its case. */
  | { readonly type: 'words'; readonly values: readonly Span[] }
  /** Must match somewhere in the summary. */
  | { readonly type: 'pattern'; readonly pattern: RE2JS }
  | { readonly type: 'field'; readonly field: ValueField; readonly values: readonly Span[] }
  | { readonly type: 'number'; readonly field: NumberField; readonly op: Comparison; readonly value: number }
  | { readonly type: 'body'; readonly path: readonly string[]; readonly op: Comparison; readonly value: Operand }
  | {
      readonly type: 'state';
      readonly readings: readonly PathReading[];
      readonly op: Comparison;
      readonly value: Operand;
    }
  | { readonly type: 'changes'; readonly readings: readonly PathReading[] }
  | { readonly type: 'relation'; readonly relation: Relation; readonly seq: number };

export const VALUE_FIELDS = ['kind', 'replica', 'type', 'key', 'version', 'severity'] as const;
export type ValueField = (typeof VALUE_FIELDS)[number];
/** Beside the kinds: logs that only carry inputs for running it again. */
export const INPUTS = 'inputs';
export const NUMBER_FIELDS = ['version', 'bytes', 'time', 'seq', 'position'] as const;
export type NumberField = (typeof NUMBER_FIELDS)[number];
export const RELATIONS = ['before', 'after', 'concurrent'] as const;
export type Relation = (typeof RELATIONS)[number];
/** Everything that may stand before an operator. */
export const FILTER_FIELDS = [
  'kind',
  'replica',
  'who',
  'type',
  'key',
  'version',
  'severity',
  'bytes',
  'time',
  'seq',
  'position',
  'body',
  'state',
  'changes',
  ...RELATIONS,
] as const;

const MAX_FILTER_LENGTH = 2_000;
const MAX_DEPTH = 50;
const OPERATORS = /^(!=|<=|>=|!~|[:=<>~])/;
/** What may name something before an operator. */
const PATH = /^[A-Za-z](?:[^\s:=<>!~"()|]|"(?:[^"]|"")*")*/;
const NANOSECONDS: Readonly<Record<string, number>> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, '': 1e9 };

/** @throws SyncError `FILTER_SYNTAX` with the offset in the text, saying what was expected there */
export function parseFilter(text: string): FilterNode {
  if (text.length > MAX_FILTER_LENGTH) fail(MAX_FILTER_LENGTH, `at most ${MAX_FILTER_LENGTH} characters`);
  const parser = new Parser(text);
  const node = parser.any(0);
  if (!parser.isAtEnd) fail(parser.at, 'an opening parenthesis before this one');
  return node;
}

/**
 * A filter that passes what `text` does and `term` does as well, or, where `or` is said, one of them; `term` alone where `text` says nothing, and then
 * nothing at all for `or`.
 * @throws SyncError `FILTER_SYNTAX` with the offset in `text` alone
 */
export function combinedFilter(text: string, join: 'and' | 'or', term: string): string {
  if (text.trim() === '') return join === 'and' ? term : '';
  parseFilter(text);
  return `(${text}) ${join} ${term}`;
}

class Parser {
  readonly #text: string;
  at = 0;

  constructor(text: string) {
    this.#text = text;
    this.#skipSpaces();
  }

  get isAtEnd(): boolean {
    return this.at >= this.#text.length;
  }

  any(depth: number): FilterNode {
    const nodes = [this.#all(depth)];
    while (this.#takeWord('or')) {
      if (this.isAtEnd || this.#text[this.at] === ')') fail(this.at, 'a term after or');
      nodes.push(this.#all(depth));
    }
    return nodes.length === 1 ? nodes[0]! : { type: 'any', nodes };
  }

  /** Terms side by side, `and` between them or not. Nothing at all passes everything. */
  #all(depth: number): FilterNode {
    const nodes: FilterNode[] = [];
    for (;;) {
      if (this.isAtEnd || this.#text[this.at] === ')' || this.#isWord('or')) break;
      if (this.#takeWord('and')) {
        if (nodes.length === 0) fail(this.at, 'a term before and');
        if (this.isAtEnd || this.#text[this.at] === ')') fail(this.at, 'a term after and');
        continue;
      }
      nodes.push(this.#one(depth));
    }
    return nodes.length === 1 ? nodes[0]! : { type: 'all', nodes };
  }

  #one(depth: number): FilterNode {
    if (depth > MAX_DEPTH) fail(this.at, `at most ${MAX_DEPTH} parentheses within each other`);
    const isTurned = this.#text[this.at] === '-' || this.#text[this.at] === '!';
    if (isTurned) {
      this.at++;
      if (this.isAtEnd || isSpace(this.#text[this.at]!)) fail(this.at, `a term after ${this.#text[this.at - 1]}`);
      return { type: 'not', node: this.#one(depth + 1) };
    }
    if (this.#takeWord('not')) {
      if (this.isAtEnd || this.#text[this.at] === ')') fail(this.at, 'a term after not');
      return { type: 'not', node: this.#one(depth + 1) };
    }
    if (this.#text[this.at] !== '(') return this.#term();
    this.at++;
    this.#skipSpaces();
    const node = this.any(depth + 1);
    if (this.#text[this.at] !== ')') fail(this.at, 'a closing parenthesis');
    this.at++;
    this.#skipSpaces();
    return node;
  }

  #term(): FilterTerm {
    const rest = this.#text.slice(this.at);
    const path = PATH.exec(rest)?.[0] ?? '';
    const op = path === '' ? undefined : OPERATORS.exec(rest.slice(path.length))?.[0];
    const term = op === undefined ? this.#words() : this.#compared(path, op);
    if (!this.isAtEnd && !isSpace(this.#text[this.at]!) && this.#text[this.at] !== ')')
      fail(this.at, 'a space between terms');
    this.#skipSpaces();
    return term;
  }

  #words(): FilterTerm {
    if (this.#text[this.at] === '/') {
      const pattern = this.#pattern();
      if (pattern) return { type: 'pattern', pattern };
    }
    return { type: 'words', values: this.#values(undefined) };
  }

  #compared(path: string, op: string): FilterTerm {
    const start = this.at;
    const [{ text: head } = NO_SEGMENT, ...rest] = segments(path);
    const name = head.toLowerCase() === 'who' ? 'replica' : head.toLowerCase();
    if (!isFilterField(name)) {
      fail(start, `one of ${FILTER_FIELDS.join(', ')} before ${op}; put words with ${op} in quotes`);
    }
    this.at += path.length + op.length;
    if (name === 'body' || name === 'state') return this.#path(name, rest, start, op);
    if (rest.length > 0) fail(start + head.length, `${op} or another operator: only body and state have paths`);
    if (isRelation(name)) return this.#relation(name, op);
    if (name === 'changes') return this.#changes(op);
    if (op !== ':') return this.#number(name, op as Comparison, start);
    if (!isValueField(name)) return this.#number(name, '=', start);
    const values = this.#values(name);
    for (const value of values) checkValue(name, value);
    return { type: 'field', field: name, values };
  }

  #number(name: string, op: Comparison, start: number): FilterTerm {
    const field = NUMBER_FIELDS.find((one) => one === name);
    if (!field || op === '~' || op === '!~') {
      return fail(start, `a field of numbers (${NUMBER_FIELDS.join(', ')}) before ${op}, or ${name}: with a value`);
    }
    const value = this.#value(name);
    const found = /^v?(\d{1,15}(?:\.\d{1,9})?)(ns|us|µs|ms|s)?$/.exec(value.text);
    if (!found || (found[2] !== undefined && field !== 'time')) {
      fail(value.offset, field === 'time' ? 'a time such as 12.5s or 300ms' : 'a number');
    }
    const factor = field === 'time' ? NANOSECONDS[found[2] ?? '']! : 1;
    return {
      type: 'number',
      field,
      op,
      value: field === 'time' ? Math.round(Number(found[1]) * factor) : Number(found[1]),
    };
  }

  #path(name: 'body' | 'state', rest: readonly Segment[], start: number, op: string): FilterTerm {
    const comparison: Comparison = op === ':' ? '=' : (op as Comparison);
    if (rest.length === 0)
      fail(start + name.length, `a path such as ${name === 'body' ? 'body.reason' : 'state.item/crown.owner'}`);
    const value =
      comparison === '~' || comparison === '!~'
        ? this.#requiredPattern()
        : literal(this.#value('the comparison'), this.#text);
    if (name === 'body') return { type: 'body', path: rest.map(({ text }) => text), op: comparison, value };
    const readings = readingsOf(rest);
    if (readings.length === 0) fail(start + name.length + 1, 'the key of a record, such as item/crown');
    return { type: 'state', readings, op: comparison, value };
  }

  #relation(relation: Relation, op: string): FilterTerm {
    const value = this.#value(relation);
    if ((op !== ':' && op !== '=') || !/^\d{1,15}$/.test(value.text))
      fail(value.offset, 'the number of a record, such as before:4211');
    return { type: 'relation', relation, seq: Number(value.text) };
  }

  #changes(op: string): FilterTerm {
    const start = this.at;
    if (op !== ':' && op !== '=') fail(start - op.length, 'changes: with a key, such as changes:item/crown.owner');
    const text = this.#text;
    while (this.at < text.length && !isSpace(text[this.at]!) && !'|)'.includes(text[this.at]!)) {
      this.at = text[this.at] === '"' ? this.#quoteEnd() : this.at + 1;
    }
    if (this.at === start) fail(start, 'a value for changes');
    const readings = readingsOf(segments(text.slice(start, this.at)));
    if (readings.length === 0) fail(start, 'a key or a key and a field, such as item/crown.owner');
    return { type: 'changes', readings };
  }

  /** Behind the quote that ends the one here; two of them stand for one. */
  #quoteEnd(): number {
    let end = this.at + 1;
    for (;;) {
      end = this.#text.indexOf('"', end);
      if (end < 0) fail(this.#text.length, 'a closing quote');
      if (this.#text[end + 1] !== '"') return end + 1;
      end += 2;
    }
  }

  #values(field: string | undefined): Span[] {
    const values = [this.#value(field)];
    while (this.#text[this.at] === '|') {
      this.at++;
      values.push(this.#value(field));
    }
    return values;
  }

  #value(field: string | undefined): Span {
    const text = this.#text;
    const start = this.at;
    if (text[start] === '"') {
      this.at = this.#quoteEnd();
      return { text: unquoted(text.slice(start, this.at)), offset: start + 1 };
    }
    let end = start;
    while (end < text.length && !isSpace(text[end]!) && !'|")'.includes(text[end]!)) end++;
    if (end === start) fail(start, field ? `a value for ${field}` : 'a word');
    this.at = end;
    return { text: text.slice(start, end), offset: start };
  }

  /** `/…/`, or undefined where no slash ends it: then it is a word. */
  #pattern(): RE2JS | undefined {
    const start = this.at;
    let end = start + 1;
    while (end < this.#text.length && this.#text[end] !== '/') end += this.#text[end] === '\\' ? 2 : 1;
    if (end >= this.#text.length || end === start + 1) return undefined;
    this.at = end + 1;
    return compilePattern(this.#text.slice(start + 1, end), start + 1);
  }

  #requiredPattern(): RE2JS {
    const start = this.at;
    const found = this.#text[start] === '/' ? this.#pattern() : undefined;
    if (found) return found;
    const value = this.#value('~');
    return compilePattern(value.text, value.offset);
  }

  #isWord(word: string): boolean {
    const found = this.#text.slice(this.at, this.at + word.length).toLowerCase() === word;
    const after = this.#text[this.at + word.length];
    return found && (after === undefined || isSpace(after) || after === '(' || after === ')');
  }

  #takeWord(word: string): boolean {
    if (!this.#isWord(word)) return false;
    this.at += word.length;
    this.#skipSpaces();
    return true;
  }

  #skipSpaces(): void {
    while (!this.isAtEnd && isSpace(this.#text[this.at]!)) this.at++;
  }
}

/** As a path is read behind `changes:`, the shortest key first. None where there is no key in it. */
export function pathReadings(text: string): readonly PathReading[] {
  return readingsOf(segments(text));
}

interface Segment {
  readonly text: string;
  /** Whether any of it was in quotes: then it is as it stands, dots and all. */
  readonly isQuoted: boolean;
}

const NO_SEGMENT: Segment = { text: '', isQuoted: false };

/** Parts at dots, but not within quotes. */
function segments(path: string): Segment[] {
  const found = path.match(/(?:"(?:[^"]|"")*"|[^."])+/g) ?? [];
  return found.map((text) => ({
    text: text.replace(/"(?:[^"]|"")*"/g, unquoted),
    isQuoted: text.includes('"'),
  }));
}

/** What is between quotes, of which two stand for one. */
function unquoted(text: string): string {
  return text.slice(1, -1).replaceAll('""', '"');
}

/**
 * A key may hold dots, so `item/a.b.c` is the record `item/a.b.c`, the field `c` of `item/a.b`, or `c` within the field `b` of `item/a`; in quotes it is
 * as it stands. None where there is no key.
 */
function readingsOf(parts: readonly Segment[]): PathReading[] {
  const slash = parts.findIndex(({ text }) => text.includes('/'));
  if (slash < 0) return [];
  const readings: PathReading[] = [];
  for (let end = slash + 1; end <= parts.length; end++) {
    const key = parts.slice(0, end);
    if (key.length > 1 && key.some(({ isQuoted }) => isQuoted)) break;
    readings.push({
      key: key.map(({ text }) => text).join('.'),
      path: parts.slice(end).map(({ text }) => text),
    });
  }
  return readings;
}

/** What a comparison is with: in quotes always text. */
function literal(value: Span, text: string): Operand {
  if (text[value.offset - 1] === '"') return value.text;
  const written = value.text;
  if (WORDS.has(written)) return { value: WORDS.get(written)!, text: written };
  return /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(written) ? { value: Number(written), text: written } : written;
}

const WORDS: ReadonlyMap<string, Literal['value']> = new Map<string, Literal['value']>([
  ['true', true],
  ['false', false],
  ['null', null],
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
]);

/** @param written as it stands between slashes, or alone @throws SyncError `FILTER_SYNTAX` at what of it is wrong, as far as that can be told */
function compilePattern(written: string, offset: number): RE2JS {
  try {
    return RE2JS.compile(written.replaceAll('\\/', '/'));
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error;
    const wrong = error instanceof RE2JSSyntaxException ? written.indexOf(error.getPattern() ?? '') : 0;
    return fail(offset + Math.max(0, wrong), `a regular expression as RE2 has them: ${error.message}`);
  }
}

function checkValue(field: ValueField, value: Span): void {
  switch (field) {
    case 'kind':
      if (value.text !== INPUTS && !(TRACE_KINDS as readonly string[]).includes(value.text))
        fail(value.offset, `a kind: ${TRACE_KINDS.join(', ')}`);
      return;
    case 'severity':
      if (!(SEVERITIES as readonly string[]).includes(value.text))
        fail(value.offset, `a severity: ${SEVERITIES.join(', ')}`);
      return;
    case 'version':
      if (!parseVersions(value.text)) fail(value.offset, 'a version such as 118, or a range such as 118..121');
      return;
    default:
      return;
  }
}

export function parseVersions(text: string): { readonly from: number; readonly to: number } | undefined {
  const found = /^v?(\d{1,15})(?:\.\.v?(\d{1,15}))?$/.exec(text);
  if (!found) return undefined;
  const from = Number(found[1]);
  return { from, to: found[2] === undefined ? from : Number(found[2]) };
}

function isFilterField(name: string): boolean {
  return (FILTER_FIELDS as readonly string[]).includes(name);
}

function isValueField(name: string): name is ValueField {
  return (VALUE_FIELDS as readonly string[]).includes(name);
}

function isRelation(name: string): name is Relation {
  return (RELATIONS as readonly string[]).includes(name);
}

/** Also such as come along where a filter is pasted: returns, and spaces that do not break. */
function isSpace(character: string): boolean {
  return /\s/.test(character);
}

function fail(offset: number, expected: string): never {
  throw new SyncError('FILTER_SYNTAX', `expected ${expected}`, { origin: 'query', place: { offset } });
}
